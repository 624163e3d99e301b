//! A notification about an incident, as stored in the outbox: everything a channel needs.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::model::alert::incident::digest;
use crate::model::spelling::spelled_enum;

spelled_enum! {
    /// The event that a notification reports.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum NotificationKind {
        /// The condition held for the required number of evaluations.
        Firing = "firing",
        /// The incident ended.
        Resolved = "resolved",
        /// The incident is still firing.
        Reminder = "reminder",
        /// The alert fires and ends too often; notifications are suppressed until it is quiet.
        Flapping = "flapping",
        /// The incident fired and ended before its first notification was delivered.
        FiredAndResolved = "fired_and_resolved",
        /// A test of the channel.
        Test = "test",
    }
}

impl NotificationKind {
    /// Whether the incident has ended.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Resolved | Self::FiredAndResolved)
    }
}

spelled_enum! {
    /// The unit of a value and its threshold.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Unit {
        /// A share: 0.1 is ten percent.
        Ratio = "ratio",
        /// Milliseconds.
        Ms = "ms",
        /// Requests per minute.
        PerMinute = "per_minute",
        /// US dollars.
        Usd = "usd",
        /// A count without a unit.
        #[default]
        Count = "count",
    }
}

/// A notification about an incident.
///
/// The monitor stores it as JSON in the transaction of the state transition. It contains no secrets
/// and no plain user ids. `value`, `samples` and `events` are those of the evaluation at `at`.
///
/// # Example
/// ```
/// use chatgauge::alert::{Notification, NotificationKind};
/// let message = Notification { rule_id: "error-rate".into(), ..Notification::default() };
/// let json = serde_json::to_string(&message)?;
/// assert_eq!(serde_json::from_str::<Notification>(&json)?, message);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notification {
    /// Id of the rule, e.g. `error-rate`.
    pub rule_id: String,
    /// Display name of the rule.
    pub rule_name: String,
    /// Id of the incident; the same from firing to resolved.
    pub incident_id: String,
    /// The event.
    pub kind: NotificationKind,
    /// Values of the rule's `by`, e.g. `space`: `acme`; users as pseudonyms. Empty without `by`.
    #[serde(default)]
    pub group: BTreeMap<String, String>,
    /// The budget period, e.g. `2026-11-23`; `None` for rules with a rolling window.
    #[serde(default)]
    pub period: Option<String>,
    /// The metric, spelled as in the rule.
    pub metric: String,
    /// `>`, `<`, `>=`, `<=` or `==`.
    pub operator: String,
    /// The threshold, in `unit`.
    pub threshold: f64,
    /// The value, in `unit`; `None` without traffic.
    #[serde(default)]
    pub value: Option<f64>,
    /// The unit of value and threshold.
    #[serde(default)]
    pub unit: Unit,
    /// Number of requests behind the value.
    #[serde(default)]
    pub samples: u64,
    /// Number of these requests that count as events, e.g. errors.
    #[serde(default)]
    pub events: u64,
    /// Severity of the rule, e.g. `critical`.
    pub severity: String,
    /// Labels of the rule.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// One sentence, rendered from the rule's template.
    pub summary: String,
    /// URL of the rule's runbook.
    #[serde(default)]
    pub runbook: Option<String>,
    /// Start of the incident.
    pub fired_at: Timestamp,
    /// End of the incident; `None` while it is open.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// Reason of the end: `recovered`, `no_traffic`, `manual`, ...
    #[serde(default)]
    pub reason: Option<String>,
    /// User who closed the incident manually.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    /// Comment of this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Time of the evaluation that this notification is about.
    pub at: Timestamp,
    /// IANA time zone for times shown to people.
    pub zone: String,
}

impl Default for Notification {
    fn default() -> Self {
        let epoch = Timestamp::from_unix_ms(0);
        Self {
            rule_id: String::new(),
            rule_name: String::new(),
            incident_id: String::new(),
            kind: NotificationKind::Firing,
            group: BTreeMap::new(),
            period: None,
            metric: String::new(),
            operator: ">".to_owned(),
            threshold: 0.0,
            value: None,
            unit: Unit::Count,
            samples: 0,
            events: 0,
            severity: "warning".to_owned(),
            labels: BTreeMap::new(),
            summary: String::new(),
            runbook: None,
            fired_at: epoch,
            ended_at: None,
            reason: None,
            closed_by: None,
            comment: None,
            at: epoch,
            zone: "UTC".to_owned(),
        }
    }
}

/// The id of a notification: of its outbox row and of every delivery attempt.
///
/// The same transition always has the same id; another channel, kind or time has another id.
pub fn message_id(
    incident_id: &str,
    channel: &str,
    kind: NotificationKind,
    at: Timestamp,
) -> String {
    const BYTES: usize = 16;
    let at = at.as_unix_ms().to_string();
    let hash = digest(&[incident_id, channel, kind.as_str(), &at]);
    format!("msg_{}", HEXLOWER.encode(&hash[..BYTES]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_spelt_the_same_everywhere() {
        for kind in NotificationKind::ALL {
            assert_eq!(NotificationKind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn ids_differ_by_every_part_and_by_nothing_else() {
        let at = Timestamp::from_unix_ms(5);
        let id = |incident, channel, kind, at| message_id(incident, channel, kind, at);
        let first = id("i1", "ops", NotificationKind::Firing, at);
        assert_eq!(first, id("i1", "ops", NotificationKind::Firing, at));
        for other in [
            id("i2", "ops", NotificationKind::Firing, at),
            id("i1", "op", NotificationKind::Firing, at),
            id("i1", "ops", NotificationKind::Resolved, at),
            id("i1", "ops", NotificationKind::Firing, at.plus_ms(1)),
            id("i1ops", "", NotificationKind::Firing, at),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn instants_survive_to_the_millisecond() {
        let message = Notification {
            at: Timestamp::from_unix_ms(1_767_323_045_678),
            ..Notification::default()
        };
        let json = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<Notification>(&json).unwrap(), message);
    }
}
