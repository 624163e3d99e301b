//! Counters of the collector itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a collector since its creation.
///
/// `started` = `completed` + `dropped` + `discarded` + `in_flight` at any moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectorStats {
    /// Requests started.
    pub started: u64,
    /// Requests that ended, with any outcome, and entered the queue.
    pub completed: u64,
    /// Requests lost because the queue was full or closed, or too many requests were open by id.
    pub dropped: u64,
    /// Requests that the application discarded.
    pub discarded: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Finished requests in the queue.
    pub queued: u64,
    /// Requests started by id that did not end within `abandoned_after`; included in `completed` or
    /// `dropped`.
    pub abandoned: u64,
    /// Calls that end a request whose id is not open: never started, or already ended.
    pub unknown_ids: u64,
}

/// Number of times [`Counters::stats`] rereads the counters of ended requests to get a consistent snapshot
/// before it accepts a slightly inconsistent one.
const SNAPSHOT_RETRIES: usize = 32;

/// What is counted.
#[derive(Clone, Copy)]
pub(super) enum Counted {
    Started,
    Completed,
    Dropped,
    Discarded,
    Abandoned,
    UnknownId,
}

/// A counter on its own cache line, because starts and ends happen on different cores.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

/// By [`Counted`].
#[derive(Debug, Default)]
pub(super) struct Counters([Counter; 6]);

impl Counters {
    pub(super) fn count(&self, event: Counted) {
        // Release: a thread that sees the end of a request also sees its start.
        self.0[event as usize].0.fetch_add(1, Ordering::Release);
    }

    pub(super) fn get(&self, event: Counted) -> u64 {
        self.0[event as usize].0.load(Ordering::Acquire)
    }

    /// The requests that are no longer in flight: completed, dropped and discarded.
    fn ended(&self) -> [u64; 3] {
        [Counted::Completed, Counted::Dropped, Counted::Discarded].map(|event| self.get(event))
    }

    /// A consistent snapshot of ends and starts, as far as possible without a lock: a thread that is
    /// preempted between the two reads would otherwise report requests that ended meanwhile as in
    /// flight.
    fn ended_and_started(&self) -> ([u64; 3], u64) {
        let mut ended = self.ended();
        for _ in 0..SNAPSHOT_RETRIES {
            // Ends are read before starts, so that the difference is never negative.
            let started = self.get(Counted::Started);
            let after = self.ended();
            if after == ended {
                return (ended, started);
            }
            ended = after;
        }
        (ended, self.get(Counted::Started))
    }

    pub(super) fn stats(&self, queued: usize) -> CollectorStats {
        let ([completed, dropped, discarded], started) = self.ended_and_started();
        CollectorStats {
            started,
            completed,
            dropped,
            discarded,
            in_flight: started.saturating_sub(completed + dropped + discarded),
            queued: u64::try_from(queued).unwrap_or(u64::MAX),
            abandoned: self.get(Counted::Abandoned),
            unknown_ids: self.get(Counted::UnknownId),
        }
    }
}
