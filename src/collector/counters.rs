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

/// Number of times [`Counters::stats`] rereads the exit counters to get a consistent snapshot
/// before it accepts a slightly inconsistent one.
const SNAPSHOT_RETRIES: usize = 32;

/// How a request leaves the collector.
#[derive(Clone, Copy)]
pub(super) enum Exit {
    Completed,
    Dropped,
    Discarded,
}

/// A counter on its own cache line, because starts and ends happen on different cores.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

#[derive(Debug, Default)]
pub(super) struct Counters {
    started: Counter,
    exits: [Counter; 3],
    abandoned: Counter,
    unknown_ids: Counter,
}

impl Counters {
    pub(super) fn start(&self) {
        self.started.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn exit(&self, exit: Exit) {
        // Release: whoever observes this exit also observes the start before it.
        self.exits[exit as usize].0.fetch_add(1, Ordering::Release);
    }

    pub(super) fn abandon(&self) {
        self.abandoned.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unknown_id(&self) {
        self.unknown_ids.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.exits[Exit::Dropped as usize].0.load(Ordering::Acquire)
    }

    fn exits(&self) -> [u64; 3] {
        [0, 1, 2].map(|exit| self.exits[exit].0.load(Ordering::Acquire))
    }

    /// A consistent snapshot of both, as far as possible without a lock: a thread that is preempted
    /// between the two reads would otherwise report requests that ended meanwhile as in flight.
    fn exits_and_starts(&self) -> ([u64; 3], u64) {
        let mut exits = self.exits();
        for _ in 0..SNAPSHOT_RETRIES {
            // Exits are read before starts, so that the difference is never negative.
            let started = self.started.0.load(Ordering::Acquire);
            let after = self.exits();
            if after == exits {
                return (exits, started);
            }
            exits = after;
        }
        (exits, self.started.0.load(Ordering::Acquire))
    }

    pub(super) fn stats(&self, queued: usize) -> CollectorStats {
        let ([completed, dropped, discarded], started) = self.exits_and_starts();
        CollectorStats {
            started,
            completed,
            dropped,
            discarded,
            in_flight: started.saturating_sub(completed + dropped + discarded),
            queued: u64::try_from(queued).unwrap_or(u64::MAX),
            abandoned: self.abandoned.0.load(Ordering::Relaxed),
            unknown_ids: self.unknown_ids.0.load(Ordering::Relaxed),
        }
    }
}
