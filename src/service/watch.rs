//! Watches the store: whether records can be committed, and whether the files are still in place.

use std::sync::PoisonError;
use std::time::Duration;

use super::ServiceCore;
use crate::error::{Error, Result, StorageError, StorageErrorKind};
use crate::model::failure_log::{FailureLog, report};
use crate::store::Writing;

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

/// A counter whose recent growth is a problem, and the time of its last growth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecentGrowth {
    total: u64,
    grew_at_us: Option<u64>,
}

impl RecentGrowth {
    /// Updates the counter; returns the total if it grew recently.
    fn update(&mut self, total: u64, now_us: u64) -> Option<u64> {
        if total > self.total {
            *self = Self { total, grew_at_us: Some(now_us) };
        }
        let is_recent = |at: u64| now_us.saturating_sub(at) < RECENT_US;
        self.grew_at_us.is_some_and(is_recent).then_some(self.total)
    }
}

impl ServiceCore {
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

    /// Requests that the collector dropped and records with a value that was grouped as `(other)`,
    /// since startup; `None` if there were none recently.
    pub(super) fn recent_problems(&self) -> [Option<u64>; 2] {
        let mut recent = self.recent_growth.lock().unwrap_or_else(PoisonError::into_inner);
        let [dropped, overflowed] = &mut *recent;
        let values = self.queue.dimension_caps().iter().map(|caps| caps.overflowed).sum();
        let now_us = self.clock.monotonic_us();
        [dropped.update(self.collector_dropped(), now_us), overflowed.update(values, now_us)]
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
pub(super) fn watch_loop(shared: &ServiceCore) {
    let mut state = Watch { active_us: shared.clock.monotonic_us(), ..Watch::default() };
    let mut ticks = 0_u32;
    while !shared.wait(TICK) {
        if ticks.is_multiple_of(TICKS_PER_LOCATION_CHECK) {
            state.check_location(shared);
            // Update the counters regularly, so that rare health checks also see recent growth.
            shared.recent_problems();
        }
        ticks = ticks.wrapping_add(1);
        state.probe(shared);
        state.log_readiness(shared);
        state.log_overload(shared);
    }
}

impl Watch {
    fn check_location(&mut self, shared: &ServiceCore) {
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
    fn probe(&mut self, shared: &ServiceCore) {
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
            self.probe = shared.gate().start(|writer| writer.probe()).ok();
        }
    }

    fn log_overload(&mut self, shared: &ServiceCore) {
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

    fn log_readiness(&mut self, shared: &ServiceCore) {
        let ready = shared.readiness();
        if !matches!(ready, Err(Error::Closed)) {
            report!(
                self.not_ready, shared.clock.monotonic_us(), &ready,
                error: "not ready: records cannot be committed", "ready again"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_problems_are_reported_for_ten_minutes() {
        let mut recent = RecentGrowth::default();
        assert_eq!(recent.update(0, 5), None);
        assert_eq!(recent.update(3, 10), Some(3));
        assert_eq!(recent.update(3, 9 + RECENT_US), Some(3));
        assert_eq!(recent.update(3, 10 + RECENT_US), None);
        assert_eq!(recent.update(4, 11 + RECENT_US), Some(4));
    }
}
