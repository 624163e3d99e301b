//! How alerting itself is doing: evaluations, rules, channels.

use super::{AlertCounts, ChannelReport, Chatgauge};
use crate::error::Result;
use crate::model::alert::RuleState;

/// Evaluations later than this many intervals, and a minute, are a problem.
const LATE_INTERVALS: i64 = 5;
/// See [`LATE_INTERVALS`].
const LATE_MS: i64 = 60_000;

/// How alerting itself is doing.
#[derive(Clone, Debug, Default)]
pub struct AlertHealth {
    /// Rules are evaluated by themselves.
    pub enabled: bool,
    /// How often and how late.
    pub counts: AlertCounts,
    /// Every rule's id and what it is doing.
    pub rules: Vec<(String, RuleState)>,
    /// Ids of rules with more groups than `max_groups`.
    pub truncated: Vec<String>,
    /// Every channel.
    pub channels: Vec<ChannelReport>,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

impl AlertHealth {
    /// Rules in a state.
    pub fn rules_in(&self, state: RuleState) -> usize {
        self.rules.iter().filter(|(_, other)| *other == state).count()
    }

    /// Messages that wait, to any channel.
    pub fn pending(&self) -> u64 {
        self.channels.iter().map(|channel| channel.queued).sum()
    }
}

impl Chatgauge {
    /// How alerting itself is doing.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_health(&self) -> Result<AlertHealth> {
        let config = &self.config().alerting;
        let rules = self.alert_rules()?;
        let truncated = rules.iter().filter(|status| status.is_truncated);
        let mut health = AlertHealth {
            enabled: config.enabled,
            counts: self.alert_counts(),
            truncated: truncated.map(|status| status.rule.id.clone()).collect(),
            rules: rules.iter().map(|status| (status.rule.id.clone(), status.state)).collect(),
            channels: self.channels()?,
            problems: Vec::new(),
        };
        let interval_ms = i64::try_from(config.interval.as_millis()).unwrap_or(i64::MAX);
        let evaluated_before_ms = self.shared().evaluated_before_ms();
        health.problems = problems(&health, interval_ms, evaluated_before_ms);
        Ok(health)
    }
}

fn problems(health: &AlertHealth, interval_ms: i64, before_ms: Option<i64>) -> Vec<String> {
    let mut problems: Vec<String> =
        health.channels.iter().flat_map(ChannelReport::problems).collect();
    let limit_ms = interval_ms.saturating_mul(LATE_INTERVALS).saturating_add(LATE_MS);
    if let Some(late_ms) = before_ms.filter(|late_ms| health.enabled && *late_ms > limit_ms) {
        problems.push(format!("alerts were last evaluated {} s ago", late_ms / 1_000));
    }
    let truncated = health.truncated.iter();
    problems.extend(truncated.map(|rule| {
        format!("alert rule {rule} has more groups than alerting.max_groups; the smallest are not watched")
    }));
    let failing = health.rules_in(RuleState::Error);
    if failing > 0 {
        problems.push(format!("{failing} alert rules could not be evaluated"));
    }
    problems
}
