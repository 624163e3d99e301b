//! Metrics of alert rules.

use crate::model::spelling::spelled_enum;
use crate::model::{Count, ErrorType, LatencyKind, Stat};

/// The metric of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertMetric {
    /// Errors as a share of all requests: 0.1 is ten percent.
    ErrorRate,
    /// Errors in the window.
    ErrorCount,
    /// A statistic of a latency, in milliseconds.
    Latency(LatencyKind, Stat),
    /// Requests per minute.
    RequestRate,
    /// Prompt plus completion tokens.
    Tokens,
    /// Cost in US dollars.
    Cost,
    /// Hits in the application's own cache as a share of all requests.
    CacheHitRate,
    /// Consecutive errors up to the latest request.
    ConsecutiveFailures,
    /// Requests in the window, for groups that had requests within the last day.
    NoTraffic,
    /// Burn rate: how many times faster than allowed the error budget of an SLO is used.
    BurnRate,
    /// Errors in the window, compared with a robust baseline of the last day.
    Spike,
    /// Consecutive failed evaluations of rules; used by the monitor's own rule.
    FailedEvaluations,
}

const STATS: [(&str, Stat); 4] =
    [("avg", Stat::Average), ("p50", Stat::Median), ("p95", Stat::P95), ("p99", Stat::P99)];
const LATENCIES: [(&str, LatencyKind); 4] = [
    ("latency", LatencyKind::Total),
    ("context_latency", LatencyKind::Context),
    ("llm_latency", LatencyKind::Llm),
    ("ttft", LatencyKind::TimeToFirstToken),
];
const PLAIN: [(&str, AlertMetric); 10] = [
    ("error_rate", AlertMetric::ErrorRate),
    ("error_count", AlertMetric::ErrorCount),
    ("request_rate", AlertMetric::RequestRate),
    ("tokens", AlertMetric::Tokens),
    ("cost", AlertMetric::Cost),
    ("cache_hit_rate", AlertMetric::CacheHitRate),
    ("consecutive_failures", AlertMetric::ConsecutiveFailures),
    ("no_traffic", AlertMetric::NoTraffic),
    ("burn_rate", AlertMetric::BurnRate),
    ("spike", AlertMetric::Spike),
];

fn value_of<T: Copy>(table: &[(&str, T)], text: &str) -> Option<T> {
    table.iter().find(|(spelling, _)| *spelling == text).map(|(_, value)| *value)
}

/// The spelling of a value; that of the first value for one that is not in the table.
fn spelling_of<T: Copy + PartialEq>(table: &[(&'static str, T)], value: T) -> &'static str {
    table.iter().find(|(_, other)| *other == value).map_or(table[0].0, |(spelling, _)| *spelling)
}

impl AlertMetric {
    /// The metric with this spelling.
    ///
    /// # Example
    /// ```
    /// use chatgauge::model::alert::AlertMetric;
    /// use chatgauge::model::{LatencyKind, Stat};
    /// let metric = AlertMetric::parse("ttft_p95");
    /// assert_eq!(metric, Some(AlertMetric::Latency(LatencyKind::TimeToFirstToken, Stat::P95)));
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(plain) = value_of(&PLAIN, text) {
            return Some(plain);
        }
        let (latency, stat) = text.rsplit_once('_')?;
        Some(Self::Latency(value_of(&LATENCIES, latency)?, value_of(&STATS, stat)?))
    }

    /// The spelling in rules.
    pub fn name(self) -> String {
        match self {
            Self::Latency(kind, stat) => {
                format!("{}_{}", spelling_of(&LATENCIES, kind), spelling_of(&STATS, stat))
            }
            Self::FailedEvaluations => "failed_evaluations".to_owned(),
            plain => spelling_of(&PLAIN, plain).to_owned(),
        }
    }

    /// All spellings, for messages.
    pub fn allowed() -> String {
        let plain = PLAIN.iter().map(|(name, _)| (*name).to_owned());
        let latencies = LATENCIES.iter().map(|(name, _)| format!("{name}_avg|p50|p95|p99"));
        plain.chain(latencies).collect::<Vec<_>>().join(", ")
    }

    /// Whether the value is a share of requests, which is unreliable for few requests.
    pub const fn is_share(self) -> bool {
        matches!(self, Self::ErrorRate | Self::CacheHitRate | Self::BurnRate)
    }

    /// Whether the value is undefined without requests: a share or a latency.
    pub const fn needs_samples(self) -> bool {
        self.is_share() || matches!(self, Self::Latency(..))
    }

    /// Whether violations may require a minimum number of events: errors, hits or requests.
    pub const fn has_events(self) -> bool {
        !matches!(self, Self::Latency(..) | Self::Tokens | Self::Cost | Self::NoTraffic)
    }

    /// Whether the value is a sum that a budget can limit.
    pub const fn is_sum(self) -> bool {
        matches!(self, Self::Tokens | Self::Cost | Self::ErrorCount)
    }
}

spelled_enum! {
    /// The errors that a rule counts.
    #[derive(Default)]
    pub enum ErrorScope {
        /// All errors, as in all other figures.
        #[default]
        All = "all",
        /// Errors of the service and its providers, without those that a caller causes: `validation`
        /// and `content_filter`.
        Service = "service",
    }
}

impl ErrorScope {
    /// Whether errors of this type count.
    pub const fn counts(self, kind: ErrorType) -> bool {
        match self {
            Self::All => true,
            Self::Service => !matches!(kind, ErrorType::Validation | ErrorType::ContentFilter),
        }
    }

    /// The counters of the errors that count.
    pub fn counters(self) -> impl Iterator<Item = Count> {
        let counted = ErrorType::ALL.into_iter().filter(move |kind| self.counts(*kind));
        counted.map(Count::of_error)
    }
}
