//! An independent, naive answer to every query: filter, bucket, group and add up the records one by
//! one. It shares no code with the program but the types of questions and records.

mod by_type;
mod calendar;
mod compare;
mod questions;
mod records;

pub(crate) use compare::{compare, compare_cell};
pub(crate) use questions::Questions;
pub(crate) use records::{random_record, records_in};

use std::collections::BTreeMap;

use chatgauge::model::{
    Dimension, ErrorType, Filter, LatencyKind, MetricType, Name, RequestRecord, Stat, Timestamp,
};
use chatgauge::query::Query;

/// What some requests add up to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    pub(crate) requests: i64,
    pub(crate) errors: BTreeMap<ErrorType, i64>,
    pub(crate) cache_hits: i64,
    pub(crate) prompt: Sum,
    pub(crate) completion: Sum,
    pub(crate) total_tokens_known: i64,
    pub(crate) cost: Sum,
    pub(crate) latency_us: [Vec<u64>; 4],
}

/// How many values were known, and what they add up to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) known: i64,
    pub(crate) sum: i64,
}

impl Sum {
    fn add(&mut self, value: Option<i64>) {
        if let Some(value) = value {
            self.known += 1;
            self.sum += value;
        }
    }
}

fn signed(value: Option<u64>) -> Option<i64> {
    value.map(|value| i64::try_from(value).expect("small"))
}

impl Cell {
    /// Adds one request; its error counts when `counted` says so.
    pub(crate) fn add(&mut self, record: &RequestRecord, counted: impl Fn(ErrorType) -> bool) {
        self.requests += 1;
        if let Some(kind) = record.outcome.error_type().filter(|kind| counted(*kind)) {
            *self.errors.entry(kind).or_default() += 1;
        }
        self.cache_hits += i64::from(record.cache_hit);
        self.prompt.add(signed(record.prompt_tokens));
        self.completion.add(signed(record.completion_tokens));
        let known = record.prompt_tokens.is_some() || record.completion_tokens.is_some();
        self.total_tokens_known += i64::from(known);
        self.cost.add(record.cost_nano_usd);
        for (values, latency) in self.latency_us.iter_mut().zip(record.latency_us) {
            values.extend(latency);
        }
    }

