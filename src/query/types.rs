//! Queries and their results.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{
    Aggregation, Dimension, Filter, LatencyKind, LatencyStats, Measures, MetricDataPoint,
    MetricType, RequestRecord, Stat, TimeRange, Timestamp, Tz,
};
use crate::store::PageCursor;

/// A query of time series: range, filter, buckets, grouping and percentiles.
#[derive(Clone, Debug)]
pub struct Query {
    /// Requests that started in this range.
    pub range: TimeRange,
    /// The calendar buckets; `None`: the whole range is one bucket.
    pub aggregation: Option<Aggregation>,
    /// The time zone of hours, days, weeks and months.
    pub tz: Tz,
    /// Dimensions to group by; empty: one series.
    pub group_by: Vec<Dimension>,
    /// Only requests that match.
    pub filter: Filter,
    /// Metrics that will be read from the result; empty: all.
    pub metrics: Vec<MetricType>,
    /// Latencies whose percentiles are needed.
    pub quantiles: Vec<LatencyKind>,
    /// Maximum number of named series of a grouped result; the smaller groups are folded into one more, `(other)`.
    pub max_series: usize,
}

/// Maximum number of series of a grouped result, unless the query sets another.
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

    /// As [`total`](Self::total), of the requests that match `filter`.
    pub(super) fn filtered(range: TimeRange, filter: &Filter) -> Self {
        Self { filter: filter.clone(), ..Self::total(range) }
    }
}

/// The measures of every bucket and group.
#[derive(Clone, Debug)]
pub struct QueryResult {
    /// Starts of the buckets followed by the end of the last one; for a query without aggregation
    /// `[range.start, range.end]`.
    pub boundaries: Vec<Timestamp>,
    /// One series without grouping; else those of the largest groups with requests, largest first, then `(other)` if groups
    /// are left.
    pub series: Vec<Series>,
    /// Whether percentiles are exact, from raw rows, and not from sketches; true without percentiles.
    pub exact: bool,
    /// If retention deleted rows that the query needs, the first instant from which the result is complete; `None`: all of
    /// it is.
    pub complete_from: Option<Timestamp>,
}

impl QueryResult {
    /// The measures of all buckets and series together.
    pub fn into_total(self) -> Measures {
        let mut total = Measures::default();
        for measures in self.series.into_iter().flat_map(|series| series.buckets) {
            if total.requests() == 0 { total = measures } else { total.merge(&measures) }
        }
        total
    }

