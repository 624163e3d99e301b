//! The figures of every group of a rule at one moment, from the same queries as the dashboard.

use rustc_hash::FxHashMap;

use super::judge::{Facts, Sums};
use crate::error::Result;
use crate::model::alert::{AlertMetric, EvaluationWindow, Rule, glob_matches};
use crate::model::measures::as_f64;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::{
    Aggregation, Dimension, Filter, LatencyKind, Measures, MetricType, Name, Source, Stat,
    TimeRange, Timestamp, Tz,
};
use crate::query::{Engine, Leading, Query, Wanted, spike_line};
use crate::store::{NameTable, Store};

/// Longer ranges count imported requests too: telling them apart takes every single row.
const APART_MS: i64 = DAY_MS + HOUR_MS;
/// Who sent something within so long is missed when nothing comes.
const KNOWN_MS: i64 = DAY_MS;
/// Windows that make the baseline of a spike, at most.
const BASELINE_WINDOWS: i64 = 96;
/// Values of a dimension that a pattern may stand for.
const MOST_NAMES: usize = 10_000;

/// What a rule found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The values of every group's dimensions, with what is known of it.
    pub(super) groups: Vec<(Vec<String>, Facts)>,
    /// The budget's period that they are of.
    pub(super) period: Option<String>,
    /// There were more groups than are watched.
    pub(super) is_truncated: bool,
}

/// Values of groups, when they are asked for.
pub(super) type Groups<'a> = &'a dyn Fn() -> Vec<Vec<String>>;

/// Where figures come from.
#[derive(Debug)]
pub(super) struct Live<'a> {
    pub(super) engine: &'a Engine,
    pub(super) store: &'a Store,
    /// Windows end here.
    pub(super) end: Timestamp,
    /// Most groups of one rule.
    pub(super) max_groups: usize,
    /// Latest start of an imported request, in Unix milliseconds.
    pub(super) imported_until_ms: i64,
}

