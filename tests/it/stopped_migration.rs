//! A program that is stopped while it brings a file up to date goes on at its next start.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use chatgauge::store::{Store, schema_version};
use rusqlite::Connection;

use crate::store_harness::quiet_config;

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

#[test]
fn of_a_file_of_the_version_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    drop(Store::open(&quiet_config(&path).store).unwrap());
    let older = Connection::open(&path).unwrap();
    older
        .execute_batch(
            "drop table alert_outbox;
             create table alert_outbox (
                 id            text    primary key,
                 incident_id   text    not null,
                 channel       text    not null,
                 kind          text    not null,
                 created_at_ms integer not null,
                 not_before_ms integer not null,
                 attempts      integer not null,
                 last_status   integer,
                 last_error    text,
                 state         text    not null check (state in ('queued', 'sent', 'dead', 'superseded')),
                 payload       text    not null,
                 batch_id      text,
                 attempted_at_ms integer,
                 unique (incident_id, channel, kind, created_at_ms)
             ) strict, without rowid;
             create index alert_outbox__due on alert_outbox (channel, not_before_ms, created_at_ms, id)
                 where state = 'queued';
             create index alert_outbox__created_at_ms on alert_outbox (created_at_ms);
             create index alert_outbox__channel on alert_outbox (channel) where state = 'dead';
             insert into alert_outbox values
                 ('m1', 'i1', 'ops', 'firing', 1, 2, 3, 204, null, 'sent', '{}', 'b1', 4),
                 ('m2', 'i1', 'ops', 'resolved', 5, 6, 0, null, 'none', 'queued', '{}', null, null);
             alter table alert_instances drop column withheld_channels;
             delete from refinery_schema_history where version = 15;",
        )
        .unwrap();
    older.close().unwrap();
    let _reader = snapshot(&path);
    let (store, _writer) = Store::open(&quiet_config(&path).store).unwrap();
    assert!(Files::of(&path).open_after_each_commit() > 1);
    // What was written before is still there, to the last column.
    let messages = store.read(|reader| reader.messages_of("i1")).unwrap();
    let kept: Vec<_> = messages
        .iter()
        .map(|row| {
            (&*row.id, row.state.as_str(), row.attempts, row.last_status, row.batch_id.as_deref())
        })
        .collect();
    assert_eq!(kept, [("m1", "sent", 3, Some(204), Some("b1")), ("m2", "queued", 0, None, None)]);
    assert!(messages.iter().all(|row| row.revived_at.is_none()));
}
