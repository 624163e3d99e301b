//! Checks of a rule as typed.

use std::fmt::Display;
use std::time::Duration;

use super::raw_rule::{RawAmount, RawRule, RawRuleFilter};
use super::{AlertingConfig, NOT_CONFIGURED};
use crate::config::channels::LOG_CHANNEL;
use crate::config::duration::parse_duration;
use crate::config::kinds::{Kind, choice, count, duration, word};
use crate::config::settings::{ensure, set};
use crate::error::{Error, Result};
use crate::model::alert::{
    AlertCondition, AlertMetric, ErrorScope, EvaluationWindow, GroupLimit, NOT_ONE_LINE, NoData,
    Operator, Period, Rule, RuleFilter, SELF_RULE, template,
};
use crate::model::{Dimension, ErrorType, Outcome, Source};

/// Maximum number of dimensions of one rule.
const DIMENSIONS_MAX: usize = 2;
/// Maximum length of a rule's id, in bytes.
const ID_BYTES_MAX: usize = 64;
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
    let check = RuleCheck { raw, key, config };
    let id = check.id()?;
    let metric = check.metric()?;
    let mut rule = Rule::new(&id, metric, check.condition(metric)?);
    check.dimensions(&mut rule)?;
    check.guards(&mut rule)?;
    check.limits(&mut rule)?;
    if let Some((name, reason)) = rule.impossible() {
        return Err(check.wrong(name, reason));
    }
    check.burn_rate(&mut rule)?;
    check.spike(&rule)?;
    check.notifications(&mut rule)?;
    rule.filter = check.filter(metric)?;
    rule.tz = config.time_zone;
    rule.looks = config.looks(&rule.condition);
    if raw.enabled == Some(false) {
        rule.inactive = Some("disabled".to_owned());
    } else if rule.is_budget() && rule.limit.is_none() && rule.limits.is_empty() {
        rule.inactive = Some(NOT_CONFIGURED.to_owned());
    }
    Ok(rule)
}

/// A rule as typed, where it stands, and the section that it belongs to.
struct RuleCheck<'a> {
    raw: &'a RawRule,
    key: &'a str,
    config: &'a AlertingConfig,
}

