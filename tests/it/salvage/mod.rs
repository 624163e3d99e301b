//! A damaged file gives everything that is not on its damaged pages.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod losses;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use chatgauge::generate::Workload;
use chatgauge::model::{RequestRecord, TimeRange, Timestamp};
use chatgauge::query::Query;
use chatgauge::rollup::salvage;
use chatgauge::store::{SalvageReport, SalvageSource, Store, pruned_flag};
use chatgauge::{Chatgauge, Error};
use rand::rngs::StdRng;
use rand::seq::index::sample;
use rand::{Rng, RngExt, SeedableRng};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use crate::harness::store::{Pipeline, at, put_key, quiet_config, some_key};

const PAGE: usize = 4_096;
const REQUESTS: u64 = 40_000;
const TAIL: usize = 300;

fn ten_days() -> TimeRange {
    TimeRange::new(at("2026-03-01T00:00:00Z"), at("2026-03-11T00:00:00Z"))
}

fn records(seed: u64, count: u64, range: TimeRange) -> Vec<RequestRecord> {
    Workload { extras: true, ..Workload::new(seed, range, count) }.records().collect()
}

/// A closed file of ten days, the oldest without requests, the last requests not rolled up, and with free pages.
fn whole_file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let mut pipeline = Pipeline::new();
        let end = ten_days().end;
        for day in 0..10 {
            let start = ten_days().start.plus_ms(day * 86_400_000);
            let range = TimeRange::new(start, start.plus_ms(86_400_000));
            let seed = u64::try_from(day).unwrap();
            pipeline.append(&records(seed, REQUESTS / 10, range), range.end);
            pipeline.compact(range.end);
        }
        let last_day = TimeRange::new(end.plus_ms(-3_600_000), end);
        pipeline.append(&records(88, u64::try_from(TAIL).unwrap(), last_day), end);
        assert_eq!(pipeline.lag(), i64::try_from(TAIL).unwrap());
        let path = pipeline.config.store.path.clone();
        let connection = Connection::open(&path).unwrap();
        // As retention deletes, but the pages stay free.
        connection
            .execute_batch(
                "update _days set pruned = 1 where day_ms < 1772496000000;
                 delete from requests where started_at_ms < 1772496000000;
                 insert into _api_keys (key_id, name, secret_sha256, scopes, created_at_ms)
                     values ('k1', 'first', x'00ff', 'ingest read', 7);
                 insert into audit_log (at_ms, actor, action) values (1, 'admin', 'key.create');
                 update _store_state set clock_ms = 42, in_use = 0;",
            )
            .unwrap();
        let set = "update _store_state set pseudonym_key_check = ?1";
        connection.execute(set, [&some_key().1]).unwrap();
        connection.execute_batch("pragma wal_checkpoint(truncate)").unwrap();
        let free: i64 =
            connection.query_row("pragma freelist_count", [], |row| row.get(0)).unwrap();
        assert!(free > 10, "{free}");
        std::fs::read(path).unwrap()
    })
}

/// A damaged file in a directory of its own.
struct Damaged {
    directory: TempDir,
    bytes: Vec<u8>,
}

