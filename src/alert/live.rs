//! The figures of every group of a rule at one instant, from the same queries as the dashboard.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::judge::{GroupFigures, Sums};
use crate::error::Result;
use crate::model::alert::{AlertMetric, EvaluationWindow, Rule, glob_matches};
use crate::model::measures::as_f64;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::{
    Aggregation, Dimension, Filter, LatencyKind, Measures, MetricType, Name, Source, Stat,
    TimeRange, Timestamp,
};
use crate::query::{Engine, Leading, Query, spike_line};
use crate::store::{NameTable, Store};

/// Maximum range for which imported requests are excluded, in milliseconds: excluding them from
/// longer ranges would require reading every raw row.
const EXCLUDE_IMPORTS_MS: i64 = DAY_MS + HOUR_MS;
/// Maximum number of windows in the baseline of a spike rule.
const BASELINE_WINDOWS: i64 = 96;
/// Maximum number of spaces with the prefix of a glob.
const MAX_NAMES: usize = 10_000;

/// Figures of a rule's groups.
#[derive(Debug, Default)]
pub(super) struct RuleFigures {
    /// The values of each group's dimensions, and its figures.
    pub(super) groups: Vec<(Vec<String>, GroupFigures)>,
    /// Name of the budget period.
    pub(super) period: Option<String>,
    /// Whether there were more groups than are evaluated.
    pub(super) is_truncated: bool,
}

/// Callback that returns the values of groups.
pub(super) type StatedGroups<'a> = &'a dyn Fn() -> Vec<Vec<String>>;

/// The source of live figures.
#[derive(Debug)]
pub(super) struct LiveFigures<'a> {
    pub(super) engine: &'a Engine,
    pub(super) store: &'a Store,
    /// End of the windows.
    pub(super) end: Timestamp,
    /// Maximum number of groups per rule.
    pub(super) max_groups: usize,
    /// Latest start of an imported request, in Unix milliseconds.
    pub(super) imported_until_ms: i64,
}