impl RuleCheck<'_> {
    fn wrong(&self, name: &str, reason: impl Into<String>) -> Error {
        Error::invalid_config(format!("{}.{name}", self.key), reason)
    }

    fn ensure(&self, holds: bool, name: &str, reason: impl Into<String>) -> Result<()> {
        ensure(holds, format!("{}.{name}", self.key), reason)
    }

    /// The value of a required key; `what` describes it.
    fn required<'t, T>(&self, name: &str, typed: &'t Option<T>, what: &str) -> Result<&'t T> {
        typed.as_ref().ok_or_else(|| {
            let id = self.raw.id.as_deref().unwrap_or("");
            Error::invalid_config(self.key, format!("rule {id:?} needs `{name}`: {what}"))
        })
    }

    /// The values of a list.
    fn list<T: 'static>(&self, key: &str, raw: &[String], kind: &Kind<T>) -> Result<Vec<T>> {
        raw.iter().map(|raw| kind.read(raw).map_err(|reason| self.wrong(key, reason))).collect()
    }

    fn id(&self) -> Result<String> {
        let id = self.required("id", &self.raw.id, "a name of a-z, 0-9 and -")?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_id = (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(plain);
        self.ensure(is_id, "id", format!("{id:?} is not 1 to {ID_BYTES_MAX} of a-z, 0-9 and -"))?;
        let reason = format!("{id:?} is the program's own; choose another");
        self.ensure(id != SELF_RULE, "id", reason)?;
        Ok(id.clone())
    }

    fn metric(&self) -> Result<AlertMetric> {
        let allowed = AlertMetric::allowed();
        let name = self.required("metric", &self.raw.metric, &format!("one of {allowed}"))?;
        let reason = || format!("{name:?} is not a metric; there are {allowed}");
        AlertMetric::parse(name).ok_or_else(|| self.wrong("metric", reason()))
    }

    fn window(&self, metric: AlertMetric) -> Result<EvaluationWindow> {
        let typed = &self.raw.window;
        if self.raw.period.is_some() {
            let key = "period";
            self.ensure(typed.is_none(), key, "a rule has a window or a period, not both")?;
            let reason = "only tokens, cost and error_count have budgets";
            self.ensure(metric.is_sum(), key, reason)?;
            let (mut period, kind) = (Period::Day, choice::<Period>());
            set(&mut period, self.key, key, &self.raw.period, &kind)?;
            return Ok(EvaluationWindow::Period(period));
        }
        let default_minutes = match metric {
            AlertMetric::RequestRate => 1,
            AlertMetric::NoTraffic | AlertMetric::Spike => 15,
            AlertMetric::BurnRate => 60,
            _ => 5,
        };
        let mut window = Duration::from_secs(default_minutes * 60);
        set(&mut window, self.key, "window", typed, &window_length())?;
        Ok(EvaluationWindow::Rolling(window))
    }

    fn amount(&self, name: &str, amount: &RawAmount, metric: AlertMetric) -> Result<f64> {
        let text = match amount {
            RawAmount::Number(number) => {
                self.ensure(number.is_finite(), name, "must be a finite number")?;
                return Ok(*number);
            }
            RawAmount::Text(text) => text,
        };
        match (metric, parse_duration(text)) {
            (AlertMetric::Latency(..), Some(duration)) => Ok(duration.as_secs_f64() * 1_000.0),
            (AlertMetric::Latency(..), None) => {
                Err(self.wrong(name, format!("{text:?} is neither milliseconds nor e.g. \"5s\"")))
            }
            _ => Err(self.wrong(name, format!("{text:?} is not a number"))),
        }
    }

    fn condition(&self, metric: AlertMetric) -> Result<AlertCondition> {
        let raw = self.raw;
        let (mut operator, default_threshold) = match metric {
            AlertMetric::NoTraffic => (Operator::Below, Some(1.0)),
            AlertMetric::Spike => (Operator::AtLeast, Some(1.0)),
            AlertMetric::ConsecutiveFailures => (Operator::AtLeast, None),
            AlertMetric::CacheHitRate => (Operator::Below, None),
            _ => (Operator::Above, None),
        };
        let operators = choice::<Operator>();
        set(&mut operator, self.key, "op", &raw.op, &operators)?;
        let threshold = match default_threshold {
            Some(threshold) if raw.threshold.is_none() => threshold,
            _ => {
                let what = "the value to compare with";
                let typed = self.required("threshold", &raw.threshold, what)?;
                self.amount("threshold", typed, metric)?
            }
        };
        let clear_threshold = match (&raw.clear_threshold, metric) {
            (Some(amount), _) => self.amount("clear_threshold", amount, metric)?,
            (None, AlertMetric::NoTraffic) => threshold,
            (None, AlertMetric::ConsecutiveFailures) => 0.0,
            (None, _) => AlertCondition::default_clear(operator, threshold),
        };
        let is_beyond = operator.is_upward() && clear_threshold > threshold
            || operator.is_downward() && clear_threshold < threshold;
        let is_equal = operator == Operator::Equal && raw.clear_threshold.is_some();
        let reason = "does not go with \"==\", of which every other value is clear; remove it";
        self.ensure(!is_equal, "clear_threshold", reason)?;
        let reason = format!("{clear_threshold} is on the wrong side of the threshold {threshold}");
        // A negative threshold gets its own error later.
        self.ensure(threshold < 0.0 || !is_beyond, "clear_threshold", reason)?;
        let window = self.window(metric)?;
        let is_quick = matches!(metric, AlertMetric::ConsecutiveFailures | AlertMetric::NoTraffic);
        let (mut consecutive, mut clear_consecutive) = if is_quick { (1, 1) } else { (3, 10) };
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
        let counts_errors = matches!(rule.metric, AlertMetric::ErrorCount | AlertMetric::ErrorRate);
        let names = self.raw.by.as_deref().unwrap_or_default();
        for dimension in self.list("by", names, &choice::<Dimension>())? {
            let is_counted = dimension != Dimension::ErrorType || counts_errors;
            let reason = "only error_rate and error_count have groups by error_type";
            self.ensure(is_counted, "by", reason)?;
            let is_new = !rule.by.contains(&dimension);
            self.ensure(is_new, "by", format!("{:?} is listed twice", dimension.as_str()))?;
            rule.by.push(dimension);
        }
        let reason = format!("at most {DIMENSIONS_MAX} dimensions");
        self.ensure(rule.by.len() <= DIMENSIONS_MAX, "by", reason)
    }

    fn guards(&self, rule: &mut Rule) -> Result<()> {
        let raw = self.raw;
        let samples = count(0..=SAMPLES_MAX);
        set(&mut rule.min_samples, self.key, "min_samples", &raw.min_samples, &samples)?;
        set(&mut rule.min_events, self.key, "min_events", &raw.min_events, &samples)?;
        let grouped = rule.metric.is_share() && !rule.by.is_empty();
        rule.confidence = raw.confidence.unwrap_or(if grouped { GROUP_CONFIDENCE } else { 0.0 });
        let scopes = choice::<ErrorScope>();
        set(&mut rule.errors, self.key, "errors", &raw.errors, &scopes)?;
        let no_data = choice::<NoData>();
        set(&mut rule.no_data, self.key, "no_data", &raw.no_data, &no_data)?;
        let (key, typed) = ("no_data_resolve_after", &raw.no_data_resolve_after);
        set(&mut rule.no_data_resolve_after, self.key, key, typed, &duration(1..=WINDOW_MAX_S))
    }

    fn limits(&self, rule: &mut Rule) -> Result<()> {
        let raw = self.raw;
        let is_rate = rule.metric == AlertMetric::RequestRate;
        let reason = "only request_rate has a capacity";
        self.ensure(is_rate || raw.capacity.is_none(), "capacity", reason)?;
        let has_limit = is_rate || rule.is_budget();
        let reason = "only budgets (rules with a `period`) have a limit";
        self.ensure(has_limit || raw.limit.is_none(), "limit", reason)?;
        self.ensure(has_limit || raw.limits.is_none(), "limits", reason)?;
        for (name, limit) in [("limit", raw.limit), ("capacity", raw.capacity)] {
            limit.map_or(Ok(()), |limit| self.positive(name, name, limit))?;
        }
        rule.limit = raw.limit.or(raw.capacity);
        for (group, limit) in raw.limits.iter().flatten() {
            let limit = self.group_limit(&rule.by, group, *limit)?;
            rule.limits.push(limit);
        }
        Ok(())
    }

    /// The limit of a group such as `space:acme`.
    fn group_limit(&self, by: &[Dimension], group: &str, limit: f64) -> Result<GroupLimit> {
        let key = format!("limits.{group}");
        let names = |dimensions: &[Dimension]| joined(dimensions.iter().map(|d| d.as_str()));
        let pair = group.split_once(':');
        let pair = pair.and_then(|(name, value)| Some((Dimension::parse(name)?, value)));
        let (dimension, value) = pair.ok_or_else(|| {
            let all = names(&Dimension::ALL);
            let reason = "is not like \"space:acme\": one of";
            self.wrong(&key, format!("{group:?} {reason} {all} (those of `by`), and a name"))
        })?;
        let by_names = if by.is_empty() { "nothing".to_owned() } else { names(by) };
        let reason =
            format!("the rule has no limit by {}; `by` names {by_names}", dimension.as_str());
        self.ensure(by.contains(&dimension), &key, reason)?;
        self.positive(&key, "limit", limit)?;
        Ok(GroupLimit { dimension, value: value.to_owned(), limit })
    }

    fn positive(&self, key: &str, what: &str, limit: f64) -> Result<()> {
        let reason = format!("{limit} is not a {what}; it must be above 0");
        self.ensure(limit.is_finite() && limit > 0.0, key, reason)
    }

    fn burn_rate(&self, rule: &mut Rule) -> Result<()> {
        let raw = self.raw;
        if rule.metric != AlertMetric::BurnRate {
            let is_unset = raw.slo.is_none() && raw.short_window.is_none();
            return self.ensure(is_unset, "slo", "only burn_rate has an slo and a short_window");
        }
        let what = "the share of requests that should succeed, e.g. 0.99";
        let slo = *self.required("slo", &raw.slo, what)?;
        self.ensure(slo > 0.0 && slo < 1.0, "slo", format!("{slo} is not between 0 and 1"))?;
        let threshold = rule.condition.threshold;
        let (share, maximum) = (threshold * (1.0 - slo), 1.0 / (1.0 - slo));
        let reason = format!(
            "{threshold} can never happen with an slo of {slo}: errors would have to be {:.0} %; it must be above 0 and \
             below {maximum:.1}",
            share * 100.0
        );
        self.ensure(share < 1.0 && threshold > 0.0, "threshold", reason)?;
        let is_upward = rule.condition.operator.is_upward();
        self.ensure(is_upward, "op", "burn_rate is compared with > or >=")?;
        let window_ms = u64::try_from(rule.condition.window.rolling_ms().unwrap_or(0)).unwrap_or(0);
        let window = Duration::from_millis(window_ms);
        let mut short = Duration::from_millis((window_ms / 12).max(10_000));
        set(&mut short, self.key, "short_window", &raw.short_window, &window_length())?;
        self.ensure(short <= window, "short_window", "must not be longer than the window")?;
        rule.slo = Some(slo);
        rule.short_window = Some(short);
        Ok(())
    }

    fn spike(&self, rule: &Rule) -> Result<()> {
        if rule.metric != AlertMetric::Spike {
            return Ok(());
        }
        let reason = "a spike is compared with its own history; remove the threshold";
        self.ensure(self.raw.threshold.is_none(), "threshold", reason)?;
        let reason = "spike watches all requests, or those of a filter";
        self.ensure(rule.by.is_empty(), "by", reason)?;
        let window_ms = rule.condition.window.rolling_ms().unwrap_or(0);
        let is_minutes = window_ms % 60_000 == 0 && window_ms <= 3_600_000;
        self.ensure(is_minutes, "window", "of a spike is whole minutes, at most 1h")
    }

    fn filter(&self, metric: AlertMetric) -> Result<RuleFilter> {
        let Some(raw) = &self.raw.filter else { return Ok(RuleFilter::default()) };
        if let Some(user) = raw.user.iter().find(|user| user.contains('*')) {
            let reason = format!("{user:?}: users have no pattern; name them");
            return Err(self.wrong("filter.user", reason));
        }
        let (key, errors) = ("filter.error_type", &raw.error_type);
        let sources = choice::<Source>();
        let filter = RuleFilter {
            spaces: raw.space.clone(),
            users: raw.user.clone(),
            models: raw.model.clone(),
            providers: raw.provider.clone(),
            error_types: self.list(key, errors, &choice::<ErrorType>())?,
            sources: self.list("filter.source", &raw.source, &sources)?,
            outcomes: self.outcomes(raw)?,
        };
        let has_outcomes =
            ![AlertMetric::ConsecutiveFailures, AlertMetric::Spike].contains(&metric);
        let reason = format!("{} has no filter by outcome or error_type", metric.name());
        for (key, list) in [
            ("filter.outcome", &raw.outcome),
            ("filter.status_not", &raw.status_not),
            (key, errors),
        ] {
            self.ensure(has_outcomes || list.is_empty(), key, &reason)?;
        }
        Ok(filter)
    }

    /// The outcomes that count: the listed ones, or all, without the excluded ones. Empty without a filter.
    fn outcomes(&self, raw: &RawRuleFilter) -> Result<Vec<&'static str>> {
        let outcomes = word(&Outcome::KINDS);
        let listed = self.list("filter.outcome", &raw.outcome, &outcomes)?;
        let excluded = self.list("filter.status_not", &raw.status_not, &outcomes)?;
        if listed.is_empty() && excluded.is_empty() {
            return Ok(Vec::new());
        }
        let counts =
            |name: &&str| (listed.is_empty() || listed.contains(name)) && !excluded.contains(name);
        let counted: Vec<&'static str> = Outcome::KINDS.into_iter().filter(counts).collect();
        let reason = "leaves no outcome that could count";
        self.ensure(!counted.is_empty(), "filter.status_not", reason)?;
        Ok(counted)
    }

    fn notifications(&self, rule: &mut Rule) -> Result<()> {
        let raw = self.raw;
        for (key, text) in
            [("name", &raw.name), ("severity", &raw.severity), ("summary", &raw.summary)]
        {
            let is_one_line = !text.iter().any(|text| text.contains(char::is_control));
            self.ensure(is_one_line, key, NOT_ONE_LINE)?;
        }
        rule.name = raw.name.clone().unwrap_or_else(|| rule.id.clone());
        rule.repeat_interval = self.config.repeat_interval;
        let (key, interval) = ("repeat_interval", duration(0..=WINDOW_MAX_S));
        set(&mut rule.repeat_interval, self.key, key, &raw.repeat_interval, &interval)?;
        let configured = self.config.channels.iter().map(|channel| channel.name.as_str());
        let known: Vec<&str> = std::iter::once(LOG_CHANNEL).chain(configured).collect();
        for channel in raw.channels.iter().flatten() {
            let reason = format!("{channel:?} is not a channel; there are {}", joined(&known));
            self.ensure(known.contains(&channel.as_str()), "channels", reason)?;
            if channel != LOG_CHANNEL && !rule.channels.contains(channel) {
                rule.channels.push(channel.clone());
            }
        }
        if let Some(text) = &raw.summary {
            let fault = template::fault(text).unwrap_or_default();
            self.ensure(fault.is_empty(), "summary", fault)?;
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
