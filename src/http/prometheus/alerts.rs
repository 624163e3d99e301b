//! Metrics of alerting: states of rules, notifications, evaluations. Without a group label.

use super::text::{MetricsText, single_samples, unsigned};
use crate::model::alert::RuleState;
use crate::model::measures::as_f64;
use crate::service::AlertHealth;

/// Renders the metrics of alerting.
pub(super) fn alert_metrics(text: &mut MetricsText, health: &AlertHealth) {
    if let Some(rules) = &health.rules {
        rule_metrics(text, rules, &health.truncated);
    }
    let name = "chatgauge_alert_notifications_total";
    let help = "Notifications by channel and result; failed attempts are retried, dead notifications are not.";
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
        let name = "chatgauge_alert_outbox_pending";
        text.family(name, "gauge", "Notifications queued for their first or next attempt.");
        for channel in &health.channels {
            text.sample(name, &[("channel", &channel.name)], unsigned(channel.queued));
        }
        let name = "chatgauge_alert_outbox_undeliverable";
        text.family(name, "gauge", "Notifications kept for a channel that is not configured.");
        for channel in &health.channels {
            text.sample(name, &[("channel", &channel.name)], unsigned(channel.undeliverable));
        }
    }
    let counts = &health.counts;
    single_samples! { text;
        counter "chatgauge_alert_evaluations_total", "Evaluations.", counts.evaluations_total;
        counter "chatgauge_alert_evaluations_missed_total",
            "Evaluations skipped because the previous one was still running.", counts.missed_total;
        counter "chatgauge_alert_evaluations_failed_total",
            "Evaluations that could not be stored.", counts.failed_total;
        gauge "chatgauge_alert_last_evaluation_timestamp_seconds",
            "Time of the last evaluation, Unix time; for a dead man's switch.",
            counts.evaluated_at.map(|at| as_f64(at.as_unix_ms()) / 1e3);
    }
}

fn rule_metrics(text: &mut MetricsText, rules: &[(String, RuleState)], truncated: &[String]) {
    let name = "chatgauge_alert_state";
    text.family(name, "gauge", "1 for the state of a rule, which is the worst of its groups.");
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
