//! A server that is killed at any moment loses nothing that it acknowledged.
//!
//! The test starts this test binary again as a child that stores batches and says which ones are on
//! disk, and kills it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use chatgauge::model::{Filter, RequestRecord, TimeRange};
use chatgauge::query::{Query, RequestsQuery};
use chatgauge::store::Store;
use chatgauge::{Chatgauge, Config};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::harness::child;
use crate::harness::store::{at, quiet_config};
use crate::oracle::random_record;

/// Tells a child which file to write to.
const DATABASE: &str = "CHATGAUGE_CRASH_DATABASE";
/// Tells a child which batch to begin with.
const FIRST_BATCH: &str = "CHATGAUGE_CRASH_FIRST_BATCH";
const BATCH: u64 = 40;
const ROUNDS: u64 = 8;

fn two_days() -> TimeRange {
    TimeRange::new(at("2026-03-01T00:00:00Z"), at("2026-03-03T00:00:00Z"))
}

/// The same records for the same number, in every process.
fn batch(number: u64) -> Vec<RequestRecord> {
    let record = |position| {
        let mut rng = StdRng::seed_from_u64(number * 1_000 + position);
        random_record(&mut rng, two_days())
    };
    (0..BATCH).map(record).collect()
}

/// Rolls up without pause, so that a kill often meets the compactor.
fn config(path: &Path) -> Config {
    let mut config = quiet_config(path);
    config.compactor.interval = Duration::from_millis(1);
    config
}

#[test]
#[ignore = "the process that the test below starts and kills"]
fn child_that_stores_batches_until_it_is_killed() {
    let service = Chatgauge::open(config(Path::new(&child::given(DATABASE)))).unwrap();
    let first: u64 = child::given(FIRST_BATCH).parse().unwrap();
    for number in first.. {
        service.record(batch(number)).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "stored {number}").unwrap();
        out.flush().unwrap();
    }
}

/// Runs a child until it has acknowledged `enough` batches and `more` has passed; returns what it
/// acknowledged.
fn run_and_kill(path: &Path, first: u64, enough: u64, more: Duration) -> Vec<u64> {
    let mut child = child::command("storage::crash::child_that_stores_batches_until_it_is_killed")
        .env(DATABASE, path)
        .env(FIRST_BATCH, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let number = |line: String| line.strip_prefix("stored ").map(|number| number.parse().unwrap());
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = lines.map_while(Result::ok).filter_map(number);
    let mut seen: Vec<u64> = acknowledged.by_ref().take(usize::try_from(enough).unwrap()).collect();
    // Not a wait for anything: the moment of the kill is to be arbitrary.
    std::thread::sleep(more);
    child.kill().unwrap();
    child.wait().unwrap();
    seen.extend(acknowledged);
    seen
}

/// Stored requests that the rollups do not include.
fn lag(path: &Path) -> i64 {
    let store = Store::open_read_only(&quiet_config(path).store).unwrap();
    store.read(|reader| Ok(reader.last_seq()? - reader.watermark_seq()?)).unwrap()
}

/// How often each request is stored.
fn stored(service: &Chatgauge) -> HashMap<String, u32> {
    let mut counts = HashMap::new();
    let filter = Filter::default();
    let mut query = RequestsQuery { range: two_days(), filter, limit: 1_000, cursor: None };
    loop {
        let page = service.requests(&query).unwrap();
        for request in page.requests {
            *counts.entry(request.record.request_id.to_string()).or_default() += 1;
        }
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return counts;
        }
    }
}

#[test]
fn what_was_acknowledged_survives_being_killed_at_any_moment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let mut rng = StdRng::seed_from_u64(7);
    let mut acknowledged: Vec<u64> = Vec::new();
    let mut interrupted_compactions = 0;
    for round in 0..ROUNDS {
        let first = acknowledged.last().map_or(0, |last| last + 1);
        let more = Duration::from_micros(rng.random_range(0..30_000));
        let seen = run_and_kill(&path, first, rng.random_range(1..30), more);
        assert!(!seen.is_empty(), "round {round}: the child stored nothing");
        acknowledged.extend(seen);

        interrupted_compactions += u32::from(lag(&path) > 0);
        let service = Chatgauge::open(quiet_config(&path)).unwrap();
        let counts = stored(&service);
        let twice = counts.values().filter(|count| **count > 1).count();
        assert_eq!(twice, 0, "round {round}: requests stored twice");
        for number in &acknowledged {
            for record in batch(*number) {
                let id = record.request_id.to_string();
                assert!(counts.contains_key(&id), "round {round}: {id} of batch {number} is lost");
            }
        }
        // The batch that was under way is there as a whole or not at all.
        let batches = counts.len() as u64 / BATCH;
        assert_eq!(counts.len() as u64, batches * BATCH, "round {round}: part of a batch");
        assert!(batches <= acknowledged.len() as u64 + 1, "round {round}");

        service.compact().unwrap();
        let check = chatgauge::rollup::check(service.store(), &mut |_, _| {}).unwrap();
        assert_eq!(check.mismatches, Vec::<String>::new(), "round {round}");
        assert_eq!(check.rows, counts.len() as u64, "round {round}");
        service.shutdown().unwrap();
    }
    assert!(interrupted_compactions > 0, "no kill came before the end of a compaction");

    let service = Chatgauge::open(quiet_config(&path)).unwrap();
    for number in &acknowledged {
        let report = service.record(batch(*number)).unwrap();
        assert_eq!(report.accepted, 0, "batch {number} was stored twice");
    }
    service.compact().unwrap();
    let total = service.engine().query(&Query::total(two_days())).unwrap().into_total();
    let stored = stored(&service).len();
    assert_eq!(total.requests(), i64::try_from(stored).unwrap());
    service.shutdown().unwrap();
}
