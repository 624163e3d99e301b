//! Backtests: run the live evaluator with an injected clock over the stored history.
//!
//! A request becomes visible at its arrival, as in live monitoring. Raw rows reproduce live
//! evaluation exactly; where they are pruned, rollups replace them and the result is marked as
//! inexact. Unlike in live monitoring, imported requests count, as if each had arrived at its end.

mod failures;
mod replay;
mod tally;
mod window;

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::judge::{Sums, is_counted_error};
use super::live::{Live, quantile_of};
use crate::error::{Error, Result};
use crate::model::alert::{AlertGroup, AlertMetric, EndReason, Rule};
use crate::model::time::{DAY_MS, MINUTE_MS, QUARTER_HOUR_MS};
use crate::model::{
    Aggregation, Dimension, Filter, KeyColumn, LatencyKind, Measured, MetricType, Name, Outcome,
    TimeRange, Timestamp,
};
use crate::query::{Engine, Query};
use crate::store::{ModelRow, RawSelect, Reader, RequestRow, RowParts, Store, pruned_flag};
use replay::Replay;
pub use tally::BacktestTally;
use window::Arrival;

/// Settings of a backtest.
#[derive(Clone, Debug)]
pub struct BacktestSettings {
    /// Time between two evaluations.
    pub interval: Duration,
    /// Delay between the end of a window and its evaluation.
    pub eval_delay: Duration,
    /// Maximum number of groups.
    pub max_groups: usize,
}

/// An incident in a backtest.
#[derive(Clone, Debug, PartialEq)]
pub struct BacktestIncident {
    /// The group.
    pub group: AlertGroup,
    /// Start of the incident.
    pub fired_at: Timestamp,
    /// End of the incident; `None` if it is still open at the end of the range.
    pub ended_at: Option<Timestamp>,
    /// Reason of the end.
    pub end_reason: Option<EndReason>,
    /// The value at the start.
    pub value: Option<f64>,
    /// The most extreme value.
    pub peak_value: Option<f64>,
    /// Number of requests behind the value at the start.
    pub samples: u64,
    /// Number of these requests that count as events, such as errors.
    pub events: u64,
}

/// A state transition in a backtest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BacktestMove {
    /// Time of the transition.
    pub at: Timestamp,
    /// Key of the group.
    pub group_key: String,
    /// State before.
    pub from: &'static str,
    /// State after.
    pub to: &'static str,
    /// Reason of the transition.
    pub reason: &'static str,
}

/// Result of a backtest.
#[derive(Clone, Debug, PartialEq)]
pub struct Backtest {
    /// Whether all figures come from raw rows; otherwise some come from rollups.
    pub exact: bool,
    /// Number of evaluations.
    pub evaluations: u64,
    /// Incidents, in order of their start.
    pub incidents: Vec<BacktestIncident>,
    /// Transitions, in order.
    pub moves: Vec<BacktestMove>,
    /// End of the range; open incidents last until then.
    pub end: Timestamp,
}

impl Backtest {
    /// An empty result for a range that ends at `end`.
    const fn until(end: Timestamp) -> Self {
        Self { exact: false, evaluations: 0, incidents: Vec::new(), moves: Vec::new(), end }
    }
}

/// Replays a rule over `range`; stops when `keep_going` returns `false`.
///
/// # Errors
/// [`Error::InvalidQuery`] if the stored data does not suffice to replay the rule,
/// [`Error::Closed`] if it was stopped.
pub fn backtest(
    engine: &Engine,
    store: &Store,
    rule: &Rule,
    range: TimeRange,
    settings: &BacktestSettings,
    keep_going: &dyn Fn() -> bool,
) -> Result<Backtest> {
    if rule.by.contains(&Dimension::ErrorType) {
        return Err(Error::invalid_query("rule", "groups by error_type cannot be backtested"));
    }
    let mut replay = Replay::new(rule, range, settings);
    if rule.by.is_empty() {
        replay.add_group(AlertGroup::default(), None);
    }
    let live = Live {
        engine,
        store,
        end: range.end,
        max_groups: settings.max_groups,
        imported_until_ms: -1,
    };
    let Some(filter) = live.filter(rule)? else {
        return Ok(Backtest { exact: true, ..replay.finish() });
    };
    let from = range.start.plus_ms(-replay.look_back_ms());
    // If senders' clocks are ahead, requests that start after the end may have arrived before it.
    let whole = TimeRange::new(from, range.end.plus_ms(replay.ahead_ms()));
    let raw_from = raw_from(store, whole)?;
    let rolled_up = TimeRange::new(whole.start, raw_from.min(whole.end));
    if !rolled_up.is_empty() {
        replay_rollups(engine, rule, &filter, rolled_up, &mut replay, keep_going)?;
    }
    let raw = TimeRange::new(raw_from.max(whole.start), whole.end);
    replay_rows(store, rule, &filter, raw, &mut replay, keep_going)?;
    Ok(Backtest { exact: rolled_up.is_empty(), ..replay.finish() })
}

