//! What happens around an open database: it is moved, replaced, deleted, restored over, copied without its write-ahead log,
//! or held by another process. Nothing acknowledged is lost silently, and readiness says so.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use chatgauge::Chatgauge;
use chatgauge::error::StorageErrorKind;
use chatgauge::model::{AuditAction, AuditEntry, RequestRecord, TimeRange};
use chatgauge::store::{Store, Writer};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::harness::TestServer;
use crate::harness::store::{at, quiet_config};
use crate::oracle::random_record;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks until something is so.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let step = Duration::from_millis(20);
    for _ in 0..PATIENCE.as_millis() / step.as_millis() {
        if is_so() {
            return;
        }
        std::thread::sleep(step);
    }
    panic!("never: {what}");
}

fn records(seed: u64, count: usize) -> Vec<RequestRecord> {
    let day = TimeRange::new(at("2026-03-01T00:00:00Z"), at("2026-03-02T00:00:00Z"));
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random_record(&mut rng, day)).collect()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A database that stays open with records of which some are only in its log. It has no thread that could move the log
/// while the files are copied.
fn open_with(path: &Path, seed: u64, count: usize) -> (Store, Writer) {
    let (store, mut writer) = Store::open(&quiet_config(path).store).unwrap();
    writer.append(&[&records(seed, count)], at("2026-03-02T00:00:00Z")).unwrap();
    (store, writer)
}

/// Files of a database as a crash at this moment would leave them.
fn copy(from: &Path, to: &Path, suffixes: &[&str]) {
    for suffix in suffixes {
        std::fs::copy(beside(from, suffix), beside(to, suffix)).unwrap();
    }
}

fn stored(path: &Path) -> i64 {
    let store = Store::open_read_only(&quiet_config(path).store).unwrap();
    store.read(|reader| reader.last_seq()).unwrap()
}

/// Posts a record; gives the status and the problem's detail.
fn post(server: &TestServer, id: &str) -> (u16, String) {
    let answer = server.post_json("/api/requests", &json!({ "request_id": id }));
    let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
    (answer.status, detail)
}

/// The database of a server, locked for writing by another connection.
fn locked_by_another(server: &TestServer) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(server.service.store().path()).unwrap();
    other.execute_batch("begin immediate").unwrap();
    other
}

fn is_ready(server: &TestServer) -> bool {
    server.get_as("/readyz", None).status == 200
}

#[test]
fn a_moved_database_refuses_records_until_it_is_back() {
    let server = TestServer::start();
    let path = server.service.store().path().to_owned();
    assert_eq!(post(&server, "before").0, 200);
    let away = beside(&path, ".away");
    std::fs::rename(&path, &away).unwrap();
    wait_until("not ready", || !is_ready(&server));
    let (status, detail) = post(&server, "into nothing");
    assert_eq!(status, 503);
    assert!(detail.contains("moved, deleted or replaced"), "{detail}");
    let health = server.get("/api/telemetry/health").json();
    assert_eq!(health["status"], "degraded");
    assert!(
        health["problems"][0].as_str().unwrap().contains("was deleted or moved away"),
        "{health}"
    );

    // Another file in its place does not help.
    std::fs::copy(&away, &path).unwrap();
    wait_until("replaced", || {
        let health = server.get("/api/telemetry/health").json();
        health["problems"].to_string().contains("was replaced by another file")
    });
    assert_eq!(post(&server, "into another").0, 503);

    std::fs::rename(&away, &path).unwrap();
    wait_until("ready again", || is_ready(&server));
    assert_eq!(post(&server, "after").0, 200);
    let health = server.get("/api/telemetry/health").json();
    assert_eq!(health["status"], "ok", "{health}");
}

#[test]
fn a_deleted_write_ahead_log_refuses_records_and_what_it_had_is_saved_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let service = Chatgauge::open(quiet_config(&path)).unwrap();
    service.record(records(1, 50)).unwrap();
    std::fs::remove_file(beside(&path, "-wal")).unwrap();
    wait_until("not ready", || service.ready().is_err());
    let refused = service.record(records(2, 50)).unwrap_err();
    assert_eq!(refused.storage_kind(), Some(StorageErrorKind::Misplaced), "{refused}");
    assert!(refused.to_string().contains("write-ahead log"), "{refused}");
    service.shutdown().unwrap();
    // In a process of its own: this one leaves the file open, because closing it would delete by name.
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_chatgauge"))
        .args(["sql", "select count(*) as stored from requests", "--json", "--db"])
        .arg(&path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("50"), "{text}");
}

