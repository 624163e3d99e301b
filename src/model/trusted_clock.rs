//! How far the wall clock is followed: it may be wrong, and may be corrected at any moment.
//!
//! Monotonic time does not jump, so wall time that was right once stays known: the last value plus the monotonic time
//! since. That sum is a [`Timeline`]. It follows a wall clock that deviates from it only after the deviation has lasted a
//! while. Two timelines serve two needs: deleting rows is final and waits a day, alerts are about now and wait minutes.

use std::sync::{Arc, Mutex, PoisonError};

use super::Timestamp;
use super::clock::Clock;
use super::time::{DAY_MS, HOUR_MS, MINUTE_MS};

/// A wall clock this close to a timeline agrees with it, in milliseconds: two clocks are never read at one instant, and
/// they drift.
const TOLERANCE_MS: i64 = 1_000;
/// How long the wall clock deviates before ages are counted by it, in milliseconds.
const AGES_PATIENCE_MS: i64 = DAY_MS;
/// How long the wall clock deviates before alerts go by it, in milliseconds: as long as a pause between two evaluations
/// that counts as none.
const ALERTS_PATIENCE_MS: i64 = 5 * MINUTE_MS;
/// A stop explains so much between the stored clock and the wall clock at the start, in milliseconds.
const STOP_MS: i64 = HOUR_MS;

/// Wall time that goes on with monotonic time.
#[derive(Clone, Debug)]
struct Timeline {
    /// Wall time at `anchor_us`, in Unix milliseconds.
    anchor_ms: i64,
    /// In monotonic microseconds.
    anchor_us: u64,
    patience_us: u64,
    deviation: Option<Deviation>,
}

/// The wall clock is ahead of a timeline, or behind it, without a break.
#[derive(Clone, Copy, Debug)]
struct Deviation {
    since_us: u64,
    /// The smallest so far, in milliseconds, above 0 when the clock is ahead: it has lasted all the time.
    least_ms: i64,
}

impl Timeline {
    fn new(at: Timestamp, now_us: u64, patience_ms: i64) -> Self {
        Self {
            anchor_ms: at.as_unix_ms(),
            anchor_us: now_us,
            patience_us: patience_ms.unsigned_abs().saturating_mul(1_000),
            deviation: None,
        }
    }

    fn at_ms(&self, now_us: u64) -> i64 {
        let elapsed_ms = now_us.saturating_sub(self.anchor_us) / 1_000;
        self.anchor_ms.saturating_add(i64::try_from(elapsed_ms).unwrap_or(i64::MAX))
    }

    /// Compares the wall clock with the timeline, which follows by what has lasted long enough; how far the clock
    /// is ahead afterwards, in milliseconds.
    fn look(&mut self, wall_ms: i64, now_us: u64) -> i64 {
        let mut ahead_ms = wall_ms.saturating_sub(self.at_ms(now_us));
        let lasting =
            self.deviation.filter(|lasting| lasting.least_ms.signum() == ahead_ms.signum());
        if ahead_ms.abs() <= TOLERANCE_MS {
            self.deviation = None;
            return ahead_ms;
        }
        let mut deviation = lasting.unwrap_or(Deviation { since_us: now_us, least_ms: ahead_ms });
        if ahead_ms.abs() < deviation.least_ms.abs() {
            deviation.least_ms = ahead_ms;
        }
        if now_us.saturating_sub(deviation.since_us) >= self.patience_us {
            self.anchor_ms = self.anchor_ms.saturating_add(deviation.least_ms);
            ahead_ms -= deviation.least_ms;
            deviation = Deviation { since_us: now_us, least_ms: ahead_ms };
        }
        self.deviation = (ahead_ms.abs() > TOLERANCE_MS).then_some(deviation);
        ahead_ms
    }
}

/// One look at the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// What the wall clock says.
    pub wall: Timestamp,
    /// What ages are counted by: the wall clock, but never later than the last stored clock plus the monotonic time
    /// since.
    pub trusted: Timestamp,
    /// The later of both: nothing that has happened is later.
    pub latest: Timestamp,
    /// What alerts go by: a wall clock that jumps is followed after five minutes.
    pub steady: Timestamp,
    /// How far the wall clock is ahead of the last stored clock plus the monotonic time since, in milliseconds; below 0:
    /// behind.
    pub ahead_ms: i64,
    /// Monotonic time, in milliseconds, for which nothing is to be deleted because of its age, at least: the clock was
    /// more than an hour past the stored one at the start. 0: ages count.
    pub paused_ms: i64,
}

impl ClockReading {
    /// What ages are counted by; `None` while nothing is to be deleted because of its age.
    pub const fn ages_at(&self) -> Option<Timestamp> {
        if self.paused_ms > 0 { None } else { Some(self.trusted) }
    }
}

#[derive(Debug)]
struct Timelines {
    ages: Timeline,
    alerts: Timeline,
    /// The clock was more than an hour past the stored one at the start, and still is.
    is_paused: bool,
}

