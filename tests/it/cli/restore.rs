//! `restore`: what is there is never lost, and what is not whole is not restored.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::serving::{Running, TOKEN, agent, post, wait};
use super::{Place, has, mode};

/// Restores that are killed.
const ROUNDS: usize = 12;

fn rows(path: &Path) -> i64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row("select count(*) from requests", [], |row| row.get(0)).unwrap()
}

/// Every file of the place with its content, but for indexes of write-ahead logs: whoever reads makes them anew.
fn all(place: &Place) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(place.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.to_str().unwrap().ends_with("-shm"))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// A database with `count` requests that a killed server left: the last ones are only in its write-ahead log.
fn killed_database(place: &Place, count: u64) {
    let server = Running::serve(place);
    let records: Vec<Value> = (0..count).map(|n| json!({"request_id": format!("k{n}")})).collect();
    let url = server.url("/api/requests");
    assert_eq!(post(&agent(), &url, TOKEN, &json!(records)), Some(count));
    // Dropping kills it.
    drop(server);
    assert!(place.path("chatgauge.db-wal").exists());
}

#[test]
fn a_backup_is_restored_on_another_machine_with_its_key_and_goes_on() {
    let place = Place::new();
    place.write("a.ndjson", "{\"request_id\":\"1\",\"user\":\"alice\"}\n");
    place.run(&["import", "a.ndjson"]).ok();
    let pseudonym = place.run(&["pseudonym", "alice"]).ok();
    place.run(&["backup", "b.db", "--with-key"]).ok();
    let other = Place::new();
    for name in ["b.db", "b.db.key"] {
        fs::copy(place.path(name), other.path(name)).unwrap();
    }
    let restored = other.run(&["restore", "b.db", "--json", "--with-key"]).json();
    assert_eq!(restored["requests"], 1);
    assert_eq!(restored["set_aside"], json!([]));
    assert_eq!(restored["key_restored"], true);
    assert_eq!(restored["complete"], true);
    assert_eq!(mode(&other.path("chatgauge.db.key")), 0o600);
    assert_eq!(other.run(&["pseudonym", "alice"]).ok(), pseudonym);
    has(&other.run(&["check"]).ok(), "no problems found\n");
    let server = Running::serve(&other);
    let url = server.url("/api/requests");
    let again = json!([{"request_id": "2", "user": "alice"}]);
    assert_eq!(post(&agent(), &url, TOKEN, &again), Some(1));
    server.stop_well();
    let users = "select count(distinct user) from request_log";
    assert_eq!(other.run(&["sql", "--csv", users]).ok(), "count(distinct user)\n1\n");
}

#[test]
fn a_database_that_is_there_is_set_aside_with_its_write_ahead_log() {
    let place = Place::new();
    place.seed(300);
    place.run(&["backup", "b.db"]).ok();
    fs::remove_file(place.database()).unwrap();
    killed_database(&place, 40);
    let before = all(&place);
    has(
        &place.run(&["restore", "b.db"]).fails(1),
        "exists already; stop its server and add --replace",
    );
    assert_eq!(all(&place), before, "nothing was touched");
    let restored = place.run(&["restore", "b.db", "--replace", "--json"]).json();
    assert_eq!(rows(&place.database()), 300);
    let aside: Vec<PathBuf> = restored["set_aside"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| PathBuf::from(path.as_str().unwrap()))
        .collect();
    assert!(aside.len() >= 2, "{aside:?}");
    for path in &aside {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("chatgauge.db.replaced-2"), "{name}");
        let original = name.split_once(".replaced-").unwrap();
        let suffix = original.1.split_once('Z').unwrap().1;
        if suffix == "-shm" {
            continue;
        }
        let content = fs::read(path).unwrap();
        let old = place.path(&format!("chatgauge.db{suffix}"));
        let was = before.iter().find(|(path, _)| *path == old).unwrap();
        assert!(was.1 == content, "{name} is not what it was");
    }
    // Whole under its new name, with what only the log had.
    assert_eq!(rows(&aside[0]), 40);
    has(&place.run(&["check"]).ok(), "no problems found\n");
}

