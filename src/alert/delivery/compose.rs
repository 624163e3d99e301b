//! Converts stored messages to messages for channels.

use crate::alert::notify::{ChannelMessage, Current, GroupContext, MessageItem};
use crate::alert::{Monitor, Notification, NotificationKind};
use crate::error::Result;
use crate::model::alert::{AlertGroup, StoredMessage};
use crate::store::Store;

/// Maximum number of the rule's other open incidents in one message; the same limit as for its own.
const CONTEXT_MAX: usize = 50;

/// Builds the message from its stored rows; `None` if none of them is readable.
pub(super) fn compose(rows: &[StoredMessage], monitor: &Monitor) -> Option<ChannelMessage> {
    let first = rows.first()?;
    let items: Vec<MessageItem> = rows.iter().filter_map(|row| item(row, monitor)).collect();
    let kind = items.first()?.notification.kind;
    let id = first.batch_id.clone().unwrap_or_else(|| first.id.clone());
    let context = GroupContext::default();
    Some(ChannelMessage { id, channel: first.channel.clone(), kind, items, context })
}

/// The other open incidents of the message's rule that its channel was notified of.
pub(super) fn context(
    message: &ChannelMessage,
    store: &Store,
    monitor: &Monitor,
) -> Result<GroupContext> {
    let Some(first) = message.items.first() else { return Ok(GroupContext::default()) };
    let rule_id = &first.notification.rule_id;
    let own: Vec<String> =
        message.items.iter().map(|item| item.notification.incident_id.clone()).collect();
    let (rows, all) =
        store.read(|reader| reader.known_open(&message.channel, rule_id, &own, CONTEXT_MAX))?;
    let open: Vec<MessageItem> = rows.iter().filter_map(|row| item(row, monitor)).collect();
    let truncated = all.saturating_sub(open.len());
    Ok(GroupContext { open, truncated })
}

/// Converts one row. The event comes from the row, not its payload; the current value comes from
/// the monitor or, before the first evaluation, from the row.
pub(super) fn item(row: &StoredMessage, monitor: &Monitor) -> Option<MessageItem> {
    let mut notification: Notification = serde_json::from_str(&row.payload)
        .inspect_err(
            |error| tracing::error!(message = row.id, %error, "a stored message is unreadable"),
        )
        .ok()?;
    notification.kind = NotificationKind::parse(&row.kind)?;
    let names = notification.group.clone().into();
    let group = AlertGroup { names, period: notification.period.clone() };
    let current = monitor
        .current(&notification.rule_id, &group, &row.incident_id)
        .or(row.current)
        .filter(|(at, _)| *at > notification.at)
        .map(|(at, value)| Current { at, value });
    Some(MessageItem { notification, current })
}
