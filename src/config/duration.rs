//! Durations as people write them: `30s`, `5m`, `1h`, `7d`.

use std::time::Duration;

const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Parses a whole number with a unit (`ms`, `s`, `m`, `h` or `d`); `0` needs no unit.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    if unit.is_empty() {
        return (number == 0).then_some(Duration::ZERO);
    }
    let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit.trim())?;
    number.checked_mul(*unit_ms).map(Duration::from_millis)
}

/// The shortest spelling of a duration, rounded down to milliseconds.
pub(super) fn duration_text(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let whole = |(_, unit_ms): &&(&str, u64)| ms.is_multiple_of(*unit_ms) && ms >= *unit_ms;
    match UNITS.iter().rev().find(whole) {
        Some((name, unit_ms)) => format!("{}{name}", ms / unit_ms),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_and_written() {
        for (text, ms) in [("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("250ms", 250)] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration.as_millis(), ms);
            assert_eq!(duration_text(duration), text);
        }
        assert_eq!(parse_duration("0"), Some(Duration::ZERO));
        assert_eq!(duration_text(Duration::from_secs(90)), "90s");
        for wrong in ["", "5", "s", "5 fortnights", "-5s", "1.5h", "99999999999999999999s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }
}