/// The first instant from which no raw rows are pruned.
fn raw_from(store: &Store, range: TimeRange) -> Result<Timestamp> {
    let days = store.read(|reader| reader.days())?;
    let pruned = days.iter().filter(|day| {
        day.pruned & pruned_flag(None) != 0
            && day.day_ms < range.end.as_unix_ms()
            && day.day_ms + DAY_MS > range.start.as_unix_ms()
    });
    let last = pruned.map(|day| day.day_ms + DAY_MS).max();
    Ok(last.map_or(range.start, Timestamp::from_unix_ms))
}

/// Replays raw rows.
fn replay_rows(
    store: &Store,
    rule: &Rule,
    filter: &Filter,
    range: TimeRange,
    replay: &mut Replay<'_>,
    keep_going: &dyn Fn() -> bool,
) -> Result<()> {
    // As in live monitoring, rates are relative to all requests; the filter selects only the
    // errors.
    let mut filter = filter.clone();
    let error_types = std::mem::take(&mut filter.error_types);
    let latency = quantile_of(rule).map(|(kind, _)| kind);
    store.read(|reader| {
        let resolved = reader.resolve(&filter)?;
        if resolved.matches_nothing() || range.is_empty() {
            return Ok(());
        }
        let first = FirstIds::new(reader, rule)?;
        let mut groups: FxHashMap<[i64; 2], usize> = FxHashMap::default();
        let mut failed = None;
        let mut is_stopped = false;
        let mut rows = 0_u64;
        let select = RawSelect { range, after_seq: None, upto_seq: None, filter: &resolved };
        reader.raw_rows(&select, RowParts::ALL, |row| {
            rows += 1;
            if rows.is_multiple_of(10_000) {
                is_stopped |= !keep_going();
            }
            if is_stopped || failed.is_some() {
                return;
            }
            let ids = ids_of(rule, row);
            let group = match groups.get(&ids) {
                Some(index) => *index,
                None => match name_of(reader, rule, ids) {
                    Ok(group) => *groups
                        .entry(ids)
                        .or_insert_with(|| replay.add_group(group, Some(first.of(ids)))),
                    Err(error) => {
                        failed = Some(error);
                        return;
                    }
                },
            };
            let mut arrival = arrival(rule, row, group, latency);
            let kind = row.outcome().error_type();
            if !error_types.is_empty() && !kind.is_some_and(|kind| error_types.contains(&kind)) {
                arrival.sums.errors = 0;
            }
            replay.add(arrival);
        })?;
        match failed {
            Some(error) => Err(error),
            None if is_stopped => Err(Error::Closed),
            None => Ok(()),
        }
    })
}

fn ids_of(rule: &Rule, row: &RequestRow) -> [i64; 2] {
    let mut ids = [0; 2];
    for (slot, dimension) in ids.iter_mut().zip(&rule.by) {
        *slot = KeyColumn::of(*dimension).map_or(0, |key| row.key(key));
    }
    ids
}

/// The ids by which live queries order groups. A model of several providers, or a provider of
/// several models, has the id of its first row.
struct FirstIds([FxHashMap<i64, i64>; 2]);

impl FirstIds {
    fn new(reader: &Reader<'_>, rule: &Rule) -> Result<Self> {
        let mut first = Self(Default::default());
        for (ids, dimension) in first.0.iter_mut().zip(&rule.by) {
            let mut seen: FxHashMap<Name, i64> = FxHashMap::default();
            let named = |row: ModelRow| match dimension {
                Dimension::Model => Some((row.name, row.model_id)),
                Dimension::Provider => Some((row.provider, row.model_id)),
                _ => None,
            };
            for (name, id) in reader.models()?.into_iter().filter_map(named) {
                ids.insert(id, *seen.entry(name).or_insert(id));
            }
        }
        Ok(first)
    }

    fn of(&self, mut ids: [i64; 2]) -> [i64; 2] {
        for (id, first) in ids.iter_mut().zip(&self.0) {
            *id = first.get(id).copied().unwrap_or(*id);
        }
        ids
    }
}

