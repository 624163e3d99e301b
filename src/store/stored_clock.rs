//! The server's clock, stored with what the writer commits anyway.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Transaction;

use super::error::storage;
use super::state::put_clock;
use super::writer::Writer;
use crate::error::Result;
use crate::model::{Timestamp, TrustedClock};

/// The clock is stored at most once in this time, so that a thousand commits a second do not each write one more page.
const INTERVAL: Duration = Duration::from_secs(1);

/// The clock that the writer stores, and when it did last.
#[derive(Debug, Default)]
pub(super) struct StoredClock {
    clock: Option<Arc<TrustedClock>>,
    /// In monotonic microseconds.
    stored_us: Option<u64>,
}

/// A reading that goes with a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockToStore {
    at: Timestamp,
    now_us: u64,
}

impl ClockToStore {
    /// Writes it as part of the transaction.
    pub(super) fn put(self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        put_clock(transaction, self.at)
    }
}

impl StoredClock {
    /// The reading to store now; `None` when the last one is younger than `age`, or there is no clock.
    fn due_after(&self, age: Duration) -> Option<ClockToStore> {
        let clock = self.clock.as_ref()?;
        let now_us = clock.monotonic_us();
        let age_us = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        if self.stored_us.is_some_and(|stored_us| now_us.saturating_sub(stored_us) < age_us) {
            return None;
        }
        // Never a reading that is not trusted: the next start begins with it.
        Some(ClockToStore { at: clock.read().trusted, now_us })
    }

    /// The reading to store with a transaction that is about to commit.
    pub(super) fn due(&self) -> Option<ClockToStore> {
        self.due_after(INTERVAL)
    }

    /// The transaction has committed.
    pub(super) const fn committed(&mut self, stored: Option<ClockToStore>) {
        if let Some(stored) = stored {
            self.stored_us = Some(stored.now_us);
        }
    }

    /// When something is seen that arrives at `now`: no earlier than anything that has happened, though the wall clock may be behind.
    pub(super) fn seen_at(&self, now: Timestamp) -> Timestamp {
        self.clock.as_ref().map_or(now, |clock| clock.read().latest.max(now))
    }
}

impl Writer {
    /// Stores `clock` from now on, with transactions, at most once a second.
    pub fn set_clock(&mut self, clock: Arc<TrustedClock>) {
        self.stored_clock_mut().clock = Some(clock);
    }

    /// Stores the clock unless that was done within `age`: without commits the stored one must not fall behind.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn keep_clock(&mut self, age: Duration) -> Result<()> {
        let Some(due) = self.stored_clock_mut().due_after(age) else { return Ok(()) };
        self.transaction(|transaction| due.put(transaction).map_err(storage("storing the clock")))?;
        self.stored_clock_mut().committed(Some(due));
        Ok(())
    }
}