impl Live<'_> {
    /// The figures of the largest groups that have requests, and of those of `stated` that have any; of
    /// everything, when the rule has no groups.
    pub(super) fn facts(&self, rule: &Rule, stated: Groups<'_>) -> Result<Found> {
        let Some(filter) = self.filter(rule)? else { return Ok(Found::default()) };
        let window = rule.condition.window;
        match rule.metric {
            AlertMetric::Spike => self.spike(rule, &filter),
            AlertMetric::NoTraffic => self.silent(rule, &filter, stated),
            _ => {
                let mut found = self.window(rule, &filter, window, stated)?;
                if let Some(short) = rule.short_window {
                    let shorter = EvaluationWindow::Rolling(short);
                    let mut short = self.of_same(rule, &filter, shorter, &found)?;
                    for (group, facts) in &mut found.groups {
                        facts.short = short.remove(group).unwrap_or_default().sums;
                    }
                }
                Ok(found)
            }
        }
    }

    /// Whether any request of the last `days` passes the rule's filter.
    pub(super) fn matches_anything(&self, rule: &Rule, days: i64) -> Result<bool> {
        let Some(filter) = self.filter(rule)? else { return Ok(false) };
        let range = TimeRange::new(self.end.plus_ms(-days * DAY_MS), self.end);
        let metrics = vec![MetricType::RequestRate];
        let query = Query { filter, metrics, ..Query::total(range) };
        Ok(self.engine.query(&query)?.into_total().requests() > 0)
    }

    fn window(
        &self,
        rule: &Rule,
        filter: &Filter,
        window: EvaluationWindow,
        also: Groups<'_>,
    ) -> Result<Found> {
        let range = window.ending_at(self.end, rule.tz);
        let quantile = quantile_of(rule);
        let query = Query {
            range,
            aggregation: None,
            tz: Tz::UTC,
            group_by: rule.by.clone(),
            filter: self.without_imports(filter, range),
            metrics: metrics_of(rule.metric),
            quantiles: quantile.map(|(kind, _)| kind).into_iter().collect(),
            max_series: self.max_groups,
        };
        let period = match window {
            EvaluationWindow::Period(period) => Some(period.name(self.end, rule.tz)),
            EvaluationWindow::Rolling(_) => None,
        };
        let most = if rule.by.is_empty() { 1 } else { self.max_groups };
        let Leading { groups, is_truncated } =
            self.engine.leading_groups(&query, &Wanted { most, also }, &|measures| Facts {
                sums: Sums::of_measures(measures, rule),
                quantile_ms: quantile.and_then(|(kind, stat)| measures.latency_ms(kind, stat)),
                ..Facts::default()
            })?;
        Ok(Found { groups, period, is_truncated })
    }

    /// The figures of another window, of the groups that were found.
    fn of_same(
        &self,
        rule: &Rule,
        filter: &Filter,
        window: EvaluationWindow,
        found: &Found,
    ) -> Result<FxHashMap<Vec<String>, Facts>> {
        let also = || found.groups.iter().map(|(group, _)| group.clone()).collect();
        Ok(self.window(rule, filter, window, &also)?.groups.into_iter().collect())
    }

    /// What those sent in the window who sent something within the day before.
    fn silent(&self, rule: &Rule, filter: &Filter, stated: Groups<'_>) -> Result<Found> {
        let width_ms = rule.condition.window.rolling_ms().unwrap_or(0).max(KNOWN_MS);
        let width = std::time::Duration::from_millis(width_ms.unsigned_abs());
        let mut known = self.window(rule, filter, EvaluationWindow::Rolling(width), stated)?;
        let mut recent = self.of_same(rule, filter, rule.condition.window, &known)?;
        for (group, facts) in &mut known.groups {
            let had_traffic = facts.sums.requests > 0;
            *facts = Facts { had_traffic, ..recent.remove(group).unwrap_or_default() };
        }
        Ok(known)
    }

    /// Errors in the last window, and the line that the windows before it draw.
    fn spike(&self, rule: &Rule, filter: &Filter) -> Result<Found> {
        let window_ms = rule.condition.window.rolling_ms().unwrap_or(MINUTE_MS).max(MINUTE_MS);
        let end = self.end.floor_to(MINUTE_MS);
        let windows = (DAY_MS / window_ms).min(BASELINE_WINDOWS);
        let range = TimeRange::new(end.plus_ms(-(windows + 1) * window_ms), end);
        let query = Query {
            aggregation: Some(Aggregation::Minute),
            filter: self.without_imports(filter, range),
            metrics: metrics_of(rule.metric),
            ..Query::total(range)
        };
        let answer = self.engine.query(&query)?;
        let minutes = answer.series.first().map_or(&[][..], |series| &series.buckets);
        let width = usize::try_from(window_ms / MINUTE_MS).unwrap_or(1);
        let mut sums: Vec<Sums> = minutes.chunks(width).map(|chunk| sum(chunk, rule)).collect();
        let last = sums.pop().unwrap_or_default();
        // Before the first request there is no history.
        let known = sums.iter().skip_while(|sums| sums.requests == 0);
        let earlier: Vec<f64> = known.map(|sums| as_f64(sums.errors)).collect();
        let facts = Facts { sums: last, spike_line: spike_line(&earlier), ..Facts::default() };
        Ok(Found { groups: vec![(Vec::new(), facts)], ..Found::default() })
    }

    /// Imported requests are history: they never make an alert.
    fn without_imports(&self, filter: &Filter, range: TimeRange) -> Filter {
        let mut filter = filter.clone();
        let has_imports = self.imported_until_ms >= range.start.as_unix_ms();
        if !has_imports || range.width_ms() > APART_MS {
            return filter;
        }
        if filter.sources.is_empty() {
            filter.sources = Source::ALL.to_vec();
        }
        filter.sources.retain(|source| *source != Source::Import);
        filter
    }

    /// The rule's filter with its patterns spelt out; `None` when nothing can match.
    pub(super) fn filter(&self, rule: &Rule) -> Result<Option<Filter>> {
        let wanted = &rule.filter;
        let mut filter = Filter {
            users: wanted.users.iter().map(Name::new).collect(),
            error_types: wanted.error_types.clone(),
            outcomes: wanted.outcomes.clone(),
            sources: wanted.sources.clone(),
            ..Filter::default()
        };
        for (dimension, globs, names) in [
            (Dimension::Space, &wanted.spaces, &mut filter.spaces),
            (Dimension::Model, &wanted.models, &mut filter.models),
            (Dimension::Provider, &wanted.providers, &mut filter.providers),
        ] {
            *names = self.names(dimension, globs)?;
            if names.is_empty() && !globs.is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(filter))
    }

    fn names(&self, dimension: Dimension, globs: &[String]) -> Result<Vec<Name>> {
        let mut names: Vec<Name> =
            globs.iter().filter(|glob| !glob.contains('*')).map(Name::new).collect();
        for glob in globs.iter().filter(|glob| glob.contains('*')) {
            let prefix = glob.split('*').next().unwrap_or("");
            let known: Vec<Name> = self.store.read(|reader| {
                Ok(match dimension {
                    Dimension::Space => {
                        let found =
                            reader.names_with_prefix(NameTable::Spaces, prefix, MOST_NAMES)?;
                        found.into_iter().map(|(_, name)| Name::from(name)).collect()
                    }
                    Dimension::Provider => {
                        reader.models()?.into_iter().map(|row| row.provider).collect()
                    }
                    _ => reader.models()?.into_iter().map(|row| row.name).collect(),
                })
            })?;
            names.extend(known.into_iter().filter(|name| glob_matches(glob, name)));
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}

fn sum(minutes: &[Measures], rule: &Rule) -> Sums {
    let mut total = Sums::default();
    for minute in minutes {
        total.add(&Sums::of_measures(minute, rule), 1);
    }
    total
}

/// The percentile that a rule asks for.
pub(super) fn quantile_of(rule: &Rule) -> Option<(LatencyKind, Stat)> {
    match rule.metric {
        AlertMetric::Latency(kind, stat) if stat.quantile().is_some() => Some((kind, stat)),
        _ => None,
    }
}

/// What a query has to add up for a metric.
fn metrics_of(metric: AlertMetric) -> Vec<MetricType> {
    let metric = match metric {
        AlertMetric::ErrorRate
        | AlertMetric::ErrorCount
        | AlertMetric::BurnRate
        | AlertMetric::Spike => MetricType::ErrorRate,
        AlertMetric::Latency(kind, _) => match kind {
            LatencyKind::Total => MetricType::TotalLatency,
            LatencyKind::Context => MetricType::ContextLatency,
            LatencyKind::Llm => MetricType::LlmLatency,
            LatencyKind::TimeToFirstToken => MetricType::TimeToFirstToken,
        },
        AlertMetric::Tokens => MetricType::TotalTokens,
        AlertMetric::Cost => MetricType::Cost,
        AlertMetric::CacheHitRate => MetricType::CacheHitRate,
        AlertMetric::RequestRate
        | AlertMetric::NoTraffic
        | AlertMetric::ConsecutiveFailures
        | AlertMetric::FailedEvaluations => MetricType::RequestRate,
    };
    vec![metric]
}
