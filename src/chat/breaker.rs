//! A circuit breaker: it stops calls to a provider that keeps failing.

use std::time::Duration;

use crate::model::clock::as_us;

/// Counts consecutive failures and decides whether a call is allowed. Instants are arguments, in
/// monotonic microseconds.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use chatgauge::chat::CircuitBreaker;
/// let mut breaker = CircuitBreaker::new(2, Duration::from_secs(10));
/// breaker.failed(0);
/// assert!(breaker.allows_call(0));
/// breaker.failed(0);
/// assert!(!breaker.allows_call(9_999_999));
/// assert!(breaker.allows_call(10_000_000), "one trial call");
/// assert!(!breaker.allows_call(10_000_001), "and only one");
/// ```
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    threshold: u32,
    rest_us: u64,
    failures: u32,
    /// End of the time without calls.
    open_until_us: Option<u64>,
}

impl CircuitBreaker {
    /// A breaker that opens for `rest` after `threshold` consecutive failures.
    pub fn new(threshold: u32, rest: Duration) -> Self {
        Self { threshold: threshold.max(1), rest_us: as_us(rest), failures: 0, open_until_us: None }
    }

    /// Whether a call is allowed now. After the rest, one trial call is allowed; the next one only
    /// when the trial has ended or another rest has passed.
    pub const fn allows_call(&mut self, now_us: u64) -> bool {
        match self.open_until_us {
            None => true,
            Some(until_us) if now_us >= until_us => {
                self.open_until_us = Some(now_us.saturating_add(self.rest_us));
                true
            }
            Some(_) => false,
        }
    }

    /// Whether the breaker is open at an instant, as far as is known now.
    pub const fn is_open(&self, at_us: u64) -> bool {
        matches!(self.open_until_us, Some(until_us) if at_us < until_us)
    }

    /// Records a successful call, which closes the breaker.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
        self.open_until_us = None;
    }

    /// Records a failure that a retry may fix.
    pub const fn failed(&mut self, now_us: u64) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.threshold {
            self.open_until_us = Some(now_us.saturating_add(self.rest_us));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_breaker_opens_probes_once_and_closes_on_success() {
        let mut breaker = CircuitBreaker::new(3, Duration::from_micros(100));
        for now_us in 0..3 {
            assert!(breaker.allows_call(now_us));
            breaker.failed(now_us);
        }
        assert!(!breaker.allows_call(50));
        assert!(breaker.allows_call(102));
        breaker.failed(103);
        assert!(!breaker.allows_call(202), "a failed trial means another rest");
        assert!(breaker.allows_call(203));
        breaker.succeeded();
        assert!(breaker.allows_call(204) && breaker.allows_call(204));
        breaker.failed(205);
        assert!(breaker.allows_call(206), "a success resets the count of failures in a row");
    }
}
