//! What the monitor knows about rules and groups, and the copy of it that readers get without
//! waiting for an evaluation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::noted::LastValue;
use crate::alert::trace::Traces;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{AlertInstance, Rule};
use crate::model::failure_log::FailureLog;
use crate::store::{MonitorProgress, Reader, Store};

/// The stored state of a group.
#[derive(Clone, Debug)]
pub(super) struct KnownState {
    /// Hash of the rule's definition.
    pub(super) identity: Arc<[u8]>,
    pub(super) instance: AlertInstance,
    /// Number of the last evaluation of this group.
    pub(super) round: u64,
}

/// States by group; behind pointers, because hash tables are half empty and views share the states.
pub(super) type GroupStates = FxHashMap<Arc<str>, Arc<KnownState>>;
/// States by rule and group.
pub(super) type Instances = FxHashMap<String, Arc<GroupStates>>;

/// Reads all states, and how far the monitor has come.
pub(super) fn stored_states(reader: &Reader<'_>) -> Result<(Instances, MonitorProgress)> {
    let progress = reader.monitor_progress()?;
    let mut by_rule: FxHashMap<String, GroupStates> = FxHashMap::default();
    for stored in reader.alert_instances()? {
        let mut instance = stored.instance;
        // Every evaluation covers every state but writes only those that changed.
        instance.evaluated_at = instance.evaluated_at.max(progress.evaluated_at);
        let known = KnownState { identity: Arc::from(stored.identity_hash), instance, round: 0 };
        let groups = by_rule.entry(stored.rule_id).or_default();
        groups.insert(stored.group_key.into(), Arc::new(known));
    }
    let instances = by_rule.into_iter().map(|(rule_id, groups)| (rule_id, Arc::new(groups)));
    Ok((instances.collect(), progress))
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

/// The state of all rules at one instant. Clones share tables until they change.
#[derive(Clone, Debug, Default)]
pub(super) struct MonitorView {
    pub(super) rules: Vec<Arc<Rule>>,
    /// Whether stored states were read.
    pub(super) is_loaded: bool,
    pub(super) instances: Instances,
    pub(super) traces: Traces,
    pub(super) notes: FxHashMap<String, RuleNotes>,
    pub(super) evaluated_at: Option<Timestamp>,
}

impl MonitorView {
    /// The rule with this id.
    pub(super) fn rule(&self, rule_id: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.id == rule_id)
    }

    /// The states of a rule by group.
    pub(super) fn groups_of<'s>(
        &'s self,
        rule_id: &str,
    ) -> impl Iterator<Item = (&'s Arc<str>, &'s Arc<KnownState>)> + use<'s> {
        self.instances.get(rule_id).into_iter().flat_map(|groups| groups.iter())
    }
}

/// The latest view. Its lock is held only to copy or replace a pointer.
#[derive(Debug, Default)]
pub(super) struct Published {
    view: Mutex<Arc<MonitorView>>,
}

impl Published {
    fn lock(&self) -> MutexGuard<'_, Arc<MonitorView>> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest view; it has no states before they are first read.
    pub(super) fn get(&self) -> Arc<MonitorView> {
        Arc::clone(&self.lock())
    }

    /// Replaces the view.
    pub(super) fn replace(&self, view: MonitorView) {
        *self.lock() = Arc::new(view);
    }

    /// The latest view with states; reads them if no evaluation has done so.
    pub(super) fn loaded(&self, store: &Store) -> Result<Arc<MonitorView>> {
        let view = self.get();
        if view.is_loaded {
            return Ok(view);
        }
        let (instances, progress) = store.read(stored_states)?;
        let mut view = self.lock();
        // An evaluation may have read and changed them meanwhile.
        if !view.is_loaded {
            *view = Arc::new(MonitorView {
                is_loaded: true,
                instances,
                evaluated_at: progress.evaluated_at,
                ..MonitorView::clone(&view)
            });
        }
        Ok(Arc::clone(&view))
    }
}
