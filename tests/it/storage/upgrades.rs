//! A program that is stopped while it creates a file goes on at its next start, and a file of an earlier version keeps
//! everything.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::path::Path;

use chatgauge::Chatgauge;
use chatgauge::generate::Workload;
use chatgauge::model::{RequestRecord, TimeRange};
use chatgauge::store::{Store, schema_version};
use flate2::Compression;
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::harness::store::{at, put_key, quiet_config};

/// A filled file of version 1 of the schema. The torture suite upgrades it too.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/schema/v1.db.gz");
/// Requests in it, the last of them after the watermark of the rollups.
const FIXTURE_REQUESTS: usize = 800;
const FIXTURE_UNROLLED: usize = 100;

/// Bytes before the first frame of the log, and before the page of each.
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Lengths of the log at which a transaction ended: a frame with the size of the file is the last of its transaction.
fn commits(log: &[u8]) -> Vec<usize> {
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let frame = FRAME_HEADER + usize::try_from(number(8)).unwrap();
    let starts = (LOG_HEADER..log.len()).step_by(frame).filter(|at| at + frame <= log.len());
    let lasts = starts.filter(|at| number(at + 4) > 0);
    std::iter::once(LOG_HEADER).chain(lasts.map(|at| at + frame)).collect()
}

/// A file and its log, as they are while the file is open.
struct Files {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Files {
    fn of(path: &Path) -> Self {
        let log = path.with_extension("db-wal");
        Self { database: std::fs::read(path).unwrap(), log: std::fs::read(log).unwrap() }
    }

    /// Opens what a stop after each transaction would have left.
    fn open_after_each_commit(&self) -> usize {
        let commits = commits(&self.log);
        for length in &commits {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("chat.db");
            std::fs::write(&path, &self.database).unwrap();
            std::fs::write(path.with_extension("db-wal"), &self.log[..*length]).unwrap();
            let opened = Store::open(&quiet_config(&path).store);
            let (store, _writer) = opened.unwrap_or_else(|error| panic!("{length}: {error}"));
            store.read(|reader| reader.last_seq()).unwrap();
            let version: u32 = Connection::open(&path)
                .unwrap()
                .query_row("select max(version) from refinery_schema_history", [], |row| row.get(0))
                .unwrap();
            assert_eq!(version, schema_version(), "{length}");
        }
        commits.len()
    }
}

/// Reads the file as it is now, so that no checkpoint moves the write-ahead log, and it has every transaction from here on.
fn snapshot(path: &Path) -> Connection {
    let reader = Connection::open(path).unwrap();
    reader.execute_batch("begin").unwrap();
    reader.query_row("select count(*) from sqlite_schema", [], |row| row.get::<_, i64>(0)).unwrap();
    reader
}

#[test]
fn of_a_new_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let new = Connection::open(&path).unwrap();
    new.execute_batch("pragma auto_vacuum = incremental; pragma journal_mode = wal;").unwrap();
    let _reader = snapshot(&path);
    let _open = Store::open(&quiet_config(&path).store).unwrap();
    let stops = Files::of(&path).open_after_each_commit();
    assert!(stops > usize::try_from(schema_version()).unwrap(), "{stops}");
}

/// What a person would miss of the filled file.
fn contents(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    [
        "select count(*) || ' ' || sum(prompt_tokens) || ' ' || min(request_id) from request_log",
        "select sum(requests) || ' ' || sum(total_tokens) || ' ' || sum(total_latency_sum_ms) from usage_daily",
        "select sum(p95_ms) from latency_daily_by_model",
        "select group_concat(rule_id || ' ' || state) from _alert_instances",
        "select group_concat(incident_id || ' ' || fired_at) from alert_history",
        "select group_concat(id || ' ' || state || ' ' || attempts) from _alert_outbox",
        "select group_concat(silence_id || ' ' || comment) from alert_silences",
        "select group_concat(key_id || ' ' || scopes) from _api_keys",
        "select group_concat(actor || ' ' || action) from audit_log",
    ]
    .map(|sql| {
        let value = connection.query_row(sql, [], |row| row.get::<_, Value>(0)).unwrap();
        assert_ne!(value, Value::Null, "the filled file lacks what `{sql}` reads");
        format!("{value:?}")
    })
    .to_vec()
}

