//! The changes of one evaluation: collected, written in one transaction, then applied to the state.

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

/// Actor of automatic transitions.
const MONITOR: &str = "monitor";

/// The group that a verdict is about, and the circumstances of its evaluation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    pub(super) group: &'a AlertGroup,
    pub(super) group_key: &'a str,
    /// Hash of the rule's definition.
    pub(super) identity: &'a Arc<[u8]>,
    pub(super) at: Timestamp,
    /// Wall-clock time, even if it was set back; delivery uses the same clock.
    pub(super) now: Timestamp,
    pub(super) is_muted: bool,
    /// Receivers on which a wider alert inhibits this rule.
    pub(super) inhibited: &'a [String],
    pub(super) may_fire: bool,
    /// The group's first notification is sent no earlier.
    pub(super) send_after: Timestamp,
}

/// Who closes an incident manually, and their comment.
#[derive(Clone, Debug)]
pub(super) struct Closing {
    pub(super) actor: String,
    pub(super) comment: Option<String>,
}

/// Number of changed states after which a draft is written, to limit memory with very many groups.
/// State, history and notifications of a group are always written together.
const FLUSH_CHANGES: usize = 256;

/// Changes that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Set for a manual change; `None` for the monitor's own.
    closing: Option<Closing>,
    pub(super) changes: AlertChanges,
    /// Notifications about incidents that channels may know; their receivers are resolved before
    /// writing.
    pub(super) follow_ups: Vec<FollowUp>,
    /// Rules whose first notifications wait for others, and until when.
    pub(super) group_waits: FxHashMap<String, Timestamp>,
    /// Ids of incidents that were opened and written; only the ids, because there may be very many.
    pub(super) opened: Vec<String>,
}

/// Result of one verdict.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) after: AlertInstance,
    /// Whether the state is among the changes; otherwise it is only kept in memory.
    pub(super) is_changed: bool,
}

/// Whether a verdict leaves a plain OK alert unchanged.
fn leaves_ok(verdict: Verdict, rule: &Rule) -> bool {
    match verdict {
        Verdict::Violation => false,
        Verdict::Insufficient => rule.no_data != NoData::Fire,
        Verdict::Between | Verdict::Clear | Verdict::Failed | Verdict::Closed(_) => true,
    }
}

impl Draft {
    /// A draft for a manual change.
    pub(super) fn by(closing: Closing) -> Self {
        Self { closing: Some(closing), ..Self::default() }
    }

