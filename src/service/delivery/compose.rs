//! From what is stored to what is sent.

use crate::alert::notify::{Current, GroupContext, Item, Message};
use crate::alert::{Monitor, Notification, NotificationKind};
use crate::error::Result;
use crate::model::alert::{AlertGroup, StoredMessage};
use crate::store::Store;

/// Most other open incidents of a rule that one message shows, as many as it has incidents of its own at most.
const CONTEXT_MAX: usize = 50;

/// The message that some stored ones travel as; `None` when none of them can be read.
pub(super) fn compose(rows: &[StoredMessage], monitor: &Monitor) -> Option<Message> {
    let first = rows.first()?;
    let items: Vec<Item> = rows.iter().filter_map(|row| item(row, monitor)).collect();
    let kind = items.first()?.notification.kind;
    let id = first.batch_id.clone().unwrap_or_else(|| first.id.clone());
    let context = GroupContext::default();
    Some(Message { id, channel: first.channel.clone(), kind, items, context })
}

/// The other incidents of the message's rule that are open and that its channel knows.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn context(message: &Message, store: &Store, monitor: &Monitor) -> Result<GroupContext> {
    let Some(first) = message.items.first() else { return Ok(GroupContext::default()) };
    let rule_id = &first.notification.rule_id;
    let own: Vec<String> =
        message.items.iter().map(|item| item.notification.incident_id.clone()).collect();
    let (rows, all) =
        store.read(|reader| reader.known_open(&message.channel, rule_id, &own, CONTEXT_MAX))?;
    let open: Vec<Item> = rows.iter().filter_map(|row| item(row, monitor)).collect();
    let truncated = all.saturating_sub(open.len());
    Ok(GroupContext { open, truncated })
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
