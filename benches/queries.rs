//! The benchmark queries over a month of requests, inside the process: median, 99th percentile and first run after a start,
//! at rest and during ingest and compaction.

#[path = "common/bench_queries.rs"]
mod bench_queries;
mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bench_queries::{BENCH_QUERIES, BenchQuery, at, timed};
use chatgauge::generate::{Live, Workload};
use chatgauge::model::{RequestRecord, TimeRange};
use chatgauge::{Chatgauge, Config, Result};
use common::{DAY_MS, SEED, config, figure, print};

const ROWS: u64 = 1_000_000;
const DAYS: i64 = 30;
const BATCH: usize = 10_000;
const RUNS: usize = 300;
const COLD_RUNS: usize = 5;
/// Pause after each round of queries during ingest, so that many compactions happen between rounds.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
const BUSY_PER_SECOND: f64 = 200.0;
const BUSY_TICK: Duration = Duration::from_millis(100);
const MEDIAN_BAR: &str = "< 2";
const P99_BAR: &str = "< 10";

fn main() -> Result<()> {
    print(format!("queries: {ROWS} requests over {DAYS} days, seed {SEED}, {RUNS} runs each"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = config(directory.path());
    seed(&config)?;
    // Every cold run opens the file again, with empty caches of the program; the operating system
    // keeps the file in its page cache.
    let cold = BENCH_QUERIES.map(|query| median((0..COLD_RUNS).map(|_| first_run(&config, query))));

    let service = Chatgauge::open(config)?;
    let quiet = rounds(&service, Duration::ZERO)?;
    let is_over = AtomicBool::new(false);
    let busy = std::thread::scope(|scope| {
        let traffic = scope.spawn(|| keep_recording(&service, &is_over));
        let busy = rounds(&service, BUSY_PAUSE);
        is_over.store(true, Ordering::Relaxed);
        traffic.join().expect("the recording thread does not panic")?;
        busy
    })?;
    service.shutdown()?;

    print(
        "query                                     median      p99    first   busy median  busy p99",
    );
    for (position, query) in BENCH_QUERIES.iter().enumerate() {
        let (quiet, busy) = (&quiet[position], &busy[position]);
        print(format!(
            "{:<38} {:>6.3} ms {:>5.2} ms {:>5.2} ms {:>10.3} ms {:>6.2} ms",
            query.title,
            at(quiet, 50),
            at(quiet, 99),
            cold[position],
            at(busy, 50),
            at(busy, 99)
        ));
    }
    for (position, query) in BENCH_QUERIES.iter().enumerate() {
        let (quiet, busy) = (&quiet[position], &busy[position]);
        let name = |what: &str| format!("{}_{what}", query.name);
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

/// Duration of the first run after opening the file, in milliseconds.
fn first_run(config: &Config, query: BenchQuery) -> f64 {
    let run = || -> Result<f64> {
        let service = Chatgauge::open(config.clone())?;
        let elapsed_ms = timed(&service, query)?;
        service.shutdown()?;
        Ok(elapsed_ms)
    };
    run().expect("the file opens again")
}

/// Runs all queries in turn, as a dashboard does, at the current time; sorted durations of each query in milliseconds.
fn rounds(service: &Chatgauge, pause: Duration) -> Result<[Vec<f64>; BENCH_QUERIES.len()]> {
    let mut elapsed_ms = BENCH_QUERIES.map(|_| Vec::with_capacity(RUNS));
    for query in BENCH_QUERIES {
        timed(service, query)?;
    }
    for _ in 0..RUNS {
        for (query, elapsed_ms) in BENCH_QUERIES.into_iter().zip(&mut elapsed_ms) {
            elapsed_ms.push(timed(service, query)?);
        }
        std::thread::sleep(pause);
    }
    for elapsed_ms in &mut elapsed_ms {
        elapsed_ms.sort_unstable_by(f64::total_cmp);
    }
    Ok(elapsed_ms)
}

/// Stores current requests until `is_over`.
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

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    at(&values, 50)
}
