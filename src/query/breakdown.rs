//! The leading groups of one dimension: rows + other = total, from one snapshot.

use super::engine::{Engine, GroupTotal};
use super::types::{Breakdown, BreakdownQuery, BreakdownRow, Query};
use crate::error::Result;
use crate::model::dimension::OTHER_NAME;
use crate::model::{Count, Dimension, ErrorType, Filter, Measures, MetricType, Stat};

/// The name of the total row.
const TOTAL_NAME: &str = "(total)";

/// Answers a breakdown.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn breakdown(engine: &Engine, query: &BreakdownQuery) -> Result<Breakdown> {
    if query.by == Dimension::ErrorType {
        return by_error_type(engine, query);
    }
    let quantiles = query.metric.latency().filter(|_| query.stat.quantile().is_some());
    let plain = Query {
        group_by: vec![query.by],
        filter: query.filter.clone(),
        metrics: vec![query.metric],
        quantiles: quantiles.into_iter().collect(),
        ..Query::total(query.range)
    };
    let ((mut breakdown, values), names) = engine.group_totals(&plain, |totals| {
        let (exact, complete_from) = (totals.exact, totals.complete_from);
        let (leading, rest, total) = split(totals.groups, query);
        let keys = leading.iter().map(|group| group.key).collect();
        let breakdown = Breakdown {
            rows: Vec::new(),
            other: row(OTHER_NAME, &rest, &total, query),
            total: row(TOTAL_NAME, &total, &total, query),
            exact,
            complete_from,
        };
        let rows: Vec<BreakdownRow> =
            leading.iter().map(|group| row("", &group.measures, &total, query)).collect();
        ((breakdown, rows), keys)
    })?;
    breakdown.rows = values
        .into_iter()
        .zip(names)
        .map(|(row, mut names)| BreakdownRow { name: names.pop().unwrap_or_default(), ..row })
        .collect();
    Ok(breakdown)
}

/// The leading groups in order, what the others add up to, and the total.
fn split(
    mut groups: Vec<GroupTotal>,
    query: &BreakdownQuery,
) -> (Vec<GroupTotal>, Measures, Measures) {
    let value = |group: &GroupTotal| group.measures.value(query.metric, query.stat);
    let mut total = sum(&groups);
    groups.retain(|group| group.measures.requests() > 0);
    groups.sort_by(|a, b| {
        let by_value = value(b).unwrap_or(f64::MIN).total_cmp(&value(a).unwrap_or(f64::MIN));
        by_value.then(a.key.cmp(&b.key))
    });
    let rest = groups.split_off(query.limit.min(groups.len()));
    if total.requests() == 0 {
        total = Measures::default();
    }
    (groups, sum(&rest), total)
}

fn sum(groups: &[GroupTotal]) -> Measures {
    let mut total = Measures::default();
    for group in groups {
        for (mine, theirs) in total.distributions.iter_mut().zip(&group.measures.distributions) {
            if mine.is_none() && theirs.is_some() {
                *mine = Some(crate::model::Distribution::exact());
            }
        }
        total.merge(&group.measures);
    }
    total
}

fn row(name: &str, measures: &Measures, total: &Measures, query: &BreakdownQuery) -> BreakdownRow {
    let value = measures.value(query.metric, query.stat);
    let whole = total.value(query.metric, query.stat);
    let share_percent = match (value, whole) {
        (Some(value), Some(whole)) if query.metric.is_additive() && whole != 0.0 => {
            Some(value * 100.0 / whole)
        }
        _ => None,
    };
    BreakdownRow { name: name.to_owned(), value, share_percent, requests: measures.requests() }
}

/// Counts of errors by type; the total is all errors.
fn by_error_type(engine: &Engine, query: &BreakdownQuery) -> Result<Breakdown> {
    let wanted = &query.filter.error_types;
    let plain = Query {
        filter: Filter { error_types: Vec::new(), ..query.filter.clone() },
        metrics: vec![MetricType::ErrorRate],
        ..Query::total(query.range)
    };
    let answer = engine.query(&plain)?;
    let (exact, complete_from) = (answer.exact, answer.complete_from);
    let measures = answer.into_total();
    let mut counts: Vec<(&str, i64)> = ErrorType::ALL
        .iter()
        .filter(|kind| wanted.is_empty() || wanted.contains(kind))
        .map(|kind| (kind.as_str(), measures.get(Count::of_error(*kind))))
        .filter(|(_, errors)| *errors > 0)
        .collect();
    counts.sort_by_key(|(name, errors)| (std::cmp::Reverse(*errors), *name));
    let total: i64 = counts.iter().map(|(_, errors)| errors).sum();
    let rest: i64 = counts.iter().skip(query.limit).map(|(_, errors)| errors).sum();
    counts.truncate(query.limit);
    let row = |name: &str, errors: i64| count_row(name, errors, total);
    Ok(Breakdown {
        rows: counts.iter().map(|(name, errors)| row(name, *errors)).collect(),
        other: row(OTHER_NAME, rest),
        total: row(TOTAL_NAME, total),
        exact,
        complete_from,
    })
}

fn count_row(name: &str, errors: i64, total: i64) -> BreakdownRow {
    let mut measures = Measures::default();
    measures.bump(Count::Requests, errors);
    BreakdownRow {
        name: name.to_owned(),
        value: measures.value(MetricType::RequestRate, Stat::Average),
        share_percent: crate::model::measures::percent(errors, total),
        requests: errors,
    }
}
