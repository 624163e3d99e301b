//! The response as it is serialized.

use serde::Serialize;
use utoipa::ToSchema;

/// Everything that a dashboard shows; parts that were not requested are absent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DashboardBody {
    /// When, and over which ranges.
    #[serde(flatten)]
    pub(crate) stamp: StampBody,
    /// The figures.
    #[serde(flatten)]
    pub(crate) content: ContentBody,
}

/// The moment and the ranges of the figures, which move on by themselves.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StampBody {
    /// The moment of the figures.
    #[schema(format = DateTime)]
    pub(crate) as_of: String,
    /// First instant inside, resolved.
    #[schema(format = DateTime)]
    pub(crate) start: String,
    /// First instant after, resolved.
    #[schema(format = DateTime)]
    pub(crate) end: String,
    /// The range compared with, with `compare`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) previous: Option<PreviousRangeBody>,
}

/// The range compared with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreviousRangeBody {
    /// First instant inside.
    #[schema(format = DateTime)]
    pub(crate) start: String,
    /// First instant after.
    #[schema(format = DateTime)]
    pub(crate) end: String,
    /// The first instant from which its figures are complete, when it is not `start`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    pub(crate) complete_from: Option<String>,
}

/// The figures.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContentBody {
    /// The zone that buckets and days are cut in.
    pub(crate) tz: &'static str,
    /// Width of the buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) aggregation: Option<&'static str>,
    /// Percentiles are exact, not within 1 %.
    pub(crate) exact: bool,
    /// The first instant from which the result is complete, when it is not `start`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    pub(crate) complete_from: Option<String>,
    /// Start of the bucket that has not ended yet.
    #[schema(format = DateTime, required)]
    pub(crate) incomplete_from: Option<String>,
    /// When the range has no requests: the start of the newest one of the file; null when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) last_request_at: Option<Option<String>>,
    /// The present.
    pub(crate) now: NowBody,
    /// Starts of the buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    pub(crate) timestamps: Option<Vec<String>>,
    /// The figures of the whole range.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) tiles: Option<TilesBody>,
    /// Requests over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) requests: Option<RequestSeriesBody>,
    /// The four latencies over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) latency: Option<LatenciesBody>,
    /// How the latency divides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) share: Option<ShareBody>,
    /// Errors by type over time: every type, the most frequent first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) errors: Option<Vec<ErrorSeries>>,
    /// Requests by latency over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) heatmap: Option<HeatmapPartBody>,
    /// Tokens over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) tokens: Option<TokensBody>,
    /// Cost by local day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) cost: Option<Vec<DayBody>>,
    /// The leading groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) top: Option<TopBody>,
}

/// The present, whatever the range.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NowBody {
    /// Requests of the last minute.
    pub(crate) requests_per_minute: i64,
    /// Average total latency of the last hour.
    #[schema(required)]
    pub(crate) average_ms: Option<f64>,
    /// Errors of the last hour in percent of its requests.
    #[schema(required)]
    pub(crate) error_rate_percent: Option<f64>,
    /// Tokens of the local day so far.
    pub(crate) today_tokens: i64,
    /// Cost of the local day so far.
    #[schema(required)]
    pub(crate) today_cost_usd: Option<f64>,
}

/// The figures of the whole range.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TilesBody {
    /// Requests.
    pub(crate) requests: TileBody,
    /// Errors in percent of all requests.
    pub(crate) error_rate_percent: TileBody,
    /// 95th percentile of the total latency.
    pub(crate) p95_ms: TileBody,
    /// Average total latency.
    pub(crate) average_ms: TileBody,
    /// Prompt and completion tokens.
    pub(crate) tokens: TileBody,
    /// Cost.
    pub(crate) cost_usd: TileBody,
    /// Requests served by the app's response cache, in percent of all.
    pub(crate) cache_hit_rate_percent: TileBody,
}

/// One figure.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TileBody {
    /// Over the range; null over nothing.
    #[schema(required)]
    pub(crate) value: Option<f64>,
    /// Over the range compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub(crate) previous: Option<Option<f64>>,
    /// For each bucket.
    pub(crate) buckets: Vec<Option<f64>>,
}

/// Requests over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RequestSeriesBody {
    /// In the bucket.
    pub(crate) count: Vec<i64>,
    /// A minute of the part of the bucket that lies in the range and has happened.
    pub(crate) per_minute: Vec<Option<f64>>,
    /// In the bucket at the same place of the range compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) previous: Option<Vec<Option<i64>>>,
    /// The same a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) previous_per_minute: Option<Vec<Option<f64>>>,
}

/// The four latencies over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LatenciesBody {
    /// Of the whole request.
    pub(crate) total: LatencySeriesBody,
    /// Of assembling the context.
    pub(crate) context: LatencySeriesBody,
    /// Of the LLM call.
    pub(crate) llm: LatencySeriesBody,
    /// From the start of the LLM call to the first generated delta.
    pub(crate) time_to_first_token: LatencySeriesBody,
}

/// One latency over time; null where nothing is known.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LatencySeriesBody {
    /// Over the whole range.
    pub(crate) range: LatencyStatsBody,
    /// Sum over count.
    pub(crate) average_ms: Vec<Option<f64>>,
    /// 50th percentile.
    pub(crate) median_ms: Vec<Option<f64>>,
    /// 95th percentile.
    pub(crate) p95_ms: Vec<Option<f64>>,
    /// 99th percentile.
    pub(crate) p99_ms: Vec<Option<f64>>,
}

