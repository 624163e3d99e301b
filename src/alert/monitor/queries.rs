//! Queries to the monitor: the status of rules, and why one did or did not fire.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Monitor;
use super::noted::LastValue;
use super::view::{GroupStates, KnownState, MonitorView};
use crate::alert::observation::Verdict;
use crate::alert::trace::Evaluation;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{
    AlertEvent, AlertGroup, AlertIncident, AlertInstance, AlertPhase, Rule, RuleState,
};
use crate::store::{AlertChanges, IncidentChange, IncidentQuery, InstanceChange};

/// A rule and its status.
#[derive(Clone, Debug)]
pub struct RuleStatus {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The worst state of its groups.
    pub state: RuleState,
    /// Why the rule is inactive, or another remark.
    pub detail: Option<String>,
    /// Number of groups by state, without plain OK ones.
    pub counts: BTreeMap<RuleState, usize>,
    /// Whether the rule has too many groups, so that the smallest are not evaluated.
    pub is_truncated: bool,
    /// Last value of the worst group, or of the largest if all are OK; `None` without data.
    pub value: Option<f64>,
    /// Number of requests behind the value.
    pub samples: u64,
    /// Time of the value.
    pub value_at: Option<Timestamp>,
    /// Time of the last evaluation.
    pub evaluated_at: Option<Timestamp>,
}

/// Why a rule did or did not fire for one group.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The group.
    pub group: AlertGroup,
    /// State of the group.
    pub state: RuleState,
    /// Stored state of the group.
    pub instance: AlertInstance,
    /// End of the silence that suppresses notifications.
    pub silenced_until: Option<Timestamp>,
    /// The latest evaluations since startup, oldest first.
    pub evaluations: Vec<Evaluation>,
}

/// Result of acknowledging or closing an incident.
#[derive(Clone, Debug, PartialEq)]
pub enum AckOutcome {
    /// The change is stored.
    Done(AlertIncident),
    /// The incident has already ended.
    Over(AlertIncident),
    /// The incident does not exist.
    Unknown,
}

impl Monitor {
    /// Every rule with its status.
    pub fn rules(&self) -> Result<Vec<RuleStatus>> {
        let view = self.published.loaded(&self.store)?;
        Ok(view.rules.iter().map(|rule| status(&view, rule)).collect())
    }

    /// All rules, including the monitor's own.
    pub(crate) fn all_rules(&self) -> Vec<Arc<Rule>> {
        self.published.get().rules.clone()
    }

    /// States of open incidents by incident id.
    pub fn open_states(&self) -> Result<BTreeMap<String, AlertInstance>> {
        let view = self.published.loaded(&self.store)?;
        let groups = view.instances.values().flat_map(|groups| groups.values());
        let with_id = groups.filter_map(|known| {
            Some((known.instance.incident_id.clone()?, known.instance.clone()))
        });
        Ok(with_id.collect())
    }

    /// Explains why a rule did or did not fire for a group; `None` if the rule does not exist. A
    /// budget group without a period means the current period.
    pub(crate) fn explain(
        &self,
        rule_id: &str,
        mut group: AlertGroup,
    ) -> Result<Option<Explanation>> {
        let now = self.clock.read().steady;
        let view = self.published.loaded(&self.store)?;
        let Some(rule) = view.rule(rule_id).cloned() else { return Ok(None) };
        group.period = group.period.or_else(|| rule.condition.window.period_at(now, rule.tz));
        let key = group.key();
        let known = view.instances.get(rule_id).and_then(|groups| groups.get(&*key));
        let instance = known.map(|known| known.instance.clone()).unwrap_or_default();
        let silences = self.store.read(|reader| reader.alert_silences(now, false))?;
        let covering = silences.iter().filter(|silence| silence.covers(rule_id, &group, now));
        let shown = if rule.inactive.is_some() { RuleState::Inactive } else { instance.shown() };
        Ok(Some(Explanation {
            state: shown,
            silenced_until: covering.map(|silence| silence.silence.ends_at).max(),
            evaluations: view.traces.of(rule_id, &key),
            instance,
            group,
            rule,
        }))
    }

    /// The outcome of a change: `outcome` of the incident, or `Unknown`.
    pub(super) fn outcome(
        &self,
        incident_id: &str,
        outcome: fn(AlertIncident) -> AckOutcome,
    ) -> Result<AckOutcome> {
        let incident = self.incidents(vec![incident_id.to_owned()])?.pop();
        Ok(incident.map_or(AckOutcome::Unknown, outcome))
    }

