//! The server's clock, stored with transactions that the writer commits anyway.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Transaction;

use crate::model::{Timestamp, TrustedClock};

/// Minimum time between two stored readings, so that a thousand commits a second do not each write one more page.
const INTERVAL: Duration = Duration::from_secs(1);

/// The clock that the writer stores, and the time of the last stored reading.
#[derive(Debug, Default)]
pub(super) struct StoredClock {
    pub(super) clock: Option<Arc<TrustedClock>>,
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
        let mut update = transaction.prepare_cached("update _store_state set clock_ms = ?1")?;
        update.execute([self.at]).map(drop)
    }
}

impl StoredClock {
    /// The reading to store now; `None` when the last one is younger than `age`, or there is no clock.
    pub(super) fn due_after(&self, age: Duration) -> Option<ClockToStore> {
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

    /// The time noted for an arrival at `now`: never before an earlier event, even if the wall clock was set back.
    pub(super) fn seen_at(&self, now: Timestamp) -> Timestamp {
        self.clock.as_ref().map_or(now, |clock| clock.read().latest.max(now))
    }
}
