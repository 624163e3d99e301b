//! Parses instants as typed by people.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveDateTime};

use crate::model::time::{HOUR_MS, MINUTE_MS, day_start, local_date};
use crate::model::{Aggregation, Timestamp, Tz};

/// Epoch numbers from this on are milliseconds, smaller ones seconds: as seconds it is the year 5138, as milliseconds 1973.
const EPOCH_MS_FROM: f64 = 1e11;
/// The accepted instants: year 1 to year 9999.
const EARLIEST_MS: i64 = -62_135_596_800_000;
const LATEST_MS: i64 = 253_402_300_800_000;

const FORMS: &str = "must be RFC 3339 such as 2026-01-31T09:00:00Z, a date, epoch seconds or \
                     milliseconds, or relative such as now, now-1h or now-7d/d";

/// Parses an instant: RFC 3339, a date (its local midnight), epoch seconds or milliseconds, or `now` with
/// steps (`-1h`, `+30m`, `-7d`) and roundings down (`/d`) in `tz`.
///
/// # Errors
/// The reason.
pub(crate) fn parse_instant(text: &str, now: Timestamp, tz: Tz) -> Result<Timestamp, String> {
    let at = if let Some(steps) = text.strip_prefix("now") {
        relative(steps, now, tz).ok_or(FORMS)?
    } else if let Ok(number) = text.parse::<f64>() {
        from_epoch(number).ok_or(FORMS)?
    } else if let Ok(date) = text.parse::<NaiveDate>() {
        day_start(date, tz)
    } else {
        rfc3339(text)?
    };
    let in_reach = (EARLIEST_MS..LATEST_MS).contains(&at.as_unix_ms());
    in_reach.then_some(at).ok_or_else(|| "must lie between the years 1 and 9999".to_owned())
}

fn from_epoch(number: f64) -> Option<Timestamp> {
    let ms = if number.abs() >= EPOCH_MS_FROM { number } else { number * 1_000.0 };
    #[expect(clippy::cast_possible_truncation, reason = "checked to be in range; rounded to ms")]
    (ms.is_finite() && ms.abs() < 1e15).then(|| Timestamp::from_unix_ms(ms.round() as i64))
}

fn rfc3339(text: &str) -> Result<Timestamp, String> {
    if let Some(at) = Timestamp::parse_rfc3339(text) {
        return Ok(at);
    }
    // An offset such as +02:00 that was not percent-encoded arrives with a space for its plus.
    let plus_at = text.len().saturating_sub("+02:00".len());
    if text.as_bytes().get(plus_at) == Some(&b' ')
        && let Some((date_time, offset)) = text.rsplit_once(' ')
        && let Some(at) = Timestamp::parse_rfc3339(&format!("{date_time}+{offset}"))
    {
        return Ok(at);
    }
    if text.parse::<NaiveDateTime>().is_ok() {
        return Err(format!("has no offset; write {text}Z for UTC, or {text}+02:00"));
    }
    Err(FORMS.to_owned())
}

/// The calendar months, calendar days and milliseconds of a unit; exactly one is not 0.
fn unit(letter: char) -> Option<(u32, u64, i64)> {
    Some(match letter {
        's' => (0, 0, 1_000),
        'm' => (0, 0, MINUTE_MS),
        'h' => (0, 0, HOUR_MS),
        'd' => (0, 1, 0),
        'w' => (0, 7, 0),
        'M' => (1, 0, 0),
        'y' => (12, 0, 0),
        _ => return None,
    })
}

/// Applies `-7d`, `+30m`, `/d`, ... from left to right; `None` for anything else.
fn relative(steps: &str, now: Timestamp, tz: Tz) -> Option<Timestamp> {
    let mut at = now;
    let mut rest = steps.chars();
    while let Some(operator) = rest.next() {
        match operator {
            '/' => at = round_down(at, rest.next()?, tz)?,
            // A plus that was not percent-encoded arrives as a space.
            '+' | '-' | ' ' => {
                let text = rest.as_str();
                let digits =
                    text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let (count, after) = text.split_at(digits);
                let count: u32 = count.parse().ok().filter(|count| *count <= 1_000_000)?;
                rest = after.chars();
                at = step(at, count, operator == '-', unit(rest.next()?)?, tz)?;
            }
            _ => return None,
        }
    }
    Some(at)
}

