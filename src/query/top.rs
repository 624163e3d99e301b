//! The table of leading groups of a dashboard: rows + other = total.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use super::engine::Engine;
use super::errors_by_type::{error_counts, errors_only};
use super::execute::Executed;
use super::leading::restricted;
use super::plan::{key_columns, sketches_are_cheap};
use super::result::group_names;
use super::sorted_run::GroupKey;
use super::table::AggregateTable;
use super::top_k::{TopK, rank_of};
use super::types::{DashboardQuery, Query, QueryResult, Top, TopQuery, TopRow};
use crate::error::Result;
use crate::model::measures::Combine;
use crate::model::{
    Column, Dimension, ErrorType, LatencyKind, Measures, MetricType, Name, TimeRange, Timestamp,
};
use crate::store::Reader;

/// Maximum number of leading groups that a filter selects by name; a longer filter is slower than reading all groups.
const MAX_NARROWED: usize = 100;

impl Engine {
    /// The leading groups of a dashboard.
    pub(super) fn top(
        &self,
        reader: &Reader<'_>,
        query: &DashboardQuery,
        wanted: &TopQuery,
    ) -> Result<Top> {
        let by = wanted.by;
        if by == Dimension::ErrorType {
            return self.top_errors(reader, query, wanted.limit);
        }
        let percentiles =
            query.filter.needs_raw_rows() || sketches_are_cheap(&key_columns(&query.filter, &[by]));
        let is_by_percentile = percentiles && wanted.stat.quantile().is_some();
        let sorted_by = wanted.sort.latency().filter(|_| is_by_percentile);
        // There can be many thousands of groups: of all of them, only what orders them is read.
        let ordering = Query {
            group_by: vec![by],
            // A second metric keeps error types in the filter, as in the queries of the rows and the total.
            metrics: vec![wanted.sort, MetricType::RequestRate],
            quantiles: sorted_by.into_iter().collect(),
            ..Query::filtered(query.range, &query.filter)
        };
        let Executed { mut table, exact, complete_from, .. } =
            self.execute(reader, &ordering, None)?;
        let (keys, groups) = lead(&mut table, wanted);
        let names: Vec<String> = group_names(reader, &[by], &keys)?.into_iter().flatten().collect();
        let mut kinds: Vec<LatencyKind> =
            sorted_by.into_iter().chain(percentiles.then_some(LatencyKind::Total)).collect();
        kinds.dedup();
        let (mut leaders, mut before) = self.leaders(reader, query, by, &keys, &names, kinds)?;
        let total = Query::filtered(query.range, &query.filter);
        let total = self.result(reader, &total, None)?.into_total();
        let trend = self.trend_of_groups(reader, query, by, &names)?;
        let rows = keys.iter().zip(names).map(|(key, name)| TopRow {
            name,
            measures: leaders.take(key),
            previous: before.as_mut().map(|groups| groups.take(key)),
        });
        let rows: Vec<TopRow> = rows.collect();
        Ok(Top {
            other: without(&total, &rows),
            rows,
            total,
            groups,
            trend,
            percentiles,
            exact,
            complete_from,
            previous_complete_from: before.and_then(|groups| groups.complete_from),
        })
    }

    /// The measures of the leading groups in the range, and in the range to compare with.
    fn leaders(
        &self,
        reader: &Reader<'_>,
        query: &DashboardQuery,
        by: Dimension,
        keys: &[GroupKey],
        names: &[String],
        quantiles: Vec<LatencyKind>,
    ) -> Result<(LeadingMeasures, Option<LeadingMeasures>)> {
        if keys.is_empty() {
            return Ok((LeadingMeasures::default(), None));
        }
        let filter = match names.len() {
            0..=MAX_NARROWED => {
                restricted(&query.filter, by, names.iter().map(Name::from).collect())
            }
            _ => query.filter.clone(),
        };
        let over = |range: TimeRange, quantiles: Vec<LatencyKind>| -> Result<LeadingMeasures> {
            let query = Query { group_by: vec![by], quantiles, ..Query::filtered(range, &filter) };
            Ok(LeadingMeasures::new(self.execute(reader, &query, None)?, keys))
        };
        let leaders = over(query.range, quantiles)?;
        let before = query.previous.map(|range| over(range, Vec::new())).transpose()?;
        Ok((leaders, before))
    }

