//! What one rollup row, one bucket of an answer and one hot-cache slot carry.

use super::{LatencyKind, MetricType, Outcome, RequestRecord, Sketch, Stat};

/// A counter or sum of [`Measures`]; the names are the columns of the rollup tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Count {
    /// All requests.
    Requests,
    /// Errors of type network; the other error types follow in the order of their codes.
    ErrorsNetwork,
    /// Errors of type timeout.
    ErrorsTimeout,
    /// Errors of type `rate_limit`.
    ErrorsRateLimit,
    /// Errors of type server.
    ErrorsServer,
    /// Errors of type validation.
    ErrorsValidation,
    /// Errors of type auth.
    ErrorsAuth,
    /// Errors of type `content_filter`.
    ErrorsContentFilter,
    /// Errors of no other type.
    ErrorsOther,
    /// Requests that the caller gave up.
    Cancelled,
    /// Requests that the app's answer cache served.
    CacheHits,
    /// Requests whose prompt tokens are known.
    PromptTokensKnown,
    /// Sum of prompt tokens.
    PromptTokens,
    /// Requests whose completion tokens are known.
    CompletionTokensKnown,
    /// Sum of completion tokens.
    CompletionTokens,
    /// Requests of which prompt or completion tokens are known.
    TotalTokensKnown,
    /// Sum of cached prompt tokens.
    CachedPromptTokens,
    /// Sum of reasoning tokens.
    ReasoningTokens,
    /// Requests whose cost is known.
    CostKnown,
    /// Sum of costs in nano-USD.
    CostNanoUsd,
}

impl Count {
    /// Every counter, in the order of [`Measures::counts`].
    pub const ALL: [Self; 20] = [
        Self::Requests,
        Self::ErrorsNetwork,
        Self::ErrorsTimeout,
        Self::ErrorsRateLimit,
        Self::ErrorsServer,
        Self::ErrorsValidation,
        Self::ErrorsAuth,
        Self::ErrorsContentFilter,
        Self::ErrorsOther,
        Self::Cancelled,
        Self::CacheHits,
        Self::PromptTokensKnown,
        Self::PromptTokens,
        Self::CompletionTokensKnown,
        Self::CompletionTokens,
        Self::TotalTokensKnown,
        Self::CachedPromptTokens,
        Self::ReasoningTokens,
        Self::CostKnown,
        Self::CostNanoUsd,
    ];

    /// Number of counters.
    pub const LEN: usize = Self::ALL.len();

    /// The counter of one error type.
    pub const fn of_error(kind: super::ErrorType) -> Self {
        Self::ALL[kind as usize]
    }

    /// The column name.
    pub const fn column(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::ErrorsNetwork => "errors_network",
            Self::ErrorsTimeout => "errors_timeout",
            Self::ErrorsRateLimit => "errors_rate_limit",
            Self::ErrorsServer => "errors_server",
            Self::ErrorsValidation => "errors_validation",
            Self::ErrorsAuth => "errors_auth",
            Self::ErrorsContentFilter => "errors_content_filter",
            Self::ErrorsOther => "errors_other",
            Self::Cancelled => "cancelled",
            Self::CacheHits => "cache_hits",
            Self::PromptTokensKnown => "prompt_tokens_known",
            Self::PromptTokens => "prompt_tokens",
            Self::CompletionTokensKnown => "completion_tokens_known",
            Self::CompletionTokens => "completion_tokens",
            Self::TotalTokensKnown => "total_tokens_known",
            Self::CachedPromptTokens => "cached_prompt_tokens",
            Self::ReasoningTokens => "reasoning_tokens",
            Self::CostKnown => "cost_known",
            Self::CostNanoUsd => "cost_nano_usd",
        }
    }
}

/// One latency over many requests; requests of which it is unknown take no part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatencyMeasures {
    /// Requests with this latency known.
    pub known: i64,
    /// Sum in microseconds.
    pub sum_us: i64,
    /// Least value in microseconds; meaningless when `known` is 0.
    pub min_us: i64,
    /// Greatest value in microseconds; meaningless when `known` is 0.
    pub max_us: i64,
    /// Distribution; `None` where quantiles are not kept.
    pub sketch: Option<Sketch>,
}

impl LatencyMeasures {
    fn add(&mut self, value_us: u64) {
        let value = i64::try_from(value_us).unwrap_or(i64::MAX);
        self.widen(value, value);
        self.known += 1;
        self.sum_us = self.sum_us.saturating_add(value);
        if let Some(sketch) = &mut self.sketch {
            sketch.add(value_us);
        }
    }

