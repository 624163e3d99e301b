//! Receivers of notifications, and the identity under which they know an incident.
//!
//! An incident has one identity per channel, from its first notification to its end: the name,
//! severity, labels and group of that notification, even if the rule is edited or removed
//! meanwhile. Receivers use them to match an end to its start.

use rustc_hash::FxHashMap;

use crate::alert::notification::{Notification, NotificationKind, message_id};
use crate::config::LOG_CHANNEL;
use crate::model::Timestamp;
use crate::model::alert::{FirstMessage, OutgoingAlert, Rule};

/// The log channel and the channels of a rule, each once.
pub(super) fn receivers(rule: &Rule) -> impl Iterator<Item = &str> {
    let named = rule.channels.iter().map(String::as_str).filter(|name| *name != LOG_CHANNEL);
    std::iter::once(LOG_CHANNEL).chain(named)
}

/// Times of a notification: when it is written, and until when the first one of a group waits for
/// others of the rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) now: Timestamp,
    pub(super) send_after: Timestamp,
}

impl Timing {
    /// Whether this notification waits for others of the rule; the log channel never waits.
    pub(super) fn waits(self, kind: NotificationKind, channel: &str) -> bool {
        kind == NotificationKind::Firing && channel != LOG_CHANNEL && self.send_after > self.now
    }

    /// The notification for one channel; `None` if it cannot be serialised.
    pub(super) fn outgoing(self, message: &Notification, channel: &str) -> Option<OutgoingAlert> {
        let Notification { incident_id, kind, at, .. } = message;
        let not_before = if self.waits(*kind, channel) { self.send_after } else { self.now };
        Some(OutgoingAlert {
            id: message_id(incident_id, channel, *kind, *at),
            incident_id: incident_id.clone(),
            channel: channel.to_owned(),
            kind: kind.as_str().to_owned(),
            created_at: self.now,
            not_before,
            payload: serde_json::to_string(message).ok()?,
        })
    }
}

/// The channels of a notification.
#[derive(Clone, Debug)]
pub(super) enum Audience {
    /// Every channel that was notified of the incident, whatever the rule says now; if unknown,
    /// these.
    Notified(Vec<String>),
    /// These channels; one that was not notified of the incident yet receives it as firing.
    These(Vec<String>),
}

/// A notification about an incident that channels may already know.
#[derive(Clone, Debug)]
pub(super) struct FollowUp {
    /// The notification, by the current rule.
    pub(super) message: Notification,
    /// Whether the rule is still the one that opened the incident; otherwise threshold and summary
    /// of the first notification are used.
    pub(super) is_same_rule: bool,
    pub(super) audience: Audience,
    pub(super) timing: Timing,
}

impl FollowUp {
    /// The notifications for each channel; `first` contains the first notification to each channel.
    fn outgoing(&self, first: &[&FirstMessage]) -> Vec<OutgoingAlert> {
        let known = |channel: &str| first.iter().find(|known| known.channel == channel);
        let to = |channel: &str| {
            let message = match (known(channel), self.message.kind) {
                (Some(known), _) => self.as_follow_up(&known.payload),
                (None, NotificationKind::Reminder) => {
                    Notification { kind: NotificationKind::Firing, ..self.message.clone() }
                }
                (None, _) => self.message.clone(),
            };
            self.timing.outgoing(&message, channel)
        };
        match &self.audience {
            Audience::Notified(_) if !first.is_empty() => {
                first.iter().filter_map(|known| to(&known.channel)).collect()
            }
            Audience::Notified(channels) | Audience::These(channels) => {
                channels.iter().filter_map(|channel| to(channel)).collect()
            }
        }
    }

    /// The notification under the identity that the channel knows.
    fn as_follow_up(&self, first: &str) -> Notification {
        let Ok(first) = serde_json::from_str::<Notification>(first) else {
            return self.message.clone();
        };
        let mut message = Notification {
            rule_name: first.rule_name,
            group: first.group,
            period: first.period,
            metric: first.metric,
            unit: first.unit,
            severity: first.severity,
            labels: first.labels,
            runbook: first.runbook,
            fired_at: first.fired_at,
            ..self.message.clone()
        };
        if !self.is_same_rule {
            message.operator = first.operator;
            message.threshold = first.threshold;
            message.summary = first.summary;
        }
        message
    }
}

/// The notifications of all follow-ups; `first` contains the first notification of each incident to
/// each channel.
pub(super) fn outgoing(follow_ups: &[FollowUp], first: &[FirstMessage]) -> Vec<OutgoingAlert> {
    let mut by_incident: FxHashMap<&str, Vec<&FirstMessage>> = FxHashMap::default();
    for known in first {
        by_incident.entry(&known.incident_id).or_default().push(known);
    }
    let messages = follow_ups.iter().flat_map(|follow_up| {
        let known = by_incident.get(&*follow_up.message.incident_id);
        follow_up.outgoing(known.map_or(&[][..], Vec::as_slice))
    });
    messages.collect()
}