impl LiveFigures<'_> {
    /// The figures of the largest groups with requests, and of the groups in `stated` that have
    /// any; the figures of all requests if the rule has no `by`.
    pub(super) fn facts(&self, rule: &Rule, stated: StatedGroups<'_>) -> Result<RuleFigures> {
        let Some(filter) = expanded_filter(self.store, rule)? else {
            return Ok(RuleFigures::default());
        };
        let window = rule.condition.window;
        match rule.metric {
            AlertMetric::Spike => self.spike(rule, &filter),
            AlertMetric::NoTraffic => self.no_traffic(rule, &filter, stated),
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

    /// Whether any request of the last `days` days matches the rule's filter.
    pub(super) fn matches_anything(&self, rule: &Rule, days: i64) -> Result<bool> {
        let Some(filter) = expanded_filter(self.store, rule)? else { return Ok(false) };
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
        also: StatedGroups<'_>,
    ) -> Result<RuleFigures> {
        let range = window.ending_at(self.end, rule.tz);
        let quantile = quantile_of(rule);
        let query = Query {
            group_by: rule.by.clone(),
            filter: self.without_imports(filter, range),
            metrics: metrics_of(rule.metric),
            quantiles: quantile.map(|(kind, _)| kind).into_iter().collect(),
            max_series: self.max_groups,
            ..Query::total(range)
        };
        let period = window.period_at(self.end, rule.tz);
        let limit = if rule.by.is_empty() { 1 } else { self.max_groups };
        let Leading { groups, is_truncated } =
            self.engine.leading_groups(&query, limit, also, &|measures| GroupFigures {
                sums: Sums::of_measures(measures, rule),
                quantile_ms: quantile.and_then(|(kind, stat)| measures.latency_ms(kind, stat)),
                ..GroupFigures::default()
            })?;
        Ok(RuleFigures { groups, period, is_truncated })
    }

    /// The figures of the groups in `found` over another window.
    fn of_same(
        &self,
        rule: &Rule,
        filter: &Filter,
        window: EvaluationWindow,
        found: &RuleFigures,
    ) -> Result<FxHashMap<Vec<String>, GroupFigures>> {
        let also = || found.groups.iter().map(|(group, _)| group.clone()).collect();
        Ok(self.window(rule, filter, window, &also)?.groups.into_iter().collect())
    }

    /// Figures over the window for the groups that had requests within the day before it.
    fn no_traffic(
        &self,
        rule: &Rule,
        filter: &Filter,
        stated: StatedGroups<'_>,
    ) -> Result<RuleFigures> {
        let width = Duration::from_millis(known_ms(rule).unsigned_abs());
        let mut known = self.window(rule, filter, EvaluationWindow::Rolling(width), stated)?;
        let mut recent = self.of_same(rule, filter, rule.condition.window, &known)?;
        for (group, facts) in &mut known.groups {
            let had_traffic = facts.sums.requests > 0;
            *facts = GroupFigures { had_traffic, ..recent.remove(group).unwrap_or_default() };
        }
        Ok(known)
    }

    /// Errors in the last window, and the spike line from the windows before it.
    fn spike(&self, rule: &Rule, filter: &Filter) -> Result<RuleFigures> {
        let (window_ms, windows) = spike_windows(rule);
        let end = self.end.floor_to(MINUTE_MS);
        let range = TimeRange::new(end.plus_ms(-windows * window_ms), end);
        let query = Query {
            aggregation: Some(Aggregation::Minute),
            filter: self.without_imports(filter, range),
            metrics: metrics_of(rule.metric),
            ..Query::total(range)
        };
        let result = self.engine.query(&query)?;
        let minutes = result.series.first().map_or(&[][..], |series| &series.buckets);
        let width = usize::try_from(window_ms / MINUTE_MS).unwrap_or(1);
        let sums = minutes.chunks(width).map(|chunk| sum(chunk, rule)).collect();
        Ok(RuleFigures { groups: vec![(Vec::new(), spike_facts(sums))], ..RuleFigures::default() })
    }

    /// Excludes imported requests, which never fire alerts.
    fn without_imports(&self, filter: &Filter, range: TimeRange) -> Filter {
        let mut filter = filter.clone();
        let has_imports = self.imported_until_ms >= range.start.as_unix_ms();
        if !has_imports || range.width_ms() > EXCLUDE_IMPORTS_MS {
            return filter;
        }
        if filter.sources.is_empty() {
            filter.sources = Source::ALL.to_vec();
        }
        filter.sources.retain(|source| *source != Source::Import);
        filter
    }
}

/// Time after which a group without requests is no longer missed, in milliseconds: a day, or the
/// window if longer.
pub(super) fn known_ms(rule: &Rule) -> i64 {
    rule.condition.window.rolling_ms().unwrap_or(0).max(DAY_MS)
}

/// Width of the windows of a spike rule in milliseconds, and their number: the baseline and the
/// last window.
pub(super) fn spike_windows(rule: &Rule) -> (i64, i64) {
    let window_ms = rule.condition.window.rolling_ms().unwrap_or(MINUTE_MS).max(MINUTE_MS);
    (window_ms, (DAY_MS / window_ms).min(BASELINE_WINDOWS) + 1)
}

/// The figures of a spike rule from the sums of its windows, oldest first.
pub(super) fn spike_facts(mut windows: Vec<Sums>) -> GroupFigures {
    let sums = windows.pop().unwrap_or_default();
    // Skip the time before the first request, which has no history.
    let known = windows.iter().skip_while(|sums| sums.requests == 0);
    let earlier: Vec<f64> = known.map(|sums| as_f64(sums.errors)).collect();
    GroupFigures { sums, spike_line: spike_line(&earlier), ..GroupFigures::default() }
}

/// The rule's filter with its globs expanded; `None` if nothing can match.
pub(super) fn expanded_filter(store: &Store, rule: &Rule) -> Result<Option<Filter>> {
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
        *names = expanded_names(store, dimension, globs)?;
        if names.is_empty() && !globs.is_empty() {
            return Ok(None);
        }
    }
    Ok(Some(filter))
}

/// The names of a dimension that match one of the globs; names without `*` need not exist.
fn expanded_names(store: &Store, dimension: Dimension, globs: &[String]) -> Result<Vec<Name>> {
    let (globs, plain): (Vec<&String>, Vec<&String>) =
        globs.iter().partition(|glob| glob.contains('*'));
    let mut names: Vec<Name> = plain.into_iter().map(Name::new).collect();
    for glob in globs {
        let prefix = glob.split('*').next().unwrap_or("");
        let known: Vec<Name> = store.read(|reader| {
            Ok(match dimension {
                Dimension::Space => {
                    let found = reader.names_with_prefix(NameTable::Spaces, prefix, MAX_NAMES)?;
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

fn sum(minutes: &[Measures], rule: &Rule) -> Sums {
    let mut total = Sums::default();
    for minute in minutes {
        total.add(&Sums::of_measures(minute, rule), 1);
    }
    total
}

/// The percentile of the rule's metric.
pub(super) fn quantile_of(rule: &Rule) -> Option<(LatencyKind, Stat)> {
    match rule.metric {
        AlertMetric::Latency(kind, stat) if stat.quantile().is_some() => Some((kind, stat)),
        _ => None,
    }
}

/// The metrics that a query has to aggregate.
fn metrics_of(metric: AlertMetric) -> Vec<MetricType> {
    let metric = match metric {
        AlertMetric::ErrorRate
        | AlertMetric::ErrorCount
        | AlertMetric::BurnRate
        | AlertMetric::Spike => MetricType::ErrorRate,
        AlertMetric::Latency(kind, _) => {
            let latency = MetricType::ALL.iter().find(|metric| metric.latency() == Some(kind));
            latency.copied().unwrap_or(MetricType::TotalLatency)
        }
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
