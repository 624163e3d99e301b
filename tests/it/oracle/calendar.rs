//! Calendar buckets from first principles: which wall-clock minute, hour, day, week or month is it?

use chatgauge::model::{Aggregation, TimeRange, Timestamp};
use chrono::{Datelike, Offset, TimeZone, Timelike};
use chrono_tz::Tz;

const MINUTE_MS: i64 = 60_000;
const QUARTER_MS: i64 = 900_000;

/// What the wall clock shows during a bucket, and by which offset it is set.
fn shown(aggregation: Aggregation, at_ms: i64, tz: Tz) -> (i64, i64, i64) {
    let local = tz.timestamp_millis_opt(at_ms).single().expect("a year that chrono knows");
    let day = i64::from(local.date_naive().num_days_from_ce());
    match aggregation {
        Aggregation::Minute => (at_ms.div_euclid(MINUTE_MS), 0, 0),
        Aggregation::QuarterHour => (at_ms.div_euclid(QUARTER_MS), 0, 0),
        Aggregation::Hourly => {
            (day, i64::from(local.hour()), i64::from(local.offset().fix().local_minus_utc()))
        }
        Aggregation::Daily => (day, 0, 0),
        Aggregation::Weekly => {
            let week = local.iso_week();
            (i64::from(week.year()), i64::from(week.week()), 0)
        }
        Aggregation::Monthly => (i64::from(local.year()), i64::from(local.month()), 0),
    }
}

/// The starts of the buckets that meet `range`, and the end of the last.
///
/// Walks in steps at which every clock of these tests may change.
pub(crate) fn boundaries(aggregation: Aggregation, range: TimeRange, tz: Tz) -> Vec<Timestamp> {
    if range.end <= range.start {
        return Vec::new();
    }
    let step = if aggregation == Aggregation::Minute { MINUTE_MS } else { QUARTER_MS };
    let (start, end) = (range.start.as_unix_ms(), range.end.as_unix_ms());
    let mut at = start.div_euclid(step) * step;
    while shown(aggregation, at - step, tz) == shown(aggregation, at, tz) {
        at -= step;
    }
    let mut found = vec![at];
    let mut current = shown(aggregation, at, tz);
    loop {
        at += step;
        let next = shown(aggregation, at, tz);
        if next != current {
            found.push(at);
            current = next;
            if at >= end {
                return found.into_iter().map(Timestamp::from_unix_ms).collect();
            }
        }
    }
}