impl Damaged {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), bytes: whole_file().to_vec() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("damaged.db")
    }

    fn new_path(&self) -> PathBuf {
        self.directory.path().join("whole.db")
    }

    fn pages(&self) -> u32 {
        u32::try_from(self.bytes.len() / PAGE).unwrap()
    }

    /// Fills pages, which count from 1, with noise.
    fn spoil(&mut self, pages: impl IntoIterator<Item = u32>) {
        let mut rng = StdRng::seed_from_u64(11);
        for page in pages {
            let start = usize::try_from(page - 1).unwrap() * PAGE;
            rng.fill_bytes(&mut self.bytes[start..start + PAGE]);
        }
    }

    /// Writes the file, salvages it, and asserts that it stayed as it is.
    fn salvage(&self) -> SalvageReport {
        std::fs::write(self.path(), &self.bytes).unwrap();
        let report = self.try_salvage().unwrap();
        assert_eq!(std::fs::read(self.path()).unwrap(), self.bytes, "the damaged file was changed");
        let names: BTreeSet<_> = std::fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, BTreeSet::from(["damaged.db".to_owned(), "whole.db".to_owned()]));
        report
    }

    fn try_salvage(&self) -> Result<SalvageReport, Error> {
        let config = quiet_config(&self.new_path()).store;
        let source = SalvageSource::beside(&self.path());
        salvage(&source, &self.new_path(), &config, now(), &mut |_, _, _| {})
    }

    fn rows(&self, table: &str) -> BTreeSet<String> {
        rows(&self.new_path(), table)
    }

    /// Requests of the new file, asserting that it has nothing but what the whole file has, and what it should.
    fn assert_has_requests(&self, expected: &BTreeMap<i64, String>) -> usize {
        let whole = requests(whole_path());
        let found = requests(&self.new_path());
        for (seq, row) in &found {
            assert_eq!(Some(row), whole.get(seq), "request {seq}");
        }
        let kept = expected.keys().filter(|seq| found.contains_key(seq)).count();
        assert!(kept * 100 >= expected.len() * 99, "{kept} of {}", expected.len());
        self.assert_works(found.len());
        kept
    }

    /// The new file passes SQLite's check and this program's, and can be served.
    fn assert_works(&self, requests: usize) {
        let connection = Connection::open(self.new_path()).unwrap();
        let check: String =
            connection.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        drop(connection);
        put_key(&self.new_path());
        let service = Chatgauge::open(quiet_config(&self.new_path())).unwrap();
        service.compact().unwrap();
        let kept = TimeRange::new(at("2026-03-03T00:00:00Z"), ten_days().end);
        let counted = service.engine().query(&Query::total(kept)).unwrap().into_total().requests();
        assert!(usize::try_from(counted).unwrap() >= requests, "{counted} of {requests}");
        let found = chatgauge::rollup::check(service.store(), &mut |_, _| {}).unwrap();
        assert_eq!(found.damage, Vec::<String>::new());
        // Of days without requests nothing can be recomputed.
        let days = service.store().read(|reader| reader.days()).unwrap();
        let pruned: Vec<String> = days
            .iter()
            .filter(|day| day.pruned & pruned_flag(None) != 0)
            .map(|day| Timestamp::from_unix_ms(day.day_ms).to_string())
            .collect();
        let is_pruned = |line: &String| pruned.iter().any(|day| line.contains(day));
        assert!(found.mismatches.iter().all(is_pruned), "{:?}", found.mismatches);
        service.shutdown().unwrap();
    }
}

fn now() -> Timestamp {
    at("2026-03-12T00:00:00Z")
}

/// The whole file, for SQLite to look at.
fn whole_path() -> &'static Path {
    static PLACE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = PLACE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("whole.db");
        std::fs::write(&path, whole_file()).unwrap();
        (directory, path)
    });
    path
}

fn text_of(row: &rusqlite::Row<'_>) -> String {
    let columns = row.as_ref().column_count();
    let values: Vec<Value> = (0..columns).map(|column| row.get(column).unwrap()).collect();
    format!("{values:?}")
}

fn rows(path: &Path, table: &str) -> BTreeSet<String> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare(&format!("select * from {table}")).unwrap();
    statement.query_map([], |row| Ok(text_of(row))).unwrap().map(Result::unwrap).collect()
}

