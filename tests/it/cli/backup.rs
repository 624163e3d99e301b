//! `backup`: beside a server, killed at any moment, with names and disks that will not do.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::serving::{Running, TOKEN, agent, await_that, post, wait};
use super::{Place, has, mode};

/// Backups that are killed.
const ROUNDS: usize = 25;

/// What is in the directory of a place, without the database itself and what belongs to it.
fn others(place: &Place) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(place.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("chatgauge.db"))
        .collect();
    names.sort();
    names
}

fn number(path: &Path, sql: &str) -> i64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Asserts that the file stands alone: whole, in no journal mode that needs a second file, in use by nobody.
fn assert_self_contained(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let text = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("pragma integrity_check"), "ok");
    assert_eq!(text("pragma journal_mode"), "delete");
    assert_eq!(text("select cast(in_use as text) from _store_state"), "0");
    for suffix in ["-wal", "-shm", "-journal"] {
        let beside = PathBuf::from(format!("{}{suffix}", path.display()));
        assert!(!beside.exists(), "{} is left", beside.display());
    }
}

/// A file system that is mounted for a test, where this user may; elsewhere the parts that need it are left out.
struct Mount(PathBuf);

impl Mount {
    fn tmpfs(directory: &Path, options: &str) -> Option<Self> {
        fs::create_dir(directory).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(directory);
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        is_mounted.then(|| Self(directory.to_owned()))
    }
}

impl Mount {
    /// The directory `of` once more at `directory`, where nothing can be written.
    fn read_only(directory: &Path, of: &Path) -> Option<Self> {
        fs::create_dir(directory).unwrap();
        let succeeds = |args: &[&str], paths: &[&Path]| {
            let output = Command::new("mount").args(args).args(paths).output();
            output.is_ok_and(|output| output.status.success())
        };
        if !succeeds(&["--bind"], &[of, directory]) {
            return None;
        }
        let mount = Self(directory.to_owned());
        succeeds(&["-o", "remount,ro,bind"], &[directory]).then_some(mount)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "{} stays mounted",
            self.0.display()
        );
    }
}

#[test]
fn a_backup_beside_a_busy_server_is_one_moment_with_all_that_was_acknowledged_before() {
    let place = Place::new();
    place.seed(20_000);
    let server = Running::serve(&place);
    let url = server.url("/api/requests");
    let (acknowledged, go_on) = (Mutex::new(Vec::new()), AtomicBool::new(true));
    std::thread::scope(|scope| {
        for sender in 0..3 {
            let (url, acknowledged, go_on) = (&url, &acknowledged, &go_on);
            scope.spawn(move || {
                let agent = agent();
                for number in (0..).take_while(|_| go_on.load(Ordering::SeqCst)) {
                    let id = format!("{sender}-{number}");
                    let stored = post(&agent, url, TOKEN, &json!([{ "request_id": id }]));
                    assert_eq!(stored, Some(1), "{id}");
                    acknowledged.lock().unwrap().push(id);
                }
            });
        }
        let count = || acknowledged.lock().unwrap().len();
        await_that("100 records", || count() > 100);
        let before = acknowledged.lock().unwrap().clone();
        let made = place.run(&["backup", "b.db", "--json", "--max-mb-per-s", "10"]).json();
        let during = count() - before.len();
        go_on.store(false, Ordering::SeqCst);
        assert!(during > 10, "only {during} records came during the backup");
        let backup = place.path("b.db");
        assert_self_contained(&backup);
        let connection = rusqlite::Connection::open(&backup).unwrap();
        let ids = "select request_id from request_log where request_id like '%-%'";
        let mut statement = connection.prepare(ids).unwrap();
        let ids = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let ids: std::collections::HashSet<String> = ids.map(Result::unwrap).collect();
        for id in &before {
            assert!(ids.contains(id), "{id} was acknowledged before the backup and is not in it");
        }
        // A consistent prefix: no gap in the order of arrival, and the figures are those of the file.
        let rows = number(&backup, "select count(*) from requests");
        assert_eq!(number(&backup, "select max(seq) from requests"), rows);
        assert_eq!(made["requests"], rows);
        assert_eq!(made["last_seq"], rows);
        assert_eq!(made["bytes"].as_u64().unwrap(), fs::metadata(&backup).unwrap().len());
    });
    has(&place.run(&["check", "--db", "b.db"]).ok(), "no problems found\n");
    server.stop_well();
}

