//! A circuit breaker: who keeps failing is left alone for a while.

use std::time::Duration;

/// Counts failures in a row and says whether to ask; every instant is an argument, in monotonic
/// microseconds.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use chatgauge::chat::CircuitBreaker;
/// let mut breaker = CircuitBreaker::new(2, Duration::from_secs(10));
/// breaker.failed(0);
/// assert!(breaker.may_ask(0));
/// breaker.failed(0);
/// assert!(!breaker.may_ask(9_999_999));
/// assert!(breaker.may_ask(10_000_000), "one attempt finds out");
/// assert!(!breaker.may_ask(10_000_001), "and only one");
/// ```
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    threshold: u32,
    rest_us: u64,
    failures: u32,
    /// Closed to questions until then.
    open_until_us: Option<u64>,
}

impl CircuitBreaker {
    /// A breaker that opens after `threshold` failures in a row, for `rest`.
    pub fn new(threshold: u32, rest: Duration) -> Self {
        Self {
            threshold: threshold.max(1),
            rest_us: u64::try_from(rest.as_micros()).unwrap_or(u64::MAX),
            failures: 0,
            open_until_us: None,
        }
    }

    /// Whether to ask now. After the rest one attempt is let through, and the next only when that one
    /// has ended or another rest is over.
    pub const fn may_ask(&mut self, now_us: u64) -> bool {
        match self.open_until_us {
            None => true,
            Some(until_us) if now_us >= until_us => {
                self.open_until_us = Some(now_us.saturating_add(self.rest_us));
                true
            }
            Some(_) => false,
        }
    }

    /// Whether nobody is asked at an instant, as far as is known now.
    pub const fn is_open(&self, at_us: u64) -> bool {
        matches!(self.open_until_us, Some(until_us) if at_us < until_us)
    }

    /// It was answered.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
        self.open_until_us = None;
    }

    /// It failed in a way that may pass.
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
    fn it_opens_rests_tries_once_and_closes_on_success() {
        let mut breaker = CircuitBreaker::new(3, Duration::from_micros(100));
        for now_us in 0..3 {
            assert!(breaker.may_ask(now_us));
            breaker.failed(now_us);
        }
        assert!(!breaker.may_ask(50));
        assert!(breaker.may_ask(102));
        breaker.failed(103);
        assert!(!breaker.may_ask(202), "a failed trial means another rest");
        assert!(breaker.may_ask(203));
        breaker.succeeded();
        assert!(breaker.may_ask(204) && breaker.may_ask(204));
        breaker.failed(205);
        assert!(breaker.may_ask(206), "failures in a row are counted anew");
    }
}