fn name_of(reader: &Reader<'_>, rule: &Rule, ids: [i64; 2]) -> Result<AlertGroup> {
    let mut values = Vec::new();
    for (dimension, id) in rule.by.iter().zip(ids) {
        let name = reader.names(*dimension, &[id])?.remove(&id);
        values.push(name.unwrap_or_else(|| crate::model::dimension::NONE_NAME.to_owned()));
    }
    Ok(AlertGroup::new(&rule.by, &values))
}

fn arrival(rule: &Rule, row: &RequestRow, group: usize, latency: Option<LatencyKind>) -> Arrival {
    let total_us = row.latency_us(LatencyKind::Total).unwrap_or(0);
    let took_ms = i64::try_from(total_us.div_ceil(1_000)).unwrap_or(0);
    let is_failure = match row.outcome() {
        Outcome::Success => Some(false),
        Outcome::Error(_) => is_counted_error(row, rule.errors).then_some(true),
        Outcome::Cancelled => None,
    };
    let by_model = rule.by.contains(&Dimension::Model);
    Arrival {
        started_ms: row.started_at_ms,
        visible_ms: row.started_at_ms.saturating_add(row.arrived_after_ms.unwrap_or(took_ms)),
        seq: row.seq,
        group,
        run_key: if by_model { row.model_id } else { 0 },
        sums: Sums::of_request(row, rule),
        latency_us: latency.and_then(|kind| row.latency_us(kind)),
        is_failure,
    }
}

/// Replays rollup buckets, one day at a time, as if the requests of a bucket were spread evenly
/// over it.
fn replay_rollups(
    engine: &Engine,
    rule: &Rule,
    filter: &Filter,
    range: TimeRange,
    replay: &mut Replay<'_>,
    keep_going: &dyn Fn() -> bool,
) -> Result<()> {
    if quantile_of(rule).is_some() || rule.metric == AlertMetric::ConsecutiveFailures {
        let reason = format!(
            "this rule needs raw requests, which are stored from {} on; choose a later start",
            range.end
        );
        return Err(Error::invalid_query("start", reason));
    }
    let grouped = !rule.by.is_empty() || *filter != Filter::default();
    let (aggregation, width_ms) = if grouped {
        (Aggregation::QuarterHour, QUARTER_HOUR_MS)
    } else {
        (Aggregation::Minute, MINUTE_MS)
    };
    let mut start = range.start.floor_to(width_ms);
    while start < range.end {
        if !keep_going() {
            return Err(Error::Closed);
        }
        let end = start.plus_ms(DAY_MS).min(range.end);
        let query = Query {
            aggregation: Some(aggregation),
            group_by: rule.by.clone(),
            filter: filter.clone(),
            metrics: Vec::<MetricType>::new(),
            max_series: 1_000,
            ..Query::total(TimeRange::new(start, end))
        };
        let result = engine.query(&query)?;
        let parts = width_ms / MINUTE_MS;
        let mut arrivals = Vec::new();
        for series in result.series {
            let group = replay.add_group(AlertGroup::new(&rule.by, &series.group), None);
            for (bucket, measures) in result.boundaries.iter().zip(&series.buckets) {
                if measures.requests() == 0 {
                    continue;
                }
                let sums = Sums::of_measures(measures, rule);
                for part in 0..parts {
                    let started_ms = bucket.as_unix_ms() + part * MINUTE_MS;
                    let sums = share(&sums, part, parts);
                    let visible_ms = started_ms + MINUTE_MS;
                    arrivals.push(Arrival {
                        started_ms,
                        visible_ms,
                        group,
                        sums,
                        ..Arrival::default()
                    });
                }
            }
        }
        arrivals.sort_by_key(|arrival| arrival.started_ms);
        arrivals.into_iter().for_each(|arrival| replay.add(arrival));
        start = end;
    }
    Ok(())
}

/// The `part`-th of `parts` nearly equal parts of some sums; all parts add up to the whole.
const fn share(sums: &Sums, part: i64, parts: i64) -> Sums {
    const fn cut(whole: i64, part: i64, parts: i64) -> i64 {
        whole * (part + 1) / parts - whole * part / parts
    }
    Sums {
        requests: cut(sums.requests, part, parts),
        errors: cut(sums.errors, part, parts),
        cache_hits: cut(sums.cache_hits, part, parts),
        tokens: cut(sums.tokens, part, parts),
        cost_nano_usd: cut(sums.cost_nano_usd, part, parts),
        latency_known: cut(sums.latency_known, part, parts),
        latency_sum_us: cut(sums.latency_sum_us, part, parts),
    }
}
