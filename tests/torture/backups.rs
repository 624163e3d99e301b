//! Kills `chatgauge backup` beside a server under load.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::findings::Wrong;
use super::kills::Round;
use super::load::Traffic;
use super::place::binary;
use super::server::{PATIENCE, await_end};
use super::stage::Stage;
use super::truth::Known;

/// Whether the program under test has the command `backup`.
pub(crate) fn are_made() -> bool {
    static MADE: OnceLock<bool> = OnceLock::new();
    *MADE.get_or_init(|| {
        let help = Command::new(binary()).args(["backup", "--help"]).output().expect("the program");
        help.status.success()
    })
}

/// Kills a backup at a random instant, or lets it end: the final name does not exist, or its file is complete.
pub(crate) fn kill_round(stage: &Stage, rng: &mut StdRng) -> Round {
    let mut round = Round::default();
    if !are_made() {
        return round;
    }
    let server = match stage.start(true) {
        Ok(server) => server,
        Err(ended) => {
            let what = format!("it does not start, {}: {}", ended.status, ended.errors);
            round.findings.add(Wrong::Unreadable, what);
            return round;
        }
    };
    let directory = stage.place.beside(&format!("backup-{}", rng.random::<u32>()));
    std::fs::create_dir(&directory).expect("a directory");
    let target = directory.join("copy.db");
    let mut must_have = Vec::new();
    let ((), passed) = Traffic::around(stage, server.urls(), |traffic| {
        traffic.await_more(20, Duration::from_secs(2));
        must_have = acknowledged(stage);
        let text = target.to_str().expect("a plain path");
        let mut backup = stage
            .place
            .command(&["backup", text])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program");
        let is_killed = rng.random_bool(0.7);
        if is_killed {
            std::thread::sleep(Duration::from_millis(rng.random_range(0..250)));
            round.kills += u32::from(backup.try_wait().expect("its state").is_none());
            // An error means that it has just exited.
            drop(backup.kill());
        }
        let status = await_end(&mut backup, PATIENCE);
        let is_made = status.is_some_and(|status| status.success()) && target.exists();
        if !is_killed && !is_made {
            round.findings.add(Wrong::Contract, format!("a backup failed: {status:?}"));
        }
    });
    server.kill();
    round.findings.extend(passed.findings, "under load");
    if target.exists() {
        compare(stage, &target, &must_have, &mut round);
    }
    std::fs::remove_dir_all(&directory).expect("a directory that can be removed");
    round.findings.extend(stage.verify(None), "after a backup that was killed");
    round
}

/// Ids of acknowledged batches, without history.
fn acknowledged(stage: &Stage) -> Vec<String> {
    let truth = stage.truth();
    let known = truth.batches.iter();
    let known = known.filter(|batch| batch.known != Known::InDoubt && batch.history_day.is_none());
    known.flat_map(|batch| batch.ids.iter().cloned()).collect()
}

/// A file with the final name is consistent and holds everything acknowledged before its start.
fn compare(stage: &Stage, target: &Path, must_have: &[String], round: &mut Round) {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--db").arg(target).env_clear();
        stage.place.run(command)
    };
    let checked = run(&["check", "--json"]);
    if !checked.status.success() {
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        round.findings.add(Wrong::Unreadable, format!("the backup: {said}"));
        return;
    }
    let limit = ["-o", "query.sql_max_rows=1000000"];
    let rows = run(&[&["sql", "--csv", "select request_id from request_log"][..], &limit].concat());
    let text = String::from_utf8_lossy(&rows.stdout);
    let there: std::collections::HashSet<&str> = text.lines().collect();
    let missing = must_have.iter().filter(|id| !there.contains(id.as_str())).count();
    if missing > 0 {
        round.findings.add(Wrong::Lost, format!("{missing} records are not in the backup"));
    }
}
