//! Ranges of time, and the zone that they are cut and shown in.

use serde::Deserialize;
use utoipa::IntoParams;

use super::values::{Instant, ZoneName};
use super::words::AggregationName;
use crate::http::problem::Problem;
use crate::model::record::limits;
use crate::model::{Aggregation, TimeRange, TimeWindow, Timestamp, Tz};

/// Maximum number of buckets of an aggregation that is chosen here, about.
const AUTO_BUCKETS: i64 = 400;

/// The zone that buckets are cut in, and how instants are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    /// Hours, days, weeks and months are cut in this one.
    pub(crate) tz: Tz,
    /// Instants are shown with the offset of this one: UTC unless a zone was asked for.
    pub(crate) shown: Tz,
}

impl Zone {
    /// An instant as the caller is shown it.
    pub(crate) fn show(&self, at: Timestamp) -> String {
        at.to_rfc3339_in(self.shown)
    }
}

/// What to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    /// The range of the same calendar length just before.
    Previous,
    /// The same range a week earlier by the calendar.
    Week,
}

impl Compare {
    /// The spelling in the API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Previous => "previous",
            Self::Week => "week",
        }
    }

    /// The range to compare `range` with.
    pub(crate) fn range(self, range: TimeRange, tz: Tz) -> TimeRange {
        match self {
            Self::Previous => range.previous(tz),
            Self::Week => range.week_before(tz),
        }
    }
}

/// The zone of a route.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ZoneParams {
    /// IANA zone that hours, days, weeks and months are cut in, and that instants are shown in. Default: the configured
    /// zone, shown in UTC.
    #[param(value_type = Option<String>, min_length = 1, example = "Europe/Warsaw")]
    tz: Option<ZoneName>,
}

impl ZoneParams {
    /// The zone; `default` without the parameter.
    pub(crate) fn zone(&self, default: Tz) -> Zone {
        let default = Zone { tz: default, shown: Tz::UTC };
        self.tz.map_or(default, |ZoneName(tz)| Zone { tz, shown: tz })
    }
}

/// A range of time, by default the last 24 hours.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RangeParams {
    /// Start, inclusive: RFC 3339, a date, epoch seconds or milliseconds, or relative such as now-1h or now-7d/d. Default:
    /// 24 hours before `end`.
    #[param(inline)]
    start: Option<Instant>,
    /// End, exclusive, in the forms of `start`. Default: now.
    #[param(inline)]
    end: Option<Instant>,
}

impl RangeParams {
    /// The range; without parameters the 24 hours up to and including `now`.
    ///
    /// # Errors
    /// When a parameter is no instant or the range is empty.
    pub(crate) fn range(&self, now: Timestamp, tz: Tz) -> Result<TimeRange, Problem> {
        let end = resolve("end", self.end.as_ref(), now, tz)?.unwrap_or_else(|| now.plus_ms(1));
        let start = resolve("start", self.start.as_ref(), now, tz)?;
        let start = start.unwrap_or_else(|| end.plus_ms(-TimeWindow::Day.width_ms()));
        not_empty(TimeRange::new(start, end))
    }
}

/// A range of time, by default all of it.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AllTimeParams {
    /// Start, inclusive, in the forms of the other routes. Default: the beginning.
    #[param(inline)]
    start: Option<Instant>,
    /// End, exclusive, in the forms of `start`. Default: now.
    #[param(inline)]
    end: Option<Instant>,
}

impl AllTimeParams {
    /// The range; without parameters everything, including what came from clocks that are ahead.
    ///
    /// # Errors
    /// When a parameter is no instant or the range is empty.
    pub(crate) fn range(&self, now: Timestamp, tz: Tz) -> Result<TimeRange, Problem> {
        all_time((self.start.as_ref(), self.end.as_ref()), now, tz)
    }
}

/// A range of time during which something was open.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DuringParams {
    /// Only incidents that were open at or after this instant, in the forms of other routes.
    #[param(inline)]
    start: Option<Instant>,
    /// Only incidents that were open before this instant, in the forms of `start`. Default: now.
    #[param(inline)]
    end: Option<Instant>,
    /// IANA zone in which `start` and `end` without an offset are read. Default: the configured one.
    #[param(value_type = Option<String>, min_length = 1)]
    tz: Option<ZoneName>,
}

impl DuringParams {
    /// The range, if one was given.
    ///
    /// # Errors
    /// When a parameter is no instant or the range is empty.
    pub(crate) fn range(&self, now: Timestamp, default: Tz) -> Result<Option<TimeRange>, Problem> {
        let tz = self.tz.map_or(default, |ZoneName(tz)| tz);
        match (self.start.as_ref(), self.end.as_ref()) {
            (None, None) => Ok(None),
            given => all_time(given, now, tz).map(Some),
        }
    }
}

fn all_time(
    (start, end): (Option<&Instant>, Option<&Instant>),
    now: Timestamp,
    tz: Tz,
) -> Result<TimeRange, Problem> {
    let end = resolve("end", end, now, tz)?;
    let end = end.unwrap_or_else(|| now.plus_ms(limits::FUTURE_MS + 1));
    let start = resolve("start", start, now, tz)?;
    not_empty(TimeRange::new(start.unwrap_or(Timestamp::from_unix_ms(0)), end))
}

fn resolve(
    parameter: &'static str,
    given: Option<&Instant>,
    now: Timestamp,
    tz: Tz,
) -> Result<Option<Timestamp>, Problem> {
    given.map(|instant| instant.resolve(parameter, now, tz)).transpose()
}

fn not_empty(range: TimeRange) -> Result<TimeRange, Problem> {
    if range.is_empty() {
        let reason = format!("{} is not after start, {}", range.end, range.start);
        return Err(Problem::parameter("end", reason));
    }
    Ok(range)
}

/// The aggregation that was given, or the finest that cuts the range into a readable number of buckets.
pub(crate) fn aggregation_for(given: Option<AggregationName>, range: TimeRange) -> Aggregation {
    let fits = |aggregation: &Aggregation| aggregation.max_buckets(range) <= AUTO_BUCKETS;
    let finest = || Aggregation::ALL.into_iter().find(fits).unwrap_or(Aggregation::Monthly);
    given.map_or_else(finest, |AggregationName(aggregation)| aggregation)
}
