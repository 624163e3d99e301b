//! The drain side: whoever stores the finished requests takes them from here.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::{FinishedRequest, Shared};

/// First wait between two looks at an empty queue; each further one is twice as long.
const POLL_MIN: Duration = Duration::from_millis(1);
/// Longest wait between two looks: what a record waits at most when the application was idle.
const POLL_MAX: Duration = Duration::from_millis(25);
/// Least time between two log lines about lost requests, in microseconds.
const REPORT_DROPS_EVERY_US: u64 = 60_000_000;

/// The receiving end of the collector's queue; there is one, and one thread drains it.
///
/// A request that ends never wakes the drain thread, because waking is a system call on the path
/// of the request. The drain thread looks again by itself, less often while nothing happens.
///
/// What waits when the queue is dropped is lost: drain it first.
#[derive(Debug)]
pub struct CollectorQueue {
    receiver: Receiver<FinishedRequest>,
    shared: Arc<Shared>,
    taken: u64,
    poll: Duration,
    reported_drops: u64,
    reported_at_us: Option<u64>,
}

impl CollectorQueue {
    pub(super) fn new(receiver: Receiver<FinishedRequest>, shared: Arc<Shared>) -> Self {
        Self { receiver, shared, taken: 0, poll: POLL_MIN, reported_drops: 0, reported_at_us: None }
    }

    /// Up to `max` finished requests, oldest first; waits up to `timeout` for the first one.
    ///
    /// Say with [`Handover::acknowledge`] when they are where they should be.
    pub fn next_batch(&mut self, max: usize, timeout: Duration) -> Vec<FinishedRequest> {
        self.report_drops();
        let mut left = timeout;
        loop {
            let waiting = self.receiver.len();
            self.shared.handover.answer(self.taken + as_u64(waiting));
            let mut batch = Vec::with_capacity(waiting.min(max));
            batch.extend(self.receiver.try_iter().take(waiting.min(max)));
            self.taken += as_u64(batch.len());
            if !batch.is_empty() {
                self.poll = POLL_MIN;
                return batch;
            }
            if left.is_zero() {
                return batch;
            }
            let pause = self.poll.min(left);
            self.shared.handover.wait_for_question(pause);
            left -= pause;
            self.poll = (self.poll * 2).min(POLL_MAX);
        }
    }

    /// The handle by which the drain side says what is stored; for the thread that knows it.
    pub fn handover(&self) -> Handover {
        Handover { shared: Arc::clone(&self.shared) }
    }

    /// Said here and not by the caller, whose request must not pay for the log.
    fn report_drops(&mut self) {
        let dropped = self.shared.counters.dropped();
        if dropped == self.reported_drops {
            return;
        }
        let now_us = self.shared.clock.monotonic_us();
        let is_due = self
            .reported_at_us
            .is_none_or(|at_us| now_us.saturating_sub(at_us) >= REPORT_DROPS_EVERY_US);
        if is_due {
            tracing::warn!(
                dropped = dropped - self.reported_drops,
                dropped_total = dropped,
                "requests were not recorded: the collector's queue was full"
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

/// Says that requests taken from a [`CollectorQueue`] are where they should be. Clones are equal.
#[derive(Clone, Debug)]
pub struct Handover {
    shared: Arc<Shared>,
}

impl Handover {
    /// The next `requests` requests, in the order they were taken, are stored or given up.
    pub fn acknowledge(&self, requests: usize) {
        self.shared.handover.acknowledge(as_u64(requests));
    }
}

/// Where those who flush and the drain side meet; requests never come here.
#[derive(Debug, Default)]
pub(super) struct Progress {
    state: Mutex<ProgressState>,
    asked: Condvar,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct ProgressState {
    /// Flushes asked for.
    questions: u64,
    /// Flushes whose target is known.
    answers: u64,
    /// Acknowledged requests that the last answered flush waits for.
    target: u64,
    acknowledged: u64,
    closed: bool,
}

impl Progress {
    /// Waits until everything that was in the queue is acknowledged; `false` when that took longer
    /// than `timeout` or nobody drains the queue any more.
    ///
    /// Only the drain side can tell how many requests it took plus how many wait; so it is asked.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let mut state = self.lock();
        state.questions += 1;
        let mine = state.questions;
        self.asked.notify_one();
        let mut target = None;
        let (state, _) = self
            .moved
            .wait_timeout_while(state, timeout, |state| {
                if target.is_none() && state.answers >= mine {
                    target = Some(state.target);
                }
                !state.closed && !is_reached(target, state)
            })
            .unwrap_or_else(PoisonError::into_inner);
        is_reached(target, &state)
    }

    fn answer(&self, target: u64) {
        let mut state = self.lock();
        if state.answers < state.questions {
            state.answers = state.questions;
            state.target = target;
            self.moved.notify_all();
        }
    }

    fn acknowledge(&self, requests: u64) {
        self.lock().acknowledged += requests;
        self.moved.notify_all();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.moved.notify_all();
    }

    fn wait_for_question(&self, pause: Duration) {
        let waited = self
            .asked
            .wait_timeout_while(self.lock(), pause, |state| state.answers == state.questions);
        drop(waited);
    }

    /// Every change under the lock is a single step, so a poisoned state is as good as any.
    fn lock(&self) -> MutexGuard<'_, ProgressState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_reached(target: Option<u64>, state: &ProgressState) -> bool {
    target.is_some_and(|target| state.acknowledged >= target)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
