//! The state machine of one rule and group, purely: state and observation in, state and effects out.
//!
//! ```text
//!           violation                   as often as `consecutive`
//!   ok ----------------> pending ---------------------------------> firing <------------+
//!    ^  no violation        |                                          | clear          | not clear
//!    +----------------------+                                          v                |
//!    +--------------------------------------------------------- recovering -------------+
//!                          as often as `clear_consecutive`
//! ```
//!
//! Beside the phase: too little data leaves everything as it is (unless the rule says otherwise), a
//! failed evaluation freezes it, and an alert that fires and ends too often is `flapping`: it stays one
//! incident, and nobody is told more until it has been quiet for an hour.

use super::notification::NotificationKind;
use super::observation::{Observation, Verdict};
use crate::model::Timestamp;
use crate::model::alert::{AlertIncident, AlertInstance, AlertPhase, EndReason, NoData, Rule};
use crate::model::time::{HOUR_MS, MINUTE_MS};

/// A longer time between two evaluations is not time without data: nobody looked.
const GAP_MS: i64 = 5 * MINUTE_MS;
/// After a longer time without evaluations, violations before it say nothing about now.
const OUTAGE_TOLERANCE_MS: i64 = 15 * MINUTE_MS;
/// More transitions than this within [`FLAP_WINDOW_MS`] are flapping.
const FLAP_TRANSITIONS: usize = 6;
/// Transitions are remembered so long; as much quiet ends flapping.
const FLAP_WINDOW_MS: i64 = HOUR_MS;
/// The least time between two evaluations, when the wall clock steps back.
const CLOCK_STEP_MS: i64 = 1_000;

/// What is to be done about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The phase changed, or flapping began or ended.
    Moved {
        /// Before.
        from: &'static str,
        /// After.
        to: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// An incident began.
    Opened,
    /// The incident ended.
    Ended(EndReason),
    /// A notification is due: of an end to the channels that were notified of the incident, else to the rule's channels.
    Tell(NotificationKind),
}

/// The word for an alert that fires and ends too often.
pub(super) const FLAPPING: &str = "flapping";

/// One evaluation: the state after it, and what is to be done, in order.
///
/// The instant of the step is `observation.at`, or one second after the last step when the wall clock
/// has gone back; it is the new state's `evaluated_at`.
pub fn step(
    state: &AlertInstance,
    observation: &Observation<'_>,
    rule: &Rule,
) -> (AlertInstance, Vec<Effect>) {
    let at = match state.evaluated_at {
        Some(last) if observation.at <= last => last.plus_ms(CLOCK_STEP_MS),
        _ => observation.at,
    };
    let mut next =
        Step { state: state.clone(), effects: Vec::new(), ended: None, at, observation, rule };
    next.pass_time(state.evaluated_at);
    next.state.evaluated_at = Some(at);
    if observation.judgement.verdict == Verdict::Failed {
        next.state.failed_evaluations = next.state.failed_evaluations.saturating_add(1);
        return (next.state, next.effects);
    }
    next.state.failed_evaluations = 0;
    next.take_figures();
    next.judge();
    next.calm_down();
    next.tell();
    (next.state, next.effects)
}

/// Notes that somebody takes care of an open incident: no more reminders. `false` when none is open.
pub fn acknowledge(state: &mut AlertInstance, actor: &str, at: Timestamp) -> bool {
    if state.incident_id.is_none() {
        return false;
    }
    state.acked_by = Some(actor.to_owned());
    state.acked_at = Some(at);
    true
}

struct Step<'a> {
    state: AlertInstance,
    effects: Vec<Effect>,
    /// The incident that was announced and ended in this step.
    ended: Option<EndReason>,
    at: Timestamp,
    observation: &'a Observation<'a>,
    rule: &'a Rule,
}

fn elapsed_ms(from: Timestamp, to: Timestamp) -> i64 {
    to.as_unix_ms().saturating_sub(from.as_unix_ms())
}

