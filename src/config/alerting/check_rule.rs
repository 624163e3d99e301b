//! From a rule as typed to a checked one.

use std::time::Duration;

use super::duration::parse_duration;
use super::raw_rule::{RawAmount, RawRule, RawRuleFilter};
use super::{AlertingConfig, LOG_CHANNEL};
use crate::error::{Error, Result};
use crate::model::alert::{
    AlertCondition, AlertMetric, ErrorScope, EvaluationWindow, GroupLimit, NOT_ONE_LINE, NoData,
    Operator, Period, Rule, RuleFilter, SELF_RULE, template,
};
use crate::model::{Dimension, ErrorType, Outcome, Source};

/// Most dimensions of one rule.
const MOST_DIMENSIONS: usize = 2;
/// The shortest window: several evaluations see every request.
const SHORTEST_WINDOW: Duration = Duration::from_secs(10);
/// The longest window.
const LONGEST_WINDOW: Duration = Duration::from_secs(35 * 86_400);
/// Most evaluations in a row.
const MOST_CONSECUTIVE: i64 = 10_000;
/// Most requests, or errors, that a window must hold.
const MOST_SAMPLES: i64 = 1_000_000_000_000;
/// Confidence of shares by group, of which there are many and each is small.
const GROUP_CONFIDENCE: f64 = 0.99;

