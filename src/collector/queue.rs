//! The drain side: the thread that stores finished requests receives them here.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::counters::Counted;
use super::{CollectorCore, FinishedRequest};

/// Initial wait between two polls of an empty queue; it doubles up to [`POLL_MAX`].
const POLL_MIN: Duration = Duration::from_millis(1);
/// Maximum wait between two polls: the delay of a record that ends after an idle period.
const POLL_MAX: Duration = Duration::from_millis(25);
/// Minimum time between two log lines about dropped requests, in microseconds.
const DROP_REPORT_INTERVAL_US: u64 = 60_000_000;

/// The receiving end of the collector's queue; there is one, and one thread drains it.
///
/// A request that ends never wakes the drain thread, because that would cost the request a system
/// call. The drain thread polls instead, less often while the queue stays empty.
///
/// Requests still queued when this is dropped are lost, so drain it first.
#[derive(Debug)]
pub struct CollectorQueue {
    receiver: Receiver<FinishedRequest>,
    shared: Arc<CollectorCore>,
    received: u64,
    poll: Duration,
    reported_drops: u64,
    reported_at_us: Option<u64>,
}

impl CollectorQueue {
    pub(super) fn new(receiver: Receiver<FinishedRequest>, shared: Arc<CollectorCore>) -> Self {
        Self {
            receiver,
            shared,
            received: 0,
            poll: POLL_MIN,
            reported_drops: 0,
            reported_at_us: None,
        }
    }

    /// Returns up to `max` finished requests, oldest first; waits up to `timeout` for the first
    /// one.
    ///
    /// Call [`Handover::acknowledge`] once they are stored.
    pub fn next_batch(&mut self, max: usize, timeout: Duration) -> Vec<FinishedRequest> {
        self.report_drops();
        let mut left = timeout;
        loop {
            let waiting = self.receiver.len();
            self.shared.handover.set_target(self.received + as_u64(waiting));
            let mut batch = Vec::with_capacity(waiting.min(max));
            batch.extend(self.receiver.try_iter().take(waiting.min(max)));
            self.received += as_u64(batch.len());
            if !batch.is_empty() {
                self.poll = POLL_MIN;
                return batch;
            }
            if left.is_zero() {
                return batch;
            }
            let pause = self.poll.min(left);
            self.shared.handover.wait_for_flush(pause);
            left -= pause;
            self.poll = (self.poll * 2).min(POLL_MAX);
        }
    }

    /// A handle for the thread that knows when requests are stored.
    pub fn handover(&self) -> Handover {
        Handover { shared: Arc::clone(&self.shared) }
    }

    /// Logs dropped requests here, so that the application's thread does not pay for it.
    fn report_drops(&mut self) {
        let dropped = self.shared.counters.get(Counted::Dropped);
        if dropped == self.reported_drops {
            return;
        }
        let now_us = self.shared.clock.monotonic_us();
        let is_due = self
            .reported_at_us
            .is_none_or(|at_us| now_us.saturating_sub(at_us) >= DROP_REPORT_INTERVAL_US);
        if is_due {
            tracing::warn!(
                dropped = dropped - self.reported_drops,
                dropped_total = dropped,
                "requests were dropped: the collector's queue was full"
            );
            self.reported_drops = dropped;
            self.reported_at_us = Some(now_us);
        }
    }
}

impl Drop for CollectorQueue {
    fn drop(&mut self) {
        self.shared.handover.close();
    }
}

/// Acknowledges requests received from a [`CollectorQueue`]. Clones share state.
#[derive(Clone, Debug)]
pub struct Handover {
    shared: Arc<CollectorCore>,
}

impl Handover {
    /// Acknowledges the next `requests` requests, in the order of their receipt, as stored or given
    /// up.
    pub fn acknowledge(&self, requests: usize) {
        self.shared.handover.acknowledge(as_u64(requests));
    }
}

/// Synchronises flushing threads with the drain side; requests do not pass through it.
#[derive(Debug, Default)]
pub(super) struct FlushBarrier {
    state: Mutex<BarrierState>,
    flush_requested: Condvar,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct BarrierState {
    /// Number of flushes requested.
    requested: u64,
    /// Number of flushes whose target is set.
    resolved: u64,
    /// Number of acknowledged requests at which the last resolved flush completes.
    target: u64,
    acknowledged: u64,
    closed: bool,
}

impl FlushBarrier {
    /// Waits until every request in the queue is acknowledged; `false` if that takes longer than
    /// `timeout` or the queue is no longer drained.
    ///
    /// Only the drain side knows the target, the number of requests received plus those still
    /// queued, so this asks it to set the target.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let mut state = self.lock();
        state.requested += 1;
        let mine = state.requested;
        self.flush_requested.notify_one();
        let mut target = None;
        let (state, _) = self
            .changed
            .wait_timeout_while(state, timeout, |state| {
                if target.is_none() && state.resolved >= mine {
                    target = Some(state.target);
                }
                !state.closed && !is_reached(target, state)
            })
            .unwrap_or_else(PoisonError::into_inner);
        is_reached(target, &state)
    }

    fn set_target(&self, target: u64) {
        let mut state = self.lock();
        if state.resolved < state.requested {
            state.resolved = state.requested;
            state.target = target;
            self.changed.notify_all();
        }
    }

    fn acknowledge(&self, requests: u64) {
        self.lock().acknowledged += requests;
        self.changed.notify_all();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn wait_for_flush(&self, pause: Duration) {
        let waited = self
            .flush_requested
            .wait_timeout_while(self.lock(), pause, |state| state.resolved == state.requested);
        drop(waited);
    }

    /// Every change under the lock is a single step, so a poisoned lock is still usable.
    fn lock(&self) -> MutexGuard<'_, BarrierState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_reached(target: Option<u64>, state: &BarrierState) -> bool {
    target.is_some_and(|target| state.acknowledged >= target)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
