//! How the requests of leading groups went over the range, in a few buckets: for the eye only.

use std::collections::BTreeMap;

use super::dashboard::DashboardQuery;
use super::engine::{Engine, keys_of_dimensions};
use super::plan::sketches_are_cheap;
use super::types::Query;
use crate::error::Result;
use crate::model::{
    Aggregation, Count, Dimension, ErrorType, Filter, Measures, MetricType, Timestamp, Tz,
};
use crate::store::Reader;

/// Most groups with a trend.
pub(super) const TREND_ROWS: usize = 10;
/// Most buckets of a trend.
const BUCKETS_MAX: i64 = 48;
/// Fewer buckets show nothing.
const BUCKETS_MIN: i64 = 4;

/// Requests of each leading group in each bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopTrend {
    /// Starts of the buckets followed by the end of the last one.
    pub boundaries: Vec<Timestamp>,
    /// Requests in each bucket, by the name of the group.
    pub requests: BTreeMap<String, Vec<i64>>,
}

/// The trend of the groups that `leaders` restricts to; `None` where it would cost more than buckets.
pub(super) fn of_groups(
    engine: &Engine,
    reader: &Reader<'_>,
    query: &DashboardQuery,
    by: Dimension,
    leaders: Filter,
) -> Result<Option<TopTrend>> {
    let Some((aggregation, tz)) = buckets(query, by) else { return Ok(None) };
    let asked = Query {
        aggregation: Some(aggregation),
        tz,
        group_by: vec![by],
        filter: leaders,
        metrics: vec![MetricType::RequestRate],
        max_series: TREND_ROWS,
        ..Query::total(query.range)
    };
    let answer = engine.answer(reader, &asked, None)?;
    let requests = answer.series.into_iter().filter_map(|mut series| {
        let counts = series.buckets.iter().map(Measures::requests).collect();
        Some((series.group.pop()?, counts))
    });
    Ok(Some(TopTrend { boundaries: answer.boundaries, requests: requests.collect() }))
}

/// The trend of every type of error.
pub(super) fn of_errors(
    engine: &Engine,
    reader: &Reader<'_>,
    query: &DashboardQuery,
) -> Result<Option<TopTrend>> {
    let Some((aggregation, tz)) = buckets(query, Dimension::ErrorType) else { return Ok(None) };
    let asked = Query {
        aggregation: Some(aggregation),
        tz,
        filter: query.filter.clone(),
        metrics: vec![MetricType::ErrorRate],
        ..Query::total(query.range)
    };
    let answer = engine.answer(reader, &asked, None)?;
    let buckets = answer.series.first().map_or(&[][..], |series| &series.buckets);
    let of_kind = |kind: &ErrorType| {
        let counts = buckets.iter().map(|bucket| bucket.get(Count::of_error(*kind)));
        (kind.as_str().to_owned(), counts.collect())
    };
    let requests = ErrorType::ALL.iter().map(of_kind).collect();
    Ok(Some(TopTrend { boundaries: answer.boundaries, requests }))
}

/// The finest buckets that are few and that rollups have; `None` where only single requests would answer.
fn buckets(query: &DashboardQuery, by: Dimension) -> Option<(Aggregation, Tz)> {
    let filter = &query.filter;
    if filter.needs_raw_rows() {
        return None;
    }
    let group_by = if by == Dimension::ErrorType { vec![] } else { vec![by] };
    // Groups without buckets of a quarter of an hour have those of days in UTC.
    let by_quarters = sketches_are_cheap(&keys_of_dimensions(filter, &group_by));
    let fits = |aggregation: &&Aggregation| aggregation.max_buckets(query.range) <= BUCKETS_MAX;
    let finest = if by_quarters { Aggregation::QuarterHour } else { Aggregation::Daily };
    let mut coarser = Aggregation::ALL.iter().skip_while(|one| **one != finest);
    let aggregation = *coarser.find(fits)?;
    let tz = if by_quarters { query.tz } else { Tz::UTC };
    (aggregation.max_buckets(query.range) >= BUCKETS_MIN + 2).then_some((aggregation, tz))
}
