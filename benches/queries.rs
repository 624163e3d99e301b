//! The seven dashboard queries and the dashboard itself over a month of requests, inside the process: median, 99th percentile and
//! the first run after a start, at rest and while requests come in and are rolled up.

mod common;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chatgauge::generate::{Live, Workload};
use chatgauge::model::{
    Aggregation, Dimension, Filter, LatencyKind, MetricType, RequestRecord, Stat, TimeRange,
    Timestamp,
};
use chatgauge::query::{BreakdownQuery, DashboardQuery, Query, TopQuery};
use chatgauge::{Chatgauge, Config, Result};
use common::{DAY_MS, SEED, config, figure, now, print};

const ROWS: u64 = 1_000_000;
const DAYS: i64 = 30;
const BATCH: usize = 10_000;
const RUNS: usize = 300;
const COLD_RUNS: usize = 5;
/// Rounds of queries while requests come in; a pause follows each, so that many compactions fall between.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
const BUSY_PER_SECOND: f64 = 200.0;
const BUSY_TICK: Duration = Duration::from_millis(100);
const HOUR_MS: i64 = 3_600_000;
const MEDIAN_BAR: &str = "< 4";
const P99_BAR: &str = "< 20";

fn main() -> Result<()> {
    print(format!("queries: {ROWS} requests over {DAYS} days, seed {SEED}, {RUNS} runs each"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = config(directory.path());
    seed(&config)?;
    // Every cold run has a process of its own, as far as the program's memory goes; the operating
    // system keeps the file in its page cache.
    let cold = ASKED.map(|asked| median((0..COLD_RUNS).map(|_| first_run(&config, asked))));

    let service = Chatgauge::open(config)?;
    let quiet = rounds(&service, Duration::ZERO)?;
    let is_over = AtomicBool::new(false);
    let busy = std::thread::scope(|scope| {
        let traffic = scope.spawn(|| keep_recording(&service, &is_over));
        let busy = rounds(&service, BUSY_PAUSE);
        is_over.store(true, Ordering::Relaxed);
        traffic.join().expect("the traffic goes on")?;
        busy
    })?;
    service.shutdown()?;

    print(
        "query                                     median      p99    first   busy median  busy p99",
    );
    for (position, asked) in ASKED.iter().enumerate() {
        let (quiet, busy) = (&quiet[position], &busy[position]);
        print(format!(
            "{:<38} {:>6.3} ms {:>5.2} ms {:>5.2} ms {:>10.3} ms {:>6.2} ms",
            asked.title,
            at(quiet, 50),
            at(quiet, 99),
            cold[position],
            at(busy, 50),
            at(busy, 99)
        ));
    }
    for (position, asked) in ASKED.iter().enumerate() {
        let (quiet, busy) = (&quiet[position], &busy[position]);
        let name = |what: &str| format!("{}_{what}", asked.name);
        figure(&name("median"), at(quiet, 50), "ms", Some(MEDIAN_BAR));
        figure(&name("p99"), at(quiet, 99), "ms", Some(P99_BAR));
        figure(&name("first"), cold[position], "ms", None);
        figure(&name("busy_median"), at(busy, 50), "ms", Some(MEDIAN_BAR));
        figure(&name("busy_p99"), at(busy, 99), "ms", Some(P99_BAR));
    }
    Ok(())
}

fn seed(config: &Config) -> Result<()> {
    let service = Chatgauge::open(config.clone())?;
    let end = service.now();
    let range = TimeRange::new(end.plus_ms(-DAYS * DAY_MS), end);
    let mut records = Workload::new(SEED, range, ROWS).records();
    loop {
        let batch: Vec<RequestRecord> = records.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        service.record(batch)?;
    }
    service.compact()?;
    service.shutdown()
}

/// One of the queries.
#[derive(Clone, Copy)]
struct Asked {
    name: &'static str,
    title: &'static str,
    ask: fn(&Chatgauge, Timestamp) -> Result<()>,
}

const ASKED: [Asked; 11] = [
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

fn timed(service: &Chatgauge, asked: Asked) -> Result<f64> {
    let end = service.now();
    let start = now();
    (asked.ask)(service, end)?;
    Ok(start.elapsed().as_secs_f64() * 1_000.0)
}

/// The first run after opening the file, in milliseconds.
fn first_run(config: &Config, asked: Asked) -> f64 {
    let run = || -> Result<f64> {
        let service = Chatgauge::open(config.clone())?;
        let elapsed_ms = timed(&service, asked)?;
        service.shutdown()?;
        Ok(elapsed_ms)
    };
    run().expect("the file opens again")
}

/// Asks all in turn, as a dashboard does, with `now` moving on; milliseconds of each query, sorted.
fn rounds(service: &Chatgauge, pause: Duration) -> Result<[Vec<f64>; ASKED.len()]> {
    let mut elapsed_ms = ASKED.map(|_| Vec::with_capacity(RUNS));
    for asked in ASKED {
        timed(service, asked)?;
    }
    for _ in 0..RUNS {
        for (asked, elapsed_ms) in ASKED.into_iter().zip(&mut elapsed_ms) {
            elapsed_ms.push(timed(service, asked)?);
        }
        std::thread::sleep(pause);
    }
    for elapsed_ms in &mut elapsed_ms {
        elapsed_ms.sort_unstable_by(f64::total_cmp);
    }
    Ok(elapsed_ms)
}

/// Stores requests of this moment until told otherwise.
fn keep_recording(service: &Chatgauge, is_over: &AtomicBool) -> Result<()> {
    let mut live = Live::new(SEED);
    let mut last = service.now();
    while !is_over.load(Ordering::Relaxed) {
        std::thread::sleep(BUSY_TICK);
        let end = service.now();
        let batch = live.tick(TimeRange::new(last, end), BUSY_PER_SECOND);
        last = end;
        if !batch.is_empty() {
            service.record(batch)?;
        }
    }
    Ok(())
}

fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100]
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    at(&values, 50)
}
