//! Time and memory of evaluating a rule with 10,000 groups, with every group quiet and with every group in
//! violation.
//!
//! `cargo run --release --example alert_groups [USERS]`; it fails if an evaluation takes more than 100 ms or
//! 10 MB.

#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::process::ExitCode;
use std::time::Instant;

use chatgauge::config::RawRule;
use chatgauge::model::{ErrorType, Name, Outcome, RequestId, RequestRecord, Source};
use chatgauge::{Chatgauge, Config};

const MS_MAX: u128 = 100;
const BYTES_MAX: u64 = 10_000_000;
const ROUNDS: usize = 15;
const REQUESTS_EACH: usize = 4;

/// Resident memory of this process, in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

fn open(users: usize, failing: bool) -> chatgauge::Result<(tempfile::TempDir, Chatgauge)> {
    let directory = tempfile::tempdir()
        .map_err(|source| chatgauge::Error::Io { path: "temporary directory".into(), source })?;
    let mut config = Config::default();
    config.store.path = directory.path().join("groups.db");
    config.alerting.enabled = false;
    config.alerting.max_groups = users;
    let raw: RawRule = toml_rule();
    config.alerting.rules = vec![config.alerting.check_rule(&raw)?];
    let gauge = Chatgauge::open(config)?;
    let start = gauge.now().plus_ms(-120_000);
    for round in 0..REQUESTS_EACH {
        let records = (0..users).map(|user| {
            let id = RequestId::Text(Name::from(format!("{user}-{round}")));
            let offset_ms = i64::try_from(user * 60_000 / users).unwrap_or(0);
            let mut record = RequestRecord::new(id, start.plus_ms(offset_ms), Source::Rest);
            record.user = Some(Name::from(format!("u_{user:016}")));
            if failing {
                record.outcome = Outcome::Error(ErrorType::Server);
            }
            record
        });
        gauge.record(records.collect())?;
    }
    gauge.compact()?;
    Ok((directory, gauge))
}

fn toml_rule() -> RawRule {
    RawRule {
        id: Some("per-user".to_owned()),
        metric: Some("error_rate".to_owned()),
        threshold: Some(chatgauge::config::RawAmount::Number(0.5)),
        by: Some(vec!["user".to_owned()]),
        min_samples: Some(3),
        confidence: Some(0.0),
        consecutive: Some(3),
        ..RawRule::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "an example measures with the real clock")]
fn measure(users: usize, failing: bool) -> chatgauge::Result<bool> {
    let (_directory, gauge) = open(users, failing)?;
    // Fills the page caches of the readers, so that they do not count.
    for _ in 0..8 {
        gauge.sql("select count(*), sum(total_latency_us) from requests")?;
    }
    let before = resident_bytes();
    let mut times_ms = Vec::new();
    let mut opened = 0;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        opened += gauge.check_alerts(gauge.now())?.len();
        times_ms.push(started.elapsed().as_millis());
    }
    let grown = resident_bytes().saturating_sub(before);
    let all = times_ms.clone();
    times_ms.sort_unstable();
    let median_ms = times_ms[ROUNDS / 2];
    let what = if failing { "all in violation" } else { "all quiet" };
    println!(
        "{users} groups, {what}: median {median_ms} ms, {grown} bytes more, {opened} fired; {all:?}"
    );
    gauge.shutdown()?;
    Ok(median_ms < MS_MAX && grown < BYTES_MAX)
}

fn main() -> ExitCode {
    let users = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let quiet = measure(users, false);
    let failing = measure(users, true);
    match (quiet, failing) {
        (Ok(true), Ok(true)) => ExitCode::SUCCESS,
        (Ok(_), Ok(_)) => ExitCode::FAILURE,
        (Err(error), _) | (_, Err(error)) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
