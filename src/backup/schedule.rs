//! When the next scheduled backup is due, as a pure function of the schedule, the last backup and
//! the time zone.

use crate::config::BackupSchedule;
use crate::model::time::{Aggregation, MINUTE_MS, day_start, local_date};
use crate::model::{Timestamp, Tz};

/// When the next backup is due after one at `last`; `since` is the start of the program.
///
/// An interval counts from the last backup; without one, the first backup is due immediately. A
/// time of day is due at its first occurrence after the last backup, or after `since`; a missed one
/// is made up for. If the clocks skip that time, the backup is due at the end of the gap; if it
/// occurs twice, at the first occurrence.
pub fn next_due(
    schedule: BackupSchedule,
    last: Option<Timestamp>,
    since: Timestamp,
    tz: Tz,
) -> Timestamp {
    match schedule {
        BackupSchedule::Every(interval) => last.map_or(since, |last| {
            last.plus_ms(i64::try_from(interval.as_millis()).unwrap_or(i64::MAX))
        }),
        BackupSchedule::Daily { minute_of_day } => {
            let after = last.unwrap_or(since);
            let mut day = day_start(local_date(after, tz), tz);
            loop {
                let next_day = Aggregation::Daily.next_start(day, tz);
                let at = time_of_day(day, next_day, minute_of_day, tz);
                if at > after {
                    return at;
                }
                day = next_day;
            }
        }
    }
}

/// The first instant of the day at which the local time is `minute_of_day` or later.
fn time_of_day(day: Timestamp, next_day: Timestamp, minute_of_day: u16, tz: Tz) -> Timestamp {
    let wanted = i64::from(minute_of_day);
    let shown = |at: Timestamp| {
        use chrono::Timelike as _;
        let local = tz.local(at).time();
        i64::from(local.hour() * 60 + local.minute())
    };
    // Time zone transitions usually shift clocks by one hour: start two hours early and step by
    // minutes.
    let mut at = day.plus_ms((wanted - 120).max(0) * MINUTE_MS);
    while at < next_day && shown(at) < wanted {
        at = at.plus_ms(MINUTE_MS);
    }
    at.min(next_day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn daily(time: &str, last: Option<&str>, since: &str, tz: Tz) -> String {
        let (hour, minute) = time.split_once(':').unwrap();
        let minute_of_day = hour.parse::<u16>().unwrap() * 60 + minute.parse::<u16>().unwrap();
        let schedule = BackupSchedule::Daily { minute_of_day };
        next_due(schedule, last.map(at), at(since), tz).to_rfc3339_in(tz)
    }

    #[test]
    fn an_interval_counts_from_the_last_backup_and_the_first_is_due_immediately() {
        let schedule = BackupSchedule::Every(Duration::from_secs(3_600));
        let since = at("2026-03-01T12:00:00Z");
        assert_eq!(next_due(schedule, None, since, Tz::UTC), since);
        let last = at("2026-03-01T11:30:00Z");
        assert_eq!(next_due(schedule, Some(last), since, Tz::UTC), at("2026-03-01T12:30:00Z"));
    }

    #[test]
    fn a_time_of_day_is_local_and_a_missed_one_is_made_up_for() {
        let tz = "Europe/Warsaw".parse::<Tz>().unwrap();
        let since = "2026-03-10T12:00:00Z";
        assert_eq!(daily("03:00", None, since, tz), "2026-03-11T03:00:00+01:00");
        // The last backup was the day before yesterday, so yesterday's is overdue.
        let last = Some("2026-03-08T02:00:05Z");
        assert_eq!(daily("03:00", last, since, tz), "2026-03-09T03:00:00+01:00");
        assert_eq!(daily("00:00", last, since, tz), "2026-03-09T00:00:00+01:00");
        assert_eq!(daily("23:59", last, since, tz), "2026-03-08T23:59:00+01:00");
    }

    #[test]
    fn a_skipped_time_is_due_after_the_gap_and_a_repeated_one_once() {
        let tz = "Europe/Warsaw".parse::<Tz>().unwrap();
        // On 29 March 2026 there is no 02:30; on 25 October it occurs twice.
        let spring = daily("02:30", Some("2026-03-28T01:30:01Z"), "2026-03-28T02:00:00Z", tz);
        assert_eq!(spring, "2026-03-29T03:00:00+02:00");
        let autumn = daily("02:30", Some("2026-10-24T00:30:01Z"), "2026-10-24T02:00:00Z", tz);
        assert_eq!(autumn, "2026-10-25T02:30:00+02:00");
        let next = daily("02:30", Some("2026-10-25T00:30:01Z"), "2026-10-24T02:00:00Z", tz);
        assert_eq!(next, "2026-10-26T02:30:00+01:00");
        // Samoa skipped 30 December 2011.
        let tz = "Pacific/Apia".parse::<Tz>().unwrap();
        let samoa = daily("03:00", Some("2011-12-29T13:30:00Z"), "2011-12-29T13:30:00Z", tz);
        assert_eq!(samoa, "2011-12-31T03:00:00+14:00");
    }
}
