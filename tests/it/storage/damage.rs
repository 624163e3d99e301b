//! Damage is met, named with a remedy, worked around, and mended where it can be.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chatgauge::generate::Workload;
use chatgauge::model::{RequestRecord, TimeRange};
use chatgauge::query::Query;
use chatgauge::rollup::{CheckMode, CheckReport, RebuildReport, rebuild};
use chatgauge::service::check;
use chatgauge::store::{Store, Writer};
use chatgauge::{Chatgauge, Error};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::harness::store::{Pipeline, at, put_key, quiet_config};

const PAGE: usize = 4_096;

fn days(count: i64) -> TimeRange {
    let start = at("2026-03-01T00:00:00Z");
    TimeRange::new(start, start.plus_ms(count * 86_400_000))
}

fn records(seed: u64, count: u64, range: TimeRange) -> Vec<RequestRecord> {
    Workload { extras: true, ..Workload::new(seed, range, count) }.records().collect()
}

/// A closed file with rolled-up requests of six days, the oldest `pruned` of them without requests.
struct Place {
    _directory: TempDir,
    path: PathBuf,
}

impl Place {
    fn new(requests: u64, pruned: u32) -> Self {
        let mut pipeline = Pipeline::with(|config| config.retention.raw_days = 6 - pruned);
        for day in 0..6 {
            let range = TimeRange::new(days(day).end, days(day + 1).end);
            let seed = u64::try_from(day).unwrap();
            pipeline.append(&records(seed, requests / 6, range), range.end);
            pipeline.compact(range.end);
        }
        if pruned > 0 {
            pipeline.prune(days(6).end.plus_ms(3_600_000));
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat.db");
        let from = pipeline.config.store.path.clone();
        Connection::open(&from).unwrap().execute_batch("pragma wal_checkpoint(truncate)").unwrap();
        std::fs::copy(from, &path).unwrap();
        Self { _directory: directory, path }
    }

    fn connection(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    /// Pages of a table or an index of one kind, in the order of its rows, with how many each has.
    fn pages_of(&self, name: &str, kind: &str) -> Vec<(u32, i64)> {
        let connection = self.connection();
        let sql =
            "select pageno, ncell from dbstat where name = ?1 and pagetype = ?2 order by path";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([name, kind], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// A page in the middle of a table, and how many rows it has.
    fn middle_page(&self, name: &str) -> (u32, i64) {
        let pages = self.pages_of(name, "leaf");
        pages[pages.len() / 2]
    }

    /// Fills pages with noise.
    fn spoil(&self, pages: &[u32]) {
        let mut bytes = std::fs::read(&self.path).unwrap();
        let mut rng = StdRng::seed_from_u64(9);
        for page in pages {
            let start = usize::try_from(*page - 1).unwrap() * PAGE;
            rng.fill_bytes(&mut bytes[start..start + PAGE]);
        }
        std::fs::write(&self.path, bytes).unwrap();
    }

    fn open(&self) -> (Store, Writer) {
        Store::open(&quiet_config(&self.path).store).unwrap()
    }

    fn check(&self, mode: CheckMode) -> CheckReport {
        let mut config = quiet_config(&self.path).store;
        config.readers = 2;
        check(&Store::open_read_only(&config).unwrap(), mode, 2, &mut |_, _| {}).unwrap()
    }

    fn assert_well(&self) {
        for mode in [CheckMode::Quick, CheckMode::Full] {
            let report = self.check(mode);
            assert!(report.is_ok(), "{report:?}");
        }
    }

    fn rebuild(&self) -> RebuildReport {
        let (store, mut writer) = self.open();
        rebuild(&store, &mut writer, days(6).end, &mut |_, _| {}).unwrap()
    }

    fn rows(&self, table: &str) -> BTreeSet<String> {
        let connection = self.connection();
        let mut statement = connection.prepare(&format!("select * from {table}")).unwrap();
        let columns = statement.column_count();
        let text = |row: &rusqlite::Row<'_>| {
            let values: Vec<rusqlite::types::Value> =
                (0..columns).map(|column| row.get(column).unwrap()).collect();
            Ok(format!("{values:?}"))
        };
        statement.query_map([], text).unwrap().map(Result::unwrap).collect()
    }

    fn roots(&self) -> Vec<(String, u32)> {
        let connection = self.connection();
        let sql = "select name, rootpage from sqlite_schema where rootpage > 0 order by name";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

const ROLLUP_TABLES: [&str; 9] = [
    "_rollup_all",
    "_rollup_space",
    "_rollup_model",
    "_rollup_user",
    "_rollup_space_user",
    "_rollup_space_model",
    "_sketch_all",
    "_sketch_space",
    "_sketch_model",
];

fn assert_names_the_remedy(error: &Error, path: &Path) {
    let message = error.to_string();
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    assert!(message.contains("chatgauge salvage"), "{message}");
}

#[test]
fn a_server_starts_with_a_damaged_page_of_requests_and_says_what_it_meets() {
    let place = Place::new(6_000, 0);
    let (page, _) = place.middle_page("requests");
    place.spoil(&[page]);
    put_key(&place.path);
    let service = Chatgauge::open(quiet_config(&place.path)).unwrap();
    assert_eq!(service.store().damage_seen().last(), None);
    let now = service.now();
    let range = TimeRange::new(now.plus_ms(-60_000), now);
    assert_eq!(service.record(records(99, 50, range)).unwrap().accepted, 50);
    let error = service.store().read(|reader| reader.rows_after(0, u32::MAX, |_| {})).unwrap_err();
    assert!(error.is_damage());
    assert_names_the_remedy(&error, &place.path);
    let seen = service.store().damage_seen().last().unwrap();
    assert_eq!((seen.operation, seen.times), ("reading new requests", 1));
    assert!(seen.at.unwrap() >= now);
    // Rollups answer as before.
    let total = service.engine().query(&Query::total(days(6))).unwrap().into_total();
    assert_eq!(total.requests(), 6_000);
    service.shutdown().unwrap();
}

#[test]
fn names_that_cannot_be_read_refuse_the_start_with_the_remedy() {
    let place = Place::new(1_998, 0);
    let pages = ["models", "sqlite_autoindex_models_1"].map(|name| place.middle_page(name).0);
    place.spoil(&pages);
    let error = Store::open(&quiet_config(&place.path).store).unwrap_err();
    assert_names_the_remedy(&error, &place.path);
}

#[test]
fn a_rebuild_mends_damaged_pages_of_rollups_and_keeps_the_places_of_tables() {
    let place = Place::new(6_000, 2);
    let before: Vec<_> = ROLLUP_TABLES.iter().map(|table| place.rows(table)).collect();
    let roots = place.roots();
    let report = place.rebuild();
    assert_eq!((report.days, report.kept_days, report.is_vacuumed), (4, 2, false));
    assert_eq!((&report.lost, &report.corrected), (&Vec::new(), &Vec::new()));
    assert_eq!(place.roots(), roots);
    place.assert_well();
    for (table, rows) in ROLLUP_TABLES.iter().zip(&before) {
        assert!(place.rows(table) == *rows, "{table}");
    }

    // Rollups that are computed from requests which are there: nothing is lost.
    let kept_from = days(6).start.plus_ms(2 * 86_400_000).as_unix_ms();
    let later: Vec<u32> = {
        let connection = place.connection();
        let last: Vec<(u32, i64)> = place.pages_of("_rollup_space", "leaf");
        let sql = "select count(*) from _rollup_space where level_minutes = 15 and bucket_ms < ?1";
        let pruned: i64 = connection.query_row(sql, [kept_from], |row| row.get(0)).unwrap();
        let mut rows = 0;
        let beyond = last.into_iter().filter(|(_, cells)| {
            rows += cells;
            rows - cells > pruned + cells
        });
        beyond.take(2).map(|(page, _)| page).collect()
    };
    assert_eq!(later.len(), 2);
    place.spoil(&later);
    assert!(!place.check(CheckMode::Quick).is_ok());
    let report = place.rebuild();
    assert_eq!((report.days, report.is_vacuumed), (4, true), "{report:?}");
    assert_eq!(report.lost, Vec::<String>::new());
    place.assert_well();
    for (table, rows) in ROLLUP_TABLES.iter().zip(&before) {
        assert!(place.rows(table) == *rows, "{table}");
    }
}

#[test]
fn a_rebuild_keeps_what_can_be_read_of_pruned_days_and_says_what_is_lost() {
    let place = Place::new(6_000, 4);
    let before = place.rows("_rollup_space").len();
    // The first pages hold the quarter hours of the oldest days, whose requests are gone.
    let (page, cells) = place.pages_of("_rollup_space", "leaf")[1];
    place.spoil(&[page]);
    let report = place.rebuild();
    assert!(report.is_vacuumed, "{report:?}");
    assert!(report.lost.iter().all(|line| line.contains("_rollup_space 15 min")), "{report:?}");
    assert!(!report.lost.is_empty());
    let lost = i64::try_from(before - place.rows("_rollup_space").len()).unwrap();
    // Rows of interior pages lie beside their leaves.
    assert!(lost > 0 && lost <= cells + 1, "{lost} of {cells}");
    let quick = place.check(CheckMode::Quick);
    assert_eq!(quick.damage, Vec::<String>::new());
    assert!(quick.mismatches.iter().all(|line| line.contains("_rollup_space 15 min")), "{quick:?}");
}

#[test]
fn days_with_unreadable_requests_keep_their_rollups() {
    let place = Place::new(6_000, 0);
    let before = place.rows("_rollup_all");
    let (page, _) = place.middle_page("requests");
    place.spoil(&[page]);
    let report = place.rebuild();
    assert!((4..6).contains(&report.days), "{report:?}");
    assert!(report.lost.iter().all(|line| line.contains("chatgauge salvage")), "{report:?}");
    assert_eq!(report.days + report.lost.len(), 6);
    assert!(place.rows("_rollup_all") == before);
    let found = place.check(CheckMode::Full);
    assert!(!found.damage.is_empty() && !found.mismatches.is_empty(), "{found:?}");
}

#[test]
fn a_rebuild_corrects_days_that_are_wrong_or_missing() {
    let place = Place::new(3_000, 0);
    let before = place.rows("_days");
    place
        .connection()
        .execute_batch(
            "update _days set requests = requests + 3 where day_ms = (select min(day_ms) from _days);
             delete from _days where day_ms = (select max(day_ms) from _days);",
        )
        .unwrap();
    assert!(place.check(CheckMode::Full).mismatches.len() > 1);
    let report = place.rebuild();
    assert_eq!(report.corrected.len(), 2, "{report:?}");
    place.assert_well();
    assert_eq!(place.rows("_days").len(), before.len());
}

/// Lengths of the write-ahead log at which a transaction ended.
fn commits(log: &[u8]) -> Vec<usize> {
    let frame = 24 + PAGE;
    let is_last = |at: &usize| log[at + 4..at + 8] != [0; 4];
    let starts = (32..log.len()).step_by(frame).filter(|at| at + frame <= log.len());
    std::iter::once(32).chain(starts.filter(is_last).map(|at| at + frame)).collect()
}

#[test]
fn a_rebuild_that_is_killed_leaves_the_old_rollups_or_the_new_ones() {
    let place = Place::new(1_998, 2);
    place.connection().execute_batch("update _rollup_all set requests = requests + 1").unwrap();
    let (store, mut writer) = place.open();
    rebuild(&store, &mut writer, days(6).end, &mut |_, _| {}).unwrap();
    let (bytes, log) = {
        let wal = place.path.with_extension("db-wal");
        (std::fs::read(&place.path).unwrap(), std::fs::read(wal).unwrap())
    };
    drop((store, writer));
    let commits = commits(&log);
    assert!(commits.len() > 7, "{}", commits.len());
    let mut unfinished = 0;
    for length in commits {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat.db");
        std::fs::write(&path, &bytes).unwrap();
        std::fs::write(path.with_extension("db-wal"), &log[..length]).unwrap();
        let killed = Place { _directory: directory, path };
        let (store, writer) = killed.open();
        let left = store.read(|reader| reader.unfinished_rebuild()).unwrap();
        drop((store, writer));
        let found = killed.check(CheckMode::Full);
        assert_eq!(found.damage, Vec::<String>::new(), "{length}");
        assert!(left.is_empty() || !found.mismatches.is_empty(), "half of a rebuild is in use");
        let report = killed.rebuild();
        assert_eq!(report.had_unfinished, !left.is_empty());
        unfinished += i32::from(report.had_unfinished);
        let kept: Vec<_> = killed.check(CheckMode::Full).mismatches;
        // Nothing tells that the rollups of pruned days are wrong but the number of their requests.
        assert!(
            kept.iter().all(|line| line.contains("_rollup_all") && line.contains("days says")),
            "{kept:?}"
        );
        let names = killed.roots();
        assert!(names.iter().all(|(name, _)| !name.starts_with("rebuilt_")), "{names:?}");
    }
    assert!(unfinished >= 5, "{unfinished}");
}

#[test]
fn a_check_compares_requests_with_their_indexes() {
    let place = Place::new(1_998, 0);
    place.assert_well();
    let spoil = |index: &str, statement: &str| {
        let connection = place.connection();
        connection
            .execute_batch(&format!(
                "create temp table kept as select * from sqlite_schema where name = '{index}';
                 pragma writable_schema = on;
                 delete from sqlite_schema where name = '{index}';
                 pragma writable_schema = reset;
                 {statement};
                 pragma writable_schema = on;
                 insert into sqlite_schema select * from kept;
                 pragma writable_schema = reset;"
            ))
            .unwrap();
    };
    spoil(
        "requests__started_at_ms_user_id",
        "update requests set user_id = 3 where seq = 700 and user_id <> 3
          or seq = 701 and user_id <> 3",
    );
    let found = place.check(CheckMode::Full).mismatches;
    assert!(
        found.iter().any(|line| line.starts_with("requests__started_at_ms_user_id 2026")),
        "{found:?}"
    );
    spoil("requests__started_at_ms", "update requests set request_id = 'another' where seq = 500");
    let found = place.check(CheckMode::Full).mismatches;
    assert!(
        found.contains(&"requests__started_at_ms: its entry of request 500 differs".to_owned()),
        "{found:?}"
    );
    spoil("requests__started_at_ms", "delete from requests where seq = 900");
    let found = place.check(CheckMode::Full).mismatches;
    assert!(
        found
            .contains(&"requests__started_at_ms: names request 900, which is not there".to_owned()),
        "{found:?}"
    );
    let quick = place.check(CheckMode::Quick).mismatches;
    assert!(
        quick.iter().any(|line| line.contains("entries, but there are 1997 requests")),
        "{quick:?}"
    );
}

#[test]
fn requests_of_no_known_day_and_wrong_totals_are_found_quickly() {
    let place = Place::new(1_998, 0);
    place
        .connection()
        .execute_batch(
            "update _rollup_user set requests = requests + 1
                 where (bucket_ms, user_id) = (select bucket_ms, user_id from _rollup_user limit 1);
             delete from _days where day_ms = (select max(day_ms) from _days);",
        )
        .unwrap();
    let report = place.check(CheckMode::Quick);
    assert_eq!(report.damage, Vec::<String>::new());
    let has = |part: &str| report.mismatches.iter().any(|line| line.contains(part));
    assert!(has("_rollup_user 1440 min 2026-03-01"), "{report:?}");
    assert!(
        has("_days 2026-03-06T00:00:00") && has("missing, but _rollup_all has it"),
        "{report:?}"
    );
}
