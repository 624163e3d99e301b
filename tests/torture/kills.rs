//! SIGKILL at random instants and at chosen calls, in every activity of the program.

use std::sync::OnceLock;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::backups;
use super::findings::{Findings, Wrong};
use super::layer::{Action, Kind, Op, Rule};
use super::load::Traffic;
use super::old_schema;
use super::server::{NotStarted, Server};
use super::stage::Stage;
use super::write_log::records;

/// What the program is doing when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Ingest and compaction, at a random instant.
    Load,
    /// The same, at a call that writes or syncs the write-ahead log.
    Commit,
    /// The same, at a call that writes or syncs the database file.
    Checkpoint,
    /// Compaction of a backlog without ingest.
    Compaction,
    /// Retention: deleting a day that is due.
    Retention,
    /// A start: the first one on an empty directory, or recovery after a kill.
    Startup,
    /// `chatgauge rebuild`.
    Rebuild,
    /// Migration of a file of an earlier version.
    Migration,
    /// `chatgauge backup`, beside a server under load.
    Backup,
}

impl Phase {
    pub(crate) const ALL: [Self; 9] = [
        Self::Load,
        Self::Commit,
        Self::Checkpoint,
        Self::Compaction,
        Self::Retention,
        Self::Startup,
        Self::Rebuild,
        Self::Migration,
        Self::Backup,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Load => "load, at any instant",
            Self::Commit => "a commit",
            Self::Checkpoint => "a checkpoint",
            Self::Compaction => "compaction",
            Self::Retention => "retention",
            Self::Startup => "a start",
            Self::Rebuild => "rebuild",
            Self::Migration => "a migration",
            Self::Backup => "a backup",
        }
    }
}

/// Result of one round.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// Kills within the phase; a kill after its end does not count.
    pub(crate) kills: u32,
    pub(crate) findings: Findings,
}

/// Longest wait for the call that kills.
const CALL_LIMIT: Duration = Duration::from_millis(1_500);

/// Runs one round on `stage` and compares at its end.
pub(crate) fn round(stage: &Stage, phase: Phase, rng: &mut StdRng) -> Round {
    stage.place.layer.disarm();
    match phase {
        Phase::Load => under_load(stage, rng, None),
        Phase::Commit => {
            let ops = Op::Write as u32 | Op::Sync as u32;
            under_load(stage, rng, Some((ops, Kind::Wal as u32, 300)))
        }
        Phase::Checkpoint => {
            let ops = Op::Write as u32 | Op::Sync as u32 | Op::Truncate as u32;
            under_load(stage, rng, Some((ops, Kind::Database as u32, 200)))
        }
        Phase::Compaction => in_compaction(stage, rng),
        Phase::Retention => in_retention(stage, rng),
        Phase::Startup => in_startup(stage, rng),
        Phase::Rebuild => in_rebuild(stage, rng),
        Phase::Migration => in_migration(rng),
        Phase::Backup => backups::kill_round(stage, rng),
    }
}

/// A rule that kills before or after the call, at random.
fn kill_at(ops: u32, kinds: u32, skip: u32, rng: &mut StdRng) -> Rule {
    let action = if rng.random_bool(0.5) { Action::KillBefore } else { Action::KillAfter };
    Rule { ops, kinds, action, skip, times: 1 }
}

/// Every kind of file.
const ANY_KIND: u32 = 127;

/// Kills a server under traffic, at an instant or at a call.
fn under_load(stage: &Stage, rng: &mut StdRng, call: Option<(u32, u32, u32)>) -> Round {
    let mut round = Round::default();
    let Some(mut server) = started(stage, &[], &mut round) else { return round };
    let ((), passed) = Traffic::around(stage, server.urls(), |traffic| {
        traffic.await_more(rng.random_range(1..40), CALL_LIMIT);
        if let Some((ops, kinds, most)) = call {
            let rule = kill_at(ops, kinds, rng.random_range(0..most), rng);
            stage.place.layer.arm(0, rule);
            round.kills += u32::from(server.await_end(CALL_LIMIT).is_some());
        } else {
            // Not a wait for a condition: the instant of the kill is random.
            std::thread::sleep(Duration::from_micros(rng.random_range(0..60_000)));
            round.kills += 1;
        }
        server.kill();
    });
    round.findings.extend(passed.findings, "under load");
    finish(stage, round)
}

fn started(stage: &Stage, options: &[&str], round: &mut Round) -> Option<Server> {
    match stage.start_with(true, options) {
        Ok(server) => Some(server),
        Err(NotStarted { status, errors }) => {
            round.findings.add(Wrong::Unreadable, format!("it does not start, {status}: {errors}"));
            None
        }
    }
}

/// Compares after the kill.
fn finish(stage: &Stage, mut round: Round) -> Round {
    stage.place.layer.disarm();
    round.findings.extend(stage.verify(None), "after the kill");
    round
}

