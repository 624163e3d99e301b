//! Counts consecutive errors, for both live monitoring and backtests.

use crate::model::alert::ErrorScope;
use crate::model::time::QUARTER_HOUR_MS;
use crate::model::{Outcome, Timestamp};

/// Maximum time between start and arrival of a request that is not late, in milliseconds.
pub(super) const FRESH_MS: i64 = QUARTER_HOUR_MS;

/// The start before which a request that arrives at `now` is late.
pub(super) fn late_before(now: Timestamp) -> Timestamp {
    now.plus_ms(-FRESH_MS)
}

/// The start by which a request counts that an evaluation at `seen` sees first, in Unix
/// milliseconds: a sender whose clock is ahead must not make other senders' requests look late.
pub(super) fn counted_ms(started_ms: i64, seen: Timestamp) -> i64 {
    started_ms.min(seen.as_unix_ms())
}

/// Whether an outcome continues a streak (`true`) or ends it; `None` if it counts only as traffic.
pub(super) fn is_failure(outcome: Outcome, scope: ErrorScope) -> Option<bool> {
    match outcome {
        Outcome::Success => Some(false),
        Outcome::Error(kind) => scope.counts(kind).then_some(true),
        Outcome::Cancelled => None,
    }
}

/// A streak of consecutive errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Streak {
    pub(super) failures: u64,
    /// Start of the latest success; requests that start before it and arrive after it are ignored.
    pub(super) succeeded_ms: i64,
    /// Start of the latest request with any outcome.
    pub(super) last_ms: i64,
}

impl Streak {
    /// The state before the first request.
    pub(super) const NONE: Self = Self { failures: 0, succeeded_ms: i64::MIN, last_ms: i64::MIN };

    /// Adds a cancelled request, which counts only as traffic.
    pub(super) fn touch(&mut self, started_ms: i64) {
        self.last_ms = self.last_ms.max(started_ms);
    }

    /// Adds a request, in order of arrival; returns `false` if it is ignored.
    pub(super) fn add(&mut self, started_ms: i64, is_failure: bool) -> bool {
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