/// A clock that knows how far its wall time is to be trusted.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use chatgauge::model::{ManualClock, Timestamp, TrustedClock};
/// let clock = Arc::new(ManualClock::new(Timestamp::from_unix_ms(1_000_000)));
/// let trusted = TrustedClock::new(clock.clone(), None);
/// clock.jump_ms(86_400_000);
/// assert_eq!(trusted.read().trusted.as_unix_ms(), 1_000_000, "a jump makes nothing a day older");
/// ```
#[derive(Debug)]
pub struct TrustedClock {
    clock: Arc<dyn Clock>,
    timelines: Mutex<Timelines>,
}

impl TrustedClock {
    /// A clock that starts from `stored`, the last reading that came to disk; `None`: the wall clock is all there is.
    ///
    /// Within an hour of `stored` the wall clock is believed: a stop explains the difference.
    pub fn new(clock: Arc<dyn Clock>, stored: Option<Timestamp>) -> Self {
        let (wall, now_us) = (clock.now(), clock.monotonic_us());
        let explained = |stored: &Timestamp| {
            wall.as_unix_ms().saturating_sub(stored.as_unix_ms()).abs() <= STOP_MS
        };
        let start = stored.filter(|stored| !explained(stored)).unwrap_or(wall);
        let mut ages = Timeline::new(start, now_us, AGES_PATIENCE_MS);
        let ahead_ms = ages.look(wall.as_unix_ms(), now_us);
        let alerts = Timeline::new(wall, now_us, ALERTS_PATIENCE_MS);
        let timelines = Timelines { ages, alerts, is_paused: ahead_ms > STOP_MS };
        Self { clock, timelines: Mutex::new(timelines) }
    }

    /// Looks at the clocks. A deviation counts from the first look that sees it, so somebody has to look every few
    /// seconds.
    pub fn read(&self) -> ClockReading {
        let (wall, now_us) = (self.clock.now(), self.clock.monotonic_us());
        let wall_ms = wall.as_unix_ms();
        let mut timelines = self.timelines.lock().unwrap_or_else(PoisonError::into_inner);
        let Timelines { ages, alerts, is_paused } = &mut *timelines;
        let ahead_ms = ages.look(wall_ms, now_us);
        *is_paused &= ahead_ms > STOP_MS;
        let line = Timestamp::from_unix_ms(ages.at_ms(now_us));
        let alerts_ahead_ms = alerts.look(wall_ms, now_us);
        let steady = if alerts_ahead_ms.abs() <= TOLERANCE_MS {
            wall
        } else {
            Timestamp::from_unix_ms(alerts.at_ms(now_us))
        };
        let since_us = ages.deviation.map_or(now_us, |deviation| deviation.since_us);
        let left_us = since_us.saturating_add(ages.patience_us).saturating_sub(now_us);
        let left_ms = i64::try_from(left_us.div_ceil(1_000)).unwrap_or(i64::MAX);
        ClockReading {
            wall,
            trusted: wall.min(line),
            latest: wall.max(line),
            steady,
            ahead_ms: if ahead_ms.abs() <= TOLERANCE_MS { 0 } else { ahead_ms },
            paused_ms: if *is_paused { left_ms } else { 0 },
        }
    }

