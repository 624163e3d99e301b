//! Half-open ranges, rolling windows, rollup levels and calendar buckets.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::spelling::spelled_enum;
use super::zone::Tz;

/// One minute, in milliseconds.
pub const MINUTE_MS: i64 = 60_000;
/// 15 minutes, in milliseconds.
///
/// Every UTC offset since 1972 is a multiple of it. Clock changes are not always: some occurred one
/// minute past midnight.
pub const QUARTER_HOUR_MS: i64 = 15 * MINUTE_MS;
/// One hour, in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// One UTC day, in milliseconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// A half-open interval `[start, end)`; empty when `end <= start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// Start, inclusive.
    pub start: Timestamp,
    /// End, exclusive.
    pub end: Timestamp,
}

impl TimeRange {
    /// The range `[start, end)`.
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// The range between two Unix millisecond values.
    pub const fn from_unix_ms(start_ms: i64, end_ms: i64) -> Self {
        Self::new(Timestamp::from_unix_ms(start_ms), Timestamp::from_unix_ms(end_ms))
    }

    /// Whether the range is empty.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// Length in milliseconds; 0 if empty.
    pub fn width_ms(self) -> i64 {
        self.end.as_unix_ms().saturating_sub(self.start.as_unix_ms()).max(0)
    }

    /// Whether the range contains `at`.
    pub fn contains(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// The intersection of both ranges.
    pub fn intersect(self, other: Self) -> Self {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }
}

spelled_enum! {
    /// A rolling window that ends now.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum TimeWindow {
        /// The last 60 seconds.
        Minute = "minute",
        /// The last 60 minutes.
        Hour = "hour",
        /// The last 24 hours.
        Day = "day",
        /// The last 7 times 24 hours.
        Week = "week",
        /// The last 30 times 24 hours.
        Month = "month",
    }
}

impl TimeWindow {
    /// Length in milliseconds.
    pub const fn width_ms(self) -> i64 {
        match self {
            Self::Minute => MINUTE_MS,
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
            Self::Week => 7 * DAY_MS,
            Self::Month => 30 * DAY_MS,
        }
    }

    /// `[now - width, now]`, which includes a record of this very millisecond.
    pub const fn ending_at(self, now: Timestamp) -> TimeRange {
        let end = now.plus_ms(1);
        TimeRange::new(end.plus_ms(-self.width_ms()), end)
    }
}

/// A rollup level, by the width of its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// One minute.
    Minute,
    /// Fifteen minutes.
    QuarterHour,
    /// One UTC day.
    Day,
}

impl Level {
    /// Every level, finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::QuarterHour, Self::Day];

    /// Bucket width in milliseconds.
    pub const fn width_ms(self) -> i64 {
        match self {
            Self::Minute => MINUTE_MS,
            Self::QuarterHour => QUARTER_HOUR_MS,
            Self::Day => DAY_MS,
        }
    }

    /// Bucket width in minutes, as in the `level_minutes` columns.
    pub const fn minutes(self) -> i64 {
        self.width_ms() / MINUTE_MS
    }
}

spelled_enum! {
    /// Calendar buckets of a query result.
    pub enum Aggregation {
        /// One minute.
        Minute = "minute",
        /// Fifteen minutes.
        QuarterHour = "15m",
        /// One local hour.
        Hourly = "hourly",
        /// One local day: from the first instant with its date to the first instant with the next date;
        /// 23 or 25 hours long when clocks change by an hour.
        Daily = "daily",
        /// Seven local days from Monday.
        Weekly = "weekly",
        /// One local calendar month.
        Monthly = "monthly",
    }
}

impl Aggregation {
    /// Width of the shortest bucket in milliseconds, if clocks change by an hour on the hour.
    pub const fn min_width_ms(self) -> i64 {
        match self {
            Self::Minute => MINUTE_MS,
            Self::QuarterHour => QUARTER_HOUR_MS,
            Self::Hourly => HOUR_MS,
            Self::Daily => 23 * HOUR_MS,
            Self::Weekly => 7 * DAY_MS - HOUR_MS,
            Self::Monthly => 28 * DAY_MS - HOUR_MS,
        }
    }