fn step(
    at: Timestamp,
    count: u32,
    back: bool,
    (months, days, ms): (u32, u64, i64),
    tz: Tz,
) -> Option<Timestamp> {
    if ms != 0 {
        let ms = i64::from(count).checked_mul(ms)?;
        return Some(at.plus_ms(if back { -ms } else { ms }));
    }
    let months = Months::new(months.checked_mul(count)?);
    let days = Days::new(days * u64::from(count));
    let local = tz.local(at);
    let moved = if back {
        local.checked_sub_months(months)?.checked_sub_days(days)?
    } else {
        local.checked_add_months(months)?.checked_add_days(days)?
    };
    // The first of two instants with the same local time; a local time in a gap moves forward by the gap.
    Some(tz.wall_time(moved).nearest())
}

fn round_down(at: Timestamp, letter: char, tz: Tz) -> Option<Timestamp> {
    Some(match letter {
        's' => at.floor_to(1_000),
        'm' => at.floor_to(MINUTE_MS),
        'h' => Aggregation::Hourly.bucket_start(at, tz),
        'd' => Aggregation::Daily.bucket_start(at, tz),
        'w' => Aggregation::Weekly.bucket_start(at, tz),
        'M' => Aggregation::Monthly.bucket_start(at, tz),
        'y' => day_start(NaiveDate::from_yo_opt(local_date(at, tz).year(), 1)?, tz),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn every_form_of_an_instant() {
        let now = at("2026-04-01T10:20:30.400Z");
        let tz = "Europe/Warsaw".parse::<Tz>().unwrap();
        let table = [
            ("now", "2026-04-01T10:20:30.400Z"),
            ("now-1h", "2026-04-01T09:20:30.400Z"),
            ("now+30m", "2026-04-01T10:50:30.400Z"),
            ("now 30m", "2026-04-01T10:50:30.400Z"),
            ("now/d", "2026-03-31T22:00:00Z"),
            ("now/h", "2026-04-01T10:00:00Z"),
            ("now/w", "2026-03-29T22:00:00Z"),
            ("now/M", "2026-03-31T22:00:00Z"),
            ("now/y", "2025-12-31T23:00:00Z"),
            ("now-1M/M", "2026-02-28T23:00:00Z"),
            ("now-1y", "2025-04-01T10:20:30.400Z"),
            // Clocks changed on 29 March: a week of local days is an hour short of 168.
            ("now-7d", "2026-03-25T11:20:30.400Z"),
            ("now-7d/d", "2026-03-24T23:00:00Z"),
            ("now-1w/d+6h", "2026-03-25T05:00:00Z"),
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05.678+02:00", "2026-01-02T01:04:05.678Z"),
            ("2026-01-02T03:04:05 02:00", "2026-01-02T01:04:05Z"),
            ("2026-01-02", "2026-01-01T23:00:00Z"),
            ("1767323045", "2026-01-02T03:04:05Z"),
            ("1767323045.5", "2026-01-02T03:04:05.500Z"),
            ("1767323045678", "2026-01-02T03:04:05.678Z"),
            ("0", "1970-01-01T00:00:00Z"),
        ];
        for (text, expected) in table {
            assert_eq!(parse_instant(text, now, tz), Ok(at(expected)), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused_with_the_forms() {
        let now = at("2026-04-01T10:20:30Z");
        for text in [
            "yesterday",
            "now-",
            "now-h",
            "now-1",
            "now-1q",
            "now/",
            "now-99999999999d",
            "now-1000000y",
            "NaN",
            "inf",
            "1e300",
            "2026-13-01",
            "2026-01-01T25:00:00Z",
            "nowadays",
            "now-1hé",
            "é",
            "999999999999999999",
        ] {
            assert!(parse_instant(text, now, Tz::UTC).is_err(), "{text}");
        }
        let reason = parse_instant("2026-01-01T00:00:00", now, Tz::UTC).unwrap_err();
        assert!(reason.contains("2026-01-01T00:00:00Z"), "{reason}");
    }

    #[test]
    fn a_wall_time_that_never_was_is_an_hour_on() {
        let now = at("2026-03-30T00:30:00Z");
        let tz = "Europe/Warsaw".parse::<Tz>().unwrap();
        assert_eq!(parse_instant("now-1d", now, tz), Ok(at("2026-03-29T01:30:00Z")));
    }
}