impl Step<'_> {
    /// Time in which nobody looked counts for nothing.
    fn pass_time(&mut self, last: Option<Timestamp>) {
        let gap_ms = last.map_or(0, |last| elapsed_ms(last, self.at));
        if gap_ms > GAP_MS {
            self.state.no_data_since = self.state.no_data_since.map(|since| since.plus_ms(gap_ms));
        }
        if gap_ms > OUTAGE_TOLERANCE_MS && self.state.phase == AlertPhase::Pending {
            self.leave_pending("not_evaluated");
        }
        let horizon = self.at.plus_ms(-FLAP_WINDOW_MS);
        self.state.transitions.retain(|transition| *transition > horizon);
    }

    fn take_figures(&mut self) {
        let judgement = &self.observation.judgement;
        if matches!(judgement.verdict, Verdict::Closed(_)) {
            return;
        }
        self.state.value = judgement.value.or(self.state.value);
        self.state.samples = judgement.samples;
        self.state.events = judgement.events;
        if judgement.verdict == Verdict::Insufficient {
            self.state.no_data_since.get_or_insert(self.at);
        } else {
            self.state.no_data_since = None;
        }
    }

    fn judge(&mut self) {
        match self.observation.judgement.verdict {
            Verdict::Violation => self.violation(),
            Verdict::Between => self.between(),
            Verdict::Clear => self.clear(),
            Verdict::Insufficient => match self.rule.no_data {
                NoData::Keep => self.keep(),
                NoData::Ok => self.clear(),
                NoData::Fire => self.violation(),
            },
            Verdict::Closed(reason) => self.close(reason),
            Verdict::Failed => {}
        }
    }

    fn violation(&mut self) {
        let consecutive = self.rule.condition.consecutive.max(1);
        self.state.clears = 0;
        match self.state.phase {
            AlertPhase::Ok | AlertPhase::Pending => {
                self.state.violations = (self.state.violations + 1).min(consecutive);
                self.state.active_since.get_or_insert(self.at);
                if self.state.violations == consecutive && self.observation.may_fire {
                    self.fire();
                } else if self.state.phase == AlertPhase::Ok {
                    self.move_to(AlertPhase::Pending, "violation");
                }
            }
            AlertPhase::Firing => self.note_peak(),
            AlertPhase::Recovering => {
                self.note_peak();
                self.move_to(AlertPhase::Firing, "violation");
            }
        }
    }

    fn between(&mut self) {
        match self.state.phase {
            AlertPhase::Ok => {}
            AlertPhase::Pending => self.leave_pending("no_violation"),
            AlertPhase::Firing => self.state.clears = 0,
            AlertPhase::Recovering => {
                self.state.clears = 0;
                self.move_to(AlertPhase::Firing, "not_clear");
            }
        }
    }

    fn clear(&mut self) {
        match self.state.phase {
            AlertPhase::Ok => {}
            AlertPhase::Pending => self.leave_pending("no_violation"),
            AlertPhase::Firing | AlertPhase::Recovering => {
                self.state.clears += 1;
                if self.state.clears >= self.rule.condition.clear_consecutive.max(1) {
                    self.end(EndReason::Recovered);
                } else if self.state.phase == AlertPhase::Firing {
                    self.move_to(AlertPhase::Recovering, "clear");
                }
            }
        }
    }

    /// Too little data: nothing changes, until there was none for so long that nothing can be said.
    fn keep(&mut self) {
        let limit_ms =
            i64::try_from(self.rule.no_data_resolve_after.as_millis()).unwrap_or(i64::MAX);
        let since = self.state.no_data_since.unwrap_or(self.at);
        if self.state.phase.is_open() && elapsed_ms(since, self.at) >= limit_ms {
            self.end(EndReason::NoTraffic);
        }
    }

    fn close(&mut self, reason: EndReason) {
        match self.state.phase {
            AlertPhase::Ok => {}
            AlertPhase::Pending => self.leave_pending(reason.as_str()),
            AlertPhase::Firing | AlertPhase::Recovering => self.end(reason),
        }
        if self.state.incident_id.is_some() {
            self.finish(reason);
        }
        if reason != EndReason::Manual {
            self.state.transitions.clear();
            self.state.flapping_since = None;
        }
    }

    fn leave_pending(&mut self, reason: &'static str) {
        self.state.violations = 0;
        self.state.active_since = None;
        self.move_to(AlertPhase::Ok, reason);
    }

    fn move_to(&mut self, to: AlertPhase, reason: &'static str) {
        let from = self.state.phase.as_str();
        self.effects.push(Effect::Moved { from, to: to.as_str(), reason });
        self.state.phase = to;
    }

    fn fire(&mut self) {
        self.state.clears = 0;
        self.move_to(AlertPhase::Firing, "violation");
        // A flapping incident is still the same one.
        if self.state.incident_id.is_none() {
            let (rule_id, group_key) = (&self.rule.id, self.observation.group_key);
            self.state.incident_id = Some(AlertIncident::id_of(rule_id, group_key, self.at));
            self.state.fired_at = Some(self.at);
            self.state.peak_value = self.observation.judgement.value;
            self.effects.push(Effect::Opened);
        }
        self.note_peak();
        self.note_transition();
    }

    fn note_peak(&mut self) {
        let Some(value) = self.observation.judgement.value else { return };
        let downward = self.rule.condition.operator.is_downward();
        let worst = |peak: f64| if downward { peak.min(value) } else { peak.max(value) };
        self.state.peak_value = Some(self.state.peak_value.map_or(value, worst));
    }

    fn end(&mut self, reason: EndReason) {
        self.state.violations = 0;
        self.state.clears = 0;
        self.state.active_since = None;
        self.state.no_data_since = None;
        self.move_to(AlertPhase::Ok, reason.as_str());
        self.note_transition();
        if self.state.flapping_since.is_none() {
            self.finish(reason);
        }
    }

    /// The incident is over.
    fn finish(&mut self, reason: EndReason) {
        self.effects.push(Effect::Ended(reason));
        // The end is due to everybody who was notified, whatever ended it, and although a silence is active.
        if self.state.is_announced {
            self.effects.push(Effect::Tell(NotificationKind::Resolved));
        }
        self.ended = Some(reason);
        let state = &mut self.state;
        state.incident_id = None;
        state.fired_at = None;
        state.peak_value = None;
        state.acked_by = None;
        state.acked_at = None;
        state.notified_at = None;
        state.is_announced = false;
        state.withheld.clear();
    }

    fn note_transition(&mut self) {
        // Mostly the only one, of very many groups.
        self.state.transitions.reserve_exact(1);
        self.state.transitions.push(self.at);
        if self.state.flapping_since.is_none() && self.state.transitions.len() > FLAP_TRANSITIONS {
            self.state.flapping_since = Some(self.at);
            let (from, to) = (self.state.phase.as_str(), FLAPPING);
            self.effects.push(Effect::Moved { from, to, reason: FLAPPING });
            if !self.observation.is_muted && !self.rule.dry_run {
                self.announce(NotificationKind::Flapping);
            }
        }
        if self.state.transitions.len() > FLAP_TRANSITIONS + 1 {
            // Only the latest decides when it is quiet.
            self.state.transitions.remove(0);
        }
    }

    /// An hour without transitions ends flapping, and with it an incident that is not firing.
    fn calm_down(&mut self) {
        if self.state.flapping_since.is_none() || !self.state.transitions.is_empty() {
            return;
        }
        self.state.flapping_since = None;
        let (from, to) = (FLAPPING, self.state.phase.as_str());
        self.effects.push(Effect::Moved { from, to, reason: "quiet" });
        if !self.state.phase.is_open() && self.state.incident_id.is_some() {
            self.finish(EndReason::Recovered);
        }
    }

    /// What is due about the open incident: its first message, or a reminder.
    fn tell(&mut self) {
        let quiet =
            self.observation.is_muted || self.rule.dry_run || self.state.incident_id.is_none();
        if quiet {
            return;
        }
        if self.state.flapping_since.is_some() {
            // It began under a silence, which is over.
            if !self.state.is_announced && self.state.phase == AlertPhase::Firing {
                self.announce(NotificationKind::Flapping);
            }
            return;
        }
        if !self.state.is_announced {
            // After a silence, only if it still fires.
            if self.state.phase == AlertPhase::Firing {
                self.announce(NotificationKind::Firing);
            }
            return;
        }
        let repeat_ms = i64::try_from(self.rule.repeat_interval.as_millis()).unwrap_or(i64::MAX);
        let since = self.state.notified_at.unwrap_or(self.at);
        let is_due = repeat_ms > 0 && elapsed_ms(since, self.at) >= repeat_ms;
        // While it recovers its end is near, and that is what will be told.
        if is_due && self.state.phase == AlertPhase::Firing && self.state.acked_by.is_none() {
            self.announce(NotificationKind::Reminder);
        }
    }

    fn announce(&mut self, kind: NotificationKind) {
        self.effects.push(Effect::Tell(kind));
        self.state.is_announced = true;
        self.state.notified_at = Some(self.at);
    }
}
