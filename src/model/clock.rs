//! The clock as a value, so that everything below the service can be driven by a test.

use std::sync::atomic::{AtomicI64, Ordering};

use super::Timestamp;

/// A source of wall time and of monotonic time.
///
/// Wall time dates records; monotonic time measures durations, so that a stepped wall clock never
/// makes a latency wrong.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The current instant, in Unix milliseconds.
    fn now(&self) -> Timestamp;
    /// Microseconds since an arbitrary fixed point; never goes back.
    fn monotonic_us(&self) -> u64;
}

/// A clock that moves only when told to.
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
    /// Only ever grows, also when the wall clock is set back.
    elapsed_ms: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { now_ms: AtomicI64::new(now.as_unix_ms()), elapsed_ms: AtomicI64::new(0) }
    }

    /// Moves the wall clock alone, forward or back, as somebody who sets it does.
    pub fn jump_ms(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Moves the clock forward by `ms` milliseconds; a negative number sets the wall clock back.
    pub fn advance_ms(&self, ms: i64) {
        // In this order: whoever sees that time has passed sees the wall clock of then.
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
