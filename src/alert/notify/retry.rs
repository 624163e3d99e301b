//! The retry schedule of notifications: pure functions of clock and chance.

use std::time::Duration;

use crate::model::Timestamp;

/// Waits after the first, second, ... failed attempt, in seconds; the last one repeats.
const WAITS_S: [u32; 7] = [5, 30, 120, 300, 900, 1_800, 3_600];
/// Maximum relative deviation of a wait, so that many senders do not retry at once.
const JITTER: f64 = 0.2;
/// Maximum wait that a receiver may request.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// Age at which a message is given up at its next failure, in milliseconds.
pub const GIVE_UP_AFTER_MS: i64 = 24 * 3_600 * 1_000;

/// What a response means for the message, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResponseClass {
    /// Accepted.
    Delivered,
    /// A retry may succeed.
    Retry,
    /// No retry can succeed.
    Dead,
    /// The receiver wants no more messages.
    Gone,
}

/// Classifies an HTTP status.
pub const fn class_of(status: u16) -> ResponseClass {
    match status {
        200..=299 => ResponseClass::Delivered,
        410 => ResponseClass::Gone,
        408 | 425 | 429 | 500..=599 => ResponseClass::Retry,
        _ => ResponseClass::Dead,
    }
}

/// Time of the next attempt after `attempts` failed ones, the last just now; `None` to give up.
///
/// `chance` is a random number in `[0, 1)`. A wait requested by the receiver (`retry_after`) takes
/// precedence over the schedule, up to [`RETRY_AFTER_MAX`].
pub fn next_attempt(
    created_at: Timestamp,
    now: Timestamp,
    attempts: u32,
    retry_after: Option<Duration>,
    chance: f64,
) -> Option<Timestamp> {
    if now.as_unix_ms().saturating_sub(created_at.as_unix_ms()) >= GIVE_UP_AFTER_MS {
        return None;
    }
    let wait = match retry_after.filter(|wait| !wait.is_zero()) {
        Some(wait) => wait.min(RETRY_AFTER_MAX),
        None => {
            let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
            let wait_s = WAITS_S.get(step).or(WAITS_S.last()).copied().unwrap_or(3_600);
            let factor = 1.0 + JITTER * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
            Duration::from_secs_f64(f64::from(wait_s) * factor)
        }
    };
    Some(now.plus_ms(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wait_s(attempts: u32, chance: f64) -> f64 {
        let now = Timestamp::from_unix_ms(1_000_000);
        let next = next_attempt(now, now, attempts, None, chance).unwrap();
        f64::from(u32::try_from(next.as_unix_ms() - now.as_unix_ms()).unwrap()) / 1_000.0
    }

    #[test]
    fn the_schedule() {
        let waits: Vec<f64> = (1..=9).map(|attempts| wait_s(attempts, 0.5)).collect();
        assert_eq!(waits, [5.0, 30.0, 120.0, 300.0, 900.0, 1_800.0, 3_600.0, 3_600.0, 3_600.0]);
        assert_eq!((wait_s(1, 0.0), wait_s(2, 0.0)), (4.0, 24.0));
    }

    #[test]
    fn the_receiver_decides_up_to_an_hour() {
        let now = Timestamp::from_unix_ms(0);
        let next = |s| next_attempt(now, now, 1, Some(Duration::from_secs(s)), 0.5);
        assert_eq!(next(7), Some(now.plus_ms(7_000)));
        assert_eq!(next(90_000), Some(now.plus_ms(3_600_000)));
        assert_eq!(next(0), Some(now.plus_ms(5_000)), "at once would be a loop");
    }

    #[test]
    fn after_a_day_it_is_given_up() {
        let created_at = Timestamp::from_unix_ms(0);
        let at = |ms| next_attempt(created_at, Timestamp::from_unix_ms(ms), 30, None, 0.5);
        assert!(at(GIVE_UP_AFTER_MS - 1).is_some());
        assert_eq!(at(GIVE_UP_AFTER_MS), None);
    }

    #[test]
    fn each_status_has_a_verdict() {
        let table = [
            (200, ResponseClass::Delivered),
            (204, ResponseClass::Delivered),
            (301, ResponseClass::Dead),
            (400, ResponseClass::Dead),
            (404, ResponseClass::Dead),
            (408, ResponseClass::Retry),
            (410, ResponseClass::Gone),
            (425, ResponseClass::Retry),
            (429, ResponseClass::Retry),
            (500, ResponseClass::Retry),
            (503, ResponseClass::Retry),
        ];
        for (status, class) in table {
            assert_eq!(class_of(status), class, "{status}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// No wait exceeds an hour plus jitter, none is below four seconds, and all are within 20 %
        /// of the schedule.
        #[test]
        fn every_delay_is_bounded(attempts in 0_u32..1_000, chance in 0.0_f64..1.0) {
            let wait = wait_s(attempts, chance);
            prop_assert!((4.0..=4_320.0).contains(&wait), "{wait}");
            let middle = wait_s(attempts, 0.5);
            prop_assert!((wait / middle - 1.0).abs() <= 0.2 + 1e-3);
        }
    }
}
