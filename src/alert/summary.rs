//! Texts of values, durations and windows, for people; the summary and the notification of an incident.

use super::notification::{Notification, NotificationKind, Unit};
use super::observation::Judgement;
use super::wilson::as_f64;
use crate::model::Timestamp;
use crate::model::alert::{AlertGroup, AlertMetric, EndReason, EvaluationWindow, Rule, template};
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};

/// The unit of a metric's values.
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

/// Number of decimals of numbers of 1 or more, and minimum for smaller ones.
const DECIMALS: usize = 2;
/// Maximum number of decimals; a double has about 17 digits.
const DECIMALS_MAX: usize = 17;

/// Number of decimals: two, or for numbers below 1 as many as three significant digits need.
fn decimals_of(value: f64) -> usize {
    let mut decimals = DECIMALS;
    let mut scaled = value.abs();
    while scaled > 0.0 && scaled < 1.0 && decimals < DECIMALS_MAX {
        scaled *= 10.0;
        decimals += 1;
    }
    decimals
}

/// Formats a number of 0 or more with thousands separators and at most `decimals` decimals.
fn with_decimals(value: f64, decimals: usize) -> String {
    let rounded = format!("{value:.decimals$}");
    let (whole, decimals) = rounded.split_once('.').unwrap_or((&rounded, ""));
    let mut text = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let decimals = decimals.trim_end_matches('0');
    let point = if decimals.is_empty() { "" } else { "." };
    format!("{text}{point}{decimals}")
}

/// A number format: factor, prefix and suffix.
#[derive(Clone, Copy)]
struct NumberFormat {
    factor: f64,
    prefix: &'static str,
    suffix: &'static str,
}

impl NumberFormat {
    /// The format that a template requests, or that of the unit.
    fn new(value: f64, unit: Unit, requested: Option<&str>) -> Self {
        let (factor, prefix, suffix) = match (requested, unit) {
            (Some("pct"), _) | (None, Unit::Ratio) => (100.0, "", " %"),
            (Some("s"), _) => (1e-3, "", " s"),
            (None, Unit::Ms) if value.abs() >= 1_000.0 => (1e-3, "", " s"),
            (Some("ms"), _) | (None, Unit::Ms) => (1.0, "", " ms"),
            (None, Unit::Usd) => (1.0, "$", ""),
            (None, Unit::PerMinute) => (1.0, "", " /min"),
            (Some(_), _) | (None, Unit::Count) => (1.0, "", ""),
        };
        Self { factor, prefix, suffix }
    }

    fn text(self, value: f64, more_decimals: usize) -> String {
        // A division by 1,000 is exact where a multiplication by 0.001 is not.
        let scaled =
            if self.factor < 1.0 { value / self.factor.recip() } else { value * self.factor };
        let decimals = (decimals_of(scaled) + more_decimals).min(DECIMALS_MAX);
        let sign = if scaled < 0.0 { "-" } else { "" };
        format!("{sign}{}{}{}", self.prefix, with_decimals(scaled.abs(), decimals), self.suffix)
    }

    /// Formats `value` with enough decimals to differ from `other`.
    fn text_distinct_from(self, value: f64, other: f64) -> String {
        let is_same = value.partial_cmp(&other) == Some(std::cmp::Ordering::Equal);
        let is_distinct =
            |more: &usize| is_same || self.text(value, *more) != self.text(other, *more);
        let more = (0..=DECIMALS_MAX).find(is_distinct).unwrap_or(0);
        self.text(value, more)
    }
}

/// Formats a value with its unit.
pub fn value_text(value: f64, unit: Unit) -> String {
    NumberFormat::new(value, unit, None).text(value, 0)
}

/// Formats a value, or `no value`, and its threshold; different numbers have different texts.
pub fn pair_text(value: Option<f64>, threshold: f64, unit: Unit) -> (String, String) {
    let Some(value) = value else { return ("no value".to_owned(), value_text(threshold, unit)) };
    let distinct =
        |value, other| NumberFormat::new(value, unit, None).text_distinct_from(value, other);
    (distinct(value, threshold), distinct(threshold, value))
}

/// Formats a value as the template requests; it differs from `other` if the numbers differ.
fn formatted(value: Option<f64>, other: Option<f64>, unit: Unit, format: Option<&str>) -> String {
    let Some(value) = value else { return "no value".to_owned() };
    let number = NumberFormat::new(value, unit, format);
    match other {
        Some(other) => number.text_distinct_from(value, other),
        None => number.text(value, 0),
    }
}

/// Formats a window: `5m`, `day`.
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

