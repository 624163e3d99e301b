//! Derives a verdict from the figures of a window: a pure function.

use super::observation::{Judgement, Verdict};
use super::streak::is_failure;
use super::wilson::{lower_bound, quantile_over, upper_bound};
use crate::model::alert::{AlertGroup, AlertMetric, EndReason, NoData, Operator, Rule};
use crate::model::measures::as_f64;
use crate::model::time::MINUTE_MS;
use crate::model::{Column, Count, LatencyKind, Measured, Measures, Stat};

/// Counts and sums over the requests of a window; they can be added and subtracted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sums {
    /// Requests.
    pub requests: i64,
    /// Counted errors.
    pub errors: i64,
    /// Hits in the application's own cache.
    pub cache_hits: i64,
    /// Prompt plus completion tokens.
    pub tokens: i64,
    /// Cost in nano-USD.
    pub cost_nano_usd: i64,
    /// Requests with a known latency.
    pub latency_known: i64,
    /// Sum of the known latencies, in microseconds.
    pub latency_sum_us: i64,
}

/// The latency of a latency rule; the total latency for other rules.
const fn latency_of(rule: &Rule) -> LatencyKind {
    match rule.metric {
        AlertMetric::Latency(kind, _) => kind,
        _ => LatencyKind::Total,
    }
}

impl Sums {
    /// The sums of a window that a rule needs.
    pub fn of_measures(measures: &Measures, rule: &Rule) -> Self {
        let [known, sum, ..] = Column::latency(latency_of(rule)).map(Column::index);
        Self {
            requests: measures.requests(),
            errors: rule.errors.counters().map(|counter| measures.get(counter)).sum(),
            cache_hits: measures.get(Count::CacheHits),
            tokens: measures.total_tokens(),
            cost_nano_usd: measures.get(Count::CostNanoUsd),
            latency_known: measures.values[known],
            latency_sum_us: measures.values[sum],
        }
    }

    /// The sums of one request that a rule needs.
    pub fn of_request(request: &impl Measured, rule: &Rule) -> Self {
        let tokens = request.tokens();
        let latency_us = request.latency_us(latency_of(rule));
        Self {
            requests: 1,
            errors: i64::from(is_failure(request.outcome(), rule.errors) == Some(true)),
            cache_hits: i64::from(request.cache_hit()),
            tokens: tokens.prompt.unwrap_or(0) + tokens.completion.unwrap_or(0),
            cost_nano_usd: request.cost_nano_usd().unwrap_or(0),
            latency_known: i64::from(latency_us.is_some()),
            latency_sum_us: latency_us.and_then(|us| i64::try_from(us).ok()).unwrap_or(0),
        }
    }

    /// Adds `sign` times `other`; `sign` is 1 or -1.
    pub fn add(&mut self, other: &Self, sign: i64) {
        *self = self.zip(other, |own, other| own + sign * other);
    }

    /// Combines each sum with that of `other`.
    pub(super) fn zip(&self, other: &Self, combine: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            requests: combine(self.requests, other.requests),
            errors: combine(self.errors, other.errors),
            cache_hits: combine(self.cache_hits, other.cache_hits),
            tokens: combine(self.tokens, other.tokens),
            cost_nano_usd: combine(self.cost_nano_usd, other.cost_nano_usd),
            latency_known: combine(self.latency_known, other.latency_known),
            latency_sum_us: combine(self.latency_sum_us, other.latency_sum_us),
        }
    }
}

/// What is known about a group when a rule is evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupFigures {
    /// Sums over the window.
    pub sums: Sums,
    /// Sums over the short window of a burn rate.
    pub short: Sums,
    /// The rule's percentile, in milliseconds.
    pub quantile_ms: Option<f64>,
    /// Consecutive errors; `None` if no request was seen.
    pub run: Option<u64>,
    /// Time since the group's last request, in milliseconds; only for failure runs.
    pub idle_ms: i64,
    /// Whether the incident about this run was closed manually.
    pub is_run_closed: bool,
    /// Number of errors from which a window is a spike; `None` without a baseline.
    pub spike_line: Option<f64>,
    /// Whether there were requests within the last day.
    pub had_traffic: bool,
    /// Number of consecutive failed evaluations.
    pub failed_evaluations: u32,
}

/// Evaluates a rule for a group; `None` if a budget rule has no limit for this group.
pub fn judge(rule: &Rule, group: &AlertGroup, facts: &GroupFigures) -> Option<Judgement> {
    let limit = rule.limit_of(group);
    if limit.is_none() && (rule.is_budget() || !rule.limits.is_empty()) {
        return None;
    }
    let mut judgement = figures(rule, limit, facts);
    judgement.verdict = verdict(rule, limit, facts, &judgement);
    Some(judgement)
}

