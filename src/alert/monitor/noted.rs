//! What the monitor keeps about a rule besides its groups: the last value, and truncation.

use crate::alert::observation::Judgement;
use crate::model::Timestamp;
use crate::model::alert::{AlertEvent, Rule, RuleState};
use crate::model::time::HOUR_MS;

/// Actor of automatic transitions and remarks.
pub(super) const MONITOR: &str = "monitor";
/// Minimum time between two reports that a rule has too many groups, in milliseconds.
const REPORT_INTERVAL_MS: i64 = HOUR_MS;
/// Reason of the history event for a rule with too many groups.
pub const TOO_MANY_GROUPS: &str = "too_many_groups";

/// The value of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LastValue {
    pub(super) value: f64,
    pub(super) samples: u64,
    pub(super) at: Timestamp,
}

/// Selects the value shown for a rule: the worst group's, and among equals that with the most
/// requests.
#[derive(Debug, Default)]
pub(super) struct Worst {
    /// Rank and value of the worst group; `None` if no group has a value.
    pub(super) found: Option<((RuleState, u64), LastValue)>,
}

impl Worst {
    /// Adds one group.
    pub(super) fn add(&mut self, judgement: &Judgement, shown: RuleState, at: Timestamp) {
        let Some(value) = judgement.value else { return };
        let rank = (shown, judgement.samples);
        if self.found.is_none_or(|(worst, _)| rank > worst) {
            self.found = Some((rank, LastValue { value, samples: judgement.samples, at }));
        }
    }
}

/// Logs that a rule has too many groups and returns an event for the history, at most once an hour.
pub(super) fn report_truncation(
    rule: &Rule,
    max_groups: usize,
    reported_at: &mut Option<Timestamp>,
    at: Timestamp,
) -> Option<AlertEvent> {
    if reported_at.is_some_and(|last| at < last.plus_ms(REPORT_INTERVAL_MS)) {
        return None;
    }
    *reported_at = Some(at);
    tracing::warn!(
        rule = %rule.id, max_groups,
        "an alert rule has more groups than alerting.max_groups; only the largest are evaluated"
    );
    let note = format!(
        "more than {max_groups} groups (alerting.max_groups); only the largest are evaluated"
    );
    Some(AlertEvent::remark(at, &rule.id, TOO_MANY_GROUPS, MONITOR, Some(note)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::alert::{AlertCondition, AlertMetric, Operator};
    use std::time::Duration;

    #[test]
    fn truncation_is_reported_once_an_hour() {
        let condition = AlertCondition::new(Operator::Above, 0.1, Duration::from_secs(60), 1);
        let rule = Rule::new("a", AlertMetric::ErrorRate, condition);
        let (mut reported_at, start) = (None, Timestamp::from_unix_ms(0));
        let told: Vec<i64> = (0..=240)
            .map(|half_minute| start.plus_ms(half_minute * 30_000))
            .filter(|at| report_truncation(&rule, 500, &mut reported_at, *at).is_some())
            .map(Timestamp::as_unix_ms)
            .collect();
        assert_eq!(told, [0, HOUR_MS, 2 * HOUR_MS]);
    }
}