fn requests(path: &Path) -> BTreeMap<i64, String> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare("select * from requests").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, text_of(row)))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Pages of one kind of a table or an index, in the order of its rows, with how many rows each has.
fn pages_of(name: &str, kind: &str) -> Vec<(u32, u32)> {
    let connection = Connection::open(whole_path()).unwrap();
    let mut statement = connection
        .prepare("select pageno, ncell from dbstat where name = ?1 and pagetype = ?2 order by path")
        .unwrap();
    let rows = statement.query_map([name, kind], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The requests that are not on these pages.
fn requests_beside(damaged: &BTreeSet<u32>) -> BTreeMap<i64, String> {
    let mut rows = requests(whole_path()).into_iter();
    let mut kept = BTreeMap::new();
    for (page, cells) in pages_of("requests", "leaf") {
        let on_page = rows.by_ref().take(usize::try_from(cells).unwrap());
        if damaged.contains(&page) {
            on_page.for_each(drop);
        } else {
            kept.extend(on_page);
        }
    }
    assert_eq!(rows.count(), 0, "every request is on a page");
    kept
}

const TABLES: [&str; 15] = [
    "requests",
    "users",
    "spaces",
    "models",
    "labels",
    "_api_keys",
    "audit_log",
    "_undated_ids",
    "_days",
    "_rollup_state",
    "_rollup_all",
    "_rollup_space_user",
    "_rollup_space_model",
    "_sketch_space",
    "_sketch_model",
];

#[test]
fn a_file_that_is_whole_comes_through_unchanged() {
    let damaged = Damaged::new();
    let report = damaged.salvage();
    assert!(!report.has_losses(), "{report:?}");
    assert_eq!((report.requests_lost(), report.pages_missing), (Some(0), Some(0)));
    assert_eq!((report.days_recomputed, report.days_copied), (8, 2));
    for table in TABLES {
        assert!(damaged.rows(table) == rows(whole_path(), table), "{table} differs");
    }
    let state = |path: &Path| -> (Vec<u8>, i64, Vec<u8>, i64) {
        let sql = "select store_id, clock_ms, pseudonym_key_check,
                       (select seq from sqlite_sequence where name = 'requests') from _store_state";
        let read =
            |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        Connection::open(path).unwrap().query_row(sql, [], read).unwrap()
    };
    let (old, new) = (state(whole_path()), state(&damaged.new_path()));
    assert_ne!(old.0, new.0, "another file: a write-ahead log of the old one is not its own");
    assert_eq!((old.1, old.2, old.3), (new.1, new.2, new.3));
    damaged.assert_has_requests(&requests_beside(&BTreeSet::new()));
}

#[test]
fn fifty_damaged_pages_cost_the_rows_on_them_and_no_others() {
    for seed in 1..=6 {
        let mut damaged = Damaged::new();
        let mut rng = StdRng::seed_from_u64(seed);
        let pages = usize::try_from(damaged.pages()).unwrap();
        let spoilt: BTreeSet<u32> = sample(&mut rng, pages, 50)
            .into_iter()
            .map(|page| u32::try_from(page).unwrap() + 1)
            .collect();
        damaged.spoil(spoilt.iter().copied());
        let report = damaged.salvage();
        let expected = requests_beside(&spoilt);
        let kept = damaged.assert_has_requests(&expected);
        assert_eq!(kept, expected.len(), "seed {seed}");
        assert!(report.has_losses());
        let is_known = ["_days", "_rollup_state", "sqlite_sequence"]
            .iter()
            .flat_map(|table| pages_of(table, "leaf"))
            .all(|(page, _)| !spoilt.contains(&page));
        if is_known {
            let lost = requests(whole_path()).len() - expected.len();
            let lost = u64::try_from(lost).unwrap();
            assert_eq!(report.requests_lost(), Some(lost), "seed {seed}: {report:?}");
        }
    }
}

#[test]
fn without_its_schema_a_file_is_read_by_the_places_of_its_tables() {
    let mut damaged = Damaged::new();
    let schema = pages_of("sqlite_schema", "leaf");
    let roots = pages_of("sqlite_schema", "internal");
    assert!(schema.len() > 1 && roots == [(1, roots[0].1)], "{schema:?} {roots:?}");
    damaged.spoil(schema.into_iter().chain(roots).map(|(page, _)| page));
    damaged.salvage();
    for table in TABLES {
        assert!(damaged.rows(table) == rows(whole_path(), table), "{table} differs");
    }
    damaged.assert_has_requests(&requests_beside(&BTreeSet::new()));
}

#[test]
fn a_damaged_first_page_costs_nothing() {
    let mut damaged = Damaged::new();
    damaged.spoil([1]);
    damaged.salvage();
    for table in TABLES {
        assert!(damaged.rows(table) == rows(whole_path(), table), "{table} differs");
    }
}

#[test]
fn what_is_below_damaged_interior_pages_is_found() {
    let mut damaged = Damaged::new();
    let interior = ["requests", "_rollup_space_user", "users", "requests__started_at_ms"]
        .into_iter()
        .flat_map(|name| pages_of(name, "internal"));
    damaged.spoil(interior.map(|(page, _)| page));
    let report = damaged.salvage();
    let requests = report.tables.iter().find(|table| table.name == "requests").unwrap();
    assert!(requests.damaged_pages > 0 && report.requests_lost() == Some(0), "{report:?}");
    let kept = damaged.assert_has_requests(&requests_beside(&BTreeSet::new()));
    assert_eq!(kept, requests_beside(&BTreeSet::new()).len());
}

#[test]
fn a_damaged_pointer_map_and_free_list_bring_nothing_back_that_was_deleted() {
    let mut damaged = Damaged::new();
    let trunk = u32::from_be_bytes(damaged.bytes[32..36].try_into().unwrap());
    assert!(trunk > 1);
    damaged.bytes[32..36].fill(0xA5);
    let interior: Vec<u32> =
        pages_of("requests", "internal").into_iter().map(|(page, _)| page).collect();
    // The first page of the pointer map has the entries of the next 819 pages, the oldest days' among them.
    damaged.spoil([2, trunk].into_iter().chain(interior));
    damaged.salvage();
    damaged.assert_has_requests(&requests_beside(&BTreeSet::new()));
}

#[test]
fn a_file_that_was_cut_off_gives_what_is_left() {
    let mut damaged = Damaged::new();
    let pages = damaged.pages() * 7 / 10;
    damaged.bytes.truncate(usize::try_from(pages).unwrap() * PAGE + 100);
    let cut: BTreeSet<u32> = (pages + 1..=pages * 2).collect();
    let report = damaged.salvage();
    assert!(report.requests_lost().is_some_and(|lost| lost > 0), "{report:?}");
    let expected = requests_beside(&cut);
    assert_eq!(damaged.assert_has_requests(&expected), expected.len());
}

#[test]
fn names_come_from_their_index_or_are_said_to_be_lost() {
    let leaves = |name: &str| pages_of(name, "leaf").into_iter().map(|(page, _)| page);
    let mut damaged = Damaged::new();
    damaged.spoil(leaves("users"));
    let report = damaged.salvage();
    assert_eq!(report.lost_names, []);
    assert!(damaged.rows("users") == rows(whole_path(), "users"));

    let mut damaged = Damaged::new();
    damaged.spoil(leaves("users").chain(leaves("sqlite_autoindex_users_1")));
    let report = damaged.salvage();
    let names = damaged.rows("users");
    let lost = names.iter().filter(|name| name.contains("(lost ")).count();
    assert!(lost > 0);
    assert_eq!(report.lost_names, [("users", u64::try_from(lost).unwrap())]);
    damaged.assert_has_requests(&requests_beside(&BTreeSet::new()));
}

#[test]
fn rollups_of_days_without_requests_are_copied_also_where_days_are_lost() {
    let mut damaged = Damaged::new();
    damaged.spoil(pages_of("_days", "leaf").into_iter().map(|(page, _)| page));
    damaged.salvage();
    for table in ["requests", "_rollup_all", "_rollup_space", "_rollup_user", "_sketch_all"] {
        assert!(damaged.rows(table) == rows(whole_path(), table), "{table} differs");
    }
    let counts = |path: &Path| {
        let connection = Connection::open(path).unwrap();
        let mut statement =
            connection.prepare("select day_ms, requests, pruned from _days").unwrap();
        let rows = statement.query_map([], |row| Ok(text_of(row))).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(counts(&damaged.new_path()), counts(whole_path()));
}

#[test]
fn the_write_ahead_log_of_a_killed_server_is_read() {
    let mut pipeline = Pipeline::new();
    let end = ten_days().end;
    pipeline.append(&records(1, 2_000, ten_days()), end);
    pipeline.compact(end);
    let path = pipeline.config.store.path.clone();
    Connection::open(&path).unwrap().execute_batch("pragma wal_checkpoint(truncate)").unwrap();
    pipeline.append(&records(2, 1_000, ten_days()), end);
    pipeline.compact(end);
    let damaged =
        Damaged { directory: tempfile::tempdir().unwrap(), bytes: std::fs::read(&path).unwrap() };
    let wal = std::fs::read(path.with_extension("db-wal")).unwrap();
    let wal_path = damaged.path().with_extension("db-wal");
    std::fs::write(damaged.path(), &damaged.bytes).unwrap();
    // The end of a transaction that was not committed.
    std::fs::write(&wal_path, [&wal[..], &wal[32..5_000]].concat()).unwrap();
    let report = damaged.try_salvage().unwrap();
    assert!(report.wal_frames > 10 && !report.has_losses(), "{report:?}");
    assert!(requests(&damaged.new_path()) == requests(&path));
    assert!(damaged.rows("_rollup_all") == rows(&path, "_rollup_all"));
    assert_eq!(std::fs::read(damaged.path()).unwrap(), damaged.bytes);
    assert_eq!(std::fs::read(wal_path).unwrap().len(), wal.len() + 4_968);

    std::fs::remove_file(damaged.new_path()).unwrap();
    let source = SalvageSource { path: damaged.path(), wal_path: None };
    let config = quiet_config(&damaged.new_path()).store;
    salvage(&source, &damaged.new_path(), &config, now(), &mut |_, _, _| {}).unwrap();
    assert_eq!(requests(&damaged.new_path()).len(), 2_000);
}

#[test]
fn nothing_is_overwritten_and_a_running_server_keeps_its_file() {
    let damaged = Damaged::new();
    std::fs::write(damaged.path(), &damaged.bytes).unwrap();
    std::fs::write(damaged.new_path(), "mine").unwrap();
    let message = damaged.try_salvage().unwrap_err().to_string();
    assert!(message.contains("whole.db: exists already"), "{message}");
    std::fs::remove_file(damaged.new_path()).unwrap();

    let server = Store::open(&quiet_config(&damaged.path()).store).unwrap();
    let message = damaged.try_salvage().unwrap_err().to_string();
    assert!(message.contains("damaged.db: the file is locked"), "{message}");
    assert!(!damaged.new_path().exists());
    drop(server);

    // What a killed salvage left is removed.
    let partial = damaged.directory.path().join("whole.db.partial");
    std::fs::write(&partial, "half").unwrap();
    damaged.try_salvage().unwrap();
    assert!(damaged.new_path().exists() && !partial.exists());
}

#[test]
fn noise_is_told_from_a_file_that_has_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut rng = StdRng::seed_from_u64(3);
    let bytes: Vec<u8> = (0..PAGE * 300).map(|_| rng.random()).collect();
    let damaged = Damaged { directory, bytes };
    let report = damaged.salvage();
    assert!(
        report.tables.iter().any(|table| table.name == "requests" && table.rows == 0),
        "{report:?}"
    );
    assert!(report.has_losses());
}
