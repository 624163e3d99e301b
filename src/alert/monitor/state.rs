//! State of the monitor between evaluations.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::noted::LastValue;
use super::view::{Published, View};
use crate::alert::runs::Runs;
use crate::alert::trace::Traces;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{AlertEvent, AlertInstance, Rule};
use crate::model::failure_log::FailureLog;
use crate::store::{AlertChanges, MonitorProgress, Reader, Store, StoredRuns};

/// A stored state.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Hash of the rule's definition.
    pub(super) identity: Arc<[u8]>,
    pub(super) instance: AlertInstance,
    /// Number of the last evaluation of this group.
    pub(super) round: u64,
}

/// States by group; behind pointers, because hash tables are half empty and views share the states.
pub(super) type Groups = FxHashMap<Arc<str>, Arc<Known>>;

/// States and progress as stored.
pub(super) struct Stored {
    pub(super) instances: FxHashMap<String, Arc<Groups>>,
    pub(super) progress: MonitorProgress,
}

impl Stored {
    /// Reads states and progress.
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self> {
        let progress = reader.monitor_progress()?;
        let mut by_rule: FxHashMap<String, Groups> = FxHashMap::default();
        for stored in reader.alert_instances()? {
            let mut instance = stored.instance;
            // Every evaluation covers every state but writes only those that changed.
            instance.evaluated_at = instance.evaluated_at.max(progress.evaluated_at);
            let identity = Arc::from(stored.identity_hash);
            let known = Known { identity, instance, round: 0 };
            let groups = by_rule.entry(stored.rule_id).or_default();
            groups.insert(stored.group_key.into(), Arc::new(known));
        }
        let instances =
            by_rule.into_iter().map(|(rule_id, groups)| (rule_id, Arc::new(groups))).collect();
        Ok(Self { instances, progress })
    }
}

/// What the monitor keeps about a rule besides its groups.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleNotes {
    /// Number of consecutive failed evaluations.
    pub(super) failures: u32,
    /// Throttles log lines about failures.
    pub(super) failure_log: FailureLog,
    /// Whether there were more groups than are evaluated.
    pub(super) is_truncated: bool,
    /// Time of the last report about too many groups.
    pub(super) truncation_reported_at: Option<Timestamp>,
    /// Time of the last successful evaluation.
    pub(super) evaluated_at: Option<Timestamp>,
    /// Its value; for failure runs, the last known value.
    pub(super) last_value: Option<LastValue>,
    /// Whether the filter matched nothing for a week.
    pub(super) matches_nothing: bool,
    /// Time of that check.
    pub(super) matched_at: Option<Timestamp>,
}

/// State of the evaluations. Its lock may be held during disk access; readers use the published
/// view.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) published: Arc<Published>,
    pub(super) rules: Vec<Arc<Rule>>,
    pub(super) is_loaded: bool,
    pub(super) instances: FxHashMap<String, Arc<Groups>>,
    /// Number of the current evaluation.
    pub(super) round: u64,
    /// Failure runs by rule.
    pub(super) runs: FxHashMap<String, Runs>,
    /// Rules with stored runs; the runs themselves until monitoring continues from them.
    pub(super) stored_runs: FxHashMap<String, Option<StoredRuns>>,
    /// Whether the rows that arrived before startup were processed.
    pub(super) is_caught_up: bool,
    pub(super) progress: MonitorProgress,
    pub(super) traces: Traces,
    pub(super) notes: FxHashMap<String, RuleNotes>,
    pub(super) evaluated_at: Option<Timestamp>,
    /// Rules whose first notifications wait for others, and until when.
    pub(super) group_waits: FxHashMap<String, Timestamp>,
    /// Whether there are transition handlers.
    pub(super) has_handlers: bool,
    /// Written transitions that handlers have not received yet.
    pub(super) pending_events: Vec<AlertEvent>,
}

