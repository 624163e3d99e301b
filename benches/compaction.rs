//! Throughput of the compactor on a backlog of requests that are not rolled up.

mod common;

use std::time::Duration;

use chatgauge::generate::Workload;
use chatgauge::model::{RequestRecord, TimeRange};
use chatgauge::{Chatgauge, Result};
use common::{DAY_MS, SEED, config, figure, now, print};

const ROWS: u64 = 500_000;
const DAYS: i64 = 15;
const BATCH: usize = 10_000;
const RUNS: usize = 3;

fn main() -> Result<()> {
    print(format!("compaction: {ROWS} requests over {DAYS} days, seed {SEED}, best of {RUNS}"));
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let elapsed = catch_up()?;
        print(format!("  caught up in {:.2} s", elapsed.as_secs_f64()));
        best = best.min(elapsed);
    }
    figure("compaction", ROWS as f64 / best.as_secs_f64(), "rows/s", Some(">= 250000"));
    Ok(())
}

/// Stores the requests while the compactor sleeps, then rolls all of them up.
fn catch_up() -> Result<Duration> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut config = config(directory.path());
    config.compactor.interval = Duration::from_secs(24 * 3_600);
    let service = Chatgauge::open(config)?;
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
    assert_eq!(service.status()?.compactor.lag_records, Some(ROWS), "nothing is rolled up yet");
    let start = now();
    service.compact()?;
    let elapsed = start.elapsed();
    assert_eq!(service.status()?.compactor.lag_records, Some(0), "everything is rolled up");
    service.shutdown()?;
    Ok(elapsed)
}