    pub(crate) fn of<'a>(records: impl IntoIterator<Item = &'a RequestRecord>) -> Self {
        let mut cell = Self::default();
        records.into_iter().for_each(|record| cell.add(record, |_| true));
        cell
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        for (kind, errors) in &other.errors {
            *self.errors.entry(*kind).or_default() += errors;
        }
        self.cache_hits += other.cache_hits;
        self.total_tokens_known += other.total_tokens_known;
        let sums = [&mut self.prompt, &mut self.completion, &mut self.cost];
        for (mine, theirs) in sums.into_iter().zip([other.prompt, other.completion, other.cost]) {
            mine.known += theirs.known;
            mine.sum += theirs.sum;
        }
        for (mine, theirs) in self.latency_us.iter_mut().zip(&other.latency_us) {
            mine.extend(theirs);
        }
    }

    pub(crate) fn all_errors(&self) -> i64 {
        self.errors.values().sum()
    }

    /// Requests that a metric's value is based on.
    pub(crate) fn samples(&self, metric: MetricType) -> i64 {
        match metric {
            MetricType::RequestRate | MetricType::ErrorRate | MetricType::CacheHitRate => {
                self.requests
            }
            MetricType::PromptTokens => self.prompt.known,
            MetricType::CompletionTokens => self.completion.known,
            MetricType::TotalTokens => self.total_tokens_known,
            MetricType::Cost => self.cost.known,
            MetricType::TotalLatency
            | MetricType::ContextLatency
            | MetricType::LlmLatency
            | MetricType::TimeToFirstToken => {
                let kind = metric.latency().expect("a latency");
                i64::try_from(self.latency_us[kind.index()].len()).expect("few")
            }
        }
    }

    /// The value of a metric by its definition.
    pub(crate) fn value(&self, metric: MetricType, stat: Stat) -> Option<f64> {
        let rate =
            |part: i64| (self.requests > 0).then(|| part as f64 * 100.0 / self.requests as f64);
        match metric {
            MetricType::RequestRate => Some(self.requests as f64),
            MetricType::PromptTokens => Some(self.prompt.sum as f64),
            MetricType::CompletionTokens => Some(self.completion.sum as f64),
            MetricType::TotalTokens => Some((self.prompt.sum + self.completion.sum) as f64),
            MetricType::ErrorRate => rate(self.all_errors()),
            MetricType::CacheHitRate => rate(self.cache_hits),
            MetricType::Cost => (self.cost.known > 0 || self.requests == 0)
                .then(|| self.cost.sum as f64 / 1_000_000_000.0),
            MetricType::TotalLatency
            | MetricType::ContextLatency
            | MetricType::LlmLatency
            | MetricType::TimeToFirstToken => {
                self.latency_ms(metric.latency().expect("a latency"), stat)
            }
        }
    }

    /// A statistic of a latency by its definition; percentiles by nearest rank.
    pub(crate) fn latency_ms(&self, kind: LatencyKind, stat: Stat) -> Option<f64> {
        let mut values = self.latency_us[kind.index()].clone();
        values.sort_unstable();
        let (first, last) = (*values.first()?, *values.last()?);
        let us = match stat {
            Stat::Average => values.iter().sum::<u64>() as f64 / values.len() as f64,
            Stat::Min => first as f64,
            Stat::Max => last as f64,
            Stat::Median => nearest_rank(&values, 50) as f64,
            Stat::P95 => nearest_rank(&values, 95) as f64,
            Stat::P99 => nearest_rank(&values, 99) as f64,
        };
        Some(us / 1_000.0)
    }
}

/// The least value that at least `percent` percent of the sorted values do not exceed.
fn nearest_rank(sorted: &[u64], percent: usize) -> u64 {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

/// What the answer to a query must be.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) boundaries: Vec<Timestamp>,
    /// Only groups with requests; the one group of an ungrouped query is always there. Only buckets
    /// with requests.
    pub(crate) groups: BTreeMap<Vec<String>, BTreeMap<usize, Cell>>,
    /// Requests of each bucket and group but for the error type; those with other errors too.
    pub(crate) base: BTreeMap<(Vec<String>, usize), i64>,
}

/// How a missing name shows.
pub(crate) const NONE: &str = "(none)";

fn shown(name: Option<&Name>) -> &str {
    name.map_or(NONE, Name::as_str)
}

/// The name of a record's group; `None` when error types are grouped and it is no error.
pub(crate) fn group_of(record: &RequestRecord, dimension: Dimension) -> Option<&str> {
    Some(match dimension {
        Dimension::Space => shown(record.space.as_ref()),
        Dimension::User => shown(record.user.as_ref()),
        Dimension::Model => shown(record.model.as_ref()),
        Dimension::Provider => shown(record.provider.as_ref()),
        Dimension::ErrorType => record.outcome.error_type()?.as_str(),
    })
}

fn passes(names: &[Name], name: &str) -> bool {
    names.is_empty() || names.iter().any(|wanted| wanted == name)
}

/// Whether a record meets every condition but those on error types.
fn matches_but_errors(record: &RequestRecord, filter: &Filter) -> bool {
    passes(&filter.spaces, shown(record.space.as_ref()))
        && passes(&filter.users, shown(record.user.as_ref()))
        && passes(&filter.models, shown(record.model.as_ref()))
        && passes(&filter.providers, shown(record.provider.as_ref()))
        && (filter.outcomes.is_empty() || filter.outcomes.contains(&record.outcome.as_str()))
        && filter.streamed.is_none_or(|streamed| record.streamed == Some(streamed))
        && (filter.sources.is_empty() || filter.sources.contains(&record.source))
}