    /// The start of the bucket in `tz` that contains `at`.
    ///
    /// Local hours start at minute 0 of the local time, which in zones such as Asia/Kathmandu is 15
    /// or 45 minutes past the UTC hour.
    pub fn bucket_start(self, at: Timestamp, tz: Tz) -> Timestamp {
        match self {
            Self::Minute => at.floor_to(MINUTE_MS),
            Self::QuarterHour => at.floor_to(QUARTER_HOUR_MS),
            Self::Hourly => local_hour_start(at, tz),
            Self::Daily => day_start(local_date(at, tz), tz),
            Self::Weekly => {
                let date = local_date(at, tz);
                let back = Days::new(u64::from(date.weekday().num_days_from_monday()));
                day_start(date.checked_sub_days(back).unwrap_or(date), tz)
            }
            Self::Monthly => {
                let date = local_date(at, tz);
                day_start(date.with_day(1).unwrap_or(date), tz)
            }
        }
    }

    /// The start of the bucket after the one that starts at `start`.
    pub fn next_start(self, start: Timestamp, tz: Tz) -> Timestamp {
        match self {
            Self::Minute | Self::QuarterHour => start.plus_ms(self.min_width_ms()),
            Self::Hourly => local_hour_end(start, tz),
            Self::Daily | Self::Weekly | Self::Monthly => {
                let next = self.next_date(local_date(start, tz)).map(|date| day_start(date, tz));
                next.filter(|next| *next > start).unwrap_or(start.plus_ms(self.min_width_ms()))
            }
        }
    }

    /// First date of the bucket after that of `date`; `None` at the end of all years, and for
    /// buckets shorter than a day.
    fn next_date(self, date: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Minute | Self::QuarterHour | Self::Hourly => None,
            Self::Daily => date.checked_add_days(Days::new(1)),
            Self::Weekly => date.checked_add_days(Days::new(7)),
            Self::Monthly => date.with_day(1)?.checked_add_months(Months::new(1)),
        }
    }

    /// The starts of all buckets that overlap `range`, followed by the end of the last one; empty
    /// for an empty range.
    pub fn boundaries(self, range: TimeRange, tz: Tz) -> Vec<Timestamp> {
        if range.is_empty() {
            return Vec::new();
        }
        let mut boundary = self.bucket_start(range.start, tz);
        if self == Self::Hourly {
            return hour_boundaries(boundary, range.end, tz);
        }
        let mut boundaries = vec![boundary];
        let mut date = local_date(boundary, tz);
        while boundary < range.end {
            // Advance by dates, so that each bucket needs only one lookup of the zone rules.
            let next = match self.next_date(date) {
                Some(next) => {
                    date = next;
                    day_start(next, tz)
                }
                None => boundary.plus_ms(self.min_width_ms()),
            };
            // A skipped date has no bucket.
            if next > boundary {
                boundary = next;
                boundaries.push(boundary);
            }
        }
        boundaries
    }

    /// Approximate maximum number of buckets that overlap `range`; a clock change within an hour
    /// adds one.
    pub fn max_buckets(self, range: TimeRange) -> i64 {
        range.width_ms() / self.min_width_ms() + 2
    }
}

/// The local date of `at` in `tz`.
///
/// If clocks are set back over midnight, from 00:01 to 23:01, the repeated part belongs to the new
/// date: a day is contiguous and starts when its date first occurs.
pub fn local_date(at: Timestamp, tz: Tz) -> NaiveDate {
    let shown = tz.local(at).date();
    match shown.succ_opt() {
        Some(next) if day_start(next, tz) <= at => next,
        _ => shown,
    }
}

/// The first instant of a local date; if midnight is skipped, the first instant after the gap.
pub fn day_start(date: NaiveDate, tz: Tz) -> Timestamp {
    tz.wall_time(date.and_time(NaiveTime::MIN)).first()
}

/// End of the local hour at `at`, by the offset at that instant.
fn shown_hour_end(at: Timestamp, tz: Tz) -> Timestamp {
    let offset_ms = tz.offset_ms(at);
    at.plus_ms(offset_ms).floor_to(HOUR_MS).plus_ms(HOUR_MS - offset_ms)
}