    /// The error types with the most errors, from the counters of rollups.
    fn top_errors(&self, reader: &Reader<'_>, query: &DashboardQuery, limit: usize) -> Result<Top> {
        let over = |range: TimeRange| {
            let metrics = vec![MetricType::ErrorRate];
            let plain = Query { metrics, ..Query::filtered(range, &query.filter) };
            self.result(reader, &plain, None)
        };
        let all = over(query.range)?;
        let (exact, complete_from) = (all.exact, all.complete_from);
        let all = all.into_total();
        let before = query.previous.map(over).transpose()?;
        let previous_complete_from = before.as_ref().and_then(|result| result.complete_from);
        let before = before.map(QueryResult::into_total);
        let mut kinds: Vec<(ErrorType, i64)> = error_counts(&all).collect();
        kinds.sort_by_key(|(_, errors)| Reverse(*errors));
        let mut kinds: Vec<ErrorType> = kinds.into_iter().map(|(kind, _)| kind).collect();
        let groups = kinds.len();
        let rest = kinds.split_off(limit.min(groups));
        let rows = kinds.iter().map(|kind| TopRow {
            name: kind.to_string(),
            measures: errors_only(&all, &[*kind]),
            previous: before.as_ref().map(|before| errors_only(before, &[*kind])),
        });
        Ok(Top {
            rows: rows.collect(),
            other: errors_only(&all, &rest),
            total: errors_only(&all, &ErrorType::ALL),
            groups,
            trend: self.trend_of_errors(reader, query)?,
            percentiles: false,
            exact,
            complete_from,
            previous_complete_from,
        })
    }
}

/// The measures of the leading groups in one range.
#[derive(Default)]
struct LeadingMeasures {
    by_key: FxHashMap<GroupKey, Measures>,
    complete_from: Option<Timestamp>,
}

impl LeadingMeasures {
    fn new(mut executed: Executed, keys: &[GroupKey]) -> Self {
        let empty = keys.iter().map(|key| (*key, Measures::default()));
        let mut by_key: FxHashMap<GroupKey, Measures> = empty.collect();
        executed.table.each(|_, key, row| {
            if let Some(measures) = by_key.get_mut(&key) {
                row.move_to(measures);
            }
        });
        Self { by_key, complete_from: executed.complete_from }
    }

    fn take(&mut self, key: &GroupKey) -> Measures {
        self.by_key.remove(key).unwrap_or_default()
    }
}

/// The leading groups in order, and the number of all groups.
fn lead(table: &mut AggregateTable, wanted: &TopQuery) -> (Vec<GroupKey>, usize) {
    let mut top = TopK::new(wanted.limit);
    let mut groups = 0;
    let mut measures = Measures::default();
    table.each(|_, key, row| {
        groups += 1;
        row.copy_to(&mut measures);
        let value = measures.value(wanted.sort, wanted.stat).unwrap_or(f64::MIN);
        // Groups with equal values, such as no cost, are ordered by their requests.
        top.offer((rank_of(value), measures.requests(), Reverse(key)), || key);
    });
    (top.into_sorted().collect(), groups)
}

/// The rest of `total` without `rows`; its minima and maxima are unknown.
fn without(total: &Measures, rows: &[TopRow]) -> Measures {
    let mut rest = Measures::default();
    for column in Column::all().filter(|column| column.combine() == Combine::Sum) {
        let index = column.index();
        let of_rows: i64 = rows.iter().map(|row| row.measures.values[index]).sum();
        rest.values[index] = total.values[index].saturating_sub(of_rows);
    }
    rest
}
