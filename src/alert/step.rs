//! The state machine of one rule and group, as a pure function from state and observation to state
//! and effects.
//!
//! ```text
//!           violation                   `consecutive` times
//!   ok ----------------> pending ---------------------------------> firing <------------+
//!    ^  no violation        |                                          | clear          | not clear
//!    +----------------------+                                          v                |
//!    +--------------------------------------------------------- recovering -------------+
//!                          `clear_consecutive` times
//! ```
//!
//! In addition: insufficient data leaves the state unchanged (unless the rule says otherwise), a
//! failed evaluation freezes it, and an alert that fires and ends too often is `flapping`: it stays
//! one incident and sends no further notifications until it has been quiet for an hour.

use super::notification::NotificationKind;
use super::observation::{Observation, Verdict};
use crate::model::Timestamp;
use crate::model::alert::{AlertIncident, AlertInstance, AlertPhase, EndReason, NoData, Rule};
use crate::model::time::{HOUR_MS, MINUTE_MS};

/// A gap between evaluations longer than this does not count as time without data, in milliseconds.
const GAP_MS: i64 = 5 * MINUTE_MS;
/// After a gap longer than this, earlier violations no longer count, in milliseconds.
const OUTAGE_TOLERANCE_MS: i64 = 15 * MINUTE_MS;
/// Maximum number of transitions within [`FLAP_WINDOW_MS`] before an alert is flapping.
const FLAP_TRANSITIONS: usize = 6;
/// How long transitions are kept, and how long an alert must be quiet to stop flapping, in
/// milliseconds.
const FLAP_WINDOW_MS: i64 = HOUR_MS;
/// Time added to the last evaluation if the wall clock is set back, in milliseconds.
const CLOCK_STEP_MS: i64 = 1_000;

/// An action that results from a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The phase changed, or flapping started or ended.
    Moved {
        /// State before.
        from: &'static str,
        /// State after.
        to: &'static str,
        /// Reason of the change.
        reason: &'static str,
    },
    /// An incident started.
    Opened,
    /// The incident ended.
    Ended(EndReason),
    /// A notification is due: an end for the channels that were notified of the incident, any other
    /// kind for the rule's channels.
    Notify(NotificationKind),
}

/// State name of an alert that fires and ends too often.
pub(super) const FLAPPING: &str = "flapping";

/// Whether a move is not part of the history: between OK and pending.
pub(super) fn is_quiet_move(from: &str, to: &str) -> bool {
    let is_quiet = |state: &str| {
        matches!(AlertPhase::parse(state), Some(AlertPhase::Ok | AlertPhase::Pending))
    };
    is_quiet(from) && is_quiet(to)
}

/// Processes one evaluation and returns the new state and the effects, in order.
///
/// The time of the step is `observation.at`, or one second after the last step if the wall clock
/// was set back; it becomes the new state's `evaluated_at`.
pub fn step(
    state: &AlertInstance,
    observation: &Observation<'_>,
    rule: &Rule,
) -> (AlertInstance, Vec<Effect>) {
    let at = after(state.evaluated_at, observation.at);
    let mut next = Stepping { state: state.clone(), effects: Vec::new(), at, observation, rule };
    next.pass_time(state.evaluated_at);
    next.state.evaluated_at = Some(at);
    if observation.judgement.verdict == Verdict::Failed {
        next.state.failed_evaluations = next.state.failed_evaluations.saturating_add(1);
        return (next.state, next.effects);
    }
    next.state.failed_evaluations = 0;
    next.store_figures();
    next.judge();
    next.end_flapping();
    next.notify_if_due();
    (next.state, next.effects)
}

/// `now`, or one second after the `last` evaluation if the wall clock was set back.
pub(super) fn after(last: Option<Timestamp>, now: Timestamp) -> Timestamp {
    last.filter(|last| now <= *last).map_or(now, |last| last.plus_ms(CLOCK_STEP_MS))
}

/// A step in progress.
struct Stepping<'a> {
    state: AlertInstance,
    effects: Vec<Effect>,
    at: Timestamp,
    observation: &'a Observation<'a>,
    rule: &'a Rule,
}

fn elapsed_ms(from: Timestamp, to: Timestamp) -> i64 {
    to.as_unix_ms().saturating_sub(from.as_unix_ms())
}

impl Stepping<'_> {
    /// Excludes gaps between evaluations from the time without data.
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

    fn store_figures(&mut self) {
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
            AlertPhase::Firing => self.update_peak(),
            AlertPhase::Recovering => {
                self.update_peak();
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

    /// Insufficient data: keeps the state until `no_data_resolve_after` has passed.
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
        // A flapping alert continues its incident.
        if self.state.incident_id.is_none() {
            let (rule_id, group_key) = (&self.rule.id, self.observation.group_key);
            self.state.incident_id = Some(AlertIncident::id_of(rule_id, group_key, self.at));
            self.state.fired_at = Some(self.at);
            self.state.peak_value = self.observation.judgement.value;
            self.effects.push(Effect::Opened);
        }
        self.update_peak();
        self.record_transition();
    }

    fn update_peak(&mut self) {
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
        self.record_transition();
        if self.state.flapping_since.is_none() {
            self.finish(reason);
        }
    }

    /// Ends the incident.
    fn finish(&mut self, reason: EndReason) {
        self.effects.push(Effect::Ended(reason));
        // Everyone who was notified is notified of the end, whatever ended it and even during a
        // silence.
        if self.state.is_announced {
            self.effects.push(Effect::Notify(NotificationKind::Resolved));
        }
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

    fn record_transition(&mut self) {
        // Saves memory: most groups have a single transition.
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
            // Only the latest transition decides when the alert is quiet.
            self.state.transitions.remove(0);
        }
    }

    /// Ends flapping after an hour without transitions, and the incident unless it is firing.
    fn end_flapping(&mut self) {
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

    /// Sends the first notification of an open incident, or a reminder.
    fn notify_if_due(&mut self) {
        let quiet =
            self.observation.is_muted || self.rule.dry_run || self.state.incident_id.is_none();
        if quiet {
            return;
        }
        if self.state.flapping_since.is_some() {
            // Flapping started during a silence that has ended.
            if !self.state.is_announced && self.state.phase == AlertPhase::Firing {
                self.announce(NotificationKind::Flapping);
            }
            return;
        }
        if !self.state.is_announced {
            // After a silence, only if the alert still fires.
            if self.state.phase == AlertPhase::Firing {
                self.announce(NotificationKind::Firing);
            }
            return;
        }
        let repeat_ms = i64::try_from(self.rule.repeat_interval.as_millis()).unwrap_or(i64::MAX);
        let since = self.state.notified_at.unwrap_or(self.at);
        let is_due = repeat_ms > 0 && elapsed_ms(since, self.at) >= repeat_ms;
        // A recovering alert will soon send its end instead.
        if is_due && self.state.phase == AlertPhase::Firing && self.state.acked_by.is_none() {
            self.announce(NotificationKind::Reminder);
        }
    }

    fn announce(&mut self, kind: NotificationKind) {
        self.effects.push(Effect::Notify(kind));
        self.state.is_announced = true;
        self.state.notified_at = Some(self.at);
    }
}
