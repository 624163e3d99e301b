//! Where a metric is heading, and sudden rises of errors.

use std::collections::BTreeMap;

use super::engine::Engine;
use super::types::{Answer, Query, SpikeReport, Trend, TrendDirection};
use crate::error::Result;
use crate::model::measures::as_f64;
use crate::model::stats::PointMetadata;
use crate::model::{
    Count, ErrorType, Measures, MetricDataPoint, MetricType, Stat, TimeRange, Timestamp,
};

/// A change of less than this, in percent, is flat.
const FLAT_PERCENT: f64 = 5.0;

/// The data points of a series.
pub fn data_points(
    boundaries: &[Timestamp],
    buckets: &[Measures],
    metric: MetricType,
    stat: Stat,
    now: Timestamp,
) -> Vec<MetricDataPoint> {
    let edges = boundaries.windows(2);
    edges
        .zip(buckets)
        .map(|(edge, bucket)| MetricDataPoint {
            timestamp: edge[0],
            value: bucket.value(metric, stat),
            metadata: PointMetadata { count: bucket.samples(metric), incomplete: edge[1] > now },
        })
        .collect()
}

/// The trend of a metric: its points, and the second half of the complete ones against the first.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn trend(
    engine: &Engine,
    query: &Query,
    metric: MetricType,
    stat: Stat,
    now: Timestamp,
) -> Result<Trend> {
    let answer: Answer = engine.query(query)?;
    let buckets = answer.series.first().map_or(&[][..], |series| &series.buckets);
    let points = data_points(&answer.boundaries, buckets, metric, stat, now);
    let complete = points.iter().filter(|point| !point.metadata.incomplete).count();
    // With an odd number of buckets the middle one belongs to neither half.
    let half = complete / 2;
    let value = |buckets: &[Measures]| mean(buckets, metric, stat);
    let before = value(&buckets[..half]);
    let after = value(&buckets[complete - half..complete]);
    let change_percent = match (before, after) {
        (Some(before), Some(after)) if before != 0.0 => Some((after - before) * 100.0 / before),
        _ => None,
    };
    let direction = match (change_percent, before, after) {
        (Some(change), ..) if change >= FLAT_PERCENT => TrendDirection::Up,
        (Some(change), ..) if change <= -FLAT_PERCENT => TrendDirection::Down,
        (Some(_), ..) => TrendDirection::Flat,
        (None, Some(_), Some(after)) if after > 0.0 => TrendDirection::Up,
        (None, Some(_), Some(_)) => TrendDirection::Flat,
        (None, ..) => TrendDirection::Unknown,
    };
    Ok(Trend { points, direction, change_percent })
}

/// The value over some buckets together; sums are per bucket, so that halves compare.
fn mean(buckets: &[Measures], metric: MetricType, stat: Stat) -> Option<f64> {
    let (first, rest) = buckets.split_first()?;
    let mut total = first.clone();
    rest.iter().for_each(|bucket| total.merge(bucket));
    let value = total.value(metric, stat)?;
    let buckets = as_f64(i64::try_from(buckets.len()).unwrap_or(i64::MAX));
    Some(if metric.is_additive() { value / buckets } else { value })
}

/// Fewest errors of a spike.
const SPIKE_FLOOR: f64 = 5.0;
/// Robust standard deviations above the median.
const SPIKE_SIGMAS: f64 = 5.0;
/// A spike is at least this many times the median.
const SPIKE_RATIO: f64 = 2.0;
/// Chance of as many errors at the baseline.
const SPIKE_P_VALUE: f64 = 1e-4;
/// Fewest buckets that make a baseline.
const BASELINE_BUCKETS: usize = 8;

/// The buckets of `range` whose errors rise suddenly above the buckets before them.
///
/// A bucket is a spike when its errors pass `max(med + 5 * 1.4826 * MAD, 2 * med, 5)` over the other
/// buckets of the range, scaled to the bucket's requests, and the Poisson chance of as many errors is
/// at most 1e-4 (median absolute deviation: Rousseeuw and Croux, "Alternatives to the Median Absolute
/// Deviation", JASA 1993, for the factor 1.4826).
pub fn spikes(boundaries: &[Timestamp], buckets: &[Measures]) -> Vec<SpikeReport> {
    if buckets.len() <= BASELINE_BUCKETS {
        return Vec::new();
    }
    let counts: Vec<f64> = buckets.iter().map(|bucket| as_f64(bucket.errors())).collect();
    let (median_errors, line) = baseline(&counts);
    let is_spike = |errors: f64| {
        errors >= line && poisson_tail(errors, median_errors.max(0.5)) <= SPIKE_P_VALUE
    };
    let rows = boundaries.iter().zip(buckets).zip(&counts);
    rows.filter(|(_, errors)| is_spike(**errors))
        .map(|((started_at, bucket), _)| report(*started_at, bucket, median_errors))
        .collect()
}

