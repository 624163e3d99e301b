//! Databases on read-only media and behind bind mounts. Needs a user who may make mount namespaces; says so where not.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use chatgauge::Chatgauge;
use chatgauge::generate::Workload;
use chatgauge::model::TimeRange;
use chatgauge::store::Store;

use crate::harness::store::quiet_config;

/// 2026-06-01, a day.
const DAY: (i64, i64) = (1_780_272_000_000, 1_780_358_400_000);

fn may_mount() -> bool {
    let tried = Command::new("unshare").args(["-m", "true"]).status();
    let may = tried.is_ok_and(|status| status.success());
    if !may {
        tracing::warn!("mount namespaces are not allowed here: not tested");
    }
    may
}

/// Runs a shell script with `$chatgauge` and `$dir` in a mount namespace of its own.
fn run(directory: &Path, script: &str) -> Output {
    Command::new("unshare")
        .args(["-m", "bash", "-c", script])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("chatgauge", env!("CARGO_BIN_EXE_chatgauge"))
        .env("dir", directory)
        .env("CHATGAUGE_OTLP_HTTP_LISTEN", "off")
        .env("CHATGAUGE_OTLP_GRPC_LISTEN", "off")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A closed database of 500 requests, rolled up.
fn make_database(path: &Path) {
    make_database_of(path, 500);
}

fn make_database_of(path: &Path, requests: u64) {
    let service = Chatgauge::open(quiet_config(path)).unwrap();
    let range = TimeRange::from_unix_ms(DAY.0, DAY.1);
    service.record(Workload::new(1, range, requests).records().collect()).unwrap();
    service.compact().unwrap();
    service.shutdown().unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a test of a real process in real time")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn read_only_media_are_read_at_once() {
    if !may_mount() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    make_database(&directory.path().join("chat.db"));
    let started = now();
    let output = run(
        directory.path(),
        r#"set -e
        mkdir "$dir/media"; mount -t tmpfs none "$dir/media"
        cp "$dir/chat.db" "$dir/chat.db.key" "$dir/media/"
        mount -o remount,ro "$dir/media"
        cd "$dir/media"
        "$chatgauge" sql --db chat.db 'select count(*) as stored from requests' --json
        "$chatgauge" report --db chat.db --start 2026-06-01 --end 2026-06-02
        "$chatgauge" export --db chat.db | wc -l
        "$chatgauge" check --db chat.db"#,
    );
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(
        out.contains("\"stored\":500") || out.contains("\"stored\": 500") || out.contains("[500]"),
        "{out}"
    );
    assert!(out.contains("requests    500"), "{out}");
    assert!(out.lines().any(|line| line.trim() == "500"), "{out}");
    // Each command used to wait ten seconds for a connection.
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
}

#[test]
fn a_full_disk_is_read_with_and_without_a_log_and_named_by_what_writes() {
    if !may_mount() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    make_database(&path);
    // As a killed server leaves it: with a record that only the log has.
    let (store, mut writer) = Store::open(&quiet_config(&path).store).unwrap();
    let range = TimeRange::from_unix_ms(DAY.0, DAY.1);
    let one: Vec<_> = Workload::new(2, range, 1).records().collect();
    writer.append(&[&one], range.end).unwrap();
    for suffix in ["", "-wal"] {
        let with = |name: &str| directory.path().join(format!("{name}{suffix}"));
        std::fs::copy(with("chat.db"), with("killed.db")).unwrap();
    }
    std::fs::copy(directory.path().join("chat.db.key"), directory.path().join("killed.db.key"))
        .unwrap();
    drop((store, writer));
    for (name, requests) in [("chat.db", 501), ("killed.db", 501)] {
        let output = run(
            directory.path(),
            &format!(
                r#"set -e
                mkdir -p "$dir/full"; mount -t tmpfs -o size=8m none "$dir/full"
                cp "$dir/{name}"* "$dir/full/"
                cd "$dir/full"
                dd if=/dev/zero of=fill bs=4096 2>/dev/null || true
                before="$(cat {name} {name}-wal 2>/dev/null | sha256sum)"
                "$chatgauge" sql --db {name} 'select count(*) as stored from requests' --json
                "$chatgauge" report --db {name} --start 2026-06-01 --end 2026-06-02
                "$chatgauge" export --db {name} | wc -l
                "$chatgauge" check --db {name}
                "$chatgauge" backup "$dir/{name}.copy" --db {name}
                test "$before" = "$(cat {name} {name}-wal 2>/dev/null | sha256sum)"
                for command in "serve --listen 127.0.0.1:0" rebuild; do
                    if "$chatgauge" $command --db {name}; then exit 9; fi
                done"#
            ),
        );
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{name}: {out}{err}");
        assert!(out.lines().any(|line| line.trim() == requests.to_string()), "{name}: {out}");
        assert!(out.contains("no problems found"), "{name}: {out}");
        assert_eq!(err.matches("no space is left").count(), 2, "{name}: {err}");
    }
}

#[test]
fn a_server_on_read_only_media_says_why_it_cannot_start() {
    if !may_mount() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    make_database(&directory.path().join("chat.db"));
    let output = run(
        directory.path(),
        r#"mkdir "$dir/media"; mount -t tmpfs none "$dir/media"
        cp "$dir/chat.db" "$dir/chat.db.key" "$dir/media/"
        mount -o remount,ro "$dir/media"
        exec timeout 20 "$chatgauge" serve --db "$dir/media/chat.db" --listen 127.0.0.1:0"#,
    );
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("must be writable"), "{err}");
}

#[test]
fn a_second_server_through_a_bind_mount_is_refused() {
    if !may_mount() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let path = inner.join("chat.db");
    make_database(&path);
    let service = Chatgauge::open(quiet_config(&path)).unwrap();
    let by_directory = run(
        directory.path(),
        r#"mkdir "$dir/other"; mount --bind "$dir/inner" "$dir/other"
        exec timeout 20 "$chatgauge" serve --db "$dir/other/chat.db" --listen 127.0.0.1:0"#,
    );
    let err = text(&by_directory.stderr);
    assert!(err.contains("locked by another server"), "{err}");
    let by_file = run(
        directory.path(),
        r#"mkdir "$dir/third"; touch "$dir/third/chat.db"; mount --bind "$dir/inner/chat.db" "$dir/third/chat.db"
        exec timeout 20 "$chatgauge" serve --db "$dir/third/chat.db" --listen 127.0.0.1:0"#,
    );
    let err = text(&by_file.stderr);
    assert!(err.contains("mount its directory instead"), "{err}");
    service.shutdown().unwrap();
}

#[test]
fn a_salvage_onto_a_full_disk_names_the_file_and_leaves_nothing() {
    if !may_mount() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    make_database_of(&directory.path().join("chat.db"), 30_000);
    // Full at once, while rows are written, and while their rollups are.
    for size in ["64k", "1m", "3m"] {
        let output = run(
            directory.path(),
            &format!(
                r#"mkdir -p "$dir/small"; mount -t tmpfs -o size={size} none "$dir/small"
                "$chatgauge" salvage "$dir/chat.db" --into "$dir/small/new.db"; code=$?
                ls -A "$dir/small"; exit $code"#
            ),
        );
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{size}: {out}{err}");
        assert_eq!(out, "", "{size}: nothing is left");
        let last = err.lines().last().unwrap();
        assert!(last.contains("small/new.db.partial"), "{size}: {err}");
        assert!(last.contains("no space is left on the disk"), "{size}: {err}");
        assert!(last.contains("--into"), "{size}: {err}");
    }
}
