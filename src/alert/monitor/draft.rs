//! What one evaluation is going to change: gathered first, written in one transaction, then remembered.

use std::sync::Arc;

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
use crate::store::{AlertChanges, IncidentChange, InstanceChange};

/// Who moves states by themselves.
const MONITOR: &str = "monitor";

/// Whom a verdict is about, and under which circumstances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    pub(super) group: &'a AlertGroup,
    pub(super) group_key: &'a str,
    /// What makes the rule the same rule.
    pub(super) identity: &'a Arc<[u8]>,
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

/// Changes after which they are written, so that very many groups take little memory: state, history and
/// messages of a group always stay together.
const WRITTEN_AT: usize = 256;

/// Changes that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Somebody does this; otherwise the monitor by itself.
    closing: Option<Closing>,
    pub(super) changes: AlertChanges,
    /// Rules whose first messages are held back, and until when.
    pub(super) held: FxHashMap<String, Timestamp>,
    /// Ids of incidents that began and are written: the ids alone, because they may be very many.
    pub(super) opened: Vec<String>,
}

/// What became of one verdict.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) after: AlertInstance,
    /// It is among the changes; otherwise it is worth remembering, not writing.
    pub(super) is_changed: bool,
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

    /// Takes one verdict; what became of it, unless the state is plainly ok before and after.
    pub(super) fn observe(
        &mut self,
        rule: &Rule,
        judgement: Judgement,
        about: Circumstances<'_>,
        known: Option<&Known>,
    ) -> Option<Observed> {
        if known.is_none() && leaves_ok(judgement.verdict, rule) {
            return None;
        }
        let none = AlertInstance::default();
        let before = known.map_or(&none, |known| &known.instance);
        let observation = Observation {
            at: about.at,
            group_key: about.group_key,
            judgement,
            is_muted: about.is_muted,
            may_fire: about.may_fire,
        };
        let (after, effects) = step(before, &observation, rule);
        for effect in &effects {
            self.take(rule, &judgement, about, (before, &after), *effect);
        }
        self.note_peak(before, &after);
        let is_kept = !after.is_plain_ok()
            && !matches!(judgement.verdict, Verdict::Closed(reason) if reason != EndReason::Manual);
        let is_changed = match known {
            Some(_) => !is_kept || before.differs_lastingly(&after),
            None => is_kept,
        };
        if is_changed {
            self.changes.instances.push(InstanceChange {
                rule_id: rule.id.clone(),
                group_key: about.group_key.to_owned(),
                identity_hash: known
                    .map_or_else(|| Arc::clone(about.identity), |known| known.identity.clone()),
                instance: is_kept.then(|| after.clone()),
            });
        }
        Some(Observed { after, is_changed })
    }

    /// So much has gathered that it is time to write it.
    pub(super) fn is_full(&self) -> bool {
        self.changes.instances.len() >= WRITTEN_AT
    }

    fn take(
        &mut self,
        rule: &Rule,
        judgement: &Judgement,
        about: Circumstances<'_>,
        (before, after): (&AlertInstance, &AlertInstance),
        effect: Effect,
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
                let Some(id) = before.incident_id.clone() else { return };
                if self.closing.is_some() && before.phase == AlertPhase::Ok {
                    // It is flapping and moves nowhere.
                    let moved = (FLAPPING, AlertPhase::Ok.as_str(), reason.as_str());
                    self.note(rule, judgement, (about.group_key, Some(id.clone()), at), moved);
                }
                self.audit(rule, format!("ended: {}", reason.as_str()), at);
                self.changes.incident_changes.push(IncidentChange {
                    incident_id: id,
                    peak_value: None,
                    ended: Some((at, reason)),
                    acked: None,
                });
            }
            Effect::Tell(kind) => {
                let fired_at = after.fired_at.or(before.fired_at);
                let (Some(id), Some(fired_at)) = (incident_id, fired_at) else { return };
                let incident = (id.as_str(), fired_at);
                self.tell(rule, about, incident, kind, judgement, at);
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
        // What ends because its rule or period is gone was not held against anything.
        let is_held_against =
            judgement.value.is_some() || !matches!(judgement.verdict, Verdict::Closed(_));
        self.changes.events.push(AlertEvent {
            at,
            incident_id,
            rule_id: rule.id.clone(),
            group_key: group_key.to_owned(),
            from_state: from.to_owned(),
            to_state: to.to_owned(),
            reason: reason.to_owned(),
            value: judgement.value,
            threshold: is_held_against.then_some(judgement.threshold),
            samples: is_held_against.then_some(judgement.samples),
            events: is_held_against.then_some(judgement.events),
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
            rule_id: rule.id.as_str().into(),
            rule_name: rule.name.as_str().into(),
            group: about.group.clone(),
            metric: rule.metric.name().into(),
            operator: rule.condition.operator.as_str().into(),
            threshold: judgement.threshold,
            severity: rule.severity.as_str().into(),
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
        self.audit(rule, incident.message.clone(), at);
        self.changes.incidents.push(incident);
    }

    fn audit(&mut self, rule: &Rule, detail: String, at: Timestamp) {
        self.changes.audit.push(AuditEntry {
            at,
            actor: Name::from(self.closing.as_ref().map_or("system", |closing| &*closing.actor)),
            action: AuditAction::Alert,
            target: Some(rule.id.clone()),
            detail: Some(detail),
        });
    }

    fn note_peak(&mut self, before: &AlertInstance, after: &AlertInstance) {
        let is_same_incident = before.incident_id == after.incident_id;
        let (Some(id), Some(_)) = (&after.incident_id, after.peak_value) else { return };
        if is_same_incident && before.peak_value != after.peak_value {
            self.changes.incident_changes.push(IncidentChange {
                incident_id: id.clone(),
                peak_value: after.peak_value,
                ended: None,
                acked: None,
            });
        }
    }

    fn tell(
        &mut self,
        rule: &Rule,
        about: Circumstances<'_>,
        (incident_id, fired_at): (&str, Timestamp),
        kind: NotificationKind,
        judgement: &Judgement,
        at: Timestamp,
    ) {
        // The end comes just before the word of it.
        let last = self.changes.incident_changes.last().filter(|_| kind.is_end());
        let ended = last.and_then(|change| change.ended).map(|(_, reason)| reason);
        let incident = (incident_id, fired_at);
        let mut message = notification(rule, about.group, incident, kind, judgement, at, ended);
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
                id: message_id(incident_id, channel, kind, at),
                incident_id: incident_id.to_owned(),
                channel: channel.to_owned(),
                kind: kind.as_str().to_owned(),
                created_at: about.now,
                not_before: if is_held { about.hold_until } else { about.now },
                payload: payload.clone(),
            });
        }
    }
}
