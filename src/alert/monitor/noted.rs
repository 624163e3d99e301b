//! What is noted of a rule besides the states of its groups: its last value, groups that are left out.

use crate::alert::observation::Judgement;
use crate::model::Timestamp;
use crate::model::alert::{AlertEvent, Rule, RuleState};
use crate::model::time::HOUR_MS;

/// So long nobody is told again that a rule has more groups than are watched.
const TOLD_AGAIN_MS: i64 = HOUR_MS;
/// Reason of the line in the history that says so.
pub const TOO_MANY_GROUPS: &str = "too_many_groups";

/// A value that an evaluation found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LastValue {
    pub(super) value: f64,
    pub(super) samples: u64,
    pub(super) at: Timestamp,
}

/// Chooses whose value stands for a rule: the worst group's, and of equals that of the most requests.
#[derive(Debug, Default)]
pub(super) struct Worst {
    found: Option<((RuleState, u64), LastValue)>,
}

impl Worst {
    /// Takes one group.
    pub(super) fn take(&mut self, judgement: &Judgement, shown: RuleState, at: Timestamp) {
        let Some(value) = judgement.value else { return };
        let rank = (shown, judgement.samples);
        if self.found.is_none_or(|(worst, _)| rank > worst) {
            self.found = Some((rank, LastValue { value, samples: judgement.samples, at }));
        }
    }

    /// The value of the worst group; `None` when none has one.
    pub(super) fn value(&self) -> Option<LastValue> {
        self.found.map(|(_, value)| value)
    }
}

/// Tells that a rule has more groups than are watched, unless that was told within the hour; a line for
/// the history.
pub(super) fn tell_truncated(
    rule: &Rule,
    max_groups: usize,
    told_at: &mut Option<Timestamp>,
    at: Timestamp,
) -> Option<AlertEvent> {
    if told_at.is_some_and(|told| at < told.plus_ms(TOLD_AGAIN_MS)) {
        return None;
    }
    *told_at = Some(at);
    tracing::warn!(
        rule = %rule.id, max_groups,
        "a rule has more groups than alerting.max_groups; only the largest are watched"
    );
    Some(AlertEvent {
        at,
        incident_id: None,
        rule_id: rule.id.clone(),
        group_key: String::new(),
        from_state: String::new(),
        to_state: String::new(),
        reason: TOO_MANY_GROUPS.to_owned(),
        value: None,
        threshold: None,
        samples: None,
        events: None,
        actor: "monitor".to_owned(),
        note: Some(format!(
            "more than {max_groups} groups (alerting.max_groups); only the largest are watched"
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::alert::{AlertCondition, AlertMetric, Operator};
    use std::time::Duration;

    #[test]
    fn groups_that_are_left_out_are_told_once_an_hour() {
        let condition = AlertCondition::new(Operator::Above, 0.1, Duration::from_secs(60), 1);
        let rule = Rule::new("a", AlertMetric::ErrorRate, condition);
        let (mut told_at, start) = (None, Timestamp::from_unix_ms(0));
        let told: Vec<i64> = (0..=240)
            .map(|half_minute| start.plus_ms(half_minute * 30_000))
            .filter(|at| tell_truncated(&rule, 500, &mut told_at, *at).is_some())
            .map(Timestamp::as_unix_ms)
            .collect();
        assert_eq!(told, [0, HOUR_MS, 2 * HOUR_MS]);
    }
}
