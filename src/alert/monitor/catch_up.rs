//! Looking at what arrived since the last evaluation: imports, and runs of failures.

use std::sync::Arc;

use super::Monitor;
use super::state::State;
use crate::alert::live::Live;
use crate::alert::runs::{Following, Providers, Runs};
use crate::alert::streak::{counted_ms, late_before};
use crate::error::Result;
use crate::model::alert::{AlertGroup, AlertMetric, Rule};
use crate::model::{Dimension, Timestamp};
use crate::store::{ArrivedRow, ResolvedFilter, RunsChange};

/// Requests read back to know the runs of failures of a rule that is new.
const READ_BACK_ROWS: i64 = 20_000;

/// The runs of a rule that was not counted yet.
struct Newcomer {
    rule_id: String,
    runs: Runs,
    /// The last row that they count.
    seen_seq: i64,
}

impl Monitor {
    /// Looks at what arrived since the last evaluation.
    ///
    /// Everything is counted, however much arrived while nothing ran: runs are exact over restarts.
    pub(super) fn catch_up(&self, state: &mut State, now: Timestamp) -> Result<()> {
        let counting: Vec<Arc<Rule>> =
            state.rules.iter().filter(|rule| counts_runs(rule)).cloned().collect();
        let mut newcomers = Vec::new();
        for rule in &counting {
            let filter = self.resolved(rule, now)?;
            match state.runs.get_mut(&rule.id) {
                Some(runs) => runs.set_filter(filter),
                None => newcomers.push(newcomer(state, rule, filter, now)),
            }
        }
        let seen = state.progress.seen_seq;
        let mut progress = state.progress;
        let is_live = state.is_caught_up || progress.evaluated_at.is_none();
        let mut unseen = Following::new(progress.evaluated_at);
        let result = self.store.read(|reader| {
            let last_seq = reader.last_seq()?;
            let by_provider = |rule: &Arc<Rule>| rule.by.contains(&Dimension::Provider);
            let providers = match counting.iter().any(by_provider) {
                true => Providers::new(&reader.models()?),
                false => Providers::default(),
            };
            for Newcomer { runs, seen_seq, .. } in &mut newcomers {
                let mut following = Following::new(None);
                let oldest = seen - READ_BACK_ROWS;
                if *seen_seq < oldest {
                    // What was counted long ago and what is read now do not join.
                    runs.restart();
                }
                reader.arrived_within(oldest.max(*seen_seq), seen, |row| {
                    let late_before = following.late_before(row, now);
                    runs.take(&counted(row, now), &providers, late_before, false);
                })?;
            }
            let imported = reader.imported_until(seen)?.unwrap_or(-1);
            progress.imported_until_ms = progress.imported_until_ms.max(imported);
            let known = &mut state.runs;
            reader.arrived_within(seen, last_seq, |row| {
                // Nothing is counted twice, though reading may fail in the middle.
                progress.seen_seq = row.seq;
                let late_before =
                    if is_live { late_before(now) } else { unseen.late_before(row, now) };
                let row = counted(row, now);
                let new = newcomers.iter_mut().map(|newcomer| &mut newcomer.runs);
                known
                    .values_mut()
                    .chain(new)
                    .for_each(|runs| runs.take(&row, &providers, late_before, true));
            })?;
            progress.seen_seq = last_seq.max(seen);
            Ok(())
        });
        state.progress = progress;
        result?;
        state.is_caught_up = true;
        let claimed = newcomers.into_iter().map(|newcomer| (newcomer.rule_id, newcomer.runs));
        state.runs.extend(claimed);
        Ok(())
    }

    /// Notes that the run of a group, with everything that arrived by `now`, begins no incident again.
    pub(super) fn close_run(
        &self,
        state: &mut State,
        rule: &Rule,
        group: &AlertGroup,
        now: Timestamp,
    ) -> Result<()> {
        self.catch_up(state, now)?;
        let Some(runs) = state.runs.get_mut(&rule.id) else { return Ok(()) };
        let value = |by: &Dimension| group.names.get(by.as_str()).unwrap_or_default().to_owned();
        let values: Vec<String> = rule.by.iter().map(value).collect();
        self.store.read(|reader| runs.close(&values, reader))
    }

    /// Which requests count, with the names that are known by now.
    fn resolved(&self, rule: &Rule, now: Timestamp) -> Result<ResolvedFilter> {
        let live = Live {
            engine: &self.engine,
            store: &self.store,
            end: now,
            max_groups: self.settings.max_groups,
            imported_until_ms: -1,
        };
        match live.filter(rule)? {
            Some(filter) => self.store.read(|reader| reader.resolve(&filter)),
            // Nothing that is known yet matches.
            None => Ok(ResolvedFilter { spaces: Some(Vec::new()), ..ResolvedFilter::default() }),
        }
    }
}

/// The row as runs count it.
fn counted(row: &ArrivedRow, now: Timestamp) -> ArrivedRow {
    ArrivedRow { started_at_ms: counted_ms(row.started_at_ms, now), ..*row }
}

fn counts_runs(rule: &Rule) -> bool {
    rule.metric == AlertMetric::ConsecutiveFailures && rule.inactive.is_none()
}

/// The runs of a rule as they are stored, or none.
fn newcomer(state: &State, rule: &Rule, filter: ResolvedFilter, now: Timestamp) -> Newcomer {
    let mut runs = Runs::new(rule, filter);
    let stored = state.stored_runs.get(&rule.id).and_then(Option::as_ref);
    let seen_seq = match stored.filter(|stored| stored.identity_hash == rule.identity()) {
        Some(stored) => {
            runs.restore(&stored.runs);
            // The clock may have been set back since.
            runs.bring_back(now);
            stored.seen_seq
        }
        None => i64::MIN / 2,
    };
    Newcomer { rule_id: rule.id.clone(), runs, seen_seq }
}

/// What has to be stored of runs; those of rules that are gone are forgotten, unless rules may still
/// come.
pub(super) fn unsaved(state: &State, may_come: bool) -> Vec<RunsChange> {
    let seen_seq = state.progress.seen_seq;
    let kept = state.runs.iter().map(|(rule_id, runs)| runs.unsaved(rule_id, seen_seq));
    let is_gone = |rule_id: &&String| !may_come && !state.runs.contains_key(*rule_id);
    let gone = state.stored_runs.keys().filter(is_gone).map(|rule_id| RunsChange {
        rule_id: rule_id.clone(),
        kept: None,
        is_anew: true,
        runs: Vec::new(),
    });
    kept.chain(gone).collect()
}