#[test]
fn a_backup_that_is_killed_never_has_its_name_and_the_next_one_cleans_up() {
    let place = Place::new();
    place.seed(20_000);
    let database = fs::read(place.database()).unwrap();
    let mut rng = StdRng::seed_from_u64(11);
    let (mut unfinished, mut finished) = (0, 0);
    for round in 0..ROUNDS {
        let mut command = place.command(&["backup", "b.db", "--max-mb-per-s", "20"]);
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        // Not a wait for anything: the moment of the kill is to be arbitrary.
        std::thread::sleep(Duration::from_millis(rng.random_range(0..400)));
        child.kill().unwrap();
        wait(&mut child);
        unfinished += usize::from(others(&place).iter().any(|name| name.ends_with(".partial")));
        let backup = place.path("b.db");
        if backup.exists() {
            finished += 1;
            assert_self_contained(&backup);
            assert_eq!(number(&backup, "select count(*) from requests"), 20_000, "round {round}");
            fs::remove_file(backup).unwrap();
        }
    }
    assert!(unfinished > ROUNDS / 4, "only {unfinished} kills came in the middle");
    eprintln!("{unfinished} of {ROUNDS} were unfinished, {finished} were complete");
    place.run(&["backup", "b.db"]).ok();
    assert_eq!(others(&place), ["b.db"], "what the killed ones left is gone");
    assert_eq!(fs::read(place.database()).unwrap(), database, "the database was changed");
}

#[test]
fn a_schedule_removes_what_its_killed_servers_left_and_no_backup_that_is_being_made() {
    let place = Place::new();
    place.seed(20_000);
    fs::create_dir(place.path("bk")).unwrap();
    let names = |end: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(place.path("bk")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_str().unwrap().ends_with(end)).collect()
    };
    let begun = || {
        let sizes = names(".partial").into_iter().map(|path| path.join("data").metadata());
        sizes.filter(|found| found.as_ref().is_ok_and(|found| found.len() > 0)).count()
    };
    let slow = ["backup.directory=bk", "backup.max_bytes_per_second=1000000"];
    for killed in 1..=2 {
        let server = Running::serve_with(&place, &slow);
        // Each start removes what the one before left.
        await_that("a copy that has begun", || begun() == 1 && names(".partial").len() == 1);
        // Dropping kills it.
        drop(server);
        assert_eq!(names(".partial").len(), 1, "after {killed}");
    }
    let dead = names(".partial").remove(0);
    let by_hand = ["backup", "bk/chatgauge-20260101T000000Z.db", "--max-mb-per-s", "1"];
    let mut living = place.command(&by_hand).stdout(std::process::Stdio::null()).spawn().unwrap();
    await_that("the second copy", || begun() == 2);
    let server = Running::serve_with(&place, &["backup.directory=bk"]);
    await_that("a backup", || !names("Z.db").is_empty());
    assert!(!dead.exists());
    assert!(wait(&mut living).success(), "its directory was removed");
    server.stop_well();
    assert_eq!((names(".partial").len(), names("Z.db").len()), (0, 2));
    assert_self_contained(&place.path(by_hand[1]));
}

