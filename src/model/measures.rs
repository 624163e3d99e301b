//! The measures of a rollup row, a result bucket or a minute of the hot cache.

use super::distribution::Distribution;
use super::measured::Measured;
use super::spelling::spelled_enum;
use super::{ErrorType, LatencyKind, MetricType, Outcome, Stat};

spelled_enum! {
    /// A counter or sum of [`Measures`], spelled like its column in rollup tables.
    pub enum Count {
        /// All requests.
        Requests = "requests",
        /// Errors of type network; the other error types follow in the order of their codes.
        ErrorsNetwork = "errors_network",
        /// Errors of type timeout.
        ErrorsTimeout = "errors_timeout",
        /// Errors of type `rate_limit`.
        ErrorsRateLimit = "errors_rate_limit",
        /// Errors of type server.
        ErrorsServer = "errors_server",
        /// Errors of type validation.
        ErrorsValidation = "errors_validation",
        /// Errors of type auth.
        ErrorsAuth = "errors_auth",
        /// Errors of type `content_filter`.
        ErrorsContentFilter = "errors_content_filter",
        /// Errors of any other type.
        ErrorsOther = "errors_other",
        /// Cancelled requests.
        Cancelled = "cancelled",
        /// Requests served from the application's response cache.
        CacheHits = "cache_hits",
        /// Requests with known prompt tokens.
        PromptTokensKnown = "prompt_tokens_known",
        /// Sum of prompt tokens.
        PromptTokens = "prompt_tokens",
        /// Requests with known completion tokens.
        CompletionTokensKnown = "completion_tokens_known",
        /// Sum of completion tokens.
        CompletionTokens = "completion_tokens",
        /// Requests with known prompt or completion tokens.
        TotalTokensKnown = "total_tokens_known",
        /// Sum of cached prompt tokens.
        CachedPromptTokens = "cached_prompt_tokens",
        /// Sum of reasoning tokens.
        ReasoningTokens = "reasoning_tokens",
        /// Requests with known cost.
        CostKnown = "cost_known",
        /// Sum of costs in nano-USD.
        CostNanoUsd = "cost_nano_usd",
    }
}

impl Count {
    /// The counter of one error type.
    pub const fn of_error(kind: ErrorType) -> Self {
        Self::ALL[Self::ErrorsNetwork as usize + kind as usize]
    }
}

/// How two values of a column are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// Added.
    Sum,
    /// The minimum.
    Min,
    /// The maximum.
    Max,
}

/// A plain column of a rollup table: a [`Count`], or `known`, `sum`, `min` or `max` of a latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Column(u8);

/// Number of counters, which are the first columns.
const COUNTS: u8 = Count::CostNanoUsd as u8 + 1;
/// Number of plain columns.
pub const COLUMNS: usize = COUNTS as usize + LATENCY_COLUMNS.len();

const LATENCY_COLUMNS: [&str; 16] = [
    "total_latency_known",
    "total_latency_sum_us",
    "total_latency_min_us",
    "total_latency_max_us",
    "context_latency_known",
    "context_latency_sum_us",
    "context_latency_min_us",
    "context_latency_max_us",
    "llm_latency_known",
    "llm_latency_sum_us",
    "llm_latency_min_us",
    "llm_latency_max_us",
    "time_to_first_token_known",
    "time_to_first_token_sum_us",
    "time_to_first_token_min_us",
    "time_to_first_token_max_us",
];

impl Column {
    /// All columns, in the order of the rollup tables.
    pub fn all() -> impl Iterator<Item = Self> {
        (0u8..).take(COLUMNS).map(Self)
    }

    /// The column of a counter.
    pub const fn count(count: Count) -> Self {
        Self(count as u8)
    }

    /// The four columns of a latency: known, sum, min, max.
    pub const fn latency(kind: LatencyKind) -> [Self; 4] {
        let first = COUNTS + 4 * kind as u8;
        [Self(first), Self(first + 1), Self(first + 2), Self(first + 3)]
    }

