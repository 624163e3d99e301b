//! Metric types, latency kinds and statistics, with their spellings.

use serde::Serialize;

use super::spelling::spelled_enum;

spelled_enum! {
    /// The four latencies of a request, spelled like the stem of their column and field names.
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum LatencyKind {
        /// From the start of the request to its end.
        Total = "total_latency",
        /// Time to assemble the context before the LLM call.
        Context = "context_latency",
        /// Time inside the LLM call.
        Llm = "llm_latency",
        /// From the start of the LLM call to the first generated token.
        TimeToFirstToken = "time_to_first_token",
    }
}

impl LatencyKind {
    /// Index of this kind in arrays of four.
    pub const fn index(self) -> usize {
        self as usize
    }
}

spelled_enum! {
    /// A statistic over latencies.
    #[derive(Default)]
    pub enum Stat {
        /// Sum divided by count.
        #[default]
        Average = "average" | "avg",
        /// The 50th percentile.
        Median = "median" | "p50",
        /// The 95th percentile.
        P95 = "p95",
        /// The 99th percentile.
        P99 = "p99",
        /// The minimum.
        Min = "min",
        /// The maximum.
        Max = "max",
    }
}

impl Stat {
    /// The quantile in `0..=1`; only for percentiles.
    pub const fn quantile(self) -> Option<f64> {
        match self {
            Self::Median => Some(0.50),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            Self::Average | Self::Min | Self::Max => None,
        }
    }
}

spelled_enum! {
    /// A metric with a history.
    pub enum MetricType {
        /// Requests per bucket or window.
        RequestRate = "request_rate",
        /// Total latency.
        TotalLatency = "total_latency",
        /// Context latency.
        ContextLatency = "context_latency",
        /// LLM latency.
        LlmLatency = "llm_latency",
        /// Time to first token.
        TimeToFirstToken = "time_to_first_token",
        /// Input tokens.
        PromptTokens = "prompt_tokens",
        /// Output tokens.
        CompletionTokens = "completion_tokens",
        /// Prompt plus completion tokens.
        TotalTokens = "total_tokens",
        /// Errors in percent of all requests.
        ErrorRate = "error_rate",
        /// Hits in the application's own cache in percent of all requests.
        CacheHitRate = "cache_hit_rate",
        /// Cost in US dollars.
        Cost = "cost",
    }
}

impl MetricType {
    /// The latency of a latency metric.
    pub const fn latency(self) -> Option<LatencyKind> {
        match self {
            Self::TotalLatency => Some(LatencyKind::Total),
            Self::ContextLatency => Some(LatencyKind::Context),
            Self::LlmLatency => Some(LatencyKind::Llm),
            Self::TimeToFirstToken => Some(LatencyKind::TimeToFirstToken),
            _ => None,
        }
    }

    /// Whether the value of a union of disjoint groups is the sum of the values of the groups.
    pub const fn is_additive(self) -> bool {
        matches!(
            self,
            Self::RequestRate
                | Self::PromptTokens
                | Self::CompletionTokens
                | Self::TotalTokens
                | Self::Cost
        )
    }

    /// The unit of a value.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::RequestRate => "requests",
            Self::TotalLatency
            | Self::ContextLatency
            | Self::LlmLatency
            | Self::TimeToFirstToken => "ms",
            Self::PromptTokens | Self::CompletionTokens | Self::TotalTokens => "tokens",
            Self::ErrorRate | Self::CacheHitRate => "percent",
            Self::Cost => "usd",
        }
    }
}