#[test]
fn a_stale_log_of_a_missing_database_is_set_aside() {
    let place = Place::new();
    place.seed(300);
    place.run(&["backup", "b.db"]).ok();
    fs::remove_file(place.database()).unwrap();
    killed_database(&place, 40);
    fs::remove_file(place.database()).unwrap();
    let stale = fs::read(place.path("chatgauge.db-wal")).unwrap();
    let restored = place.run(&["restore", "b.db", "--json"]).json();
    let aside = restored["set_aside"].as_array().unwrap();
    let log = aside.iter().find(|path| path.as_str().unwrap().ends_with("-wal")).unwrap();
    assert!(fs::read(place.path(log.as_str().unwrap())).unwrap() == stale);
    assert_eq!(rows(&place.database()), 300);
    has(&place.run(&["check"]).ok(), "no problems found\n");
}

#[test]
fn a_running_server_keeps_its_database() {
    let place = Place::new();
    place.seed(100);
    place.run(&["backup", "b.db"]).ok();
    let server = Running::serve(&place);
    has(&place.run(&["restore", "b.db", "--replace"]).fails(1), "locked by another server");
    assert_eq!(server.get("/api/status")["storage"]["requests"], 100);
    server.stop_well();
    place.run(&["restore", "b.db", "--replace"]).ok();
}

#[test]
fn what_cannot_be_restored_is_refused_before_anything_is_touched() {
    let place = Place::new();
    place.seed(5_000);
    place.run(&["backup", "b.db"]).ok();
    let whole = fs::read(place.path("b.db")).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 40_960].fill(0xA5);
    place.write("damaged.db", &damaged);
    place.write("short.db", &whole[..whole.len() / 2]);
    place.write("text.db", "started_at,model\n");
    place.write("empty.db", "");
    fs::create_dir(place.path("directory.db")).unwrap();
    place.write("newer.db", &whole);
    let newer = rusqlite::Connection::open(place.path("newer.db")).unwrap();
    newer
        .execute(
            "insert into refinery_schema_history (version, name, applied_on, checksum)
             values (9999, 'from_the_future', '2030-01-01T00:00:00Z', '1')",
            [],
        )
        .unwrap();
    newer.close().unwrap();
    let other = rusqlite::Connection::open(place.path("other.db")).unwrap();
    other.execute_batch("create table notes (text)").unwrap();
    other.close().unwrap();
    place.write("foreign.db", &whole);
    let killed = Place::new();
    killed_database(&killed, 40);
    fs::copy(killed.path("chatgauge.db-wal"), place.path("foreign.db-wal")).unwrap();
    let before = all(&place);
    for (backup, reason) in [
        ("foreign.db", "foreign.db-wal does not belong to this file"),
        (
            "damaged.db",
            "damaged.db: cannot be restored, and nothing was changed: a copy of it is damaged",
        ),
        ("short.db", "short.db: "),
        ("text.db", "text.db: not a chatgauge file"),
        ("empty.db", "empty.db: not a chatgauge file"),
        ("directory.db", "directory.db: is not a file; name a backup"),
        ("newer.db", "newer.db: the file is newer than this program"),
        ("other.db", "other.db: not a chatgauge file"),
        ("none.db", "none.db: "),
        ("chatgauge.db", "is the database itself"),
    ] {
        has(&place.run(&["restore", backup, "--replace"]).fails(1), reason);
        assert!(all(&place) == before, "{backup}: something was touched");
    }
    has(
        &place.run(&["restore", "b.db", "--db", "no/r.db"]).fails(1),
        "the directory no does not exist",
    );
    // A target that was not there leaves nothing behind.
    place.run(&["restore", "damaged.db", "--db", "r.db"]).fails(1);
    assert!(all(&place) == before);
}

