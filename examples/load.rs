//! Sends generated requests to a running server and measures throughput and acknowledgement latency.
//!
//! `cargo run --release --example load -- URL TOKEN COUNT BATCH [RATE_PER_SECOND] [--now]`
//!
//! Bodies are NDJSON of `BATCH` records over 4 kept-alive connections. The records spread over the last 30
//! days; with `--now` each starts when it is generated. With a rate, latency counts from when a body was due,
//! so that a stalled server is charged with the bodies it delayed (no coordinated omission). Prints one JSON
//! object.

#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::error::Error;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chatgauge::SystemClock;
use chatgauge::generate::Workload;
use chatgauge::ingest::wire::write_json;
use chatgauge::model::{Clock, TimeRange};
use serde_json::{Value, json};

const SEED: u64 = 7;
const CONNECTIONS: usize = 4;
/// Maximum bodies queued for a connection.
const BODIES_AHEAD: usize = 8;
const SPAN_MS: i64 = 30 * 86_400_000;
const USAGE: &str = "usage: load URL TOKEN COUNT BATCH [RATE_PER_SECOND] [--now]";

type Failure = Box<dyn Error + Send + Sync>;

struct Load {
    url: String,
    token: String,
    count: u64,
    batch: usize,
    per_second: Option<f64>,
    is_now: bool,
}

/// A body and when it is due, counted from the start.
struct Body {
    ndjson: Vec<u8>,
    due: Option<Duration>,
}

/// The results of one connection.
#[derive(Default)]
struct Results {
    accepted: u64,
    latencies: Vec<Duration>,
}

fn main() -> Result<(), Failure> {
    let load = Load::parse(std::env::args().skip(1))?;
    let start = now();
    let (sender, receiver) = sync_channel(BODIES_AHEAD);
    let receiver = Arc::new(Mutex::new(receiver));
    let results = std::thread::scope(|scope| -> Result<Vec<Results>, Failure> {
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (load, receiver) = (&load, Arc::clone(&receiver));
                scope.spawn(move || load.send_bodies(&receiver, start))
            })
            .collect();
        // When the last connection has failed, sending fails and generating ends.
        drop(receiver);
        load.make_bodies(|body| sender.send(body).is_ok());
        drop(sender);
        connections
            .into_iter()
            .map(|connection| connection.join().map_err(|_| "a connection's thread died")?)
            .collect()
    })?;
    println!("{}", load.summary(&results, start.elapsed()));
    Ok(())
}

impl Load {
    fn parse(args: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let (flags, words): (Vec<String>, Vec<String>) =
            args.partition(|arg| arg.starts_with("--"));
        let is_now = match flags.as_slice() {
            [] => false,
            [flag] if flag == "--now" => true,
            _ => return Err(USAGE.into()),
        };
        let (url, token, count, batch, per_second) = match words.as_slice() {
            [url, token, count, batch] => (url, token, count, batch, None),
            [url, token, count, batch, rate] => (url, token, count, batch, Some(rate.parse()?)),
            _ => return Err(USAGE.into()),
        };
        Ok(Self {
            url: format!("{}/api/requests", url.trim_end_matches('/')),
            token: token.clone(),
            count: count.parse()?,
            batch: batch.parse::<usize>()?.max(1),
            per_second,
            is_now,
        })
    }

    /// Generates every body in turn until `send` returns false.
    fn make_bodies(&self, mut send: impl FnMut(Body) -> bool) {
        let clock = SystemClock::default();
        let end = clock.now();
        let range = TimeRange::new(end.plus_ms(-SPAN_MS), end);
        let mut records = Workload::new(SEED, range, self.count).records().peekable();
        let mut made: u32 = 0;
        while records.peek().is_some() {
            let mut ndjson = Vec::with_capacity(self.batch * 640);
            for mut record in records.by_ref().take(self.batch) {
                if self.is_now {
                    record.started_at = clock.now();
                }
                write_json(&record, &mut ndjson);
                ndjson.push(b'\n');
            }
            let every = self.per_second.map(|rate| self.batch as f64 / rate);
            let due = every.map(|seconds| Duration::from_secs_f64(seconds) * made);
            made += 1;
            if !send(Body { ndjson, due }) {
                return;
            }
        }
    }

    fn send_bodies(
        &self,
        bodies: &Mutex<Receiver<Body>>,
        start: Instant,
    ) -> Result<Results, Failure> {
        let agent = ureq::Agent::new_with_defaults();
        let authorization = format!("Bearer {}", self.token);
        let mut results = Results::default();
        loop {
            let body = bodies.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(body) = body else { return Ok(results) };
            let due = body.due.map(|due| start + due);
            if let Some(due) = due {
                std::thread::sleep(due.saturating_duration_since(now()));
            }
            let sent = due.unwrap_or_else(now);
            let mut response = agent
                .post(&self.url)
                .header("authorization", &authorization)
                .content_type("application/x-ndjson")
                .send(body.ndjson.as_slice())?;
            let report: Value = response.body_mut().read_json()?;
            results.latencies.push(sent.elapsed());
            results.accepted += report["accepted"].as_u64().unwrap_or(0);
        }
    }

    fn summary(&self, results: &[Results], elapsed: Duration) -> Value {
        let accepted: u64 = results.iter().map(|one| one.accepted).sum();
        let mut latencies: Vec<Duration> =
            results.iter().flat_map(|one| one.latencies.iter().copied()).collect();
        latencies.sort_unstable();
        let at = |percent: usize| {
            let position = latencies.len().saturating_sub(1) * percent / 100;
            latencies.get(position).map(|latency| round(latency.as_secs_f64() * 1_000.0))
        };
        json!({
            "seed": SEED,
            "records": self.count,
            "accepted": accepted,
            "batch": self.batch,
            "seconds": round(elapsed.as_secs_f64()),
            "records_per_second": (accepted as f64 / elapsed.as_secs_f64()).round(),
            "latency_median_ms": at(50),
            "latency_p99_ms": at(99),
        })
    }
}

fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[expect(clippy::disallowed_methods, reason = "latency is measured with the real clock")]
fn now() -> Instant {
    Instant::now()
}
