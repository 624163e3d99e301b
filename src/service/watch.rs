//! Watches the store: whether records can be committed, and whether the files are still in place.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Shared;
use crate::error::{Error, Result, StorageError, StorageErrorKind};
use crate::model::failure_log::FailureLog;
use crate::store::{WriteGate, Writing};

/// Interval of the checks.
const TICK: Duration = Duration::from_millis(250);
/// Number of ticks between two checks of the file location.
const TICKS_PER_LOCATION_CHECK: u32 = 4;
/// Time without a commit after which a probe commit is made, in microseconds.
const IDLE_PROBE_US: u64 = 10_000_000;
/// The same time while commits fail, so that readiness recovers quickly.
const FAILING_PROBE_US: u64 = 400_000;
/// Duration of a single write after which the writer counts as stalled, in microseconds. Steps of
/// the compactor and of retention take at most a tenth of it.
const STALLED_US: u64 = 2_000_000;
/// How long an event is reported as a recent problem, in microseconds.
const RECENT_US: u64 = 600_000_000;

/// A counter of failures and the time of its last growth.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    total: u64,
    grew_at_us: Option<u64>,
}

impl Recent {
    const fn update(&mut self, total: u64, now_us: u64) {
        if total > self.total {
            self.total = total;
            self.grew_at_us = Some(now_us);
        }
    }

    /// The total, if it grew recently.
    fn get(&self, now_us: u64) -> Option<u64> {
        let is_recent = self.grew_at_us.is_some_and(|at| now_us.saturating_sub(at) < RECENT_US);
        is_recent.then_some(self.total)
    }
}

/// Counters whose recent growth degrades the health.
#[derive(Debug, Default)]
pub(super) struct RecentProblems {
    counters: Mutex<[Recent; 2]>,
}

/// Counters that grew in the last ten minutes, as totals since startup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grown {
    /// Dropped requests of the collector.
    pub(super) dropped: Option<u64>,
    /// Records with a value that was grouped as `(other)`.
    pub(super) overflowed: Option<u64>,
}

impl RecentProblems {
    /// Updates the counters and returns those that grew recently.
    pub(super) fn update(&self, totals: [u64; 2], now_us: u64) -> Grown {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        for (counter, total) in counters.iter_mut().zip(totals) {
            counter.update(total, now_us);
        }
        let [dropped, overflowed] = counters.map(|counter| counter.get(now_us));
        Grown { dropped, overflowed }
    }
}

impl Shared {
    /// Whether a record can be committed now, by the latest commits; never blocks.
    pub(super) fn readiness(&self) -> Result<()> {
        if self.closed.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(Error::Closed);
        }
        let health = self.store.health();
        health.may_write()?;
        let failure = |source| Err(Error::Storage { operation: "the latest commit", source });
        if let Some(source) = health.failing() {
            return failure(source);
        }
        let working_us = self.queue.working_for_us(self.clock.monotonic_us());
        if working_us > STALLED_US {
            let message = format!(
                "the writer has been waiting for the disk or for another process for {} s",
                working_us / 1_000_000
            );
            return failure(StorageError { kind: StorageErrorKind::Busy, message });
        }
        Ok(())
    }

    /// Counters that grew recently.
    pub(super) fn grown(&self) -> Grown {
        let overflowed = self.queue.dimension_caps().iter().map(|caps| caps.overflowed).sum();
        let dropped = self.collector_dropped();
        self.recent_problems.update([dropped, overflowed], self.clock.monotonic_us())
    }
}

/// State of the watching thread.
#[derive(Default)]
struct Watch {
    seen_writes: u64,
    active_us: u64,
    probe: Option<Writing<()>>,
    not_ready: FailureLog,
    overloaded: u64,
    overload: FailureLog,
    misplaced: Option<String>,
    other_names: u64,
}

