//! Counts of requests by latency over time, from the same distributions as the percentiles.

use super::engine::Engine;
use super::types::{Heatmap, HeatmapQuery, Query, QueryResult};
use crate::error::Result;
use crate::model::sketch::bin_bounds_us;
use crate::model::{LatencyKind, Measures, MetricType};

/// Sketch bins per row of a heatmap: each bound is about 1.5 times the previous one.
const BINS_PER_ROW: u16 = 20;

impl Engine {
    /// The heatmap of one latency.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn heatmap(&self, query: &HeatmapQuery) -> Result<Heatmap> {
        let plain = Query {
            aggregation: Some(query.aggregation),
            tz: query.tz,
            quantiles: vec![query.kind],
            metrics: vec![MetricType::RequestRate],
            ..Query::filtered(query.range, &query.filter)
        };
        Ok(heatmap_of(&self.query(&plain)?, query.kind))
    }
}

/// The heatmap of the first series of a result that has distributions of `kind`.
pub(crate) fn heatmap_of(result: &QueryResult, kind: LatencyKind) -> Heatmap {
    let boundaries = result.boundaries.clone();
    let by_bucket: Vec<Vec<(u16, u64)>> =
        result.first_series().iter().map(|bucket| rows_of(bucket, kind)).collect();
    let used = || by_bucket.iter().flatten().map(|(row, _)| *row);
    let (Some(first), Some(last)) = (used().min(), used().max()) else {
        return Heatmap {
            boundaries,
            bounds_ms: Vec::new(),
            counts: vec![Vec::new(); by_bucket.len()],
        };
    };
    let upper_bin = |row: u16| row * BINS_PER_ROW + BINS_PER_ROW - 1;
    let bounds_ms = (first..=last).map(|row| bin_bounds_us(upper_bin(row)).1 / 1_000.0).collect();
    let dense = |rows: &Vec<(u16, u64)>| {
        let mut counts = vec![0; usize::from(last - first) + 1];
        rows.iter().for_each(|(row, count)| counts[usize::from(row - first)] += count);
        counts
    };
    Heatmap { boundaries, bounds_ms, counts: by_bucket.iter().map(dense).collect() }
}

/// The rows of a bucket with their counts; a row may occur several times.
fn rows_of(bucket: &Measures, kind: LatencyKind) -> Vec<(u16, u64)> {
    let Some(mut distribution) = bucket.distributions[kind.index()].clone() else {
        return Vec::new();
    };
    let bins = distribution.as_sketch_mut().bins();
    bins.map(|(bin, count)| (bin / BINS_PER_ROW, count)).collect()
}