/// Checks one rule; `key` is where it stands, for messages.
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
    checking.telling(&mut rule)?;
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
                format!("{name:?} is no metric; there are {}", AlertMetric::allowed()),
            ),
        }
    }

    fn duration(&self, name: &str, text: &str, from: Duration, to: Duration) -> Result<Duration> {
        match parse_duration(text) {
            Some(duration) if from <= duration && duration <= to => Ok(duration),
            Some(_) => self.wrong(
                name,
                format!("{text:?} is not between {} s and {} s", from.as_secs(), to.as_secs()),
            ),
            None => {
                self.wrong(name, format!("{text:?} is no length of time such as 30s, 5m, 1h or 7d"))
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
            return match Period::parse(name) {
                Some(period) => Ok(EvaluationWindow::Period(period)),
                None => self.wrong("period", format!("{name:?} is none of day, week, month")),
            };
        }
        let default = match metric {
            AlertMetric::RequestRate => "1m",
            AlertMetric::NoTraffic | AlertMetric::Spike => "15m",
            AlertMetric::BurnRate => "1h",
            _ => "5m",
        };
        let text = self.raw.window.as_deref().unwrap_or(default);
        let window = self.duration("window", text, SHORTEST_WINDOW, LONGEST_WINDOW)?;
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
            Some(text) => match Operator::parse(text) {
                Some(operator) => operator,
                None => {
                    return self.wrong("op", format!("{text:?} is none of > < >= <= =="));
                }
            },
        };
        let threshold = match (&raw.threshold, default_threshold) {
            (Some(amount), _) => self.amount("threshold", amount, metric)?,
            (None, Some(threshold)) => threshold,
            (None, None) => return self.missing("threshold", "what the value is held against"),
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
        // A negative threshold is told as such.
        if threshold >= 0.0
            && (operator.is_upward() && clear_threshold > threshold
                || operator.is_downward() && clear_threshold < threshold)
        {
            let reason =
                format!("{clear_threshold} is on the wrong side of the threshold {threshold}");
            return self.wrong("clear_threshold", reason);
        }
        let quick = matches!(metric, AlertMetric::ConsecutiveFailures | AlertMetric::NoTraffic);
        let times = |name: &str, typed: Option<i64>, default: u32| match typed {
            Some(typed) => self.count(name, typed, 1, MOST_CONSECUTIVE),
            None => Ok(default),
        };
        let (consecutive, clear) = if quick { (1, 1) } else { (3, 10) };
        Ok(AlertCondition {
            operator,
            threshold,
            window: self.window(metric)?,
            consecutive: times("consecutive", raw.consecutive, consecutive)?,
            clear_threshold,
            clear_consecutive: times("clear_consecutive", raw.clear_consecutive, clear)?,
        })
    }

    /// A whole number as typed, within its bounds.
    fn count<T: TryFrom<i64>>(&self, name: &str, typed: i64, from: i64, to: i64) -> Result<T> {
        let number = Some(typed).filter(|typed| (from..=to).contains(typed));
        match number.and_then(|number| T::try_from(number).ok()) {
            Some(number) => Ok(number),
            None => self.wrong(name, format!("{typed} is not between {from} and {to}")),
        }
    }

    fn dimensions(&self, rule: &mut Rule) -> Result<()> {
        for name in self.raw.by.iter().flatten() {
            let Some(dimension) = Dimension::parse(name) else {
                let reason = format!(
                    "{name:?} is none of {}",
                    names(&Dimension::ALL.map(Dimension::as_str))
                );
                return self.wrong("by", reason);
            };
            let counts_errors =
                matches!(rule.metric, AlertMetric::ErrorCount | AlertMetric::ErrorRate);
            if dimension == Dimension::ErrorType && !counts_errors {
                return self
                    .wrong("by", "only error_rate and error_count have groups by error_type");
            }
            if rule.by.contains(&dimension) {
                return self.wrong("by", format!("{name:?} stands there twice"));
            }
            rule.by.push(dimension);
        }
        if rule.by.len() > MOST_DIMENSIONS {
            return self.wrong("by", format!("at most {MOST_DIMENSIONS} dimensions"));
        }
        Ok(())
    }

    fn guards(&self, rule: &mut Rule) -> Result<()> {
        let raw = self.raw;
        if let Some(typed) = raw.min_samples {
            rule.min_samples = self.count("min_samples", typed, 0, MOST_SAMPLES)?;
        }
        if let Some(typed) = raw.min_events {
            rule.min_events = self.count("min_events", typed, 0, MOST_SAMPLES)?;
        }
        let grouped = rule.metric.is_share() && !rule.by.is_empty();
        rule.confidence = raw.confidence.unwrap_or(if grouped { GROUP_CONFIDENCE } else { 0.0 });
        if let Some(name) = &raw.errors {
            rule.errors = match ErrorScope::parse(name) {
                Some(scope) => scope,
                None => {
                    return self.wrong("errors", format!("{name:?} is neither all nor service"));
                }
            };
        }
        if let Some(name) = &raw.no_data {
            rule.no_data = match NoData::parse(name) {
                Some(choice) => choice,
                None => {
                    return self.wrong("no_data", format!("{name:?} is none of keep, ok, fire"));
                }
            };
        }
        if let Some(text) = &raw.no_data_resolve_after {
            let most = LONGEST_WINDOW;
            let key = "no_data_resolve_after";
            rule.no_data_resolve_after = self.duration(key, text, Duration::from_secs(1), most)?;
        }
        Ok(())
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
                return self.wrong(name, format!("{limit} is no {name}; it must be above 0"));
            }
        }
        for (text, limit) in raw.limits.iter().flatten() {
            let key = format!("limits.{text}");
            let pair = text.split_once(':');
            let dimension = pair.and_then(|(name, _)| Dimension::parse(name));
            let (Some(dimension), Some((_, value))) = (dimension, pair) else {
                let reason = format!(
                    "{text:?} is not like \"space:acme\": one of {} (those of `by`), and a name",
                    names(&Dimension::ALL.map(Dimension::as_str))
                );
                return self.wrong(&key, reason);
            };
            if !rule.by.contains(&dimension) {
                let by = rule.by.iter().map(|dimension| dimension.as_str()).collect::<Vec<_>>();
                let by = if by.is_empty() { "nothing".to_owned() } else { names(&by) };
                let reason =
                    format!("the rule has no limit by {}; `by` names {by}", dimension.as_str());
                return self.wrong(&key, reason);
            }
            if !(limit.is_finite() && *limit > 0.0) {
                return self.wrong(&key, format!("{limit} is no limit; it must be above 0"));
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
            return self.wrong("op", "burn_rate is held against > or >=");
        }
        let window = rule.condition.window.rolling_ms().unwrap_or(0);
        let default_ms = u64::try_from(window / 12).unwrap_or(0).max(10_000);
        let short = match &self.raw.short_window {
            None => Duration::from_millis(default_ms),
            Some(text) => self.duration("short_window", text, SHORTEST_WINDOW, LONGEST_WINDOW)?,
        };
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
            let reason = "a spike is held against its own history; leave the threshold out";
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
            let kind = ErrorType::parse(name);
            filter.error_types.push(self.listed(
                "filter.error_type",
                name,
                kind,
                ErrorType::ALL,
            )?);
        }
        for name in &raw.source {
            let source = Source::parse(name);
            filter.sources.push(self.listed("filter.source", name, source, Source::ALL)?);
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

    /// What a name stands for, or that it is none of those that there are.
    fn listed<T: Copy + std::fmt::Display>(
        &self,
        key: &str,
        name: &str,
        found: Option<T>,
        all: &[T],
    ) -> Result<T> {
        match found {
            Some(found) => Ok(found),
            None => self.wrong(key, format!("{name:?} is none of {}", names(all))),
        }
    }

    fn outcomes(&self, raw: &RawRuleFilter) -> Result<Vec<&'static str>> {
        let all = [Outcome::Success, Outcome::Error(ErrorType::Other), Outcome::Cancelled]
            .map(Outcome::as_str);
        for (key, list) in [("outcome", &raw.outcome), ("status_not", &raw.status_not)] {
            if let Some(name) = list.iter().find(|name| !all.contains(&name.as_str())) {
                let reason = format!("{name:?} is none of {}", names(&all));
                return self.wrong(&format!("filter.{key}"), reason);
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

    fn telling(&self, rule: &mut Rule) -> Result<()> {
        let raw = self.raw;
        let texts = [("name", &raw.name), ("severity", &raw.severity), ("summary", &raw.summary)];
        let is_one_line = |text: &String| !text.contains(char::is_control);
        if let Some((key, _)) = texts.iter().find(|(_, text)| !text.iter().all(is_one_line)) {
            return self.wrong(key, NOT_ONE_LINE);
        }
        rule.name = raw.name.clone().unwrap_or_else(|| rule.id.clone());
        rule.repeat_interval = match &raw.repeat_interval {
            None => self.config.repeat_interval,
            Some(text) => self.duration("repeat_interval", text, Duration::ZERO, LONGEST_WINDOW)?,
        };
        for channel in raw.channels.iter().flatten() {
            let known = self.config.channels.iter().any(|known| known.name == *channel);
            if !known && channel != LOG_CHANNEL {
                let names = self.config.channels.iter().map(|known| known.name.as_str());
                let names: Vec<&str> = std::iter::once(LOG_CHANNEL).chain(names).collect();
                let reason = format!("{channel:?} is no channel; there are {}", names.join(", "));
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

/// A list for a message.
fn names(all: &[impl std::fmt::Display]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
