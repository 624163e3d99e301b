//! Counts of requests by latency over time, from the same distributions as the percentiles.

use super::engine::Engine;
use super::types::{Answer, Heatmap, HeatmapQuery, Query};
use crate::error::Result;
use crate::model::sketch::bin_bounds_us;
use crate::model::{LatencyKind, Measures};

/// Rows of a heatmap: each bound is about 1.5 times the one before.
const BINS_PER_ROW: u16 = 20;

impl Engine {
    /// Answers a heatmap of one latency.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn heatmap(&self, query: &HeatmapQuery) -> Result<Heatmap> {
        let kind = query.kind;
        let query = Query {
            aggregation: Some(query.aggregation),
            tz: query.tz,
            filter: query.filter.clone(),
            quantiles: vec![kind],
            metrics: vec![crate::model::MetricType::RequestRate],
            ..Query::total(query.range)
        };
        let answer = self.query(&query)?;
        Ok(heatmap_of(&answer, kind))
    }
}

/// The heatmap of the first series of an answer that has distributions of `kind`.
pub fn heatmap_of(answer: &Answer, kind: LatencyKind) -> Heatmap {
    let buckets = answer.series.first().map_or(&[][..], |series| &series.buckets);
    let rows: Vec<Vec<(u16, u64)>> = buckets.iter().map(|bucket| rows_of(bucket, kind)).collect();
    let used = || rows.iter().flatten().map(|(row, _)| *row);
    let boundaries = answer.boundaries.clone();
    let (Some(first), Some(last)) = (used().min(), used().max()) else {
        let counts = vec![Vec::new(); buckets.len()];
        return Heatmap { boundaries, bounds_ms: Vec::new(), counts };
    };
    let bounds_ms = (first..=last).map(|row| bin_bounds_us(upper_bin(row)).1 / 1_000.0).collect();
    let counts = rows
        .into_iter()
        .map(|rows| {
            let mut counts = vec![0; usize::from(last - first) + 1];
            for (row, count) in rows {
                counts[usize::from(row - first)] += count;
            }
            counts
        })
        .collect();
    Heatmap { boundaries, bounds_ms, counts }
}

const fn upper_bin(row: u16) -> u16 {
    row * BINS_PER_ROW + BINS_PER_ROW - 1
}

fn rows_of(bucket: &Measures, kind: LatencyKind) -> Vec<(u16, u64)> {
    let Some(mut distribution) = bucket.distributions[kind.index()].clone() else {
        return Vec::new();
    };
    let bins = distribution.as_sketch_mut().bins();
    bins.map(|(bin, count)| (bin / BINS_PER_ROW, count)).collect()
}