impl State {
    /// Reads the stored state, once.
    pub(super) fn load(&mut self, store: &Store) -> Result<()> {
        if self.is_loaded {
            return Ok(());
        }
        let (Stored { instances, progress }, runs) =
            store.read(|reader| Ok((Stored::read(reader)?, reader.alert_runs()?)))?;
        self.instances = instances;
        self.stored_runs =
            runs.into_iter().map(|runs| (runs.rule_id.clone(), Some(runs))).collect();
        self.progress = progress;
        self.evaluated_at = progress.evaluated_at;
        self.is_loaded = true;
        self.publish();
        Ok(())
    }

    /// Publishes the state for readers; everything in it must be on disk.
    pub(super) fn publish(&self) {
        self.published.replace(View {
            rules: self.rules.clone(),
            is_loaded: self.is_loaded,
            instances: self.instances.clone(),
            traces: self.traces.clone(),
            notes: self.notes.clone(),
            evaluated_at: self.evaluated_at,
        });
    }

    /// Applies written changes and publishes the state.
    pub(super) fn apply(&mut self, changes: AlertChanges) {
        if self.has_handlers {
            let moved = |event: &AlertEvent| event.from_state != event.to_state;
            self.pending_events.extend(changes.events.into_iter().filter(moved));
        }
        let round = self.round;
        for change in changes.instances {
            match change.instance {
                Some(instance) => {
                    let known = Known { identity: change.identity_hash, instance, round };
                    let groups = self.instances.entry(change.rule_id).or_default();
                    Arc::make_mut(groups).insert(change.group_key.into(), Arc::new(known));
                }
                None => {
                    if let Some(groups) = self.instances.get_mut(&change.rule_id) {
                        Arc::make_mut(groups).remove(&*change.group_key);
                    }
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
        for notes in self.notes.values_mut() {
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
        self.traces = Traces::default();
    }

    /// The state of a group, if it belongs to this definition of the rule.
    pub(super) fn known(&self, rule_id: &str, group_key: &str, identity: &[u8]) -> Option<&Known> {
        let known = self.instances.get(rule_id)?.get(group_key)?;
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
        let round = self.round;
        let groups = self.instances.get_mut(rule_id).map(Arc::make_mut);
        if let Some(known) = groups.and_then(|groups| groups.get_mut(group_key)) {
            let known = Arc::make_mut(known);
            known.round = round;
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
            |known: &Known| known.instance.is_announced && known.instance.phase.is_open();
        let mut groups = groups_of(&self.instances, &rule.id);
        if wait_ms == 0 || groups.any(|(_, known)| is_announced(known)) {
            return now;
        }
        now.plus_ms(wait_ms)
    }

    /// Groups of a rule that the current evaluation has not covered.
    pub(super) fn not_evaluated(&self, rule_id: &str) -> Vec<Arc<str>> {
        let groups = groups_of(&self.instances, rule_id);
        let missing = groups.filter(|(_, known)| known.round != self.round);
        missing.map(|(key, _)| Arc::clone(key)).collect()
    }

    /// Drops the evaluations of a rule if `rule` has another definition.
    pub(super) fn forget_changed(&mut self, rule: &Rule) {
        if self.rule(&rule.id).is_some_and(|known| known.identity() != rule.identity()) {
            self.traces.forget(&rule.id);
        }
    }

    /// The rule with this id.
    pub(super) fn rule(&self, rule_id: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.id == rule_id)
    }

    /// Rule, group and state of an open incident.
    pub(super) fn owner(&self, incident_id: &str) -> Option<(String, String, Known)> {
        self.instances.iter().find_map(|(rule_id, groups)| {
            let is_it = |known: &Known| known.instance.incident_id.as_deref() == Some(incident_id);
            let (key, known) = groups.iter().find(|(_, known)| is_it(known))?;
            Some((rule_id.clone(), key.to_string(), Known::clone(known)))
        })
    }
}

/// The states of a rule by group.
pub(super) fn groups_of<'s>(
    instances: &'s FxHashMap<String, Arc<Groups>>,
    rule_id: &str,
) -> impl Iterator<Item = (&'s Arc<str>, &'s Arc<Known>)> + use<'s> {
    instances.get(rule_id).into_iter().flat_map(|groups| groups.iter())
}
