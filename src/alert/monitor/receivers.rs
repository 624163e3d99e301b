//! Who is notified of an incident, and in which words.
//!
//! An incident has one identity for a channel, from its first message to its end: name, severity, labels and group of
//! that message, although the rule was edited or removed meanwhile. Receivers match an end to a beginning by them.

use rustc_hash::FxHashMap;

use crate::alert::notification::{Notification, NotificationKind, message_id};
use crate::config::LOG_CHANNEL;
use crate::model::Timestamp;
use crate::model::alert::{FirstMessage, OutgoingAlert, Rule};

/// The log and the channels of a rule, each once.
pub(super) fn receivers(rule: &Rule) -> impl Iterator<Item = &str> {
    let named = rule.channels.iter().map(String::as_str).filter(|name| *name != LOG_CHANNEL);
    std::iter::once(LOG_CHANNEL).chain(named)
}

/// When a message about an incident is written, and how long its first one waits for others of the rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) now: Timestamp,
    pub(super) hold_until: Timestamp,
}

impl Timing {
    /// Whether this message waits for others of the rule; the log never does.
    pub(super) fn holds(self, kind: NotificationKind, channel: &str) -> bool {
        kind == NotificationKind::Firing && channel != LOG_CHANNEL && self.hold_until > self.now
    }

    /// The message to one channel; `None` when it cannot be written as JSON.
    pub(super) fn outgoing(self, message: &Notification, channel: &str) -> Option<OutgoingAlert> {
        let Notification { incident_id, kind, at, .. } = message;
        let not_before = if self.holds(*kind, channel) { self.hold_until } else { self.now };
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

/// Whom a later message about an incident is for.
#[derive(Clone, Debug)]
pub(super) enum Audience {
    /// Every channel that was notified of the incident, whatever the rule says now; these if that is not known any more.
    Notified(Vec<String>),
    /// These channels. One that was not notified of the incident yet gets it as firing.
    These(Vec<String>),
}

/// A message about an incident that channels may have been notified of already.
#[derive(Clone, Debug)]
pub(super) struct FollowUp {
    /// The message by the rule as it is now.
    pub(super) message: Notification,
    /// Whether it is still the rule that began the incident: otherwise limit and summary are those of the beginning.
    pub(super) is_same_rule: bool,
    pub(super) audience: Audience,
    pub(super) timing: Timing,
}

impl FollowUp {
    /// The messages to each channel; `first` holds the first message about the incident to each channel.
    fn outgoing(&self, first: &[&FirstMessage]) -> Vec<OutgoingAlert> {
        let known = |channel: &str| first.iter().find(|known| known.channel == channel);
        let to = |channel: &str| {
            let message = match known(channel) {
                Some(known) => self.continued(&known.payload),
                None => self.begun(),
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

    /// The message under the identity that the incident has for the channel.
    fn continued(&self, first: &str) -> Notification {
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

    /// The message to a channel that was not notified of the incident yet.
    fn begun(&self) -> Notification {
        let kind = match self.message.kind {
            NotificationKind::Reminder => NotificationKind::Firing,
            kind => kind,
        };
        Notification { kind, ..self.message.clone() }
    }
}

/// The messages of all follow-ups; `first` holds the first message about each incident to each channel.
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
