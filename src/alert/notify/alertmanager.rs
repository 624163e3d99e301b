//! Alertmanager API: resends active alerts every minute, because Alertmanager expires them.

use std::time::Duration;

use serde_json::{Value, json};

use super::http_client::ReceiverClient;
use super::labels::{annotations, labels};
use super::text::Links;
use super::{Attempt, Channel, ChannelMessage, MessageItem};
use crate::alert::notification::NotificationKind;
use crate::model::Timestamp;

/// Interval of refreshes.
const REFRESH: Duration = Duration::from_secs(60);
/// Validity of a firing alert, in milliseconds; without a refresh, Alertmanager then considers it
/// resolved.
const FIRING_VALID_MS: i64 = 4 * 60_000;
/// Path of the API below each URL.
const PATH: &str = "/api/v2/alerts";

/// Posts to every server of a cluster.
pub(super) struct Alertmanager {
    pub(super) clients: Vec<ReceiverClient>,
    pub(super) links: Links,
}

impl Alertmanager {
    /// Posts to all servers; delivered if one accepts, because the servers gossip.
    fn post(&self, alerts: &[Value], now: Timestamp) -> Attempt {
        let body = Value::from(alerts).to_string();
        let attempts: Vec<(&str, Attempt)> = self
            .clients
            .iter()
            .map(|client| (client.endpoint.origin(), client.post(PATH, &[], body.as_bytes(), now)))
            .collect();
        for (origin, attempt) in &attempts {
            if let Some(error) = &attempt.error {
                tracing::warn!(
                    server = origin,
                    error,
                    "posting alerts to an Alertmanager server failed"
                );
            }
        }
        let best = attempts.into_iter().map(|(_, attempt)| attempt);
        let best = best.min_by_key(|attempt| attempt.class);
        best.unwrap_or_else(|| Attempt::failed("no server is configured"))
    }
}

impl Channel for Alertmanager {
    fn send(&mut self, message: &ChannelMessage, now: Timestamp) -> Attempt {
        let alerts: Vec<Value> =
            message.items.iter().map(|item| alert(item, message.kind, now, &self.links)).collect();
        self.post(&alerts, now)
    }

    fn refresh(&mut self, items: &[MessageItem], now: Timestamp) -> Attempt {
        let alert = |item: &MessageItem| alert(item, item.notification.kind, now, &self.links);
        self.post(&items.iter().map(alert).collect::<Vec<_>>(), now)
    }

    fn refresh_interval(&self) -> Option<Duration> {
        Some(REFRESH)
    }
}

fn alert(item: &MessageItem, kind: NotificationKind, now: Timestamp, links: &Links) -> Value {
    let notification = &item.notification;
    let mut labels = labels(notification);
    let ends_at = match (kind, notification.ended_at) {
        // A test alert resolves after a minute.
        (NotificationKind::Test, _) => now.plus_ms(60_000),
        (_, Some(ended_at)) => ended_at,
        (_, None) => now.plus_ms(FIRING_VALID_MS),
    };
    if kind == NotificationKind::Test {
        labels.insert("test".to_owned(), "true".to_owned());
    }
    let mut alert = json!({
        "labels": labels,
        "annotations": annotations(item),
        "startsAt": notification.fired_at,
        "endsAt": ends_at,
    });
    let link = links.incident(&notification.incident_id);
    if !link.is_empty() {
        alert["generatorURL"] = link.into();
    }
    alert
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::notify::samples::{firing, resolved};

    #[test]
    fn a_firing_alert_is_valid_for_four_minutes_and_an_ended_one_keeps_its_end() {
        let now = Timestamp::parse_rfc3339("2026-11-23T02:10:00Z").unwrap();
        let of = |item: &MessageItem| alert(item, item.notification.kind, now, &Links::new(""));
        assert_eq!(of(&firing("i1", "acme"))["endsAt"], "2026-11-23T02:14:00Z");
        assert_eq!(of(&resolved("i1", "acme"))["endsAt"], "2026-11-23T02:31:10Z");
        assert_eq!(
            of(&firing("i1", "acme"))["labels"],
            of(&resolved("i1", "acme"))["labels"],
            "labels are the identity"
        );
    }
}
