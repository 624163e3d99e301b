//! Backtests: run the live evaluator with an injected clock over the stored history.
//!
//! A request becomes visible at its arrival, as in live monitoring. Raw rows reproduce live
//! evaluation exactly; where they are pruned, rollups replace them and the result is marked as
//! inexact. Unlike in live monitoring, imported requests count, as if each had arrived at its end.

mod failures;
mod replay;
mod result;
mod window;

use rustc_hash::FxHashMap;

use super::judge::Sums;
use super::live::{expanded_filter, quantile_of};
use super::runs::{FirstIds, first_ids};
use super::streak::is_failure;
use crate::config::AlertingConfig;
use crate::error::{Error, Result};
use crate::model::alert::{AlertGroup, AlertMetric, Rule};
use crate::model::time::{DAY_MS, MINUTE_MS, QUARTER_HOUR_MS};
use crate::model::{
    Aggregation, Dimension, Filter, KeyColumn, LatencyKind, Measured, MetricType, TimeRange,
    Timestamp,
};
use crate::query::{Engine, Query};
use crate::store::{RawSelect, Reader, RequestRow, RowParts, Store, pruned_flag};
use replay::Replay;
pub(crate) use result::BacktestedBody;
pub use result::{Backtest, BacktestIncident, BacktestMove, BacktestTally};
use window::ReplayedRequest;

/// Maximum range of a backtest that a user requests, in days.
pub(crate) const MAX_DAYS: i64 = 35;

/// Number of rows after which a backtest checks whether to stop; about 10 ms.
const ROWS_PER_CHECK: u64 = 10_000;

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
    config: &AlertingConfig,
    keep_going: &dyn Fn() -> bool,
) -> Result<Backtest> {
    if rule.by.contains(&Dimension::ErrorType) {
        return Err(Error::invalid_query("rule", "groups by error_type cannot be backtested"));
    }
    let mut replay = Replay::new(rule, range, config);
    if rule.by.is_empty() {
        replay.add_group(AlertGroup::default(), None);
    }
    let Some(filter) = expanded_filter(store, rule)? else {
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
        let order = order_ids(reader, rule)?;
        let mut groups: FxHashMap<[i64; 2], usize> = FxHashMap::default();
        let mut failed = None;
        let mut rows = 0_u64;
        let select = RawSelect { range, after_seq: None, upto_seq: None, filter: &resolved };
        reader.raw_rows(&select, RowParts::ALL, |row| {
            rows += 1;
            if rows.is_multiple_of(ROWS_PER_CHECK) && !keep_going() {
                failed.get_or_insert(Error::Closed);
            }
            if failed.is_some() {
                return;
            }
            let ids = ids_of(rule, row);
            let group = match groups.get(&ids) {
                Some(index) => *index,
                None => match name_of(reader, rule, ids) {
                    Ok(group) => {
                        let first =
                            |place: usize| *order[place].get(&ids[place]).unwrap_or(&ids[place]);
                        let index = replay.add_group(group, Some([first(0), first(1)]));
                        *groups.entry(ids).or_insert(index)
                    }
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
        failed.map_or(Ok(()), Err)
    })
}

fn ids_of(rule: &Rule, row: &RequestRow) -> [i64; 2] {
    let key = |place: usize| KeyColumn::of(*rule.by.get(place)?);
    std::array::from_fn(|place| key(place).map_or(0, |key| row.key(key)))
}

/// For each dimension of the rule, the ids by which live queries order groups: a model of several
/// providers, or a provider of several models, has the id of its first row.
fn order_ids(reader: &Reader<'_>, rule: &Rule) -> Result<[FirstIds; 2]> {
    let models = reader.models()?;
    let first = |by: &Dimension| match by {
        Dimension::Model => first_ids(&models, |row| &row.name),
        Dimension::Provider => first_ids(&models, |row| &row.provider),
        _ => FirstIds::default(),
    };
    Ok([0_usize, 1].map(|place| rule.by.get(place).map(first).unwrap_or_default()))
}

fn name_of(reader: &Reader<'_>, rule: &Rule, ids: [i64; 2]) -> Result<AlertGroup> {
    let mut values = Vec::new();
    for (dimension, id) in rule.by.iter().zip(ids) {
        let name = reader.names(*dimension, &[id])?.remove(&id);
        values.push(name.unwrap_or_else(|| crate::model::dimension::NONE_NAME.to_owned()));
    }
    Ok(AlertGroup::new(&rule.by, &values))
}

fn arrival(
    rule: &Rule,
    row: &RequestRow,
    group: usize,
    latency: Option<LatencyKind>,
) -> ReplayedRequest {
    let total_us = row.latency_us(LatencyKind::Total).unwrap_or(0);
    let took_ms = i64::try_from(total_us.div_ceil(1_000)).unwrap_or(0);
    let by_model = rule.by.contains(&Dimension::Model);
    ReplayedRequest {
        started_ms: row.started_at_ms,
        visible_ms: row.started_at_ms.saturating_add(row.arrived_after_ms.unwrap_or(took_ms)),
        seq: row.seq,
        group,
        run_key: if by_model { row.model_id } else { 0 },
        sums: Sums::of_request(row, rule),
        latency_us: latency.and_then(|kind| row.latency_us(kind)),
        is_failure: is_failure(row.outcome(), rule.errors),
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
                arrivals.extend((0..parts).map(|part| {
                    let started_ms = bucket.as_unix_ms() + part * MINUTE_MS;
                    let (visible_ms, sums) = (started_ms + MINUTE_MS, share(&sums, part, parts));
                    let none = ReplayedRequest::default();
                    ReplayedRequest { started_ms, visible_ms, group, sums, ..none }
                }));
            }
        }
        arrivals.sort_by_key(|arrival| arrival.started_ms);
        arrivals.into_iter().for_each(|arrival| replay.add(arrival));
        start = end;
    }
    Ok(())
}

/// The `part`-th of `parts` nearly equal shares of some sums; the shares of all parts total `sums`.
fn share(sums: &Sums, part: i64, parts: i64) -> Sums {
    sums.zip(sums, |whole, _| whole * (part + 1) / parts - whole * part / parts)
}