/// Runs the checks until shutdown.
pub(super) fn watch_loop(shared: &Shared) {
    let mut state = Watch { active_us: shared.clock.monotonic_us(), ..Watch::default() };
    let mut ticks = 0_u32;
    while !shared.wait(TICK) {
        if ticks.is_multiple_of(TICKS_PER_LOCATION_CHECK) {
            state.check_location(shared);
            // Update the counters regularly, so that rare health checks also see recent growth.
            shared.grown();
        }
        ticks = ticks.wrapping_add(1);
        state.probe(shared);
        state.log_readiness(shared);
        state.log_overload(shared);
    }
}

impl Watch {
    fn check_location(&mut self, shared: &Shared) {
        let misplaced = shared.store.look_at_place();
        if misplaced != self.misplaced {
            match &misplaced {
                Some(cut) if shared.store.health().cut().is_some() => tracing::error!(
                    "{cut}: records are rejected until a restart with a complete file; stop the server, and restore \
                     a backup or run `chatgauge salvage`"
                ),
                Some(difference) => tracing::error!(
                    "{difference}: records are rejected, because they would be lost; put the file back or restart the server"
                ),
                None => tracing::info!("the database file is back: records are accepted again"),
            }
            self.misplaced = misplaced;
        }
        let other_names = shared.store.other_names();
        if other_names > self.other_names {
            tracing::warn!(
                other_names,
                "the database file has a new hard link: opening it by that name would lose records"
            );
        }
        self.other_names = other_names;
    }

    /// Makes a probe commit if there was no commit for a while.
    fn probe(&mut self, shared: &Shared) {
        if self.probe.as_ref().is_some_and(|probe| !probe.is_done()) {
            return;
        }
        self.probe = None;
        let health = shared.store.health();
        let now_us = shared.clock.monotonic_us();
        let writes = health.writes() + health.failed_writes();
        if writes != self.seen_writes {
            self.seen_writes = writes;
            self.active_us = now_us;
        }
        let interval_us = match health.failing() {
            Some(_) => FAILING_PROBE_US,
            None => IDLE_PROBE_US,
        };
        let is_due = now_us.saturating_sub(self.active_us) >= interval_us;
        if is_due && health.may_write().is_ok() {
            let gate: &dyn WriteGate = &shared.queue;
            self.probe = gate.start(|writer| writer.probe()).ok();
        }
    }

    fn log_overload(&mut self, shared: &Shared) {
        let overloaded = shared.queue.stats().overloaded;
        let refused = overloaded.saturating_sub(self.overloaded);
        self.overloaded = overloaded;
        let now_us = shared.clock.monotonic_us();
        if refused > 0 && self.overload.failed(now_us).is_some() {
            tracing::warn!(
                refused,
                refused_total = overloaded,
                "the ingest queue is full: records are rejected with 503; clients should retry"
            );
        }
    }

    fn log_readiness(&mut self, shared: &Shared) {
        let now_us = shared.clock.monotonic_us();
        match shared.readiness() {
            Ok(()) => {
                if let Some(ended) = self.not_ready.succeeded(now_us) {
                    tracing::info!(seconds = ended.lasted_s, "ready again");
                }
            }
            Err(Error::Closed) => {}
            Err(error) => {
                if self.not_ready.failed(now_us).is_some() {
                    tracing::error!(%error, "not ready: records cannot be committed");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_problems_are_reported_for_ten_minutes() {
        let recent = RecentProblems::default();
        assert_eq!(recent.update([0, 0], 5), Grown::default());
        let grown = recent.update([3, 0], 10);
        assert_eq!(grown, Grown { dropped: Some(3), ..Grown::default() });
        assert_eq!(recent.update([3, 0], 9 + RECENT_US).dropped, Some(3));
        assert_eq!(recent.update([3, 1], 10 + RECENT_US).dropped, None);
        assert_eq!(recent.update([4, 1], 11 + RECENT_US).dropped, Some(4));
    }
}
