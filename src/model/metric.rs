//! Metric types, latency kinds and statistics, with their spellings.

use serde::Serialize;

/// The four latencies of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LatencyKind {
    /// From the start of the request to its end.
    Total,
    /// Time to assemble the context before the LLM call.
    Context,
    /// Time inside the LLM call.
    Llm,
    /// From the start of the LLM call to the first generated token.
    TimeToFirstToken,
}

impl LatencyKind {
    /// Every kind, in array order.
    pub const ALL: [Self; 4] = [Self::Total, Self::Context, Self::Llm, Self::TimeToFirstToken];

    /// Index of this kind in arrays of four.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Stem of column and field names: `total_latency`, ..., `time_to_first_token`.
    pub const fn stem(self) -> &'static str {
        match self {
            Self::Total => "total_latency",
            Self::Context => "context_latency",
            Self::Llm => "llm_latency",
            Self::TimeToFirstToken => "time_to_first_token",
        }
    }
}

/// A statistic over latencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stat {
    /// Sum divided by count.
    #[default]
    Average,
    /// The 50th percentile.
    Median,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
    /// The minimum.
    Min,
    /// The maximum.
    Max,
}

impl Stat {
    /// Every statistic.
    pub const ALL: [Self; 6] =
        [Self::Average, Self::Median, Self::P95, Self::P99, Self::Min, Self::Max];

    /// The spelling in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Average => "average",
            Self::Median => "median",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    /// The statistic with this spelling; `p50` and `avg` are aliases.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "p50" => Some(Self::Median),
            "avg" => Some(Self::Average),
            _ => Self::ALL.into_iter().find(|stat| stat.as_str() == text),
        }
    }

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

/// A metric with a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricType {
    /// Requests per bucket or window.
    RequestRate,
    /// Total latency.
    TotalLatency,
    /// Context latency.
    ContextLatency,
    /// LLM latency.
    LlmLatency,
    /// Time to first token.
    TimeToFirstToken,
    /// Input tokens.
    PromptTokens,
    /// Output tokens.
    CompletionTokens,
    /// Prompt plus completion tokens.
    TotalTokens,
    /// Errors in percent of all requests.
    ErrorRate,
    /// Hits in the application's own cache in percent of all requests.
    CacheHitRate,
    /// Cost in US dollars.
    Cost,
}

impl MetricType {
    /// Every metric type.
    pub const ALL: [Self; 11] = [
        Self::RequestRate,
        Self::TotalLatency,
        Self::ContextLatency,
        Self::LlmLatency,
        Self::TimeToFirstToken,
        Self::PromptTokens,
        Self::CompletionTokens,
        Self::TotalTokens,
        Self::ErrorRate,
        Self::CacheHitRate,
        Self::Cost,
    ];

    /// The spelling in the API and the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestRate => "request_rate",
            Self::TotalLatency => "total_latency",
            Self::ContextLatency => "context_latency",
            Self::LlmLatency => "llm_latency",
            Self::TimeToFirstToken => "time_to_first_token",
            Self::PromptTokens => "prompt_tokens",
            Self::CompletionTokens => "completion_tokens",
            Self::TotalTokens => "total_tokens",
            Self::ErrorRate => "error_rate",
            Self::CacheHitRate => "cache_hit_rate",
            Self::Cost => "cost",
        }
    }

    /// The metric with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.as_str() == text)
    }

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

    /// Whether the values of disjoint groups add up to the value of their union.
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
