//! What a message says: values with their units, the rule's template filled in.

use super::notification::{Notification, NotificationKind, Unit};
use super::observation::Judgement;
use crate::model::Timestamp;
use crate::model::alert::{AlertGroup, AlertMetric, EndReason, EvaluationWindow, Rule, template};

/// What the values of a metric count.
pub const fn unit_of(metric: AlertMetric) -> Unit {
    match metric {
        AlertMetric::ErrorRate | AlertMetric::CacheHitRate => Unit::Ratio,
        AlertMetric::Latency(..) => Unit::Ms,
        AlertMetric::RequestRate => Unit::PerMinute,
        AlertMetric::Cost => Unit::Usd,
        AlertMetric::ErrorCount
        | AlertMetric::Tokens
        | AlertMetric::ConsecutiveFailures
        | AlertMetric::NoTraffic
        | AlertMetric::BurnRate
        | AlertMetric::Spike
        | AlertMetric::FailedEvaluations => Unit::Count,
    }
}

/// A number as people read it: at most two decimals, thousands apart.
pub fn number_text(value: f64) -> String {
    let rounded = format!("{value:.2}");
    let (whole, decimals) = rounded.split_once('.').unwrap_or((&rounded, ""));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let decimals = decimals.trim_end_matches('0');
    let point = if decimals.is_empty() { "" } else { "." };
    format!("{sign}{text}{point}{decimals}")
}

/// A value with its unit.
pub fn value_text(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ratio => format!("{} %", number_text(value * 100.0)),
        Unit::Ms if value.abs() >= 1_000.0 => format!("{} s", number_text(value / 1_000.0)),
        Unit::Ms => format!("{} ms", number_text(value)),
        Unit::Usd => format!("${}", number_text(value)),
        Unit::PerMinute | Unit::Count => number_text(value),
    }
}

fn formatted(value: Option<f64>, unit: Unit, format: Option<&str>) -> String {
    let Some(value) = value else { return "unknown".to_owned() };
    match format {
        Some("pct") => value_text(value, Unit::Ratio),
        Some("ms") => format!("{} ms", number_text(value)),
        Some("s") => format!("{} s", number_text(value / 1_000.0)),
        Some(_) => number_text(value),
        None => value_text(value, unit),
    }
}

/// A window in words: `5m`, `day`.
pub fn window_text(window: EvaluationWindow) -> String {
    match window {
        EvaluationWindow::Period(period) => period.as_str().to_owned(),
        EvaluationWindow::Rolling(width) => {
            let seconds = width.as_secs();
            match seconds {
                0 => format!("{}ms", width.as_millis()),
                _ if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
                _ if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
                _ if seconds % 60 == 0 => format!("{}m", seconds / 60),
                _ => format!("{seconds}s"),
            }
        }
    }
}

/// The rule's template filled in; with its group in front when the rule has groups.
pub fn summary(rule: &Rule, group: &AlertGroup, judgement: &Judgement) -> String {
    let unit = unit_of(rule.metric);
    let group_text = group.to_string();
    let text = template::render(&rule.summary, |field, format| match field {
        "name" => rule.name.clone(),
        "rule" => rule.id.clone(),
        "group" => group_text.clone(),
        "metric" => rule.metric.name(),
        "op" => rule.condition.operator.as_str().to_owned(),
        "window" => window_text(rule.condition.window),
        "value" => formatted(judgement.value, unit, format),
        "threshold" => formatted(Some(judgement.threshold), unit, format),
        "limit" => formatted(rule.limit_of(group), unit, format),
        "samples" => formatted(Some(as_f64(judgement.samples)), Unit::Count, format),
        "events" => formatted(Some(as_f64(judgement.events)), Unit::Count, format),
        _ => String::new(),
    });
    let has_group = rule.summary.contains("{group") || rule.by.is_empty();
    if has_group { text } else { format!("{group_text}: {text}") }
}

/// The message about an incident of a group.
pub fn notification(
    rule: &Rule,
    group: &AlertGroup,
    (incident_id, fired_at): (&str, Timestamp),
    kind: NotificationKind,
    judgement: &Judgement,
    at: Timestamp,
    ended: Option<EndReason>,
) -> Notification {
    Notification {
        rule_id: rule.id.clone(),
        rule_name: rule.name.clone(),
        incident_id: incident_id.to_owned(),
        kind,
        group: group.names.clone().into(),
        period: group.period.clone(),
        metric: rule.metric.name(),
        operator: rule.condition.operator.as_str().to_owned(),
        threshold: judgement.threshold,
        value: judgement.value,
        unit: unit_of(rule.metric),
        samples: judgement.samples,
        events: judgement.events,
        severity: rule.severity.clone(),
        labels: rule.labels.clone(),
        summary: summary(rule, group, judgement),
        runbook: rule.runbook.clone(),
        fired_at,
        ended_at: ended.map(|_| at),
        reason: ended.map(|reason| reason.as_str().to_owned()),
        closed_by: None,
        comment: None,
        at,
        zone: rule.tz.name().to_owned(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests, exact up to 2^53")]
const fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(value_text(0.231, Unit::Ratio), "23.1 %");
        assert_eq!(value_text(5_100.0, Unit::Ms), "5.1 s");
        assert_eq!(value_text(312.456, Unit::Ms), "312.46 ms");
        assert_eq!(value_text(1_200_001.0, Unit::Count), "1,200,001");
        assert_eq!(value_text(-1_234.5, Unit::Usd), "$-1,234.5");
    }
}
