//! The changes of one evaluation: collected, written in one transaction, then applied to the state.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::noted::MONITOR;
use super::receivers::{Audience, FollowUp, Timing, outgoing, receivers};
use super::view::KnownState;
use crate::alert::notification::NotificationKind;
use crate::alert::observation::{Judgement, Observation, Verdict};
use crate::alert::step::{Effect, FLAPPING, is_quiet_move, step};
use crate::alert::summary::{notification, summary};
use crate::error::Result;
use crate::model::alert::{
    AlertEvent, AlertGroup, AlertIncident, AlertInstance, AlertPhase, EndReason, Rule,
};
use crate::model::{AuditAction, AuditEntry, Name, Timestamp};
use crate::store::{AlertChanges, IncidentChange, InstanceChange, Store};

/// Number of changed states after which a draft is written, to limit memory with very many groups.
/// State, history and notifications of a group are always written together.
const FLUSH_CHANGES: usize = 256;

/// The group that a verdict is about, and the circumstances of its evaluation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    pub(super) group: &'a AlertGroup,
    pub(super) group_key: &'a str,
    /// Hash of the rule's definition.
    pub(super) identity: &'a Arc<[u8]>,
    pub(super) at: Timestamp,
    /// By the wall clock, even if it was set back; delivery uses the same clock.
    pub(super) timing: Timing,
    pub(super) is_muted: bool,
    /// Receivers on which a wider alert inhibits this rule.
    pub(super) inhibited: &'a [String],
    pub(super) may_fire: bool,
}

impl<'a> Circumstances<'a> {
    /// The circumstances of a group that is closed at `now`: channels are notified of its end at
    /// once, nothing fires, and no wider alert inhibits it.
    pub(super) const fn closing(
        group: &'a AlertGroup,
        group_key: &'a str,
        identity: &'a Arc<[u8]>,
        now: Timestamp,
    ) -> Self {
        Self {
            group,
            group_key,
            identity,
            at: now,
            timing: Timing { now, send_after: now },
            is_muted: false,
            inhibited: &[],
            may_fire: false,
        }
    }
}

/// Who closes an incident manually, and their comment.
#[derive(Clone, Debug)]
pub(super) struct Closing {
    pub(super) actor: String,
    pub(super) comment: Option<String>,
}

/// Changes that are not written yet.
#[derive(Debug, Default)]
pub(super) struct AlertDraft {
    /// Set for a manual change; `None` for the monitor's own.
    pub(super) closing: Option<Closing>,
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

/// A verdict about a group, and the group's state before and after it.
#[derive(Clone, Copy, Debug)]
struct Transition<'a> {
    rule: &'a Rule,
    about: Circumstances<'a>,
    judgement: &'a Judgement,
    before: &'a AlertInstance,
    after: &'a AlertInstance,
    /// Channels that effects other than an end do not notify: inhibited ones, and those that are
    /// notified because they are no longer inhibited.
    excluded: &'a [String],
}

impl Transition<'_> {
    fn at(&self) -> Timestamp {
        self.after.evaluated_at.unwrap_or(self.about.at)
    }

    /// The incident that is open, or has just ended.
    fn incident_id(&self) -> Option<&String> {
        self.after.incident_id.as_ref().or(self.before.incident_id.as_ref())
    }

    /// The figures of a notification: if the rule or period is gone, the last known value.
    fn figures(&self) -> Judgement {
        use EndReason::{PeriodEnded, RuleChanged, RuleRemoved};
        match self.judgement.verdict {
            Verdict::Closed(PeriodEnded | RuleRemoved | RuleChanged) => Judgement {
                value: self.before.value,
                samples: self.before.samples,
                events: self.before.events,
                ..*self.judgement
            },
            _ => *self.judgement,
        }
    }
}