    /// The incidents with these ids, in this order.
    pub fn incidents(&self, incident_ids: Vec<String>) -> Result<Vec<AlertIncident>> {
        if incident_ids.is_empty() {
            return Ok(Vec::new());
        }
        let limit = incident_ids.len();
        let query = IncidentQuery { incident_ids, limit, ..IncidentQuery::default() };
        let mut found = self.store.read(|reader| reader.alert_incidents(&query))?;
        let positions: FxHashMap<&str, usize> =
            query.incident_ids.iter().enumerate().map(|(position, id)| (&**id, position)).collect();
        found.sort_unstable_by_key(|incident| positions.get(&*incident.incident_id));
        Ok(found)
    }

    /// Time and value of the group's last evaluation, while this incident is open.
    pub(crate) fn current(
        &self,
        rule_id: &str,
        group: &AlertGroup,
        incident_id: &str,
    ) -> Option<(Timestamp, Option<f64>)> {
        let view = self.published.get();
        let instance = &view.instances.get(rule_id)?.get(&*group.key())?.instance;
        let is_open =
            instance.phase.is_open() && instance.incident_id.as_deref() == Some(incident_id);
        Some((instance.evaluated_at.filter(|_| is_open)?, instance.value))
    }
}

fn status(view: &MonitorView, rule: &Arc<Rule>) -> RuleStatus {
    let mut notes = view.notes.get(&rule.id).cloned().unwrap_or_default();
    let empty = GroupStates::default();
    let groups = view.instances.get(&rule.id).map_or(&empty, |groups| &**groups);
    // A group with a state has matched something.
    notes.matches_nothing &= groups.is_empty();
    let mut counts: BTreeMap<RuleState, usize> = BTreeMap::new();
    for known in groups.values() {
        *counts.entry(known.instance.shown()).or_default() += 1;
    }
    let worst = groups.values().max_by_key(|known| known.instance.shown());
    let latest = view.traces.latest(&rule.id).max_by_key(|last| last.judgement.samples);
    let has_data = latest.is_none_or(|last| last.judgement.verdict != Verdict::Insufficient);
    let shown = match worst.map(|known| known.instance.shown()) {
        _ if rule.inactive.is_some() || notes.matches_nothing => RuleState::Inactive,
        _ if notes.failures > 0 => RuleState::Error,
        Some(state) if state > RuleState::Ok => state,
        _ if has_data => RuleState::Ok,
        _ => RuleState::NoData,
    };
    let detail = rule.inactive.clone().or_else(|| {
        let truncated = notes.is_truncated.then(|| "more groups than max_groups".to_owned());
        notes.matches_nothing.then(|| "matches nothing".to_owned()).or(truncated)
    });
    // Before the first evaluation, and for an incident without data: the stored value.
    let lasting = worst.filter(|known| known.instance.phase != AlertPhase::Ok);
    let stored = lasting.and_then(|known| {
        let instance = &known.instance;
        let (value, at) = (instance.value?, instance.evaluated_at?);
        Some(LastValue { value, samples: instance.samples, at })
    });
    let last = notes.last_value.or(stored);
    RuleStatus {
        rule: Arc::clone(rule),
        state: shown,
        detail,
        counts,
        is_truncated: notes.is_truncated,
        value: last.map(|last| last.value),
        samples: last.map_or(0, |last| last.samples),
        value_at: last.map(|last| last.at),
        evaluated_at: notes.evaluated_at,
    }
}

/// A placeholder for a removed rule, filled in from its incident.
pub(super) fn placeholder_rule(rule_id: String, incident: Option<&AlertIncident>) -> Rule {
    let mut rule = Rule { id: rule_id, ..super::self_rule() };
    if let Some(AlertIncident { rule_name, severity, message, .. }) = incident {
        rule.name = rule_name.to_string();
        rule.severity = severity.to_string();
        rule.summary.clone_from(message);
    }
    rule
}

/// The changes of an acknowledgement.
pub(super) fn acknowledged(
    incident_id: &str,
    (rule_id, group_key, known): (String, String, KnownState),
    (actor, note, now): (&str, Option<&str>, Timestamp),
) -> AlertChanges {
    let phase = known.instance.phase.as_str();
    AlertChanges {
        events: vec![AlertEvent {
            incident_id: Some(incident_id.to_owned()),
            group_key: group_key.clone(),
            from_state: phase.to_owned(),
            to_state: phase.to_owned(),
            value: known.instance.value,
            samples: Some(known.instance.samples),
            events: Some(known.instance.events),
            ..AlertEvent::remark(now, &rule_id, "acknowledged", actor, note.map(str::to_owned))
        }],
        instances: vec![InstanceChange {
            rule_id,
            group_key,
            identity_hash: known.identity,
            instance: Some(known.instance),
        }],
        incident_changes: vec![IncidentChange {
            incident_id: incident_id.to_owned(),
            acked: Some((actor.to_owned(), now)),
            ..IncidentChange::default()
        }],
        ..AlertChanges::default()
    }
}