#[test]
fn another_key_is_never_replaced() {
    let place = Place::new();
    place.seed(100);
    place.run(&["backup", "b.db", "--with-key"]).ok();
    let other = format!("{}\n", "7".repeat(64));
    for name in ["r.db.key", "s.db.key"] {
        place.write(name, &other);
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    has(
        &place.run(&["restore", "b.db", "--db", "r.db"]).fails(1),
        "r.db.key: differs from b.db.key",
    );
    assert!(!place.path("r.db").exists());
    assert_eq!(fs::read_to_string(place.path("r.db.key")).unwrap(), other);
    // A key beside the backup that it was not written with, and one where the database is to be.
    place.write("b.db.key", &other);
    has(
        &place.run(&["restore", "b.db", "--db", "u.db"]).fails(1),
        "b.db.key: is not the key that b.db was written with",
    );
    fs::remove_file(place.path("b.db.key")).unwrap();
    has(
        &place.run(&["restore", "b.db", "--db", "s.db"]).fails(1),
        "s.db.key: is not the key that b.db was written with",
    );
    has(
        &place.run(&["restore", "b.db", "--db", "t.db", "--with-key"]).fails(1),
        "b.db.key: no such file",
    );
    has(&place.run(&["restore", "b.db", "--db", "t.db"]).ok(), "no pseudonym key: install it");
    assert!(!place.path("t.db.key").exists());
}

#[test]
fn a_copy_without_its_log_is_restored_only_when_that_is_wanted_and_one_with_it_whole() {
    let place = Place::new();
    place.seed(100);
    let mark = "update _store_state set in_use = 1";
    place.connection().execute(mark, []).unwrap();
    // As a copy of a running server's file with `cp`: the main file alone.
    fs::copy(place.database(), place.path("cp.db")).unwrap();
    let refused = place.run(&["restore", "cp.db", "--db", "r.db"]).fails(1);
    has(&refused, "without its write-ahead log");
    assert!(!place.path("r.db").exists());
    let wanted = ["restore", "cp.db", "--db", "r.db", "--allow-incomplete", "--json"];
    assert_eq!(place.run(&wanted).json()["complete"], false);
    // With its log: what is only there is restored too, and the copy stays as it is.
    let killed = Place::new();
    killed_database(&killed, 40);
    for suffix in ["", "-wal"] {
        let from = killed.path(&format!("chatgauge.db{suffix}"));
        fs::copy(from, place.path(&format!("both.db{suffix}"))).unwrap();
    }
    let both = fs::read(place.path("both.db")).unwrap();
    let restored = place.run(&["restore", "both.db", "--db", "s.db", "--json"]).json();
    assert_eq!((&restored["complete"], &restored["requests"]), (&json!(true), &json!(40)));
    assert_eq!(rows(&place.path("s.db")), 40);
    assert!(fs::read(place.path("both.db")).unwrap() == both);
    assert!(!place.path("both.db-shm").exists(), "an index of the log is left");
    // By another name of the file: its log is beside the file itself.
    fs::create_dir(place.path("links")).unwrap();
    std::os::unix::fs::symlink("../both.db", place.path("links/l.db")).unwrap();
    place.run(&["restore", "links/l.db", "--db", "t.db"]).ok();
    assert_eq!(rows(&place.path("t.db")), 40);
    for name in ["both.db-shm", "links/l.db-shm", "s.db-shm", "t.db-shm"] {
        assert!(!place.path(name).exists(), "{name} is left");
    }
}

#[test]
fn an_interrupted_restore_is_named_and_another_run_completes_it() {
    let place = Place::new();
    place.seed(300);
    place.run(&["backup", "b.db"]).ok();
    let old = Place::new();
    fs::copy(place.path("chatgauge.db.key"), old.path("chatgauge.db.key")).unwrap();
    killed_database(&old, 40);
    fs::copy(place.path("b.db"), old.path("b.db")).unwrap();
    // As a kill leaves it after the log lost its name, before the restored file took the database's.
    let aside = |suffix: &str| old.path(&format!("chatgauge.db.replaced-20261201T101500Z{suffix}"));
    fs::hard_link(old.database(), aside("")).unwrap();
    fs::rename(old.path("chatgauge.db-wal"), aside("-wal")).unwrap();
    fs::remove_file(old.path("chatgauge.db-shm")).unwrap();
    let before = all(&old);
    for name in ["chatgauge.db", "chatgauge.db.replaced-20261201T101500Z"] {
        let refused = old.run(&["serve", "--listen", "127.0.0.1:0", "--db", name]).fails(1);
        has(&refused, "a restore was interrupted");
        has(&refused, "chatgauge.db.replaced-20261201T101500Z-wal");
        has(&refused, "chatgauge.db' --replace");
        assert!(!refused.contains("remove the others"), "{refused}");
    }
    assert!(all(&old) == before, "nothing was touched");
    let restored = old.run(&["restore", "b.db", "--replace", "--json"]).json();
    let names: Vec<_> = restored["set_aside"].as_array().unwrap().iter().collect();
    let ends = ["Z", "Z-wal"];
    assert!(names.len() == 2, "{names:?}");
    for (name, end) in names.iter().zip(ends) {
        let expected = format!("chatgauge.db.replaced-20261201T101500{end}");
        assert!(name.as_str().unwrap().ends_with(&expected), "{names:?}");
    }
    assert_eq!((rows(&old.database()), rows(&aside(""))), (300, 40));
    has(&old.run(&["check"]).ok(), "no problems found\n");
    let set_aside = fs::read_dir(old.directory.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_str().unwrap().contains(".replaced-") && name.to_str().unwrap().ends_with('Z')
    });
    assert_eq!(set_aside.count(), 1, "one name of the old database");
}

