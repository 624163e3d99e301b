//! Formats of times in files.

use chrono::NaiveDateTime;
use clap::ValueEnum;

use crate::model::zone::WallTime;
use crate::model::{Timestamp, Tz};

/// Format of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum TimeFormat {
    /// Any of the others; numbers are recognised by their size.
    #[default]
    Auto,
    /// 2026-01-02T03:04:05.678Z, or with an offset.
    Rfc3339,
    /// Seconds since 1970, with or without a fraction.
    EpochS,
    /// Milliseconds since 1970.
    EpochMs,
    /// 2026-01-02 03:04:05.678 in the zone of `--tz`; up to nine fractional digits.
    Datetime,
}

impl TimeFormat {
    /// Parses a time, truncated to milliseconds; `None` if it is invalid or does not exist in `tz`,
    /// because its clocks skipped it.
    pub(in crate::cli) fn parse(self, text: &str, tz: Tz) -> Option<Timestamp> {
        match self {
            Self::Rfc3339 => Timestamp::parse_rfc3339(text),
            Self::EpochS => parse_epoch(text, |_| 1_000.0),
            Self::EpochMs => parse_epoch(text, |_| 1.0),
            Self::Datetime => parse_datetime(text, tz),
            Self::Auto => Timestamp::parse_rfc3339(text)
                .or_else(|| parse_datetime(text, tz))
                .or_else(|| parse_epoch(text, factor_by_size)),
        }
    }
}

/// Factor to milliseconds: seconds, milliseconds, microseconds and nanoseconds of the years 1973 to
/// 5138 do not overlap.
fn factor_by_size(number: f64) -> f64 {
    match number.abs() {
        size if size < 1e11 => 1e3,
        size if size < 1e14 => 1.0,
        size if size < 1e17 => 1e-3,
        _ => 1e-6,
    }
}

fn parse_epoch(text: &str, factor: impl Fn(f64) -> f64) -> Option<Timestamp> {
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    let factor = factor(number);
    #[expect(clippy::cast_possible_truncation, reason = "a float-to-int cast saturates")]
    let ms = match text.parse::<i64>() {
        // Use integer arithmetic, because nanoseconds do not fit into a float.
        Ok(whole) if factor < 1e-5 => whole.div_euclid(1_000_000),
        Ok(whole) if factor < 1e-2 => whole.div_euclid(1_000),
        // In binary, 1700000000.123 is slightly less than that and must not lose a millisecond.
        _ => (number * factor + 1e-3).floor() as i64,
    };
    Some(Timestamp::from_unix_ms(ms))
}

fn parse_datetime(text: &str, tz: Tz) -> Option<Timestamp> {
    let (text, tz) = match text.strip_suffix(" UTC") {
        Some(text) => (text, Tz::UTC),
        None => (text, tz),
    };
    let local = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .into_iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?;
    match tz.wall_time(local) {
        // The first occurrence of a repeated hour.
        WallTime::Once(at) | WallTime::Twice(at, _) => Some(at),
        WallTime::Skipped { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_recognised_however_they_are_written() {
        let at = |text: &str| TimeFormat::Auto.parse(text, Tz::UTC).map(|at| at.to_string());
        let same = Some("2023-11-16T18:15:46.680Z".to_owned());
        for text in [
            "2023-11-16T18:15:46.680Z",
            "2023-11-16T19:15:46.68+01:00",
            "2023-11-16 18:15:46.6805900",
            "2023-11-16 18:15:46.680590012",
            "2023-11-16 18:15:46.68 UTC",
            "2023-11-16T18:15:46.6805900",
            "1700158546.68",
            "1700158546680",
            "1700158546680590",
            "1700158546680590012",
        ] {
            assert_eq!(at(text), same, "{text}");
        }
        assert_eq!(at("1700158546"), Some("2023-11-16T18:15:46Z".to_owned()));
        for text in ["", "yesterday", "2023-11-16", "2023-13-01 00:00:00", "nan", "inf"] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn local_times_follow_the_zone_over_its_changes() {
        let at =
            |text: &str| TimeFormat::Datetime.parse(text, "Europe/Warsaw".parse::<Tz>().unwrap());
        let utc = |text: &str| Timestamp::parse_rfc3339(text);
        assert_eq!(at("2026-07-01 12:00:00"), utc("2026-07-01T10:00:00Z"));
        assert_eq!(at("2026-03-29 02:30:00"), None);
        assert_eq!(at("2026-10-25 02:30:00"), utc("2026-10-25T00:30:00Z"));
    }

    #[test]
    fn a_named_format_accepts_no_other() {
        assert_eq!(TimeFormat::EpochS.parse("2023-11-16T18:15:46Z", Tz::UTC), None);
        assert_eq!(TimeFormat::Rfc3339.parse("1700158546", Tz::UTC), None);
        let seconds = TimeFormat::EpochS.parse("1700158546680", Tz::UTC).unwrap();
        assert_eq!(seconds.as_unix_ms(), 1_700_158_546_680_000);
    }
}
