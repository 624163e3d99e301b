//! The direction of a metric, and sudden rises of errors.

use super::errors_by_type::error_counts;
use super::types::{QueryResult, SpikeReport, Trend, TrendDirection};
use crate::model::measures::as_f64;
use crate::model::stats::PointMetadata;
use crate::model::{Measures, MetricDataPoint, MetricType, Stat, Timestamp};

/// Change below which a metric is flat, in percent.
const FLAT_PERCENT: f64 = 5.0;

/// The data points of the first series.
pub(super) fn data_points(
    result: &QueryResult,
    metric: MetricType,
    stat: Stat,
    now: Timestamp,
) -> Vec<MetricDataPoint> {
    let point = |(edges, bucket): (&[Timestamp], &Measures)| MetricDataPoint {
        timestamp: edges[0],
        value: bucket.value(metric, stat),
        metadata: PointMetadata { count: bucket.samples(metric), incomplete: edges[1] > now },
    };
    result.boundaries.windows(2).zip(result.first_series()).map(point).collect()
}

/// The points of the first series, and the second half of the complete ones compared with the first.
pub(super) fn trend(result: &QueryResult, metric: MetricType, stat: Stat, now: Timestamp) -> Trend {
    let buckets = result.first_series();
    let points = data_points(result, metric, stat, now);
    let complete = points.iter().filter(|point| !point.metadata.incomplete).count();
    // Of an odd number of buckets, the middle one belongs to neither half.
    let half = complete / 2;
    let before = mean(&buckets[..half], metric, stat);
    let after = mean(&buckets[complete - half..complete], metric, stat);
    let change_percent = match (before, after) {
        (Some(before), Some(after)) if before != 0.0 => Some((after - before) * 100.0 / before),
        _ => None,
    };
    let direction = match (change_percent, before, after) {
        (Some(change), ..) if change >= FLAT_PERCENT => TrendDirection::Up,
        (Some(change), ..) if change <= -FLAT_PERCENT => TrendDirection::Down,
        (None, Some(_), Some(after)) if after > 0.0 => TrendDirection::Up,
        (_, Some(_), Some(_)) => TrendDirection::Flat,
        _ => TrendDirection::Unknown,
    };
    Trend { points, direction, change_percent }
}

/// The value over some buckets together, per bucket if it is additive.
fn mean(buckets: &[Measures], metric: MetricType, stat: Stat) -> Option<f64> {
    let value = Measures::sum(buckets).value(metric, stat)?;
    let buckets = as_f64(i64::try_from(buckets.len()).unwrap_or(i64::MAX));
    Some(if metric.is_additive() { value / buckets } else { value })
}

/// Minimum number of errors of a spike.
const SPIKE_MIN_ERRORS: f64 = 5.0;
/// Minimum distance of a spike from the median, in robust standard deviations.
const SPIKE_SIGMAS: f64 = 5.0;
/// A spike is at least this many times the median.
const SPIKE_RATIO: f64 = 2.0;
/// Maximum probability of as many errors at the baseline.
const SPIKE_P_VALUE: f64 = 1e-4;
/// Minimum number of buckets of a baseline.
const BASELINE_BUCKETS: usize = 8;

/// The buckets of the first series whose errors rise suddenly above those of the range.
///
/// A bucket is a spike if it has at least `max(median + 5 * 1.4826 * MAD, 2 * median, 5)` errors, over the buckets of the range,
/// and the Poisson probability of as many errors is at most 1e-4 (MAD, the median absolute deviation, and the factor
/// 1.4826: Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation", JASA 1993).
pub(super) fn spikes(result: &QueryResult) -> Vec<SpikeReport> {
    let buckets = result.first_series();
    if buckets.len() <= BASELINE_BUCKETS {
        return Vec::new();
    }
    let counts: Vec<f64> = buckets.iter().map(|bucket| as_f64(bucket.errors())).collect();
    let baseline = Baseline::of(&counts);
    let rows = result.boundaries.iter().zip(buckets).zip(&counts);
    rows.filter(|(_, errors)| **errors >= baseline.line && baseline.is_unlikely(**errors))
        .map(|((started_at, bucket), _)| SpikeReport {
            started_at: *started_at,
            errors: bucket.errors(),
            requests: bucket.requests(),
            expected_errors: baseline.median,
            by_type: error_counts(bucket).map(|(kind, n)| (kind.as_str(), n)).collect(),
        })
        .collect()
}

