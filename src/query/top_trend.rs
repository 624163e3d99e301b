//! The requests of leading groups over the range, in a few buckets, for small charts.

use super::engine::Engine;
use super::leading::restricted;
use super::plan::{key_columns, sketches_are_cheap};
use super::types::{DashboardQuery, Query, TopTrend};
use crate::error::Result;
use crate::model::{Aggregation, Count, Dimension, ErrorType, Measures, MetricType, Name, Tz};
use crate::store::Reader;

/// Maximum number of groups with a trend.
const MAX_GROUPS: usize = 10;
/// Maximum number of buckets of a trend.
const MAX_BUCKETS: i64 = 48;
/// Minimum number of buckets; fewer show nothing.
const MIN_BUCKETS: i64 = 4;

impl Engine {
    /// The trend of the first of the named groups; `None` if rollups do not have it.
    pub(super) fn trend_of_groups(
        &self,
        reader: &Reader<'_>,
        query: &DashboardQuery,
        by: Dimension,
        names: &[String],
    ) -> Result<Option<TopTrend>> {
        let Some(plain) = in_buckets(query, &[by]).filter(|_| !names.is_empty()) else {
            return Ok(None);
        };
        let names = names.iter().take(MAX_GROUPS).map(Name::from).collect();
        let filter = restricted(&plain.filter, by, names);
        let metrics = vec![MetricType::RequestRate];
        let grouped =
            Query { group_by: vec![by], filter, metrics, max_series: MAX_GROUPS, ..plain };
        let result = self.result(reader, &grouped, None)?;
        let requests = result.series.into_iter().filter_map(|mut series| {
            let counts = series.buckets.iter().map(Measures::requests).collect();
            Some((series.group.pop()?, counts))
        });
        Ok(Some(TopTrend { boundaries: result.boundaries, requests: requests.collect() }))
    }

    /// The trend of every error type.
    pub(super) fn trend_of_errors(
        &self,
        reader: &Reader<'_>,
        query: &DashboardQuery,
    ) -> Result<Option<TopTrend>> {
        let Some(plain) = in_buckets(query, &[]) else { return Ok(None) };
        let metrics = vec![MetricType::ErrorRate];
        let result = self.result(reader, &Query { metrics, ..plain }, None)?;
        let of_kind = |kind: &ErrorType| {
            let errors = |bucket: &Measures| bucket.get(Count::of_error(*kind));
            (kind.to_string(), result.first_series().iter().map(errors).collect())
        };
        let requests = ErrorType::ALL.iter().map(of_kind).collect();
        Ok(Some(TopTrend { boundaries: result.boundaries, requests }))
    }
}

/// The query in the finest buckets that are few and that rollups have; `None` if it needs raw rows.
fn in_buckets(query: &DashboardQuery, group_by: &[Dimension]) -> Option<Query> {
    let (range, filter) = (query.range, &query.filter);
    if filter.needs_raw_rows() {
        return None;
    }
    // Rollups without quarter hours have days in UTC.
    let (finest, tz) = match sketches_are_cheap(&key_columns(filter, group_by)) {
        true => (Aggregation::QuarterHour, query.tz),
        false => (Aggregation::Daily, Tz::UTC),
    };
    let mut coarser = Aggregation::ALL.into_iter().skip_while(|one| *one != finest);
    let aggregation = coarser.find(|one| one.max_buckets(range) <= MAX_BUCKETS)?;
    let has_enough = aggregation.max_buckets(range) >= MIN_BUCKETS + 2;
    let aggregation = Some(aggregation);
    has_enough.then(|| Query { aggregation, tz, ..Query::filtered(range, filter) })
}
