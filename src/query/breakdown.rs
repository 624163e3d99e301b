//! The leading groups of one dimension: rows + other = total, from one snapshot.

use std::cmp::Reverse;

use super::engine::Engine;
use super::errors_by_type::error_counts;
use super::execute::Executed;
use super::result::group_names;
use super::sorted_run::GroupKey;
use super::top_k::{Offered, TopK, rank_of};
use super::types::{Breakdown, BreakdownQuery, BreakdownRow, Query};
use crate::error::{Error, Result};
use crate::model::dimension::OTHER_NAME;
use crate::model::measures::{as_f64, percent};
use crate::model::{Dimension, Distribution, Filter, Measures, MetricType};

/// The name of the total row.
const TOTAL_NAME: &str = "(total)";

impl Engine {
    /// The leading groups of a dimension.
    ///
    /// # Errors
    /// If the query is invalid or the file cannot be read.
    pub fn breakdown(&self, query: &BreakdownQuery) -> Result<Breakdown> {
        match (query.by, query.metric) {
            (Dimension::ErrorType, MetricType::RequestRate) => return self.count_errors(query),
            (Dimension::ErrorType, MetricType::ErrorRate) => {
                return Err(Error::invalid_query(
                    "metric",
                    "by error_type every request is an error; use metric=request_rate, which counts errors",
                ));
            }
            _ => {}
        }
        let quantiles = query.metric.latency().filter(|_| query.stat.quantile().is_some());
        let plain = Query {
            group_by: vec![query.by],
            metrics: vec![query.metric],
            quantiles: quantiles.into_iter().collect(),
            ..Query::filtered(query.range, &query.filter)
        };
        self.with_executed(&plain, |reader, executed| {
            let (exact, complete_from) = (executed.exact, executed.complete_from);
            let (leading, other, total) = split(executed, query);
            let row = |name: &str, measures: &Measures| row(name, measures, &total, query);
            let keys: Vec<GroupKey> = leading.iter().map(|(key, _)| *key).collect();
            let names = group_names(reader, &plain.group_by, &keys)?;
            let rows = names.iter().zip(&leading);
            Ok(Breakdown {
                rows: rows.map(|(names, (_, measures))| row(&names[0], measures)).collect(),
                other: row(OTHER_NAME, &other),
                total: row(TOTAL_NAME, &total),
                exact,
                complete_from,
            })
        })
    }

    /// Counts errors by type from the counters of rollups; the total is over the requested types.
    fn count_errors(&self, query: &BreakdownQuery) -> Result<Breakdown> {
        let wanted = &query.filter.error_types;
        let plain = Query {
            filter: Filter { error_types: Vec::new(), ..query.filter.clone() },
            metrics: vec![MetricType::ErrorRate],
            ..Query::total(query.range)
        };
        let result = self.query(&plain)?;
        let (exact, complete_from) = (result.exact, result.complete_from);
        let mut counts: Vec<(&str, i64)> = error_counts(&result.into_total())
            .filter(|(kind, _)| wanted.is_empty() || wanted.contains(kind))
            .map(|(kind, errors)| (kind.as_str(), errors))
            .collect();
        counts.sort_by_key(|(name, errors)| (Reverse(*errors), *name));
        let sum = |counts: &[(&str, i64)]| counts.iter().map(|(_, errors)| errors).sum::<i64>();
        let total = sum(&counts);
        let rest = counts.split_off(query.limit.min(counts.len()));
        let row = |name: &str, errors: i64| BreakdownRow {
            name: name.to_owned(),
            value: Some(as_f64(errors)),
            share_percent: percent(errors, total),
            requests: errors,
        };
        Ok(Breakdown {
            rows: counts.iter().map(|(name, errors)| row(name, *errors)).collect(),
            other: row(OTHER_NAME, sum(&rest)),
            total: row(TOTAL_NAME, total),
            exact,
            complete_from,
        })
    }
}

/// The leading groups in order, the total of the others, and the total of all.
type Split = (Vec<(GroupKey, Measures)>, Measures, Measures);

fn split(executed: Executed, query: &BreakdownQuery) -> Split {
    let Executed { mut table, errors, .. } = executed;
    let mut top = TopK::new(query.limit);
    let mut other = Measures::default();
    for kind in &table.kinds {
        other.distributions[kind.index()] = Some(Distribution::exact());
    }
    let mut measures = Measures::default();
    table.each(|_, key, row| {
        row.copy_to(&mut measures);
        errors.apply(&mut measures);
        // The group has no requests of these error types.
        if measures.requests() == 0 {
            return;
        }
        // Groups without a value rank last.
        let value = measures.value(query.metric, query.stat).unwrap_or(f64::MIN);
        match top.offer((rank_of(value), Reverse(key)), || (key, measures.clone())) {
            Offered::Kept(None) => {}
            Offered::Kept(Some((_, replaced))) => other.merge(&replaced),
            Offered::Refused => row.add_to(&mut other),
        }
    });
    // Nothing changes for the groups to which it was applied before.
    errors.apply(&mut other);
    let leading: Vec<(GroupKey, Measures)> = top.into_sorted().collect();
    let mut total = other.clone();
    leading.iter().for_each(|(_, measures)| total.merge(measures));
    (leading, other, total)
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