/// Cuts a file as a shell's redirection does: in place, under whoever has it open.
fn cut(path: &Path, bytes: u64) {
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(bytes).unwrap();
}

/// Waits until nothing is accepted or written any more, though the paths lead to the same files.
fn assert_refused_as_cut(service: &Chatgauge, what: &str) {
    wait_until("not ready", || service.ready().is_err());
    let refused = service.record(records(9, 1)).unwrap_err();
    assert_eq!(refused.storage_kind(), Some(StorageErrorKind::Damaged), "{refused}");
    assert!(refused.to_string().contains(what), "{refused}");
    assert!(service.status().unwrap().problems.join(" ").contains("was cut while it is open"));
    assert!(service.ready().is_err(), "it stays so");
}

#[test]
fn a_write_ahead_log_that_is_cut_refuses_records_at_the_next_commit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let service = Chatgauge::open(quiet_config(&path)).unwrap();
    service.record(records(1, 50)).unwrap();
    cut(&beside(&path, "-wal"), 0);
    // No look of a thread in between: the commit itself would fill the gap with a hole.
    let refused = service.record(records(2, 1)).unwrap_err();
    assert_eq!(refused.storage_kind(), Some(StorageErrorKind::Damaged), "{refused}");
    assert_refused_as_cut(&service, "the write-ahead log");
    assert_eq!(beside(&path, "-wal").metadata().unwrap().len(), 0, "nothing was written");
    drop(service.shutdown());
}

#[test]
fn a_database_file_that_is_cut_refuses_records() {
    for halves in [0, 1] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat.db");
        let service = Chatgauge::open(quiet_config(&path)).unwrap();
        service.record(records(1, 40_000)).unwrap();
        let bytes = || path.metadata().unwrap().len();
        let other = rusqlite::Connection::open(&path).unwrap();
        let is_busy = || other.query_row("pragma wal_checkpoint", [], |row| row.get::<_, i64>(0));
        wait_until("moved", || is_busy() == Ok(0) && bytes() > 1 << 20);
        drop(other);
        assert!(service.store().look_at_place().is_none());
        let cut_to = bytes() * halves / 2;
        cut(&path, cut_to);
        assert_refused_as_cut(&service, "the database file");
        assert_eq!(bytes(), cut_to, "nothing was written");
        drop(service.shutdown());
    }
}

#[test]
fn files_that_sqlite_itself_makes_shorter_are_not_cut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let service = Chatgauge::open(quiet_config(&path)).unwrap();
    service.record(records(1, 20_000)).unwrap();
    let wal_bytes = || beside(&path, "-wal").metadata().unwrap().len();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.busy_timeout(PATIENCE).unwrap();
    other.execute_batch("create table other as select * from requests").unwrap();
    let pragma = |sql: &str| other.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    wait_until("moved and truncated", || pragma("pragma wal_checkpoint(truncate)") == 0);
    let before = path.metadata().unwrap().len();
    for _ in 0..3 {
        service.record(records(2, 10)).unwrap();
        wait_until("truncated again", || pragma("pragma wal_checkpoint(truncate)") == 0);
        assert!(service.store().look_at_place().is_none());
        assert_eq!(wal_bytes(), 0);
    }
    other.execute_batch("drop table other").unwrap();
    // Each step frees a page.
    let mut vacuum = other.prepare("pragma incremental_vacuum").unwrap();
    let mut pages = vacuum.query([]).unwrap();
    while pages.next().unwrap().is_some() {}
    wait_until("the file is shorter", || {
        service.record(records(3, 1)).unwrap();
        pragma("pragma wal_checkpoint(truncate)");
        path.metadata().unwrap().len() < before
    });
    assert!(service.store().look_at_place().is_none());
    service.record(records(4, 10)).unwrap();
    service.ready().unwrap();
    service.shutdown().unwrap();
}

#[test]
fn a_removed_directory_refuses_records() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let service = Chatgauge::open(quiet_config(&inner.join("chat.db"))).unwrap();
    service.record(records(1, 1)).unwrap();
    std::fs::remove_dir_all(&inner).unwrap();
    wait_until("not ready", || service.ready().is_err());
    service.record(records(2, 1)).unwrap_err();
}

