//! Processes what arrived since the last evaluation: imports and failure runs.

use std::sync::Arc;

use super::Monitor;
use super::state::MonitorState;
use crate::alert::live::expanded_filter;
use crate::alert::runs::{FirstIds, LateCutoff, Runs, first_ids};
use crate::alert::streak::{counted_ms, late_before};
use crate::error::Result;
use crate::model::alert::{AlertGroup, AlertMetric, Rule};
use crate::model::{Dimension, Timestamp};
use crate::store::{ArrivedRow, ResolvedFilter, RunsChange, Store};

/// Maximum number of rows to read back for the failure runs of a new rule.
const READ_BACK_ROWS: i64 = 20_000;

/// The runs of a rule that is not monitored yet.
struct NewRuns {
    rule_id: String,
    runs: Runs,
    /// The last row included in the runs.
    seen_seq: i64,
}

impl Monitor {
    /// Reads the rows that arrived since the last evaluation.
    ///
    /// Every row is counted, however many arrived while no server was running, so runs are exact
    /// across restarts.
    pub(super) fn catch_up(&self, state: &mut MonitorState, now: Timestamp) -> Result<()> {
        let counts_runs = |rule: &&Arc<Rule>| {
            rule.metric == AlertMetric::ConsecutiveFailures && rule.inactive.is_none()
        };
        let counting: Vec<Arc<Rule>> =
            state.view.rules.iter().filter(counts_runs).cloned().collect();
        let mut new_runs = Vec::new();
        for rule in &counting {
            let filter = resolved(&self.store, rule)?;
            match state.runs.get_mut(&rule.id) {
                Some(runs) => runs.set_filter(filter),
                None => new_runs.push(load_runs(state, rule, filter, now)),
            }
        }
        let seen = state.progress.seen_seq;
        let mut progress = state.progress;
        let is_live = state.is_caught_up || progress.evaluated_at.is_none();
        let mut unseen = LateCutoff::new(progress.evaluated_at);
        let result = self.store.read(|reader| {
            let last_seq = reader.last_seq()?;
            let by_provider = |rule: &Arc<Rule>| rule.by.contains(&Dimension::Provider);
            let providers = match counting.iter().any(by_provider) {
                true => first_ids(&reader.models()?, |row| &row.provider),
                false => FirstIds::default(),
            };
            for NewRuns { runs, seen_seq, .. } in &mut new_runs {
                let mut cutoff = LateCutoff::new(None);
                let oldest = seen - READ_BACK_ROWS;
                if *seen_seq < oldest {
                    // There is a gap between the stored rows and the rows read now.
                    runs.restart();
                }
                reader.arrived_within(oldest.max(*seen_seq), seen, |row| {
                    let late_before = cutoff.late_before(row, now);
                    runs.add(&counted(row, now), &providers, late_before, false);
                })?;
            }
            let imported = reader.imported_until(seen)?.unwrap_or(-1);
            progress.imported_until_ms = progress.imported_until_ms.max(imported);
            let known = &mut state.runs;
            reader.arrived_within(seen, last_seq, |row| {
                // Advance with each row, so that nothing is counted twice if reading fails halfway.
                progress.seen_seq = row.seq;
                let late_before =
                    if is_live { late_before(now) } else { unseen.late_before(row, now) };
                let row = counted(row, now);
                let new = new_runs.iter_mut().map(|new| &mut new.runs);
                known
                    .values_mut()
                    .chain(new)
                    .for_each(|runs| runs.add(&row, &providers, late_before, true));
            })?;
            progress.seen_seq = last_seq.max(seen);
            Ok(())
        });
        state.progress = progress;
        result?;
        state.is_caught_up = true;
        let claimed = new_runs.into_iter().map(|new| (new.rule_id, new.runs));
        state.runs.extend(claimed);
        Ok(())
    }

    /// Marks the run of a group, including everything that arrived by `now`, so that it starts no
    /// incident again.
    pub(super) fn close_run(
        &self,
        state: &mut MonitorState,
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
}

/// The rule's filter, resolved with the names known by now.
fn resolved(store: &Store, rule: &Rule) -> Result<ResolvedFilter> {
    match expanded_filter(store, rule)? {
        Some(filter) => store.read(|reader| reader.resolve(&filter)),
        // No known name matches yet.
        None => Ok(ResolvedFilter { spaces: Some(Vec::new()), ..ResolvedFilter::default() }),
    }
}

/// The row with the start by which it counts.
fn counted(row: &ArrivedRow, now: Timestamp) -> ArrivedRow {
    ArrivedRow { started_at_ms: counted_ms(row.started_at_ms, now), ..*row }
}

/// The stored runs of a rule, or none.
fn load_runs(state: &MonitorState, rule: &Rule, filter: ResolvedFilter, now: Timestamp) -> NewRuns {
    let mut runs = Runs::new(rule, filter);
    let stored = state.stored_runs.get(&rule.id).and_then(Option::as_ref);
    let seen_seq = match stored.filter(|stored| stored.identity_hash == rule.identity()) {
        Some(stored) => {
            runs.restore(&stored.runs);
            // The clock may have been set back since they were stored.
            runs.limit_starts(now);
            stored.seen_seq
        }
        None => i64::MIN / 2,
    };
    NewRuns { rule_id: rule.id.clone(), runs, seen_seq }
}

/// The run changes to store. Runs of removed rules are deleted, unless rules may still be
/// registered.
pub(super) fn unsaved(state: &MonitorState, may_register: bool) -> Vec<RunsChange> {
    let seen_seq = state.progress.seen_seq;
    let kept = state.runs.iter().map(|(rule_id, runs)| runs.unsaved(rule_id, seen_seq));
    let is_gone = |rule_id: &&String| !may_register && !state.runs.contains_key(*rule_id);
    let gone = state.stored_runs.keys().filter(is_gone).map(|rule_id| RunsChange {
        rule_id: rule_id.clone(),
        kept: None,
        deletes_stored: true,
        runs: Vec::new(),
    });
    kept.chain(gone).collect()
}
