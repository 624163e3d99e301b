//! Summaries for people: data points, latency, token and error statistics.

use std::collections::BTreeMap;

use serde::Serialize;

use super::measures::{percent, ratio};
use super::{Count, ErrorType, LatencyKind, Measures, Stat, Timestamp};

/// The value of a metric at one time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricDataPoint {
    /// Start of the bucket.
    pub timestamp: Timestamp,
    /// The value in the metric's unit; `None` for an average, rate or percentile without requests.
    pub value: Option<f64>,
    /// Metadata of the value.
    pub metadata: PointMetadata,
}

/// Metadata of a data point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PointMetadata {
    /// Number of requests behind the value.
    pub count: i64,
    /// Whether the bucket had not ended at the time of the query.
    pub incomplete: bool,
}

/// Latency statistics in milliseconds; all `None` without requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LatencyStats {
    /// Sum divided by count.
    pub average_ms: Option<f64>,
    /// 50th percentile.
    pub median_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Minimum.
    pub min_ms: Option<f64>,
    /// Maximum.
    pub max_ms: Option<f64>,
}

impl Measures {
    /// All statistics of a latency.
    pub fn latency_stats(&self, kind: LatencyKind) -> LatencyStats {
        let stat = |stat| self.latency_ms(kind, stat);
        LatencyStats {
            average_ms: stat(Stat::Average),
            median_ms: stat(Stat::Median),
            p95_ms: stat(Stat::P95),
            p99_ms: stat(Stat::P99),
            min_ms: stat(Stat::Min),
            max_ms: stat(Stat::Max),
        }
    }
}

/// Token usage over a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TokenUsageStats {
    /// Prompt plus completion tokens.
    pub total: i64,
    /// Input tokens.
    pub prompt: i64,
    /// Output tokens.
    pub completion: i64,
    /// Total tokens by user pseudonym.
    pub by_user: BTreeMap<String, i64>,
    /// Total tokens by space.
    pub by_space: BTreeMap<String, i64>,
    /// Total tokens divided by the number of requests with known tokens; `None` without any.
    pub average_per_request: Option<f64>,
}

impl TokenUsageStats {
    /// The totals of `measures`, without the maps.
    pub fn totals(measures: &Measures) -> Self {
        let known = measures.get(Count::TotalTokensKnown);
        Self {
            total: measures.total_tokens(),
            prompt: measures.get(Count::PromptTokens),
            completion: measures.get(Count::CompletionTokens),
            average_per_request: (known > 0).then(|| ratio(measures.total_tokens(), known)),
            ..Self::default()
        }
    }
}

/// Errors in a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ErrorStats {
    /// Errors in percent of all requests; `None` without requests.
    pub total_error_rate: Option<f64>,
    /// Errors of each type in percent of all requests; contains every type.
    pub error_rate_by_type: BTreeMap<&'static str, Option<f64>>,
    /// Number of errors of each type; contains every type.
    pub error_count_by_type: BTreeMap<&'static str, i64>,
    /// Number of errors.
    pub total_errors: i64,
    /// Number of requests.
    pub total_requests: i64,
}

impl From<&Measures> for ErrorStats {
    fn from(measures: &Measures) -> Self {
        let requests = measures.requests();
        let counts = || {
            ErrorType::ALL.iter().map(|kind| (kind.as_str(), measures.get(Count::of_error(*kind))))
        };
        Self {
            total_error_rate: percent(measures.errors(), requests),
            error_rate_by_type: counts().map(|(kind, n)| (kind, percent(n, requests))).collect(),
            error_count_by_type: counts().collect(),
            total_errors: measures.errors(),
            total_requests: requests,
        }
    }
}
