//! Health of the alerting subsystem: evaluations, rules and channels.

use super::Chatgauge;
use crate::alert::{AlertCounts, ChannelReport, RuleStatus};
use crate::model::alert::RuleState;

/// Evaluations later than this many intervals plus [`LATE_MS`] are reported as a problem.
const LATE_INTERVALS: i64 = 5;
/// Grace time in addition to [`LATE_INTERVALS`], in milliseconds.
const LATE_MS: i64 = 60_000;

/// Health of the alerting subsystem.
#[derive(Clone, Debug, Default)]
pub struct AlertHealth {
    /// Whether rules are evaluated periodically.
    pub enabled: bool,
    /// Counters of the evaluations.
    pub counts: AlertCounts,
    /// Id and state of every rule; `None` if the file cannot be read.
    pub rules: Option<Vec<(String, RuleState)>>,
    /// Ids of rules with more groups than `max_groups`.
    pub truncated: Vec<String>,
    /// Every channel; without queue counts if the outbox cannot be read.
    pub channels: Vec<ChannelReport>,
    /// Whether the outbox cannot be read.
    pub is_outbox_unread: bool,
    /// Problems, as texts.
    pub problems: Vec<String>,
}

impl AlertHealth {
    /// Number of rules in a state; `None` if the file cannot be read.
    pub fn rules_in(&self, state: RuleState) -> Option<usize> {
        let rules = self.rules.as_ref()?;
        Some(rules.iter().filter(|(_, other)| *other == state).count())
    }

    /// Number of queued messages to all channels; `None` if the outbox cannot be read.
    pub fn pending(&self) -> Option<u64> {
        let queued = self.channels.iter().map(|channel| channel.queued).sum();
        (!self.is_outbox_unread).then_some(queued)
    }
}

impl Chatgauge {
    /// Health of the alerting subsystem. Data that cannot be read is omitted and reported as a
    /// problem.
    pub fn alert_health(&self) -> AlertHealth {
        let config = &self.config().alerting;
        let mut unread = Vec::new();
        let rules = self.monitor().rules().map_err(|error| {
            unread.push(format!("the states of alerts cannot be read: {error}"));
        });
        let channels = self.channels().map_err(|error| {
            unread.push(format!("the outbox of alerts cannot be read: {error}"));
        });
        let listed = rules.as_deref().unwrap_or_default();
        let truncated = listed.iter().filter(|status| status.is_truncated);
        let states = |rules: &Vec<RuleStatus>| {
            rules.iter().map(|status| (status.rule.id.clone(), status.state)).collect()
        };
        let mut health = AlertHealth {
            enabled: config.enabled,
            counts: self.monitor().counts(),
            truncated: truncated.map(|status| status.rule.id.clone()).collect(),
            rules: rules.as_ref().ok().map(states),
            is_outbox_unread: channels.is_err(),
            channels: channels.unwrap_or_else(|()| self.shared().channels.without_queues()),
            problems: Vec::new(),
        };
        let interval_ms = i64::try_from(config.interval.as_millis()).unwrap_or(i64::MAX);
        let evaluated_before_ms = self.monitor().evaluated_before_ms();
        unread.extend(problems(&health, interval_ms, evaluated_before_ms));
        health.problems = unread;
        health
    }
}

fn problems(
    health: &AlertHealth,
    interval_ms: i64,
    before_ms: Option<i64>,
) -> impl Iterator<Item = String> {
    let limit_ms = interval_ms.saturating_mul(LATE_INTERVALS).saturating_add(LATE_MS);
    let late_ms = before_ms.filter(|late_ms| health.enabled && *late_ms > limit_ms);
    let late = late_ms.map(|ms| format!("alerts were last evaluated {} s ago", ms / 1_000));
    let truncated = health.truncated.iter().map(|rule| {
        format!("alert rule {rule} has more groups than alerting.max_groups; the smallest are not evaluated")
    });
    let failing = health.rules_in(RuleState::Error).filter(|rules| *rules > 0);
    let failing = failing.map(|rules| format!("evaluating {rules} alert rules failed"));
    let channels = health.channels.iter().flat_map(ChannelReport::problems);
    channels.chain(late).chain(truncated).chain(failing)
}
