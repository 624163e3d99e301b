//! Errors grouped by type, from the counters of rollups instead of raw rows.

use std::cmp::Reverse;

use super::types::{Query, QueryResult, Series};
use crate::model::{Count, Dimension, ErrorType, Filter, Measures, MetricType};

/// The error types that occurred, each with its number of errors.
pub(super) fn error_counts(measures: &Measures) -> impl Iterator<Item = (ErrorType, i64)> {
    let counts = ErrorType::ALL.iter().map(|kind| (*kind, measures.get(Count::of_error(*kind))));
    counts.filter(|(_, errors)| *errors > 0)
}

/// The errors of some types, as the only requests.
pub(super) fn errors_only(measures: &Measures, kinds: &[ErrorType]) -> Measures {
    let mut only = Measures::default();
    for kind in kinds.iter().map(|kind| Count::of_error(*kind)) {
        only.bump(kind, measures.get(kind));
        only.bump(Count::Requests, measures.get(kind));
    }
    only
}

/// Whether counters suffice for a query grouped by error type, possibly among other dimensions.
pub(super) fn expands(query: &Query) -> bool {
    let counted = matches!(query.metrics[..], [MetricType::ErrorRate | MetricType::RequestRate]);
    query.group_by.contains(&Dimension::ErrorType)
        && counted
        && query.quantiles.is_empty()
        && query.filter.outcomes.is_empty()
}

/// The query for the groups that `query` divides further by error type.
pub(super) fn groups_with_errors(query: &Query) -> Query {
    let is_other = |dimension: &&Dimension| **dimension != Dimension::ErrorType;
    Query {
        group_by: query.group_by.iter().filter(is_other).copied().collect(),
        metrics: vec![MetricType::ErrorRate],
        filter: Filter { error_types: Vec::new(), ..query.filter.clone() },
        ..query.clone()
    }
}

/// The number of errors of the types that a query asks for.
pub(super) fn wanted_errors(query: &Query, measures: &Measures) -> i64 {
    wanted(query).map(|kind| measures.get(Count::of_error(kind))).sum()
}

fn wanted(query: &Query) -> impl Iterator<Item = ErrorType> {
    let kinds = &query.filter.error_types;
    ErrorType::ALL.iter().copied().filter(move |kind| kinds.is_empty() || kinds.contains(kind))
}

/// A series for each error type that occurred in each group. The base of a rate is all requests of the group; for counts,
/// the errors are the requests.
///
/// Groups with few errors are grouped as `(other)`. Error types are few and always have a series: rates over the same
/// requests do not add up.
pub(super) fn by_error_type(query: &Query, mut groups: QueryResult) -> QueryResult {
    let as_requests = query.metrics == [MetricType::RequestRate];
    let mut series: Vec<(bool, Reverse<i64>, Series)> = Vec::new();
    for (place, all) in std::mem::take(&mut groups.series).into_iter().enumerate() {
        let is_other = place >= query.max_series.max(1);
        for kind in wanted(query) {
            let only = |bucket: &Measures| {
                let mut measures = errors_only(bucket, &[kind]);
                if !as_requests {
                    measures.values[Count::Requests as usize] = bucket.requests();
                }
                measures
            };
            let buckets: Vec<Measures> = all.buckets.iter().map(only).collect();
            let errors = buckets.iter().map(Measures::errors).sum();
            if errors > 0 {
                let group = names(query, &all.group, kind);
                series.push((is_other, Reverse(errors), Series { group, buckets }));
            }
        }
    }
    series.sort_by_key(|(is_other, errors, _)| (*is_other, *errors));
    groups.series = series.into_iter().map(|(_, _, series)| series).collect();
    groups
}

/// The names of a group with the error type in its place.
fn names(query: &Query, group: &[String], kind: ErrorType) -> Vec<String> {
    let mut others = group.iter().cloned();
    let name = |dimension: &Dimension| match dimension {
        Dimension::ErrorType => kind.to_string(),
        _ => others.next().unwrap_or_default(),
    };
    query.group_by.iter().map(name).collect()
}