    /// The position in arrays of [`COLUMNS`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The column name.
    pub const fn name(self) -> &'static str {
        match self.0.checked_sub(COUNTS) {
            Some(latency) => LATENCY_COLUMNS[latency as usize],
            None => Count::ALL[self.index()].as_str(),
        }
    }

    /// How two values are merged.
    pub const fn combine(self) -> Combine {
        match self.0.checked_sub(COUNTS) {
            Some(offset) if offset % 4 == 2 => Combine::Min,
            Some(offset) if offset % 4 == 3 => Combine::Max,
            _ => Combine::Sum,
        }
    }

    /// The value without requests, neutral to [`Self::merge`].
    pub const fn empty(self) -> i64 {
        match self.combine() {
            Combine::Sum => 0,
            Combine::Min => i64::MAX,
            Combine::Max => i64::MIN,
        }
    }

    /// Merges two values.
    pub fn merge(self, mine: i64, theirs: i64) -> i64 {
        match self.combine() {
            Combine::Sum => mine.saturating_add(theirs),
            Combine::Min => mine.min(theirs),
            Combine::Max => mine.max(theirs),
        }
    }
}

/// The columns needed for a metric.
pub fn columns_of(metric: MetricType) -> Vec<Column> {
    let counts: &[Count] = match metric {
        MetricType::RequestRate => &[Count::Requests],
        MetricType::PromptTokens => &[Count::PromptTokensKnown, Count::PromptTokens],
        MetricType::CompletionTokens => &[Count::CompletionTokensKnown, Count::CompletionTokens],
        MetricType::TotalTokens => {
            &[Count::TotalTokensKnown, Count::PromptTokens, Count::CompletionTokens]
        }
        MetricType::ErrorRate => &ErrorType::ALL.map(Count::of_error),
        MetricType::CacheHitRate => &[Count::CacheHits],
        MetricType::Cost => &[Count::CostKnown, Count::CostNanoUsd],
        _ => &[],
    };
    let latency = metric.latency().map(Column::latency).into_iter().flatten();
    counts.iter().copied().map(Column::count).chain(latency).collect()
}

/// Counts, sums, extremes and distributions of a set of requests.
///
/// Merging is associative and commutative, so partial aggregates may be merged in any order.
#[derive(Clone, Debug, PartialEq)]
pub struct Measures {
    /// By [`Column::index`].
    pub values: [i64; COLUMNS],
    /// By [`LatencyKind::index`]; `None` if quantiles are not needed.
    pub distributions: [Option<Distribution>; 4],
}

/// The values without requests, by [`Column::index`].
pub const EMPTY_VALUES: [i64; COLUMNS] = {
    let mut values = [0; COLUMNS];
    let mut column = Column(0);
    while column.index() < COLUMNS {
        values[column.index()] = column.empty();
        column.0 += 1;
    }
    values
};

impl Default for Measures {
    fn default() -> Self {
        Self { values: EMPTY_VALUES, distributions: [None, None, None, None] }
    }
}

impl Measures {
    /// Empty measures with a sketch of every latency.
    pub fn with_sketches() -> Self {
        let sketch = || Some(Distribution::sketch());
        Self { distributions: [sketch(), sketch(), sketch(), sketch()], ..Self::default() }
    }

    /// One counter.
    pub const fn get(&self, count: Count) -> i64 {
        self.values[count as usize]
    }

    /// Adds `amount` to one counter.
    pub fn bump(&mut self, count: Count, amount: i64) {
        let value = &mut self.values[count as usize];
        *value = value.saturating_add(amount);
    }

    /// Adds one request.
    pub fn add(&mut self, request: &impl Measured) {
        add_request(&mut self.values, request);
        for kind in LatencyKind::ALL {
            let distribution = &mut self.distributions[kind.index()];
            if let (Some(distribution), Some(value_us)) = (distribution, request.latency_us(kind)) {
                distribution.add(value_us);
            }
        }
    }