    /// Microseconds since an arbitrary fixed point; never goes back.
    pub fn monotonic_us(&self) -> u64 {
        self.clock.monotonic_us()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::ManualClock;

    const START_MS: i64 = 1_790_000_000_000;

    fn started(stored_before_ms: Option<i64>) -> (Arc<ManualClock>, TrustedClock) {
        let now = Timestamp::from_unix_ms(START_MS);
        let clock = Arc::new(ManualClock::new(now));
        let stored = stored_before_ms.map(|ms| now.plus_ms(-ms));
        (clock.clone(), TrustedClock::new(clock, stored))
    }

    /// Lets time pass as a server sees it, which looks every quarter of a minute; in milliseconds since the start.
    fn pass(clock: &ManualClock, trusted: &TrustedClock, ms: i64) -> ClockReading {
        for _ in 0..ms / 15_000 {
            clock.advance_ms(15_000);
            trusted.read();
        }
        clock.advance_ms(ms % 15_000);
        trusted.read()
    }

    fn since_start(at: Timestamp) -> i64 {
        at.as_unix_ms() - START_MS
    }

    #[test]
    fn without_deviations_everything_is_the_wall_clock() {
        for stored_before_ms in [None, Some(0), Some(HOUR_MS), Some(-HOUR_MS)] {
            let (clock, trusted) = started(stored_before_ms);
            let reading = pass(&clock, &trusted, 40 * HOUR_MS);
            let wall = clock.now();
            let all = (reading.trusted, reading.latest, reading.steady);
            assert_eq!(all, (wall, wall, wall), "{stored_before_ms:?}");
            assert_eq!((reading.ahead_ms, reading.ages_at()), (0, Some(wall)));
        }
    }

    #[test]
    fn a_jump_ahead_is_not_followed_for_a_day() {
        let (clock, trusted) = started(Some(0));
        pass(&clock, &trusted, HOUR_MS);
        clock.jump_ms(30 * DAY_MS);
        let reading = pass(&clock, &trusted, DAY_MS - 15_000);
        assert_eq!(since_start(reading.trusted), HOUR_MS + DAY_MS - 15_000);
        assert_eq!((reading.ahead_ms, reading.paused_ms), (30 * DAY_MS, 0));
        let reading = pass(&clock, &trusted, 30_000);
        assert_eq!((reading.trusted, reading.ahead_ms), (clock.now(), 0));
    }

    #[test]
    fn a_jump_and_back_leaves_nothing_behind() {
        let (clock, trusted) = started(Some(0));
        for jump_ms in [3 * DAY_MS, -3 * DAY_MS] {
            clock.jump_ms(jump_ms);
            let during = pass(&clock, &trusted, 60_000);
            assert_eq!(during.ahead_ms, jump_ms);
            assert_eq!(during.latest, during.wall.max(during.wall.plus_ms(-jump_ms)));
            clock.jump_ms(-jump_ms);
            let after = pass(&clock, &trusted, 60_000);
            assert_eq!(
                (after.trusted, after.latest, after.ahead_ms),
                (clock.now(), clock.now(), 0)
            );
        }
    }

    #[test]
    fn a_short_deviation_before_does_not_shorten_the_day() {
        let (clock, trusted) = started(Some(0));
        clock.jump_ms(5_000);
        pass(&clock, &trusted, 23 * HOUR_MS);
        clock.jump_ms(30 * DAY_MS);
        let reading = pass(&clock, &trusted, 2 * HOUR_MS);
        assert_eq!(
            since_start(reading.trusted),
            25 * HOUR_MS + 5_000,
            "followed by the 5 s that lasted"
        );
        let reading = pass(&clock, &trusted, 24 * HOUR_MS);
        assert_eq!(reading.trusted, clock.now());
    }

    #[test]
    fn a_clock_that_is_set_back_is_followed_at_once_and_may_not_return_after_a_day() {
        let (clock, trusted) = started(Some(0));
        clock.jump_ms(-2 * DAY_MS);
        let reading = pass(&clock, &trusted, HOUR_MS);
        assert_eq!((reading.trusted, reading.ahead_ms), (clock.now(), -2 * DAY_MS));
        assert_eq!(reading.latest, clock.now().plus_ms(2 * DAY_MS));
        assert_eq!(pass(&clock, &trusted, DAY_MS).ahead_ms, 0);
        clock.jump_ms(2 * DAY_MS);
        assert_eq!(trusted.read().ahead_ms, 2 * DAY_MS);
    }

    #[test]
    fn a_start_long_after_the_stored_clock_pauses_ages_for_a_day() {
        let (clock, trusted) = started(Some(HOUR_MS + 1));
        assert_eq!(trusted.read().paused_ms, DAY_MS);
        let reading = pass(&clock, &trusted, 23 * HOUR_MS);
        assert_eq!((reading.ages_at(), reading.paused_ms), (None, HOUR_MS));
        assert_eq!(since_start(reading.trusted), 22 * HOUR_MS - 1, "never ahead of what is stored");
        assert_eq!(reading.steady, clock.now(), "alerts are about now");
        let reading = pass(&clock, &trusted, HOUR_MS);
        assert_eq!(reading.ages_at(), Some(clock.now()));
    }

    #[test]
    fn a_pause_ends_when_the_clock_is_corrected() {
        let (clock, trusted) = started(Some(3 * DAY_MS));
        assert!(trusted.read().paused_ms > 0);
        clock.jump_ms(-3 * DAY_MS + 2_000);
        let reading = trusted.read();
        assert_eq!((reading.paused_ms, reading.ages_at()), (0, Some(reading.trusted)));
        clock.jump_ms(10 * DAY_MS);
        assert_eq!(
            trusted.read().paused_ms,
            0,
            "a jump while running is not followed and pauses nothing"
        );
    }

    #[test]
    fn alerts_follow_a_jump_after_five_minutes_in_either_direction() {
        for jump_ms in [DAY_MS, -DAY_MS] {
            let (clock, trusted) = started(Some(0));
            clock.jump_ms(jump_ms);
            let reading = pass(&clock, &trusted, 4 * MINUTE_MS);
            assert_eq!(since_start(reading.steady), 4 * MINUTE_MS);
            assert_eq!(pass(&clock, &trusted, 90_000).steady, clock.now());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn ages_never_count_faster_than_the_clock_that_is_right(
            jumps in prop::collection::vec((0..30 * HOUR_MS, -40 * DAY_MS..40 * DAY_MS, 0..DAY_MS - 15_000), 1..6),
        ) {
            let (clock, trusted) = started(Some(0));
            let mut right_ms = START_MS;
            for (before_ms, jump_ms, lasting_ms) in jumps {
                pass(&clock, &trusted, before_ms);
                right_ms += before_ms;
                clock.jump_ms(jump_ms);
                let reading = pass(&clock, &trusted, lasting_ms);
                right_ms += lasting_ms;
                prop_assert!(reading.trusted.as_unix_ms() <= right_ms);
                prop_assert!(reading.latest.as_unix_ms() >= right_ms);
                clock.jump_ms(-jump_ms);
                let reading = trusted.read();
                prop_assert_eq!(reading.trusted.as_unix_ms(), right_ms);
            }
        }
    }
}
