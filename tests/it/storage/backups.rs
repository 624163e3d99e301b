//! Scheduled backups: when they are made, how many are kept, how their failures are seen.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chatgauge::Config;
use chatgauge::model::{TimeRange, Timestamp};
use chatgauge::query::status::BackupStatus;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::harness::TestServer;
use crate::harness::store::{TestService, at};
use crate::oracle::random_record;

const HOUR_MS: i64 = 3_600_000;

fn noon() -> Timestamp {
    at("2026-06-01T12:00:00Z")
}

fn hourly(config: &mut Config, directory: &Path) {
    config.backup.directory = Some(directory.to_owned());
    config.backup.every = Some(Duration::from_secs(3_600));
    config.backup.keep = 2;
    config.backup.with_key = true;
}

/// Waits until the backups of a service are as wanted.
fn await_backup(
    service: &chatgauge::Chatgauge,
    what: &str,
    is_so: impl Fn(&BackupStatus) -> bool,
) -> BackupStatus {
    // Far longer than a backup of a few rows takes.
    for _ in 0..3_000 {
        let status = service.status().unwrap().backup.unwrap();
        if is_so(&status) && !status.is_running {
            return status;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}: {:?}", service.status().unwrap().backup);
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Problems that are about backups.
fn problems(service: &TestService) -> Vec<String> {
    let mut problems = service.status().unwrap().problems;
    problems.retain(|problem| problem.contains("backup"));
    problems
}

fn rows(path: PathBuf) -> i64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row("select count(*) from requests", [], |row| row.get(0)).unwrap()
}

#[test]
fn backups_are_made_as_scheduled_and_the_newest_are_kept() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    let service = TestService::start_with(noon(), |config| hourly(config, directory));
    let mut rng = StdRng::seed_from_u64(1);
    let range = TimeRange::new(noon().plus_ms(-HOUR_MS), noon());
    let mut record = || random_record(&mut rng, range);

    // Without one, the first is due at once.
    let first = await_backup(&service, "the first", |status| status.last_success_at.is_some());
    assert_eq!(first.last_success_at, Some(noon()));
    let next = Some(noon().plus_ms(HOUR_MS));
    await_backup(&service, "when the next is due", |status| status.next_at == next);
    assert_eq!(names(directory), ["chat-20260601T120000Z.db", "chat-20260601T120000Z.db.key"]);
    let key = directory.join("chat-20260601T120000Z.db.key");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);

    // Files that only look like ours stay: other names, another database, no database at all.
    let strangers = [
        "chat-20200101T000000Z.db.key",
        "chat-20200101T000000Z-note.txt",
        "other-20200101T000000Z.db",
        "chat-20200102T000000Z.db",
    ];
    for name in strangers {
        fs::write(directory.join(name), "somebody's").unwrap();
    }
    let another = TestService::start(noon());
    let foreign = directory.join("chat-20200103T000000Z.db");
    fs::copy(&another.config.store.path, &foreign).unwrap();

    for hour in 1..=4 {
        service.send(&[record()]);
        service.clock.advance_ms(HOUR_MS);
        let due = noon().plus_ms(hour * HOUR_MS);
        await_backup(&service, "the next", |status| status.last_success_at == Some(due));
    }
    let mut expected: Vec<String> = strangers.map(str::to_owned).to_vec();
    expected.push("chat-20200103T000000Z.db".into());
    for hour in ["15", "16"] {
        expected.push(format!("chat-20260601T{hour}0000Z.db"));
        expected.push(format!("chat-20260601T{hour}0000Z.db.key"));
    }
    expected.sort();
    assert_eq!(names(directory), expected);
    assert_eq!(rows(directory.join("chat-20260601T160000Z.db")), 4);
    assert_eq!(problems(&service), [""; 0]);
}

