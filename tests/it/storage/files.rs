//! Files that cannot be used get a clear answer and stay as they are; a full disk loses nothing.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chatgauge::Chatgauge;
use chatgauge::model::{RequestRecord, TimeRange};
use chatgauge::query::Query;
use chatgauge::store::Store;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;

use crate::harness::child;
use crate::harness::store::{at, quiet_config};
use crate::oracle::random_record;

fn directory_and_path() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    (directory, path)
}

fn day() -> TimeRange {
    TimeRange::new(at("2026-03-01T00:00:00Z"), at("2026-03-02T00:00:00Z"))
}

fn records(seed: u64, count: usize) -> Vec<RequestRecord> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random_record(&mut rng, day())).collect()
}

/// A closed database with `count` requests, rolled up.
fn make_database(path: &Path, count: usize) {
    let service = Chatgauge::open(quiet_config(path)).unwrap();
    service.record(records(1, count)).unwrap();
    service.compact().unwrap();
    service.shutdown().unwrap();
}

/// Why the file cannot be opened, for writing and for reading only; the file stays as it is.
fn refusal(path: &Path) -> String {
    let before = std::fs::read(path).ok();
    let config = quiet_config(path).store;
    let message = Store::open(&config).unwrap_err().to_string();
    drop(Store::open_read_only(&config).unwrap_err());
    assert_eq!(std::fs::read(path).ok(), before, "the file was changed");
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    message
}

#[test]
fn a_file_that_is_no_database_is_refused_and_stays_as_it_is() {
    let (_directory, path) = directory_and_path();
    std::fs::write(&path, "started_at,model\n2026-03-01,gpt\n").unwrap();
    assert!(refusal(&path).contains("not a chatgauge file (it is no SQLite database)"));
}

#[test]
fn a_database_of_another_program_is_refused_and_stays_as_it_is() {
    let (_directory, path) = directory_and_path();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("create table notes (text); insert into notes values ('mine')").unwrap();
    other.close().unwrap();
    assert!(refusal(&path).contains("it is another program's SQLite database"));
    let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing is left beside it: {left:?}");
}

#[test]
fn the_log_is_moved_into_the_file_while_records_come_in() {
    let (_directory, path) = directory_and_path();
    let service = Chatgauge::open(quiet_config(&path)).unwrap();
    let mut sent = 0;
    // The writer itself leaves the log alone until it has 32 MiB.
    let moved_bytes = |service: &Chatgauge| service.store().file_sizes().database_bytes;
    for seed in 0..100 {
        sent += service.record(records(seed, 1_000)).unwrap().accepted;
        if moved_bytes(&service) > 2 << 20 {
            break;
        }
    }
    let sizes = service.store().file_sizes();
    assert!(sizes.database_bytes > 2 << 20, "{sizes:?}");
    assert!(sizes.wal_bytes < 32 << 20, "{sizes:?}");
    let stored = service.engine().query(&Query::total(day())).unwrap().into_total().requests();
    assert_eq!(usize::try_from(stored).unwrap(), sent);
    service.shutdown().unwrap();
}

#[test]
fn a_newer_database_is_refused_and_stays_as_it_is() {
    let (_directory, path) = directory_and_path();
    make_database(&path, 10);
    let connection = rusqlite::Connection::open(&path).unwrap();
    let newer = "insert into refinery_schema_history (version, name, applied_on, checksum)
                 values (9999, 'from_the_future', '2030-01-01T00:00:00Z', '1')";
    connection.execute(newer, []).unwrap();
    connection.close().unwrap();
    let message = refusal(&path);
    assert!(message.contains("newer than this program"), "{message}");
    assert!(message.contains("9999"), "{message}");
}

#[test]
fn a_database_in_use_is_not_opened_for_writing_twice() {
    let (_directory, path) = directory_and_path();
    let config = quiet_config(&path).store;
    let first = Store::open(&config).unwrap();
    let message = Store::open(&config).unwrap_err().to_string();
    assert!(message.contains("locked by another server"), "{message}");
    Store::open_read_only(&config).unwrap();
    drop(first);
    Store::open(&config).unwrap();
}

#[test]
fn a_missing_directory_is_named() {
    let (_directory, path) = directory_and_path();
    let path = path.with_file_name("missing").join("chat.db");
    assert!(refusal(&path).contains("missing does not exist; create it first"));
}

