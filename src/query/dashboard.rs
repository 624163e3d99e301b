//! Everything that a dashboard shows, from one snapshot, so that its parts agree.

use super::current::today;
use super::engine::Engine;
use super::types::{Dashboard, DashboardQuery, Query, QueryResult};
use crate::error::Result;
use crate::model::{Aggregation, LatencyKind, Measures, MetricType, TimeRange, TimeWindow};

impl Engine {
    /// All figures of a dashboard.
    ///
    /// # Errors
    /// If the query has too many buckets or the file cannot be read.
    pub fn dashboard(&self, query: &DashboardQuery) -> Result<Dashboard> {
        let now = query.now;
        let over = |range: TimeRange| Query::filtered(range, &query.filter);
        let mut queries = vec![
            Query {
                metrics: vec![MetricType::RequestRate],
                ..over(TimeWindow::Minute.ending_at(now))
            },
            over(TimeWindow::Hour.ending_at(now)),
            over(today(now, query.tz)),
        ];
        let series = query.aggregation.map(|aggregation| Query {
            aggregation: Some(aggregation),
            tz: query.tz,
            quantiles: query.quantiles.clone(),
            ..over(query.range)
        });
        let previous = series.as_ref().zip(query.previous).map(|(series, range)| Query {
            range,
            // The tiles compare the total latency only.
            quantiles: vec![LatencyKind::Total],
            ..series.clone()
        });
        let days = query.by_day.then(|| Query {
            aggregation: Some(Aggregation::Daily),
            tz: query.tz,
            metrics: vec![MetricType::Cost, MetricType::TotalTokens],
            ..over(query.range)
        });
        let parts = [series, previous, days];
        queries.extend(parts.iter().flatten().cloned());
        self.query_all(&queries, |reader, results| {
            let mut results = results.into_iter();
            let mut total =
                || results.next().map_or_else(Measures::default, QueryResult::into_total);
            let (minute, last_hour, today) = (total(), total(), total());
            let [series, previous, days] = parts.map(|part| part.and_then(|_| results.next()));
            let top =
                query.top.as_ref().map(|wanted| self.top(reader, query, wanted)).transpose()?;
            let is_empty = series.as_ref().is_some_and(|result| {
                result.series.iter().flat_map(|series| &series.buckets).all(|b| b.requests() == 0)
            });
            let newest = if is_empty { reader.newest_start()? } else { None };
            let last_minute_requests = minute.requests();
            Ok(Dashboard {
                series,
                previous,
                days,
                top,
                last_hour,
                last_minute_requests,
                today,
                newest,
            })
        })
    }
}
