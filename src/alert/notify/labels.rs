//! Labels and annotations in Alertmanager's format.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::text::{Links, comparison};
use super::{ChannelMessage, MessageItem};
use crate::alert::notification::{Notification, NotificationKind};

/// Alertmanager's `endsAt` for an alert without an end.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// The labels of an alert. They are its identity and do not change while it is open.
pub(super) fn labels(notification: &Notification) -> BTreeMap<String, String> {
    let own = notification.labels.iter().map(|(name, value)| (label_name(name), value.clone()));
    let mut labels: BTreeMap<String, String> = own.collect();
    let group = notification.group.iter().map(|(name, value)| (name.clone(), value.clone()));
    labels.extend(group);
    labels.extend(notification.period.iter().map(|period| ("period".into(), period.clone())));
    labels.extend([
        ("alertname".into(), notification.rule_name.clone()),
        ("rule".into(), notification.rule_id.clone()),
        ("severity".into(), notification.severity.clone()),
    ]);
    labels
}

/// The annotations of an alert.
pub(super) fn annotations(item: &MessageItem) -> BTreeMap<String, String> {
    let notification = &item.notification;
    let mut annotations = BTreeMap::from([
        ("summary".to_owned(), notification.summary.clone()),
        ("description".to_owned(), comparison(notification)),
    ]);
    let mut add = |name: &str, value: Option<String>| {
        annotations.extend(value.map(|value| (name.to_owned(), value)));
    };
    add("value", notification.value.map(|value| value.to_string()));
    add("current_value", item.current.and_then(|current| current.value).map(|v| v.to_string()));
    add("runbook_url", notification.runbook.clone());
    add("reason", notification.reason.clone());
    annotations
}

/// Replaces all characters except letters, digits and underscores, for any version of Alertmanager.
fn label_name(name: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let clean: String = name.chars().map(|c| if is_part(c) { c } else { '_' }).collect();
    if clean.starts_with(|c: char| c.is_ascii_digit()) { format!("_{clean}") } else { clean }
}

/// Prometheus's label hash: FNV-1a over names and values, each followed by 0xff.
pub(super) fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        text.bytes().for_each(&mut add);
        add(0xff);
    }
    format!("{hash:016x}")
}

/// `firing` or `resolved`.
pub(super) const fn status(kind: NotificationKind) -> &'static str {
    if kind.is_end() { "resolved" } else { "firing" }
}

/// One alert of a webhook payload.
pub(super) fn webhook_alert(item: &MessageItem, kind: NotificationKind, links: &Links) -> Value {
    let labels = labels(&item.notification);
    let ends_at = item.notification.ended_at.map_or_else(|| NO_END.to_owned(), |at| at.to_string());
    json!({
        "status": status(kind),
        "fingerprint": fingerprint(&labels),
        "labels": labels,
        "annotations": annotations(item),
        "startsAt": item.notification.fired_at,
        "endsAt": ends_at,
        "generatorURL": links.incident(&item.notification.incident_id),
    })
}

/// Labels or annotations that all incidents of the message share.
pub(super) fn common(
    message: &ChannelMessage,
    of: impl Fn(&MessageItem) -> BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut items = message.items.iter().chain(&message.context.open);
    let mut common = items.next().map(&of).unwrap_or_default();
    for item in items {
        let other = of(item);
        common.retain(|name, value| other.get(name) == Some(value));
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::notify::samples::firing;

    #[test]
    fn the_rule_decides_over_custom_labels() {
        let mut notification = firing("i1", "acme").notification;
        notification.labels = [("rule", "mine"), ("on-call", "me"), ("1st", "x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let labels = labels(&notification);
        assert_eq!(labels["rule"], "error-rate");
        assert_eq!(labels["on_call"], "me");
        assert_eq!(labels["_1st"], "x");
        assert_eq!(labels["space"], "acme");
    }

    #[test]
    fn the_fingerprint_is_that_of_prometheus() {
        // FNV-1a's own offset basis for no labels; the second computed by hand: "a" 0xff "b" 0xff.
        assert_eq!(fingerprint(&BTreeMap::new()), "cbf29ce484222325");
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let expected = [0x61_u64, 0xff, 0x62, 0xff]
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ byte).wrapping_mul(0x100_0000_01b3));
        assert_eq!(fingerprint(&labels), format!("{expected:016x}"));
    }
}
