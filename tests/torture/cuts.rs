//! Power cuts: the state of the disk at some point of the write log, and a start on it.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::disk::{self, Files, Unsynced};
use super::findings::{Findings, Wrong};
use super::layer::Op;
use super::load::Traffic;
use super::old_schema;
use super::stage::Stage;
use super::write_log::{Record, records};

/// What the program was doing when the power failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// A server under load.
    Load,
    /// The start on a file of an earlier version.
    Migration,
    /// `chatgauge rebuild`.
    Rebuild,
}

/// Longest wait for traffic.
const LIMIT: Duration = Duration::from_secs(3);

/// Number of cuts by the fate of unsynced writes.
pub(crate) type Cuts = BTreeMap<Unsynced, u32>;

/// Records one activity and cuts it `count` times.
pub(crate) fn recording(
    activity: Activity,
    stage: &Stage,
    count: u32,
    rng: &mut StdRng,
) -> (Cuts, Findings) {
    let migrated;
    let stage = if activity == Activity::Migration {
        migrated = old_schema::stage(rng.random());
        &migrated
    } else {
        stage
    };
    let mut findings = Findings::default();
    stage.place.layer.disarm();
    if activity == Activity::Load {
        stage.next_day_is_due();
    }
    stage.truth().begin_log();
    let base = stage.place.files();
    findings.extend(record(activity, stage, rng), "while it was recorded");
    let log = std::fs::read(stage.place.log()).expect("the log of writes");
    let log = records(&log);
    let cuts = cut_often(stage, &base, &log, count, rng, &mut findings);
    // Continue as if the power had not failed.
    stage.place.restore(&disk::after(&base, &log, Unsynced::Kept, 0));
    (cuts, findings)
}

/// Runs the activity under the layer.
fn record(activity: Activity, stage: &Stage, rng: &mut StdRng) -> Findings {
    let mut findings = Findings::default();
    if activity == Activity::Rebuild {
        let output = stage.place.run(stage.place.watched(&["rebuild"]));
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            findings.add(Wrong::Unreadable, format!("rebuild: {said}"));
        }
        return findings;
    }
    match stage.start(true) {
        Ok(server) => {
            let ((), passed) = Traffic::around(stage, server.urls(), |traffic| {
                let batches =
                    if activity == Activity::Load { rng.random_range(100..400) } else { 5 };
                traffic.await_more(batches, LIMIT);
                server.kill();
            });
            findings.extend(passed.findings, "under load");
        }
        Err(ended) => {
            let what = format!("it does not start, {}: {}", ended.status, ended.errors);
            findings.add(Wrong::Unreadable, what);
        }
    }
    findings
}

fn cut_often(
    stage: &Stage,
    base: &Files,
    log: &[Record<'_>],
    count: u32,
    rng: &mut StdRng,
    findings: &mut Findings,
) -> Cuts {
    let mut cuts = Cuts::new();
    let syncs: Vec<usize> = (0..log.len()).filter(|number| log[*number].op == Op::Sync).collect();
    for _ in 0..count {
        // Half of the cuts come right before or after a sync, where the set of durable writes changes.
        let number = match syncs.choose(rng) {
            Some(sync) if rng.random_bool(0.5) => sync + rng.random_range(0..2),
            _ => rng.random_range(0..=log.len()),
        };
        let unsynced = *Unsynced::CUTS.choose(rng).expect("a way");
        let seed = rng.random();
        stage.place.restore(&disk::after(base, &log[..number], unsynced, seed));
        let end = number.checked_sub(1).map_or(0, |last| log[last].end);
        let place = format!("cut after {number} of {} calls, {unsynced:?}, {seed}", log.len());
        findings.extend(stage.verify(Some(end)), &place);
        *cuts.entry(unsynced).or_default() += 1;
    }
    cuts
}