    /// The buckets of the first series, the only one without grouping.
    pub(super) fn first_series(&self) -> &[Measures] {
        self.series.first().map_or(&[], |series| &series.buckets)
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

/// The leading groups of one dimension by one metric.
#[derive(Clone, Debug)]
pub struct BreakdownQuery {
    /// The dimension.
    pub by: Dimension,
    /// The metric that orders the groups.
    pub metric: MetricType,
    /// The statistic, for latencies.
    pub stat: Stat,
    /// Requests that started in this range.
    pub range: TimeRange,
    /// Only requests that match.
    pub filter: Filter,
    /// Maximum number of rows; the rest is `other`.
    pub limit: usize,
}

/// The leading groups, the rest and the total, from one snapshot. For counts and sums, rows + other = total.
#[derive(Clone, Debug)]
pub struct Breakdown {
    /// The leading groups.
    pub rows: Vec<BreakdownRow>,
    /// The remaining groups.
    pub other: BreakdownRow,
    /// All groups; by error type, all errors of the requested types.
    pub total: BreakdownRow,
    /// See [`QueryResult::exact`].
    pub exact: bool,
    /// See [`QueryResult::complete_from`].
    pub complete_from: Option<Timestamp>,
}

/// One group of a breakdown.
#[derive(Clone, Debug)]
pub struct BreakdownRow {
    /// Name of the group.
    pub name: String,
    /// Value of the metric in its unit.
    pub value: Option<f64>,
    /// Share of the total in percent; `None` for metrics that are not additive, and without a value or a total.
    pub share_percent: Option<f64>,
    /// Requests of the group.
    pub requests: i64,
}

/// The metrics of the current moment.
#[derive(Clone, Debug)]
pub struct CurrentMetrics {
    /// The time of the query.
    pub as_of: Timestamp,
    /// Requests in the last minute.
    pub requests_per_minute: i64,
    /// Requests in the last hour.
    pub requests_per_hour: i64,
    /// Requests in the last 24 hours.
    pub requests_per_day: i64,
    /// Latency over the window, by [`LatencyKind::index`].
    pub latency: [LatencyStats; 4],
    /// Counts and sums over the window.
    pub window: Measures,
    /// Errors over the window. The base of their rate is all requests, also if the filter names error types; these only
    /// restrict which errors count.
    pub errors: Measures,
    /// Total tokens of the local day so far.
    pub today_total_tokens: i64,
    /// See [`QueryResult::exact`].
    pub exact: bool,
    /// See [`QueryResult::complete_from`]; of all these ranges.
    pub complete_from: Option<Timestamp>,
}

/// A query of a latency heatmap: range, filter, buckets of time and the latency.
#[derive(Clone, Debug)]
pub struct HeatmapQuery {
    /// Requests that started in this range.
    pub range: TimeRange,
    /// The calendar buckets.
    pub aggregation: Aggregation,
    /// The time zone of hours, days, weeks and months.
    pub tz: Tz,
    /// The latency.
    pub kind: LatencyKind,
    /// Only requests that match.
    pub filter: Filter,
}

/// Counts of requests by latency over time.
#[derive(Clone, Debug)]
pub struct Heatmap {
    /// Starts of the buckets followed by the end of the last one.
    pub boundaries: Vec<Timestamp>,
    /// Upper bounds of the latency bands in milliseconds, ascending.
    pub bounds_ms: Vec<f64>,
    /// The requests in each latency band, for each bucket of time.
    pub counts: Vec<Vec<u64>>,
}

/// What a dashboard shows.
#[derive(Clone, Debug)]
pub struct DashboardQuery {
    /// Requests that started in this range.
    pub range: TimeRange,
    /// The range to compare with.
    pub previous: Option<TimeRange>,
    /// The buckets of the series; `None`: no series, of the range to compare with neither.
    pub aggregation: Option<Aggregation>,
    /// The time zone of hours, days, weeks and months.
    pub tz: Tz,
    /// Only requests that match.
    pub filter: Filter,
    /// Latencies whose percentiles the series need.
    pub quantiles: Vec<LatencyKind>,
    /// Whether to include the range by local day.
    pub by_day: bool,
    /// The table of leading groups.
    pub top: Option<TopQuery>,
    /// The present time: the last minute, the last hour and today end here, inclusive.
    pub now: Timestamp,
}

/// Which groups lead, by which metric.
#[derive(Clone, Debug)]
pub struct TopQuery {
    /// The dimension.
    pub by: Dimension,
    /// The metric that orders the groups, highest first; error types are ordered by errors.
    pub sort: MetricType,
    /// The statistic, for latencies.
    pub stat: Stat,
    /// Maximum number of rows; the rest is `other`.
    pub limit: usize,
}

/// The parts of a dashboard, from one snapshot.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// The range in buckets, one series.
    pub series: Option<QueryResult>,
    /// The range to compare with, in buckets of the same width, with percentiles of the total latency only.
    pub previous: Option<QueryResult>,
    /// The range by local day.
    pub days: Option<QueryResult>,
    /// The leading groups.
    pub top: Option<Top>,
    /// The last hour.
    pub last_hour: Measures,
    /// Requests in the last minute.
    pub last_minute_requests: i64,
    /// The local day so far.
    pub today: Measures,
    /// If the series has no requests, the start of the newest request in the file, whatever the filter.
    pub newest: Option<Timestamp>,
}

/// Leading groups with all their measures: rows + other = total.
#[derive(Clone, Debug)]
pub struct Top {
    /// The leading groups, in order.
    pub rows: Vec<TopRow>,
    /// The remaining groups together: counts and sums only.
    pub other: Measures,
    /// All groups together; by error type, errors only.
    pub total: Measures,
    /// Number of groups with requests.
    pub groups: usize,
    /// Requests of the first leading groups over time, if rollups have them.
    pub trend: Option<TopTrend>,
    /// Whether rows have percentiles: not if that would require reading every raw row.
    pub percentiles: bool,
    /// See [`QueryResult::exact`].
    pub exact: bool,
    /// See [`QueryResult::complete_from`].
    pub complete_from: Option<Timestamp>,
    /// The same for the range to compare with.
    pub previous_complete_from: Option<Timestamp>,
}

/// One leading group.
#[derive(Clone, Debug)]
pub struct TopRow {
    /// Its name.
    pub name: String,
    /// Its measures.
    pub measures: Measures,
    /// Its measures in the range to compare with, without requests if it had none there; `None` without such a range.
    pub previous: Option<Measures>,
}

/// Requests of leading groups over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopTrend {
    /// Starts of the buckets followed by the end of the last one.
    pub boundaries: Vec<Timestamp>,
    /// Requests in each bucket, by the name of the group.
    pub requests: BTreeMap<String, Vec<i64>>,
}