/// The figures of a group; the verdict is still open.
fn figures(rule: &Rule, limit: Option<f64>, facts: &GroupFigures) -> Judgement {
    let sums = &facts.sums;
    let share = |part: i64, whole: i64| (whole > 0).then(|| as_f64(part) / as_f64(whole));
    let requests = unsigned(sums.requests);
    let threshold = rule.condition.threshold * limit.unwrap_or(1.0);
    let (value, samples, events) = match rule.metric {
        AlertMetric::ErrorRate => (share(sums.errors, sums.requests), requests, sums.errors),
        AlertMetric::ErrorCount => (Some(as_f64(sums.errors)), requests, sums.errors),
        AlertMetric::Latency(_, Stat::Average) => {
            let average_ms = share(sums.latency_sum_us, sums.latency_known).map(|us| us / 1_000.0);
            (average_ms, unsigned(sums.latency_known), 0)
        }
        AlertMetric::Latency(..) => (facts.quantile_ms, unsigned(sums.latency_known), 0),
        AlertMetric::RequestRate => {
            let window_ms = rule.condition.window.rolling_ms().unwrap_or(MINUTE_MS).max(1);
            let minutes = as_f64(window_ms) / as_f64(MINUTE_MS);
            (Some(as_f64(sums.requests) / minutes), requests, sums.requests)
        }
        AlertMetric::Tokens => (Some(as_f64(sums.tokens)), requests, 0),
        AlertMetric::Cost => (Some(as_f64(sums.cost_nano_usd) / 1e9), requests, 0),
        AlertMetric::CacheHitRate => {
            (share(sums.cache_hits, sums.requests), requests, sums.cache_hits)
        }
        AlertMetric::ConsecutiveFailures => {
            let run = facts.run.and_then(|run| i64::try_from(run).ok());
            (run.map(as_f64), facts.run.unwrap_or(0), run.unwrap_or(0))
        }
        AlertMetric::NoTraffic => (Some(as_f64(sums.requests)), requests, 0),
        AlertMetric::BurnRate => (burn(rule, facts), requests, sums.errors),
        AlertMetric::Spike => (Some(as_f64(sums.errors)), requests, sums.errors),
        AlertMetric::FailedEvaluations => (Some(f64::from(facts.failed_evaluations)), 0, 0),
    };
    let threshold = facts.spike_line.unwrap_or(threshold);
    let events = unsigned(events);
    Judgement { verdict: Verdict::Insufficient, value, threshold, samples, events }
}

/// Burn rate of the error budget: the lower of the two windows' error rates divided by the allowed
/// rate.
fn burn(rule: &Rule, facts: &GroupFigures) -> Option<f64> {
    let allowed = 1.0 - rule.slo.unwrap_or(0.0);
    let burn = |sums: &Sums| {
        (sums.requests > 0).then(|| as_f64(sums.errors) / as_f64(sums.requests) / allowed)
    };
    Some(burn(&facts.sums)?.min(burn(&facts.short).unwrap_or(0.0)))
}

fn verdict(rule: &Rule, limit: Option<f64>, facts: &GroupFigures, figures: &Judgement) -> Verdict {
    let Some(value) = figures.value else { return Verdict::Insufficient };
    if rule.metric == AlertMetric::ConsecutiveFailures
        && let Some(verdict) = stale_run(rule, facts)
    {
        return verdict;
    }
    let too_few = figures.samples < rule.min_samples;
    let silent = rule.metric == AlertMetric::NoTraffic && !facts.had_traffic;
    let unknown = rule.metric == AlertMetric::Spike && facts.spike_line.is_none();
    if (rule.metric.needs_samples() && too_few) || silent || unknown {
        return Verdict::Insufficient;
    }
    let condition = &rule.condition;
    // Compare shares of the limit, because `tokens * 1.2` may round but `tokens / limit` does not.
    let share = limit.map_or(value, |limit| value / limit);
    let (threshold, clear_threshold) = if rule.metric == AlertMetric::Spike {
        (figures.threshold, figures.threshold * condition.clear_threshold / condition.threshold)
    } else {
        (condition.threshold, condition.clear_threshold)
    };
    let is_beyond = condition.operator.holds(share, threshold);
    let is_proven = !too_few && figures.events >= rule.min_events && is_significant(rule, figures);
    if is_beyond && is_proven {
        Verdict::Violation
    } else if !is_beyond && condition.operator.clears(share, clear_threshold) {
        Verdict::Clear
    } else {
        Verdict::Between
    }
}

/// The verdict for a run that says nothing about the present.
fn stale_run(rule: &Rule, facts: &GroupFigures) -> Option<Verdict> {
    let limit_ms = i64::try_from(rule.no_data_resolve_after.as_millis()).unwrap_or(i64::MAX);
    let is_idle = facts.idle_ms >= limit_ms;
    match rule.no_data {
        // The run is unchanged, so only another request may start an incident again.
        NoData::Keep if is_idle => Some(Verdict::Closed(EndReason::NoTraffic)),
        NoData::Ok if is_idle => Some(Verdict::Insufficient),
        _ => facts.is_run_closed.then_some(Verdict::Between),
    }
}

/// Whether the share passes the threshold with the rule's confidence.
fn is_significant(rule: &Rule, figures: &Judgement) -> bool {
    let operator = rule.condition.operator;
    if rule.confidence <= 0.0 || !rule.metric.is_share() || operator == Operator::Equal {
        return true;
    }
    let z = quantile_over(rule.confidence, rule.looks);
    let threshold = match rule.metric {
        AlertMetric::BurnRate => rule.condition.threshold * (1.0 - rule.slo.unwrap_or(0.0)),
        _ => rule.condition.threshold,
    };
    let bound = if operator.is_upward() {
        lower_bound(figures.events, figures.samples, z)
    } else {
        upper_bound(figures.events, figures.samples, z)
    };
    operator.holds(bound, threshold)
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
