//! How a range falls into parts that stay the same while it moves on, and are worth keeping.

use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS, QUARTER_HOUR_MS};
use crate::model::{TimeRange, Timestamp};

/// The part that begins at `from`, and whether it is worth keeping: all quarter hours up to `closed_end` at
/// once, a whole minute, or what is left.
pub(super) fn next_part(
    from: Timestamp,
    closed_end: Timestamp,
    end: Timestamp,
) -> (TimeRange, bool) {
    let quarters = TimeRange::new(from, closed_end.floor_to(QUARTER_HOUR_MS));
    if from.floor_to(QUARTER_HOUR_MS) == from && !quarters.is_empty() {
        return (quarters, true);
    }
    let minute_end = from.plus_ms(1).ceil_to(MINUTE_MS);
    if minute_end <= closed_end {
        return (TimeRange::new(from, minute_end), from.floor_to(MINUTE_MS) == from);
    }
    (TimeRange::new(from, end), false)
}

/// The part that begins at `from`, within one UTC day, and whether it is worth keeping: all whole hours of a day
/// before `open`, or what is left around them.
pub(super) fn next_hours(from: Timestamp, open: Timestamp, end: Timestamp) -> (TimeRange, bool) {
    let day_end = from.plus_ms(1).ceil_to(DAY_MS);
    let end = end.min(day_end);
    if day_end > open {
        return (TimeRange::new(from, end), false);
    }
    let hours = TimeRange::new(from, end.floor_to(HOUR_MS));
    if from.floor_to(HOUR_MS) == from && !hours.is_empty() {
        return (hours, true);
    }
    (TimeRange::new(from, from.plus_ms(1).ceil_to(HOUR_MS).min(end)), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    /// The parts of a range as `MM-DDTHH:MM` of their ends, those that are kept with a star.
    fn parts(start: &str, open: &str, end: &str) -> Vec<String> {
        let (mut from, end) = (at(start), at(end));
        let mut parts = Vec::new();
        while from < end {
            let (part, is_kept) = next_hours(from, at(open), end);
            assert_eq!(part.start, from);
            from = part.end;
            let end = from.to_string();
            let kept = if is_kept { "*" } else { "" };
            parts.push(format!("{}{kept}", end.get(5..16).unwrap()));
        }
        parts
    }

    #[test]
    fn whole_hours_of_days_that_are_over_are_kept() {
        let two_days =
            parts("2026-03-01T10:20:00Z", "2026-03-03T00:00:00Z", "2026-03-03T10:20:00Z");
        assert_eq!(two_days, ["03-01T11:00", "03-02T00:00*", "03-03T00:00*", "03-03T10:20"]);
        let past = parts("2026-03-01T10:20:00Z", "2026-03-04T00:00:00Z", "2026-03-02T10:20:00Z");
        assert_eq!(past, ["03-01T11:00", "03-02T00:00*", "03-02T10:00*", "03-02T10:20"]);
        let short = parts("2026-03-01T10:20:00Z", "2026-03-04T00:00:00Z", "2026-03-01T10:40:00Z");
        assert_eq!(short, ["03-01T10:40"]);
    }
}