#[test]
fn a_name_that_will_not_do_is_refused_and_nothing_is_touched() {
    let place = Place::new();
    place.seed(100);
    place.write("there.db", "somebody's");
    place.write("stale.db-wal", "of another file");
    fs::create_dir(place.path("directory")).unwrap();
    fs::hard_link(place.database(), place.path("hard.db")).unwrap();
    std::os::unix::fs::symlink("chatgauge.db", place.path("soft.db")).unwrap();
    std::os::unix::fs::symlink("nowhere.db", place.path("dangling.db")).unwrap();
    std::os::unix::fs::symlink(".", place.path("here")).unwrap();
    let before = (fs::read(place.database()).unwrap(), others(&place));
    let key = fs::read(place.path("chatgauge.db.key")).unwrap();
    for (target, reason) in [
        (
            "there.db",
            "there.db: exists already; choose another name, or replace it with --overwrite",
        ),
        ("stale.db", "SQLite would read stale.db-wal as part of the backup; move that file away"),
        ("directory", "is a directory; name a file, e.g. directory/chatgauge-backup.db"),
        ("missing/b.db", "missing/b.db: the directory missing does not exist; create it first"),
        ("chatgauge.db", "is the database itself"),
        ("here/chatgauge.db", "is the database itself"),
        ("hard.db", "is the database itself"),
        ("soft.db", "is the database itself"),
        ("dangling.db", "is a symbolic link; name the file itself"),
        ("chatgauge.db-wal", "belongs to the database chatgauge.db"),
        ("here/chatgauge.db.key", "belongs to the database chatgauge.db"),
        ("chatgauge.db.lock", "belongs to the database chatgauge.db"),
        ("/dev/null", "is not a file"),
    ] {
        has(&place.run(&["backup", target]).fails(1), reason);
        if target != "there.db" {
            has(&place.run(&["backup", target, "--overwrite"]).fails(1), reason);
        }
        assert_eq!((fs::read(place.database()).unwrap(), others(&place)), before, "{target}");
    }
    assert_eq!(fs::read(place.path("chatgauge.db.key")).unwrap(), key);
    assert_eq!(fs::read(place.path("there.db")).unwrap(), b"somebody's");
    has(&place.run(&["backup", "b.db", "--db", "none.db"]).fails(1), "none.db: no such file");
    assert_eq!(others(&place), before.1);
}

#[test]
fn a_backup_is_replaced_only_by_a_verified_one_and_never_a_live_database() {
    let place = Place::new();
    place.seed(500);
    place.run(&["backup", "b.db"]).ok();
    place.write("a.ndjson", "{\"request_id\":\"later\"}\n");
    place.run(&["import", "a.ndjson"]).ok();
    place.run(&["backup", "b.db", "--overwrite"]).ok();
    assert_eq!(number(&place.path("b.db"), "select count(*) from requests"), 501);
    assert_self_contained(&place.path("b.db"));
    // A damaged original makes no backup, and the one that is there stays.
    let kept = fs::read(place.path("b.db")).unwrap();
    let mut damaged = fs::read(place.database()).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8_192].fill(0xA5);
    place.write("damaged.db", &damaged);
    let refused = ["backup", "b.db", "--overwrite", "--db", "damaged.db"];
    has(&place.run(&refused).fails(1), "a copy of it is damaged");
    assert_eq!(fs::read(place.path("b.db")).unwrap(), kept);
    assert!(others(&place).iter().all(|name| !name.ends_with(".partial")), "{:?}", others(&place));
    // Another server's database.
    let live = Place::new();
    let server = Running::serve(&live);
    let target = live.database();
    let target = target.to_str().unwrap();
    let refused = place.run(&["backup", target, "--overwrite"]).fails(1);
    assert!(refused.contains("running server") || refused.contains("-wal"), "{refused}");
    server.stop_well();
}

