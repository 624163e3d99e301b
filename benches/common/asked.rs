//! The questions that every benchmark of answers asks: the seven dashboard queries and the dashboard itself.

use std::hint::black_box;

use chatgauge::model::{
    Aggregation, Dimension, Filter, LatencyKind, MetricType, Stat, TimeRange, Timestamp,
};
use chatgauge::query::{BreakdownQuery, DashboardQuery, Query, TopQuery};
use chatgauge::{Chatgauge, Result};

use crate::common::{DAY_MS, now};

const DAYS: i64 = 30;
const HOUR_MS: i64 = 3_600_000;

/// One of the queries.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) ask: fn(&Chatgauge, Timestamp) -> Result<()>,
}

/// All of them.
pub(crate) const ASKED: [Asked; 11] = [
    Asked {
        name: "q1",
        title: "Q1 last hour by minute",
        ask: |service, now| {
            let query = Query {
                aggregation: Some(Aggregation::Minute),
                metrics: vec![MetricType::RequestRate],
                ..Query::total(last_hours(now, 1))
            };
            service.query(&query).map(|answer| drop(black_box(answer)))
        },
    },
    Asked {
        name: "q2",
        title: "Q2 p50/p95/p99 hourly, 7 d",
        ask: |service, now| {
            let query = Query {
                aggregation: Some(Aggregation::Hourly),
                metrics: vec![MetricType::TotalLatency],
                quantiles: vec![LatencyKind::Total],
                ..Query::total(last_hours(now, 7 * 24))
            };
            let answer = service.query(&query)?;
            for bucket in &answer.series[0].buckets {
                for stat in [Stat::Median, Stat::P95, Stat::P99] {
                    black_box(bucket.value(MetricType::TotalLatency, stat));
                }
            }
            Ok(())
        },
    },
    Asked {
        name: "q3",
        title: "Q3 tokens/space/day, 30 d, top 20",
        ask: |service, now| {
            let query = Query {
                aggregation: Some(Aggregation::Daily),
                metrics: vec![MetricType::TotalTokens],
                group_by: vec![Dimension::Space],
                max_series: 20,
                ..Query::total(whole_days(now))
            };
            service.query(&query).map(|answer| drop(black_box(answer)))
        },
    },
    Asked {
        name: "q4",
        title: "Q4 error rate by type hourly, 7 d",
        ask: |service, now| {
            let query = Query {
                aggregation: Some(Aggregation::Hourly),
                metrics: vec![MetricType::ErrorRate],
                group_by: vec![Dimension::ErrorType],
                ..Query::total(last_hours(now, 7 * 24))
            };
            service.query(&query).map(|answer| drop(black_box(answer)))
        },
    },
    Asked {
        name: "q5",
        title: "Q5 top users by tokens, 30 UTC days",
        ask: |service, now| top_users(service, whole_days(now)),
    },
    Asked {
        name: "q5_ragged",
        title: "Q5 top users by tokens, now-30d",
        ask: |service, now| top_users(service, last_hours(now, DAYS * 24)),
    },
    Asked {
        name: "q6",
        title: "Q6 cache hits by space, 30 UTC days",
        ask: |service, now| cache_hits(service, whole_days(now)),
    },
    Asked {
        name: "q6_ragged",
        title: "Q6 cache hits by space, now-30d",
        ask: |service, now| cache_hits(service, last_hours(now, DAYS * 24)),
    },
    Asked {
        name: "q7",
        title: "Q7 last 24 h with p95",
        ask: |service, now| {
            let query =
                Query { quantiles: vec![LatencyKind::Total], ..Query::total(last_hours(now, 24)) };
            let total = service.query(&query)?.into_total();
            black_box(total.value(MetricType::TotalLatency, Stat::P95));
            Ok(())
        },
    },
    Asked {
        name: "dashboard",
        title: "Dashboard, last 24 h by 15 minutes",
        ask: |service, now| dashboard(service, now, 24, Aggregation::QuarterHour),
    },
    Asked {
        name: "dashboard_week",
        title: "Dashboard, 7 d by hour, compared",
        ask: |service, now| dashboard(service, now, 7 * 24, Aggregation::Hourly),
    },
];

/// All parts of the dashboard, with the range before and the table of models.
fn dashboard(
    service: &Chatgauge,
    now: Timestamp,
    hours: i64,
    aggregation: Aggregation,
) -> Result<()> {
    let range = last_hours(now, hours);
    let tz = service.config().time_zone;
    let top = TopQuery {
        by: Dimension::Model,
        sort: MetricType::RequestRate,
        stat: Stat::Average,
        limit: 10,
    };
    let query = DashboardQuery {
        range,
        previous: Some(range.previous(tz)),
        aggregation: Some(aggregation),
        tz,
        filter: Filter::default(),
        quantiles: LatencyKind::ALL.to_vec(),
        by_day: true,
        top: Some(top),
        now,
    };
    service.dashboard(&query).map(|dashboard| drop(black_box(dashboard)))
}

fn top_users(service: &Chatgauge, range: TimeRange) -> Result<()> {
    leaders(service, range, Dimension::User, MetricType::TotalTokens, 20)
}

/// Every space has its rate: the limit lies above their number.
fn cache_hits(service: &Chatgauge, range: TimeRange) -> Result<()> {
    leaders(service, range, Dimension::Space, MetricType::CacheHitRate, 1_000)
}

fn leaders(
    service: &Chatgauge,
    range: TimeRange,
    by: Dimension,
    metric: MetricType,
    limit: usize,
) -> Result<()> {
    let filter = Filter::default();
    let query = BreakdownQuery { by, metric, stat: Stat::Average, range, filter, limit };
    service.breakdown(&query).map(|breakdown| drop(black_box(breakdown)))
}

fn last_hours(now: Timestamp, hours: i64) -> TimeRange {
    TimeRange::new(now.plus_ms(-hours * HOUR_MS), now)
}

/// 30 whole UTC days, today included.
fn whole_days(now: Timestamp) -> TimeRange {
    let today = now.floor_to(DAY_MS);
    TimeRange::new(today.plus_ms(-(DAYS - 1) * DAY_MS), today.plus_ms(DAY_MS))
}

/// One run, in milliseconds.
pub(crate) fn timed(service: &Chatgauge, asked: Asked) -> Result<f64> {
    let end = service.now();
    let start = now();
    (asked.ask)(service, end)?;
    Ok(start.elapsed().as_secs_f64() * 1_000.0)
}

/// The value at a percentile of sorted values.
pub(crate) fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100]
}
