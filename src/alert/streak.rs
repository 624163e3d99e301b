//! How many errors in a row, as live monitoring and backtests both count them.

use crate::model::Timestamp;
use crate::model::time::QUARTER_HOUR_MS;

/// A request that arrives so long after its start says nothing about now.
pub(super) const FRESH_MS: i64 = QUARTER_HOUR_MS;

/// The instant before which a request that arrives at `now` is late.
pub(super) fn late_before(now: Timestamp) -> Timestamp {
    now.plus_ms(-FRESH_MS)
}

/// When a request counts as started that an evaluation at `seen` is the first to see, in Unix milliseconds: a sender
/// whose clock is ahead must not make what others send until then say nothing.
pub(super) fn counted_ms(started_ms: i64, seen: Timestamp) -> i64 {
    started_ms.min(seen.as_unix_ms())
}

/// Errors in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Streak {
    pub(super) failures: u64,
    /// Start of the latest success; what started before it and arrives after it says nothing.
    pub(super) succeeded_ms: i64,
    /// Start of the latest request, whatever came of it.
    pub(super) last_ms: i64,
}

impl Streak {
    /// Before the first request.
    pub(super) const NONE: Self = Self { failures: 0, succeeded_ms: i64::MIN, last_ms: i64::MIN };

    /// A request that neither failed nor succeeded: it shows that there is traffic.
    pub(super) fn touch(&mut self, started_ms: i64) {
        self.last_ms = self.last_ms.max(started_ms);
    }

    /// Takes a request, in order of arrival; `false`: it says nothing.
    pub(super) fn take(&mut self, started_ms: i64, is_failure: bool) -> bool {
        if started_ms < self.succeeded_ms {
            return false;
        }
        self.touch(started_ms);
        if is_failure {
            self.failures += 1;
        } else {
            (self.failures, self.succeeded_ms) = (0, started_ms);
        }
        true
    }
}
