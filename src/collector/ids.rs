//! Request ids without a system call per id.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{RequestId, Timestamp};

/// Bits of the counter below the millisecond.
const COUNTER_BITS: u32 = 16;
/// Random bits drawn once per source; they distinguish two processes.
const PROCESS_BITS: u32 = 58;

/// Creates `UUIDv7` ids that are unique and increasing within this source.
///
/// An id consists of 48 bits of milliseconds, a 16-bit counter and 58 random bits drawn once.
/// Milliseconds and counter form one number that only increases: more than 65,536 ids in one
/// millisecond, or a wall clock set back, advance the milliseconds ahead of the clock instead of
/// repeating an id.
#[derive(Debug)]
pub(super) struct IdSource {
    process: u128,
    last_tick: AtomicU64,
}

impl IdSource {
    pub(super) fn new() -> Self {
        let random: u64 = rand::random();
        Self { process: u128::from(random >> (64 - PROCESS_BITS)), last_tick: AtomicU64::new(0) }
    }

    /// The next id; `now` is wall-clock time.
    pub(super) fn next(&self, now: Timestamp) -> RequestId {
        let tick = u128::from(self.next_tick(now));
        let (ms, counter) = (tick >> COUNTER_BITS, tick & 0xffff);
        let bits = ms << 80
            | 7 << 76 // version
            | (counter >> 4) << 64
            | 0b10 << 62 // variant
            | (counter & 0xf) << PROCESS_BITS
            | self.process;
        RequestId::Uuid(bits.to_be_bytes())
    }

    fn next_tick(&self, now: Timestamp) -> u64 {
        let ms = u64::try_from(now.as_unix_ms()).unwrap_or(0);
        let now_tick = ms << COUNTER_BITS;
        let mut last = self.last_tick.load(Ordering::Relaxed);
        loop {
            let tick = now_tick.max(last.wrapping_add(1));
            match self.last_tick.compare_exchange_weak(
                last,
                tick,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return tick,
                Err(seen) => last = seen,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_version_7_and_carry_their_millisecond() {
        let now = Timestamp::from_unix_ms(1_800_000_000_123);
        let id = IdSource::new().next(now);
        assert_eq!(id.uuid_v7_time(), Some(now));
        assert_eq!(RequestId::parse(&id.to_string()), id);
    }

    #[test]
    fn ids_rise_even_when_the_wall_clock_is_set_back() {
        let source = IdSource::new();
        let mut last = String::new();
        for ms in [2_000, 2_000, 1_000, 1_999, 2_001, 0] {
            let id = source.next(Timestamp::from_unix_ms(ms)).to_string();
            assert!(id > last, "{id} after {last}");
            last = id;
        }
    }

    #[test]
    fn eight_threads_never_get_the_same_id() {
        const THREADS: usize = 8;
        const IDS: usize = 100_000;
        let source = IdSource::new();
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        let batches: Vec<Vec<RequestId>> = std::thread::scope(|scope| {
            let make = || (0..IDS).map(|_| source.next(now)).collect::<Vec<_>>();
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(batches.iter().all(|ids| ids.is_sorted_by_key(ToString::to_string)));
        let distinct: HashSet<&RequestId> = batches.iter().flatten().collect();
        assert_eq!(distinct.len(), THREADS * IDS);
    }
}
