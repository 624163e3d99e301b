//! The numbers of this moment.

use super::engine::Engine;
use super::types::{Answer, CurrentMetrics, Query};
use crate::error::Result;
use crate::model::time::{day_start, local_date};
use crate::model::{
    Filter, LatencyKind, Measures, MetricType, TimeRange, TimeWindow, Timestamp, Tz,
};

impl Engine {
    /// Answers from one snapshot what a status line shows.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn current(
        &self,
        filter: &Filter,
        window: TimeWindow,
        tz: Tz,
        now: Timestamp,
    ) -> Result<CurrentMetrics> {
        let total = |range: TimeRange, metrics: Vec<MetricType>| Query {
            filter: filter.clone(),
            metrics,
            ..Query::total(range)
        };
        let rate = |window: TimeWindow| total(window.ending_at(now), vec![MetricType::RequestRate]);
        let today = TimeRange::new(day_start(local_date(now, tz), tz), now.plus_ms(1));
        let everything = Query {
            quantiles: LatencyKind::ALL.to_vec(),
            ..total(window.ending_at(now), Vec::new())
        };
        let queries = [
            rate(TimeWindow::Minute),
            rate(TimeWindow::Hour),
            rate(TimeWindow::Day),
            total(today, vec![MetricType::TotalTokens]),
            total(window.ending_at(now), vec![MetricType::ErrorRate]),
            everything,
        ];
        let mut answers = self.query_all(&queries)?.into_iter();
        let mut next = || answers.next().map_or_else(Measures::default, Answer::into_total);
        let (minute, hour, day, today, errors) = (next(), next(), next(), next(), next());
        let last = answers.next();
        let exact = last.as_ref().is_none_or(|answer| answer.exact);
        let window = last.map_or_else(Measures::default, Answer::into_total);
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
        })
    }
}