#[test]
fn a_missing_file_is_not_made_by_reading() {
    let (_directory, path) = directory_and_path();
    let message = Store::open_read_only(&quiet_config(&path).store).unwrap_err().to_string();
    assert!(message.contains("no such file"), "{message}");
    assert!(!path.exists());
}

#[test]
fn a_directory_is_no_database() {
    let (_directory, path) = directory_and_path();
    std::fs::create_dir(&path).unwrap();
    let message = refusal(&path);
    assert!(message.contains("directory"), "{message}");
}

#[test]
fn a_damaged_file_is_found_and_not_changed() {
    let (_directory, path) = directory_and_path();
    make_database(&path, 5_000);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 40_960].fill(0xA5);
    std::fs::write(&path, &bytes).unwrap();
    let store = Store::open_read_only(&quiet_config(&path).store).unwrap();
    let damage = store.read(|reader| reader.damage()).unwrap();
    assert!(!damage.is_empty());
    drop(store);
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "the file was changed");

    // The page of the schema: not even opening is possible.
    bytes[100..4_000].fill(0xA5);
    std::fs::write(&path, &bytes).unwrap();
    let message = refusal(&path);
    assert!(message.contains("damaged") && message.contains("chatgauge salvage"), "{message}");
}

#[test]
fn a_read_only_file_can_be_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let (directory, path) = directory_and_path();
    make_database(&path, 100);
    let set = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set(&path, 0o444);
    let store = Store::open_read_only(&quiet_config(&path).store).unwrap();
    assert_eq!(store.read(|reader| reader.last_seq()).unwrap(), 100);
    drop(store);
    set(&path, 0o644);
    drop(directory);
}

/// Tells a child which file to fill.
const DATABASE: &str = "CHATGAUGE_FULL_DATABASE";
const FILL_BATCH: usize = 500;

#[test]
#[ignore = "the process that the test below starts"]
fn child_that_fills_its_disk() {
    let service = Chatgauge::open(quiet_config(Path::new(&child::given(DATABASE)))).unwrap();
    let say = |line: String| writeln!(std::io::stdout(), "{line}").unwrap();
    let mut failed = 0;
    let mut stored = 0;
    for number in 0..400 {
        match service.record(records(number, FILL_BATCH)) {
            Ok(_) => {
                stored += 1;
                say(format!("stored {number}"));
            }
            Err(_) => failed += 1,
        }
        let total = service.engine().query(&Query::total(day())).unwrap().into_total().requests();
        assert_eq!(total, stored * i64::try_from(FILL_BATCH).unwrap());
        if failed == 3 {
            break;
        }
    }
    say(format!("failed {failed}"));
    drop(service.shutdown());
}

#[test]
fn a_full_disk_refuses_records_answers_questions_and_loses_nothing() {
    let (_directory, path) = directory_and_path();
    let name = "storage::files::child_that_fills_its_disk";
    // Files may not grow beyond 4 MiB: writing more fails as on a full disk.
    let child = Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(child::args(name))
        .env(DATABASE, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let lines: Vec<String> =
        BufReader::new(&output.stdout[..]).lines().map(Result::unwrap).collect();
    assert!(output.status.success(), "{lines:?}");
    assert!(lines.iter().any(|line| line == "failed 3"), "{lines:?}");
    let stored: Vec<u64> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("stored "))
        .map(|number| number.parse().unwrap())
        .collect();
    assert!(!stored.is_empty());

    // With room again: all that was acknowledged, once.
    let service = Chatgauge::open(quiet_config(&path)).unwrap();
    for number in &stored {
        let report = service.record(records(*number, FILL_BATCH)).unwrap();
        assert_eq!(report.accepted, 0, "batch {number} was lost");
    }
    service.compact().unwrap();
    let total = service.engine().query(&Query::total(day())).unwrap().into_total().requests();
    assert_eq!(total, i64::try_from(stored.len() * FILL_BATCH).unwrap());
    let found = chatgauge::rollup::check(service.store(), &mut |_, _| {}).unwrap();
    assert_eq!(found.mismatches, Vec::<String>::new());
    service.shutdown().unwrap();
}