#[test]
fn an_older_copy_beside_a_newer_log_is_refused_and_both_stay_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let older = directory.path().join("older.db");
    drop(open_with(&path, 1, 100));
    std::fs::copy(&path, &older).unwrap();

    let open = open_with(&path, 2, 100);
    // The server is killed, and the older copy restored over the file: the log stays.
    let crashed = directory.path().join("crashed.db");
    copy(&path, &crashed, &["", "-wal"]);
    drop(open);
    std::fs::copy(&older, &crashed).unwrap();
    let before =
        [std::fs::read(&crashed).unwrap(), std::fs::read(beside(&crashed, "-wal")).unwrap()];
    let config = quiet_config(&crashed).store;
    for refused in [
        Store::open(&config).map(|_| ()).unwrap_err(),
        Store::open_read_only(&config).map(|_| ()).unwrap_err(),
    ] {
        let message = refused.to_string();
        assert!(message.contains("does not belong to this file"), "{message}");
        assert!(message.contains("mv '") && message.contains("-wal.stale"), "{message}");
    }
    let after =
        [std::fs::read(&crashed).unwrap(), std::fs::read(beside(&crashed, "-wal")).unwrap()];
    assert!(before == after, "something was written");

    std::fs::rename(beside(&crashed, "-wal"), beside(&crashed, "-wal.stale")).unwrap();
    drop(std::fs::remove_file(beside(&crashed, "-shm")));
    drop(Store::open(&config).unwrap());
    assert_eq!(stored(&crashed), 100);
}

#[test]
fn the_log_of_another_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let crash = |name: &str, seed| {
        let open = open_with(&path("open.db"), seed, 200);
        copy(&path("open.db"), &path(name), &["", "-wal"]);
        drop(open);
        for suffix in ["", ".lock"] {
            std::fs::remove_file(beside(&path("open.db"), suffix)).unwrap();
        }
    };
    crash("one.db", 1);
    crash("other.db", 2);
    std::fs::copy(beside(&path("other.db"), "-wal"), beside(&path("one.db"), "-wal")).unwrap();
    let before = std::fs::read(path("one.db")).unwrap();
    let refused = Store::open(&quiet_config(&path("one.db")).store).unwrap_err().to_string();
    assert!(refused.contains("does not belong to this file"), "{refused}");
    assert!(before == std::fs::read(path("one.db")).unwrap(), "the file was changed");
}

#[test]
fn a_log_without_its_database_is_refused_and_stays() {
    for is_empty in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat.db");
        let open = open_with(&directory.path().join("open.db"), 1, 50);
        copy(&directory.path().join("open.db"), &path, &["-wal"]);
        drop(open);
        if is_empty {
            std::fs::write(&path, b"").unwrap();
        }
        let wal = std::fs::read(beside(&path, "-wal")).unwrap();
        let chatgauge = |args: &[&str]| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chatgauge"));
            command.args(args).args(["--db"]).arg(&path).output().unwrap()
        };
        for args in [
            &["serve", "--no-auth", "--listen", "127.0.0.1:0"][..],
            &["rebuild"],
            &["key", "create", "a", "--scope", "ingest"],
            &["sql", "select 1"],
        ] {
            let output = chatgauge(args);
            assert!(!output.status.success(), "{args:?}");
            let text = String::from_utf8(output.stderr).unwrap();
            let is_told = text.contains("its write-ahead log") && text.contains("-wal.stale'");
            assert!(is_told || text.contains("no such file"), "{args:?}: {text}");
            assert!(wal == std::fs::read(beside(&path, "-wal")).unwrap(), "{args:?}");
            assert_eq!(path.exists(), is_empty, "{args:?}");
        }
        // What the message says to do.
        std::fs::rename(beside(&path, "-wal"), beside(&path, "-wal.stale")).unwrap();
        drop(Store::open(&quiet_config(&path).store).unwrap());
    }
}

