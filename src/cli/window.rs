//! Flags that choose requests: a window or a range, and filters.

use chrono::NaiveDate;
use chrono_tz::Tz;
use clap::Args;

use super::import::TimeFormat;
use super::open;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Filter, Name, TimeRange, TimeWindow, Timestamp};
use crate::service::all_time;

/// Requests that started in a window or a range.
#[derive(Clone, Debug, Default, Args)]
pub struct WindowArgs {
    /// minute, hour, day, week or month, ending now
    #[arg(value_parser = parse_window, conflicts_with_all = ["start", "end"])]
    pub window: Option<TimeWindow>,
    /// First instant: 2026-01-02, 2026-01-02T03:04:05Z, or epoch seconds or milliseconds
    #[arg(long, value_name = "TIME", requires = "end")]
    pub start: Option<String>,
    /// First instant after the range
    #[arg(long, value_name = "TIME", requires = "start")]
    pub end: Option<String>,
    /// Zone of days and of instants that name none [default: the configured one]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<Tz>,
}

impl WindowArgs {
    /// The range; everything when none was typed.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub fn range_or_all(&self, now: Timestamp, configured_tz: Tz) -> Result<TimeRange> {
        if self.window.is_none() && self.start.is_none() {
            return Ok(all_time());
        }
        self.range(now, configured_tz, TimeWindow::Month)
    }

    /// The range; `default` ending at `now` when none was typed.
    ///
    /// # Errors
    /// [`InvalidConfig`](Error::InvalidConfig) when the start or end is not an instant, or the range
    /// is empty.
    pub fn range(
        &self,
        now: Timestamp,
        configured_tz: Tz,
        default: TimeWindow,
    ) -> Result<TimeRange> {
        let tz = self.tz.unwrap_or(configured_tz);
        let (Some(start), Some(end)) = (&self.start, &self.end) else {
            return Ok(self.window.unwrap_or(default).ending_at(now));
        };
        let range =
            TimeRange::new(parse_instant("--start", start, tz)?, parse_instant("--end", end, tz)?);
        if range.is_empty() {
            return Err(Error::invalid_config("--end", "must be after --start"));
        }
        Ok(range)
    }
}

/// Requests with these dimensions; several values of one are alternatives.
#[derive(Clone, Debug, Default, Args)]
pub struct FilterArgs {
    /// Only these spaces
    #[arg(long, value_name = "SPACE")]
    pub space: Vec<Name>,
    /// Only these users, plain or pseudonym
    #[arg(long, value_name = "USER")]
    pub user: Vec<Name>,
    /// Only these models
    #[arg(long, value_name = "MODEL")]
    pub model: Vec<Name>,
    /// Only these providers
    #[arg(long, value_name = "PROVIDER")]
    pub provider: Vec<Name>,
}

impl FilterArgs {
    /// The filter, with users as the database's key makes them.
    ///
    /// # Errors
    /// When a user is named and the key cannot be read.
    pub fn resolve(&self, config: &Config) -> Result<Filter> {
        if self.user.is_empty() {
            return Ok(self.filter(&|user| Name::new(user)));
        }
        let pseudonymizer = open::pseudonymizer(config)?;
        Ok(self.filter(&|user| pseudonymizer.user(user)))
    }

    /// The filter; `pseudonym` gives what a user is stored as.
    pub fn filter(&self, pseudonym: &dyn Fn(&str) -> Name) -> Filter {
        Filter {
            spaces: self.space.clone(),
            users: self.user.iter().map(|user| pseudonym(user)).collect(),
            models: self.model.clone(),
            providers: self.provider.clone(),
            ..Filter::default()
        }
    }
}

fn parse_window(text: &str) -> Result<TimeWindow, String> {
    let names = TimeWindow::ALL.map(TimeWindow::as_str).join(", ");
    TimeWindow::parse(text).ok_or_else(|| format!("use one of {names}"))
}

fn parse_instant(flag: &str, text: &str, tz: Tz) -> Result<Timestamp> {
    let midnight = text.parse::<NaiveDate>().ok().map(|date| format!("{date} 00:00:00"));
    TimeFormat::Auto.parse(midnight.as_deref().unwrap_or(text), tz).ok_or_else(|| {
        let reason =
            format!("{text:?} is not an instant such as 2026-01-02 or 2026-01-02T03:04:05Z");
        Error::invalid_config(flag, reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &str, end: &str) -> String {
        let args = WindowArgs {
            start: Some(start.to_owned()),
            end: Some(end.to_owned()),
            ..WindowArgs::default()
        };
        match args.range(Timestamp::from_unix_ms(0), Tz::Asia__Kolkata, TimeWindow::Day) {
            Ok(range) => format!("{} {}", range.start, range.end),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn days_are_those_of_the_zone() {
        assert_eq!(range("2026-01-02", "2026-01-03"), "2026-01-01T18:30:00Z 2026-01-02T18:30:00Z");
        assert_eq!(range("1767323045", "2026-01-03"), "2026-01-02T03:04:05Z 2026-01-02T18:30:00Z");
        assert_eq!(range("2026-01-03", "2026-01-02"), "--end: must be after --start");
        assert!(range("soon", "2026-01-02").starts_with("--start: \"soon\" is not an instant"));
    }

    #[test]
    fn a_window_ends_now() {
        let now = Timestamp::from_unix_ms(1_767_323_045_000);
        let range = WindowArgs::default().range(now, Tz::UTC, TimeWindow::Hour).unwrap();
        assert_eq!(range, TimeWindow::Hour.ending_at(now));
    }
}
