//! Many rounds of one kind, and the table of what came of them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use rand::RngExt as _;

use super::backups;
use super::cuts::{self, Activity};
use super::faults;
use super::findings::{Findings, Wrong};
use super::kills::{self, Phase};
use super::server::clock;
use super::stage::Stage;

/// Rounds on one database: what is compared grows with it.
const ROUNDS_OF_A_STAGE: u32 = 20;
/// Days of history of a database, and requests of each.
const HISTORY: (i64, usize) = (8, 700);

/// One line of the table.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// Rounds, each with a comparison at its end.
    rounds: u32,
    /// Kills, cuts or faults that happened.
    events: u32,
    findings: Findings,
}

/// What came of the rounds.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: BTreeMap<String, Row>,
    acknowledged: u64,
    lines: Vec<String>,
}

/// When to stop, whatever is left to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    pub(crate) const NEVER: Self = Self(None);

    pub(crate) fn after(limit: Duration) -> Self {
        Self(Some((clock(), limit)))
    }

    fn is_over(self) -> bool {
        self.0.is_some_and(|(began, limit)| began.elapsed() >= limit)
    }
}

impl Report {
    fn add(&mut self, name: &str, events: u32, findings: Findings, place: &str) {
        if !findings.is_empty() {
            let mut told = Findings::default();
            told.extend(findings.clone(), place);
            println!("{told}");
        }
        let row = self.rows.entry(name.to_owned()).or_default();
        row.rounds += 1;
        row.events += events;
        row.findings.extend(findings, place);
    }

    fn leave(&mut self, stage: &Stage) {
        self.acknowledged += stage.truth().acknowledged_records();
    }

    /// Kills, cuts or faults of all rows whose name begins so.
    pub(crate) fn events(&self, prefix: &str) -> u32 {
        self.matching(prefix).map(|row| row.events).sum()
    }

    fn matching(&self, prefix: &str) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |(name, _)| name.starts_with(prefix)).map(|(_, row)| row)
    }

    /// Everything that was found.
    pub(crate) fn findings(&self) -> Findings {
        let mut all = Findings::default();
        for (name, row) in &self.rows {
            all.extend(row.findings.clone(), name);
        }
        all
    }

    /// Adds a line for a trial that is not a campaign.
    pub(crate) fn trial(&mut self, name: &str, findings: Findings) {
        self.add(name, 1, findings, name);
    }

    /// `rounds` kills over all phases.
    pub(crate) fn kills(&mut self, seed: u64, rounds: u32, deadline: Deadline) {
        let phases: Vec<Phase> = Phase::ALL
            .into_iter()
            .filter(|phase| *phase != Phase::Backup || backups::are_made())
            .collect();
        if phases.len() < Phase::ALL.len() {
            self.lines.push("the program makes no backups: none was killed".to_owned());
        }
        let mut stage = None;
        for (number, phase) in (0..).zip(phases.into_iter().cycle()) {
            if self.events("kill") >= rounds || deadline.is_over() {
                break;
            }
            let seed = seed.wrapping_mul(1_000_003) + u64::from(number);
            let current = self.stage_for(&mut stage, number, seed, 1.0);
            let round = kills::round(current, phase, &mut faults::rng(seed));
            let place = format!("kill round {number}, seed {seed}");
            self.add(&format!("kill: {}", phase.name()), round.kills, round.findings, &place);
        }
        stage.iter().for_each(|stage| self.leave(stage));
    }

    /// At least `count` faults that fired.
    pub(crate) fn faults(&mut self, seed: u64, count: u32, deadline: Deadline) {
        let mut stage = None;
        for number in 0.. {
            if self.events("fault") >= count || deadline.is_over() {
                break;
            }
            let seed = seed.wrapping_mul(1_000_033) + u64::from(number);
            let current = self.stage_for(&mut stage, number, seed, 0.3);
            let mut rng = faults::rng(seed);
            let life = if number % 3 == 0 {
                faults::life(current, &mut rng)
            } else {
                faults::start(current, &mut rng)
            };
            let place = format!("fault round {number}, seed {seed}");
            let name = if number % 3 == 0 { "faults under load" } else { "faults at the start" };
            self.add(name, life.fired.values().sum(), life.findings, &place);
            for ((op, kind, action), fired) in life.fired {
                let name = format!("  {op:?} {kind:?} {action:?}");
                self.rows.entry(name).or_default().events += fired;
            }
        }
        stage.iter().for_each(|stage| self.leave(stage));
    }

    /// At least `count` power cuts.
    pub(crate) fn cuts(&mut self, seed: u64, count: u32, deadline: Deadline) {
        /// Cuts of one log of writes.
        const CUTS_OF_A_LOG: u32 = 8;
        let activities = [
            Activity::Load,
            Activity::Load,
            Activity::Rebuild,
            Activity::Load,
            Activity::Migration,
        ];
        let mut stage = None;
        for (number, activity) in (0..).zip(activities.into_iter().cycle()) {
            if self.events("power cut") >= count || deadline.is_over() {
                break;
            }
            let seed = seed.wrapping_mul(1_000_037) + u64::from(number);
            // Often a new one: its first file and its key are recorded too.
            let current = self.stage_for(&mut stage, number * 4, seed, 0.5);
            let cuts_left = count - self.events("power cut");
            let (cuts, findings) = cuts::recording(
                activity,
                current,
                CUTS_OF_A_LOG.min(cuts_left),
                &mut faults::rng(seed),
            );
            let place = format!("recording {number}, seed {seed}");
            let name = format!("power cut: {activity:?}").to_lowercase();
            self.add(&name, cuts.values().sum(), findings, &place);
            for (unsynced, number) in cuts {
                let name = format!("  unsynced writes {unsynced:?}").to_lowercase();
                self.rows.entry(name).or_default().events += number;
            }
        }
        stage.iter().for_each(|stage| self.leave(stage));
    }

    /// The stage of this round: a new one now and then, with history as likely as said.
    fn stage_for<'a>(
        &mut self,
        stage: &'a mut Option<Stage>,
        number: u32,
        seed: u64,
        history: f64,
    ) -> &'a Stage {
        let is_worn = stage.is_none() || number.is_multiple_of(ROUNDS_OF_A_STAGE);
        if is_worn && let Some(old) = stage.take() {
            self.leave(&old);
        }
        stage.get_or_insert_with(|| {
            let stage = Stage::new(seed);
            if faults::rng(seed).random_bool(history) {
                stage.make_history(HISTORY.0, HISTORY.1);
            }
            stage
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings = Wrong::ALL.map(Wrong::heading).join(" | ");
        writeln!(f, "| what | rounds | happened | {headings} |")?;
        writeln!(f, "|---|--:|--:|{}", "--:|".repeat(Wrong::ALL.len()))?;
        for (name, row) in &self.rows {
            let counts = Wrong::ALL.map(|wrong| row.findings.count(wrong).to_string()).join(" | ");
            let (rounds, counts) = match row.rounds {
                // A part of another row.
                0 => (String::new(), " | ".repeat(Wrong::ALL.len() - 1)),
                rounds => (rounds.to_string(), counts),
            };
            writeln!(f, "| {name} | {rounds} | {} | {counts} |", row.events)?;
        }
        writeln!(f, "\n{} records were acknowledged.", self.acknowledged)?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
