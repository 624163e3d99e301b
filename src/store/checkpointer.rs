//! Checkpoints of the write-ahead log beside the writer, so that no sender waits for them.

use std::sync::Arc;

use rusqlite::Connection;

use super::checkpoint::{CHECKPOINT, checkpoint};
use super::health::StoreHealth;
use super::open::Store;
use super::writer::{WriteGate, Writer};
use crate::error::Result;

/// Backlog, in pages, from which the log is checkpointed: 4 MiB, SQLite's own threshold.
const DUE_PAGES: i64 = 1_000;
/// Length of the log, in pages, from which the writer checkpoints too, because it writes faster than this connection
/// copies: 32 MiB.
const LIMIT_PAGES: i64 = 8_192;
/// Backlog, in pages, that the writer may copy without delaying senders noticeably.
const FEW_PAGES: i64 = 250;
/// Attempts to reduce the backlog to [`FEW_PAGES`] in one run; the next run continues.
const ROUNDS: usize = 4;

/// A connection that does nothing but checkpoints.
#[derive(Debug)]
pub struct Checkpointer {
    // Closed before the store, which holds the file.
    connection: Connection,
    health: Arc<StoreHealth>,
    store: Store,
}

impl Checkpointer {
    /// A second connection for `writer`, which leaves checkpoints to it from then on.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn new(store: &Store, writer: &mut Writer) -> Result<Self> {
        let connection = store.open_for_checkpoints()?;
        writer.checkpoint_pages = LIMIT_PAGES;
        let health = Arc::clone(&writer.health);
        Ok(Self { connection, health, store: store.clone() })
    }

    /// Checkpoints the log when it has grown, and lets the writer checkpoint the few pages that were added meanwhile:
    /// SQLite restarts the log only after a complete checkpoint.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn run(&self, gate: &dyn WriteGate) -> Result<()> {
        // First, because a complete checkpoint would fill a truncated file up with zeros.
        self.store.look_for_cut(&self.connection);
        let left = self.backlog_after("noop")?;
        if left < DUE_PAGES {
            self.store.set_wal_backlog_pages(left);
            return Ok(());
        }
        // On a slow disk this takes long, and new commits make it longer.
        self.store.set_wal_backlog_pages(i64::MAX);
        let outcome = self.checkpoint(gate);
        self.store.look_for_cut(&self.connection);
        // Wakes those who wait for the backlog; if it is unknown, the next run reports the error.
        self.store.set_wal_backlog_pages(self.backlog_after("noop").unwrap_or(0));
        outcome
    }

    fn checkpoint(&self, gate: &dyn WriteGate) -> Result<()> {
        for _ in 0..ROUNDS {
            self.backlog_after("passive")?;
            if gate.write(|writer| writer.checkpoint(FEW_PAGES))? {
                break;
            }
        }
        Ok(())
    }

    /// The backlog in pages, after a checkpoint in the mode.
    fn backlog_after(&self, mode: &str) -> Result<i64> {
        self.health.is_whole(CHECKPOINT)?;
        let pages = self.health.note_checkpoint(checkpoint(&self.connection, mode))?;
        Ok(pages.backlog)
    }
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
        assert!(checkpointer.backlog_after("noop").unwrap() >= DUE_PAGES);
        *gate.records.lock().unwrap() = records(2);
        checkpointer.run(&gate).unwrap();
        let left = checkpointer.backlog_after("noop").unwrap();
        assert!(left >= DUE_PAGES, "what came after the log was moved: {left}");
        assert_eq!(store.wal_backlog_pages(), left);
        checkpointer.run(&gate).unwrap();
        assert_eq!(store.wal_backlog_pages(), 0);
    }

    #[test]
    fn the_log_restarts_although_a_commit_follows_every_checkpoint() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = crate::Config::default().store;
        config.path = directory.path().join("chat.db");
        let (store, mut writer) = Store::open(&config).unwrap();
        let checkpointer = Checkpointer::new(&store, &mut writer).unwrap();
        writer.checkpoint_pages = 500;
        let all = records(1);
        let mut append =
            |batch| writer.append(&[batch], Timestamp::from_unix_ms(0)).map(|_| ()).unwrap();
        for pair in all.chunks(2_000) {
            let (before, after) = pair.split_at(1_000);
            append(before);
            // The snapshot keeps the checkpoint from copying the second commit.
            let left = store.read(|reader| {
                reader.last_seq()?;
                append(after);
                checkpointer.backlog_after("passive")
            });
            assert!(left.unwrap() > 0);
        }
        let pages = checkpoint(&checkpointer.connection, "noop").unwrap();
        assert!(pages.log < 2_000, "{pages:?}");
    }
}