/// A query of stored requests, newest first.
#[derive(Clone, Debug)]
pub struct RequestsQuery {
    /// Requests that started in this range.
    pub range: TimeRange,
    /// Only requests that match.
    pub filter: Filter,
    /// Maximum number of requests of the page.
    pub limit: usize,
    /// Where the previous page ended.
    pub cursor: Option<PageCursor>,
}

/// A page of stored requests.
#[derive(Clone, Debug)]
pub struct RequestsPage {
    /// Newest first.
    pub requests: Vec<StoredRequest>,
    /// Cursor of the next page; `None` at the end. If the time limit stops the query, a page may hold fewer requests than its
    /// limit, even none, and still have a cursor.
    pub next_cursor: Option<PageCursor>,
}

/// A stored request with its position in the order of arrival.
#[derive(Clone, Debug)]
pub struct StoredRequest {
    /// Order of arrival.
    pub seq: i64,
    /// The record.
    pub record: RequestRecord,
}

/// What arrived since the last poll of a live stream.
#[derive(Clone, Debug)]
pub struct Tail {
    /// In order of arrival.
    pub requests: Vec<StoredRequest>,
    /// The `seq` after which the next poll begins.
    pub upto: i64,
    /// Whether older matching requests were skipped because there were too many.
    pub missed: bool,
}

/// A value of a dimension.
#[derive(Clone, Debug, Serialize)]
pub struct DimensionValue {
    /// Its name.
    pub name: String,
    /// Requests of the last 30 days; `None` if it is not among the 10,000 busiest values.
    pub requests: Option<i64>,
}

/// The direction of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrendDirection {
    /// The second half is at least 5 % above the first, or above 0 and the first is 0.
    Up,
    /// The second half is at least 5 % below the first.
    Down,
    /// Neither.
    Flat,
    /// One half has no value.
    Unknown,
}

/// The values of a metric over a range, and their direction.
#[derive(Clone, Debug)]
pub struct Trend {
    /// One point per bucket.
    pub points: Vec<MetricDataPoint>,
    /// Whether the metric rises or falls.
    pub direction: TrendDirection,
    /// Change from the first half of the complete buckets to the second, in percent. Of an odd number of buckets, the middle
    /// one belongs to neither half.
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
    /// Errors to be expected from the baseline.
    pub expected_errors: f64,
    /// Errors of each type that occurred.
    pub by_type: BTreeMap<&'static str, i64>,
}
