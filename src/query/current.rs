//! The metrics of the current moment.

use super::engine::Engine;
use super::types::{CurrentMetrics, Query, QueryResult};
use crate::error::Result;
use crate::model::time::{day_start, local_date};
use crate::model::{
    Filter, LatencyKind, Measures, MetricType, TimeRange, TimeWindow, Timestamp, Tz,
};

impl Engine {
    /// The metrics of a status line, from one snapshot.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn current(
        &self,
        filter: &Filter,
        window: TimeWindow,
        tz: Tz,
        now: Timestamp,
    ) -> Result<CurrentMetrics> {
        let only = |metric: MetricType, range: TimeRange| Query {
            metrics: vec![metric],
            ..Query::filtered(range, filter)
        };
        let rate = |window: TimeWindow| only(MetricType::RequestRate, window.ending_at(now));
        let quantiles = LatencyKind::ALL.to_vec();
        let queries = [
            rate(TimeWindow::Minute),
            rate(TimeWindow::Hour),
            rate(TimeWindow::Day),
            only(MetricType::TotalTokens, today(now, tz)),
            only(MetricType::ErrorRate, window.ending_at(now)),
            Query { quantiles, ..Query::filtered(window.ending_at(now), filter) },
        ];
        self.query_all(&queries, |_, results| {
            let exact = results.last().is_none_or(|result| result.exact);
            let complete_from = results.iter().filter_map(|result| result.complete_from).max();
            let mut totals = results.into_iter().map(QueryResult::into_total);
            let mut next = || totals.next().unwrap_or_default();
            let [minute, hour, day]: [Measures; 3] = std::array::from_fn(|_| next());
            let (today, errors, window) = (next(), next(), next());
            Ok(CurrentMetrics {
                as_of: now,
                requests_per_minute: minute.requests(),
                requests_per_hour: hour.requests(),
                requests_per_day: day.requests(),
                latency: LatencyKind::ALL.map(|kind| window.latency_stats(kind)),
                today_total_tokens: today.total_tokens(),
                window,
                errors,
                exact,
                complete_from,
            })
        })
    }
}

/// The local day so far.
pub(super) fn today(now: Timestamp, tz: Tz) -> TimeRange {
    TimeRange::new(day_start(local_date(now, tz), tz), now.plus_ms(1))
}
