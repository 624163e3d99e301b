//! What one evaluation is going to change: gathered first, written in one transaction, then remembered.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::receivers::{Audience, FollowUp, Timing, outgoing, receivers};
use super::state::Known;
use crate::alert::notification::NotificationKind;
use crate::alert::observation::{Judgement, Observation, Verdict};
use crate::alert::step::{Effect, FLAPPING, step};
use crate::alert::summary::{notification, summary};
use crate::error::Result;
use crate::model::alert::{
    AlertEvent, AlertGroup, AlertIncident, AlertInstance, AlertPhase, EndReason, NoData, Rule,
};
use crate::model::{AuditAction, AuditEntry, Name, Timestamp};
use crate::store::{AlertChanges, IncidentChange, InstanceChange, Store};

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
    /// Receivers of the rule on which a wider alert inhibits it.
    pub(super) inhibited: &'a [String],
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
    /// Messages about incidents that channels may know: what they know is looked up before the changes are written.
    pub(super) follow_ups: Vec<FollowUp>,
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
        let (mut after, effects) = step(before, &observation, rule);
        let left_out = self.withhold(rule, about, (before, &mut after), &judgement);
        let about = Circumstances { inhibited: &left_out, ..about };
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

    /// Keeps track of the channels on which a wider alert inhibits the incident, and notifies those on which none does any
    /// more; the channels that get no other message by this verdict.
    fn withhold(
        &mut self,
        rule: &Rule,
        about: Circumstances<'_>,
        (before, after): (&AlertInstance, &mut AlertInstance),
        judgement: &Judgement,
    ) -> Vec<String> {
        let mut left_out = about.inhibited.to_vec();
        let is_same = before.is_announced && before.incident_id == after.incident_id;
        if after.is_announced && !is_same {
            after.withheld.clone_from(&left_out);
            return left_out;
        }
        if after.phase != AlertPhase::Firing || about.is_muted || rule.dry_run {
            return left_out;
        }
        let due = no_longer_withheld(after, about.inhibited, rule);
        if !due.is_empty() {
            left_out.extend_from_slice(&due);
            let kind = match after.flapping_since {
                Some(_) => NotificationKind::Flapping,
                None => NotificationKind::Firing,
            };
            let states = (before, &*after);
            self.follow_up(rule, about, states, kind, judgement, Audience::These(due));
        }
        left_out
    }

    /// Makes messages of the follow-ups: receivers and identity depend on what was sent before.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn address(&mut self, store: &Store) -> Result<()> {
        if self.follow_ups.is_empty() {
            return Ok(());
        }
        let began = |id: &str| self.changes.incidents.iter().any(|new| new.incident_id == id);
        let ids = self.follow_ups.iter().map(|follow_up| &follow_up.message.incident_id);
        let known: Vec<String> = ids.filter(|id| !began(id)).cloned().collect();
        let first = match known.is_empty() {
            true => Vec::new(),
            false => store.read(|reader| reader.first_messages(&known))?,
        };
        self.changes.messages.extend(outgoing(&self.follow_ups, &first));
        self.follow_ups.clear();
        Ok(())
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
        match effect {
            Effect::Moved { from, to, reason } => {
                // What comes and goes below the line is not history.
                let quiet = [AlertPhase::Ok.as_str(), AlertPhase::Pending.as_str()];
                if quiet.contains(&from) && quiet.contains(&to) {
                    return;
                }
                let incident_id =
                    after.incident_id.as_ref().or(before.incident_id.as_ref()).cloned();
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
                let all = receivers(rule).map(str::to_owned);
                let audience = match kind.is_end() {
                    true => Audience::Notified(all.collect()),
                    false => Audience::These(
                        all.filter(|channel| !about.inhibited.contains(channel)).collect(),
                    ),
                };
                let states = (before, after);
                self.follow_up(rule, about, states, kind, judgement, audience);
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

    /// Notes that a message about the incident is due.
    fn follow_up(
        &mut self,
        rule: &Rule,
        about: Circumstances<'_>,
        (before, after): (&AlertInstance, &AlertInstance),
        kind: NotificationKind,
        judgement: &Judgement,
        audience: Audience,
    ) {
        let at = after.evaluated_at.unwrap_or(about.at);
        let incident_id = after.incident_id.as_ref().or(before.incident_id.as_ref());
        let fired_at = after.fired_at.or(before.fired_at);
        let (Some(incident_id), Some(fired_at)) = (incident_id, fired_at) else { return };
        // The end comes just before the word of it.
        let last = self.changes.incident_changes.last().filter(|_| kind.is_end());
        let ended = last.and_then(|change| change.ended).map(|(_, reason)| reason);
        let incident = (incident_id.as_str(), fired_at);
        let judgement = last_seen(rule, about.group, judgement, before);
        let mut message = notification(rule, about.group, incident, kind, &judgement, at, ended);
        if let Some(Closing { actor, comment }) = &self.closing {
            message.closed_by = Some(actor.clone());
            message.comment.clone_from(comment);
        }
        let is_other = matches!(ended, Some(EndReason::RuleRemoved | EndReason::RuleChanged));
        let timing = Timing { now: about.now, hold_until: about.hold_until };
        if receivers(rule).any(|channel| timing.holds(kind, channel)) {
            self.held.insert(rule.id.clone(), about.hold_until);
        }
        self.follow_ups.push(FollowUp {
            message,
            is_same_rule: !is_other && rule.identity()[..] == about.identity[..],
            audience,
            timing,
        });
    }
}

/// Removes and returns the withheld channels that no wider alert inhibits any more and that the rule still names.
fn no_longer_withheld(after: &mut AlertInstance, inhibited: &[String], rule: &Rule) -> Vec<String> {
    let withheld = std::mem::take(&mut after.withheld);
    let (kept, due) = withheld.into_iter().partition(|channel| inhibited.contains(channel));
    after.withheld = kept;
    let due: Vec<String> = due;
    due.into_iter().filter(|channel| receivers(rule).any(|named| named == channel)).collect()
}

/// What a message says of the value: what ends because its rule or period is gone is told with the last value that
/// was seen.
fn last_seen(
    rule: &Rule,
    group: &AlertGroup,
    judgement: &Judgement,
    before: &AlertInstance,
) -> Judgement {
    use EndReason::{PeriodEnded, RuleChanged, RuleRemoved};
    match judgement.verdict {
        Verdict::Closed(PeriodEnded | RuleRemoved | RuleChanged) => Judgement {
            value: before.value,
            threshold: rule.threshold_of(group),
            samples: before.samples,
            events: before.events,
            ..*judgement
        },
        _ => *judgement,
    }
}
