//! Validates rules, and detects those that can never fire or always fire: typing errors that would go unnoticed.

use super::condition::Operator;
use super::metric::AlertMetric;
use super::rule::{Rule, SELF_RULE};
use super::template;
use crate::model::Source;
use crate::model::time::MINUTE_MS;

/// The invalid field and the reason.
type RuleFault = (&'static str, String);

/// Maximum length of a rule's id, in bytes.
const ID_BYTES: usize = 64;

impl Rule {
    /// Validates a rule created by a program.
    ///
    /// # Errors
    /// Returns the invalid field and the reason.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.id.is_empty() || self.id.len() > ID_BYTES || !self.id.bytes().all(plain) {
            return Err(("id", format!("{:?} is not 1 to {ID_BYTES} of a-z, 0-9 and -", self.id)));
        }
        if self.id == SELF_RULE && self.metric != AlertMetric::FailedEvaluations {
            return Err(("id", format!("{SELF_RULE:?} is the program's own; choose another")));
        }
        let wrong = |field, reason: &str| Err((field, reason.to_owned()));
        let condition = &self.condition;
        if self.filter.sources == [Source::Import] {
            let reason = "imported requests are history and never fire; name another source";
            return wrong("filter", reason);
        }
        if !condition.threshold.is_finite() || !condition.clear_threshold.is_finite() {
            return wrong("threshold", "must be a finite number");
        }
        if condition.window.rolling_ms().is_some_and(|width_ms| width_ms <= 0) {
            return wrong("window", "must be positive");
        }
        if self.is_budget() && !self.metric.is_sum() {
            return wrong("window", "only tokens, cost and error_count have budgets");
        }
        if self.is_budget() && self.limit.is_none() && self.limits.is_empty() {
            return wrong("limit", "a budget needs one");
        }
        if self.by.len() > 2 {
            return wrong("by", "at most 2 dimensions");
        }
        if self.by.len() == 2 && self.by[0] == self.by[1] {
            return Err(("by", format!("{:?} is listed twice", self.by[0].as_str())));
        }
        if self.metric == AlertMetric::Spike && !self.by.is_empty() {
            return wrong("by", "a spike rule cannot be grouped; use a filter");
        }
        let slo = self.slo.unwrap_or(0.0);
        let is_slo = slo > 0.0 && slo < 1.0 && condition.threshold * (1.0 - slo) < 1.0;
        if self.metric == AlertMetric::BurnRate && !is_slo {
            return wrong("slo", "burn rate times the allowed share must stay below 1");
        }
        let template_fault = || Some(("summary", template::fault(&self.summary)?));
        self.impossible().or_else(template_fault).map_or(Ok(()), Err)
    }

    /// The fault, as field and reason, if the rule can never fire or always fires.
    pub fn impossible(&self) -> Option<(&'static str, String)> {
        threshold_fault(self).or_else(|| clear_fault(self)).or_else(|| guard_fault(self))
    }
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

fn threshold_fault(rule: &Rule) -> Option<RuleFault> {
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
    let is = |edge: f64| Operator::Equal.holds(threshold, edge);
    let is_maximum = is_plain_share(metric) && is(1.0);
    let fate = match operator {
        Operator::Above if is_maximum => "never happens",
        Operator::Below if is(0.0) => "never happens",
        Operator::AtLeast if is(0.0) => "always holds",
        Operator::AtMost if is_maximum => "always holds",
        Operator::Equal if is_whole(rule) && threshold.fract() != 0.0 => "never happens",
        _ if metric != AlertMetric::Spike => return None,
        _ if !operator.is_upward() => return Some(("op", "a spike needs > or >=".to_owned())),
        _ if threshold <= 0.0 => return wrong("of a spike must be above 0".to_owned()),
        _ => return None,
    };
    let range = match metric {
        _ if is_plain_share(metric) => "between 0 and 1",
        _ if is_whole(rule) => "a whole number from 0 on",
        _ => "0 or more",
    };
    wrong(format!("`{operator} {threshold}` {fate}: {name} is {range}"))
}

/// A clear threshold that no value can reach would leave incidents open forever.
fn clear_fault(rule: &Rule) -> Option<RuleFault> {
    let (operator, clear) = (rule.condition.operator, rule.condition.clear_threshold);
    let fault = if operator.is_upward() && clear < 0.0 {
        "is negative"
    } else if operator.is_downward() && is_plain_share(rule.metric) && clear > 1.0 {
        "is above 1"
    } else {
        return None;
    };
    let name = rule.metric.name();
    let reason = format!("{clear} {fault}, and {name} never is: no incident would end");
    Some(("clear_threshold", reason))
}

fn guard_fault(rule: &Rule) -> Option<RuleFault> {
    let name = rule.metric.name();
    if rule.confidence != 0.0 && !(0.5..1.0).contains(&rule.confidence) {
        let reason = format!("{} is neither 0 nor at least 0.5 and less than 1", rule.confidence);
        return Some(("confidence", reason));
    }
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
fn too_many_samples(rule: &Rule) -> Option<RuleFault> {
    let operator = rule.condition.operator;
    let minutes = match rule.metric {
        AlertMetric::NoTraffic => 1.0,
        AlertMetric::RequestRate => rule.condition.window.rolling_ms()? as f64 / MINUTE_MS as f64,
        _ => return None,
    };
    let least = rule.min_samples as f64 / minutes;
    let threshold = rule.condition.threshold * rule.limit.unwrap_or(1.0);
    if !operator.is_downward() || rule.min_samples == 0 || operator.holds(least, threshold) {
        return None;
    }
    let reason = format!(
        "with {} requests in the window {} is at least {least}, which is never {operator} {threshold}; leave it out",
        rule.min_samples,
        rule.metric.name()
    );
    Some(("min_samples", reason))
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
            let found = rule(metric, operator, threshold).impossible();
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
            assert_eq!(
                rule(metric, operator, threshold).impossible(),
                None,
                "{metric:?} {operator:?}"
            );
        }
    }

    #[test]
    fn impossible_guards_are_rejected() {
        let key = |rule: &Rule| rule.impossible().map(|(key, _)| key);
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
