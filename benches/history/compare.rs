//! The questions over a history that other databases are asked as well: how long each takes at given instants, and
//! what it answers. `bench/compare` reads it.

use std::path::Path;

use chatgauge::model::{MetricType, Stat, Timestamp};
use chatgauge::query::{BreakdownQuery, BreakdownRow, Query};
use chatgauge::{Chatgauge, Config};
use rusqlite::Connection;
use serde_json::{Map, Value, json};

use crate::Failure;
use crate::asked::{ASKED, Asked, PERCENTILES, Question, timed_at};
use crate::common::{now, print};
use crate::server::memory_mb;

/// Between two rounds the clock of the questions moves on by this much, so that no answer can be given twice.
const ROUND_MS: i64 = 100;

/// The questions as the other databases are asked them.
struct Comparison {
    /// The instant of the first run, in Unix milliseconds: just after the last request.
    start_ms: i64,
    rounds: u32,
}

/// Asks everything in turn, round after round, and writes what was measured and answered.
pub(crate) fn measure(config: &Config, rounds: u32, json: &Path) -> Result<(), Failure> {
    let start_ms = 1 + Connection::open(&config.store.path)?.query_row(
        "select max(started_at_ms) from requests",
        [],
        |row| row.get::<_, i64>(0),
    )?;
    let told = Comparison { start_ms, rounds }.measure(config)?;
    std::fs::write(json, format!("{told}\n"))?;
    print(format!("  {rounds} rounds of questions: {}", json.display()));
    Ok(())
}

impl Comparison {
    /// The instant of a round; the first run of each question comes before the rounds.
    fn instant(&self, round: u32) -> Timestamp {
        Timestamp::from_unix_ms(self.start_ms + i64::from(round + 1) * ROUND_MS)
    }

    fn measure(&self, config: &Config) -> Result<Value, Failure> {
        let start = now();
        let service = Chatgauge::open(config.clone())?;
        let open_ms = start.elapsed().as_secs_f64() * 1e3;
        let mut elapsed_ms = ASKED.map(|_| Vec::new());
        let mut first_ms = ASKED.map(|_| 0.0);
        for (asked, first_ms) in ASKED.into_iter().zip(&mut first_ms) {
            *first_ms = timed_at(&service, asked, Timestamp::from_unix_ms(self.start_ms))?;
        }
        for round in 0..self.rounds {
            for (asked, elapsed_ms) in ASKED.into_iter().zip(&mut elapsed_ms) {
                elapsed_ms.push(timed_at(&service, asked, self.instant(round))?);
            }
        }
        let memory_mb = memory_mb(std::process::id(), "VmRSS")?;
        let mut questions = Map::new();
        for ((asked, elapsed_ms), first_ms) in ASKED.into_iter().zip(elapsed_ms).zip(first_ms) {
            let answer = self.answer(&service, asked)?;
            let told = json!({ "first_ms": first_ms, "elapsed_ms": elapsed_ms, "answer": answer });
            questions.insert(asked.name.to_owned(), told);
        }
        service.shutdown()?;
        Ok(json!({
            "version": env!("CARGO_PKG_VERSION"), "start_ms": self.start_ms, "round_ms": ROUND_MS,
            "open_ms": open_ms, "memory_mb": memory_mb, "questions": questions,
        }))
    }

    fn answer(&self, service: &Chatgauge, asked: Asked) -> Result<Value, Failure> {
        match (asked.at)(self.instant(self.rounds.saturating_sub(1))) {
            Question::Series(query) => series(service, &query),
            Question::Leaders(query) => leaders(service, &query),
            // The other databases have none.
            Question::Dashboard(_) => Ok(Value::Null),
        }
    }
}

/// Starts of the buckets, and for each group the values of each metric in them.
fn series(service: &Chatgauge, query: &Query) -> Result<Value, Failure> {
    let answer = service.query(query)?;
    let starts: Vec<i64> = answer.boundaries.iter().map(|start| start.as_unix_ms()).collect();
    let metrics = if query.metrics.is_empty() { &MetricType::ALL[..] } else { &query.metrics };
    let mut told = Vec::new();
    for series in &answer.series {
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
        told.push(json!({ "group": series.group, "values": values }));
    }
    Ok(json!({ "starts_ms": starts, "series": told }))
}

fn leaders(service: &Chatgauge, query: &BreakdownQuery) -> Result<Value, Failure> {
    let breakdown = service.breakdown(query)?;
    let row = |row: &BreakdownRow| json!({ "name": row.name, "value": row.value, "requests": row.requests });
    let rows: Vec<Value> = breakdown.rows.iter().map(row).collect();
    Ok(json!({ "rows": rows, "other": row(&breakdown.other), "total": row(&breakdown.total) }))
}
