//! The ranges that `compare=previous` and `compare=week` compare with.

use chrono::{Datelike, Days, Months};

use super::Timestamp;
use super::time::{Aggregation, DAY_MS, TimeRange, day_start, local_date};
use super::zone::Tz;

/// Days of a week.
const WEEK: Days = Days::new(7);

impl TimeRange {
    /// The preceding range of the same calendar length in `tz`:
    ///
    /// - whole months are compared with as many whole months, e.g. February with January;
    /// - a range that starts and ends at the same local time of day is compared with as many local
    ///   days, so that a day of 23 hours is compared with the whole previous day;
    /// - any other range, such as the last six hours, is compared with the range of the same duration just before it.
    pub fn previous(self, tz: Tz) -> Self {
        let start = self.previous_start_by_months(tz).or_else(|| self.previous_start_by_days(tz));
        let start = start.filter(|start| *start < self.start);
        Self::new(start.unwrap_or_else(|| self.start.plus_ms(-self.width_ms())), self.start)
    }

    /// The range between the same local times in `tz`, seven days earlier.
    ///
    /// Where the clocks change, these times can be equal or in the opposite order; then it is the range of the same duration
    /// that starts at the earlier time.
    pub fn week_before(self, tz: Tz) -> Self {
        let earlier = |at: Timestamp| {
            let local = tz.local(at).checked_sub_days(WEEK);
            local.map_or_else(|| at.plus_ms(-7 * DAY_MS), |local| tz.wall_time(local).nearest())
        };
        let (start, end) = (earlier(self.start), earlier(self.end));
        Self::new(start, if start < end { end } else { start.plus_ms(self.width_ms()) })
    }

    /// The start, moved back by the range's number of months, if the range consists of whole months.
    fn previous_start_by_months(self, tz: Tz) -> Option<Timestamp> {
        let begins_month = |at| Aggregation::Monthly.bucket_start(at, tz) == at;
        if !begins_month(self.start) || !begins_month(self.end) {
            return None;
        }
        let (start, end) = (local_date(self.start, tz), local_date(self.end, tz));
        let months = (end.year() - start.year()) * 12 + end.month().cast_signed()
            - start.month().cast_signed();
        let months = u32::try_from(months).ok().filter(|months| *months > 0)?;
        Some(day_start(start.checked_sub_months(Months::new(months))?, tz))
    }

