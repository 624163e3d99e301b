//! What alerting says about itself: states of rules, messages, evaluations. No group label.

use super::render::{Text, unsigned};
use crate::model::alert::RuleState;
use crate::model::measures::as_f64;
use crate::service::{AlertHealth, ChannelReport};

/// Renders it.
pub(super) fn alert_metrics(text: &mut Text, health: &AlertHealth) {
    if let Some(rules) = &health.rules {
        rule_metrics(text, rules, &health.truncated);
    }
    let name = "chatgauge_alert_notifications_total";
    let help = "Messages by channel and result; failed ones are tried again, dead ones given up.";
    text.family(name, "counter", help);
    for channel in &health.channels {
        let results = [
            ("sent", channel.sent_total),
            ("failed", channel.failed_total),
            ("dead", channel.dead_total),
        ];
        for (result, count) in results {
            text.sample(name, &[("channel", &channel.name), ("result", result)], unsigned(count));
        }
    }
    if !health.is_outbox_unread {
        outbox_metrics(text, &health.channels);
    }
    let counters = [
        ("chatgauge_alert_evaluations_total", "Evaluations.", health.counts.evaluations_total),
        (
            "chatgauge_alert_evaluations_missed_total",
            "Evaluations left out, the one before was still running.",
            health.counts.missed_total,
        ),
        (
            "chatgauge_alert_evaluations_failed_total",
            "Evaluations that could not be written down.",
            health.counts.failed_total,
        ),
    ];
    for (name, help, value) in counters {
        text.single(name, "counter", help, unsigned(value));
    }
    if let Some(at) = health.counts.evaluated_at {
        let help = "The last evaluation, Unix time: for a dead man's switch.";
        let at_s = as_f64(at.as_unix_ms()) / 1e3;
        text.single("chatgauge_alert_last_evaluation_timestamp_seconds", "gauge", help, at_s);
    }
}

fn rule_metrics(text: &mut Text, rules: &[(String, RuleState)], truncated: &[String]) {
    let name = "chatgauge_alert_state";
    text.family(name, "gauge", "1 for the state that a rule is in, the worst of its groups.");
    for (rule, state) in rules {
        for other in RuleState::ALL {
            let value = if other == *state { 1.0 } else { 0.0 };
            text.sample(name, &[("rule", rule), ("state", other.as_str())], value);
        }
    }
    let name = "chatgauge_alert_groups_truncated";
    text.family(name, "gauge", "1 while a rule has more groups than alerting.max_groups.");
    for (rule, _) in rules {
        let is_truncated = truncated.contains(rule);
        text.sample(name, &[("rule", rule)], if is_truncated { 1.0 } else { 0.0 });
    }
}

fn outbox_metrics(text: &mut Text, channels: &[ChannelReport]) {
    let name = "chatgauge_alert_outbox_pending";
    text.family(name, "gauge", "Messages that wait for their first or next attempt.");
    for channel in channels {
        text.sample(name, &[("channel", &channel.name)], unsigned(channel.queued));
    }
    let name = "chatgauge_alert_outbox_undeliverable";
    text.family(name, "gauge", "Messages kept for a channel that is not configured any more.");
    for channel in channels {
        text.sample(name, &[("channel", &channel.name)], unsigned(channel.undeliverable));
    }
}
