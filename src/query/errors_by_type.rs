//! Errors grouped by type, read off the counters of the rollups.

use super::engine::Engine;
use super::types::{Answer, Query, Series};
use crate::error::Result;
use crate::model::{Count, Dimension, ErrorType, Filter, Measures, MetricType};

/// Whether counters answer a query grouped by error type alone.
pub(super) fn expands(query: &Query) -> bool {
    let counted = matches!(query.metrics[..], [MetricType::ErrorRate | MetricType::RequestRate]);
    query.group_by == [Dimension::ErrorType]
        && counted
        && query.quantiles.is_empty()
        && query.filter.outcomes.is_empty()
}

/// One series for each error type that occurred: for rates over all requests, for counts over its own.
pub(super) fn by_error_type(engine: &Engine, query: &Query) -> Result<Answer> {
    let wanted = &query.filter.error_types;
    let plain = Query {
        group_by: Vec::new(),
        metrics: vec![MetricType::ErrorRate],
        filter: Filter { error_types: Vec::new(), ..query.filter.clone() },
        ..query.clone()
    };
    let mut answer = engine.query(&plain)?;
    let all = answer.series.pop().map_or_else(Vec::new, |series| series.buckets);
    let as_count = query.metrics == [MetricType::RequestRate];
    let mut series: Vec<(i64, Series)> = ErrorType::ALL
        .iter()
        .filter(|kind| wanted.is_empty() || wanted.contains(kind))
        .map(|kind| {
            let buckets: Vec<Measures> =
                all.iter().map(|bucket| only(bucket, *kind, as_count)).collect();
            let errors = buckets.iter().map(Measures::errors).sum();
            (errors, Series { group: vec![kind.as_str().to_owned()], buckets })
        })
        .filter(|(errors, _)| *errors > 0)
        .collect();
    series.sort_by_key(|(errors, _)| std::cmp::Reverse(*errors));
    answer.series = series.into_iter().map(|(_, series)| series).collect();
    Ok(answer)
}

/// The measures of one error type; requests are its errors, or stay all requests as the base of a rate.
fn only(bucket: &Measures, kind: ErrorType, as_count: bool) -> Measures {
    let mut measures = Measures::default();
    let errors = bucket.get(Count::of_error(kind));
    measures.bump(Count::of_error(kind), errors);
    measures.bump(Count::Requests, if as_count { errors } else { bucket.requests() });
    measures
}
