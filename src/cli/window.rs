//! Flags that select requests: a time range and filters.

use chrono::{NaiveDate, NaiveDateTime};
use clap::Args;

use super::config::spelled;
use super::import::TimeFormat;
use super::open;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::time::day_start;
use crate::model::zone::parse_zone;
use crate::model::{
    Dimension, Filter, LatencyBounds, LatencyKind, Name, TimeRange, TimeWindow, Timestamp, Tz,
};
use crate::privacy::is_stored_as_typed;
use crate::service::all_time;

/// Flags for a time range of request starts.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct WindowArgs {
    /// Window that ends now: minute, hour, day, week or month
    #[arg(value_parser = |text: &str| spelled(text, &TimeWindow::ALL, TimeWindow::as_str), conflicts_with_all = ["start", "end"])]
    window: Option<TimeWindow>,
    /// Start, inclusive: 2026-01-02, 2026-01-02T03:04:05Z, or epoch seconds or milliseconds
    #[arg(long, value_name = "TIME", requires = "end")]
    start: Option<String>,
    /// End, exclusive
    #[arg(long, value_name = "TIME", requires = "start")]
    end: Option<String>,
    /// Time zone of days and of times without an offset [default: `time_zone`]
    #[arg(long, value_name = "ZONE", value_parser = parse_zone)]
    pub(super) tz: Option<Tz>,
}

impl WindowArgs {
    /// The range; if none is given, `default`, ending at `now`, or else everything.
    ///
    /// # Errors
    /// [`InvalidConfig`](Error::InvalidConfig) if start or end is not a valid time, or the
    /// range is empty.
    pub(super) fn range(
        &self,
        now: Timestamp,
        configured_tz: Tz,
        default: impl Into<Option<TimeWindow>>,
    ) -> Result<TimeRange> {
        let tz = self.tz.unwrap_or(configured_tz);
        let (Some(start), Some(end)) = (&self.start, &self.end) else {
            let window = self.window.or(default.into());
            return Ok(window.map_or_else(all_time, |window| window.ending_at(now)));
        };
        let range =
            TimeRange::new(parse_instant("--start", start, tz)?, parse_instant("--end", end, tz)?);
        if range.is_empty() {
            return Err(Error::invalid_config("--end", "must be after --start"));
        }
        Ok(range)
    }
}

/// Filter flags; several values of the same dimension are alternatives.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct FilterArgs {
    /// Only these spaces
    #[arg(long, value_name = "SPACE")]
    space: Vec<Name>,
    /// Only these users, as ids or pseudonyms
    #[arg(long, value_name = "USER")]
    user: Vec<Name>,
    /// Only these models
    #[arg(long, value_name = "MODEL")]
    model: Vec<Name>,
    /// Only these providers
    #[arg(long, value_name = "PROVIDER")]
    provider: Vec<Name>,
    /// Minimum latency in milliseconds, inclusive
    #[arg(long, value_name = "MS")]
    min_ms: Option<f64>,
    /// Maximum latency in milliseconds, exclusive
    #[arg(long, value_name = "MS")]
    max_ms: Option<f64>,
    /// Latency for --min-ms and --max-ms, named as in the API [default: total]
    #[arg(long, value_name = "LATENCY", value_parser = |text: &str| spelled(text, &LatencyKind::ALL, LatencyKind::as_str))]
    latency: Option<LatencyKind>,
}

impl FilterArgs {
    /// The filter with names as stored.
    ///
    /// # Errors
    /// If the latency bounds exclude everything, or the stored form of a name needs the key and the
    /// key cannot be read.
    pub(super) fn resolve(&self, config: &Config) -> Result<Filter> {
        let kind = self.latency.unwrap_or(LatencyKind::Total);
        let latency = LatencyBounds::from_ms(kind, self.min_ms, self.max_ms)
            .map_err(|reason| Error::invalid_config("--min-ms and --max-ms", reason))?;
        let [spaces, users, models, providers] = self.stored_names(config)?;
        Ok(Filter { latency, spaces, users, models, providers, ..Filter::default() })
    }

    /// The stored spaces, users, models and providers.
    fn stored_names(&self, config: &Config) -> Result<[Vec<Name>; 4]> {
        let typed = [
            (Dimension::Space, &self.space),
            (Dimension::User, &self.user),
            (Dimension::Model, &self.model),
            (Dimension::Provider, &self.provider),
        ];
        let is_stored = |(dimension, names): &(Dimension, &Vec<Name>)| {
            names.iter().all(|name| is_stored_as_typed(*dimension, name))
        };
        if typed.iter().all(is_stored) {
            return Ok(typed.map(|(_, names)| names.clone()));
        }
        let pseudonymizer = open::pseudonymizer(config)?;
        Ok(typed.map(|(dimension, names)| {
            names.iter().map(|name| pseudonymizer.stored_name(dimension, name)).collect()
        }))
    }
}