#[test]
fn a_failing_backup_degrades_health_is_tried_again_and_deletes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("disk");
    fs::create_dir(&directory).unwrap();
    let service = TestService::start_with(noon(), |config| hourly(config, &directory));
    await_backup(&service, "the first", |status| status.last_success_at == Some(noon()));
    let away = place.path().join("away");
    fs::rename(&directory, &away).unwrap();
    service.clock.advance_ms(HOUR_MS);
    let failed = await_backup(&service, "a failure", |status| status.failures_total == 1);
    assert_eq!(failed.last_success_at, Some(noon()));
    let due = noon().plus_ms(HOUR_MS);
    let wrong = problems(&service);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("the last backup is 1 h old: "), "{wrong:?}");
    assert!(wrong[0].contains("disk does not exist; create it first"), "{wrong:?}");

    // Again after a minute, then two, then four.
    let retry = |minutes: i64| Some(due.plus_ms(minutes * 60_000));
    await_backup(&service, "a retry in a minute", |status| status.next_at == retry(1));
    service.clock.advance_ms(60_000);
    await_backup(&service, "another failure", |status| status.failures_total == 2);
    await_backup(&service, "a retry two minutes later", |status| status.next_at == retry(3));
    assert_eq!(names(&away).len(), 2, "nothing was deleted");

    fs::rename(&away, &directory).unwrap();
    service.clock.advance_ms(2 * 60_000);
    let mended = await_backup(&service, "a success", |status| status.failures == 0);
    assert_eq!(mended.last_success_at, retry(3));
    assert_eq!(mended.failures_total, 2);
    assert_eq!(mended.last_error, None);
    assert_eq!(problems(&service), [""; 0]);
}

#[test]
fn a_restart_remembers_the_last_backup_and_makes_up_for_a_missed_one() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    let mut service = TestService::start_with(noon(), |config| hourly(config, directory));
    await_backup(&service, "the first", |status| status.last_success_at == Some(noon()));
    service.clock.advance_ms(HOUR_MS / 2);
    service.restart();
    let next = Some(noon().plus_ms(HOUR_MS));
    let found = await_backup(&service, "the last of before", |status| status.next_at == next);
    assert_eq!(found.last_success_at, Some(noon()));
    assert_eq!(found.last_duration_ms, None, "nobody knows any more");
    assert_eq!(names(directory).len(), 2, "none was made");
    service.stop();
    service.clock.advance_ms(24 * HOUR_MS);
    service.restart_stopped();
    let now = noon().plus_ms(24 * HOUR_MS + HOUR_MS / 2);
    await_backup(&service, "the missed one", |status| status.last_success_at == Some(now));
}

#[test]
fn only_whole_backups_of_the_same_database_count_as_the_last_one() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    let mut service = TestService::start_with(noon(), |config| hourly(config, directory));
    let path = |time: &str| directory.join(format!("chat-20260601T{time}00Z.db"));
    await_backup(&service, "the first", |status| status.last_success_at == Some(noon()));
    service.stop();
    let another = TestService::start(noon());
    fs::copy(&another.config.store.path, path("1205")).unwrap();
    fs::write(path("1210"), "not a backup").unwrap();
    let whole = fs::read(path("1200")).unwrap();
    fs::write(path("1215"), &whole[..whole.len() - 4_096]).unwrap();
    // A copy of the open database without its log, and a backup that somebody has written to since.
    fs::write(path("1220"), &whole).unwrap();
    let connection = rusqlite::Connection::open(path("1220")).unwrap();
    connection.execute("update _store_state set in_use = 1", []).unwrap();
    drop(connection);
    fs::write(path("1225"), &whole).unwrap();
    fs::write(directory.join("chat-20260601T122500Z.db-wal"), "x").unwrap();
    service.clock.advance_ms(HOUR_MS / 2);
    service.restart_stopped();
    let next = Some(noon().plus_ms(HOUR_MS));
    let found = await_backup(&service, "the next one", |status| status.next_at == next);
    assert_eq!(found.last_success_at, Some(noon()));
    assert_eq!(found.last_bytes, Some(u64::try_from(whole.len()).unwrap()));
    for hour in 1..=3 {
        service.clock.advance_ms(HOUR_MS);
        let due = Some(noon().plus_ms(HOUR_MS / 2 + hour * HOUR_MS));
        await_backup(&service, "another", |status| status.last_success_at == due);
    }
    assert!(!path("1200").exists());
    for stranger in ["1205", "1210", "1215", "1220", "1225"] {
        assert!(path(stranger).exists(), "{stranger}");
    }
}

