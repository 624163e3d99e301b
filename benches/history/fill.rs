//! Writes the history at full speed, with the compactor running.

use std::path::Path;
use std::sync::mpsc::sync_channel;

use chatgauge::generate::Workload;
use chatgauge::model::{RequestRecord, TimeRange};
use chatgauge::{Chatgauge, Config};

use crate::Failure;
use crate::common::{DAY_MS, SEED, now, print};
use crate::report::Report;

const BATCH: usize = 10_000;
/// Maximum number of generated batches that are not stored yet.
const BATCHES_AHEAD: usize = 4;
const PROGRESS_EVERY_S: f64 = 10.0;
/// Number of equal parts of the history whose rates are compared.
const PARTS: u64 = 10;

/// Writes the history, unless the file already has it.
pub(crate) fn fill(
    config: &Config,
    requests: u64,
    days: i64,
    report: &mut Report,
) -> Result<(), Failure> {
    if stored(&config.store.path)? >= requests {
        print("  the file already has the history");
        return Ok(());
    }
    let service = Chatgauge::open(config.clone())?;
    let start = now();
    let part_seconds = store(&service, requests, days)?;
    let stored_s = start.elapsed().as_secs_f64();
    let lag = service.status()?.compactor.lag_records.unwrap_or(0);
    let compacting = now();
    service.compact()?;
    let compact_s = compacting.elapsed().as_secs_f64();
    service.shutdown()?;
    report.add("fill", requests as f64 / stored_s, "requests/s", None);
    if let (Some(first), Some(last)) = (part_seconds.first(), part_seconds.last()) {
        report.add("fill_last_tenth_of_first", 100.0 * first / last, "%", Some(">= 80"));
    }
    report.add("fill_lag_at_end", lag as f64, "requests", None);
    if lag > 0 {
        report.add("compaction", lag as f64 / compact_s, "requests/s", Some(">= 250000"));
    }
    report.add("fill_and_roll_up", start.elapsed().as_secs_f64(), "s", None);
    Ok(())
}

fn stored(path: &Path) -> Result<u64, Failure> {
    if !path.exists() {
        return Ok(0);
    }
    let connection = rusqlite::Connection::open(path)?;
    let last: Option<i64> =
        connection.query_row("select max(seq) from requests", [], |row| row.get(0))?;
    Ok(u64::try_from(last.unwrap_or(0))?)
}

/// Stores the requests; returns the seconds that each part took.
fn store(service: &Chatgauge, requests: u64, days: i64) -> Result<Vec<f64>, Failure> {
    let end = service.now();
    let range = TimeRange::new(end.plus_ms(-days * DAY_MS), end);
    let (sender, receiver) = sync_channel::<Vec<RequestRecord>>(BATCHES_AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut records = Workload::new(SEED, range, requests).records();
            loop {
                let batch: Vec<_> = records.by_ref().take(BATCH).collect();
                // Without a receiver storing has failed, and the error is reported there.
                if batch.is_empty() || sender.send(batch).is_err() {
                    return;
                }
            }
        });
        let (start, mut printed_s, mut part_start_s) = (now(), 0.0, 0.0);
        let (mut done, mut parts) = (0, Vec::new());
        for batch in receiver {
            done += u64::try_from(batch.len())?;
            service.record(batch)?;
            let elapsed_s = start.elapsed().as_secs_f64();
            if done * PARTS / requests > u64::try_from(parts.len())? {
                parts.push(elapsed_s - part_start_s);
                part_start_s = elapsed_s;
            }
            if elapsed_s - printed_s > PROGRESS_EVERY_S {
                printed_s = elapsed_s;
                print(format!("  {done} of {requests} stored after {elapsed_s:.0} s"));
            }
        }
        Ok(parts)
    })
}
