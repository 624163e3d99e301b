//! The clock as a value, so that tests can control time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::Timestamp;

/// A duration in microseconds; the maximum if it is longer.
pub(crate) fn as_us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A source of wall-clock time and of monotonic time.
///
/// Wall-clock time dates records; monotonic time measures durations, so that a clock step never
/// distorts a latency.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The current time.
    fn now(&self) -> Timestamp;
    /// Microseconds since an arbitrary fixed point; never decreases.
    fn monotonic_us(&self) -> u64;
}

/// A clock that only tests advance.
///
/// # Example
/// ```
/// use chatgauge::model::{Clock, ManualClock, Timestamp};
/// let clock = ManualClock::new(Timestamp::from_unix_ms(1_000));
/// clock.advance_ms(250);
/// assert_eq!(clock.now().as_unix_ms(), 1_250);
/// assert_eq!(clock.monotonic_us(), 250_000);
/// ```
#[derive(Debug)]
pub struct ManualClock {
    now_ms: AtomicI64,
    /// Only increases, even when the wall clock is set back.
    elapsed_ms: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { now_ms: AtomicI64::new(now.as_unix_ms()), elapsed_ms: AtomicI64::new(0) }
    }

    /// Moves only the wall clock, forward or back, as when it is set manually.
    pub fn jump_ms(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Advances the clock by `ms` milliseconds; a negative number sets only the wall clock back.
    pub fn advance_ms(&self, ms: i64) {
        // In this order, so that an observer of the elapsed time also sees the new wall clock.
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
        self.elapsed_ms.fetch_add(ms.max(0), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.now_ms.load(Ordering::SeqCst))
    }

    fn monotonic_us(&self) -> u64 {
        u64::try_from(self.elapsed_ms.load(Ordering::SeqCst)).unwrap_or(0) * 1_000
    }
}
