//! Checks of rules.

use std::fmt::Display;
use std::time::Duration;

use super::AlertingConfig;
use super::raw_rule::{RawAmount, RawRule, RawRuleFilter};
use crate::config::channels::LOG_CHANNEL;
use crate::config::duration::parse_duration;
use crate::config::kinds::{Kind, count, duration};
use crate::config::settings::set;
use crate::error::{Error, Result};
use crate::model::alert::{
    AlertCondition, AlertMetric, ErrorScope, EvaluationWindow, GroupLimit, NOT_ONE_LINE, NoData,
    Operator, Period, Rule, RuleFilter, SELF_RULE, template,
};
use crate::model::{Dimension, ErrorType, Outcome, Source};

/// Maximum number of dimensions of one rule.
const DIMENSIONS_MAX: usize = 2;
/// Minimum length of a window, in seconds, so that several evaluations include every request.
const WINDOW_MIN_S: u64 = 10;
/// Maximum length of a window, in seconds.
const WINDOW_MAX_S: u64 = 35 * 86_400;
/// Maximum number of evaluations in a row.
const CONSECUTIVE_MAX: i64 = 10_000;
/// Maximum of the minimum number of requests or errors in a window.
const SAMPLES_MAX: i64 = 1_000_000_000_000;
/// Confidence of shares by group: groups are many and small, so that chance alone would make some of them fire.
const GROUP_CONFIDENCE: f64 = 0.99;

/// Checks one rule; `key` is where it stands, for error messages.
pub(super) fn check_rule(raw: &RawRule, key: &str, config: &AlertingConfig) -> Result<Rule> {
    let checking = Checking { raw, key, config };
    let id = checking.id()?;
    let metric = checking.metric()?;
    let condition = checking.condition(metric)?;
    let mut rule = Rule::new(&id, metric, condition);
    checking.dimensions(&mut rule)?;
    checking.guards(&mut rule)?;
    checking.limits(&mut rule)?;
    if let Some((name, reason)) = rule.impossible() {
        return checking.wrong(name, reason);
    }
    checking.burn(&mut rule)?;
    checking.spike(&rule)?;
    checking.notifications(&mut rule)?;
    rule.filter = checking.filter(metric)?;
    rule.tz = config.time_zone;
    rule.looks = config.looks(&rule.condition);
    if raw.enabled == Some(false) {
        rule.inactive = Some("disabled".to_owned());
    } else if rule.is_budget() && rule.limit.is_none() && rule.limits.is_empty() {
        rule.inactive = Some(super::NOT_CONFIGURED.to_owned());
    }
    Ok(rule)
}

struct Checking<'a> {
    raw: &'a RawRule,
    key: &'a str,
    config: &'a AlertingConfig,
}

