//! I/O faults, one at a time, under load and during the start.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::disk::{self, Unsynced};
use super::findings::{Findings, Wrong};
use super::layer::{Action, Kind, Op, Rule};
use super::load::Traffic;
use super::poison;
use super::server::{NotStarted, clock};
use super::stage::Stage;
use super::write_log::records;

/// Number of faults that fired, by call, kind of file and action.
pub(crate) type Fired = BTreeMap<(Op, Kind, Action), u32>;

/// Result of one server process with faults.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// Calls that were made to fail; each rule is armed for one call.
    pub(crate) fired: Fired,
    /// 1 if a failed sync ended the process.
    pub(crate) failed_syncs: u32,
    pub(crate) findings: Findings,
}

/// Longest wait for a fault to fire; some calls are rare.
const FIRE_LIMIT: Duration = Duration::from_millis(250);
/// Pause of a client after each request.
const PAUSE: Duration = Duration::from_millis(8);
/// Faults injected into one process.
const FAULTS: u32 = 18;

/// Faults of a running server. Failed syncs are injected separately, because each ends the process.
const RUNNING: &[(Op, Kind, Action)] = &[
    (Op::Write, Kind::Wal, Action::Eio),
    (Op::Write, Kind::Wal, Action::Enospc),
    (Op::Write, Kind::Wal, Action::Short),
    (Op::Write, Kind::Wal, Action::Torn),
    (Op::Write, Kind::Wal, Action::TornEnospc),
    (Op::Write, Kind::Database, Action::Eio),
    (Op::Write, Kind::Database, Action::Enospc),
    (Op::Write, Kind::Database, Action::Short),
    (Op::Write, Kind::Database, Action::Torn),
    (Op::Write, Kind::Shm, Action::Enospc),
    (Op::Read, Kind::Wal, Action::Eio),
    (Op::Read, Kind::Wal, Action::Short),
    (Op::Read, Kind::Database, Action::Eio),
    (Op::Read, Kind::Database, Action::Short),
];

/// Faults of a starting server.
const STARTING: &[(Op, Kind, Action)] = &[
    (Op::Open, Kind::Database, Action::Eio),
    (Op::Open, Kind::Wal, Action::Eio),
    (Op::Open, Kind::Shm, Action::Eio),
    (Op::Open, Kind::Key, Action::Eio),
    (Op::Open, Kind::Lock, Action::Eio),
    (Op::Open, Kind::Directory, Action::Eio),
    (Op::Open, Kind::Other, Action::Enospc),
    (Op::Read, Kind::Database, Action::Eio),
    (Op::Read, Kind::Wal, Action::Eio),
    (Op::Read, Kind::Key, Action::Eio),
    (Op::Write, Kind::Wal, Action::Enospc),
    (Op::Write, Kind::Database, Action::Eio),
    (Op::Write, Kind::Database, Action::Torn),
    (Op::Write, Kind::Shm, Action::Enospc),
    (Op::Write, Kind::Shm, Action::Eio),
    (Op::Write, Kind::Other, Action::Enospc),
    (Op::Sync, Kind::Wal, Action::Eio),
    (Op::Sync, Kind::Database, Action::Eio),
    (Op::Sync, Kind::Directory, Action::Eio),
    (Op::Sync, Kind::Other, Action::Eio),
    (Op::Truncate, Kind::Shm, Action::Eio),
    (Op::Truncate, Kind::Wal, Action::Eio),
    (Op::Map, Kind::Shm, Action::Enomem),
    (Op::Link, Kind::Key, Action::Eio),
    (Op::Unlink, Kind::Other, Action::Eio),
];

