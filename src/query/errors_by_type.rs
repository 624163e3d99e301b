//! Errors grouped by type, read off the counters of the rollups.

use super::engine::Engine;
use super::types::{Answer, Query, Series};
use crate::error::Result;
use crate::model::{Count, Dimension, ErrorType, Filter, Measures, MetricType};

/// Whether counters answer a query grouped by error type, perhaps among other dimensions.
pub(super) fn expands(query: &Query) -> bool {
    let counted = matches!(query.metrics[..], [MetricType::ErrorRate | MetricType::RequestRate]);
    query.group_by.contains(&Dimension::ErrorType)
        && counted
        && query.quantiles.is_empty()
        && query.filter.outcomes.is_empty()
}

/// A series for each error type that occurred in each group: for rates over all requests of the group,
/// for counts over its own.
///
/// Error types are few and are not folded into `(other)`: rates over the same requests do not add up.
pub(super) fn by_error_type(engine: &Engine, query: &Query) -> Result<Answer> {
    let wanted = &query.filter.error_types;
    let is_other = |dimension: &&Dimension| **dimension != Dimension::ErrorType;
    let plain = Query {
        group_by: query.group_by.iter().filter(is_other).copied().collect(),
        metrics: vec![MetricType::ErrorRate],
        max_series: usize::MAX,
        filter: Filter { error_types: Vec::new(), ..query.filter.clone() },
        ..query.clone()
    };
    let mut answer = engine.query(&plain)?;
    let as_count = query.metrics == [MetricType::RequestRate];
    let mut series: Vec<(i64, Series)> = Vec::new();
    for all in std::mem::take(&mut answer.series) {
        for kind in ErrorType::ALL.iter().filter(|kind| wanted.is_empty() || wanted.contains(kind))
        {
            let buckets: Vec<Measures> =
                all.buckets.iter().map(|bucket| only(bucket, *kind, as_count)).collect();
            let errors = buckets.iter().map(Measures::errors).sum();
            if errors > 0 {
                series.push((errors, Series { group: names(query, &all.group, *kind), buckets }));
            }
        }
    }
    series.sort_by_key(|(errors, _)| std::cmp::Reverse(*errors));
    answer.series = series.into_iter().map(|(_, series)| series).collect();
    Ok(answer)
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
