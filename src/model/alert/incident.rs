//! What happened: incidents, their history, and the messages about them.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::group::AlertGroup;
use crate::model::Timestamp;

/// Why an incident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The value was back for long enough.
    Recovered,
    /// There was no traffic for so long that nothing can be said.
    NoTraffic,
    /// The budget's period is over.
    PeriodEnded,
    /// The rule is gone.
    RuleRemoved,
    /// The rule watches something else now.
    RuleChanged,
    /// Somebody closed it.
    Manual,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Recovered,
        Self::NoTraffic,
        Self::PeriodEnded,
        Self::RuleRemoved,
        Self::RuleChanged,
        Self::Manual,
    ];

    /// The spelling in the database and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::NoTraffic => "no_traffic",
            Self::PeriodEnded => "period_ended",
            Self::RuleRemoved => "rule_removed",
            Self::RuleChanged => "rule_changed",
            Self::Manual => "manual",
        }
    }

    /// The reason with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// One time that a rule fired for a group.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertIncident {
    /// Identity, the same from firing to end.
    pub incident_id: String,
    /// The rule. What incidents of a rule have in common they share: there may be very many.
    pub rule_id: Arc<str>,
    /// What people call the rule.
    pub rule_name: Arc<str>,
    /// The group.
    pub group: AlertGroup,
    /// The metric as the rule spells it.
    pub metric: Arc<str>,
    /// The operator as the rule spells it.
    pub operator: Arc<str>,
    /// The threshold when it fired.
    pub threshold: f64,
    /// As the rule says, e.g. `critical`.
    pub severity: Arc<str>,
    /// One sentence, of when it fired.
    pub message: String,
    /// When it began.
    pub fired_at: Timestamp,
    /// The value when it fired.
    pub value: Option<f64>,
    /// The worst value.
    pub peak_value: Option<f64>,
    /// Requests behind the value when it fired.
    pub samples: u64,
    /// Those of them that count against it.
    pub events: u64,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why.
    pub end_reason: Option<EndReason>,
    /// Who acknowledged it.
    pub acked_by: Option<String>,
    /// When.
    pub acked_at: Option<Timestamp>,
    /// The rule only tries: nobody is told.
    pub is_dry_run: bool,
}

/// A line of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertEvent {
    /// When.
    pub at: Timestamp,
    /// The incident, if it is about one.
    pub incident_id: Option<String>,
    /// The rule, or a silence's glob.
    pub rule_id: String,
    /// Key of the group.
    pub group_key: String,
    /// Before: a phase, or `flapping`, `silenced`, ...
    pub from_state: String,
    /// After.
    pub to_state: String,
    /// Why.
    pub reason: String,
    /// Value of the evaluation.
    pub value: Option<f64>,
    /// What it was held against.
    pub threshold: Option<f64>,
    /// Requests behind the value.
    pub samples: Option<u64>,
    /// Those of them that count against it.
    pub events: Option<u64>,
    /// `monitor`, or who did it.
    pub actor: String,
    /// What they had to say.
    pub note: Option<String>,
}

/// A message on its way to one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingAlert {
    /// Identity over retries.
    pub id: String,
    /// The incident.
    pub incident_id: String,
    /// The channel.
    pub channel: String,
    /// What it says happened, e.g. `firing`.
    pub kind: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// It goes out no earlier.
    pub not_before: Timestamp,
    /// The message as JSON.
    pub payload: String,
}

impl AlertIncident {
    /// The identity of the incident that a rule and group begin at `fired_at`: the same however often
    /// it is computed.
    pub fn id_of(rule_id: &str, group_key: &str, fired_at: Timestamp) -> String {
        const BYTES: usize = 8;
        let at = fired_at.as_unix_ms().to_string();
        data_encoding::HEXLOWER.encode(&digest(&[rule_id, group_key, &at])[..BYTES])
    }
}

/// A hash of some texts, told apart.
pub(super) fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

/// A triggered alert, as programs that embed the library see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Identity of the incident.
    pub alert_id: String,
    /// When it was triggered.
    pub triggered_at: Timestamp,
    /// The metric as the rule spells it.
    pub metric: String,
    /// The value then, in the unit of the metric; `None` when the absence of requests triggered it.
    pub actual_value: Option<f64>,
    /// What it was held against.
    pub threshold: f64,
    /// One sentence.
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