fn unpack(path: &Path) {
    let mut bytes = Vec::new();
    let packed = std::fs::File::open(FIXTURE).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    std::fs::write(path, bytes).unwrap();
    put_key(path);
}

#[test]
fn a_filled_file_of_version_1_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    unpack(&path);
    let before = contents(&path);
    let (store, writer) = Store::open(&quiet_config(&path).store).unwrap();
    let report = chatgauge::rollup::check(&store, &mut |_, _| {}).unwrap();
    assert!(report.mismatches.is_empty(), "{report:?}");
    drop((store, writer));
    assert_eq!(contents(&path), before);
    let sql = "select (select max(version) from refinery_schema_history) || ' ' || count(*) from requests";
    let found: String =
        Connection::open(&path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(found, format!("{} {FIXTURE_REQUESTS}", schema_version()));
}

/// Fills a file with requests, some of them after the watermark, and with rows that only a running service would write.
fn fill(path: &Path) {
    let range = TimeRange::new(at("2026-11-01T00:00:00Z"), at("2026-11-08T00:00:00Z"));
    let records: Vec<RequestRecord> =
        Workload::new(1, range, u64::try_from(FIXTURE_REQUESTS).unwrap()).records().collect();
    put_key(path);
    let (rolled_up, rest) = records.split_at(FIXTURE_REQUESTS - FIXTURE_UNROLLED);
    let gauge = Chatgauge::open(quiet_config(path)).unwrap();
    for record in rolled_up {
        gauge.record(vec![record.clone()]).unwrap();
    }
    gauge.compact().unwrap();
    gauge.shutdown().unwrap();
    drop(gauge);
    let (store, mut writer) = Store::open(&quiet_config(path).store).unwrap();
    writer.append(&[rest], range.end).unwrap();
    drop((store, writer));
    Connection::open(path)
        .unwrap()
        .execute_batch(
            r#"insert into _alert_instances (rule_id, group_key, identity_hash, state, violations, clears,
                   incident_id, fired_at_ms, evaluated_at_ms, failed_evaluations, is_announced, transitions_ms)
               values ('errors', '{"space":"a"}', x'01', 'firing', 3, 0, 'i1', 1793577600000, 1793577600000, 0, 1, '[]');
               insert into alert_incidents (incident_id, rule_id, rule_name, group_key, metric, operator, threshold,
                   severity, message, fired_at_ms, value, samples, events, is_dry_run)
               values ('i1', 'errors', 'Errors', '{"space":"a"}', 'error_rate', '>', 5, 'warning', 'too many',
                   1793577600000, 7.5, 100, 8, 0);
               insert into alert_events (at_ms, incident_id, rule_id, group_key, from_state, to_state, reason, actor)
               values (1793577600000, 'i1', 'errors', '{"space":"a"}', 'pending', 'firing', 'violated', 'monitor');
               insert into _alert_outbox (id, incident_id, channel, kind, created_at_ms, not_before_ms, attempts,
                   last_status, state, payload)
               values ('m1', 'i1', 'log', 'firing', 1793577600000, 1793577600000, 1, 204, 'sent', '{}');
               insert into alert_silences
               values ('s1', 'error-*', '{}', 1793577600000, 1793581200000, 1793577600000, 'admin', 'maintenance');
               insert into _api_keys (key_id, name, secret_sha256, scopes, created_at_ms)
               values ('k1', 'app', zeroblob(32), 'ingest', 1793577600000);
               insert into audit_log (at_ms, actor, action) values (1793577600000, 'admin', 'key.create');"#,
        )
        .unwrap();
}

/// Writes the filled file of the present version: for a new version of the schema, under a new name.
#[test]
#[ignore = "writes a fixture"]
fn write_the_filled_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    fill(&path);
    let mut packed =
        flate2::write::GzEncoder::new(std::fs::File::create(FIXTURE).unwrap(), Compression::best());
    packed.write_all(&std::fs::read(&path).unwrap()).unwrap();
    packed.finish().unwrap();
}