impl AlertDraft {
    /// Applies one verdict; returns `None` if the state is plain OK before and after.
    pub(super) fn observe(
        &mut self,
        rule: &Rule,
        judgement: Judgement,
        about: Circumstances<'_>,
        known: Option<&KnownState>,
    ) -> Option<Observed> {
        if known.is_none() && judgement.verdict.needs_no_state(rule) {
            return None;
        }
        let none = AlertInstance::default();
        let before = known.map_or(&none, |known| &known.instance);
        let Circumstances { at, group_key, is_muted, may_fire, .. } = about;
        let observation = Observation { at, group_key, judgement, is_muted, may_fire };
        let (mut after, effects) = step(before, &observation, rule);
        let released = release_withheld(rule, about, before, &mut after);
        let excluded = &[about.inhibited, &released[..]].concat();
        let change =
            Transition { rule, about, judgement: &judgement, before, after: &after, excluded };
        if !released.is_empty() {
            let kind = match after.flapping_since {
                Some(_) => NotificationKind::Flapping,
                None => NotificationKind::Firing,
            };
            self.follow_up(change, kind, Audience::These(released));
        }
        for effect in effects {
            self.apply_effect(change, effect);
        }
        self.update_peak(change);
        let is_kept = !after.is_plain_ok()
            && !matches!(judgement.verdict, Verdict::Closed(reason) if reason != EndReason::Manual);
        let is_changed = match known {
            Some(_) => !is_kept || before.differs_durably(&after),
            None => is_kept,
        };
        if is_changed {
            let identity = known.map_or(about.identity, |known| &known.identity);
            self.changes.instances.push(InstanceChange {
                rule_id: rule.id.clone(),
                group_key: group_key.to_owned(),
                identity_hash: Arc::clone(identity),
                instance: is_kept.then(|| after.clone()),
            });
        }
        Some(Observed { after, is_changed })
    }

