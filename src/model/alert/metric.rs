//! What a rule can watch.

use crate::model::{Count, ErrorType, LatencyKind, Stat};

/// What a rule watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertMetric {
    /// Errors as a share of all requests: 0.1 is ten percent.
    ErrorRate,
    /// Errors in the window.
    ErrorCount,
    /// A statistic of a latency, in milliseconds.
    Latency(LatencyKind, Stat),
    /// Requests a minute.
    RequestRate,
    /// Prompt plus completion tokens.
    Tokens,
    /// Cost in US dollars.
    Cost,
    /// Answers from the app's own cache as a share of all requests.
    CacheHitRate,
    /// Errors in a row, up to the latest request.
    ConsecutiveFailures,
    /// Requests in the window, of whoever sent some within the day before.
    NoTraffic,
    /// How many times faster than allowed the error budget of an SLO is used up.
    BurnRate,
    /// Errors in the window against a robust baseline of the day before.
    Spike,
    /// Evaluations of rules that failed one after the other; the program watches itself with it.
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
        if let Some((_, metric)) = PLAIN.iter().find(|(name, _)| *name == text) {
            return Some(*metric);
        }
        let (latency, stat) = text.rsplit_once('_')?;
        let kind = LATENCIES.iter().find(|(name, _)| *name == latency)?.1;
        let stat = STATS.iter().find(|(name, _)| *name == stat)?.1;
        Some(Self::Latency(kind, stat))
    }

    /// The spelling in rules.
    pub fn name(self) -> String {
        match self {
            Self::Latency(kind, stat) => {
                let latency = LATENCIES.iter().find(|(_, other)| *other == kind);
                let stat = STATS.iter().find(|(_, other)| *other == stat);
                let name = |found: Option<&'static str>| found.unwrap_or("latency");
                format!(
                    "{}_{}",
                    name(latency.map(|(name, _)| *name)),
                    stat.map_or("avg", |(name, _)| *name)
                )
            }
            Self::FailedEvaluations => "failed_evaluations".to_owned(),
            plain => {
                let found = PLAIN.iter().find(|(_, metric)| *metric == plain);
                found.map_or("", |(name, _)| *name).to_owned()
            }
        }
    }

    /// All spellings, for messages.
    pub fn allowed() -> String {
        let plain = PLAIN.iter().map(|(name, _)| (*name).to_owned());
        let latencies = LATENCIES.iter().map(|(name, _)| format!("{name}_avg|p50|p95|p99"));
        plain.chain(latencies).collect::<Vec<_>>().join(", ")
    }

    /// A share of requests, of which few say little.
    pub const fn is_share(self) -> bool {
        matches!(self, Self::ErrorRate | Self::CacheHitRate | Self::BurnRate)
    }

    /// A value that nothing is known of when there are no requests: a share or a latency.
    pub const fn needs_samples(self) -> bool {
        self.is_share() || matches!(self, Self::Latency(..))
    }

    /// Counts something that a violation may need a least number of: errors, hits, requests.
    pub const fn has_events(self) -> bool {
        !matches!(self, Self::Latency(..) | Self::Tokens | Self::Cost | Self::NoTraffic)
    }

    /// A sum that a budget can limit.
    pub const fn is_sum(self) -> bool {
        matches!(self, Self::Tokens | Self::Cost | Self::ErrorCount)
    }
}

/// Which errors count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ErrorScope {
    /// Every error, as in all other figures.
    #[default]
    All,
    /// Errors of the service and its providers, not those that a caller causes: `validation` and
    /// `content_filter` are left out.
    Service,
}

impl ErrorScope {
    /// The spelling in rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Service => "service",
        }
    }

    /// The scope with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::All, Self::Service].into_iter().find(|scope| scope.as_str() == text)
    }

    /// Whether an error of this type counts.
    pub const fn counts(self, kind: ErrorType) -> bool {
        match self {
            Self::All => true,
            Self::Service => !matches!(kind, ErrorType::Validation | ErrorType::ContentFilter),
        }
    }

    /// The counters of the errors that count.
    pub fn counters(self) -> impl Iterator<Item = Count> {
        let counted = ErrorType::ALL.iter().copied().filter(move |kind| self.counts(*kind));
        counted.map(Count::of_error)
    }
}
