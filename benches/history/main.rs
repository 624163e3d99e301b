//! The whole server over a history of any size: rates of storing and rolling up, disk and memory use, latency of queries
//! inside the process and over HTTP, start, recovery, check and retention.
//!
//! `cargo bench --bench history -- [--requests N] [--days N] [--db FILE] [--json FILE] [--only PARTS] [--runs N]`
//!
//! With `--db` the file is kept, and an existing one is used as it is. `--only PARTS` measures some parts, separated by
//! commas: percentiles, sizes, answers (queries inside the process), server, load, check, prune; an empty list only fills
//! the file. answers, server and load are measured `--runs` times, and the table has the medians. `--compare FILE` only
//! fills the database and runs the queries in `--rounds` rounds; it writes durations and results to FILE.

#[path = "../common/bench_queries.rs"]
mod bench_queries;
#[path = "../common/mod.rs"]
mod common;
mod compare;
mod fill;
mod percentiles;
mod report;
mod server;
mod sizes;
mod upkeep;

use std::error::Error;
use std::path::PathBuf;

use bench_queries::{BENCH_QUERIES, at, timed};
use chatgauge::{Chatgauge, Config};
use common::{SEED, now, print};
use report::Report;

/// Bytes on disk per request with indexes and rollups, for the estimate that is printed first.
const BYTES_PER_REQUEST: u64 = 320;
const ROUNDS: usize = 200;
const USAGE: &str = "usage: history [--requests N] [--days N] [--db FILE] [--json FILE] [--only PARTS] \
                     [--runs N] [--compare FILE [--rounds N]]";

type Failure = Box<dyn Error + Send + Sync>;

struct Arguments {
    requests: u64,
    days: i64,
    db: Option<PathBuf>,
    json: Option<PathBuf>,
    only: Option<String>,
    runs: u32,
    compare: Option<PathBuf>,
    rounds: u32,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut parsed = Self {
            requests: 1_000_000,
            days: 30,
            db: None,
            json: None,
            only: None,
            runs: 1,
            compare: None,
            rounds: 100,
        };
        while let Some(name) = given.next() {
            let mut value = || given.next().ok_or(USAGE);
            match name.as_str() {
                "--requests" => parsed.requests = value()?.replace('_', "").parse()?,
                "--days" => parsed.days = value()?.parse()?,
                "--db" => parsed.db = Some(value()?.into()),
                "--json" => parsed.json = Some(value()?.into()),
                "--only" => parsed.only = Some(value()?),
                "--runs" => parsed.runs = value()?.parse()?,
                "--compare" => parsed.compare = Some(value()?.into()),
                "--rounds" => parsed.rounds = value()?.parse()?,
                // `cargo bench` adds this flag.
                "--bench" => {}
                _ => return Err(USAGE.into()),
            }
        }
        Ok(parsed)
    }

    fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.split(',').any(|one| one == part))
    }
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let directory = tempfile::tempdir()?;
    let mut config = common::config(directory.path());
    config.store.path = arguments.db.clone().unwrap_or(config.store.path);
    let mut report = Report::new(arguments.requests, arguments.days, SEED);
    print(format!(
        "history: {} requests over {} days, seed {SEED}; needs up to {} MB of disk at {}",
        arguments.requests,
        arguments.days,
        arguments.requests * BYTES_PER_REQUEST / 1_000_000,
        config.store.path.display()
    ));
    if let Some(json) = &arguments.compare {
        fill::fill(&config, arguments.requests, arguments.days, &mut report)?;
        return compare::measure(&config, arguments.rounds, json);
    }
    if arguments.wants("percentiles") {
        percentiles::measure(&mut report);
    }
    fill::fill(&config, arguments.requests, arguments.days, &mut report)?;
    if arguments.wants("sizes") {
        sizes::measure(&config.store.path, arguments.requests, &mut report)?;
    }
    let path = &config.store.path;
    // Parts that change the file run after the queries.
    if arguments.wants("answers") {
        for run in 1..=arguments.runs {
            print(format!("  run {run} of {}", arguments.runs));
            queries(&config, &mut report)?;
        }
    }
    if arguments.wants("server") {
        for run in 1..=arguments.runs {
            server::queries(path, run, &mut report)?;
        }
    }
    if arguments.wants("load") {
        for run in 1..=arguments.runs {
            server::load(path, run, &mut report)?;
        }
    }
    if arguments.wants("check") {
        upkeep::check(path, &mut report)?;
    }
    if arguments.wants("prune") {
        upkeep::prune(path, &mut report)?;
    }
    report.print();
    if let Some(path) = arguments.json {
        report.write(&path)?;
    }
    Ok(())
}

/// Measures the queries inside the process: the first run after opening, then median and 99th percentile.
fn queries(config: &Config, report: &mut Report) -> Result<(), Failure> {
    print("  queries inside the process");
    let start = now();
    let service = Chatgauge::open(config.clone())?;
    report.add("open", start.elapsed().as_secs_f64() * 1e3, "ms", Some("< 500"));
    for query in BENCH_QUERIES {
        print(format!("    {}", query.title));
        let first_ms = timed(&service, query)?;
        report.add(&format!("{}_first", query.name), first_ms, "ms", None);
    }
    let mut elapsed_ms = BENCH_QUERIES.map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for (query, elapsed_ms) in BENCH_QUERIES.into_iter().zip(&mut elapsed_ms) {
            elapsed_ms.push(timed(&service, query)?);
        }
    }
    for (query, mut elapsed_ms) in BENCH_QUERIES.into_iter().zip(elapsed_ms) {
        elapsed_ms.sort_unstable_by(f64::total_cmp);
        let (median_bar, p99_bar) = if query.name.starts_with("dashboard") {
            ("< 10", None)
        } else {
            ("< 2", Some("< 10"))
        };
        report.add(&format!("{}_median", query.name), at(&elapsed_ms, 50), "ms", Some(median_bar));
        report.add(&format!("{}_p99", query.name), at(&elapsed_ms, 99), "ms", p99_bar);
    }
    service.shutdown()?;
    Ok(())
}