#[test]
fn the_key_is_copied_for_its_owner_only_and_another_one_is_never_replaced() {
    let place = Place::new();
    place.seed(100);
    let made = place.run(&["backup", "b.db", "--with-key", "--json"]).json();
    assert_eq!(made["key"], "b.db.key");
    let key = fs::read(place.path("chatgauge.db.key")).unwrap();
    assert_eq!(fs::read(place.path("b.db.key")).unwrap(), key);
    assert_eq!(mode(&place.path("b.db.key")), 0o600);
    place.run(&["backup", "b.db", "--with-key", "--overwrite"]).ok();
    // The database's own permissions are those of its copy.
    fs::set_permissions(place.database(), fs::Permissions::from_mode(0o640)).unwrap();
    place.run(&["backup", "private.db"]).ok();
    assert_eq!(mode(&place.path("private.db")), 0o640);
    assert!(!place.path("private.db.key").exists());
    place.write("c.db.key", format!("{}\n", "7".repeat(64)));
    fs::set_permissions(place.path("c.db.key"), fs::Permissions::from_mode(0o600)).unwrap();
    has(&place.run(&["backup", "c.db", "--with-key"]).fails(1), "is a different key");
    assert!(!place.path("c.db").exists());
    fs::remove_file(place.path("chatgauge.db.key")).unwrap();
    has(&place.run(&["backup", "d.db", "--with-key"]).fails(1), "chatgauge.db.key");
    assert!(!place.path("d.db").exists() && !place.path("chatgauge.db.key").exists());
}

#[test]
fn a_full_disk_leaves_neither_a_backup_nor_half_of_one() {
    let place = Place::new();
    place.seed(20_000);
    // Files may not grow beyond 1 MiB: writing more fails as on a full disk.
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\""]);
    let command = place.command(&["backup", "b.db"]);
    limited.arg(command.get_program()).args(command.get_args());
    limited.current_dir(place.directory.path()).env_clear();
    let output = limited.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(others(&place), Vec::<String>::new());

    let Some(disk) = Mount::tmpfs(&place.path("disk"), "size=1m") else { return };
    let refused = place.run(&["backup", "disk/b.db"]).fails(1);
    has(&refused, "not enough space: ");
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 0);
}

#[test]
fn a_backup_goes_to_another_file_system() {
    let place = Place::new();
    place.seed(1_000);
    let Some(disk) = Mount::tmpfs(&place.path("disk"), "size=64m") else { return };
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    assert_ne!(device(&disk.0), device(place.directory.path()));
    place.run(&["backup", "disk/b.db", "--with-key"]).ok();
    assert_self_contained(&disk.0.join("b.db"));
    place.run(&["restore", "disk/b.db", "--db", "r.db"]).ok();
    assert_eq!(number(&place.path("r.db"), "select count(*) from requests"), 1_000);
}

#[test]
fn a_database_on_read_only_media_is_backed_up() {
    let place = Place::new();
    place.seed(1_000);
    let copies = Place::new();
    let media = copies.path("media");
    let Some(_mount) = Mount::read_only(&media, place.directory.path()) else { return };
    copies.run(&["backup", "b.db", "--db", "media/chatgauge.db", "--with-key"]).ok();
    assert_self_contained(&copies.path("b.db"));
    assert_eq!(number(&copies.path("b.db"), "select count(*) from requests"), 1_000);
    let refused = copies.run(&["backup", "media/b.db", "--db", "media/chatgauge.db"]).fails(1);
    has(&refused, "Read-only file system");
}

#[test]
fn a_database_without_its_log_makes_a_backup_that_remembers_it() {
    let place = Place::new();
    place.seed(100);
    place.connection().execute("update _store_state set in_use = 1, clock_ms = 77", []).unwrap();
    let made = place.run(&["backup", "b.db", "--json"]).json();
    assert_eq!(made["complete"], false);
    assert_self_contained(&place.path("b.db"));
    let marked = "select wal_missing_after_ms from _store_state";
    assert_eq!(number(&place.path("b.db"), marked), 77);
}

#[test]
fn what_is_verified_is_said() {
    let place = Place::new();
    place.seed(100);
    let text = place.run(&["backup", "b.db"]).ok();
    has(&text, "b.db: 100 requests, ");
    has(&text, "\nverified:\n  SQLite's structural check of every page of the copy");
    has(&text, "\nthe pseudonym key is not included: keep a copy of it\n");
    let made: Value = place.run(&["backup", "c.db", "--json"]).json();
    assert_eq!(made["verified"].as_array().unwrap().len(), 4);
    assert_eq!(made["key"], Value::Null);
    assert_eq!((&made["last_seq"], &made["watermark_seq"]), (&json!(100), &json!(100)));
}
