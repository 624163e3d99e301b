//! What the compactor merged beforehand is not written when something else wrote meanwhile.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Mutex;

use chatgauge::model::time::{DAY_MS, HOUR_MS};
use chatgauge::model::{Level, RequestRecord, TimeRange};
use chatgauge::rollup::Compactor;
use chatgauge::store::{Store, WriteGate, WriteJob, Writer};
use chatgauge::{Result, SystemClock};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::harness::store::{at, database_in, quiet_config};
use crate::oracle::random_record;

/// Deletes the minutes of a time before the next job, when it is told to.
struct Meddling {
    writer: Mutex<Writer>,
    pruned: Mutex<Option<TimeRange>>,
}

impl WriteGate for Meddling {
    fn hand_over(&self, job: WriteJob) -> Result<()> {
        let mut writer = self.writer.lock().unwrap();
        if let Some(part) = self.pruned.lock().unwrap().take() {
            writer.prune_level(part, Level::Minute).unwrap();
        }
        job(&mut writer, &SystemClock::new());
        Ok(())
    }
}

#[test]
fn what_is_deleted_between_reading_and_merging_stays_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let path = database_in(directory.path());
    let config = quiet_config(&path);
    let (store, writer) = Store::open(&config.store).unwrap();
    let gate = Meddling { writer: Mutex::new(writer), pruned: Mutex::default() };
    let mut compactor = Compactor::new(store, &config.compactor);
    let start = at("2026-03-01T10:00:00Z");
    let hour = TimeRange::new(start, start.plus_ms(HOUR_MS));
    let now = start.plus_ms(DAY_MS);
    let mut rng = StdRng::seed_from_u64(41);
    let mut arrive = |count| {
        let records: Vec<RequestRecord> =
            (0..count).map(|_| random_record(&mut rng, hour)).collect();
        gate.writer.lock().unwrap().append(&[&records], now).unwrap();
        compactor.run(&gate, now, &mut |_, _| true).unwrap();
    };
    let requests = |level: Level| -> i64 {
        let connection = rusqlite::Connection::open(&path).unwrap();
        let sql = "select sum(requests) from _rollup_all where level_minutes = ?1";
        connection.query_row(sql, [level.minutes()], |row| row.get(0)).unwrap()
    };
    arrive(300);
    arrive(200);
    assert_eq!(requests(Level::Minute), 500);
    *gate.pruned.lock().unwrap() = Some(hour);
    arrive(100);
    assert_eq!((requests(Level::Minute), requests(Level::Day)), (100, 600));
    arrive(50);
    assert_eq!((requests(Level::Minute), requests(Level::Day)), (150, 650));
}
