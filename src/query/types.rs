//! The shapes of questions and answers.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{
    Aggregation, Dimension, Filter, LatencyKind, LatencyStats, Measures, MetricType, RequestRecord,
    Stat, TimeRange, Timestamp, Tz,
};
use crate::store::PageCursor;

/// Which requests, cut into which buckets and groups, with which distributions.
#[derive(Clone, Debug)]
pub struct Query {
    /// Requests that started in here.
    pub range: TimeRange,
    /// The calendar buckets; `None`: the whole range is one bucket.
    pub aggregation: Option<Aggregation>,
    /// The zone that hours, days, weeks and months are cut in.
    pub tz: Tz,
    /// Dimensions to group by; empty: one series.
    pub group_by: Vec<Dimension>,
    /// Which requests.
    pub filter: Filter,
    /// Metrics that will be read from the answer; empty: all.
    pub metrics: Vec<MetricType>,
    /// Latencies whose percentiles are wanted.
    pub quantiles: Vec<LatencyKind>,
    /// Most series of a grouped answer; the smaller groups become one series `(other)`.
    pub max_series: usize,
}

/// Series of a grouped answer unless the query says otherwise.
pub const DEFAULT_MAX_SERIES: usize = 50;

impl Query {
    /// Everything in `range` as one bucket, in UTC, without percentiles.
    pub fn total(range: TimeRange) -> Self {
        Self {
            range,
            aggregation: None,
            tz: Tz::UTC,
            group_by: Vec::new(),
            filter: Filter::default(),
            metrics: Vec::new(),
            quantiles: Vec::new(),
            max_series: DEFAULT_MAX_SERIES,
        }
    }
}

/// The measures of every bucket and group.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Starts of the buckets followed by the end of the last one; for a query without aggregation
    /// `[range.start, range.end]`.
    pub boundaries: Vec<Timestamp>,
    /// One series without grouping; else one for each group that has requests, largest first.
    pub series: Vec<Series>,
    /// Percentiles are exact (computed from raw rows), not within the error of the sketch.
    pub exact: bool,
    /// When part of the range has outlived the rows that would answer it, the first instant from
    /// which the answer is complete.
    pub complete_from: Option<Timestamp>,
}

impl Answer {
    /// The single bucket of the single series of a query without grouping and aggregation.
    pub fn into_total(self) -> Measures {
        let mut total = Measures::default();
        for series in self.series {
            for measures in series.buckets {
                if total.requests() == 0 { total = measures } else { total.merge(&measures) }
            }
        }
        total
    }
}

/// The buckets of one group.
#[derive(Clone, Debug)]
pub struct Series {
    /// The names of the group, one for each dimension of `group_by`.
    pub group: Vec<String>,
    /// One for each bucket, empty ones included.
    pub buckets: Vec<Measures>,
}

/// The groups of one dimension that lead in one metric.
#[derive(Clone, Debug)]
pub struct BreakdownQuery {
    /// The dimension.
    pub by: Dimension,
    /// What the groups are ordered by.
    pub metric: MetricType,
    /// The statistic, for latencies.
    pub stat: Stat,
    /// Requests that started in here.
    pub range: TimeRange,
    /// Which requests.
    pub filter: Filter,
    /// Most rows; the rest is `other`.
    pub limit: usize,
}

/// Rows, the rest and the total of the same snapshot: rows + other = total.
#[derive(Clone, Debug)]
pub struct Breakdown {
    /// The leading groups.
    pub rows: Vec<BreakdownRow>,
    /// The remaining groups.
    pub other: BreakdownRow,
    /// All groups; by error type, all errors.
    pub total: BreakdownRow,
    /// See [`Answer::exact`].
    pub exact: bool,
    /// See [`Answer::complete_from`].
    pub complete_from: Option<Timestamp>,
}

/// One group of a breakdown.
#[derive(Clone, Debug)]
pub struct BreakdownRow {
    /// Name of the group.
    pub name: String,
    /// Value of the metric in its unit.
    pub value: Option<f64>,
    /// Part of the total in percent; `None` for metrics that do not add up.
    pub share_percent: Option<f64>,
    /// Requests of the group.
    pub requests: i64,
}

