//! The state of one rule for one group.

use super::rule::RuleState;
use crate::model::Timestamp;

/// Where an alert stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AlertPhase {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// In violation, not yet often enough.
    Pending,
    /// An incident is open.
    Firing,
    /// An incident is open and its end is near: not in violation, not yet often enough.
    Recovering,
}

impl AlertPhase {
    /// Every phase.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Pending, Self::Firing, Self::Recovering];

    /// The spelling in the database and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Recovering => "recovering",
        }
    }

    /// The phase with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text)
    }

    /// Whether an incident is open.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Firing | Self::Recovering)
    }
}

/// The state of one rule for one group, as it is stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertInstance {
    /// Where it stands.
    pub phase: AlertPhase,
    /// Evaluations in violation, one after the other.
    pub violations: u32,
    /// Evaluations clear of the threshold, one after the other, while an incident is open.
    pub clears: u32,
    /// The open incident, or the last one while it is flapping.
    pub incident_id: Option<String>,
    /// First violation of the run.
    pub active_since: Option<Timestamp>,
    /// When the incident began.
    pub fired_at: Option<Timestamp>,
    /// The last evaluation.
    pub evaluated_at: Option<Timestamp>,
    /// First evaluation without enough data, of a run of such.
    pub no_data_since: Option<Timestamp>,
    /// Evaluations that failed, one after the other.
    pub failed_evaluations: u32,
    /// Value of the last evaluation that had one.
    pub value: Option<f64>,
    /// The worst value of the incident.
    pub peak_value: Option<f64>,
    /// Requests behind the value.
    pub samples: u64,
    /// Those of them that count against it.
    pub events: u64,
    /// Who acknowledged the incident.
    pub acked_by: Option<String>,
    /// When.
    pub acked_at: Option<Timestamp>,
    /// The last message about the incident.
    pub notified_at: Option<Timestamp>,
    /// The incident's first message was queued.
    pub is_announced: bool,
    /// Channels that are not notified yet because a wider alert inhibits it there; they are once that ends.
    pub withheld: Vec<String>,
    /// It fires and ends too often, since then.
    pub flapping_since: Option<Timestamp>,
    /// When it fired or ended, within the last hour, oldest first.
    pub transitions: Vec<Timestamp>,
}

impl AlertInstance {
    /// Brings every time back to `latest` that is later: a clock that was ahead stamped it.
    pub fn bring_back(&mut self, latest: Timestamp) {
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

    /// Nothing to remember: it is not stored.
    pub const fn is_plain_ok(&self) -> bool {
        matches!(self.phase, AlertPhase::Ok)
            && self.flapping_since.is_none()
            && self.transitions.is_empty()
            && self.failed_evaluations == 0
    }

    /// Whether `later` says more than that an evaluation found the same: what has to survive a crash.
    ///
    /// The instant and the figures of the last evaluation do not: the next one has its own.
    pub fn differs_lastingly(&self, later: &Self) -> bool {
        let same_figures = Self {
            evaluated_at: self.evaluated_at,
            value: self.value,
            samples: self.samples,
            events: self.events,
            ..later.clone()
        };
        *self != same_figures
    }

    /// What people are shown.
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