/// Leaves the compactor a backlog and stops the senders, so that all writes are the compactor's.
fn in_compaction(stage: &Stage, rng: &mut StdRng) -> Round {
    let mut round = Round::default();
    let rarely = ["compactor.interval_ms=400"];
    let Some(mut server) = started(stage, &rarely, &mut round) else { return round };
    let ((), passed) = Traffic::around(stage, server.urls(), |traffic| {
        traffic.await_more(rng.random_range(20..120), CALL_LIMIT);
    });
    round.findings.extend(passed.findings, "under load");
    let ops = Op::Write as u32 | Op::Sync as u32;
    let rule = kill_at(ops, Kind::Wal as u32, rng.random_range(0..60), rng);
    stage.place.layer.arm(0, rule);
    round.kills += u32::from(server.await_end(CALL_LIMIT).is_some());
    server.kill();
    finish(stage, round)
}

/// Makes a day of history due; the kill comes while its rows are deleted.
fn in_retention(stage: &Stage, rng: &mut StdRng) -> Round {
    let mut round = Round::default();
    if !stage.next_day_is_due() {
        return round;
    }
    let ops = Op::Write as u32 | Op::Sync as u32;
    let kinds = Kind::Wal as u32 | Kind::Database as u32;
    // No records are sent, so all writes are retention's.
    let rule = kill_at(ops, kinds, rng.random_range(0..150), rng);
    stage.place.layer.arm(0, rule);
    match stage.start(true) {
        Ok(mut server) => {
            round.kills += u32::from(server.await_end(CALL_LIMIT / 2).is_some());
        }
        Err(ended) => {
            round.kills += u32::from(ended.was_killed());
            unexpected_end(&ended, &mut round);
        }
    }
    finish(stage, round)
}

fn unexpected_end(ended: &NotStarted, round: &mut Round) {
    if !ended.was_killed() {
        let what = format!("it does not start, {}: {}", ended.status, ended.errors);
        round.findings.add(Wrong::Unreadable, what);
    }
}

/// Kills one to three starts in a row: on an empty directory, or on the WAL that a kill under load left.
fn in_startup(stage: &Stage, rng: &mut StdRng) -> Round {
    let mut round = Round::default();
    let new;
    let stage = if rng.random_bool(0.3) {
        new = Stage::new(rng.random());
        &new
    } else {
        let Some(server) = started(stage, &[], &mut round) else { return round };
        let ((), passed) = Traffic::around(stage, server.urls(), |traffic| {
            traffic.await_more(10, CALL_LIMIT);
            server.kill();
        });
        round.findings.extend(passed.findings, "under load");
        stage
    };
    for _ in 0..rng.random_range(1..4) {
        stage.place.layer.arm(0, kill_at(u32::MAX, ANY_KIND, rng.random_range(0..90), rng));
        match stage.start(true) {
            Ok(_killed_at_the_end_of_the_scope) => {}
            Err(ended) => {
                round.kills += u32::from(ended.was_killed());
                unexpected_end(&ended, &mut round);
            }
        }
    }
    finish(stage, round)
}

fn in_rebuild(stage: &Stage, rng: &mut StdRng) -> Round {
    let mut round = Round::default();
    let Some(server) = started(stage, &[], &mut round) else { return round };
    let ((), passed) = Traffic::around(stage, server.urls(), |traffic| {
        traffic.await_more(20, CALL_LIMIT);
        server.kill();
    });
    round.findings.extend(passed.findings, "under load");
    let ops = Op::Write as u32 | Op::Sync as u32 | Op::Truncate as u32;
    let kinds = Kind::Wal as u32 | Kind::Database as u32;
    stage.place.layer.arm(0, kill_at(ops, kinds, rng.random_range(0..250), rng));
    let output = stage.place.run(stage.place.watched(&["rebuild"]));
    let ended = NotStarted {
        status: output.status,
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    if !output.status.success() {
        round.kills += u32::from(ended.was_killed());
        unexpected_end(&ended, &mut round);
    }
    finish(stage, round)
}

/// Calls that write or sync, from the start on a file of an earlier version until the server serves.
fn migration_calls() -> u32 {
    static CALLS: OnceLock<u32> = OnceLock::new();
    *CALLS.get_or_init(|| {
        let stage = old_schema::stage(0);
        let server = stage.start(true).expect("a server on a file of an earlier version");
        let log = std::fs::read(stage.place.log()).expect("the log of writes");
        server.kill();
        let log = records(&log);
        let calls = log.iter().filter(|record| [Op::Write, Op::Sync].contains(&record.op)).count();
        u32::try_from(calls).expect("a small file")
    })
}

/// Kills a migration; each round has a file of its own, because a file is migrated once.
fn in_migration(rng: &mut StdRng) -> Round {
    let stage = old_schema::stage(rng.random());
    let mut round = Round::default();
    let ops = Op::Write as u32 | Op::Sync as u32;
    stage.place.layer.arm(0, kill_at(ops, ANY_KIND, rng.random_range(0..migration_calls()), rng));
    match stage.start(true) {
        Ok(_too_late) => {}
        Err(ended) => {
            round.kills += u32::from(ended.was_killed());
            unexpected_end(&ended, &mut round);
        }
    }
    finish(&stage, round)
}