/// The median of some counts, and the count that stands out from them.
fn baseline(counts: &[f64]) -> (f64, f64) {
    let middle = median(counts);
    let deviations: Vec<f64> = counts.iter().map(|count| (count - middle).abs()).collect();
    let sigma = 1.4826 * median(&deviations);
    (middle, (middle + SPIKE_SIGMAS * sigma).max(SPIKE_RATIO * middle).max(SPIKE_FLOOR))
}

/// The errors from which on a window is a spike, by the rule of [`spikes`], after `earlier` windows;
/// `None` when they are too few to tell.
pub fn spike_line(earlier: &[f64]) -> Option<f64> {
    if earlier.len() < BASELINE_BUCKETS {
        return None;
    }
    let (middle, line) = baseline(earlier);
    let mut least = line.ceil();
    while poisson_tail(least, middle.max(0.5)) > SPIKE_P_VALUE {
        least += 1.0;
    }
    Some(least)
}

fn report(started_at: Timestamp, bucket: &Measures, expected_errors: f64) -> SpikeReport {
    let by_type: BTreeMap<&'static str, i64> = ErrorType::ALL
        .iter()
        .map(|kind| (kind.as_str(), bucket.get(Count::of_error(*kind))))
        .filter(|(_, errors)| *errors > 0)
        .collect();
    SpikeReport {
        started_at,
        errors: bucket.errors(),
        requests: bucket.requests(),
        expected_errors,
        by_type,
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// The chance of at least `count` events where `mean` are expected.
fn poisson_tail(count: f64, mean: f64) -> f64 {
    let mut term = (-mean).exp();
    let mut below = 0.0;
    let mut i = 0.0;
    while i < count {
        below += term;
        i += 1.0;
        term *= mean / i;
    }
    (1.0 - below).max(0.0)
}

/// The range that a spike search looks at, of whole buckets.
pub(super) fn spike_query(range: TimeRange, aggregation: crate::model::Aggregation) -> Query {
    Query {
        aggregation: Some(aggregation),
        metrics: vec![MetricType::ErrorRate],
        ..Query::total(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(errors: &[i64]) -> (Vec<Timestamp>, Vec<Measures>) {
        let measures = errors.iter().map(|errors| {
            let mut measures = Measures::default();
            measures.bump(Count::Requests, 100);
            measures.bump(Count::ErrorsServer, *errors);
            measures
        });
        let starts = (0..=i64::try_from(errors.len()).unwrap()).map(Timestamp::from_unix_ms);
        (starts.collect(), measures.collect())
    }

    #[test]
    fn a_sudden_rise_is_found_and_ordinary_noise_is_not() {
        let (starts, measures) = buckets(&[3, 2, 4, 3, 5, 2, 3, 4, 40, 3, 2]);
        let found = spikes(&starts, &measures);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].started_at.as_unix_ms(), found[0].errors), (8, 40));
        assert_eq!(found[0].by_type, BTreeMap::from([("server", 40)]));
        let (starts, measures) = buckets(&[3, 2, 4, 3, 5, 2, 3, 4, 9, 3, 2]);
        assert!(spikes(&starts, &measures).is_empty());
    }

    #[test]
    fn the_line_is_where_spikes_begin() {
        assert_eq!(spike_line(&[0.0; 11]), Some(6.0));
        assert_eq!(spike_line(&[3.0, 2.0, 4.0, 3.0, 5.0, 2.0, 3.0, 4.0]), Some(12.0));
        assert_eq!(spike_line(&[3.0; 7]), None);
    }

    #[test]
    fn a_quiet_history_needs_more_than_a_handful() {
        let (starts, measures) = buckets(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 7]);
        let found = spikes(&starts, &measures);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].errors, 7);
    }
}
