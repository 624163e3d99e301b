//! The benchmark queries: the seven dashboard queries and the dashboard itself.

use std::hint::black_box;

use chatgauge::model::{
    Aggregation, Dimension, Filter, LatencyKind, MetricType, Stat, TimeRange, Timestamp, Tz,
};
use chatgauge::query::{BreakdownQuery, DashboardQuery, Query, TopQuery};
use chatgauge::{Chatgauge, Result};

use crate::common::{DAY_MS, now};

const DAYS: i64 = 30;
const HOUR_MS: i64 = 3_600_000;
/// Percentiles that are read of every latency in a query's `quantiles`.
pub(crate) const PERCENTILES: [Stat; 3] = [Stat::Median, Stat::P95, Stat::P99];

/// A benchmark query.
#[derive(Clone, Copy)]
pub(crate) struct BenchQuery {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// The query with its range relative to an instant.
    pub(crate) at: fn(Timestamp) -> ServiceCall,
}

/// The call of the service that a benchmark query makes.
pub(crate) enum ServiceCall {
    Series(Query),
    Leaders(BreakdownQuery),
    Dashboard(DashboardQuery),
}

impl ServiceCall {
    /// Runs the query and reads the percentiles.
    fn run(&self, service: &Chatgauge) -> Result<()> {
        match self {
            Self::Leaders(query) => drop(black_box(service.engine().breakdown(query)?)),
            Self::Dashboard(query) => drop(black_box(service.engine().dashboard(query)?)),
            Self::Series(query) => {
                let result = black_box(service.engine().query(query)?);
                for bucket in result.series.iter().flat_map(|series| &series.buckets) {
                    for kind in &query.quantiles {
                        for stat in PERCENTILES {
                            black_box(bucket.latency_ms(*kind, stat));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

pub(crate) const BENCH_QUERIES: [BenchQuery; 11] = [
    BenchQuery {
        name: "q1",
        title: "Q1 last hour by minute",
        at: |now| {
            ServiceCall::Series(Query {
                aggregation: Some(Aggregation::Minute),
                metrics: vec![MetricType::RequestRate],
                ..Query::total(last_hours(now, 1))
            })
        },
    },
    BenchQuery {
        name: "q2",
        title: "Q2 p50/p95/p99 hourly, 7 d",
        at: |now| {
            ServiceCall::Series(Query {
                aggregation: Some(Aggregation::Hourly),
                metrics: vec![MetricType::TotalLatency],
                quantiles: vec![LatencyKind::Total],
                ..Query::total(last_hours(now, 7 * 24))
            })
        },
    },
    BenchQuery {
        name: "q3",
        title: "Q3 tokens/space/day, 30 d, top 20",
        at: |now| {
            ServiceCall::Series(Query {
                aggregation: Some(Aggregation::Daily),
                metrics: vec![MetricType::TotalTokens],
                group_by: vec![Dimension::Space],
                max_series: 20,
                ..Query::total(whole_days(now))
            })
        },
    },
    BenchQuery {
        name: "q4",
        title: "Q4 error rate by type hourly, 7 d",
        at: |now| {
            ServiceCall::Series(Query {
                aggregation: Some(Aggregation::Hourly),
                metrics: vec![MetricType::ErrorRate],
                group_by: vec![Dimension::ErrorType],
                ..Query::total(last_hours(now, 7 * 24))
            })
        },
    },
    BenchQuery {
        name: "q5",
        title: "Q5 top users by tokens, 30 UTC days",
        at: |now| top_users(whole_days(now)),
    },
    BenchQuery {
        name: "q5_ragged",
        title: "Q5 top users by tokens, now-30d",
        at: |now| top_users(last_hours(now, DAYS * 24)),
    },
    BenchQuery {
        name: "q6",
        title: "Q6 cache hits by space, 30 UTC days",
        at: |now| cache_hits(whole_days(now)),
    },
    BenchQuery {
        name: "q6_ragged",
        title: "Q6 cache hits by space, now-30d",
        at: |now| cache_hits(last_hours(now, DAYS * 24)),
    },
    BenchQuery {
        name: "q7",
        title: "Q7 last 24 h with p95",
        at: |now| {
            ServiceCall::Series(Query {
                quantiles: vec![LatencyKind::Total],
                ..Query::total(last_hours(now, 24))
            })
        },
    },
    BenchQuery {
        name: "dashboard",
        title: "Dashboard, last 24 h by 15 minutes",
        at: |now| dashboard(now, 24, Aggregation::QuarterHour),
    },
    BenchQuery {
        name: "dashboard_week",
        title: "Dashboard, 7 d by hour, compared",
        at: |now| dashboard(now, 7 * 24, Aggregation::Hourly),
    },
];

/// All parts of the dashboard, with the previous range and the table of models.
fn dashboard(now: Timestamp, hours: i64, aggregation: Aggregation) -> ServiceCall {
    let range = last_hours(now, hours);
    let top = TopQuery {
        by: Dimension::Model,
        sort: MetricType::RequestRate,
        stat: Stat::Average,
        limit: 10,
    };
    ServiceCall::Dashboard(DashboardQuery {
        range,
        previous: Some(range.previous(Tz::UTC)),
        aggregation: Some(aggregation),
        tz: Tz::UTC,
        filter: Filter::default(),
        quantiles: LatencyKind::ALL.to_vec(),
        by_day: true,
        top: Some(top),
        now,
    })
}

fn top_users(range: TimeRange) -> ServiceCall {
    leaders(range, Dimension::User, MetricType::TotalTokens, 20)
}

/// The rate of every space: the limit exceeds the number of spaces.
fn cache_hits(range: TimeRange) -> ServiceCall {
    leaders(range, Dimension::Space, MetricType::CacheHitRate, 1_000)
}

fn leaders(range: TimeRange, by: Dimension, metric: MetricType, limit: usize) -> ServiceCall {
    let filter = Filter::default();
    ServiceCall::Leaders(BreakdownQuery { by, metric, stat: Stat::Average, range, filter, limit })
}

fn last_hours(now: Timestamp, hours: i64) -> TimeRange {
    TimeRange::new(now.plus_ms(-hours * HOUR_MS), now)
}

/// 30 whole UTC days, today included.
fn whole_days(now: Timestamp) -> TimeRange {
    let today = now.floor_to(DAY_MS);
    TimeRange::new(today.plus_ms(-(DAYS - 1) * DAY_MS), today.plus_ms(DAY_MS))
}

/// Duration of one run, in milliseconds.
pub(crate) fn timed(service: &Chatgauge, query: BenchQuery) -> Result<f64> {
    timed_at(service, query, service.now())
}

/// Duration of one run at an instant, in milliseconds.
pub(crate) fn timed_at(service: &Chatgauge, query: BenchQuery, instant: Timestamp) -> Result<f64> {
    let start = now();
    (query.at)(instant).run(service)?;
    Ok(start.elapsed().as_secs_f64() * 1_000.0)
}

/// The value at a percentile of sorted values.
pub(crate) fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100]
}