    /// Merges `other`; distributions only where this one has them.
    pub fn merge(&mut self, other: &Self) {
        merge_values(&mut self.values, &other.values);
        for (mine, theirs) in self.distributions.iter_mut().zip(&other.distributions) {
            if let (Some(mine), Some(theirs)) = (mine, theirs) {
                mine.merge(theirs);
            }
        }
    }

    /// Merges several measures. A distribution is kept if any part with requests has one.
    pub fn sum(parts: &[Self]) -> Self {
        let mut sum = Self::default();
        for part in parts {
            merge_values(&mut sum.values, &part.values);
        }
        for kind in LatencyKind::ALL {
            let filled = parts.iter().filter(|part| part.requests() > 0);
            let kept: Vec<&Distribution> =
                filled.filter_map(|part| part.distributions[kind.index()].as_ref()).collect();
            if !kept.is_empty() {
                sum.distributions[kind.index()] = Some(Distribution::sum(kept));
            }
        }
        sum
    }

    /// Number of requests.
    pub const fn requests(&self) -> i64 {
        self.get(Count::Requests)
    }

    /// Number of errors of all types.
    pub fn errors(&self) -> i64 {
        ErrorType::ALL.iter().map(|kind| self.get(Count::of_error(*kind))).sum()
    }

    /// Resets the errors of all types except those in `kept`.
    pub fn keep_errors(&mut self, kept: &[ErrorType]) {
        for kind in ErrorType::ALL.iter().filter(|kind| !kept.contains(kind)) {
            self.values[Count::of_error(*kind) as usize] = 0;
        }
    }

    /// Prompt plus completion tokens.
    pub const fn total_tokens(&self) -> i64 {
        self.get(Count::PromptTokens).saturating_add(self.get(Count::CompletionTokens))
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.distributions.iter().flatten().map(Distribution::heap_bytes).sum()
    }

    /// Number of requests behind a metric's value.
    pub fn samples(&self, metric: MetricType) -> i64 {
        match metric {
            MetricType::RequestRate | MetricType::ErrorRate | MetricType::CacheHitRate => {
                self.requests()
            }
            MetricType::PromptTokens => self.get(Count::PromptTokensKnown),
            MetricType::CompletionTokens => self.get(Count::CompletionTokensKnown),
            MetricType::TotalTokens => self.get(Count::TotalTokensKnown),
            MetricType::Cost => self.get(Count::CostKnown),
            _ => metric.latency().map_or(0, |kind| self.latency_columns(kind)[0]),
        }
    }

    /// The value of a metric in its [unit](MetricType::unit).
    ///
    /// `None` for an average, rate or percentile without requests, and for an unknown cost; counts
    /// and token sums without requests are 0.
    pub fn value(&self, metric: MetricType, stat: Stat) -> Option<f64> {
        match metric {
            MetricType::RequestRate => Some(as_f64(self.requests())),
            MetricType::PromptTokens => Some(as_f64(self.get(Count::PromptTokens))),
            MetricType::CompletionTokens => Some(as_f64(self.get(Count::CompletionTokens))),
            MetricType::TotalTokens => Some(as_f64(self.total_tokens())),
            MetricType::ErrorRate => percent(self.errors(), self.requests()),
            MetricType::CacheHitRate => percent(self.get(Count::CacheHits), self.requests()),
            MetricType::Cost => self.cost_usd(),
            _ => metric.latency().and_then(|kind| self.latency_ms(kind, stat)),
        }
    }

    /// Cost in US dollars; 0 without requests, `None` if no request has a known cost.
    pub fn cost_usd(&self) -> Option<f64> {
        if self.get(Count::CostKnown) == 0 && self.requests() > 0 {
            return None;
        }
        Some(ratio(self.get(Count::CostNanoUsd), 1_000_000_000))
    }

