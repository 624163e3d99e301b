//! One message about one incident, as it waits in the outbox: everything a channel needs to say.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use crate::config::LOG_CHANNEL;
use crate::model::Timestamp;

/// What a message says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// The condition held for as many checks as the rule asks for.
    Firing,
    /// The incident ended.
    Resolved,
    /// It is still firing.
    Reminder,
    /// It fires and ends too often; more of it is suppressed until it is quiet.
    Flapping,
    /// It fired and ended before the first message about it could be delivered.
    FiredAndResolved,
    /// Somebody tries the channel.
    Test,
}

impl NotificationKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Firing,
        Self::Resolved,
        Self::Reminder,
        Self::Flapping,
        Self::FiredAndResolved,
        Self::Test,
    ];

    /// The spelling in the outbox, in payloads and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
            Self::Reminder => "reminder",
            Self::Flapping => "flapping",
            Self::FiredAndResolved => "fired_and_resolved",
            Self::Test => "test",
        }
    }

    /// The kind with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether the incident is over.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Resolved | Self::FiredAndResolved)
    }
}

/// What a value and its threshold count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A share: 0.1 is ten percent.
    Ratio,
    /// Milliseconds.
    Ms,
    /// Requests a minute.
    PerMinute,
    /// US dollars.
    Usd,
    /// A plain number.
    #[default]
    Count,
}

impl Unit {
    /// The spelling in payloads and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ratio => "ratio",
            Self::Ms => "ms",
            Self::PerMinute => "per_minute",
            Self::Usd => "usd",
            Self::Count => "count",
        }
    }
}

/// One message about one incident.
///
/// The monitor writes it as JSON in the transaction that moves the state; it holds no secrets and no
/// plain user ids. `value`, `samples` and `events` are those of the evaluation at `at`.
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
    /// Identity of the rule, e.g. `error-rate`.
    pub rule_id: String,
    /// What people call the rule.
    pub rule_name: String,
    /// The incident; the same from firing to resolved.
    pub incident_id: String,
    /// What happened.
    pub kind: NotificationKind,
    /// Values of the rule's `by`, e.g. `space` to `acme`; users as pseudonyms. Empty without `by`.
    #[serde(default)]
    pub group: BTreeMap<String, String>,
    /// The budget's period, e.g. `2026-11-23`; none for rules with a window.
    #[serde(default)]
    pub period: Option<String>,
    /// The metric as the rule spells it.
    pub metric: String,
    /// `>`, `<`, `>=`, `<=` or `==`.
    pub operator: String,
    /// What the value is held against, in `unit`.
    pub threshold: f64,
    /// The value that was seen, in `unit`; none when there was no traffic.
    #[serde(default)]
    pub value: Option<f64>,
    /// What value and threshold count.
    #[serde(default)]
    pub unit: Unit,
    /// Requests that the value is made of.
    #[serde(default)]
    pub samples: u64,
    /// Those of them that count against it, e.g. errors.
    #[serde(default)]
    pub events: u64,
    /// As the rule says, e.g. `critical`.
    pub severity: String,
    /// As the rule says.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// One sentence, filled in from the rule's template.
    pub summary: String,
    /// Where the rule says to look.
    #[serde(default)]
    pub runbook: Option<String>,
    /// When the incident began.
    pub fired_at: Timestamp,
    /// When it ended; none while it lasts.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// Why it ended: `recovered`, `no_traffic`, `manual`, ...
    #[serde(default)]
    pub reason: Option<String>,
    /// Who closed it by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    /// What they had to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The evaluation that this message is about.
    pub at: Timestamp,
    /// IANA zone that people are shown times in.
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

/// The id of a message: of its outbox row and of every attempt to deliver it.
///
/// The same transition has the same id however often it is written down; a channel, a kind or a later
/// reminder has another.
pub fn message_id(
    incident_id: &str,
    channel: &str,
    kind: NotificationKind,
    at: Timestamp,
) -> String {
    const BYTES: usize = 16;
    let mut hash = Sha256::new();
    for part in [incident_id, channel, kind.as_str(), &at.as_unix_ms().to_string()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    format!("msg_{}", HEXLOWER.encode(digest.get(..BYTES).unwrap_or(&digest)))
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
