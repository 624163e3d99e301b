//! Incidents and their history.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::group::AlertGroup;
use crate::model::Timestamp;
use crate::model::spelling::spelled_enum;

spelled_enum! {
    /// Reason for the end of an incident.
    pub enum EndReason {
        /// The value was within the clear threshold for long enough.
        Recovered = "recovered",
        /// There was no traffic for too long.
        NoTraffic = "no_traffic",
        /// The budget period ended.
        PeriodEnded = "period_ended",
        /// The rule was removed.
        RuleRemoved = "rule_removed",
        /// The definition of the rule changed.
        RuleChanged = "rule_changed",
        /// The incident was closed manually.
        Manual = "manual",
    }
}

/// One incident of a rule and group.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertIncident {
    /// Incident id, the same from firing to end.
    pub incident_id: String,
    /// Rule id; shared between incidents, because there may be very many.
    pub rule_id: Arc<str>,
    /// Display name of the rule.
    pub rule_name: Arc<str>,
    /// The group.
    pub group: AlertGroup,
    /// The metric, spelled as in the rule.
    pub metric: Arc<str>,
    /// The operator, spelled as in the rule.
    pub operator: Arc<str>,
    /// The threshold at the start.
    pub threshold: f64,
    /// Severity of the rule, e.g. `critical`.
    pub severity: Arc<str>,
    /// Summary at the start, one sentence.
    pub message: String,
    /// Start of the incident.
    pub fired_at: Timestamp,
    /// The value at the start.
    pub value: Option<f64>,
    /// The most extreme value.
    pub peak_value: Option<f64>,
    /// Number of requests behind the value at the start.
    pub samples: u64,
    /// Number of these requests that count as events, such as errors.
    pub events: u64,
    /// End of the incident.
    pub ended_at: Option<Timestamp>,
    /// Reason of the end.
    pub end_reason: Option<EndReason>,
    /// User who acknowledged the incident.
    pub acked_by: Option<String>,
    /// Time of the acknowledgement.
    pub acked_at: Option<Timestamp>,
    /// Whether the rule is a dry run, which sends no notifications.
    pub is_dry_run: bool,
}

/// An event in the alert history.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertEvent {
    /// Time of the event.
    pub at: Timestamp,
    /// The incident, if any.
    pub incident_id: Option<String>,
    /// The rule id, or the rule glob of a silence.
    pub rule_id: String,
    /// Key of the group.
    pub group_key: String,
    /// State before: a phase, or `flapping`, `silenced`, ...
    pub from_state: String,
    /// State after.
    pub to_state: String,
    /// Reason.
    pub reason: String,
    /// Value of the evaluation.
    pub value: Option<f64>,
    /// Threshold of the evaluation.
    pub threshold: Option<f64>,
    /// Number of requests behind the value.
    pub samples: Option<u64>,
    /// Number of these requests that count as events.
    pub events: Option<u64>,
    /// `monitor`, or the user.
    pub actor: String,
    /// Comment of the user.
    pub note: Option<String>,
}

impl AlertEvent {
    /// An event of a rule that is neither a transition nor about an incident.
    pub fn remark(
        at: Timestamp,
        rule_id: &str,
        reason: &str,
        actor: &str,
        note: Option<String>,
    ) -> Self {
        Self {
            at,
            incident_id: None,
            rule_id: rule_id.to_owned(),
            group_key: String::new(),
            from_state: String::new(),
            to_state: String::new(),
            reason: reason.to_owned(),
            value: None,
            threshold: None,
            samples: None,
            events: None,
            actor: actor.to_owned(),
            note,
        }
    }
}

/// A message for one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingAlert {
    /// Message id, the same for all retries.
    pub id: String,
    /// The incident.
    pub incident_id: String,
    /// The channel.
    pub channel: String,
    /// The event, e.g. `firing`.
    pub kind: String,
    /// Creation time.
    pub created_at: Timestamp,
    /// Earliest time of delivery.
    pub not_before: Timestamp,
    /// The message as JSON.
    pub payload: String,
}

impl AlertIncident {
    /// The deterministic id of the incident of a rule and group that starts at `fired_at`.
    pub fn id_of(rule_id: &str, group_key: &str, fired_at: Timestamp) -> String {
        const BYTES: usize = 8;
        let at = fired_at.as_unix_ms().to_string();
        data_encoding::HEXLOWER.encode(&digest(&[rule_id, group_key, &at])[..BYTES])
    }
}

/// A hash of several texts; each is followed by a zero byte, so that boundaries matter.
pub(crate) fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

/// A triggered alert, for programs that embed the library.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Id of the incident.
    pub alert_id: String,
    /// Time of the trigger.
    pub triggered_at: Timestamp,
    /// The metric, spelled as in the rule.
    pub metric: String,
    /// The value at that time, in the unit of the metric; `None` if missing requests triggered the
    /// alert.
    pub actual_value: Option<f64>,
    /// The threshold.
    pub threshold: f64,
    /// Summary, one sentence.
    pub message: String,
}

impl From<&AlertIncident> for Alert {
    fn from(incident: &AlertIncident) -> Self {
        Self {
            alert_id: incident.incident_id.clone(),
            triggered_at: incident.fired_at,
            metric: incident.metric.to_string(),
            actual_value: incident.value,
            threshold: incident.threshold,
            message: incident.message.clone(),
        }
    }
}