#[test]
fn backups_with_dates_in_the_future_are_not_counted_not_deleted_and_reported() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    let mut service = TestService::start_with(noon(), |config| hourly(config, directory));
    await_backup(&service, "the first", |status| status.last_success_at == Some(noon()));
    service.stop();
    let future: Vec<PathBuf> =
        (2090..2094).map(|year| directory.join(format!("chat-{year}0101T000000Z.db"))).collect();
    for path in &future {
        fs::copy(directory.join("chat-20260601T120000Z.db"), path).unwrap();
    }
    service.clock.advance_ms(HOUR_MS / 2);
    service.restart_stopped();
    let next = Some(noon().plus_ms(HOUR_MS));
    let found = await_backup(&service, "the next one", |status| status.next_at == next);
    assert_eq!(found.last_success_at, Some(noon()), "a date in the future is not the last one");
    assert_eq!(found.future_files, 4);
    let wrong = problems(&service);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("4 backups are dated in the future, the latest is "), "{wrong:?}");
    assert!(wrong[0].contains("chat-20930101T000000Z.db"), "{wrong:?}");
    for hour in 1..=3 {
        service.clock.advance_ms(HOUR_MS);
        let due = Some(noon().plus_ms(HOUR_MS / 2 + hour * HOUR_MS));
        await_backup(&service, "another", |status| status.last_success_at == due);
        let before = if hour == 1 { "120000" } else { &format!("1{}3000", hour + 1) };
        let before = directory.join(format!("chat-20260601T{before}Z.db"));
        assert!(before.exists(), "the newest two are kept: {before:?}");
    }
    assert!(!directory.join("chat-20260601T120000Z.db").exists());
    assert!(future.iter().all(|path| path.exists()));
    for path in &future {
        fs::remove_file(path).unwrap();
    }
    service.clock.advance_ms(60_000);
    await_backup(&service, "no more of them", |status| status.future_files == 0);
    assert_eq!(problems(&service), [""; 0]);
}

#[test]
fn backups_of_this_run_are_rotated_whatever_the_clock_does() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    let service = TestService::start_with(noon(), |config| hourly(config, directory));
    await_backup(&service, "the first", |status| status.last_success_at == Some(noon()));
    // The dates of these are not trusted yet.
    service.clock.jump_ms(40 * 24 * HOUR_MS);
    for _ in 0..3 {
        service.clock.advance_ms(HOUR_MS);
        let now = Some(service.now());
        await_backup(&service, "another", |status| status.last_success_at == now);
    }
    let kept = names(directory);
    assert_eq!(kept.len(), 4, "two backups with their keys: {kept:?}");
    assert!(kept.iter().all(|name| name.starts_with("chat-20260711T1")), "{kept:?}");
}

