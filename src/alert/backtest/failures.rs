//! Runs of failures of one replayed group, counted as live monitoring counts them.

use rustc_hash::FxHashMap;

use super::window::Arrival;
use crate::alert::runs::late_before;
use crate::model::Timestamp;

/// One run.
#[derive(Clone, Copy, Debug)]
struct Run {
    failures: u64,
    /// Start of the latest success; what started before it and arrives after it says nothing.
    succeeded_ms: i64,
    /// Start of the latest request, whatever came of it.
    last_ms: i64,
}

/// The runs of one group: a model that two providers run has one of each.
#[derive(Debug, Default)]
pub(super) struct Failures {
    runs: FxHashMap<i64, Run>,
}

impl Failures {
    /// Takes what an evaluation at `seen` is the first to see.
    pub(super) fn take(&mut self, arrival: &Arrival, seen: Timestamp) {
        if arrival.started_ms < late_before(seen).as_unix_ms() {
            return;
        }
        let Some(is_failure) = arrival.is_failure else {
            if let Some(run) = self.runs.get_mut(&arrival.run_key) {
                run.last_ms = run.last_ms.max(arrival.started_ms);
            }
            return;
        };
        let none = Run { failures: 0, succeeded_ms: i64::MIN, last_ms: i64::MIN };
        let run = self.runs.entry(arrival.run_key).or_insert(none);
        if arrival.started_ms < run.succeeded_ms {
            return;
        }
        run.last_ms = run.last_ms.max(arrival.started_ms);
        if is_failure {
            run.failures += 1;
        } else {
            (run.failures, run.succeeded_ms) = (0, arrival.started_ms);
        }
    }

    /// The longest run; `None`: no request was seen.
    pub(super) fn longest(&self) -> Option<u64> {
        self.runs.values().map(|run| run.failures).max()
    }

    /// Time since the latest request, in milliseconds.
    pub(super) fn idle_ms(&self, at_ms: i64) -> i64 {
        let last_ms = self.runs.values().map(|run| run.last_ms).max().unwrap_or(i64::MIN);
        at_ms.saturating_sub(last_ms)
    }
}