fn parse_instant(flag: &str, text: &str, tz: Tz) -> Result<Timestamp> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        // The start of the day, because some days have no midnight in their zone.
        return Ok(day_start(date, tz));
    }
    TimeFormat::Auto.parse(text, tz).or_else(|| parse_skipped(text, tz)).ok_or_else(|| {
        let reason = format!("{text:?} is not a time such as 2026-01-02 or 2026-01-02T03:04:05Z");
        Error::invalid_config(flag, reason)
    })
}

/// Parses a local time that the clocks of `tz` skip: it is moved forward by the length of the gap.
fn parse_skipped(text: &str, tz: Tz) -> Option<Timestamp> {
    let text = text.replacen(' ', "T", 1);
    let local = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    Some(tz.wall_time(local).nearest())
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
        match args.range(
            Timestamp::from_unix_ms(0),
            "Asia/Kolkata".parse::<Tz>().unwrap(),
            TimeWindow::Day,
        ) {
            Ok(range) => format!("{} {}", range.start, range.end),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn days_are_those_of_the_zone() {
        assert_eq!(range("2026-01-02", "2026-01-03"), "2026-01-01T18:30:00Z 2026-01-02T18:30:00Z");
        let beirut = WindowArgs {
            start: Some("2026-03-29".to_owned()),
            end: Some("2026-03-30".to_owned()),
            tz: "Asia/Beirut".parse().ok(),
            ..WindowArgs::default()
        };
        let now = Timestamp::from_unix_ms(0);
        let day = beirut.range(now, Tz::UTC, TimeWindow::Day).unwrap();
        assert_eq!(day.start.to_string(), "2026-03-28T22:00:00Z", "clocks skip its midnight");
        assert_eq!(range("1767323045", "2026-01-03"), "2026-01-02T03:04:05Z 2026-01-02T18:30:00Z");
        assert_eq!(range("2026-01-03", "2026-01-02"), "--end: must be after --start");
        assert!(range("soon", "2026-01-02").starts_with("--start: \"soon\" is not a time"));
    }

    #[test]
    fn a_local_time_that_clocks_skip_is_moved_forward() {
        let warsaw = "Europe/Warsaw".parse::<Tz>().unwrap();
        for text in ["2026-03-29T02:30:00", "2026-03-29 02:30:00.0"] {
            let at = parse_instant("--start", text, warsaw).unwrap();
            assert_eq!(at.to_string(), "2026-03-29T01:30:00Z", "{text}");
        }
        assert!(parse_instant("--start", "2026-03-29T24:30:00", warsaw).is_err());
    }

    #[test]
    fn a_mistyped_zone_is_recognised() {
        use clap::Parser as _;
        #[derive(Debug, clap::Parser)]
        struct Flags {
            #[command(flatten)]
            window: WindowArgs,
        }
        let error = Flags::try_parse_from(["report", "--tz", "europe/warsaw"]).unwrap_err();
        assert!(error.to_string().contains("did you mean Europe/Warsaw?"), "{error}");
        let flags = Flags::try_parse_from(["report", "--tz", "Europe/Warsaw"]).unwrap();
        assert_eq!(flags.window.tz, "Europe/Warsaw".parse().ok());
    }

    #[test]
    fn latencies_have_bounds_that_enclose_something() {
        let args = |max_ms| FilterArgs { min_ms: Some(5.0), max_ms, ..FilterArgs::default() };
        let filter = args(None).resolve(&Config::default()).unwrap();
        let bounds = filter.latency.unwrap();
        assert_eq!((bounds.kind, bounds.min_us), (LatencyKind::Total, 5_000));
        let error = args(Some(5.0)).resolve(&Config::default()).unwrap_err();
        assert!(error.to_string().starts_with("--min-ms and --max-ms: "), "{error}");
    }

    #[test]
    fn names_that_are_stored_as_typed_need_no_key() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.path = directory.path().join("chat.db");
        let names = |names: &[&str]| names.iter().copied().map(Name::new).collect::<Vec<_>>();
        let plain = FilterArgs {
            space: names(&["acme"]),
            user: names(&["(none)", "(other)", "u_abcdefghij234567"]),
            ..FilterArgs::default()
        };
        let filter = plain.resolve(&config).unwrap();
        assert_eq!((filter.spaces, filter.users), (plain.space, plain.user));
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
        let personal = FilterArgs { space: names(&["alice@example.com"]), ..FilterArgs::default() };
        let filter = personal.resolve(&config).unwrap();
        assert!(filter.spaces[0].starts_with("h_"), "{:?}", filter.spaces);
    }

    #[test]
    fn a_window_ends_now() {
        let now = Timestamp::from_unix_ms(1_767_323_045_000);
        let range = WindowArgs::default().range(now, Tz::UTC, TimeWindow::Hour).unwrap();
        assert_eq!(range, TimeWindow::Hour.ending_at(now));
    }
}