#[test]
fn a_file_beside_a_backup_that_is_not_its_key_stays() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    let service = TestService::start_with(noon(), |config| {
        hourly(config, directory);
        config.backup.keep = 1;
        config.backup.with_key = false;
    });
    let key = |time: &str| directory.join(format!("chat-20260601T{time}0000Z.db.key"));
    let another = format!("{}\n", "7".repeat(64));
    let own = fs::read(service.config.store.path.with_extension("db.key")).unwrap();
    for (hour, content) in [b"notes".as_slice(), another.as_bytes(), &own].into_iter().enumerate() {
        let due = noon().plus_ms(i64::try_from(hour).unwrap() * HOUR_MS);
        await_backup(&service, "one", |status| status.last_success_at == Some(due));
        fs::write(key(&format!("{}", 12 + hour)), content).unwrap();
        service.clock.advance_ms(HOUR_MS);
    }
    let last = noon().plus_ms(3 * HOUR_MS);
    await_backup(&service, "the last", |status| status.last_success_at == Some(last));
    assert_eq!(
        names(directory),
        [
            "chat-20260601T120000Z.db.key",
            "chat-20260601T130000Z.db.key",
            "chat-20260601T150000Z.db"
        ]
    );
    assert_eq!(fs::read_to_string(key("12")).unwrap(), "notes");
    assert_eq!(problems(&service), [""; 0]);
}

#[test]
fn a_time_of_day_is_kept_in_the_configured_zone() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    let service = TestService::start_with(noon(), |config| {
        hourly(config, directory);
        config.time_zone = "Europe/Warsaw".parse().unwrap();
        config.backup.at = Some(3 * 60 + 30);
    });
    let due = Some(at("2026-06-02T01:30:00Z"));
    await_backup(&service, "half past three", |status| status.next_at == due);
    assert_eq!(names(directory), [""; 0], "not before");
    service.clock.advance_ms(13 * HOUR_MS + HOUR_MS / 2);
    await_backup(&service, "the backup", |status| status.last_success_at == due);
}

#[test]
fn the_end_of_the_service_does_not_wait_for_a_backup_and_leaves_nothing_of_it() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    let mut service = TestService::start_with(noon(), |config| {
        hourly(config, directory);
        config.backup.at = Some(13 * 60);
        // Half an hour for a file of this size.
        config.backup.max_bytes_per_s = Some(1_000);
    });
    let mut rng = StdRng::seed_from_u64(2);
    let range = TimeRange::new(noon().plus_ms(-HOUR_MS), noon());
    let records: Vec<_> = (0..5_000).map(|_| random_record(&mut rng, range)).collect();
    service.send(&records);
    service.clock.advance_ms(HOUR_MS);
    for _ in 0..3_000 {
        if names(directory).iter().any(|name| name.ends_with(".partial")) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(service.status().unwrap().backup.unwrap().is_running);
    service.stop();
    assert_eq!(names(directory), [""; 0]);
}

#[test]
fn status_and_metrics_say_how_backups_are_doing() {
    let quiet = TestServer::start();
    assert_eq!(quiet.get("/api/status").json()["backup"], serde_json::Value::Null);
    let text = String::from_utf8(quiet.get("/metrics").body).unwrap();
    assert!(!text.contains("chatgauge_backup_"), "{text}");

    let place = tempfile::tempdir().unwrap();
    let directory = place.path().to_owned();
    let server = TestServer::with(|config| hourly(config, &directory));
    let made = await_backup(&server.service, "one", |status| status.last_success_at.is_some());
    let status = server.get("/api/status").json();
    let at = made.last_success_at.unwrap();
    assert_eq!(status["backup"]["last_success_at"], at.to_string());
    assert_eq!(status["backup"]["failures_total"], 0);
    let file = status["backup"]["last_file"].as_str().unwrap();
    let bytes = fs::metadata(file).unwrap().len();
    assert_eq!(status["backup"]["last_bytes"], bytes);
    let text = String::from_utf8(server.get("/metrics").body).unwrap();
    let value = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let stamp = value("chatgauge_backup_last_success_timestamp_seconds");
    assert!((stamp * 1_000.0 - at.as_unix_ms() as f64).abs() < 1.0, "{stamp}");
    assert!(value("chatgauge_backup_last_duration_seconds") > 0.0);
    assert!((value("chatgauge_backup_last_size_bytes") - bytes as f64).abs() < 0.5);
    assert!(value("chatgauge_backup_failures_total").abs() < 0.5);
}