#[test]
fn a_copy_without_its_log_says_so_and_a_clean_one_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let open = open_with(&path, 1, 100);
    let copied = directory.path().join("copied.db");
    copy(&path, &copied, &[""]);
    let read = Store::open_read_only(&quiet_config(&copied).store).unwrap();
    assert!(read.wal_is_missing());
    drop(read);
    let check = |path: &Path| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_chatgauge"))
            .args(["check", "--db"])
            .arg(path)
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (is_well, told) = check(&copied);
    assert!(!is_well && told.contains("the write-ahead log is missing"), "{told}");
    assert!(!told.contains("no problems found"), "{told}");
    let (store, writer) = Store::open(&quiet_config(&copied).store).unwrap();
    assert!(store.wal_is_missing());
    let state = store.read(|reader| reader.store_state()).unwrap();
    assert!(state.wal_missing_after_ms.is_some(), "it is remembered: {state:?}");
    drop((store, writer));
    let (is_well, told) = check(&copied);
    assert!(is_well && told.contains("a server once started without"), "{told}");

    drop(open);
    let (is_well, told) = check(&path);
    assert!(is_well && !told.contains("write-ahead log"), "{told}");
    for _ in 0..3 {
        let (store, writer) = Store::open(&quiet_config(&path).store).unwrap();
        assert!(!store.wal_is_missing());
        let state = store.read(|reader| reader.store_state()).unwrap();
        assert_eq!(state.wal_missing_after_ms, None);
        drop((store, writer));
    }
    assert_eq!(stored(&path), 100);
}

#[test]
fn starts_that_a_reader_keeps_from_their_checkpoint_are_told_from_foreign_logs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let service = Chatgauge::open(quiet_config(&path)).unwrap();
    service.record(records(1, 10)).unwrap();
    service.shutdown().unwrap();
    drop(service);
    // Its snapshot lasts over several starts and ends of servers.
    let reader = rusqlite::Connection::open(&path).unwrap();
    reader.execute_batch("begin").unwrap();
    reader.query_row("select count(*) from requests", [], |row| row.get::<_, i64>(0)).unwrap();
    for seed in 2..5 {
        let service = Chatgauge::open(quiet_config(&path)).unwrap();
        service.record(records(seed, 10)).unwrap();
        service.shutdown().unwrap();
    }
    drop(reader);
    assert_eq!(stored(&path), 40);
    drop(Store::open(&quiet_config(&path).store).unwrap());
    assert_eq!(stored(&path), 40);
}

/// A reader that keeps checkpoints from copying what is committed after it.
fn reader_of(path: &Path) -> rusqlite::Connection {
    let reader = rusqlite::Connection::open(path).unwrap();
    reader.execute_batch("begin").unwrap();
    reader.query_row("select count(*) from requests", [], |row| row.get::<_, i64>(0)).unwrap();
    reader
}

/// Power fails in a checkpoint, which leaves the file unreadable without its log, and again in the checkpoint of the next
/// start, when the file has one of the states from before.
#[test]
fn a_start_on_a_file_that_only_its_log_makes_readable_is_recognised_by_the_next_one() {
    for has_session in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat.db");
        drop(open_with(&path, 1, 100));
        let closed = std::fs::read(&path).unwrap();
        let delaying = (!has_session).then(|| reader_of(&path));
        let (store, writer) = open_with(&path, 2, 100);
        // All pages are in the log again.
        rusqlite::Connection::open(&path).unwrap().execute_batch("vacuum").unwrap();
        let cut = directory.path().join("cut.db");
        copy(&path, &cut, &["", "-wal"]);
        drop((delaying, store, writer));
        let opened = std::fs::read(&cut).unwrap();
        let mut torn = opened.clone();
        torn[100..4096].fill(0);
        std::fs::write(&cut, &torn).unwrap();

        let reader = reader_of(&cut);
        let next = Store::open(&quiet_config(&cut).store).unwrap();
        let again = directory.path().join("again.db");
        copy(&cut, &again, &["-wal"]);
        drop((reader, next));
        let states = if has_session { vec![opened] } else { vec![opened, closed] };
        for file in states {
            std::fs::write(&again, file).unwrap();
            drop(Store::open_read_only(&quiet_config(&again).store).unwrap());
        }
    }
}

#[test]
fn readiness_answers_at_once_while_another_process_holds_the_file() {
    let server = TestServer::start();
    assert_eq!(post(&server, "before").0, 200);
    let other = locked_by_another(&server);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| post(&server, "held"));
        wait_until("not ready", || !is_ready(&server));
        let answer = server.get_as("/readyz", None);
        assert_eq!(answer.json()["detail"], "another process holds the database file");
        // Questions are answered meanwhile.
        assert_eq!(server.get("/api/telemetry/health").json()["status"], "degraded");
        assert_eq!(server.get("/api/requests").json()["requests"].as_array().unwrap().len(), 1);
        assert_eq!(waiting.join().unwrap().0, 503);
    });
    other.execute_batch("rollback").unwrap();
    wait_until("ready again", || is_ready(&server));
    assert_eq!(post(&server, "after").0, 200);
}

