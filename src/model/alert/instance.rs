//! The state of one rule for one group.

use super::rule::RuleState;
use crate::model::Timestamp;
use crate::model::spelling::spelled_enum;

spelled_enum! {
    /// Phase of an alert.
    #[derive(Default)]
    pub enum AlertPhase {
        /// No violation.
        #[default]
        Ok = "ok",
        /// Violations, but not enough consecutive ones yet.
        Pending = "pending",
        /// An incident is open.
        Firing = "firing",
        /// An incident is open, but clear evaluations have started.
        Recovering = "recovering",
    }
}

impl AlertPhase {
    /// Whether an incident is open.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Firing | Self::Recovering)
    }
}

/// The stored state of one rule for one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertInstance {
    /// Phase.
    pub phase: AlertPhase,
    /// Number of consecutive violations.
    pub violations: u32,
    /// Number of consecutive clear evaluations while an incident is open.
    pub clears: u32,
    /// The open incident, or the last one while the alert is flapping.
    pub incident_id: Option<String>,
    /// First of the consecutive violations.
    pub active_since: Option<Timestamp>,
    /// Start of the incident.
    pub fired_at: Option<Timestamp>,
    /// Time of the last evaluation.
    pub evaluated_at: Option<Timestamp>,
    /// First of the consecutive evaluations without enough data.
    pub no_data_since: Option<Timestamp>,
    /// Number of consecutive failed evaluations.
    pub failed_evaluations: u32,
    /// Last known value.
    pub value: Option<f64>,
    /// The most extreme value of the incident.
    pub peak_value: Option<f64>,
    /// Number of requests behind the value.
    pub samples: u64,
    /// Number of these requests that count as events.
    pub events: u64,
    /// User who acknowledged the incident.
    pub acked_by: Option<String>,
    /// Time of the acknowledgement.
    pub acked_at: Option<Timestamp>,
    /// Time of the last notification of the incident.
    pub notified_at: Option<Timestamp>,
    /// Whether the first notification of the incident was queued.
    pub is_announced: bool,
    /// Channels on which a wider alert inhibits the incident; they are notified when the inhibition
    /// ends.
    pub withheld: Vec<String>,
    /// Start of flapping: the alert fires and ends too often.
    pub flapping_since: Option<Timestamp>,
    /// Times of firing and ending within the last hour, oldest first.
    pub transitions: Vec<Timestamp>,
}

impl AlertInstance {
    /// Limits all times to `latest`, because a clock that was ahead stamped them.
    pub fn limit_times(&mut self, latest: Timestamp) {
        for at in [
            &mut self.active_since,
            &mut self.fired_at,
            &mut self.evaluated_at,
            &mut self.no_data_since,
            &mut self.acked_at,
            &mut self.notified_at,
            &mut self.flapping_since,
        ] {
            *at = (*at).min(Some(latest));
        }
        for at in &mut self.transitions {
            *at = (*at).min(latest);
        }
    }

    /// Whether the state is the default and need not be stored.
    pub const fn is_plain_ok(&self) -> bool {
        matches!(self.phase, AlertPhase::Ok)
            && self.flapping_since.is_none()
            && self.transitions.is_empty()
            && self.failed_evaluations == 0
    }

    /// Whether `later` differs in more than the time and figures of its evaluation, and so has to
    /// survive a crash. The next evaluation replaces time and figures anyway.
    pub fn differs_durably(&self, later: &Self) -> bool {
        let same_figures = Self {
            evaluated_at: self.evaluated_at,
            value: self.value,
            samples: self.samples,
            events: self.events,
            ..later.clone()
        };
        *self != same_figures
    }

    /// The state shown to users.
    pub const fn shown(&self) -> RuleState {
        if self.failed_evaluations > 0 {
            return RuleState::Error;
        }
        match self.phase {
            _ if self.flapping_since.is_some() => RuleState::Flapping,
            AlertPhase::Firing => RuleState::Firing,
            AlertPhase::Recovering => RuleState::Recovering,
            AlertPhase::Pending => RuleState::Pending,
            AlertPhase::Ok if self.no_data_since.is_some() => RuleState::NoData,
            AlertPhase::Ok => RuleState::Ok,
        }
    }
}
