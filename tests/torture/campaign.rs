//! Campaigns: many rounds of one kind, and the table of their results.

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

/// Rounds on one database; the time of a comparison grows with the database.
const ROUNDS_OF_A_STAGE: u32 = 20;
/// Days of history of a database, and requests of each.
const HISTORY: (i64, usize) = (8, 700);

/// One line of the table.
#[derive(Debug, Default)]
struct Row {
    /// Rounds, each with a comparison at its end; 0 in a line that breaks down other lines.
    rounds: u32,
    /// Kills, cuts or faults that happened.
    events: u32,
    findings: Findings,
}

/// Results of all campaigns.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: BTreeMap<String, Row>,
    acknowledged: u64,
    lines: Vec<String>,
}

/// When a campaign stops even if rounds are left.
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

/// The seed of one round: distinct over the three campaigns and a million rounds of each.
const fn seed_of(seed: u64, campaign: u64, round: u32) -> u64 {
    seed.wrapping_mul(10_000_000) + campaign * 1_000_000 + round as u64
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

    /// Adds to a line that breaks down the events of other lines.
    fn add_part(&mut self, name: String, events: u32) {
        self.rows.entry(name).or_default().events += events;
    }

    /// Kills, cuts or faults: the events of all rounds whose name begins so.
    fn events(&self, prefix: &str) -> u32 {
        let rows =
            self.rows.iter().filter(|(name, row)| row.rounds > 0 && name.starts_with(prefix));
        rows.map(|(_, row)| row.events).sum()
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

    /// `rounds` rounds with a kill, over all phases.
    pub(crate) fn kills(&mut self, seed: u64, rounds: u32, deadline: Deadline) {
        let phases: Vec<Phase> = Phase::ALL
            .into_iter()
            .filter(|phase| *phase != Phase::Backup || backups::are_made())
            .collect();
        if phases.len() < Phase::ALL.len() {
            self.lines.push("the program makes no backups: none was killed".to_owned());
        }
        let mut stage = None;
        let mut killed = 0;
        for (number, phase) in (0..).zip(phases.into_iter().cycle()) {
            if killed >= rounds || deadline.is_over() {
                break;
            }
            let seed = seed_of(seed, 0, number);
            let current = self.stage_for(&mut stage, number, seed, 1.0);
            let round = kills::round(current, phase, &mut faults::rng(seed));
            let place = format!("kill round {number}, seed {seed}");
            let is_whole = round.findings.is_empty();
            killed += u32::from(round.kills > 0);
            self.add(&format!("kill in {}", phase.name()), round.kills, round.findings, &place);
            self.keep_if(is_whole, &mut stage);
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
            let seed = seed_of(seed, 1, number);
            let current = self.stage_for(&mut stage, number, seed, 0.3);
            let mut rng = faults::rng(seed);
            let life = if number % 3 == 0 {
                faults::life(current, &mut rng)
            } else {
                faults::start(current, &mut rng)
            };
            let place = format!("fault round {number}, seed {seed}");
            let name = if number % 3 == 0 { "fault under load" } else { "fault at the start" };
            let is_whole = life.findings.is_empty();
            self.add(name, life.fired.values().sum(), life.findings, &place);
            self.keep_if(is_whole, &mut stage);
            for ((op, kind, action), fired) in life.fired {
                let name = format!("fault: {op:?} {kind:?}").to_lowercase();
                self.add_part(format!("{name}, {}", action.name()), fired);
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
            Activity::Rebuild,
            Activity::Migration,
            Activity::Load,
            Activity::Load,
        ];
        let mut stage = None;
        for (number, activity) in (0..).zip(activities.into_iter().cycle()) {
            if self.events("power cut") >= count || deadline.is_over() {
                break;
            }
            let seed = seed_of(seed, 2, number);
            // A new stage every fifth recording, so that creating the file and its key is recorded too.
            let current = self.stage_for(&mut stage, number * 4, seed, 0.5);
            let cuts_left = count - self.events("power cut");
            let (cuts, findings) = cuts::recording(
                activity,
                current,
                CUTS_OF_A_LOG.min(cuts_left),
                &mut faults::rng(seed),
            );
            let place = format!("recording {number}, seed {seed}");
            let name = format!("power cut in {activity:?}").to_lowercase();
            self.add(&name, cuts.values().sum(), findings, &place);
            for (unsynced, number) in cuts {
                self.add_part(format!("power cut: unsynced {unsynced:?}").to_lowercase(), number);
            }
        }
        stage.iter().for_each(|stage| self.leave(stage));
    }

    /// Drops the stage after a finding: a damaged file would be found again in every round.
    fn keep_if(&mut self, is_whole: bool, stage: &mut Option<Stage>) {
        if !is_whole && let Some(stage) = stage.take() {
            self.leave(&stage);
        }
    }

    /// The stage of this round; a new one every [`ROUNDS_OF_A_STAGE`] rounds, with history at the given probability.
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
            if row.rounds == 0 {
                writeln!(f, "| {name} | | {} |{}", row.events, " |".repeat(Wrong::ALL.len()))?;
                continue;
            }
            let counts = Wrong::ALL.map(|wrong| row.findings.count(wrong).to_string()).join(" | ");
            writeln!(f, "| {name} | {} | {} | {counts} |", row.rounds, row.events)?;
        }
        writeln!(f, "\n{} records were acknowledged.", self.acknowledged)?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
