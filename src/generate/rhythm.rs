//! Traffic patterns: hours, weekdays, variation by minute, bursts and incidents.

use super::lognormal::as_f64;
use super::population::mix;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::{TimeRange, Timestamp};

/// Traffic at the start of each UTC hour, in percent of the busiest hour; linear in between.
const HOURS_PERCENT: [u64; 24] = [
    18, 15, 13, 12, 14, 20, 34, 55, 78, 92, 98, 96, 88, 95, 100, 97, 88, 76, 62, 52, 44, 36, 28, 22,
];
/// Traffic of each weekday, Monday first, in percent of the busiest day.
const WEEKDAYS_PERCENT: [u64; 7] = [96, 100, 100, 98, 88, 42, 38];
/// 1970-01-01 was a Thursday.
const WEEKDAY_OF_EPOCH: i64 = 3;

/// One in this many five-minute intervals is a burst.
const BURST_ODDS: u64 = 150;
const BURST_MS: i64 = 5 * MINUTE_MS;
const BURST_FACTOR: u64 = 4;
/// One in this many ten-minute intervals is an incident, in which many requests fail.
const INCIDENT_ODDS: u64 = 250;
const INCIDENT_MS: i64 = 10 * MINUTE_MS;

// Separate salts, so that independent decisions do not share random bits.
const MINUTE_SALT: u64 = 0x6d69_6e75;
const BURST_SALT: u64 = 0x6275_7273;
const INCIDENT_SALT: u64 = 0x696e_6369;

/// A minute, or its part inside the range, and its share of the requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrafficMinute {
    pub(super) range: TimeRange,
    pub(super) weight: u64,
}

/// The minutes of a range, in order.
#[derive(Clone, Debug)]
pub(super) struct TrafficMinutes {
    seed: u64,
    next: Timestamp,
    end: Timestamp,
}

impl TrafficMinutes {
    pub(super) const fn new(seed: u64, range: TimeRange) -> Self {
        Self { seed, next: range.start, end: range.end }
    }
}

impl Iterator for TrafficMinutes {
    type Item = TrafficMinute;

    fn next(&mut self) -> Option<TrafficMinute> {
        if self.next >= self.end {
            return None;
        }
        let start = self.next;
        let end = start.floor_to(MINUTE_MS).plus_ms(MINUTE_MS).min(self.end);
        self.next = end;
        let length_ms = end.as_unix_ms().saturating_sub(start.as_unix_ms()).unsigned_abs();
        let weight = length_ms * calendar(start) * minute(self.seed, start);
        Some(TrafficMinute { range: TimeRange { start, end }, weight })
    }
}

/// Traffic of a minute relative to the average.
pub(super) fn activity(seed: u64, at: Timestamp) -> f64 {
    as_f64(minute(seed, at)) / 1_000.0
}

/// Whether a provider has an incident, in which many requests fail.
pub(super) fn is_incident(seed: u64, at: Timestamp) -> bool {
    dice(seed ^ INCIDENT_SALT, at, INCIDENT_MS).is_multiple_of(INCIDENT_ODDS)
}

/// Traffic by hour and weekday, in 1/10,000 of the busiest hour of the busiest day, times 60.
fn calendar(at: Timestamp) -> u64 {
    let ms = at.as_unix_ms();
    let day = ms.div_euclid(DAY_MS);
    let hour = ms.rem_euclid(DAY_MS) / HOUR_MS;
    let minute = (ms.rem_euclid(HOUR_MS) / MINUTE_MS).unsigned_abs();
    let index = |value: i64| usize::try_from(value).unwrap_or(0);
    let now = HOURS_PERCENT[index(hour)];
    let next = HOURS_PERCENT[index((hour + 1) % 24)];
    let by_hour = now * (60 - minute) + next * minute;
    by_hour * WEEKDAYS_PERCENT[index((day + WEEKDAY_OF_EPOCH).rem_euclid(7))]
}

/// Traffic of a minute, in 1/1,000 of the average: 700 to 1,300, or four times that in a burst.
fn minute(seed: u64, at: Timestamp) -> u64 {
    let usual = 700 + dice(seed ^ MINUTE_SALT, at, MINUTE_MS) % 601;
    let burst = dice(seed ^ BURST_SALT, at, BURST_MS).is_multiple_of(BURST_ODDS);
    if burst { usual * BURST_FACTOR } else { usual }
}

/// Random bits that are constant within an aligned interval.
fn dice(seed: u64, at: Timestamp, width_ms: i64) -> u64 {
    mix(seed, at.as_unix_ms().div_euclid(width_ms).unsigned_abs())
}