/// A server under traffic with one fault after another; in most rounds the last one is a failed sync, which ends it.
pub(crate) fn life(stage: &Stage, rng: &mut StdRng) -> Life {
    let mut life = Life::default();
    stage.place.layer.disarm();
    stage.truth().begin_log();
    let base = stage.place.files();
    let mut server = match stage.start(true) {
        Ok(server) => server,
        Err(ended) => {
            let what = format!("it does not start, {}: {}", ended.status, ended.errors);
            life.findings.add(Wrong::Unreadable, what);
            return life;
        }
    };
    let ((), passed) = Traffic::around_faults(stage, server.urls(), PAUSE, |traffic| {
        traffic.await_more(5, FIRE_LIMIT);
        for number in 0..FAULTS {
            // A failed sync ends the process, so it can only be the last fault.
            let is_last = number + 1 == FAULTS;
            let is_sync = is_last && rng.random_bool(0.8);
            let (op, kind, action) = if is_sync {
                (Op::Sync, *[Kind::Wal, Kind::Database].choose(rng).expect("a kind"), Action::Eio)
            } else {
                *RUNNING.choose(rng).expect("a fault")
            };
            let rule = Rule::once(op, kind, action).after(rng.random_range(0..4));
            let has_fired = fire(stage, rule, if is_sync { 8 * FIRE_LIMIT } else { FIRE_LIMIT });
            if is_sync && has_fired {
                life.failed_syncs += 1;
                poison::assert_ends(&mut server, &format!("{kind:?}"), &mut life.findings);
                return;
            }
            if !server.is_running() {
                let words = super::server::last_words(&stage.place);
                let what = format!("it ended after {op:?} {kind:?} {action:?}: {words}");
                life.findings.add(Wrong::Contract, what);
                return;
            }
        }
        // The faults are over: the server must accept records again.
        if !traffic.await_more(3, Duration::from_secs(5)) {
            let what = format!("no record is accepted after the faults: {}", traffic.refusal());
            life.findings.add(Wrong::Contract, what);
        }
    });
    life.findings.extend(passed.findings, "under load");
    server.kill();
    settle(stage, &base, rng, &mut life);
    life
}

/// Arms the rule until it fires or `limit` has passed; returns whether it fired.
fn fire(stage: &Stage, rule: Rule, limit: Duration) -> bool {
    let layer = &stage.place.layer;
    let before = layer.fired();
    layer.arm(0, rule);
    let began = clock();
    while layer.fired() == before && began.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(1));
    }
    layer.disarm();
    layer.fired() != before
}

/// Starts the server with one fault. The start may fail; the next one, without faults, must succeed. Half of the starts
/// are the first on a new database.
pub(crate) fn start(stage: &Stage, rng: &mut StdRng) -> Life {
    let new;
    let stage = if rng.random_bool(0.5) {
        new = Stage::new(rng.random());
        &new
    } else {
        stage
    };
    let mut life = Life::default();
    stage.place.layer.disarm();
    stage.truth().begin_log();
    let base = stage.place.files();
    let (op, kind, action) = *STARTING.choose(rng).expect("a fault");
    let is_frequent = matches!((op, kind), (Op::Read | Op::Write, Kind::Wal | Kind::Shm));
    let skip = if is_frequent && rng.random_bool(0.5) { rng.random_range(0..40) } else { 0 };
    stage.place.layer.arm(0, Rule::once(op, kind, action).after(skip));
    match stage.start(true) {
        Ok(server) => {
            let ((), passed) = Traffic::around_faults(stage, server.urls(), PAUSE, |traffic| {
                traffic.await_more(5, FIRE_LIMIT);
                server.kill();
            });
            life.findings.extend(passed.findings, "under load");
        }
        Err(NotStarted { status, errors }) => {
            if status.code().is_none() || errors.trim().is_empty() {
                let what = format!("{op:?} {kind:?} {action:?} at the start, {status}: {errors}");
                life.findings.add(Wrong::Contract, what);
            }
        }
    }
    stage.place.layer.disarm();
    settle(stage, &base, rng, &mut life);
    life
}

/// Counts the faults that fired, drops the pages of failed syncs, and compares.
fn settle(stage: &Stage, base: &disk::Files, rng: &mut StdRng, life: &mut Life) {
    stage.place.layer.disarm();
    let log = std::fs::read(stage.place.log()).unwrap_or_default();
    let log = records(&log);
    for fault in log.iter().filter(|record| record.is_fault()) {
        *life.fired.entry((fault.op, fault.kind, fault.action)).or_default() += 1;
    }
    if log.iter().any(|record| record.op == Op::Sync && record.result != 0) {
        let files = disk::after(base, &log, Unsynced::Kept, rng.random());
        stage.place.restore(&files);
    }
    let last = log.iter().rev().find(|record| record.is_fault());
    let last = last.map_or_else(String::new, |fault| {
        format!("{:?} {:?} {:?}", fault.op, fault.kind, fault.action)
    });
    let what = format!("after {} faults, the last {last}", life.fired.values().sum::<u32>());
    life.findings.extend(stage.verify(None), &what);
}

/// The random number generator of one round.
pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}
