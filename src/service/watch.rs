//! Watching the store: whether a record can be committed now, and whether the files are where they were.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Shared;
use crate::error::{Error, Result, StorageError, StorageErrorKind};
use crate::model::failure_log::FailureLog;
use crate::store::{WriteGate, Writing};

/// Time between two looks.
const TICK: Duration = Duration::from_millis(250);
/// The paths are compared with the open files at every so many looks.
const TICKS_PER_PLACE: u32 = 4;
/// Without a commit for this long, in microseconds, one is made to prove that records can be committed.
const IDLE_PROBE_US: u64 = 10_000_000;
/// The same after a failure, so that readiness comes back at once.
const FAILING_PROBE_US: u64 = 400_000;
/// A writer that has been at one piece of work for this long, in microseconds, is stalled: steps of the compactor and of
/// retention take at most a tenth of it.
const STALLED_US: u64 = 2_000_000;
/// What happened in the last this many microseconds is a problem still.
const RECENT_US: u64 = 600_000_000;

/// A counter of something bad, and when it last grew.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    total: u64,
    grew_at_us: Option<u64>,
}

impl Recent {
    const fn look(&mut self, total: u64, now_us: u64) {
        if total > self.total {
            self.total = total;
            self.grew_at_us = Some(now_us);
        }
    }

    /// The total, while it grew recently.
    fn get(&self, now_us: u64) -> Option<u64> {
        let is_recent = self.grew_at_us.is_some_and(|at| now_us.saturating_sub(at) < RECENT_US);
        is_recent.then_some(self.total)
    }
}

/// Counters of which a recent growth degrades the health.
#[derive(Debug, Default)]
pub(super) struct RecentTrouble {
    counters: Mutex<[Recent; 2]>,
}

/// What grew in the last ten minutes, as totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grown {
    /// Requests of the collector that were dropped.
    pub(super) dropped: Option<u64>,
    /// Records with a value that went to `(other)`.
    pub(super) overflowed: Option<u64>,
}

impl RecentTrouble {
    /// Looks at the counters.
    pub(super) fn look(&self, totals: [u64; 2], now_us: u64) -> Grown {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        for (counter, total) in counters.iter_mut().zip(totals) {
            counter.look(total, now_us);
        }
        let [dropped, overflowed] = counters.map(|counter| counter.get(now_us));
        Grown { dropped, overflowed }
    }
}

impl Shared {
    /// Whether a record can be committed now, from the outcome of the latest commits; never waits.
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
                "the writer has waited {} s for the disk or for another process that holds the file",
                working_us / 1_000_000
            );
            return failure(StorageError { kind: StorageErrorKind::Busy, message });
        }
        Ok(())
    }

    /// Looks at the counters of trouble.
    pub(super) fn grown(&self) -> Grown {
        let overflowed = self.queue.dimension_caps().iter().map(|caps| caps.overflowed).sum();
        let dropped = self.collector_dropped();
        self.trouble.look([dropped, overflowed], self.clock.monotonic_us())
    }
}

/// What the watching thread remembers from look to look.
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

/// Looks until the service ends.
pub(super) fn watch(shared: &Shared) {
    let mut state = Watch { active_us: shared.clock.monotonic_us(), ..Watch::default() };
    let mut ticks = 0_u32;
    while !shared.wait(TICK) {
        if ticks.is_multiple_of(TICKS_PER_PLACE) {
            state.look_at_place(shared);
            // Whoever asks for the health once an hour is to hear when something happened.
            shared.grown();
        }
        ticks = ticks.wrapping_add(1);
        state.probe(shared);
        state.log_readiness(shared);
        state.log_overload(shared);
    }
}

impl Watch {
    fn look_at_place(&mut self, shared: &Shared) {
        let misplaced = shared.store.look_at_place();
        if misplaced != self.misplaced {
            match &misplaced {
                Some(cut) if shared.store.health().cut().is_some() => tracing::error!(
                    "{cut}: records are refused until the server is restarted with a whole file; stop the server, and restore \
                     a backup or run `chatgauge salvage`"
                ),
                Some(difference) => tracing::error!(
                    "{difference}: records are refused, because they would be lost; put the file back, or restart the server"
                ),
                None => tracing::info!("the database file is back: records are accepted again"),
            }
            self.misplaced = misplaced;
        }
        let other_names = shared.store.other_names();
        if other_names > self.other_names {
            tracing::warn!(
                other_names,
                "the database file got another name (a hard link): opened by that name it would lose records"
            );
        }
        self.other_names = other_names;
    }

    /// Commits something when nothing was committed for a while.
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
        let patience_us = match health.failing() {
            Some(_) => FAILING_PROBE_US,
            None => IDLE_PROBE_US,
        };
        let is_due = now_us.saturating_sub(self.active_us) >= patience_us;
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
                "the ingest queue is full: its senders get 503 and may retry"
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
    fn trouble_is_told_for_ten_minutes() {
        let trouble = RecentTrouble::default();
        assert_eq!(trouble.look([0, 0], 5), Grown::default());
        let grown = trouble.look([3, 0], 10);
        assert_eq!(grown, Grown { dropped: Some(3), ..Grown::default() });
        assert_eq!(trouble.look([3, 0], 9 + RECENT_US).dropped, Some(3));
        assert_eq!(trouble.look([3, 1], 10 + RECENT_US).dropped, None);
        assert_eq!(trouble.look([4, 1], 11 + RECENT_US).dropped, Some(4));
    }
}
