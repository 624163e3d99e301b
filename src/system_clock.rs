//! The system clock; only this file reads it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::{Clock, Timestamp};

/// The wall clock and the monotonic clock of the system.
///
/// # Example
/// ```
/// use chatgauge::SystemClock;
/// use chatgauge::model::Clock;
/// let clock = SystemClock::new();
/// let earlier = clock.monotonic_us();
/// assert!(clock.monotonic_us() >= earlier);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Creates a clock whose monotonic time starts at 0.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else is given")]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else is given")]
    fn now(&self) -> Timestamp {
        let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        Timestamp::from_unix_ms(ms)
    }

    fn monotonic_us(&self) -> u64 {
        let elapsed = self.origin.elapsed();
        // `as_micros` would divide a 128-bit number, and every request reads the clock.
        elapsed.as_secs() * 1_000_000 + u64::from(elapsed.subsec_micros())
    }
}