/// The number of errors from which on a window is a spike, by the rule of [`spikes`], after `earlier` windows; `None` if
/// they are too few for a baseline.
pub(crate) fn spike_line(earlier: &[f64]) -> Option<f64> {
    if earlier.len() < BASELINE_BUCKETS {
        return None;
    }
    let baseline = Baseline::of(earlier);
    let mut errors = baseline.line.ceil();
    while !baseline.is_unlikely(errors) {
        errors += 1.0;
    }
    Some(errors)
}

/// The usual number of errors in a bucket.
struct Baseline {
    median: f64,
    /// Minimum number of errors that stands out.
    line: f64,
}

impl Baseline {
    fn of(counts: &[f64]) -> Self {
        let middle = median(counts);
        let deviations: Vec<f64> = counts.iter().map(|count| (count - middle).abs()).collect();
        let sigma = 1.4826 * median(&deviations);
        let line = (middle + SPIKE_SIGMAS * sigma).max(SPIKE_RATIO * middle).max(SPIKE_MIN_ERRORS);
        Self { median: middle, line }
    }

    fn is_unlikely(&self, errors: f64) -> bool {
        poisson_tail(errors, self.median.max(0.5)) <= SPIKE_P_VALUE
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

/// The probability of at least `count` events if `mean` are expected.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Count, Distribution, LatencyKind, RequestId, RequestRecord, Source};
    use crate::query::Series;

    fn spikes_of(errors: &[i64]) -> Vec<SpikeReport> {
        let measures = errors.iter().map(|errors| {
            let mut measures = Measures::default();
            measures.bump(Count::Requests, 100);
            measures.bump(Count::ErrorsServer, *errors);
            measures
        });
        let starts = (0..=i64::try_from(errors.len()).unwrap()).map(Timestamp::from_unix_ms);
        spikes(&QueryResult {
            boundaries: starts.collect(),
            series: vec![Series { group: Vec::new(), buckets: measures.collect() }],
            exact: true,
            complete_from: None,
        })
    }

    #[test]
    fn a_sudden_rise_is_found_and_ordinary_noise_is_not() {
        let found = spikes_of(&[3, 2, 4, 3, 5, 2, 3, 4, 40, 3, 2]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].started_at.as_unix_ms(), found[0].errors), (8, 40));
        assert_eq!(found[0].by_type, BTreeMap::from([("server", 40)]));
        assert!(spikes_of(&[3, 2, 4, 3, 5, 2, 3, 4, 9, 3, 2]).is_empty());
    }

    #[test]
    fn a_percentile_is_known_although_the_first_bucket_is_empty() {
        let at = Timestamp::from_unix_ms(0);
        let mut record = RequestRecord::new(RequestId::Uuid([0; 16]), at, Source::Rest);
        record.latency_us[LatencyKind::Total.index()] = Some(1_000_000);
        let mut filled = Measures::default();
        filled.distributions[LatencyKind::Total.index()] = Some(Distribution::exact());
        filled.add(&record);
        let metric = MetricType::TotalLatency;
        let value = mean(&[Measures::default(), filled.clone()], metric, Stat::P95);
        assert_eq!(value, Some(1_000.0));
        assert_eq!(value, mean(&[filled, Measures::default()], metric, Stat::P95));
    }

    #[test]
    fn the_line_is_where_spikes_begin() {
        assert_eq!(spike_line(&[0.0; 11]), Some(6.0));
        assert_eq!(spike_line(&[3.0, 2.0, 4.0, 3.0, 5.0, 2.0, 3.0, 4.0]), Some(12.0));
        assert_eq!(spike_line(&[3.0; 7]), None);
    }

    #[test]
    fn a_quiet_history_needs_more_than_a_handful() {
        let found = spikes_of(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 7]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].errors, 7);
    }
}
