//! The webhook: Alertmanager's version 4 payload plus our own incident fields, signed.

use serde_json::{Value, json};

use super::http_client::ReceiverClient;
use super::labels::{annotations, common, labels, status, webhook_alert};
use super::signature::sign;
use super::text::Links;
use super::{Attempt, Channel, ChannelMessage, MessageItem};
use crate::alert::notification::NotificationKind;
use crate::config::SigningKey;
use crate::model::Timestamp;

/// Posts to one receiver.
pub(super) struct Webhook {
    /// Name of the channel.
    pub(super) name: String,
    pub(super) client: ReceiverClient,
    pub(super) keys: Vec<SigningKey>,
    pub(super) links: Links,
}

impl Channel for Webhook {
    fn send(&mut self, message: &ChannelMessage, now: Timestamp) -> Attempt {
        let body = payload(message, &self.name, &self.links).to_string().into_bytes();
        let timestamp_s = now.as_unix_ms().div_euclid(1_000);
        let timestamp = timestamp_s.to_string();
        let signature = sign(&self.keys, &message.id, timestamp_s, &body);
        let mut headers = vec![("webhook-id", &*message.id), ("webhook-timestamp", &timestamp)];
        if !signature.is_empty() {
            headers.push(("webhook-signature", &signature));
        }
        self.client.post("", &headers, &body, now)
    }

    fn shows_group(&self) -> bool {
        true
    }
}

/// Reason of the notification, in Alertmanager's terms where they exist.
const fn reason(message: &ChannelMessage) -> &'static str {
    let is_all = message.context.is_empty();
    match message.kind {
        NotificationKind::Firing if is_all => "first notification",
        NotificationKind::Firing => "new alerts added",
        NotificationKind::Resolved if is_all => "all alerts resolved",
        NotificationKind::Resolved => "some alerts resolved",
        NotificationKind::Reminder => "repeat interval elapsed",
        NotificationKind::Flapping => "flapping",
        NotificationKind::FiredAndResolved => "fired and resolved",
        NotificationKind::Test => "test",
    }
}

/// Status of the group, that is of the rule: firing while any of its alerts is.
const fn group_status(message: &ChannelMessage) -> &'static str {
    if message.context.is_empty() { status(message.kind) } else { status(NotificationKind::Firing) }
}

/// The complete payload.
///
/// Alertmanager's group is the rule: its alerts are those that started or ended now, and the rule's
/// other open incidents that the receiver knows. `incident` and `incidents` contain only the
/// former.
fn payload(message: &ChannelMessage, receiver: &str, links: &Links) -> Value {
    let rule = message.items.first().map_or("", |item| &item.notification.rule_id);
    let changed = message.items.iter().map(|item| (item, message.kind));
    let others = message.context.open.iter().map(|item| (item, NotificationKind::Firing));
    let alerts = changed.chain(others).map(|(item, kind)| webhook_alert(item, kind, links));
    let alerts: Vec<Value> = alerts.collect();
    let incidents: Vec<Value> =
        message.items.iter().map(|item| incident(item, message.kind, links)).collect();
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{{rule={rule:?}}}"),
        "truncatedAlerts": message.context.truncated,
        "status": group_status(message),
        "receiver": receiver,
        "notification_reason": reason(message),
        "groupLabels": { "rule": rule },
        "commonLabels": common(message, |item| labels(&item.notification)),
        "commonAnnotations": common(message, annotations),
        "routeLabels": {},
        "externalURL": links.external_url,
        "alerts": alerts,
        "incident": incidents.first(),
        "incidents": incidents,
    })
}

/// Our own fields about an incident: the notification and its latest evaluation.
fn incident(item: &MessageItem, kind: NotificationKind, links: &Links) -> Value {
    let mut value = serde_json::to_value(&item.notification).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        fields.insert("kind".into(), kind.as_str().into());
        fields.insert("url".into(), links.incident(&item.notification.incident_id).into());
        let current =
            item.current.map(|current| json!({ "value": current.value, "at": current.at }));
        fields.insert("current".into(), current.unwrap_or_default());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::notify::Current;
    use crate::alert::notify::samples::{firing, message, resolved};

    fn payload_of(items: Vec<MessageItem>) -> Value {
        payload(&message(items), "ops", &Links::new("https://cg.example"))
    }

    #[test]
    fn the_message_has_the_format_of_alertmanager() {
        let payload = payload_of(vec![firing("i1", "acme")]);
        assert_eq!(payload["version"], "4");
        assert_eq!(payload["status"], "firing");
        assert_eq!(payload["receiver"], "ops");
        assert_eq!(payload["groupKey"], "{}:{rule=\"error-rate\"}");
        let alert = &payload["alerts"][0];
        assert_eq!(alert["labels"]["alertname"], "High error rate");
        assert_eq!(alert["labels"]["team"], "platform");
        assert_eq!(alert["startsAt"], "2026-11-23T02:00:10Z");
        assert_eq!(alert["endsAt"], "0001-01-01T00:00:00Z");
        assert_eq!(alert["generatorURL"], "https://cg.example/alerts?incident=i1");
        assert_eq!(alert["annotations"]["runbook_url"], "https://wiki.example/errors");
        assert_eq!(alert["fingerprint"].as_str().unwrap().len(), 16);
        assert_eq!(payload["commonLabels"], alert["labels"]);
    }

    #[test]
    fn the_incident_is_an_additional_member() {
        let mut item = firing("i1", "acme");
        let at = item.notification.at.plus_ms(60_000);
        item.current = Some(Current { at, value: Some(0.4) });
        let incident = &payload_of(vec![item])["incident"];
        assert_eq!(incident["incident_id"], "i1");
        assert_eq!(incident["value"], 0.231);
        assert_eq!(incident["samples"], 78);
        assert_eq!(incident["group"], json!({ "space": "acme" }));
        assert_eq!(incident["current"], json!({ "value": 0.4, "at": "2026-11-23T02:01:10Z" }));
    }

    #[test]
    fn a_resolved_message_has_time_and_reason() {
        let payload = payload_of(vec![resolved("i1", "acme")]);
        assert_eq!(payload["status"], "resolved");
        assert_eq!(payload["alerts"][0]["endsAt"], "2026-11-23T02:31:10Z");
        assert_eq!(payload["incident"]["reason"], "recovered");
    }

    #[test]
    fn common_labels_are_shared() {
        let payload = payload_of(vec![firing("i1", "acme"), firing("i2", "beta")]);
        assert_eq!(payload["alerts"].as_array().unwrap().len(), 2);
        assert_eq!(payload["commonLabels"].get("space"), None);
        assert_eq!(payload["commonLabels"]["rule"], "error-rate");
        assert_eq!(payload["incidents"][1]["incident_id"], "i2");
    }
}