/// Formats a duration in its largest unit, hours with minutes and days with hours.
pub(crate) fn duration_text(ms: i64) -> String {
    let ms = ms.saturating_abs();
    let (days, hours, minutes) = (ms / DAY_MS, ms % DAY_MS / HOUR_MS, ms % HOUR_MS / MINUTE_MS);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{} s", ms / 1_000),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, ..) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Renders the rule's template; the group is prepended if the template has no field `group`.
pub fn summary(rule: &Rule, group: &AlertGroup, judgement: &Judgement) -> String {
    let unit = unit_of(rule.metric);
    let group_text = group.to_string();
    let mut has_group = rule.by.is_empty();
    let text = template::render(&rule.summary, |field, format| match field {
        "name" => rule.name.clone(),
        "rule" => rule.id.clone(),
        "group" => {
            has_group = true;
            group_text.clone()
        }
        "metric" => rule.metric.name(),
        "op" => rule.condition.operator.as_str().to_owned(),
        "window" => window_text(rule.condition.window),
        "value" => formatted(judgement.value, Some(judgement.threshold), unit, format),
        "threshold" => formatted(Some(judgement.threshold), judgement.value, unit, format),
        "limit" => formatted(rule.limit_of(group), None, unit, format),
        "samples" => formatted(Some(as_f64(judgement.samples)), None, Unit::Count, format),
        "events" => formatted(Some(as_f64(judgement.events)), None, Unit::Count, format),
        _ => String::new(),
    });
    if has_group { text } else { format!("{group_text}: {text}") }
}

/// The notification about an incident of a group.
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
        at,
        zone: rule.tz.name().to_owned(),
        ..Notification::default()
    }
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
        assert_eq!(value_text(-1_234.5, Unit::Usd), "-$1,234.5");
    }

    #[test]
    fn small_amounts_are_not_rounded_away() {
        for (value, unit, text) in [
            (0.00042, Unit::Usd, "$0.00042"),
            (0.0002, Unit::Usd, "$0.0002"),
            (1e-9, Unit::Usd, "$0.000000001"),
            (0.000_012_345, Unit::Usd, "$0.0000123"),
            (-0.000_12, Unit::Usd, "-$0.00012"),
            (0.0, Unit::Usd, "$0"),
            (0.999_6, Unit::Usd, "$1"),
            (0.123_4, Unit::Usd, "$0.123"),
            (12.345_6, Unit::Usd, "$12.35"),
            (0.000_05, Unit::Ratio, "0.005 %"),
            (0.042, Unit::Ms, "0.042 ms"),
            (0.003, Unit::PerMinute, "0.003 /min"),
        ] {
            assert_eq!(value_text(value, unit), text, "{value}");
        }
        // The smallest number has no digit left, and formatting it takes no time.
        assert_eq!(value_text(f64::MIN_POSITIVE, Unit::Usd), "$0");
        assert_eq!(value_text(f64::NAN, Unit::Count), "NaN");
    }

    #[test]
    fn a_value_beyond_its_limit_never_looks_equal_to_it() {
        for (value, limit, unit, text) in [
            (0.100_04, 0.1, Unit::Ratio, "10.004 %"),
            (5_000.001, 5_000.0, Unit::Ms, "5.000001 s"),
            (0.000_200_01, 0.000_2, Unit::Usd, "$0.00020001"),
            (100.001, 100.0, Unit::Count, "100.001"),
            (0.2, 0.1, Unit::Ratio, "20 %"),
            (0.1, 0.1, Unit::Ratio, "10 %"),
        ] {
            assert_eq!(pair_text(Some(value), limit, unit).0, text, "{value}");
        }
    }

    #[test]
    fn a_summary_shows_a_small_amount_and_its_limit() {
        use crate::alert::observation::Verdict;
        use crate::model::alert::{AlertCondition, Operator};
        let condition =
            AlertCondition::new(Operator::Above, 0.000_2, std::time::Duration::from_secs(3_600), 1);
        let mut rule = Rule::new("spend", AlertMetric::Cost, condition);
        rule.summary = "{value} {op} {threshold}, {value:num}".to_owned();
        let judgement =
            Judgement { value: Some(0.000_42), ..Judgement::bare(Verdict::Violation, 0.000_2) };
        assert_eq!(
            summary(&rule, &AlertGroup::default(), &judgement),
            "$0.00042 > $0.0002, 0.00042"
        );
    }
    #[test]
    fn default_summaries_count_events_only_where_there_are_some() {
        use crate::alert::observation::Verdict;
        use crate::model::alert::{AlertCondition, Operator};
        use crate::model::{LatencyKind, Stat};
        let latency = AlertMetric::Latency(LatencyKind::Total, Stat::Average);
        for (metric, value, threshold, events, expected) in [
            (latency, 500.0, 100.0, 0, "a: 500 ms > 100 ms in 1m (120 requests)"),
            (AlertMetric::RequestRate, 120.0, 100.0, 120, "a: 120 /min > 100 /min in 1m"),
            (AlertMetric::Tokens, 500.0, 100.0, 0, "a: 500 > 100 in 1m"),
            (AlertMetric::Cost, 5.0, 1.0, 0, "a: $5 > $1 in 1m"),
            (AlertMetric::ErrorRate, 0.5, 0.1, 60, "a: 50 % > 10 % (60 of 120) in 1m"),
            (AlertMetric::ConsecutiveFailures, 120.0, 5.0, 120, "a: 120 errors in a row, limit 5"),
        ] {
            let width = std::time::Duration::from_secs(60);
            let rule =
                Rule::new("a", metric, AlertCondition::new(Operator::Above, threshold, width, 1));
            let judgement = Judgement {
                value: Some(value),
                samples: 120,
                events,
                ..Judgement::bare(Verdict::Violation, threshold)
            };
            assert_eq!(summary(&rule, &AlertGroup::default(), &judgement), expected);
        }
    }
}
