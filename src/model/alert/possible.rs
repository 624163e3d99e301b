//! Detects rules that can never fire, or that always fire: typing errors that would go unnoticed.

use super::condition::Operator;
use super::metric::AlertMetric;
use super::rule::Rule;
use crate::model::time::MINUTE_MS;

/// The key at fault and the reason.
type Fault = (&'static str, String);

/// The fault of an impossible or always true rule; `None` if the rule can fire and end.
pub(super) fn fault(rule: &Rule) -> Option<Fault> {
    threshold_fault(rule).or_else(|| clear_fault(rule)).or_else(|| guard_fault(rule))
}

/// Whether values are shares between 0 and 1. A burn rate is a multiple of a share.
fn is_plain_share(metric: AlertMetric) -> bool {
    matches!(metric, AlertMetric::ErrorRate | AlertMetric::CacheHitRate)
}

/// Whether values are integers.
fn is_whole(rule: &Rule) -> bool {
    let counts = matches!(
        rule.metric,
        AlertMetric::ErrorCount
            | AlertMetric::Tokens
            | AlertMetric::ConsecutiveFailures
            | AlertMetric::NoTraffic
    );
    // Values of a budget are shares of its limit.
    counts && !rule.is_budget()
}

fn threshold_fault(rule: &Rule) -> Option<Fault> {
    let (metric, operator, threshold) =
        (rule.metric, rule.condition.operator, rule.condition.threshold);
    let name = metric.name();
    let wrong = |reason: String| Some(("threshold", reason));
    if is_plain_share(metric) && !(0.0..=1.0).contains(&threshold) {
        return wrong(format!(
            "{threshold} is no share; 0.1 is 10 %, and {name} is between 0 and 1"
        ));
    }
    if threshold < 0.0 {
        return wrong(format!(
            "{threshold} is negative, and {name} never is; it must be 0 or more"
        ));
    }
    let highest = is_plain_share(metric).then_some(1.0);
    let is = |edge: Option<f64>| edge.is_some_and(|edge| Operator::Equal.holds(threshold, edge));
    let fate = match operator {
        Operator::Above if is(highest) => Some("never happens"),
        Operator::Below if is(Some(0.0)) => Some("never happens"),
        Operator::AtLeast if is(Some(0.0)) => Some("always holds"),
        Operator::AtMost if is(highest) => Some("always holds"),
        Operator::Equal if is_whole(rule) && threshold.fract() != 0.0 => Some("never happens"),
        _ => None,
    };
    if let Some(fate) = fate {
        let range = match (highest, is_whole(rule)) {
            (Some(_), _) => "between 0 and 1",
            (None, true) => "a whole number from 0 on",
            (None, false) => "0 or more",
        };
        return wrong(format!("`{} {threshold}` {fate}: {name} is {range}", operator.as_str()));
    }
    if metric == AlertMetric::Spike && !operator.is_upward() {
        return Some(("op", "a spike needs > or >=".to_owned()));
    }
    if metric == AlertMetric::Spike && threshold <= 0.0 {
        return wrong("of a spike must be above 0".to_owned());
    }
    None
}

/// A clear threshold that no value can reach would leave incidents open forever.
fn clear_fault(rule: &Rule) -> Option<Fault> {
    let (operator, clear) = (rule.condition.operator, rule.condition.clear_threshold);
    let name = rule.metric.name();
    if operator.is_upward() && clear < 0.0 {
        let reason = format!("{clear} is negative, and {name} never is: no incident would end");
        return Some(("clear_threshold", reason));
    }
    if operator.is_downward() && is_plain_share(rule.metric) && clear > 1.0 {
        let reason = format!("{clear} is above 1, and {name} never is: no incident would end");
        return Some(("clear_threshold", reason));
    }
    None
}

fn guard_fault(rule: &Rule) -> Option<Fault> {
    if rule.confidence != 0.0 && !(0.5..1.0).contains(&rule.confidence) {
        let reason = format!("{} is neither 0 nor at least 0.5 and less than 1", rule.confidence);
        return Some(("confidence", reason));
    }
    let name = rule.metric.name();
    if rule.confidence != 0.0 && !rule.metric.is_share() {
        let reason = format!(
            "only error_rate, cache_hit_rate and burn_rate have one: {name} is no share of requests"
        );
        return Some(("confidence", reason));
    }
    if rule.min_events > 0 && !rule.metric.has_events() {
        let reason = format!("{name} counts no errors, so the rule would never fire; leave it out");
        return Some(("min_events", reason));
    }
    too_many_samples(rule)
}

/// Whether `min_samples` alone keeps the value above a downward threshold.
fn too_many_samples(rule: &Rule) -> Option<Fault> {
    let minutes = match rule.metric {
        AlertMetric::NoTraffic => 1.0,
        AlertMetric::RequestRate => as_minutes(rule.condition.window.rolling_ms()?),
        _ => return None,
    };
    if !rule.condition.operator.is_downward() || rule.min_samples == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of requests, exact up to 2^53")]
    let least = rule.min_samples as f64 / minutes;
    let threshold = rule.condition.threshold * rule.limit.unwrap_or(1.0);
    (!rule.condition.operator.holds(least, threshold)).then(|| {
        let reason = format!(
            "with {} requests in the window {} is at least {least}, which is never {} {threshold}; \
             leave it out",
            rule.min_samples,
            rule.metric.name(),
            rule.condition.operator.as_str()
        );
        ("min_samples", reason)
    })
}

#[expect(clippy::cast_precision_loss, reason = "at most 35 days")]
const fn as_minutes(width_ms: i64) -> f64 {
    width_ms as f64 / MINUTE_MS as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LatencyKind;
    use crate::model::Stat;
    use crate::model::alert::AlertCondition;
    use std::time::Duration;

    fn rule(metric: AlertMetric, operator: Operator, threshold: f64) -> Rule {
        let condition = AlertCondition::new(operator, threshold, Duration::from_secs(60), 1);
        Rule::new("a", metric, condition)
    }

    #[test]
    fn rules_that_never_or_always_fire_are_rejected() {
        let latency = AlertMetric::Latency(LatencyKind::Total, Stat::P95);
        let (share, hits) = (AlertMetric::ErrorRate, AlertMetric::CacheHitRate);
        let refused = [
            (share, Operator::Above, 1.5),
            (share, Operator::Above, 1.0),
            (share, Operator::Above, -0.1),
            (share, Operator::AtLeast, 0.0),
            (hits, Operator::Below, 0.0),
            (hits, Operator::AtMost, 1.0),
            (latency, Operator::Above, -1.0),
            (latency, Operator::Below, 0.0),
            (AlertMetric::Cost, Operator::AtLeast, 0.0),
            (AlertMetric::ErrorCount, Operator::Equal, 2.5),
            (AlertMetric::Spike, Operator::Below, 1.0),
        ];
        for (metric, operator, threshold) in refused {
            let found = fault(&rule(metric, operator, threshold));
            assert!(found.is_some(), "{metric:?} {operator:?} {threshold}");
        }
        let accepted = [
            (share, Operator::AtLeast, 1.0),
            (share, Operator::Above, 0.0),
            (share, Operator::Equal, 1.0),
            (hits, Operator::AtMost, 0.0),
            (hits, Operator::Below, 0.95),
            (hits, Operator::Below, 1.0),
            (latency, Operator::Above, 0.0),
            (AlertMetric::ErrorCount, Operator::Equal, 2.0),
            (AlertMetric::RequestRate, Operator::Below, 0.5),
            (AlertMetric::NoTraffic, Operator::Below, 1.0),
        ];
        for (metric, operator, threshold) in accepted {
            assert_eq!(fault(&rule(metric, operator, threshold)), None, "{metric:?} {operator:?}");
        }
    }

    #[test]
    fn impossible_guards_are_rejected() {
        let key = |rule: &Rule| fault(rule).map(|(key, _)| key);
        let mut slow = rule(AlertMetric::Cost, Operator::Above, 5.0);
        slow.min_events = 1;
        assert_eq!(key(&slow), Some("min_events"));
        let mut quiet = rule(AlertMetric::RequestRate, Operator::Below, 5.0);
        assert_eq!(key(&quiet), None, "ten requests a window are no default for few requests");
        quiet.min_samples = 5;
        assert_eq!(key(&quiet), Some("min_samples"));
        quiet.condition.operator = Operator::AtMost;
        assert_eq!(key(&quiet), None);
        for (confidence, expected) in
            [(0.95, None), (1.0, Some("confidence")), (-0.5, Some("confidence"))]
        {
            let mut rule = rule(AlertMetric::ErrorRate, Operator::Above, 0.1);
            rule.confidence = confidence;
            assert_eq!(key(&rule), expected, "{confidence}");
        }
        let mut never_ends = rule(AlertMetric::CacheHitRate, Operator::Below, 0.5);
        never_ends.condition.clear_threshold = 1.1;
        assert_eq!(key(&never_ends), Some("clear_threshold"));
    }
}