/// Statistics of one latency over the whole range.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LatencyStatsBody {
    /// Requests with a known latency.
    pub(crate) count: i64,
    /// Sum over count.
    #[schema(required)]
    pub(crate) average_ms: Option<f64>,
    /// 50th percentile.
    #[schema(required)]
    pub(crate) median_ms: Option<f64>,
    /// 95th percentile.
    #[schema(required)]
    pub(crate) p95_ms: Option<f64>,
    /// 99th percentile.
    #[schema(required)]
    pub(crate) p99_ms: Option<f64>,
    /// Greatest.
    #[schema(required)]
    pub(crate) max_ms: Option<f64>,
}

/// How the time of an average request divides into assembling the context, the LLM call and everything else;
/// together they are the average total.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShareBody {
    /// Over the whole range.
    pub(crate) range: PhasesBody,
    /// Assembling the context.
    pub(crate) context_ms: Vec<Option<f64>>,
    /// The LLM call.
    pub(crate) llm_ms: Vec<Option<f64>>,
    /// The rest of the total.
    pub(crate) other_ms: Vec<Option<f64>>,
}

/// Average times of the phases over all requests; one without a phase, such as a cached response without an
/// LLM call, counts with none.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct PhasesBody {
    /// Assembling the context.
    #[schema(required)]
    pub(crate) context_ms: Option<f64>,
    /// The LLM call.
    #[schema(required)]
    pub(crate) llm_ms: Option<f64>,
    /// The rest of the total.
    #[schema(required)]
    pub(crate) other_ms: Option<f64>,
}

/// Errors of one type over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorSeries {
    /// The type.
    pub(crate) error_type: &'static str,
    /// Errors in each bucket.
    pub(crate) count: Vec<i64>,
}

/// Requests by latency over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HeatmapPartBody {
    /// The latency.
    #[serde(rename = "type")]
    pub(crate) latency: &'static str,
    /// Upper bounds of the rows; a row counts values above the previous bound.
    pub(crate) bounds_ms: Vec<f64>,
    /// One list for each bucket, one number for each bound.
    pub(crate) counts: Vec<Vec<u64>>,
}

/// Tokens over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokensBody {
    /// Input.
    pub(crate) prompt: Vec<i64>,
    /// Output.
    pub(crate) completion: Vec<i64>,
    /// The part of the input that the provider had in its prompt cache.
    pub(crate) cached_prompt: Vec<i64>,
    /// The part of the output spent on reasoning.
    pub(crate) reasoning: Vec<i64>,
}

/// One local day, or the part of it that lies in the range.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DayBody {
    /// The date in the zone.
    #[schema(format = Date)]
    pub(crate) date: String,
    /// Its start.
    #[schema(format = DateTime)]
    pub(crate) timestamp: String,
    /// Requests.
    pub(crate) requests: i64,
    /// Tokens.
    pub(crate) tokens: i64,
    /// Cost; null when of no request it is known.
    #[schema(required)]
    pub(crate) cost_usd: Option<f64>,
    /// The day has not ended yet.
    pub(crate) incomplete: bool,
}

/// The leading groups of one dimension; `total` aggregates the rows and `other`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TopBody {
    /// The dimension.
    pub(crate) by: &'static str,
    /// Order of the rows.
    pub(crate) sort: &'static str,
    /// The statistic, for latencies.
    pub(crate) stat: &'static str,
    /// Whether percentiles are known.
    pub(crate) percentiles: bool,
    /// Number of groups that have requests.
    pub(crate) groups: usize,
    /// Starts of the buckets of the rows' `trend`; absent where only single requests would know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    pub(crate) trend_timestamps: Option<Vec<String>>,
    /// The leading groups.
    pub(crate) rows: Vec<TopRowBody>,
    /// All other groups together.
    pub(crate) other: TopRowBody,
    /// All groups together; by error type, all errors.
    pub(crate) total: TopRowBody,
}

/// One group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TopRowBody {
    /// Its name.
    pub(crate) name: String,
    /// Requests.
    pub(crate) requests: i64,
    /// In percent of all requests.
    #[schema(required)]
    pub(crate) requests_share_percent: Option<f64>,
    /// Requests in the range compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) previous_requests: Option<i64>,
    /// Requests in each of at most 48 buckets, of the first ten rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) trend: Option<Vec<i64>>,
    /// Errors.
    pub(crate) errors: i64,
    /// In percent of its requests.
    #[schema(required)]
    pub(crate) error_rate_percent: Option<f64>,
    /// Average total latency.
    #[schema(required)]
    pub(crate) average_ms: Option<f64>,
    /// Median of the total latency.
    #[schema(required)]
    pub(crate) median_ms: Option<f64>,
    /// 95th percentile of the total latency.
    #[schema(required)]
    pub(crate) p95_ms: Option<f64>,
    /// Average times of the phases.
    #[serde(flatten)]
    pub(crate) phases: PhasesBody,
    /// Prompt and completion tokens.
    pub(crate) tokens: i64,
    /// Cost; null when of no request it is known.
    #[schema(required)]
    pub(crate) cost_usd: Option<f64>,
    /// In percent of all cost.
    #[schema(required)]
    pub(crate) cost_share_percent: Option<f64>,
    /// Requests served by the app's response cache, in percent of its requests.
    #[schema(required)]
    pub(crate) cache_hit_rate_percent: Option<f64>,
}
