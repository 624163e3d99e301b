//! From what is stored to what is sent.

use crate::alert::notify::{Current, Item, Message};
use crate::alert::{Monitor, Notification, NotificationKind};
use crate::model::alert::{AlertGroup, StoredMessage};

/// The message that some stored ones travel as; `None` when none of them can be read.
pub(super) fn compose(rows: &[StoredMessage], monitor: &Monitor) -> Option<Message> {
    let first = rows.first()?;
    let items: Vec<Item> = rows.iter().filter_map(|row| item(row, monitor)).collect();
    let kind = items.first()?.notification.kind;
    let id = first.batch_id.clone().unwrap_or_else(|| first.id.clone());
    Some(Message { id, channel: first.channel.clone(), kind, items })
}

/// One incident; the row knows better than its payload what happened, and the monitor what the value is
/// now. Before its first evaluation, the row has the last one that was written.
pub(super) fn item(row: &StoredMessage, monitor: &Monitor) -> Option<Item> {
    let mut notification: Notification = serde_json::from_str(&row.payload)
        .inspect_err(|error| tracing::error!(message = row.id, %error, "a message is not readable"))
        .ok()?;
    notification.kind = NotificationKind::parse(&row.kind)?;
    let names = notification.group.clone().into();
    let group = AlertGroup { names, period: notification.period.clone() };
    let current = monitor
        .current(&notification.rule_id, &group, &row.incident_id)
        .or(row.current)
        .filter(|(at, _)| *at > notification.at)
        .map(|(at, value)| Current { at, value });
    Some(Item { notification, current })
}
