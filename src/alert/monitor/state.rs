//! What the monitor remembers between evaluations.

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

/// A state that is stored.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// What made the rule the same rule.
    pub(super) identity: Arc<[u8]>,
    pub(super) instance: AlertInstance,
    /// Number of the evaluation that looked at it last.
    pub(super) round: u64,
}

/// States by group; behind pointers, because tables are half empty, and views share them.
pub(super) type Groups = FxHashMap<Arc<str>, Arc<Known>>;

/// States and progress as they are stored.
pub(super) struct Stored {
    pub(super) instances: FxHashMap<String, Arc<Groups>>,
    pub(super) progress: MonitorProgress,
}

impl Stored {
    /// Reads them.
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self> {
        let progress = reader.monitor_progress()?;
        let mut by_rule: FxHashMap<String, Groups> = FxHashMap::default();
        for stored in reader.alert_instances()? {
            let mut instance = stored.instance;
            // Every evaluation looks at every state, and writes those that changed.
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

/// What is worth saying of a rule besides its groups.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleNotes {
    /// Evaluations that failed, one after the other.
    pub(super) failures: u32,
    /// When they are worth a line in the log.
    pub(super) failure_log: FailureLog,
    /// There were more groups than are watched.
    pub(super) is_truncated: bool,
    /// When that was told last.
    pub(super) truncation_told_at: Option<Timestamp>,
    /// The last evaluation that did not fail.
    pub(super) evaluated_at: Option<Timestamp>,
    /// What it found; of runs of failures, what was found last.
    pub(super) last_value: Option<LastValue>,
    /// Its filter matched nothing for a week.
    pub(super) matches_nothing: bool,
    /// When that was looked at.
    pub(super) matched_at: Option<Timestamp>,
}

/// State of the evaluations. Its holder may wait for the disk; readers use the published view.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) published: Arc<Published>,
    pub(super) rules: Vec<Arc<Rule>>,
    pub(super) is_loaded: bool,
    pub(super) instances: FxHashMap<String, Arc<Groups>>,
    /// Number of the evaluation.
    pub(super) round: u64,
    /// Runs of failures by rule.
    pub(super) runs: FxHashMap<String, Runs>,
    /// Rules of which runs are stored, with what was stored until somebody counts on from there.
    pub(super) stored_runs: FxHashMap<String, Option<StoredRuns>>,
    /// What arrived before the start was looked at.
    pub(super) is_caught_up: bool,
    pub(super) progress: MonitorProgress,
    pub(super) traces: Traces,
    pub(super) notes: FxHashMap<String, RuleNotes>,
    pub(super) evaluated_at: Option<Timestamp>,
    /// Rules whose first messages are held back, so that others may join them, and until when.
    pub(super) held: FxHashMap<String, Timestamp>,
    /// There are handlers of transitions.
    pub(super) is_listened_to: bool,
    /// Transitions that are on disk and that no handler was told of yet.
    pub(super) untold: Vec<AlertEvent>,
}

impl State {
    /// Reads back what is stored, once.
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

    /// Shows readers the state as it is now: what differs from the last view must be on disk.
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

    /// Remembers what is on disk now, and shows it to readers.
    pub(super) fn remember(&mut self, changes: AlertChanges) {
        if self.is_listened_to {
            let moved = |event: &AlertEvent| event.from_state != event.to_state;
            self.untold.extend(changes.events.into_iter().filter(moved));
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

    /// What else lies in the future, after the clock was set back to `now`.
    pub(super) fn forget_future(&mut self, now: Timestamp) {
        for notes in self.notes.values_mut() {
            notes.failure_log = FailureLog::default();
            notes.truncation_told_at = notes.truncation_told_at.min(Some(now));
            notes.matched_at = notes.matched_at.min(Some(now));
            notes.evaluated_at = notes.evaluated_at.min(Some(now));
            notes.last_value =
                notes.last_value.map(|last| LastValue { at: last.at.min(now), ..last });
        }
        self.runs.values_mut().for_each(|runs| runs.bring_back(now));
        self.held.clear();
        // Their instants have to grow.
        self.traces = Traces::default();
    }

    /// The state of a group, if the rule was the same rule then.
    pub(super) fn known(&self, rule_id: &str, group_key: &str, identity: &[u8]) -> Option<&Known> {
        let known = self.instances.get(rule_id)?.get(group_key)?;
        (*known.identity == *identity).then_some(known)
    }

    /// Notes that the evaluation that is running looked at a group, and what it found unless that is
    /// going to be written.
    pub(super) fn look(&mut self, rule_id: &str, group_key: &str, after: Option<AlertInstance>) {
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

    /// Until when the first message about a group of the rule waits for others: `now`, not at all.
    ///
    /// Who was told of the rule already, and may be told more of it, waits for nothing.
    pub(super) fn hold_until(&self, rule: &Rule, now: Timestamp, wait_ms: i64) -> Timestamp {
        if let Some(until) = self.held.get(&rule.id).filter(|until| **until > now) {
            return *until;
        }
        let is_told = |known: &Known| known.instance.is_announced && known.instance.phase.is_open();
        let mut groups = groups_of(&self.instances, &rule.id);
        if wait_ms == 0 || groups.any(|(_, known)| is_told(known)) {
            return now;
        }
        now.plus_ms(wait_ms)
    }

    /// Groups of a rule that the evaluation that is running has not looked at.
    pub(super) fn not_looked_at(&self, rule_id: &str) -> Vec<Arc<str>> {
        let groups = groups_of(&self.instances, rule_id);
        let missing = groups.filter(|(_, known)| known.round != self.round);
        missing.map(|(key, _)| Arc::clone(key)).collect()
    }

    /// Forgets what the rule of this id found until now, if it watches something else than `rule`.
    pub(super) fn forget_other(&mut self, rule: &Rule) {
        if self.rule(&rule.id).is_some_and(|known| known.identity() != rule.identity()) {
            self.traces.forget(&rule.id);
        }
    }

    /// The rule with this id.
    pub(super) fn rule(&self, rule_id: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.id == rule_id)
    }

    /// The rule and group of an open incident.
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
