//! What one evaluation is going to change: gathered first, written in one transaction, then remembered.

use rustc_hash::FxHashMap;

use super::state::Known;
use crate::alert::notification::{NotificationKind, message_id};
use crate::alert::observation::{Judgement, Observation, Verdict};
use crate::alert::step::{Effect, FLAPPING, step};
use crate::alert::summary::{notification, summary};
use crate::config::LOG_CHANNEL;
use crate::model::alert::{
    AlertEvent, AlertGroup, AlertIncident, AlertInstance, AlertPhase, EndReason, NoData,
    OutgoingAlert, Rule,
};
use crate::model::{AuditAction, AuditEntry, Name, Timestamp};
use crate::store::{AlertChanges, InstanceChange};

/// Who moves states by themselves.
const MONITOR: &str = "monitor";

/// Whom a verdict is about, and under which circumstances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    pub(super) group: &'a AlertGroup,
    pub(super) group_key: &'a str,
    pub(super) at: Timestamp,
    /// What the clock says, though it stepped back: delivery waits by the same clock.
    pub(super) now: Timestamp,
    pub(super) is_muted: bool,
    pub(super) may_fire: bool,
    /// What is told first about the group goes out no earlier.
    pub(super) hold_until: Timestamp,
}

/// Who closes an incident by hand, and what they have to say.
#[derive(Clone, Debug)]
pub(super) struct Closing {
    pub(super) actor: String,
    pub(super) comment: Option<String>,
}

/// Changes that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Somebody does this; otherwise the monitor by itself.
    closing: Option<Closing>,
    pub(super) changes: AlertChanges,
    /// Incidents that changed, by id.
    incidents: FxHashMap<String, AlertIncident>,
    /// Rules whose first messages are held back, and until when.
    pub(super) held: FxHashMap<String, Timestamp>,
    /// Ids of incidents that began.
    pub(super) opened: Vec<String>,
}

/// Whether a verdict leaves a plainly ok alert as it is.
fn leaves_ok(verdict: Verdict, rule: &Rule) -> bool {
    match verdict {
        Verdict::Violation => false,
        Verdict::Insufficient => rule.no_data != NoData::Fire,
        Verdict::Between | Verdict::Clear | Verdict::Failed | Verdict::Closed(_) => true,
    }
}

impl Draft {
    /// What somebody changes by hand.
    pub(super) fn by(closing: Closing) -> Self {
        Self { closing: Some(closing), ..Self::default() }
    }

    /// Takes one verdict; the state after it, unless it is plainly ok before and after.
    pub(super) fn observe(
        &mut self,
        rule: &Rule,
        judgement: Judgement,
        about: Circumstances<'_>,
        known: Option<&Known>,
        open: &FxHashMap<String, AlertIncident>,
    ) -> Option<AlertInstance> {
        if known.is_none() && leaves_ok(judgement.verdict, rule) {
            return None;
        }
        let before = known.map(|known| known.instance.clone()).unwrap_or_default();
        let observation = Observation {
            at: about.at,
            group_key: about.group_key,
            judgement,
            is_muted: about.is_muted,
            may_fire: about.may_fire,
        };
        let (after, effects) = step(&before, &observation, rule);
        for effect in &effects {
            self.take(rule, &judgement, about, (&before, &after), *effect, open);
        }
        self.note_peak(&after, open);
        let is_kept = !after.is_plain_ok()
            && !matches!(judgement.verdict, Verdict::Closed(reason) if reason != EndReason::Manual);
        if is_kept || known.is_some() {
            self.changes.instances.push(InstanceChange {
                rule_id: rule.id.clone(),
                group_key: about.group_key.to_owned(),
                identity_hash: known
                    .map_or_else(|| rule.identity(), |known| known.identity.clone()),
                instance: is_kept.then(|| after.clone()),
            });
        }
        Some(after)
    }

    fn take(
        &mut self,
        rule: &Rule,
        judgement: &Judgement,
        about: Circumstances<'_>,
        (before, after): (&AlertInstance, &AlertInstance),
        effect: Effect,
        open: &FxHashMap<String, AlertIncident>,
    ) {
        let at = after.evaluated_at.unwrap_or(about.at);
        let incident_id = after.incident_id.as_ref().or(before.incident_id.as_ref());
        match effect {
            Effect::Moved { from, to, reason } => {
                // What comes and goes below the line is not history.
                let quiet = [AlertPhase::Ok.as_str(), AlertPhase::Pending.as_str()];
                if quiet.contains(&from) && quiet.contains(&to) {
                    return;
                }
                let incident_id = incident_id.cloned();
                self.note(rule, judgement, (about.group_key, incident_id, at), (from, to, reason));
            }
            Effect::Opened => self.open(rule, judgement, about, after, at),
            Effect::Ended(reason) => {
                let Some(incident) = incident_id.and_then(|id| self.incident(id, open)) else {
                    return;
                };
                incident.ended_at = Some(at);
                incident.end_reason = Some(reason);
                let incident = incident.clone();
                if self.closing.is_some() && before.phase == AlertPhase::Ok {
                    // It is flapping and moves nowhere.
                    let ok = AlertPhase::Ok.as_str();
                    let id = Some(incident.incident_id.clone());
                    let moved = (FLAPPING, ok, reason.as_str());
                    self.note(rule, judgement, (about.group_key, id, at), moved);
                }
                self.audit(&incident, &format!("ended: {}", reason.as_str()), at);
            }
            Effect::Tell(kind) => {
                let Some(incident) = incident_id.and_then(|id| self.incident(id, open)) else {
                    return;
                };
                let incident = incident.clone();
                self.tell(rule, &incident, kind, judgement, (at, about));
            }
        }
    }