/// The numbers of this moment.
#[derive(Clone, Debug)]
pub struct CurrentMetrics {
    /// When.
    pub as_of: Timestamp,
    /// Requests in the last minute, hour and 24 hours.
    pub requests_per_minute: i64,
    /// Requests in the last hour.
    pub requests_per_hour: i64,
    /// Requests in the last 24 hours.
    pub requests_per_day: i64,
    /// Latency over the window, by [`LatencyKind::index`].
    pub latency: [LatencyStats; 4],
    /// Counts and sums over the window.
    pub window: Measures,
    /// Errors over the window. Their rate is a part of all requests also when the filter names error
    /// types, which then say which errors count.
    pub errors: Measures,
    /// Total tokens of the local day so far.
    pub today_total_tokens: i64,
    /// See [`Answer::exact`].
    pub exact: bool,
}

/// Which requests, by which latency, cut into which buckets.
#[derive(Clone, Debug)]
pub struct HeatmapQuery {
    /// Requests that started in here.
    pub range: TimeRange,
    /// The calendar buckets.
    pub aggregation: Aggregation,
    /// The zone that hours, days, weeks and months are cut in.
    pub tz: Tz,
    /// The latency.
    pub kind: LatencyKind,
    /// Which requests.
    pub filter: Filter,
}

/// Counts of requests by latency over time.
#[derive(Clone, Debug)]
pub struct Heatmap {
    /// Starts of the buckets followed by the end of the last one.
    pub boundaries: Vec<Timestamp>,
    /// Upper bounds of the latency rows in milliseconds; a row holds what is above the bound before it.
    pub bounds_ms: Vec<f64>,
    /// One row for each bucket of time, one count for each bound.
    pub counts: Vec<Vec<u64>>,
}

/// Which stored requests to list, newest first.
#[derive(Clone, Debug)]
pub struct RequestsQuery {
    /// Requests that started in here.
    pub range: TimeRange,
    /// Which requests.
    pub filter: Filter,
    /// Most requests of the page.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<PageCursor>,
}

/// A page of stored requests.
#[derive(Clone, Debug)]
pub struct RequestsPage {
    /// Newest first.
    pub requests: Vec<StoredRequest>,
    /// Where the next page begins; `None` at the end. A page with a next one may have fewer requests than its limit,
    /// even none: then the time of the query was over before enough requests matched.
    pub next_cursor: Option<PageCursor>,
}

/// A stored request with its place in the order of arrival.
#[derive(Clone, Debug)]
pub struct StoredRequest {
    /// Order of arrival.
    pub seq: i64,
    /// The record.
    pub record: RequestRecord,
}

/// What arrived lately.
#[derive(Clone, Debug)]
pub struct Tail {
    /// In order of arrival.
    pub requests: Vec<StoredRequest>,
    /// The last arrival that was looked at, whether the filter took it or not.
    pub upto: i64,
    /// Requests before these were left out because there were too many.
    pub missed: bool,
}

/// A value of a dimension.
#[derive(Clone, Debug, Serialize)]
pub struct DimensionValue {
    /// Its name.
    pub name: String,
    /// Requests of the last 30 days.
    pub requests: i64,
}

/// Where a metric is heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrendDirection {
    /// The second half lies at least 5 % above the first.
    Up,
    /// The second half lies at least 5 % below the first.
    Down,
    /// Neither.
    Flat,
    /// One half has no value.
    Unknown,
}

/// The values of a metric over a range, and where they are heading.
#[derive(Clone, Debug)]
pub struct Trend {
    /// One point a bucket.
    pub points: Vec<crate::model::MetricDataPoint>,
    /// Where it is heading.
    pub direction: TrendDirection,
    /// Change from the first half to the second, in percent.
    pub change_percent: Option<f64>,
}

/// A sudden rise of errors above their baseline.
#[derive(Clone, Debug, Serialize)]
pub struct SpikeReport {
    /// Start of the bucket.
    pub started_at: Timestamp,
    /// Errors in the bucket.
    pub errors: i64,
    /// Requests in the bucket.
    pub requests: i64,
    /// Errors that the baseline would lead to expect.
    pub expected_errors: f64,
    /// Errors of each type that occurred.
    pub by_type: BTreeMap<&'static str, i64>,
}
