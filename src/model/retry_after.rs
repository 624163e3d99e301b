//! Parses `Retry-After` headers.

use std::time::Duration;

use super::Timestamp;

/// The wait in a `Retry-After` header: seconds, possibly fractional, or an HTTP date after `now`.
/// `None` if it is neither, or the date has passed.
pub fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let wait_ms = http_date(text)?.as_unix_ms().saturating_sub(now.as_unix_ms());
    u64::try_from(wait_ms).ok().map(Duration::from_millis)
}

/// Parses an HTTP date: `Wed, 21 Oct 2026 07:28:00 GMT`.
pub fn http_date(text: &str) -> Option<Timestamp> {
    let date = chrono::DateTime::parse_from_rfc2822(text.trim()).ok()?;
    Some(Timestamp::from_unix_ms(date.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read() {
        let now = http_date("Wed, 21 Oct 2026 07:27:00 GMT").unwrap();
        assert_eq!(now, Timestamp::parse_rfc3339("2026-10-21T07:27:00Z").unwrap());
        for (text, wait_ms) in [
            ("120", Some(120_000)),
            (" 1.5 ", Some(1_500)),
            ("0", Some(0)),
            ("Wed, 21 Oct 2026 07:28:00 GMT", Some(60_000)),
            ("Wed, 21 Oct 2026 07:26:00 GMT", None),
            ("-1", None),
            ("inf", None),
            ("NaN", None),
            ("1e300", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_retry_after(text, now), wait_ms.map(Duration::from_millis), "{text}");
        }
    }
}
