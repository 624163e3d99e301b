//! The log channel: one structured line per notification; always available.

use super::{Attempt, Channel, ChannelMessage};
use crate::alert::notification::NotificationKind;
use crate::model::Timestamp;

/// Logs one incident.
macro_rules! event {
    ($level:ident, $item:expr, $kind:expr) => {{
        let notification = &$item.notification;
        tracing::$level!(
            target: "chatgauge::alert",
            rule = %notification.rule_id,
            incident = %notification.incident_id,
            kind = $kind.as_str(),
            group = %super::text::group(notification),
            metric = %notification.metric,
            operator = %notification.operator,
            threshold = notification.threshold,
            value = notification.value,
            samples = notification.samples,
            events = notification.events,
            severity = %notification.severity,
            triggered_at = %notification.fired_at,
            ended_at = notification.ended_at.map(tracing::field::display),
            reason = notification.reason.as_deref(),
            at = %notification.at,
            "{}: {}", notification.rule_name, notification.summary,
        );
    }};
}

/// Writes to the program's log, which never fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogChannel;

impl Channel for LogChannel {
    fn send(&mut self, message: &ChannelMessage, _now: Timestamp) -> Attempt {
        for item in &message.items {
            if message.kind.is_end() || message.kind == NotificationKind::Test {
                event!(info, item, message.kind);
            } else {
                event!(warn, item, message.kind);
            }
        }
        Attempt::delivered(None)
    }
}
