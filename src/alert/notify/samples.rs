//! Sample incidents for tests.

use super::{ChannelMessage, GroupContext, MessageItem};
use crate::alert::notification::{Notification, NotificationKind, Unit};
use crate::model::Timestamp;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// A firing error-rate incident of a space.
pub(crate) fn firing(incident_id: &str, space: &str) -> MessageItem {
    let notification = Notification {
        rule_id: "error-rate".into(),
        rule_name: "High error rate".into(),
        incident_id: incident_id.into(),
        kind: NotificationKind::Firing,
        group: [("space".to_owned(), space.to_owned())].into(),
        metric: "error_rate".into(),
        threshold: 0.1,
        value: Some(0.231),
        unit: Unit::Ratio,
        samples: 78,
        events: 18,
        severity: "critical".into(),
        labels: [("team".to_owned(), "platform".to_owned())].into(),
        summary: "23.1 % errors (18 of 78) in 5m, limit 10 %".into(),
        runbook: Some("https://wiki.example/errors".into()),
        fired_at: at("2026-11-23T02:00:10Z"),
        at: at("2026-11-23T02:00:10Z"),
        zone: "Europe/Warsaw".into(),
        ..Notification::default()
    };
    MessageItem { notification, current: None }
}

/// The same incident, resolved.
pub(crate) fn resolved(incident_id: &str, space: &str) -> MessageItem {
    let mut item = firing(incident_id, space);
    item.notification.kind = NotificationKind::Resolved;
    item.notification.ended_at = Some(at("2026-11-23T02:31:10Z"));
    item.notification.reason = Some("recovered".into());
    item
}

/// A message about these incidents.
pub(crate) fn message(items: Vec<MessageItem>) -> ChannelMessage {
    let kind = items.first().map_or(NotificationKind::Test, |item| item.notification.kind);
    let context = GroupContext::default();
    ChannelMessage { id: "msg_1".into(), channel: "ops".into(), kind, items, context }
}