impl Checking<'_> {
    fn wrong<T>(&self, name: &str, reason: impl Into<String>) -> Result<T> {
        Err(Error::invalid_config(format!("{}.{name}", self.key), reason))
    }

    fn missing<T>(&self, name: &str, what: &str) -> Result<T> {
        let id = self.raw.id.as_deref().unwrap_or("");
        Err(Error::invalid_config(self.key, format!("rule {id:?} needs `{name}`: {what}")))
    }

    fn id(&self) -> Result<String> {
        let Some(id) = &self.raw.id else {
            return self.missing("id", "a name of a-z, 0-9 and -");
        };
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
            return self.wrong("id", format!("{id:?} is not 1 to 64 of a-z, 0-9 and -"));
        }
        if id == SELF_RULE {
            return self.wrong("id", format!("{id:?} is the program's own; choose another"));
        }
        Ok(id.clone())
    }

    fn metric(&self) -> Result<AlertMetric> {
        let Some(name) = &self.raw.metric else {
            return self.missing("metric", &format!("one of {}", AlertMetric::allowed()));
        };
        match AlertMetric::parse(name) {
            Some(metric) => Ok(metric),
            None => self.wrong(
                "metric",
                format!("{name:?} is not a metric; there are {}", AlertMetric::allowed()),
            ),
        }
    }

    /// The value with this spelling.
    fn listed<T: Copy>(
        &self,
        key: &str,
        name: &str,
        all: &[T],
        spelling: fn(T) -> &'static str,
    ) -> Result<T> {
        match all.iter().find(|value| spelling(**value) == name) {
            Some(value) => Ok(*value),
            None => {
                let names = joined(all.iter().map(|value| spelling(*value)));
                self.wrong(key, format!("{name:?} is none of {names}"))
            }
        }
    }

    fn window(&self, metric: AlertMetric) -> Result<EvaluationWindow> {
        if let Some(name) = &self.raw.period {
            if self.raw.window.is_some() {
                return self.wrong("period", "a rule has a window or a period, not both");
            }
            if !metric.is_sum() {
                return self.wrong("period", "only tokens, cost and error_count have budgets");
            }
            let period = self.listed("period", name, &Period::ALL, Period::as_str)?;
            return Ok(EvaluationWindow::Period(period));
        }
        let default_minutes = match metric {
            AlertMetric::RequestRate => 1,
            AlertMetric::NoTraffic | AlertMetric::Spike => 15,
            AlertMetric::BurnRate => 60,
            _ => 5,
        };
        let mut window = Duration::from_secs(default_minutes * 60);
        set(&mut window, self.key, "window", &self.raw.window, &window_length())?;
        Ok(EvaluationWindow::Rolling(window))
    }

    fn amount(&self, name: &str, amount: &RawAmount, metric: AlertMetric) -> Result<f64> {
        match amount {
            RawAmount::Number(number) if number.is_finite() => Ok(*number),
            RawAmount::Number(_) => self.wrong(name, "must be a finite number"),
            RawAmount::Text(text) => match (metric, parse_duration(text)) {
                (AlertMetric::Latency(..), Some(duration)) => Ok(duration.as_secs_f64() * 1_000.0),
                (AlertMetric::Latency(..), None) => {
                    self.wrong(name, format!("{text:?} is neither milliseconds nor e.g. \"5s\""))
                }
                _ => self.wrong(name, format!("{text:?} is not a number")),
            },
        }
    }

    fn condition(&self, metric: AlertMetric) -> Result<AlertCondition> {
        let raw = self.raw;
        let (default_op, default_threshold) = match metric {
            AlertMetric::NoTraffic => (Operator::Below, Some(1.0)),
            AlertMetric::Spike => (Operator::AtLeast, Some(1.0)),
            AlertMetric::ConsecutiveFailures => (Operator::AtLeast, None),
            AlertMetric::CacheHitRate => (Operator::Below, None),
            _ => (Operator::Above, None),
        };
        let operator = match raw.op.as_deref() {
            None => default_op,
            Some(text) => self.listed("op", text, &Operator::ALL, Operator::as_str)?,
        };
        let threshold = match (&raw.threshold, default_threshold) {
            (Some(amount), _) => self.amount("threshold", amount, metric)?,
            (None, Some(threshold)) => threshold,
            (None, None) => return self.missing("threshold", "the value to compare with"),
        };
        let default_clear = match metric {
            AlertMetric::NoTraffic => threshold,
            AlertMetric::ConsecutiveFailures => 0.0,
            _ => AlertCondition::default_clear(operator, threshold),
        };
        let clear_threshold = match &raw.clear_threshold {
            Some(amount) => self.amount("clear_threshold", amount, metric)?,
            None => default_clear,
        };
        // A negative threshold gets its own error later.
        if threshold >= 0.0
            && (operator.is_upward() && clear_threshold > threshold
                || operator.is_downward() && clear_threshold < threshold)
        {
            let reason =
                format!("{clear_threshold} is on the wrong side of the threshold {threshold}");
            return self.wrong("clear_threshold", reason);
        }
        let quick = matches!(metric, AlertMetric::ConsecutiveFailures | AlertMetric::NoTraffic);
        let window = self.window(metric)?;
        let (mut consecutive, mut clear_consecutive) = if quick { (1, 1) } else { (3, 10) };
        let times = count(1..=CONSECUTIVE_MAX);
        set(&mut consecutive, self.key, "consecutive", &raw.consecutive, &times)?;
        set(&mut clear_consecutive, self.key, "clear_consecutive", &raw.clear_consecutive, &times)?;
        Ok(AlertCondition {
            operator,
            threshold,
            window,
            consecutive,
            clear_threshold,
            clear_consecutive,
        })
    }

    fn dimensions(&self, rule: &mut Rule) -> Result<()> {
        for name in self.raw.by.iter().flatten() {
            let dimension = self.listed("by", name, &Dimension::ALL, Dimension::as_str)?;
            let counts_errors =
                matches!(rule.metric, AlertMetric::ErrorCount | AlertMetric::ErrorRate);
            if dimension == Dimension::ErrorType && !counts_errors {
                return self
                    .wrong("by", "only error_rate and error_count have groups by error_type");
            }
            if rule.by.contains(&dimension) {
                return self.wrong("by", format!("{name:?} is listed twice"));
            }
            rule.by.push(dimension);
        }
        if rule.by.len() > DIMENSIONS_MAX {
            return self.wrong("by", format!("at most {DIMENSIONS_MAX} dimensions"));
        }
        Ok(())
    }

    fn guards(&self, rule: &mut Rule) -> Result<()> {
        let raw = self.raw;
        let samples = count(0..=SAMPLES_MAX);
        set(&mut rule.min_samples, self.key, "min_samples", &raw.min_samples, &samples)?;
        set(&mut rule.min_events, self.key, "min_events", &raw.min_events, &samples)?;
        let grouped = rule.metric.is_share() && !rule.by.is_empty();
        rule.confidence = raw.confidence.unwrap_or(if grouped { GROUP_CONFIDENCE } else { 0.0 });
        if let Some(name) = &raw.errors {
            let all = [ErrorScope::All, ErrorScope::Service];
            rule.errors = self.listed("errors", name, &all, ErrorScope::as_str)?;
        }
        if let Some(name) = &raw.no_data {
            rule.no_data = self.listed("no_data", name, &NoData::ALL, NoData::as_str)?;
        }
        let (key, length) = ("no_data_resolve_after", duration(1..=WINDOW_MAX_S));
        let resolve_after = &mut rule.no_data_resolve_after;
        set(resolve_after, self.key, key, &raw.no_data_resolve_after, &length)
    }

    fn limits(&self, rule: &mut Rule) -> Result<()> {
        let raw = self.raw;
        let is_rate = rule.metric == AlertMetric::RequestRate;
        if raw.capacity.is_some() && !is_rate {
            return self.wrong("capacity", "only request_rate has a capacity");
        }
        for (name, is_set) in [("limit", raw.limit.is_some()), ("limits", raw.limits.is_some())] {
            if is_set && !rule.is_budget() && !is_rate {
                return self.wrong(name, "only budgets (rules with a `period`) have a limit");
            }
        }
        rule.limit = raw.limit.or(raw.capacity);
        for (name, limit) in [("limit", raw.limit), ("capacity", raw.capacity)] {
            if let Some(limit) = limit.filter(|limit| !(limit.is_finite() && *limit > 0.0)) {
                return self.wrong(name, format!("{limit} is not a {name}; it must be above 0"));
            }
        }
        for (text, limit) in raw.limits.iter().flatten() {
            let key = format!("limits.{text}");
            let pair = text.split_once(':');
            let dimension = pair.and_then(|(name, _)| Dimension::parse(name));
            let (Some(dimension), Some((_, value))) = (dimension, pair) else {
                let reason = format!(
                    "{text:?} is not like \"space:acme\": one of {} (those of `by`), and a name",
                    joined(Dimension::ALL.map(Dimension::as_str))
                );
                return self.wrong(&key, reason);
            };
            if !rule.by.contains(&dimension) {
                let by = joined(rule.by.iter().map(|dimension| dimension.as_str()));
                let by = if by.is_empty() { "nothing" } else { &by };
                let reason =
                    format!("the rule has no limit by {}; `by` names {by}", dimension.as_str());
                return self.wrong(&key, reason);
            }
            if !(limit.is_finite() && *limit > 0.0) {
                return self.wrong(&key, format!("{limit} is not a limit; it must be above 0"));
            }
            rule.limits.push(GroupLimit { dimension, value: value.to_owned(), limit: *limit });
        }
        Ok(())
    }

    fn burn(&self, rule: &mut Rule) -> Result<()> {
        if rule.metric != AlertMetric::BurnRate {
            return match (self.raw.slo, &self.raw.short_window) {
                (None, None) => Ok(()),
                _ => self.wrong("slo", "only burn_rate has an slo and a short_window"),
            };
        }
        let Some(slo) = self.raw.slo else {
            return self.missing("slo", "the share of requests that should succeed, e.g. 0.99");
        };
        if !(slo > 0.0 && slo < 1.0) {
            return self.wrong("slo", format!("{slo} is not between 0 and 1"));
        }
        let worst = rule.condition.threshold * (1.0 - slo);
        if worst >= 1.0 || rule.condition.threshold <= 0.0 {
            let most = 1.0 / (1.0 - slo);
            let reason = format!(
                "{} can never happen with an slo of {slo}: errors would have to be {:.0} %; \
                 it must be above 0 and below {most:.1}",
                rule.condition.threshold,
                worst * 100.0
            );
            return self.wrong("threshold", reason);
        }
        if !rule.condition.operator.is_upward() {
            return self.wrong("op", "burn_rate is compared with > or >=");
        }
        let window = rule.condition.window.rolling_ms().unwrap_or(0);
        let default_ms = u64::try_from(window / 12).unwrap_or(0).max(10_000);
        let mut short = Duration::from_millis(default_ms);
        set(&mut short, self.key, "short_window", &self.raw.short_window, &window_length())?;
        if i64::try_from(short.as_millis()).unwrap_or(i64::MAX) > window {
            return self.wrong("short_window", "must not be longer than the window");
        }
        rule.slo = Some(slo);
        rule.short_window = Some(short);
        Ok(())
    }

    fn spike(&self, rule: &Rule) -> Result<()> {
        if rule.metric != AlertMetric::Spike {
            return Ok(());
        }
        if self.raw.threshold.is_some() {
            let reason = "a spike is compared with its own history; remove the threshold";
            return self.wrong("threshold", reason);
        }
        if !rule.by.is_empty() {
            return self.wrong("by", "spike watches all requests, or those of a filter");
        }
        let window_ms = rule.condition.window.rolling_ms().unwrap_or(0);
        if window_ms % 60_000 != 0 || window_ms > 3_600_000 {
            return self.wrong("window", "of a spike is whole minutes, at most 1h");
        }
        Ok(())
    }

    fn filter(&self, metric: AlertMetric) -> Result<RuleFilter> {
        let Some(raw) = &self.raw.filter else { return Ok(RuleFilter::default()) };
        let RawRuleFilter { space, user, model, provider, .. } = raw.clone();
        let mut filter = RuleFilter {
            spaces: space,
            users: user,
            models: model,
            providers: provider,
            ..RuleFilter::default()
        };
        if let Some(user) = filter.users.iter().find(|user| user.contains('*')) {
            return self
                .wrong("filter.user", format!("{user:?}: users have no pattern; name them"));
        }
        for name in &raw.error_type {
            let kind = self.listed("filter.error_type", name, ErrorType::ALL, ErrorType::as_str)?;
            filter.error_types.push(kind);
        }
        for name in &raw.source {
            filter.sources.push(self.listed("filter.source", name, Source::ALL, Source::as_str)?);
        }
        filter.outcomes = self.outcomes(raw)?;
        let no_rows = [AlertMetric::ConsecutiveFailures, AlertMetric::Spike].contains(&metric);
        let chosen = [
            ("filter.outcome", !raw.outcome.is_empty()),
            ("filter.status_not", !raw.status_not.is_empty()),
            ("filter.error_type", !raw.error_type.is_empty()),
        ];
        if let Some((key, _)) = chosen.into_iter().find(|(_, is_set)| no_rows && *is_set) {
            let name = metric.name();
            return self.wrong(key, format!("{name} has no filter by outcome or error_type"));
        }
        Ok(filter)
    }

    fn outcomes(&self, raw: &RawRuleFilter) -> Result<Vec<&'static str>> {
        let all = [Outcome::Success, Outcome::Error(ErrorType::Other), Outcome::Cancelled]
            .map(Outcome::as_str);
        for (key, list) in [("outcome", &raw.outcome), ("status_not", &raw.status_not)] {
            for name in list {
                self.listed(&format!("filter.{key}"), name, &all, |name| name)?;
            }
        }
        if raw.outcome.is_empty() && raw.status_not.is_empty() {
            return Ok(Vec::new());
        }
        let listed = |names: &[String], name: &str| names.iter().any(|listed| listed == name);
        let counts = |name: &&str| {
            (raw.outcome.is_empty() || listed(&raw.outcome, name)) && !listed(&raw.status_not, name)
        };
        let left: Vec<&'static str> = all.into_iter().filter(counts).collect();
        if left.is_empty() {
            return self.wrong("filter.status_not", "leaves no outcome that could count");
        }
        Ok(left)
    }

    fn notifications(&self, rule: &mut Rule) -> Result<()> {
        let raw = self.raw;
        let texts = [("name", &raw.name), ("severity", &raw.severity), ("summary", &raw.summary)];
        let is_one_line = |text: &String| !text.contains(char::is_control);
        if let Some((key, _)) = texts.iter().find(|(_, text)| !text.iter().all(is_one_line)) {
            return self.wrong(key, NOT_ONE_LINE);
        }
        rule.name = raw.name.clone().unwrap_or_else(|| rule.id.clone());
        rule.repeat_interval = self.config.repeat_interval;
        let (key, length) = ("repeat_interval", duration(0..=WINDOW_MAX_S));
        set(&mut rule.repeat_interval, self.key, key, &raw.repeat_interval, &length)?;
        for channel in raw.channels.iter().flatten() {
            let known = self.config.channels.iter().any(|known| known.name == *channel);
            if !known && channel != LOG_CHANNEL {
                let names = self.config.channels.iter().map(|known| known.name.as_str());
                let names = joined(std::iter::once(LOG_CHANNEL).chain(names));
                let reason = format!("{channel:?} is not a channel; there are {names}");
                return self.wrong("channels", reason);
            }
            if channel != LOG_CHANNEL && !rule.channels.contains(channel) {
                rule.channels.push(channel.clone());
            }
        }
        if let Some(text) = &raw.summary {
            if let Some(fault) = template::fault(text) {
                return self.wrong("summary", fault);
            }
            rule.summary.clone_from(text);
        }
        rule.severity = raw.severity.clone().unwrap_or_else(|| rule.severity.clone());
        rule.labels = raw.labels.clone().unwrap_or_default();
        rule.runbook.clone_from(&raw.runbook);
        rule.inhibits_groups = raw.inhibits_groups.unwrap_or(true);
        rule.dry_run = raw.dry_run.unwrap_or(false);
        Ok(())
    }
}

fn window_length() -> Kind<Duration> {
    duration(WINDOW_MIN_S..=WINDOW_MAX_S)
}

/// A list for an error message.
fn joined(names: impl IntoIterator<Item = impl Display>) -> String {
    names.into_iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}
