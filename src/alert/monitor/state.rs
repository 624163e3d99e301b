//! State of the monitor between evaluations.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::noted::LastValue;
use super::view::{KnownState, MonitorView, Published, RuleNotes, stored_states};
use crate::alert::runs::Runs;
use crate::alert::trace::Traces;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{AlertEvent, AlertInstance, Rule};
use crate::model::failure_log::FailureLog;
use crate::store::{AlertChanges, MonitorProgress, Store, StoredRuns};

/// State of the evaluations. Its lock may be held during disk access; readers use the published
/// view.
#[derive(Debug, Default)]
pub(super) struct MonitorState {
    pub(super) published: Arc<Published>,
    /// The view to publish next.
    pub(super) view: MonitorView,
    /// Number of the current evaluation.
    pub(super) round: u64,
    /// Failure runs by rule.
    pub(super) runs: FxHashMap<String, Runs>,
    /// Rules with stored runs; the runs themselves until monitoring continues from them.
    pub(super) stored_runs: FxHashMap<String, Option<StoredRuns>>,
    /// Whether the rows that arrived before startup were processed.
    pub(super) is_caught_up: bool,
    pub(super) progress: MonitorProgress,
    /// Rules whose first notifications wait for others, and until when.
    pub(super) group_waits: FxHashMap<String, Timestamp>,
    /// Whether there are transition handlers.
    pub(super) has_handlers: bool,
    /// Written transitions that handlers have not received yet.
    pub(super) pending_events: Vec<AlertEvent>,
}

impl MonitorState {
    /// Reads the stored state, once.
    pub(super) fn load(&mut self, store: &Store) -> Result<()> {
        if self.view.is_loaded {
            return Ok(());
        }
        let ((instances, progress), runs) =
            store.read(|reader| Ok((stored_states(reader)?, reader.alert_runs()?)))?;
        self.stored_runs =
            runs.into_iter().map(|runs| (runs.rule_id.clone(), Some(runs))).collect();
        self.progress = progress;
        self.view.instances = instances;
        self.view.evaluated_at = progress.evaluated_at;
        self.view.is_loaded = true;
        self.publish();
        Ok(())
    }

    /// The notes about a rule.
    pub(super) fn notes(&mut self, rule: &Rule) -> &mut RuleNotes {
        self.view.notes.entry(rule.id.clone()).or_default()
    }

    /// Publishes the state for readers; everything in it must be on disk.
    pub(super) fn publish(&self) {
        self.published.replace(self.view.clone());
    }

    /// Applies written changes and publishes the state.
    pub(super) fn apply(&mut self, changes: AlertChanges) {
        if self.has_handlers {
            let moved = |event: &AlertEvent| event.from_state != event.to_state;
            self.pending_events.extend(changes.events.into_iter().filter(moved));
        }
        let round = self.round;
        for change in changes.instances {
            let groups = Arc::make_mut(self.view.instances.entry(change.rule_id).or_default());
            match change.instance {
                Some(instance) => {
                    let known = KnownState { identity: change.identity_hash, instance, round };
                    groups.insert(change.group_key.into(), Arc::new(known));
                }
                None => {
                    groups.remove(&*change.group_key);
                }
            }
        }
        for change in changes.runs {
            match self.runs.get_mut(&change.rule_id) {
                Some(runs) if change.kept.is_some() => {
                    runs.saved();
                    self.stored_runs.insert(change.rule_id, None);
                }
                _ => {
                    self.stored_runs.remove(&change.rule_id);
                }
            }
        }
        self.publish();
    }

    /// Limits all other remembered times to `now`, after the clock was set back.
    pub(super) fn limit_times(&mut self, now: Timestamp) {
        for notes in self.view.notes.values_mut() {
            notes.failure_log = FailureLog::default();
            notes.truncation_reported_at = notes.truncation_reported_at.min(Some(now));
            notes.matched_at = notes.matched_at.min(Some(now));
            notes.evaluated_at = notes.evaluated_at.min(Some(now));
            notes.last_value =
                notes.last_value.map(|last| LastValue { at: last.at.min(now), ..last });
        }
        self.runs.values_mut().for_each(|runs| runs.limit_starts(now));
        self.group_waits.clear();
        // Their times must increase.
        self.view.traces = Traces::default();
    }

    /// The state of a group, if it belongs to this definition of the rule.
    pub(super) fn known(
        &self,
        rule_id: &str,
        group_key: &str,
        identity: &[u8],
    ) -> Option<&KnownState> {
        let known = self.view.instances.get(rule_id)?.get(group_key)?;
        (*known.identity == *identity).then_some(known)
    }

    /// Marks a group as evaluated and keeps its new state in memory, unless the state will be
    /// written.
    pub(super) fn mark_evaluated(
        &mut self,
        rule_id: &str,
        group_key: &str,
        after: Option<AlertInstance>,
    ) {
        let groups = self.view.instances.get_mut(rule_id).map(Arc::make_mut);
        if let Some(known) = groups.and_then(|groups| groups.get_mut(group_key)) {
            let known = Arc::make_mut(known);
            known.round = self.round;
            if let Some(after) = after {
                known.instance = after;
            }
        }
    }

    /// Until when the first notification of a group waits for others; `now` for no wait.
    ///
    /// A rule with an open, announced incident does not wait.
    pub(super) fn send_after(&self, rule: &Rule, now: Timestamp, wait_ms: i64) -> Timestamp {
        if let Some(until) = self.group_waits.get(&rule.id).filter(|until| **until > now) {
            return *until;
        }
        let is_announced =
            |known: &KnownState| known.instance.is_announced && known.instance.phase.is_open();
        let mut groups = self.view.groups_of(&rule.id);
        if wait_ms == 0 || groups.any(|(_, known)| is_announced(known)) {
            return now;
        }
        now.plus_ms(wait_ms)
    }

    /// Groups of a rule that the current evaluation has not covered.
    pub(super) fn not_evaluated(&self, rule_id: &str) -> Vec<Arc<str>> {
        let missing = self.view.groups_of(rule_id).filter(|(_, known)| known.round != self.round);
        missing.map(|(key, _)| Arc::clone(key)).collect()
    }

    /// Drops the evaluations of a rule if `rule` has another definition.
    pub(super) fn forget_changed(&mut self, rule: &Rule) {
        if self.view.rule(&rule.id).is_some_and(|known| known.identity() != rule.identity()) {
            self.view.traces.forget(&rule.id);
        }
    }

    /// Rule, group and state of an open incident.
    pub(super) fn owner(&self, incident_id: &str) -> Option<(String, String, KnownState)> {
        self.view.instances.iter().find_map(|(rule_id, groups)| {
            let (key, known) = groups
                .iter()
                .find(|(_, known)| known.instance.incident_id.as_deref() == Some(incident_id))?;
            Some((rule_id.clone(), key.to_string(), KnownState::clone(known)))
        })
    }
}
