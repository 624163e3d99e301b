//! Durations and results of the benchmark queries at given instants, for the comparison with other databases by
//! `bench/compare`.

use std::path::Path;

use chatgauge::model::{MetricType, Stat, Timestamp};
use chatgauge::query::{BreakdownQuery, BreakdownRow, Query};
use chatgauge::{Chatgauge, Config};
use rusqlite::Connection;
use serde_json::{Map, Value, json};

use crate::Failure;
use crate::bench_queries::{BENCH_QUERIES, BenchQuery, PERCENTILES, ServiceCall, timed_at};
use crate::common::{now, print};
use crate::server::memory_mb;

/// Milliseconds between the instants of two rounds, so that no result can be cached as a whole.
const ROUND_MS: i64 = 100;

/// The instants at which every database runs the queries.
struct Comparison {
    /// The instant of the first run, in Unix milliseconds: just after the last request.
    start_ms: i64,
    rounds: u32,
}

/// Runs all queries in turn, round after round, and writes durations and results as JSON.
pub(crate) fn measure(config: &Config, rounds: u32, json: &Path) -> Result<(), Failure> {
    let start_ms = 1 + Connection::open(&config.store.path)?.query_row(
        "select max(started_at_ms) from requests",
        [],
        |row| row.get::<_, i64>(0),
    )?;
    let measured = Comparison { start_ms, rounds }.measure(config)?;
    std::fs::write(json, format!("{measured}\n"))?;
    print(format!("  {rounds} rounds of queries: {}", json.display()));
    Ok(())
}

impl Comparison {
    /// The instant of a round; the first run of each query is before all rounds, at `start_ms`.
    fn instant(&self, round: u32) -> Timestamp {
        Timestamp::from_unix_ms(self.start_ms + i64::from(round + 1) * ROUND_MS)
    }

    fn measure(&self, config: &Config) -> Result<Value, Failure> {
        let start = now();
        let service = Chatgauge::open(config.clone())?;
        let open_ms = start.elapsed().as_secs_f64() * 1e3;
        let mut elapsed_ms = BENCH_QUERIES.map(|_| Vec::new());
        let mut first_ms = BENCH_QUERIES.map(|_| 0.0);
        for (query, first_ms) in BENCH_QUERIES.into_iter().zip(&mut first_ms) {
            *first_ms = timed_at(&service, query, Timestamp::from_unix_ms(self.start_ms))?;
        }
        for round in 0..self.rounds {
            for (query, elapsed_ms) in BENCH_QUERIES.into_iter().zip(&mut elapsed_ms) {
                elapsed_ms.push(timed_at(&service, query, self.instant(round))?);
            }
        }
        let memory_mb = memory_mb(std::process::id(), "VmRSS")?;
        let mut queries = Map::new();
        for ((query, elapsed_ms), first_ms) in
            BENCH_QUERIES.into_iter().zip(elapsed_ms).zip(first_ms)
        {
            let result = self.result(&service, query)?;
            let measured =
                json!({ "first_ms": first_ms, "elapsed_ms": elapsed_ms, "answer": result });
            queries.insert(query.name.to_owned(), measured);
        }
        service.shutdown()?;
        Ok(json!({
            "version": env!("CARGO_PKG_VERSION"), "start_ms": self.start_ms, "round_ms": ROUND_MS,
            "open_ms": open_ms, "memory_mb": memory_mb, "questions": queries,
        }))
    }

    fn result(&self, service: &Chatgauge, query: BenchQuery) -> Result<Value, Failure> {
        match (query.at)(self.instant(self.rounds.saturating_sub(1))) {
            ServiceCall::Series(query) => series(service, &query),
            ServiceCall::Leaders(query) => leaders(service, &query),
            // Only chatgauge has a dashboard.
            ServiceCall::Dashboard(_) => Ok(Value::Null),
        }
    }
}

/// Starts of the buckets, and for each group the values of each metric in them.
fn series(service: &Chatgauge, query: &Query) -> Result<Value, Failure> {
    let result = service.engine().query(query)?;
    let starts: Vec<i64> = result.boundaries.iter().map(|start| start.as_unix_ms()).collect();
    let metrics = if query.metrics.is_empty() { &MetricType::ALL[..] } else { &query.metrics };
    let mut all = Vec::new();
    for series in &result.series {
        let mut values = Map::new();
        for metric in metrics {
            let of_metric: Vec<_> =
                series.buckets.iter().map(|bucket| bucket.value(*metric, Stat::Average)).collect();
            values.insert(metric.as_str().to_owned(), json!(of_metric));
        }
        for (kind, stat) in
            query.quantiles.iter().flat_map(|kind| PERCENTILES.map(|stat| (kind, stat)))
        {
            let of_stat: Vec<_> =
                series.buckets.iter().map(|bucket| bucket.latency_ms(*kind, stat)).collect();
            values.insert(stat.as_str().to_owned(), json!(of_stat));
        }
        all.push(json!({ "group": series.group, "values": values }));
    }
    Ok(json!({ "starts_ms": starts, "series": all }))
}

fn leaders(service: &Chatgauge, query: &BreakdownQuery) -> Result<Value, Failure> {
    let breakdown = service.engine().breakdown(query)?;
    let row = |row: &BreakdownRow| json!({ "name": row.name, "value": row.value, "requests": row.requests });
    let rows: Vec<Value> = breakdown.rows.iter().map(row).collect();
    Ok(json!({ "rows": rows, "other": row(&breakdown.other), "total": row(&breakdown.total) }))
}
