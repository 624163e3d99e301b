//! From what is stored to what is sent.

use crate::alert::notify::{Current, Item, Message};
use crate::alert::{Notification, NotificationKind};
use crate::model::alert::StoredMessage;

/// The message that some stored ones travel as; `None` when none of them can be read.
pub(super) fn compose(rows: &[StoredMessage]) -> Option<Message> {
    let first = rows.first()?;
    let items: Vec<Item> = rows.iter().filter_map(item).collect();
    let kind = items.first()?.notification.kind;
    let id = first.batch_id.clone().unwrap_or_else(|| first.id.clone());
    Some(Message { id, channel: first.channel.clone(), kind, items })
}

/// One incident; the row knows better than its payload what happened, and what the value is now.
pub(super) fn item(row: &StoredMessage) -> Option<Item> {
    let mut notification: Notification = serde_json::from_str(&row.payload)
        .inspect_err(|error| tracing::error!(message = row.id, %error, "a message is not readable"))
        .ok()?;
    notification.kind = NotificationKind::parse(&row.kind)?;
    let current = row
        .current
        .filter(|(at, _)| *at > notification.at)
        .map(|(at, value)| Current { at, value });
    Some(Item { notification, current })
}