    /// The start, moved back by the range's number of days, if the range starts and ends at the same local time of day, or
    /// at the starts of local days.
    fn previous_start_by_days(self, tz: Tz) -> Option<Timestamp> {
        let is_day_start = |at| day_start(local_date(at, tz), tz) == at;
        let are_days = is_day_start(self.start) && is_day_start(self.end);
        let (start, end) = (tz.local(self.start), tz.local(self.end));
        if !are_days && start.time() != end.time() {
            return None;
        }
        let days = (local_date(self.end, tz) - local_date(self.start, tz)).num_days();
        let days = Days::new(u64::try_from(days).ok().filter(|days| *days > 0)?);
        if are_days {
            return Some(day_start(local_date(self.start, tz).checked_sub_days(days)?, tz));
        }
        Some(tz.wall_time(start.checked_sub_days(days)?).nearest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The range before `start` to `end`, as local times of the zone.
    fn previous(start: &str, end: &str, zone: &str) -> String {
        let tz: Tz = zone.parse().unwrap();
        let at = |text: &str| tz.wall_time(text.parse().unwrap()).nearest();
        let range = TimeRange::new(at(start), at(end));
        let previous = range.previous(tz);
        assert_eq!(previous.end, range.start);
        let hours = previous.width_ms() / 3_600_000;
        format!("{} {hours} h", tz.local(previous.start).format("%m-%dT%H:%M"))
    }

    #[test]
    fn whole_months_compare_with_whole_months() {
        let months = |start: &str, end: &str| {
            previous(
                &format!("{start}-01T00:00:00"),
                &format!("{end}-01T00:00:00"),
                "Europe/Warsaw",
            )
        };
        assert_eq!(months("2026-02", "2026-03"), "01-01T00:00 744 h");
        // March has the change of the clocks, February has not.
        assert_eq!(months("2026-03", "2026-04"), "02-01T00:00 672 h");
        assert_eq!(months("2026-04", "2026-05"), "03-01T00:00 743 h");
        assert_eq!(months("2026-04", "2026-07"), "01-01T00:00 2159 h");
        assert_eq!(months("2025-01", "2026-01"), "01-01T00:00 8784 h");
    }

    #[test]
    fn days_compare_by_the_wall_clock() {
        let before = |start, end| previous(start, end, "Europe/Warsaw");
        // 29 March has 23 hours.
        assert_eq!(before("2026-03-29T00:00:00", "2026-03-30T00:00:00"), "03-28T00:00 24 h");
        assert_eq!(before("2026-03-30T00:00:00", "2026-03-31T00:00:00"), "03-29T00:00 23 h");
        assert_eq!(before("2026-03-28T15:30:00", "2026-03-29T15:30:00"), "03-27T15:30 24 h");
        assert_eq!(before("2026-03-29T15:30:00", "2026-03-30T15:30:00"), "03-28T15:30 23 h");
        assert_eq!(before("2026-10-26T00:00:00", "2026-11-02T00:00:00"), "10-19T00:00 169 h");
        // A part of a month is compared by days.
        assert_eq!(before("2026-02-01T00:00:00", "2026-02-15T00:00:00"), "01-18T00:00 336 h");
    }

    #[test]
    fn hours_compare_with_as_many_hours() {
        let before = |start, end| previous(start, end, "Europe/Warsaw");
        // From 22:00 to 05:00, over the change: six hours.
        assert_eq!(before("2026-03-28T22:00:00", "2026-03-29T05:00:00"), "03-28T16:00 6 h");
        assert_eq!(before("2026-06-01T10:00:00", "2026-06-01T12:00:00"), "06-01T08:00 2 h");
        // The hour that is shown twice begins and ends at the same time of day, on the same day.
        let tz: Tz = "Europe/Warsaw".parse().unwrap();
        let second = TimeRange::from_unix_ms(1_792_888_200_000, 1_792_891_800_000);
        assert_eq!(tz.local(second.start), tz.local(second.end));
        assert_eq!(second.previous(tz).width_ms(), 3_600_000);
    }

    #[test]
    fn days_without_a_midnight_are_whole_days() {
        // Beirut's clocks went from 00:00 to 01:00 on 29 March 2026.
        let before = |start, end| previous(start, end, "Asia/Beirut");
        assert_eq!(before("2026-03-29T00:00:00", "2026-03-30T00:00:00"), "03-28T00:00 24 h");
        assert_eq!(before("2026-03-30T00:00:00", "2026-03-31T00:00:00"), "03-29T01:00 23 h");
    }

    #[test]
    fn a_week_earlier_is_the_same_time_of_the_wall_clock() {
        let tz: Tz = "Europe/Warsaw".parse().unwrap();
        let at = |text: &str| tz.wall_time(text.parse().unwrap()).nearest();
        let range = TimeRange::new(at("2026-03-30T10:00:00"), at("2026-03-31T10:00:00"));
        let before = range.week_before(tz);
        assert_eq!(before.start, at("2026-03-23T10:00:00"));
        assert_eq!(before.end, at("2026-03-24T10:00:00"));
    }

    #[test]
    fn a_week_earlier_is_never_empty() {
        let tz: Tz = "Europe/Warsaw".parse().unwrap();
        let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        let ranges = [
            // Over the end of summer time, so that the end shows an earlier time than the start.
            ("2026-10-25T02:45:00+02:00", "2026-10-25T02:15:00+01:00"),
            ("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"),
            // A week after 02:15 was skipped.
            ("2026-04-05T02:15:00+02:00", "2026-04-05T03:05:00+02:00"),
        ];
        for (start, end) in ranges {
            let range = TimeRange::new(at(start), at(end));
            let before = range.week_before(tz);
            assert_eq!(before.width_ms(), range.width_ms(), "{start}");
            assert!(before.start < range.start, "{start}");
        }
    }
}
