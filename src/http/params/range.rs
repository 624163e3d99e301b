//! Time ranges, and the time zone of buckets and of shown instants.

use serde::Deserialize;
use utoipa::IntoParams;

use super::values::{Instant, resolve, zone_name};
use super::words::{AggregationName, Compare};
use crate::http::problem::Problem;
use crate::model::record::limits;
use crate::model::{Aggregation, TimeRange, TimeWindow, Timestamp, Tz};

/// Maximum number of buckets of a default aggregation, about.
const AUTO_BUCKETS: i64 = 400;

/// The time zone of buckets and of shown instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ZoneView {
    /// The zone of hours, days, weeks and months.
    pub(crate) tz: Tz,
    /// The zone of shown instants: UTC without the parameter `tz`.
    pub(crate) shown: Tz,
}

impl ZoneView {
    /// An instant as shown to the client.
    pub(crate) fn show(&self, at: Timestamp) -> String {
        at.to_rfc3339_in(self.shown)
    }

    /// The starts of the buckets between these boundaries.
    pub(crate) fn starts(&self, boundaries: &[Timestamp]) -> Vec<String> {
        let starts = boundaries.split_last().map_or(&[][..], |(_, starts)| starts);
        starts.iter().map(|at| self.show(*at)).collect()
    }
}

impl Compare {
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
    #[serde(default, deserialize_with = "zone_name")]
    #[param(value_type = Option<String>, min_length = 1, example = "Europe/Warsaw")]
    tz: Option<Tz>,
}

impl ZoneParams {
    /// The zone; `default` without the parameter.
    pub(crate) fn zone(&self, default: Tz) -> ZoneView {
        ZoneView { tz: self.tz.unwrap_or(default), shown: self.tz.unwrap_or(Tz::UTC) }
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
    /// 400 for an invalid instant or an empty range.
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
    /// The range; without parameters everything, including records from clocks that are ahead.
    ///
    /// # Errors
    /// 400 for an invalid instant or an empty range.
    pub(crate) fn range(&self, now: Timestamp, tz: Tz) -> Result<TimeRange, Problem> {
        all_time(self.start.as_ref(), self.end.as_ref(), now, tz)
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
    #[serde(default, deserialize_with = "zone_name")]
    #[param(value_type = Option<String>, min_length = 1)]
    tz: Option<Tz>,
}

impl DuringParams {
    /// The range, if one was given.
    ///
    /// # Errors
    /// 400 for an invalid instant or an empty range.
    pub(crate) fn range(&self, now: Timestamp, default: Tz) -> Result<Option<TimeRange>, Problem> {
        let (start, end) = (self.start.as_ref(), self.end.as_ref());
        let is_given = start.or(end).is_some();
        is_given.then(|| all_time(start, end, now, self.tz.unwrap_or(default))).transpose()
    }
}

fn all_time(
    start: Option<&Instant>,
    end: Option<&Instant>,
    now: Timestamp,
    tz: Tz,
) -> Result<TimeRange, Problem> {
    let end = resolve("end", end, now, tz)?;
    let end = end.unwrap_or_else(|| now.plus_ms(limits::FUTURE_MS + 1));
    let start = resolve("start", start, now, tz)?;
    not_empty(TimeRange::new(start.unwrap_or(Timestamp::from_unix_ms(0)), end))
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
