//! Slack's incoming webhook with attachments, which Mattermost, Rocket.Chat and Discord also
//! accept.

use std::time::Duration;

use serde_json::{Value, json};

use super::http_client::ReceiverClient;
use super::text::{Links, group, headline, lines};
use super::{Attempt, Channel, ChannelMessage, MessageItem};
use crate::alert::notification::NotificationKind;
use crate::model::Timestamp;

/// Minimum time between messages: Slack accepts one per second and channel.
const PACE: Duration = Duration::from_secs(1);
/// Maximum number of attachments per message; Slack shows no more.
const ATTACHMENTS_MAX: usize = 20;

/// Posts to one chat channel.
pub(super) struct Slack {
    pub(super) client: ReceiverClient,
    pub(super) links: Links,
}

impl Channel for Slack {
    fn send(&mut self, message: &ChannelMessage, now: Timestamp) -> Attempt {
        let body = payload(message, &self.links).to_string();
        self.client.post("", &[], body.as_bytes(), now)
    }

    fn pace(&self) -> Duration {
        PACE
    }
}

fn payload(message: &ChannelMessage, links: &Links) -> Value {
    let shown = message.items.iter().take(ATTACHMENTS_MAX);
    let attachments: Vec<Value> = shown.map(|item| attachment(item, message.kind, links)).collect();
    let more = match message.items.len().saturating_sub(ATTACHMENTS_MAX) {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    json!({ "text": plain(&(headline(message) + &more)), "attachments": attachments })
}

fn attachment(item: &MessageItem, kind: NotificationKind, links: &Links) -> Value {
    let notification = &item.notification;
    let title = match group(notification) {
        group if group.is_empty() => notification.rule_name.clone(),
        group => format!("{} ({group})", notification.rule_name),
    };
    let mut fields = vec![field("Severity", &notification.severity)];
    fields.extend(notification.runbook.iter().map(|runbook| field("Runbook", runbook)));
    let mut attachment = json!({
        "color": color(kind, &notification.severity),
        "title": plain(&title),
        "fallback": plain(&notification.summary),
        "text": plain(&lines(item).join("\n")),
        "fields": fields,
        "ts": notification.at.as_unix_ms().div_euclid(1_000),
    });
    let link = links.incident(&notification.incident_id);
    if !link.is_empty() {
        attachment["title_link"] = link.into();
    }
    attachment
}

fn field(title: &str, value: &str) -> Value {
    json!({ "title": title, "value": plain(value), "short": true })
}

fn color(kind: NotificationKind, severity: &str) -> &'static str {
    match (kind, severity) {
        (NotificationKind::Resolved | NotificationKind::FiredAndResolved, _) => "good",
        (NotificationKind::Test, _) => "#439fe0",
        (_, "critical" | "error" | "page") => "danger",
        _ => "warning",
    }
}

/// Escapes markup and mentions, because names of models and spaces are untrusted.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            // A zero-width space prevents mentions such as "@everyone".
            '@' => plain.push_str("@\u{200b}"),
            '\n' => plain.push('\n'),
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::notify::samples::{firing, message, resolved};

    #[test]
    fn the_shape_is_slacks() {
        let payload =
            payload(&message(vec![firing("i1", "acme")]), &Links::new("https://cg.example"));
        assert_eq!(payload["text"], "Firing: High error rate (space acme)");
        let attachment = &payload["attachments"][0];
        assert_eq!(attachment["color"], "danger");
        assert_eq!(attachment["title_link"], "https://cg.example/alerts?incident=i1");
        assert_eq!(attachment["ts"], 1_795_399_210);
        let text = attachment["text"].as_str().unwrap();
        assert!(text.contains("Value: 23.1 %, limit &gt; 10 %, 18 of 78 requests"), "{text}");
        let over = message(vec![resolved("i1", "acme")]);
        assert_eq!(super::payload(&over, &Links::new(""))["attachments"][0]["color"], "good");
    }

    #[test]
    fn mentions_in_names_are_escaped() {
        let payload = payload(
            &message(vec![firing("i1", "<!channel> @everyone <https://evil.example|x>")]),
            &Links::new(""),
        );
        let text = payload.to_string();
        assert!(!text.contains("<!channel>") && !text.contains("@everyone"), "{text}");
        assert!(!text.contains("<https"), "{text}");
    }

    #[test]
    fn many_alerts_are_one_message_of_bounded_size() {
        let items = (0..500).map(|i| firing(&format!("i{i}"), "acme")).collect();
        let payload = payload(&message(items), &Links::new(""));
        assert_eq!(payload["attachments"].as_array().unwrap().len(), ATTACHMENTS_MAX);
        assert_eq!(payload["text"], "Firing: High error rate (500 groups) (and 480 more)");
    }
}
