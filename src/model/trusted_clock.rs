//! A wall clock with safeguards, because it may be wrong and may be corrected at any time.
//!
//! Monotonic time does not jump, so a wall-clock time that was right once stays known: the last
//! value plus the elapsed monotonic time, which is a [`Timeline`]. It follows a deviating wall
//! clock only after the deviation has lasted for a while. There are two timelines: deletion of rows
//! is final and waits for a day, alerts are about the present and wait for minutes.

use std::sync::{Arc, Mutex, PoisonError};

use super::Timestamp;
use super::clock::Clock;
use super::time::{DAY_MS, HOUR_MS, MINUTE_MS};

/// Maximum difference at which a wall clock agrees with a timeline, in milliseconds: two clocks are
/// never read at the same instant, and they drift.
const TOLERANCE_MS: i64 = 1_000;
/// Time after which retention follows a deviating wall clock, in milliseconds.
const RETENTION_DELAY_MS: i64 = DAY_MS;
/// Time after which alerts follow a deviating wall clock, in milliseconds; equal to the maximum gap
/// between evaluations that is not a gap in the data.
const ALERTS_DELAY_MS: i64 = 5 * MINUTE_MS;
/// Maximum difference between the stored clock and the wall clock at startup that a stop explains,
/// in milliseconds.
const EXPLAINED_STOP_MS: i64 = HOUR_MS;

/// Wall-clock time extrapolated by monotonic time.
#[derive(Clone, Debug)]
struct Timeline {
    /// Wall-clock time at `anchor_us`, in Unix milliseconds.
    anchor_ms: i64,
    /// Monotonic time of the anchor, in microseconds.
    anchor_us: u64,
    delay_us: u64,
    deviation: Option<Deviation>,
}

/// A continuous deviation of the wall clock, either ahead of a timeline or behind it.
#[derive(Clone, Copy, Debug)]
struct Deviation {
    since_us: u64,
    /// The smallest deviation so far in milliseconds, positive if the clock is ahead; it has lasted
    /// all along.
    min_ms: i64,
}

impl Timeline {
    fn new(at: Timestamp, now_us: u64, delay_ms: i64) -> Self {
        Self {
            anchor_ms: at.as_unix_ms(),
            anchor_us: now_us,
            delay_us: delay_ms.unsigned_abs().saturating_mul(1_000),
            deviation: None,
        }
    }

    fn at_ms(&self, now_us: u64) -> i64 {
        let elapsed_ms = now_us.saturating_sub(self.anchor_us) / 1_000;
        self.anchor_ms.saturating_add(i64::try_from(elapsed_ms).unwrap_or(i64::MAX))
    }

    /// Compares the wall clock with the timeline, which follows a deviation that has lasted long
    /// enough. Returns how far the clock is ahead afterwards, in milliseconds.
    fn update(&mut self, wall_ms: i64, now_us: u64) -> i64 {
        let mut ahead_ms = wall_ms.saturating_sub(self.at_ms(now_us));
        let lasting = self.deviation.filter(|lasting| lasting.min_ms.signum() == ahead_ms.signum());
        if ahead_ms.abs() <= TOLERANCE_MS {
            self.deviation = None;
            return ahead_ms;
        }
        let mut deviation = lasting.unwrap_or(Deviation { since_us: now_us, min_ms: ahead_ms });
        if ahead_ms.abs() < deviation.min_ms.abs() {
            deviation.min_ms = ahead_ms;
        }
        if now_us.saturating_sub(deviation.since_us) >= self.delay_us {
            self.anchor_ms = self.anchor_ms.saturating_add(deviation.min_ms);
            ahead_ms -= deviation.min_ms;
            deviation = Deviation { since_us: now_us, min_ms: ahead_ms };
        }
        self.deviation = (ahead_ms.abs() > TOLERANCE_MS).then_some(deviation);
        ahead_ms
    }
}

/// One reading of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// Wall-clock time.
    pub wall: Timestamp,
    /// Time for retention: the wall clock, but never later than the stored clock plus the elapsed
    /// monotonic time.
    pub trusted: Timestamp,
    /// The later of both; no past event is later.
    pub latest: Timestamp,
    /// Time for alerts: follows a jump of the wall clock after five minutes.
    pub steady: Timestamp,
    /// How far the wall clock is ahead of the stored clock plus the elapsed monotonic time, in
    /// milliseconds; negative if it is behind.
    pub ahead_ms: i64,
    /// Minimum remaining pause of retention by age in milliseconds, because the clock was more than
    /// an hour ahead of the stored one at startup; 0 if not paused.
    pub paused_ms: i64,
}

impl ClockReading {
    /// Time for retention by age; `None` while it is paused.
    pub const fn ages_at(&self) -> Option<Timestamp> {
        if self.paused_ms > 0 { None } else { Some(self.trusted) }
    }
}

#[derive(Debug)]
struct Timelines {
    ages: Timeline,
    alerts: Timeline,
    /// Whether the clock was more than an hour ahead of the stored one at startup, and still is.
    is_paused: bool,
}

/// A clock that knows how far its wall-clock time can be trusted.
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
    /// Creates a clock; `stored` is the last reading on disk, `None` to trust the wall clock.
    ///
    /// A difference of up to an hour from `stored` is explained by a stop, so the wall clock is
    /// trusted.
    pub fn new(clock: Arc<dyn Clock>, stored: Option<Timestamp>) -> Self {
        let (wall, now_us) = (clock.now(), clock.monotonic_us());
        let explained = |stored: &Timestamp| {
            wall.as_unix_ms().saturating_sub(stored.as_unix_ms()).abs() <= EXPLAINED_STOP_MS
        };
        let start = stored.filter(|stored| !explained(stored)).unwrap_or(wall);
        let mut ages = Timeline::new(start, now_us, RETENTION_DELAY_MS);
        let ahead_ms = ages.update(wall.as_unix_ms(), now_us);
        let alerts = Timeline::new(wall, now_us, ALERTS_DELAY_MS);
        let timelines = Timelines { ages, alerts, is_paused: ahead_ms > EXPLAINED_STOP_MS };
        Self { clock, timelines: Mutex::new(timelines) }
    }

    /// Reads the clock. A deviation counts from the first reading that observes it, so call this
    /// every few seconds.
    pub fn read(&self) -> ClockReading {
        let (wall, now_us) = (self.clock.now(), self.clock.monotonic_us());
        let wall_ms = wall.as_unix_ms();
        let mut timelines = self.timelines.lock().unwrap_or_else(PoisonError::into_inner);
        let Timelines { ages, alerts, is_paused } = &mut *timelines;
        let ahead_ms = ages.update(wall_ms, now_us);
        *is_paused &= ahead_ms > EXPLAINED_STOP_MS;
        let line = Timestamp::from_unix_ms(ages.at_ms(now_us));
        let alerts_ahead_ms = alerts.update(wall_ms, now_us);
        let steady = if alerts_ahead_ms.abs() <= TOLERANCE_MS {
            wall
        } else {
            Timestamp::from_unix_ms(alerts.at_ms(now_us))
        };
        let since_us = ages.deviation.map_or(now_us, |deviation| deviation.since_us);
        let left_us = since_us.saturating_add(ages.delay_us).saturating_sub(now_us);
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

    /// Microseconds since an arbitrary fixed point; never decreases.
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

    /// Lets time pass as for a server, which reads the clock every 15 seconds; in milliseconds
    /// since startup.
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
    fn a_clock_set_back_is_followed_immediately_and_its_return_is_a_deviation() {
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
