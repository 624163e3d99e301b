//! What the collector counts about itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// The collector's own numbers since it was made.
///
/// `started` = `completed` + `dropped` + `discarded` + `in_flight`, at any moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectorStats {
    /// Requests started.
    pub started: u64,
    /// Requests that ended and went to the queue, whatever their outcome.
    pub completed: u64,
    /// Requests that were lost: the queue was full or closed, or too many were open by id.
    pub dropped: u64,
    /// Requests that the application discarded.
    pub discarded: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Finished requests that wait in the queue.
    pub queued: u64,
    /// Requests started by id that nobody ended in time; part of `completed` and `dropped`.
    pub abandoned: u64,
    /// Ends of requests whose id is not open: never started, or ended before.
    pub unknown_ids: u64,
}

/// Looks at the counters before one that is not quite of one moment has to do.
const LOOKS: usize = 32;

/// How a request left.
#[derive(Clone, Copy)]
pub(super) enum Exit {
    Completed,
    Dropped,
    Discarded,
}

/// A counter on a cache line of its own: starts and ends happen on different cores.
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
        // Whoever sees this exit must see the start that came before it.
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

    /// Both of one moment, as nearly as that can be without a lock: whoever is held up between the two
    /// looks would take everything that ended meanwhile for requests under way.
    fn exits_and_starts(&self) -> ([u64; 3], u64) {
        let mut exits = self.exits();
        for _ in 0..LOOKS {
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