/// Routes that operators and Prometheus poll.
const ABOUT_THE_SERVER: [&str; 4] =
    ["/api/telemetry/health", "/api/status", "/metrics", "/api/alerts/incidents"];

#[test]
fn status_is_answered_while_an_evaluation_of_alerts_waits_for_another_process() {
    let server = TestServer::start();
    assert_eq!(post(&server, "before").0, 200);
    let other = locked_by_another(&server);
    std::thread::scope(|scope| {
        let evaluating = scope.spawn(|| server.service.check_alerts(server.service.now()));
        wait_until("the writer waits", || !is_ready(&server));
        for route in ABOUT_THE_SERVER {
            assert_eq!(server.get(route).status, 200, "{route}");
        }
        assert!(!evaluating.is_finished(), "they waited for the evaluation");
        other.execute_batch("rollback").unwrap();
        evaluating.join().unwrap().unwrap();
    });
}

#[test]
fn status_is_answered_while_many_changes_wait_for_another_process() {
    let server = TestServer::start();
    let other = locked_by_another(&server);
    let new_key = json!({ "name": "one", "scopes": ["read"] });
    std::thread::scope(|scope| {
        let changing: Vec<_> =
            (0..12).map(|_| scope.spawn(|| server.post_json("/api/keys", &new_key))).collect();
        wait_until("the writer waits", || !is_ready(&server));
        for route in ABOUT_THE_SERVER {
            assert_eq!(server.get(route).status, 200, "{route}");
        }
        other.execute_batch("rollback").unwrap();
        for change in changing {
            change.join().unwrap();
        }
    });
}

/// Overwrites the root page of a table or an index of a closed database with noise.
fn damage_root(path: &Path, name: &str) {
    let page: i64 = {
        let connection = rusqlite::Connection::open(path).unwrap();
        let sql = "select rootpage from sqlite_schema where name = ?1";
        connection.query_row(sql, [name], |row| row.get(0)).unwrap()
    };
    let mut bytes = std::fs::read(path).unwrap();
    let start = usize::try_from((page - 1) * 4_096).unwrap();
    bytes[start..start + 4_096].fill(0xA5);
    std::fs::write(path, &bytes).unwrap();
}

/// A closed database of 2,000 requests with a damaged table or index.
fn database_with_damaged(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join("chat.db");
    let service = Chatgauge::open(quiet_config(&path)).unwrap();
    service.record(records(1, 2_000)).unwrap();
    service.shutdown().unwrap();
    drop(service);
    damage_root(&path, name);
    path
}

#[test]
fn a_damaged_index_refuses_records_and_is_not_ready() {
    let directory = tempfile::tempdir().unwrap();
    let path = database_with_damaged(directory.path(), "requests__started_at_ms");
    let service = Chatgauge::open(quiet_config(&path)).unwrap();
    let refused = service.record(records(2, 10)).unwrap_err();
    assert_eq!(refused.storage_kind(), Some(StorageErrorKind::Damaged), "{refused}");
    let not_ready = service.ready().unwrap_err();
    assert_eq!(not_ready.storage_kind(), Some(StorageErrorKind::Damaged), "{not_ready}");
    drop(service.shutdown());
}

#[test]
fn damage_where_no_record_goes_degrades_the_health_and_leaves_the_server_ready() {
    let directory = tempfile::tempdir().unwrap();
    let path = database_with_damaged(directory.path(), "audit_log");
    let service = Chatgauge::open(quiet_config(&path)).unwrap();
    let entry = AuditEntry {
        at: service.now(),
        actor: "test".into(),
        action: AuditAction::Sql,
        target: None,
        detail: None,
    };
    service.audit(entry);
    wait_until("the damage is met", || {
        let problems = service.status().unwrap().problems;
        problems.iter().any(|problem| problem.contains("damaged page"))
    });
    service.ready().unwrap();
    service.record(records(2, 10)).unwrap();
    service.ready().unwrap();
    drop(service.shutdown());
}

#[test]
fn a_hard_link_made_later_only_degrades_the_health() {
    let server = TestServer::start();
    let path = server.service.store().path().to_owned();
    let link = beside(&path, ".link");
    std::fs::hard_link(&path, &link).unwrap();
    let health = server.get("/api/telemetry/health").json();
    assert!(health["problems"].to_string().contains("1 other names"), "{health}");
    assert!(is_ready(&server));
    assert_eq!(post(&server, "one").0, 200);
    std::fs::remove_file(&link).unwrap();
    assert_eq!(server.get("/api/telemetry/health").json()["status"], "ok");
}
