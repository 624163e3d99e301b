//! `MetricsAggregator`: the most common queries of embedding programs, over rolling windows.

use std::sync::Arc;

use super::engine::Engine;
use super::trend::{data_points, spikes, trend};
use super::types::{Query, QueryResult, SpikeReport, Trend};
use crate::error::Result;
use crate::model::measures::percent;
use crate::model::{
    Aggregation, Clock, Count, Dimension, ErrorStats, LatencyKind, LatencyStats, Measures,
    MetricDataPoint, MetricType, Stat, TimeRange, TimeWindow, TokenUsageStats, Tz,
};

/// Maximum number of groups in the maps of [`TokenUsageStats`]; its totals include all.
const MAX_GROUPS: usize = 1_000;

/// Metrics over [`TimeWindow`]s that end now.
#[derive(Clone, Debug)]
pub struct MetricsAggregator {
    engine: Arc<Engine>,
    clock: Arc<dyn Clock>,
    tz: Tz,
}

impl MetricsAggregator {
    pub(crate) fn new(engine: Arc<Engine>, clock: Arc<dyn Clock>, tz: Tz) -> Self {
        Self { engine, clock, tz }
    }

    fn over(&self, window: TimeWindow, metrics: Vec<MetricType>) -> Result<Measures> {
        let range = window.ending_at(self.clock.now());
        let query = Query { metrics, ..Query::total(range) };
        self.engine.query(&query).map(QueryResult::into_total)
    }

    /// Requests in the window.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn current_request_rate(&self, window: TimeWindow) -> Result<i64> {
        Ok(self.over(window, vec![MetricType::RequestRate])?.requests())
    }

    /// Average of a latency in milliseconds; `None` without requests.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn average_latency(&self, kind: LatencyKind, window: TimeWindow) -> Result<Option<f64>> {
        let metric = MetricType::ALL.into_iter().find(|metric| metric.latency() == Some(kind));
        let measures = self.over(window, metric.into_iter().collect())?;
        Ok(measures.latency_ms(kind, Stat::Average))
    }

    /// All statistics of a latency.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn latency_stats(&self, kind: LatencyKind, window: TimeWindow) -> Result<LatencyStats> {
        let range = window.ending_at(self.clock.now());
        let query = Query { quantiles: vec![kind], ..Query::total(range) };
        Ok(self.engine.query(&query)?.into_total().latency_stats(kind))
    }

    /// Tokens in the window, by user and by space.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn token_usage(&self, window: TimeWindow) -> Result<TokenUsageStats> {
        let range = window.ending_at(self.clock.now());
        let total = Query { metrics: vec![MetricType::TotalTokens], ..Query::total(range) };
        let mut stats = TokenUsageStats::totals(&self.engine.query(&total)?.into_total());
        for (dimension, map) in
            [(Dimension::User, &mut stats.by_user), (Dimension::Space, &mut stats.by_space)]
        {
            let by = Query { group_by: vec![dimension], max_series: MAX_GROUPS, ..total.clone() };
            for series in self.engine.query(&by)?.series {
                let tokens = series.buckets.iter().map(Measures::total_tokens).sum();
                map.extend(series.group.into_iter().next().map(|name| (name, tokens)));
            }
        }
        Ok(stats)
    }

    /// Errors as percent of all requests; `None` without requests.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn error_rates(&self, window: TimeWindow) -> Result<Option<f64>> {
        Ok(self.error_stats(window)?.total_error_rate)
    }

    /// Errors by type.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn error_stats(&self, window: TimeWindow) -> Result<ErrorStats> {
        Ok(ErrorStats::from(&self.over(window, vec![MetricType::ErrorRate])?))
    }

    /// Cache hits as percent of all requests; `None` without requests.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn cache_hit_rate(&self, window: TimeWindow) -> Result<Option<f64>> {
        let measures = self.over(window, vec![MetricType::CacheHitRate])?;
        Ok(percent(measures.get(Count::CacheHits), measures.requests()))
    }

    fn history(
        &self,
        metric: MetricType,
        stat: Stat,
        range: TimeRange,
        aggregation: Aggregation,
    ) -> Result<QueryResult> {
        let quantiles = metric.latency().filter(|_| stat.quantile().is_some());
        self.engine.query(&Query {
            aggregation: Some(aggregation),
            tz: self.tz,
            metrics: vec![metric],
            quantiles: quantiles.into_iter().collect(),
            ..Query::total(range)
        })
    }

    /// The values of a metric over time; empty buckets are present.
    ///
    /// # Errors
    /// If the range has too many buckets or the file cannot be read.
    pub fn historical_metrics(
        &self,
        metric: MetricType,
        stat: Stat,
        range: TimeRange,
        aggregation: Aggregation,
    ) -> Result<Vec<MetricDataPoint>> {
        let result = self.history(metric, stat, range, aggregation)?;
        Ok(data_points(&result, metric, stat, self.clock.now()))
    }

    /// The values of a metric over time, and their direction.
    ///
    /// # Errors
    /// As [`Self::historical_metrics`].
    pub fn trends(
        &self,
        metric: MetricType,
        stat: Stat,
        range: TimeRange,
        aggregation: Aggregation,
    ) -> Result<Trend> {
        let result = self.history(metric, stat, range, aggregation)?;
        Ok(trend(&result, metric, stat, self.clock.now()))
    }

    /// Sudden rises of errors above their baseline, in buckets of `aggregation`.
    ///
    /// # Errors
    /// As [`Self::historical_metrics`].
    pub fn error_spikes(
        &self,
        range: TimeRange,
        aggregation: Aggregation,
    ) -> Result<Vec<SpikeReport>> {
        let (aggregation, metrics) = (Some(aggregation), vec![MetricType::ErrorRate]);
        let query = Query { aggregation, metrics, ..Query::total(range) };
        Ok(spikes(&self.engine.query(&query)?))
    }
}
