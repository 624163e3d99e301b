//! Errors grouped by type, read off the counters of the rollups.

use super::types::{Answer, Query, Series};
use crate::model::{Count, Dimension, ErrorType, Filter, Measures, MetricType};

/// Whether counters answer a query grouped by error type, perhaps among other dimensions.
pub(super) fn expands(query: &Query) -> bool {
    let counted = matches!(query.metrics[..], [MetricType::ErrorRate | MetricType::RequestRate]);
    query.group_by.contains(&Dimension::ErrorType)
        && counted
        && query.quantiles.is_empty()
        && query.filter.outcomes.is_empty()
}

/// The query whose groups `query` cuts further by error type.
pub(super) fn groups_with_errors(query: &Query) -> Query {
    let is_other = |dimension: &&Dimension| **dimension != Dimension::ErrorType;
    Query {
        group_by: query.group_by.iter().filter(is_other).copied().collect(),
        metrics: vec![MetricType::ErrorRate],
        filter: Filter { error_types: Vec::new(), ..query.filter.clone() },
        ..query.clone()
    }
}

/// The errors of the types that a query asks for.
pub(super) fn wanted_errors(query: &Query, measures: &Measures) -> i64 {
    wanted(query).map(|kind| measures.get(Count::of_error(kind))).sum()
}

fn wanted(query: &Query) -> impl Iterator<Item = ErrorType> {
    let kinds = &query.filter.error_types;
    ErrorType::ALL.iter().copied().filter(move |kind| kinds.is_empty() || kinds.contains(kind))
}

/// A series for each error type that occurred in each group: for rates over all requests of the group,
/// for counts over its own.
///
/// Groups with few errors are one group `(other)`. Error types are few and are not folded: rates over
/// the same requests do not add up.
pub(super) fn by_error_type(query: &Query, mut groups: Answer) -> Answer {
    let as_count = query.metrics == [MetricType::RequestRate];
    let mut series: Vec<(bool, i64, Series)> = Vec::new();
    for (place, all) in std::mem::take(&mut groups.series).into_iter().enumerate() {
        let is_folded = place >= query.max_series.max(1);
        for kind in wanted(query) {
            let buckets: Vec<Measures> =
                all.buckets.iter().map(|bucket| only(bucket, kind, as_count)).collect();
            let errors = buckets.iter().map(Measures::errors).sum();
            if errors > 0 {
                let group = names(query, &all.group, kind);
                series.push((is_folded, errors, Series { group, buckets }));
            }
        }
    }
    series.sort_by_key(|(is_folded, errors, _)| (*is_folded, std::cmp::Reverse(*errors)));
    groups.series = series.into_iter().map(|(_, _, series)| series).collect();
    groups
}

/// The names of a group with the error type in its place.
fn names(query: &Query, group: &[String], kind: ErrorType) -> Vec<String> {
    let mut others = group.iter().cloned();
    let name = |dimension: &Dimension| match dimension {
        Dimension::ErrorType => kind.as_str().to_owned(),
        _ => others.next().unwrap_or_default(),
    };
    query.group_by.iter().map(name).collect()
}

/// The measures of one error type; requests are its errors, or stay all requests as the base of a rate.
fn only(bucket: &Measures, kind: ErrorType, as_count: bool) -> Measures {
    let mut measures = Measures::default();
    let errors = bucket.get(Count::of_error(kind));
    measures.bump(Count::of_error(kind), errors);
    measures.bump(Count::Requests, if as_count { errors } else { bucket.requests() });
    measures
}
