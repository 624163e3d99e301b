//! The leading groups of one dimension: rows + other = total, from one snapshot.

use std::cmp::Reverse;

use super::engine::Engine;
use super::execute::Executed;
use super::greatest::{Greatest, Offered, Total};
use super::table::{GroupKey, Row};
use super::types::{Breakdown, BreakdownQuery, BreakdownRow, Query};
use crate::error::{Error, Result};
use crate::model::dimension::OTHER_NAME;
use crate::model::{Count, Dimension, ErrorType, Filter, Measures, MetricType, Stat};

/// The name of the total row.
const TOTAL_NAME: &str = "(total)";

impl Engine {
    /// Answers a breakdown.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn breakdown(&self, query: &BreakdownQuery) -> Result<Breakdown> {
        match (query.by, query.metric) {
            (Dimension::ErrorType, MetricType::RequestRate) => return by_error_type(self, query),
            (Dimension::ErrorType, MetricType::ErrorRate) => {
                return Err(Error::invalid_query(
                    "metric",
                    "by error_type every request is an error; ask for request_rate, which counts them",
                ));
            }
            _ => {}
        }
        let quantiles = query.metric.latency().filter(|_| query.stat.quantile().is_some());
        let plain = Query {
            group_by: vec![query.by],
            filter: query.filter.clone(),
            metrics: vec![query.metric],
            quantiles: quantiles.into_iter().collect(),
            ..Query::total(query.range)
        };
        let ((mut breakdown, values), names) = self.pick_groups(&plain, |executed| {
            let split = split(&executed, query);
            let row = |name: &str, measures: &Measures| row(name, measures, &split.total, query);
            let breakdown = Breakdown {
                rows: Vec::new(),
                other: row(OTHER_NAME, &split.other),
                total: row(TOTAL_NAME, &split.total),
                exact: executed.exact,
                complete_from: executed.complete_from,
            };
            let (keys, leading): (Vec<GroupKey>, Vec<Measures>) = split.leading.into_iter().unzip();
            let rows = leading.iter().map(|measures| row("", measures)).collect();
            ((breakdown, rows), keys)
        })?;
        let values: Vec<BreakdownRow> = values;
        breakdown.rows = values
            .into_iter()
            .zip(names)
            .map(|(row, mut names)| BreakdownRow { name: names.pop().unwrap_or_default(), ..row })
            .collect();
        Ok(breakdown)
    }
}

/// The leading groups in order, what the others add up to, and the total.
struct Split {
    leading: Vec<(GroupKey, Measures)>,
    other: Measures,
    total: Measures,
}

fn split(executed: &Executed, query: &BreakdownQuery) -> Split {
    let apply = |measures: &mut Measures| {
        if let Some(errors) = &executed.errors {
            errors.apply(measures);
        }
    };
    let gathered = &executed.gathered;
    let mut greatest = Greatest::new(query.limit);
    let mut other = Measures::default();
    gathered.each_measured(|_, key, row, measures| {
        apply(measures);
        let value = measures.value(query.metric, query.stat).unwrap_or(f64::MIN);
        let kept = || (key, row.values.to_vec(), row.distributions.to_vec());
        match greatest.offer((Total(value), Reverse(key)), kept) {
            Offered::Kept(None) => {}
            Offered::Kept(Some((_, values, distributions))) => {
                Row { values: &values, distributions: &distributions, ..row }.add_to(&mut other);
            }
            Offered::Refused => row.add_to(&mut other),
        }
    });
    let mut total = other.clone();
    let leading = greatest.into_sorted().map(|(key, values, distributions)| {
        let (columns, kinds) = (gathered.columns(), gathered.kinds());
        let row = Row { columns, values: &values, kinds, distributions: &distributions };
        let mut measures = Measures::default();
        row.add_to(&mut measures);
        row.add_to(&mut total);
        apply(&mut measures);
        (key, measures)
    });
    let leading = leading.collect();
    apply(&mut other);
    apply(&mut total);
    Split { leading, other, total }
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
