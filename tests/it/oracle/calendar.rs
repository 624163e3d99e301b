//! Calendar buckets from first principles: which wall-clock minute, hour, day, week or month is it?

use chatgauge::model::{Aggregation, TimeRange, Timestamp, Tz};
use chrono::{Datelike, NaiveDate, Timelike};

const MINUTE_MS: i64 = 60_000;
const QUARTER_MS: i64 = 900_000;
const DAY_MS: i64 = 86_400_000;

/// What the wall clock shows during a bucket, and by which offset it is set.
///
/// `latest` is the latest date that was shown so far: a day begins when its date is first shown, and is one stretch
/// of time even where clocks go back over midnight.
fn shown(aggregation: Aggregation, at_ms: i64, tz: Tz, latest: &mut NaiveDate) -> (i64, i64, i64) {
    let at = Timestamp::from_unix_ms(at_ms);
    let local = tz.local(at);
    *latest = local.date().max(*latest);
    match aggregation {
        Aggregation::Minute => (at_ms.div_euclid(MINUTE_MS), 0, 0),
        Aggregation::QuarterHour => (at_ms.div_euclid(QUARTER_MS), 0, 0),
        Aggregation::Hourly => {
            let day = i64::from(local.date().num_days_from_ce());
            (day, i64::from(local.hour()), tz.offset_ms(at))
        }
        Aggregation::Daily => (i64::from(latest.num_days_from_ce()), 0, 0),
        Aggregation::Weekly => {
            let week = latest.iso_week();
            (i64::from(week.year()), i64::from(week.week()), 0)
        }
        Aggregation::Monthly => (i64::from(latest.year()), i64::from(latest.month()), 0),
    }
}

/// The starts of the buckets that meet `range`, and the end of the last.
///
/// Walks in quarters of an hour from well before, and in minutes through a quarter in which the bucket changes: clocks of
/// these tests change on the minute.
pub(crate) fn boundaries(aggregation: Aggregation, range: TimeRange, tz: Tz) -> Vec<Timestamp> {
    if range.end <= range.start {
        return Vec::new();
    }
    let (start, end) = (range.start.as_unix_ms(), range.end.as_unix_ms());
    let before = match aggregation {
        Aggregation::Monthly => 33 * DAY_MS,
        Aggregation::Weekly => 9 * DAY_MS,
        _ => 3 * DAY_MS,
    };
    let mut at = (start - before).div_euclid(QUARTER_MS) * QUARTER_MS;
    let mut latest = NaiveDate::MIN;
    let mut current = shown(aggregation, at, tz, &mut latest);
    let mut found = vec![at];
    while found.last().is_some_and(|last| *last < end) {
        let by_minutes = {
            let mut ahead = latest;
            let next = shown(aggregation, at + QUARTER_MS, tz, &mut ahead);
            next != current || aggregation == Aggregation::Minute
        };
        let step = if by_minutes { MINUTE_MS } else { QUARTER_MS };
        for at in (at + step..=at + QUARTER_MS).step_by(usize::try_from(step).expect("positive")) {
            let next = shown(aggregation, at, tz, &mut latest);
            if next != current {
                found.push(at);
                current = next;
            }
        }
        at += QUARTER_MS;
    }
    // What was found of the walk up to the range, and beyond it.
    let first = found.partition_point(|at| *at <= start).saturating_sub(1);
    let last = found.partition_point(|at| *at < end);
    found[first..=last].iter().map(|at| Timestamp::from_unix_ms(*at)).collect()
}
