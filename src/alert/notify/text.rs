//! Texts of messages: headlines, values with units, local times.

use super::{ChannelMessage, MessageItem};
use crate::alert::notification::{Notification, NotificationKind};
use crate::alert::summary::{duration_text, pair_text, value_text};
use crate::model::{Timestamp, Tz};

/// Base of the links in messages.
#[derive(Clone, Debug)]
pub(super) struct Links {
    /// URL of the dashboard, or empty.
    pub(super) external_url: String,
}

impl Links {
    /// Links below the dashboard's URL; none if it is empty.
    pub(super) fn new(external_url: &str) -> Self {
        Self { external_url: external_url.trim_end_matches('/').to_owned() }
    }

    /// URL of an incident, or empty.
    pub(super) fn incident(&self, incident_id: &str) -> String {
        if self.external_url.is_empty() {
            return String::new();
        }
        // Incident ids contain only letters, digits and dashes, so they need no escaping.
        format!("{}/alerts?incident={incident_id}", self.external_url)
    }
}

/// The start of a text with spaces instead of control characters.
pub(super) fn one_line(text: &str, max_chars: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(clean).take(max_chars).collect()
}

/// Label of an event.
pub(super) const fn label(kind: NotificationKind) -> &'static str {
    match kind {
        NotificationKind::Firing => "Firing",
        NotificationKind::Resolved => "Resolved",
        NotificationKind::Reminder => "Still firing",
        NotificationKind::Flapping => "Flapping",
        NotificationKind::FiredAndResolved => "Fired and resolved",
        NotificationKind::Test => "Test",
    }
}

/// The message in one line.
pub(super) fn headline(message: &ChannelMessage) -> String {
    let Some(first) = message.items.first() else { return label(message.kind).to_owned() };
    let (label, name) = (label(message.kind), &first.notification.rule_name);
    match message.items.len() {
        1 => match group(&first.notification) {
            group if group.is_empty() => format!("{label}: {name}"),
            group => format!("{label}: {name} ({group})"),
        },
        count => format!("{label}: {name} ({count} groups)"),
    }
}

/// The group as text, e.g. `space acme, model gpt-5`; empty without a group.
pub(super) fn group(notification: &Notification) -> String {
    let pairs = notification.group.iter().map(|(dimension, value)| format!("{dimension} {value}"));
    let period = notification.period.iter().cloned();
    pairs.chain(period).collect::<Vec<_>>().join(", ")
}

/// Value, threshold and sample size.
pub(super) fn comparison(notification: &Notification) -> String {
    let Notification { value: seen, operator, threshold, unit, samples, events, .. } = notification;
    let (seen, limit) = pair_text(*seen, *threshold, *unit);
    let of = match (events, samples) {
        (_, 0) => String::new(),
        (0, samples) => format!(", {samples} requests"),
        (events, samples) => format!(", {events} of {samples} requests"),
    };
    format!("{seen}, limit {operator} {limit}{of}")
}

/// The lines about one incident, without link and runbook.
pub(super) fn lines(item: &MessageItem) -> Vec<String> {
    let notification = &item.notification;
    let mut lines = vec![notification.summary.clone()];
    if notification.kind == NotificationKind::Test {
        return lines;
    }
    lines.push(format!("Value: {}", comparison(notification)));
    if let Some(current) = item.current
        && notification.ended_at.is_none()
    {
        let seen = current.value.map(|seen| value_text(seen, notification.unit));
        let seen = seen.unwrap_or_else(|| "no traffic".to_owned());
        lines.push(format!("Now: {seen} (at {})", time(current.at, &notification.zone)));
    }
    lines.push(format!("Since: {}", time(notification.fired_at, &notification.zone)));
    if let Some(ended_at) = notification.ended_at {
        // The start of an incident may lie ahead of a clock that was set back.
        let lasted_ms = ended_at.as_unix_ms() - notification.fired_at.as_unix_ms();
        let lasted = duration_text(lasted_ms.max(0));
        let reason = end_reason(notification);
        let at = time(ended_at, &notification.zone);
        lines.push(format!("Ended: {at}, after {lasted}: {reason}"));
    }
    lines
}

/// The reason of the end, and who closed the incident.
fn end_reason(notification: &Notification) -> String {
    let comment = notification.comment.iter().map(|comment| format!(": {comment}"));
    match &notification.closed_by {
        Some(actor) => format!("closed by {actor}{}", comment.collect::<String>()),
        None => notification.reason.as_deref().unwrap_or("ended").replace('_', " "),
    }
}

/// A time in the zone, with the name of the zone.
fn time(at: Timestamp, zone: &str) -> String {
    let tz: Tz = zone.parse().unwrap_or(Tz::UTC);
    format!("{} ({})", at.floor_to(1_000).to_rfc3339_in(tz), tz.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::notify::samples::{firing, message, resolved};

    #[test]
    fn an_incident_in_words() {
        let item = MessageItem {
            current: Some(crate::alert::notify::Current {
                at: Timestamp::parse_rfc3339("2026-11-23T02:30:00Z").unwrap(),
                value: Some(0.4),
            }),
            ..firing("i1", "acme")
        };
        assert_eq!(
            lines(&item),
            [
                "23.1 % errors (18 of 78) in 5m, limit 10 %",
                "Value: 23.1 %, limit > 10 %, 18 of 78 requests",
                "Now: 40 % (at 2026-11-23T03:30:00+01:00 (Europe/Warsaw))",
                "Since: 2026-11-23T03:00:10+01:00 (Europe/Warsaw)",
            ]
        );
        assert_eq!(
            lines(&resolved("i1", "acme")).last().unwrap(),
            "Ended: 2026-11-23T03:31:10+01:00 (Europe/Warsaw), after 31 min: recovered"
        );
    }

    #[test]
    fn an_end_before_the_start_lasts_no_time() {
        let mut item = resolved("i1", "acme");
        item.notification.ended_at = Some(item.notification.fired_at.plus_ms(-60_000));
        let text = lines(&item).pop().unwrap();
        assert!(text.ends_with("after 0 s: recovered"), "{text}");
    }

    #[test]
    fn the_closing_user_is_named() {
        let mut item = resolved("i1", "acme");
        item.notification.closed_by = Some("key:3 ops".into());
        item.notification.comment = Some("known".into());
        let text = lines(&item).pop().unwrap();
        assert!(text.ends_with("after 31 min: closed by key:3 ops: known"), "{text}");
    }

    #[test]
    fn a_headline_names_the_group_or_counts_them() {
        let one = message(vec![firing("i1", "acme")]);
        assert_eq!(headline(&one), "Firing: High error rate (space acme)");
        let two = message(vec![firing("i1", "acme"), firing("i2", "beta")]);
        assert_eq!(headline(&two), "Firing: High error rate (2 groups)");
    }

    #[test]
    fn links_require_a_base_url() {
        assert_eq!(
            Links::new("https://x.example/").incident("i1"),
            "https://x.example/alerts?incident=i1"
        );
        assert_eq!(Links::new("").incident("i1"), "");
    }
}