    fn widen(&mut self, min_us: i64, max_us: i64) {
        if self.known == 0 {
            (self.min_us, self.max_us) = (min_us, max_us);
        } else {
            self.min_us = self.min_us.min(min_us);
            self.max_us = self.max_us.max(max_us);
        }
    }

    /// Adds `other`; its sketch is taken only where this one keeps a sketch.
    pub fn merge(&mut self, other: &Self) {
        if other.known == 0 {
            return;
        }
        self.widen(other.min_us, other.max_us);
        self.known += other.known;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        if let (Some(mine), Some(theirs)) = (&mut self.sketch, &other.sketch) {
            mine.merge(theirs);
        }
    }

    /// Sum over count, in milliseconds; `None` over nothing.
    pub fn average_ms(&self) -> Option<f64> {
        (self.known > 0).then(|| ratio(self.sum_us, self.known) / 1_000.0)
    }

    /// A statistic in milliseconds; `None` over nothing, or for a percentile without a sketch.
    pub fn stat_ms(&self, stat: Stat) -> Option<f64> {
        if self.known == 0 {
            return None;
        }
        match stat {
            Stat::Average => self.average_ms(),
            Stat::Min => Some(ratio(self.min_us, 1_000)),
            Stat::Max => Some(ratio(self.max_us, 1_000)),
            Stat::Median | Stat::P95 | Stat::P99 => {
                let us = self.sketch.clone()?.quantile(stat.quantile()?)?;
                // The sketch knows a value within 1 %; the extremes are known exactly.
                Some(us.clamp(as_f64(self.min_us), as_f64(self.max_us)) / 1_000.0)
            }
        }
    }
}

/// Counts, sums and distributions over a set of requests; merging is associative and commutative.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    /// By [`Count`].
    pub counts: [i64; Count::LEN],
    /// By [`LatencyKind::index`].
    pub latency: [LatencyMeasures; 4],
}

impl Measures {
    /// Empty measures that keep a sketch of each latency in `kinds`.
    pub fn with_sketches(kinds: &[LatencyKind]) -> Self {
        let mut measures = Self::default();
        for kind in kinds {
            measures.latency[kind.index()].sketch = Some(Sketch::default());
        }
        measures
    }

    /// One counter.
    pub const fn get(&self, count: Count) -> i64 {
        self.counts[count as usize]
    }

    /// Adds `amount` to one counter.
    pub fn bump(&mut self, count: Count, amount: i64) {
        let slot = &mut self.counts[count as usize];
        *slot = slot.saturating_add(amount);
    }

    /// Adds one request.
    pub fn add(&mut self, record: &impl Measured) {
        self.bump(Count::Requests, 1);
        match record.outcome() {
            Outcome::Success => {}
            Outcome::Error(kind) => self.bump(Count::of_error(kind), 1),
            Outcome::Cancelled => self.bump(Count::Cancelled, 1),
        }
        self.bump(Count::CacheHits, i64::from(record.cache_hit()));
        let tokens = record.tokens();
        self.add_known(Count::PromptTokensKnown, Count::PromptTokens, tokens.prompt);
        self.add_known(Count::CompletionTokensKnown, Count::CompletionTokens, tokens.completion);
        let any_known = tokens.prompt.is_some() || tokens.completion.is_some();
        self.bump(Count::TotalTokensKnown, i64::from(any_known));
        self.bump(Count::CachedPromptTokens, tokens.cached_prompt.unwrap_or(0));
        self.bump(Count::ReasoningTokens, tokens.reasoning.unwrap_or(0));
        self.add_known(Count::CostKnown, Count::CostNanoUsd, record.cost_nano_usd());
        for kind in LatencyKind::ALL {
            if let Some(value_us) = record.latency_us(kind) {
                self.latency[kind.index()].add(value_us);
            }
        }
    }

    fn add_known(&mut self, known: Count, sum: Count, value: Option<i64>) {
        if let Some(value) = value {
            self.bump(known, 1);
            self.bump(sum, value);
        }
    }