/// Start of the local hour that contains `at`; a change of the offset starts a new hour.
fn local_hour_start(at: Timestamp, tz: Tz) -> Timestamp {
    let start = shown_hour_end(at, tz).plus_ms(-HOUR_MS);
    tz.last_change(at, start).unwrap_or(start)
}

/// End of the local hour that starts at `start`.
fn local_hour_end(start: Timestamp, tz: Tz) -> Timestamp {
    let end = shown_hour_end(start, tz);
    tz.next_change(start, end).unwrap_or(end)
}

/// The starts of local hours from `start`, which is one, to the end of the hour that contains
/// `end`. Each clock change is looked up once, not once per hour.
fn hour_boundaries(start: Timestamp, end: Timestamp, tz: Tz) -> Vec<Timestamp> {
    let last = end.plus_ms(HOUR_MS);
    let change_after = |at| tz.next_change(at, last).unwrap_or(Timestamp::MAX);
    let (mut boundary, mut change) = (start, change_after(start));
    let mut boundaries = vec![boundary];
    let mut hour_end = shown_hour_end(boundary, tz);
    while boundary < end {
        boundary = hour_end.min(change);
        boundaries.push(boundary);
        hour_end = hour_end.plus_ms(HOUR_MS);
        if boundary == change {
            change = change_after(boundary);
            hour_end = shown_hour_end(boundary, tz);
        }
    }
    boundaries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn days_of_23_and_25_hours_are_cut_at_local_midnight() {
        let tz = "Europe/Warsaw".parse::<Tz>().unwrap();
        let range = TimeRange::new(at("2026-03-28T23:00:00Z"), at("2026-03-30T22:00:00Z"));
        let days = Aggregation::Daily.boundaries(range, tz);
        let widths: Vec<i64> =
            days.windows(2).map(|w| (w[1].as_unix_ms() - w[0].as_unix_ms()) / HOUR_MS).collect();
        assert_eq!(widths, [23, 24]);
        let autumn = TimeRange::new(at("2026-10-24T22:00:00Z"), at("2026-10-25T23:00:00Z"));
        let hours = Aggregation::Hourly.boundaries(autumn, tz);
        assert_eq!(hours.len() - 1, 25);
    }

    #[test]
    fn kathmandu_hours_start_at_a_quarter_to() {
        let tz = "Asia/Kathmandu".parse::<Tz>().unwrap();
        let start = Aggregation::Hourly.bucket_start(at("2026-01-01T00:20:00Z"), tz);
        assert_eq!(start, at("2026-01-01T00:15:00Z"));
        assert_eq!(day_start(local_date(start, tz), tz), at("2025-12-31T18:15:00Z"));
    }

    #[test]
    fn a_half_hour_change_of_offset_still_tiles_the_day() {
        let tz = "Australia/Lord_Howe".parse::<Tz>().unwrap();
        let range = TimeRange::new(at("2026-04-03T00:00:00Z"), at("2026-04-06T00:00:00Z"));
        let hours = Aggregation::Hourly.boundaries(range, tz);
        assert!(
            hours
                .windows(2)
                .all(|w| w[0] < w[1] && w[1].as_unix_ms() - w[0].as_unix_ms() <= HOUR_MS)
        );
        for pair in hours.windows(2) {
            assert_eq!(Aggregation::Hourly.bucket_start(pair[0], tz), pair[0]);
            assert_eq!(Aggregation::Hourly.bucket_start(pair[1].plus_ms(-1), tz), pair[0]);
        }
    }

    #[test]
    fn a_skipped_date_has_no_bucket_of_its_own() {
        let tz = "Pacific/Apia".parse::<Tz>().unwrap();
        let range = TimeRange::new(at("2011-12-29T00:00:00Z"), at("2012-01-01T00:00:00Z"));
        let days = Aggregation::Daily.boundaries(range, tz);
        assert!(days.windows(2).all(|w| w[0] < w[1]), "{days:?}");
    }
}
