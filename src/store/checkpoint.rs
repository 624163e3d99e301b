//! Moving the write-ahead log into the database file beside the writer, so that no sender waits for it.

use std::sync::Arc;

use rusqlite::Connection;

use super::error::storage;
use super::health::StoreHealth;
use super::open::Store;
use super::writer::{WriteGate, Writer};
use crate::error::Result;

/// Pages of the log that are worth moving: 4 MiB, SQLite's own threshold.
const DUE_PAGES: i64 = 1_000;
/// Pages at which the writer moves the log itself, when it writes faster than it is moved beside it: 32 MiB.
const LIMIT_PAGES: i64 = 8_192;
/// Pages that the writer may move without keeping senders waiting.
const FEW_PAGES: i64 = 250;
/// Attempts to leave it no more than that, after which the next look is soon enough.
const ROUNDS: usize = 4;

/// What failed, in an error.
pub(super) const CHECKPOINT: &str = "WAL checkpoint";

/// A connection that does nothing but move the log.
#[derive(Debug)]
pub struct Checkpointer {
    // Closed before the store, which holds the file.
    connection: Connection,
    health: Arc<StoreHealth>,
    store: Store,
}

impl Checkpointer {
    /// A second connection for `writer`, which from now on leaves the log to it.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn new(store: &Store, writer: &mut Writer) -> Result<Self> {
        let connection = store.open_for_checkpoints()?;
        writer.leave_checkpoints_until(LIMIT_PAGES);
        let health = Arc::clone(writer.health());
        Ok(Self { connection, health, store: store.clone() })
    }

    /// Moves the log when it has grown, and lets the writer move the few pages that came meanwhile: only a log that
    /// is moved to its end begins anew.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn run(&self, gate: &dyn WriteGate) -> Result<()> {
        // First: a complete checkpoint would give a file that was cut its size back, with nothing in it.
        self.store.look_for_cut(&self.connection);
        let left = self.pages_left("noop")?;
        if left < DUE_PAGES {
            self.store.tell_log_pages_left(left);
            return Ok(());
        }
        // On a slow disk this takes long, and what comes meanwhile makes it longer.
        self.store.tell_log_pages_left(i64::MAX);
        let moved = self.move_log(gate);
        self.store.look_for_cut(&self.connection);
        // Whoever waits for the log goes on now; where it cannot be looked at, the next look tells why.
        self.store.tell_log_pages_left(self.pages_left("noop").unwrap_or(0));
        moved
    }

    fn move_log(&self, gate: &dyn WriteGate) -> Result<()> {
        for _ in 0..ROUNDS {
            self.pages_left("passive")?;
            if gate.write(|writer| writer.checkpoint(FEW_PAGES))? {
                break;
            }
        }
        Ok(())
    }

    /// Pages of the log that are not moved, after a checkpoint of the mode.
    fn pages_left(&self, mode: &str) -> Result<i64> {
        self.health.is_whole(CHECKPOINT)?;
        self.health.note_checkpoint(checkpoint(&self.connection, mode))
    }
}

/// Checkpoints in the mode; gives the pages of the log that are not moved, of those that it found.
pub(super) fn checkpoint(connection: &Connection, mode: &str) -> Result<i64> {
    let mut left = 0;
    connection
        .pragma_update_and_check(None, "wal_checkpoint", mode, |row| {
            let (log, moved): (i64, i64) = (row.get(1)?, row.get(2)?);
            left = log - moved;
            Ok(())
        })
        .map_err(storage(CHECKPOINT))?;
    Ok(left)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::SystemClock;
    use crate::generate::Workload;
    use crate::model::{RequestRecord, TimeRange, Timestamp};
    use crate::store::WriteJob;

    /// Runs jobs at once; after the first one records come in, as many as `records` holds.
    struct Writing {
        writer: Mutex<Writer>,
        records: Mutex<Vec<RequestRecord>>,
    }

    impl Writing {
        fn append_all(&self) {
            let records = std::mem::take(&mut *self.records.lock().unwrap());
            if records.is_empty() {
                return;
            }
            let now = Timestamp::from_unix_ms(0);
            self.writer.lock().unwrap().append(&[&records], now).unwrap();
        }
    }

    impl WriteGate for Writing {
        fn hand_over(&self, job: WriteJob) -> Result<()> {
            job(&mut self.writer.lock().unwrap(), &SystemClock::new());
            self.append_all();
            Ok(())
        }
    }

    fn records(seed: u64) -> Vec<RequestRecord> {
        let range = TimeRange::from_unix_ms(0, 86_400_000);
        Workload::new(seed, range, 40_000).records().collect()
    }

    #[test]
    fn what_is_left_of_the_log_is_told_also_when_records_keep_coming() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = crate::Config::default().store;
        config.path = directory.path().join("chat.db");
        let (store, mut writer) = Store::open(&config).unwrap();
        let checkpointer = Checkpointer::new(&store, &mut writer).unwrap();
        let gate = Writing { writer: Mutex::new(writer), records: Mutex::new(records(1)) };
        gate.append_all();
        assert!(checkpointer.pages_left("noop").unwrap() >= DUE_PAGES);
        *gate.records.lock().unwrap() = records(2);
        checkpointer.run(&gate).unwrap();
        let left = checkpointer.pages_left("noop").unwrap();
        assert!(left >= DUE_PAGES, "what came after the log was moved: {left}");
        assert_eq!(store.log_pages_left(), left);
        checkpointer.run(&gate).unwrap();
        assert_eq!(store.log_pages_left(), 0);
    }
}