    /// Closes the state of a group whose rule changed or is gone.
    pub(super) fn close(
        &mut self,
        rule: &Rule,
        (group_key, known): (&str, &KnownState),
        reason: EndReason,
        (at, now): (Timestamp, Timestamp),
    ) {
        let group = AlertGroup::parse_key(group_key).unwrap_or_default();
        let closing = Circumstances::closing(&group, group_key, &known.identity, now);
        let about = Circumstances { at, is_muted: true, ..closing };
        let closed = Judgement::bare(Verdict::Closed(reason), rule.threshold_of(&group));
        self.observe(rule, closed, about, Some(known));
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

    fn apply_effect(&mut self, change: Transition<'_>, effect: Effect) {
        match effect {
            Effect::Moved { from, to, .. } if is_quiet_move(from, to) => {}
            Effect::Moved { from, to, reason } => self.add_event(change, (from, to, reason)),
            Effect::Opened => self.open(change),
            Effect::Ended(reason) => self.end(change, reason),
            Effect::Notify(kind) => {
                let all = receivers(change.rule).map(str::to_owned);
                let audience = if kind.is_end() {
                    Audience::Notified(all.collect())
                } else {
                    let is_due = |channel: &String| !change.excluded.contains(channel);
                    Audience::These(all.filter(is_due).collect())
                };
                self.follow_up(change, kind, audience);
            }
        }
    }

    /// Adds an event to the history.
    fn add_event(&mut self, change: Transition<'_>, (from, to, reason): (&str, &str, &str)) {
        let (actor, note) = match &self.closing {
            Some(closing) => (&*closing.actor, closing.comment.clone()),
            None => (MONITOR, None),
        };
        let judgement = change.judgement;
        // An incident that ends because its rule or period is gone was not compared with a
        // threshold.
        let has_comparison =
            judgement.value.is_some() || !matches!(judgement.verdict, Verdict::Closed(_));
        self.changes.events.push(AlertEvent {
            incident_id: change.incident_id().cloned(),
            group_key: change.about.group_key.to_owned(),
            from_state: from.to_owned(),
            to_state: to.to_owned(),
            value: judgement.value,
            threshold: has_comparison.then_some(judgement.threshold),
            samples: has_comparison.then_some(judgement.samples),
            events: has_comparison.then_some(judgement.events),
            ..AlertEvent::remark(change.at(), &change.rule.id, reason, actor, note)
        });
    }

    fn open(&mut self, change: Transition<'_>) {
        let Transition { rule, about, judgement, after, .. } = change;
        let Some(incident_id) = after.incident_id.clone() else { return };
        let at = change.at();
        let incident = AlertIncident {
            incident_id,
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

    fn end(&mut self, change: Transition<'_>, reason: EndReason) {
        let Some(incident_id) = change.before.incident_id.clone() else { return };
        let at = change.at();
        if self.closing.is_some() && change.before.phase == AlertPhase::Ok {
            // A flapping incident has no phase to leave.
            self.add_event(change, (FLAPPING, AlertPhase::Ok.as_str(), reason.as_str()));
        }
        self.audit(change.rule, format!("ended: {}", reason.as_str()), at);
        let ended = Some((at, reason));
        let change = IncidentChange { incident_id, ended, ..IncidentChange::default() };
        self.changes.incident_changes.push(change);
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

    fn update_peak(&mut self, Transition { before, after, .. }: Transition<'_>) {
        let is_same_incident = before.incident_id == after.incident_id;
        let (Some(id), Some(_)) = (&after.incident_id, after.peak_value) else { return };
        if is_same_incident && before.peak_value != after.peak_value {
            self.changes.incident_changes.push(IncidentChange {
                incident_id: id.clone(),
                peak_value: after.peak_value,
                ..IncidentChange::default()
            });
        }
    }

    /// Adds a notification about an incident.
    fn follow_up(&mut self, change: Transition<'_>, kind: NotificationKind, audience: Audience) {
        let Transition { rule, about, before, after, .. } = change;
        let fired_at = after.fired_at.or(before.fired_at);
        let (Some(incident_id), Some(fired_at)) = (change.incident_id(), fired_at) else { return };
        // The incident change just before holds the end.
        let last = self.changes.incident_changes.last().filter(|_| kind.is_end());
        let ended = last.and_then(|change| change.ended).map(|(_, reason)| reason);
        let incident = (incident_id.as_str(), fired_at);
        let (figures, at) = (change.figures(), change.at());
        let mut message = notification(rule, about.group, incident, kind, &figures, at, ended);
        if let Some(Closing { actor, comment }) = &self.closing {
            message.closed_by = Some(actor.clone());
            message.comment.clone_from(comment);
        }
        let is_other = matches!(ended, Some(EndReason::RuleRemoved | EndReason::RuleChanged));
        let timing = about.timing;
        if receivers(rule).any(|channel| timing.waits(kind, channel)) {
            self.group_waits.insert(rule.id.clone(), timing.send_after);
        }
        self.follow_ups.push(FollowUp {
            message,
            is_same_rule: !is_other && rule.identity()[..] == about.identity[..],
            audience,
            timing,
        });
    }
}

/// Tracks the channels on which a wider alert inhibits the incident. Removes and returns those that
/// are no longer inhibited and that the rule still names; they are notified.
fn release_withheld(
    rule: &Rule,
    about: Circumstances<'_>,
    before: &AlertInstance,
    after: &mut AlertInstance,
) -> Vec<String> {
    let is_same = before.is_announced && before.incident_id == after.incident_id;
    if after.is_announced && !is_same {
        after.withheld = about.inhibited.to_vec();
        return Vec::new();
    }
    if after.phase != AlertPhase::Firing || about.is_muted || rule.dry_run {
        return Vec::new();
    }
    let withheld = std::mem::take(&mut after.withheld);
    let (kept, mut released): (Vec<_>, Vec<_>) =
        withheld.into_iter().partition(|channel| about.inhibited.contains(channel));
    after.withheld = kept;
    released.retain(|channel| receivers(rule).any(|named| named == channel));
    released
}