    /// A line of the history.
    fn note(
        &mut self,
        rule: &Rule,
        judgement: &Judgement,
        (group_key, incident_id, at): (&str, Option<String>, Timestamp),
        (from, to, reason): (&str, &str, &str),
    ) {
        let closing = self.closing.clone();
        let (actor, note) =
            closing.map_or((MONITOR.to_owned(), None), |closing| (closing.actor, closing.comment));
        self.changes.events.push(AlertEvent {
            at,
            incident_id,
            rule_id: rule.id.clone(),
            group_key: group_key.to_owned(),
            from_state: from.to_owned(),
            to_state: to.to_owned(),
            reason: reason.to_owned(),
            value: judgement.value,
            threshold: Some(judgement.threshold),
            samples: Some(judgement.samples),
            events: Some(judgement.events),
            actor,
            note,
        });
    }

    fn open(
        &mut self,
        rule: &Rule,
        judgement: &Judgement,
        about: Circumstances<'_>,
        after: &AlertInstance,
        at: Timestamp,
    ) {
        let Some(incident_id) = after.incident_id.clone() else { return };
        let incident = AlertIncident {
            incident_id: incident_id.clone(),
            rule_id: rule.id.clone(),
            rule_name: rule.name.clone(),
            group: about.group.clone(),
            metric: rule.metric.name(),
            operator: rule.condition.operator.as_str().to_owned(),
            threshold: judgement.threshold,
            severity: rule.severity.clone(),
            message: summary(rule, about.group, judgement),
            fired_at: at,
            value: judgement.value,
            peak_value: judgement.value,
            samples: judgement.samples,
            events: judgement.events,
            ended_at: None,
            end_reason: None,
            acked_by: None,
            acked_at: None,
            is_dry_run: rule.dry_run,
        };
        if about.is_muted || rule.dry_run {
            tracing::info!(
                rule = %rule.id, group = %about.group, value = ?judgement.value,
                threshold = judgement.threshold, samples = judgement.samples, at = %at,
                dry_run = rule.dry_run, "an alert fired; nobody is told"
            );
        }
        self.audit(&incident, &incident.message, at);
        self.opened.push(incident_id.clone());
        self.incidents.insert(incident_id, incident);
    }

    fn audit(&mut self, incident: &AlertIncident, detail: &str, at: Timestamp) {
        self.changes.audit.push(AuditEntry {
            at,
            actor: Name::from(self.closing.as_ref().map_or("system", |closing| &*closing.actor)),
            action: AuditAction::Alert,
            target: Some(incident.rule_id.clone()),
            detail: Some(detail.to_owned()),
        });
    }

    /// The incident as it is going to be.
    fn incident(
        &mut self,
        incident_id: &str,
        open: &FxHashMap<String, AlertIncident>,
    ) -> Option<&mut AlertIncident> {
        if !self.incidents.contains_key(incident_id) {
            let incident = open.get(incident_id)?.clone();
            self.incidents.insert(incident_id.to_owned(), incident);
        }
        self.incidents.get_mut(incident_id)
    }

    fn note_peak(&mut self, after: &AlertInstance, open: &FxHashMap<String, AlertIncident>) {
        let Some(id) = &after.incident_id else { return };
        let is_known = open.get(id).is_some_and(|incident| incident.peak_value == after.peak_value);
        if is_known || after.peak_value.is_none() {
            return;
        }
        let peak_value = after.peak_value;
        if let Some(incident) = self.incident(id, open) {
            incident.peak_value = peak_value;
        }
    }

    fn tell(
        &mut self,
        rule: &Rule,
        incident: &AlertIncident,
        kind: NotificationKind,
        judgement: &Judgement,
        (at, about): (Timestamp, Circumstances<'_>),
    ) {
        let ended = incident.end_reason;
        let mut message = notification(rule, incident, kind, judgement, at, ended);
        if let Some(Closing { actor, comment }) = &self.closing {
            message.closed_by = Some(actor.clone());
            message.comment.clone_from(comment);
        }
        let Ok(payload) = serde_json::to_string(&message) else { return };
        for channel in std::iter::once(LOG_CHANNEL).chain(rule.channels.iter().map(String::as_str))
        {
            // The log joins nothing, and keeps nobody awake.
            let is_held = kind == NotificationKind::Firing
                && channel != LOG_CHANNEL
                && about.hold_until > about.now;
            if is_held {
                self.held.insert(rule.id.clone(), about.hold_until);
            }
            self.changes.messages.push(OutgoingAlert {
                id: message_id(&incident.incident_id, channel, kind, at),
                incident_id: incident.incident_id.clone(),
                channel: channel.to_owned(),
                kind: kind.as_str().to_owned(),
                created_at: about.now,
                not_before: if is_held { about.hold_until } else { about.now },
                payload: payload.clone(),
            });
        }
    }

    /// The changes, whole, and the incidents among them.
    pub(super) fn finish(mut self) -> (AlertChanges, Vec<String>) {
        self.changes.incidents = self.incidents.into_values().collect();
        (self.changes, self.opened)
    }
}