#[test]
fn a_restore_that_is_killed_loses_neither_the_old_database_nor_the_new_one() {
    let place = Place::new();
    place.seed(20_000);
    place.run(&["backup", "b.db"]).ok();
    let old = Place::new();
    fs::copy(place.path("chatgauge.db.key"), old.path("chatgauge.db.key")).unwrap();
    killed_database(&old, 40);
    let mut rng = StdRng::seed_from_u64(5);
    let (mut before, mut after) = (0, 0);
    for round in 0..ROUNDS {
        let target = Place::new();
        for suffix in ["", "-wal", ".key"] {
            let name = format!("chatgauge.db{suffix}");
            fs::copy(old.path(&name), target.path(&name)).unwrap();
        }
        let backup = place.path("b.db");
        let args = ["restore", backup.to_str().unwrap(), "--replace"];
        let mut command = target.command(&args);
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        if round + 1 < ROUNDS {
            // Not a wait for anything: the moment of the kill is to be arbitrary.
            std::thread::sleep(Duration::from_millis(rng.random_range(0..150)));
            child.kill().unwrap();
        }
        wait(&mut child);
        let files = all(&target);
        let dated = files.iter().map(|(path, _)| path).find(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("chatgauge.db.replaced-") && name.ends_with('Z')
        });
        match (dated, rows(&target.database())) {
            // The old one is where it was, with what only its log has.
            (None, 40) => before += 1,
            (Some(dated), found) => {
                assert_eq!(rows(dated), 40, "round {round}: {found}");
                assert!(found == 20_000 || found <= 40, "round {round}: {found}");
                after += u32::from(found == 20_000);
            }
            (None, found) => panic!("round {round}: {found} rows and nothing set aside"),
        }
        target.run(&[args[0], args[1], "--replace", "--db", "again.db"]).ok();
        assert_eq!(rows(&target.path("again.db")), 20_000);
    }
    assert!(before > 0, "every kill came too late");
    assert!(after > 0, "the last one was not killed");
    println!("{before} were killed before the old database was set aside, {after} after");
}