    /// Applies one verdict; returns `None` if the state is plain OK before and after.
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
        let excluded = self.update_withheld(rule, about, (before, &mut after), &judgement);
        let about = Circumstances { inhibited: &excluded, ..about };
        for effect in &effects {
            self.apply_effect(rule, &judgement, about, (before, &after), *effect);
        }
        self.update_peak(before, &after);
        let is_kept = !after.is_plain_ok()
            && !matches!(judgement.verdict, Verdict::Closed(reason) if reason != EndReason::Manual);
        let is_changed = match known {
            Some(_) => !is_kept || before.differs_durably(&after),
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

    /// Tracks the channels on which a wider alert inhibits the incident and notifies those that are
    /// no longer inhibited. Returns the channels that get no other notification for this verdict.
    fn update_withheld(
        &mut self,
        rule: &Rule,
        about: Circumstances<'_>,
        (before, after): (&AlertInstance, &mut AlertInstance),
        judgement: &Judgement,
    ) -> Vec<String> {
        let mut excluded = about.inhibited.to_vec();
        let is_same = before.is_announced && before.incident_id == after.incident_id;
        if after.is_announced && !is_same {
            after.withheld.clone_from(&excluded);
            return excluded;
        }
        if after.phase != AlertPhase::Firing || about.is_muted || rule.dry_run {
            return excluded;
        }
        let due = no_longer_withheld(after, about.inhibited, rule);
        if !due.is_empty() {
            excluded.extend_from_slice(&due);
            let kind = match after.flapping_since {
                Some(_) => NotificationKind::Flapping,
                None => NotificationKind::Firing,
            };
            let states = (before, &*after);
            self.follow_up(rule, about, states, kind, judgement, Audience::These(due));
        }
        excluded
    }

    /// Converts follow-ups to notifications; receivers and labels depend on what was sent before.
    pub(super) fn resolve_follow_ups(&mut self, store: &Store) -> Result<()> {
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

    /// Whether the draft should be written now.
    pub(super) fn is_full(&self) -> bool {
        self.changes.instances.len() >= FLUSH_CHANGES
    }

    fn apply_effect(
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
                // Changes between OK and pending are not part of the history.
                let quiet = [AlertPhase::Ok.as_str(), AlertPhase::Pending.as_str()];
                if quiet.contains(&from) && quiet.contains(&to) {
                    return;
                }
                let incident_id =
                    after.incident_id.as_ref().or(before.incident_id.as_ref()).cloned();
                self.add_event(
                    rule,
                    judgement,
                    (about.group_key, incident_id, at),
                    (from, to, reason),
                );
            }
            Effect::Opened => self.open(rule, judgement, about, after, at),
            Effect::Ended(reason) => {
                let Some(id) = before.incident_id.clone() else { return };
                if self.closing.is_some() && before.phase == AlertPhase::Ok {
                    // A flapping incident has no phase to leave.
                    let moved = (FLAPPING, AlertPhase::Ok.as_str(), reason.as_str());
                    self.add_event(rule, judgement, (about.group_key, Some(id.clone()), at), moved);
                }
                self.audit(rule, format!("ended: {}", reason.as_str()), at);
                self.changes.incident_changes.push(IncidentChange {
                    incident_id: id,
                    peak_value: None,
                    ended: Some((at, reason)),
                    acked: None,
                });
            }
            Effect::Notify(kind) => {
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

    /// Adds an event to the history.
    fn add_event(
        &mut self,
        rule: &Rule,
        judgement: &Judgement,
        (group_key, incident_id, at): (&str, Option<String>, Timestamp),
        (from, to, reason): (&str, &str, &str),
    ) {
        let closing = self.closing.clone();
        let (actor, note) =
            closing.map_or((MONITOR.to_owned(), None), |closing| (closing.actor, closing.comment));
        // An incident that ends because its rule or period is gone was not compared with a
        // threshold.
        let has_comparison =
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
            threshold: has_comparison.then_some(judgement.threshold),
            samples: has_comparison.then_some(judgement.samples),
            events: has_comparison.then_some(judgement.events),
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
                dry_run = rule.dry_run, "alert fired; notifications suppressed"
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

    fn update_peak(&mut self, before: &AlertInstance, after: &AlertInstance) {
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

    /// Adds a notification about an incident.
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
        // The incident change just before holds the end.
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
        let timing = Timing { now: about.now, send_after: about.send_after };
        if receivers(rule).any(|channel| timing.waits(kind, channel)) {
            self.group_waits.insert(rule.id.clone(), about.send_after);
        }
        self.follow_ups.push(FollowUp {
            message,
            is_same_rule: !is_other && rule.identity()[..] == about.identity[..],
            audience,
            timing,
        });
    }
}

/// Removes and returns the withheld channels that are no longer inhibited and that the rule still
/// names.
fn no_longer_withheld(after: &mut AlertInstance, inhibited: &[String], rule: &Rule) -> Vec<String> {
    let withheld = std::mem::take(&mut after.withheld);
    let (kept, due) = withheld.into_iter().partition(|channel| inhibited.contains(channel));
    after.withheld = kept;
    let due: Vec<String> = due;
    due.into_iter().filter(|channel| receivers(rule).any(|named| named == channel)).collect()
}

/// The figures of a notification: if the rule or period is gone, the last known value.
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
