//! Failure runs of one replayed group, counted as in live monitoring.

use rustc_hash::FxHashMap;

use super::window::ReplayedRequest;
use crate::alert::streak::{Streak, counted_ms, late_before};
use crate::model::Timestamp;

/// The failure runs of one group: a model of two providers has one run per provider.
#[derive(Debug, Default)]
pub(super) struct FailureRuns {
    runs: FxHashMap<i64, Streak>,
}

impl FailureRuns {
    /// Adds an arrival that an evaluation at `seen` sees first.
    pub(super) fn add(&mut self, arrival: &ReplayedRequest, seen: Timestamp) {
        if arrival.started_ms < late_before(seen).as_unix_ms() {
            return;
        }
        let started_ms = counted_ms(arrival.started_ms, seen);
        let Some(is_failure) = arrival.is_failure else {
            if let Some(run) = self.runs.get_mut(&arrival.run_key) {
                run.touch(started_ms);
            }
            return;
        };
        let run = self.runs.entry(arrival.run_key).or_insert(Streak::NONE);
        // Live monitoring also needs the return value; a backtest does not.
        run.add(started_ms, is_failure);
    }

    /// The longest run; `None` if no request was seen.
    pub(super) fn longest(&self) -> Option<u64> {
        self.runs.values().map(|run| run.failures).max()
    }

    /// Time since the latest request, in milliseconds.
    pub(super) fn idle_ms(&self, at_ms: i64) -> i64 {
        let last_ms = self.runs.values().map(|run| run.last_ms).max().unwrap_or(i64::MIN);
        at_ms.saturating_sub(last_ms)
    }
}