fn is_wanted_error(filter: &Filter, kind: ErrorType) -> bool {
    filter.error_types.is_empty() || filter.error_types.contains(&kind)
}

pub(crate) fn matches(record: &RequestRecord, filter: &Filter) -> bool {
    matches_but_errors(record, filter)
        && (filter.error_types.is_empty()
            || record.outcome.error_type().is_some_and(|kind| is_wanted_error(filter, kind)))
}

/// A rate of errors keeps all requests as its base: error types say which errors count, not which
/// requests.
fn keeps_base(query: &Query) -> bool {
    query.metrics == [MetricType::ErrorRate]
        && query.quantiles.is_empty()
        && query.filter.outcomes.is_empty()
}

/// Whether a record's group but for the error type is that of `key`.
fn base_key<'a>(record: &'a RequestRecord, query: &Query) -> Vec<&'a str> {
    let others = query.group_by.iter().filter(|dimension| **dimension != Dimension::ErrorType);
    others.filter_map(|dimension| group_of(record, *dimension)).collect()
}

/// Every record, each once.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) records: Vec<RequestRecord>,
}

impl Oracle {
    /// The answer by definition.
    pub(crate) fn answer(&self, query: &Query) -> Expected {
        let boundaries = match query.aggregation {
            Some(aggregation) => calendar::boundaries(aggregation, query.range, query.tz),
            None => vec![query.range.start, query.range.end.max(query.range.start)],
        };
        let bucket_of = |at: Timestamp| match query.aggregation {
            Some(_) => boundaries.partition_point(|boundary| *boundary <= at) - 1,
            None => 0,
        };
        let mut groups: BTreeMap<Vec<&str>, BTreeMap<usize, Cell>> = BTreeMap::new();
        if query.group_by.is_empty() {
            groups.insert(Vec::new(), BTreeMap::new());
        }
        let mut base: BTreeMap<(Vec<&str>, usize), i64> = BTreeMap::new();
        let by_type = keeps_base(query) && query.group_by.contains(&Dimension::ErrorType);
        let counted_by_type = compare::counted_by_type(query);
        let keeps_base = keeps_base(query) || counted_by_type;
        let (start, end) = (query.range.start, query.range.end);
        for record in self.records.iter().filter(|r| start <= r.started_at && r.started_at < end) {
            let selected = if keeps_base {
                matches_but_errors(record, &query.filter)
            } else {
                matches(record, &query.filter)
            };
            if !selected {
                continue;
            }
            let bucket = bucket_of(record.started_at);
            *base.entry((base_key(record, query), bucket)).or_default() += 1;
            let key: Option<Vec<&str>> =
                query.group_by.iter().map(|dimension| group_of(record, *dimension)).collect();
            let Some(key) = key else { continue };
            let counted = |kind| is_wanted_error(&query.filter, kind);
            if counted_by_type && !record.outcome.error_type().is_some_and(counted) {
                continue;
            }
            groups.entry(key).or_default().entry(bucket).or_default().add(record, counted);
        }
        let own = |key: Vec<&str>| key.into_iter().map(str::to_owned).collect::<Vec<String>>();
        if by_type {
            let place = query.group_by.iter().position(|by| *by == Dimension::ErrorType);
            for (key, cells) in &mut groups {
                let others = key.iter().enumerate().filter(|(at, _)| Some(*at) != place);
                let others: Vec<&str> = others.map(|(_, name)| *name).collect();
                for ((_, bucket), requests) in base.iter().filter(|((of, _), _)| *of == others) {
                    cells.entry(*bucket).or_default().requests = *requests;
                }
            }
        }
        let groups = groups.into_iter().map(|(key, cells)| (own(key), cells)).collect();
        let base = base.into_iter().map(|((key, bucket), n)| ((own(key), bucket), n)).collect();
        Expected { boundaries, groups, base }
    }
}