    fn latency_columns(&self, kind: LatencyKind) -> [i64; 4] {
        Column::latency(kind).map(|column| self.values[column.index()])
    }

    /// A statistic of a latency in milliseconds; `None` without requests, or for a percentile
    /// without a distribution.
    pub fn latency_ms(&self, kind: LatencyKind, stat: Stat) -> Option<f64> {
        let [known, sum_us, min_us, max_us] = self.latency_columns(kind);
        if known == 0 {
            return None;
        }
        match stat {
            Stat::Average => Some(ratio(sum_us, known) / 1_000.0),
            Stat::Min => Some(ratio(min_us, 1_000)),
            Stat::Max => Some(ratio(max_us, 1_000)),
            Stat::Median | Stat::P95 | Stat::P99 => {
                let distribution = self.distributions[kind.index()].as_ref()?;
                let us = distribution.quantile(stat.quantile()?)?;
                // A sketch is within 1 %; the extremes are exact.
                Some(us.clamp(as_f64(min_us), as_f64(max_us)) / 1_000.0)
            }
        }
    }
}

/// Merges two rows of plain values.
pub fn merge_values(mine: &mut [i64; COLUMNS], theirs: &[i64; COLUMNS]) {
    for column in Column::all() {
        let value = &mut mine[column.index()];
        *value = column.merge(*value, theirs[column.index()]);
    }
}

/// Adds one request to a row of plain values.
pub fn add_request(values: &mut [i64; COLUMNS], request: &impl Measured) {
    each_amount(request, |column, amount| {
        let value = &mut values[column.index()];
        *value = column.merge(*value, amount);
    });
}

/// Calls `each` with every column and the amount that one request adds to it.
#[inline]
pub(super) fn each_amount(request: &impl Measured, mut each: impl FnMut(Column, i64)) {
    let mut bump = |count: Count, amount: i64| {
        if amount != 0 {
            each(Column::count(count), amount);
        }
    };
    bump(Count::Requests, 1);
    match request.outcome() {
        Outcome::Success => {}
        Outcome::Error(kind) => bump(Count::of_error(kind), 1),
        Outcome::Cancelled => bump(Count::Cancelled, 1),
    }
    bump(Count::CacheHits, i64::from(request.cache_hit()));
    let tokens = request.tokens();
    let mut bump_known = |known: Count, sum: Count, value: Option<i64>| {
        if let Some(value) = value {
            bump(known, 1);
            bump(sum, value);
        }
    };
    bump_known(Count::PromptTokensKnown, Count::PromptTokens, tokens.prompt);
    bump_known(Count::CompletionTokensKnown, Count::CompletionTokens, tokens.completion);
    bump_known(Count::CostKnown, Count::CostNanoUsd, request.cost_nano_usd());
    let any_known = tokens.prompt.is_some() || tokens.completion.is_some();
    bump(Count::TotalTokensKnown, i64::from(any_known));
    bump(Count::CachedPromptTokens, tokens.cached_prompt.unwrap_or(0));
    bump(Count::ReasoningTokens, tokens.reasoning.unwrap_or(0));
    for kind in LatencyKind::ALL {
        if let Some(value_us) = request.latency_us(kind) {
            let value = i64::try_from(value_us).unwrap_or(i64::MAX);
            let [known, sum, min, max] = Column::latency(kind);
            each(known, 1);
            each(sum, value);
            each(min, value);
            each(max, value);
        }
    }
}

/// `part / whole * 100`; `None` when `whole` is 0.
pub fn percent(part: i64, whole: i64) -> Option<f64> {
    (whole != 0).then(|| as_f64(part) * 100.0 / as_f64(whole))
}

/// `dividend / divisor` as a float; infinite or NaN when `divisor` is 0.
pub const fn ratio(dividend: i64, divisor: i64) -> f64 {
    as_f64(dividend) / as_f64(divisor)
}

/// Converts to the nearest float; exact up to 2^53.
pub const fn as_f64(value: i64) -> f64 {
    value as f64
}
