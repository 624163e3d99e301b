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
    start_ms: i64,
    now_ms: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { start_ms: now.as_unix_ms(), now_ms: AtomicI64::new(now.as_unix_ms()) }
    }

    /// Moves the clock forward by `ms` milliseconds.
    pub fn advance_ms(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.now_ms.load(Ordering::SeqCst))
    }

    fn monotonic_us(&self) -> u64 {
        let elapsed_ms = self.now_ms.load(Ordering::SeqCst) - self.start_ms;
        u64::try_from(elapsed_ms).unwrap_or(0) * 1_000
    }
}