    /// Adds `other`.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine = mine.saturating_add(theirs);
        }
        for (mine, theirs) in self.latency.iter_mut().zip(&other.latency) {
            mine.merge(theirs);
        }
    }

    /// Number of requests.
    pub const fn requests(&self) -> i64 {
        self.get(Count::Requests)
    }

    /// Number of errors of all types.
    pub fn errors(&self) -> i64 {
        super::ErrorType::ALL.iter().map(|kind| self.get(Count::of_error(*kind))).sum()
    }

    /// Prompt plus completion tokens.
    pub const fn total_tokens(&self) -> i64 {
        self.get(Count::PromptTokens) + self.get(Count::CompletionTokens)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.latency.iter().filter_map(|l| l.sketch.as_ref()).map(Sketch::heap_bytes).sum()
    }

    /// The number of requests that a metric's value is based on.
    pub fn samples(&self, metric: MetricType) -> i64 {
        match metric {
            MetricType::RequestRate | MetricType::ErrorRate | MetricType::CacheHitRate => {
                self.requests()
            }
            MetricType::PromptTokens => self.get(Count::PromptTokensKnown),
            MetricType::CompletionTokens => self.get(Count::CompletionTokensKnown),
            MetricType::TotalTokens => self.get(Count::TotalTokensKnown),
            MetricType::Cost => self.get(Count::CostKnown),
            MetricType::TotalLatency
            | MetricType::ContextLatency
            | MetricType::LlmLatency
            | MetricType::TimeToFirstToken => {
                metric.latency().map_or(0, |kind| self.latency[kind.index()].known)
            }
        }
    }

    /// The value of a metric in its [unit](MetricType::unit).
    ///
    /// `None` for an average, rate or percentile over nothing and for a cost of which nothing is
    /// known; counts and token sums over nothing are 0.
    pub fn value(&self, metric: MetricType, stat: Stat) -> Option<f64> {
        match metric {
            MetricType::RequestRate => Some(as_f64(self.requests())),
            MetricType::PromptTokens => Some(as_f64(self.get(Count::PromptTokens))),
            MetricType::CompletionTokens => Some(as_f64(self.get(Count::CompletionTokens))),
            MetricType::TotalTokens => Some(as_f64(self.total_tokens())),
            MetricType::ErrorRate => percent(self.errors(), self.requests()),
            MetricType::CacheHitRate => percent(self.get(Count::CacheHits), self.requests()),
            MetricType::Cost => self.cost_usd(),
            MetricType::TotalLatency
            | MetricType::ContextLatency
            | MetricType::LlmLatency
            | MetricType::TimeToFirstToken => {
                metric.latency().and_then(|kind| self.latency[kind.index()].stat_ms(stat))
            }
        }
    }

    /// Cost in US dollars; 0 when there were no requests, `None` when none has a known cost.
    pub fn cost_usd(&self) -> Option<f64> {
        if self.get(Count::CostKnown) == 0 && self.requests() > 0 {
            return None;
        }
        Some(ratio(self.get(Count::CostNanoUsd), 1_000_000_000))
    }
}

/// The token counts of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Input.
    pub prompt: Option<i64>,
    /// Output.
    pub completion: Option<i64>,
    /// The part of the input that the provider had cached.
    pub cached_prompt: Option<i64>,
    /// The part of the output spent on reasoning.
    pub reasoning: Option<i64>,
}

/// What [`Measures::add`] needs of one request, whether just received or read back from disk.
pub trait Measured {
    /// How it ended.
    fn outcome(&self) -> Outcome;
    /// Whether the app's answer cache served it.
    fn cache_hit(&self) -> bool;
    /// Its token counts.
    fn tokens(&self) -> Tokens;
    /// Its cost in nano-USD.
    fn cost_nano_usd(&self) -> Option<i64>;
    /// One of its latencies, in microseconds.
    fn latency_us(&self, kind: LatencyKind) -> Option<u64>;
}

impl Measured for RequestRecord {
    fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn cache_hit(&self) -> bool {
        self.cache_hit
    }

    fn tokens(&self) -> Tokens {
        let signed = |tokens: Option<u64>| tokens.and_then(|tokens| i64::try_from(tokens).ok());
        Tokens {
            prompt: signed(self.prompt_tokens),
            completion: signed(self.completion_tokens),
            cached_prompt: signed(self.cached_prompt_tokens),
            reasoning: signed(self.reasoning_tokens),
        }
    }

    fn cost_nano_usd(&self) -> Option<i64> {
        self.cost_nano_usd
    }

    fn latency_us(&self, kind: LatencyKind) -> Option<u64> {
        self.latency(kind)
    }
}

/// `part / whole * 100`; `None` when `whole` is 0.
pub fn percent(part: i64, whole: i64) -> Option<f64> {
    (whole != 0).then(|| ratio(part, whole) * 100.0)
}

/// `dividend / divisor` as a float; infinite or NaN when `divisor` is 0.
pub fn ratio(dividend: i64, divisor: i64) -> f64 {
    as_f64(dividend) / as_f64(divisor)
}

/// The nearest float; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "figures for people; exact up to 2^53")]
pub const fn as_f64(value: i64) -> f64 {
    value as f64
}
