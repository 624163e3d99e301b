//! Wait times before retries, as a pure function.

use std::time::Duration;

/// Exponential backoff with full jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Number of retries with the same model.
    pub retries: u32,
    /// Maximum wait before the first retry; it doubles with each retry.
    pub base: Duration,
    /// Maximum wait before any retry.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { retries: 2, base: Duration::from_millis(500), cap: Duration::from_secs(8) }
    }
}

impl Backoff {
    /// The wait before retry number `retry` (0 for the first); `chance` is a random number from 0
    /// to 1.
    ///
    /// A longer `Retry-After` of the provider takes precedence, up to the cap.
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    /// use chatgauge::chat::Backoff;
    /// let backoff = Backoff::default();
    /// assert_eq!(backoff.wait(1, 1.0, None), Duration::from_secs(1));
    /// assert_eq!(backoff.wait(9, 0.5, None), Duration::from_secs(4));
    /// ```
    pub fn wait(&self, retry: u32, chance: f64, retry_after: Option<Duration>) -> Duration {
        let longest = self.base.saturating_mul(2_u32.saturating_pow(retry)).min(self.cap);
        let wait = longest.mul_f64(chance.clamp(0.0, 1.0));
        retry_after.map_or(wait, |asked| asked.max(wait).min(self.cap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_retry_after_wins() {
        let backoff = Backoff::default();
        let ms = |retry, chance, after: Option<u64>| {
            backoff.wait(retry, chance, after.map(Duration::from_millis)).as_millis()
        };
        assert_eq!([ms(0, 1.0, None), ms(1, 1.0, None), ms(2, 1.0, None)], [500, 1_000, 2_000]);
        assert_eq!([ms(30, 1.0, None), ms(200, 1.0, None)], [8_000, 8_000]);
        assert_eq!(ms(0, 0.0, None), 0);
        assert_eq!([ms(0, 0.5, Some(3_000)), ms(0, 0.5, Some(60_000))], [3_000, 8_000]);
    }
}
