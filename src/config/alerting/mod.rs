//! `[alerting]`: when alerts are evaluated, their rules, and where messages go.

mod check_rule;
mod duration;
mod raw_rule;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::channels::{ChannelConfig, RawChannel, check_channels};
use crate::error::{Error, Result};
use crate::model::Tz;
use crate::model::alert::{AlertCondition, Rule};
use check_rule::check_rule;
pub(super) use duration::duration_text;
pub use duration::parse_duration;
pub use raw_rule::{RawAmount, RawRule, RawRuleFilter};

/// The channel that always exists; no other may be called so.
pub const LOG_CHANNEL: &str = "log";
/// Why a rule is not evaluated that needs a number which is not given.
pub const NOT_CONFIGURED: &str = "not configured";

/// The rules that the program comes with, as they would stand in the file.
pub const DEFAULT_RULES: &str = include_str!("default_rules.toml");
/// The default rule that needs `daily_token_budget`.
const BUDGET_RULE: &str = "daily-tokens";
/// The default rule that needs `capacity_per_minute`.
const CAPACITY_RULE: &str = "request-rate";

/// `[alerting]` as typed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawAlerting {
    /// Evaluate rules.
    pub enabled: Option<bool>,
    /// Time between two evaluations.
    pub interval: Option<String>,
    /// How far windows end before now.
    pub eval_delay: Option<String>,
    /// Time after a start before anything may fire.
    pub startup_grace: Option<String>,
    /// IANA name of the zone of budgets; empty: that of the configuration.
    pub timezone: Option<String>,
    /// Where people reach the dashboard.
    pub external_url: Option<String>,
    /// How long the first message about a rule waits for others.
    pub group_wait: Option<String>,
    /// Time between reminders.
    pub repeat_interval: Option<String>,
    /// Most groups of one rule.
    pub max_groups: Option<i64>,
    /// Days that the history is kept.
    pub history_days: Option<i64>,
    /// Tokens a local day; 0: not configured.
    pub daily_token_budget: Option<i64>,
    /// Requests a minute that are planned for; 0: not configured.
    pub capacity_per_minute: Option<i64>,
    /// Have the rules that the program comes with.
    pub default_rules: Option<bool>,
    /// Where messages go, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub channels: BTreeMap<String, RawChannel>,
    /// Rules; one with the id of a default rule changes that one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<RawRule>,
}

/// `[alerting]`, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertingConfig {
    /// Rules are evaluated by themselves.
    pub enabled: bool,
    /// Time between two evaluations.
    pub interval: Duration,
    /// How far windows end before now: what comes later than this is seen late.
    pub eval_delay: Duration,
    /// Time after a start before anything may fire.
    pub startup_grace: Duration,
    /// The zone of budgets and of times in messages.
    pub time_zone: Tz,
    /// Whether the zone was named here, not only for the whole program.
    pub has_own_time_zone: bool,
    /// Where people reach the dashboard, without a slash at the end; empty: messages have no links.
    pub external_url: String,
    /// How long the first message about a rule waits for others, to go out together; zero: not at all.
    pub group_wait: Duration,
    /// Time between reminders; zero: none.
    pub repeat_interval: Duration,
    /// Most groups of one rule; the largest are kept.
    pub max_groups: usize,
    /// Days that the history is kept.
    pub history_days: u32,
    /// Tokens a local day.
    pub daily_token_budget: Option<u64>,
    /// Requests a minute that are planned for.
    pub capacity_per_minute: Option<u64>,
    /// Has the rules that the program comes with.
    pub default_rules: bool,
    /// Where messages go, in the order of their names.
    pub channels: Vec<ChannelConfig>,
    /// The rules as typed, besides the defaults.
    pub raw_rules: Vec<RawRule>,
    /// All rules, the defaults first.
    pub rules: Vec<Rule>,
}

impl Default for AlertingConfig {
    fn default() -> Self {
        let mut config = Self {
            enabled: true,
            interval: Duration::from_secs(30),
            eval_delay: Duration::from_secs(10),
            startup_grace: Duration::from_secs(60),
            time_zone: Tz::UTC,
            has_own_time_zone: false,
            external_url: String::new(),
            group_wait: Duration::ZERO,
            repeat_interval: Duration::from_secs(4 * 3_600),
            max_groups: 500,
            history_days: 400,
            daily_token_budget: None,
            capacity_per_minute: None,
            default_rules: true,
            channels: Vec::new(),
            raw_rules: Vec::new(),
            rules: Vec::new(),
        };
        // The text is part of the program, and a test reads it.
        config.rules = config.check_rules().unwrap_or_default();
        config
    }
}

#[derive(Deserialize)]
struct DefaultRules {
    rule: Vec<RawRule>,
}

fn default_rules() -> Vec<RawRule> {
    toml::from_str::<DefaultRules>(DEFAULT_RULES).map(|rules| rules.rule).unwrap_or_default()
}

impl AlertingConfig {
    /// Checks a rule as typed, e.g. in a request; one with the id of a default rule changes that one.
    ///
    /// # Errors
    /// [`InvalidConfig`](Error::InvalidConfig) with the key, and with the allowed values.
    pub fn check_rule(&self, raw: &RawRule) -> Result<Rule> {
        let base = default_rules().into_iter().find(|rule| rule.id == raw.id);
        self.complete(base, raw, "rule")
    }

    /// A default rule, or none, with what `raw` says over it.
    fn complete(&self, base: Option<RawRule>, raw: &RawRule, key: &str) -> Result<Rule> {
        let is_default = base.is_some();
        let mut whole = base.unwrap_or_default();
        // What suits the default's threshold and groups is of no use for others.
        if raw.metric.is_some() || raw.op.is_some() || raw.threshold.is_some() {
            whole.clear_threshold = None;
        }
        if raw.by.is_some() {
            whole.confidence = None;
        }
        whole.overlay(raw.clone());
        let id = whole.id.as_deref();
        if is_default && id == Some(BUDGET_RULE) && whole.limit.is_none() {
            whole.limit = self.daily_token_budget.map(float);
        }
        if is_default && id == Some(CAPACITY_RULE) && whole.capacity.is_none() {
            whole.capacity = self.capacity_per_minute.map(float);
        }
        let mut rule = check_rule(&whole, key, self)?;
        rule.is_default = is_default;
        let needs_capacity = is_default && rule.id == CAPACITY_RULE && rule.limit.is_none();
        if needs_capacity && rule.inactive.is_none() {
            rule.inactive = Some(NOT_CONFIGURED.to_owned());
        }
        Ok(rule)
    }

    fn check_rules(&self) -> Result<Vec<Rule>> {
        let mut rules: Vec<Rule> = Vec::new();
        let defaults = if self.default_rules { default_rules() } else { Vec::new() };
        for base in &defaults {
            let changed = self.raw_rules.iter().position(|raw| raw.id == base.id);
            let nothing = RawRule::default();
            let raw = changed.map_or(&nothing, |place| &self.raw_rules[place]);
            let key = format!("alerting.rule[{}]", changed.unwrap_or(0));
            rules.push(self.complete(Some(base.clone()), raw, &key)?);
        }
        for (place, raw) in self.raw_rules.iter().enumerate() {
            let key = format!("alerting.rule[{place}]");
            if self.raw_rules[..place].iter().any(|before| before.id == raw.id && raw.id.is_some())
            {
                let id = raw.id.as_deref().unwrap_or("");
                let reason = format!("{id:?} is the id of an earlier rule; ids are unique");
                return Err(Error::invalid_config(format!("{key}.id"), reason));
            }
            if defaults.iter().all(|base| base.id != raw.id) {
                rules.push(self.complete(None, raw, &key)?);
            }
        }
        Ok(rules)
    }

    /// Evaluations that one request takes part in.
    pub fn looks(&self, condition: &AlertCondition) -> u32 {
        let interval_ms = i64::try_from(self.interval.as_millis()).unwrap_or(i64::MAX).max(1);
        let window_ms = condition.window.rolling_ms().unwrap_or(interval_ms);
        u32::try_from(window_ms / interval_ms).unwrap_or(u32::MAX).max(1)
    }
}

#[expect(clippy::cast_precision_loss, reason = "budgets, exact up to 2^53")]
const fn float(number: u64) -> f64 {
    number as f64
}

impl RawAlerting {
    /// Takes every key that `over` sets; a channel that both have is taken whole.
    pub fn overlay(&mut self, over: Self) {
        macro_rules! take {
            ($($key:ident)+) => { $(if over.$key.is_some() { self.$key = over.$key; })+ };
        }
        take!(enabled interval eval_delay startup_grace timezone external_url group_wait);
        take!(repeat_interval);
        take!(max_groups history_days daily_token_budget capacity_per_minute default_rules);
        self.channels.extend(over.channels);
        if !over.rule.is_empty() {
            self.rule = over.rule;
        }
    }
}

/// Checks `[alerting]`; `time_zone` is that of the whole program.
pub(super) fn check_alerting(
    raw: &RawAlerting,
    time_zone: Tz,
    alerting: &mut AlertingConfig,
) -> Result<()> {
    alerting.enabled = raw.enabled.unwrap_or(alerting.enabled);
    set_time(&mut alerting.interval, "interval", raw.interval.as_ref(), 1, 240)?;
    set_time(&mut alerting.eval_delay, "eval_delay", raw.eval_delay.as_ref(), 0, 600)?;
    set_time(&mut alerting.startup_grace, "startup_grace", raw.startup_grace.as_ref(), 0, 3_600)?;
    set_time(&mut alerting.group_wait, "group_wait", raw.group_wait.as_ref(), 0, 3_600)?;
    let most = 35 * 86_400;
    set_time(
        &mut alerting.repeat_interval,
        "repeat_interval",
        raw.repeat_interval.as_ref(),
        0,
        most,
    )?;
    alerting.time_zone = time_zone;
    if let Some(name) = raw.timezone.as_ref().filter(|name| !name.is_empty()) {
        alerting.time_zone = name.parse().map_err(|_| {
            let reason = format!("{name:?} is not an IANA time zone such as Europe/Warsaw");
            Error::invalid_config("alerting.timezone", reason)
        })?;
        alerting.has_own_time_zone = true;
    }
    if let Some(url) = &raw.external_url {
        url.trim_end_matches('/').clone_into(&mut alerting.external_url);
    }
    super::check::set(
        &mut alerting.max_groups,
        "alerting.max_groups",
        raw.max_groups,
        1..=100_000,
    )?;
    let days = 1..=36_500;
    super::check::set(&mut alerting.history_days, "alerting.history_days", raw.history_days, days)?;
    let numbers = [
        ("daily_token_budget", raw.daily_token_budget, &mut alerting.daily_token_budget),
        ("capacity_per_minute", raw.capacity_per_minute, &mut alerting.capacity_per_minute),
    ];
    for (key, typed, number) in numbers {
        let mut value = 0_u64;
        super::check::set(
            &mut value,
            &format!("alerting.{key}"),
            typed,
            0..=1_000_000_000_000_000,
        )?;
        *number = (value > 0).then_some(value);
    }
    alerting.default_rules = raw.default_rules.unwrap_or(alerting.default_rules);
    alerting.channels = check_channels(&raw.channels)?;
    alerting.raw_rules.clone_from(&raw.rule);
    alerting.rules = alerting.check_rules()?;
    Ok(())
}

fn set_time(
    target: &mut Duration,
    key: &str,
    typed: Option<&String>,
    from_s: u64,
    to_s: u64,
) -> Result<()> {
    let Some(text) = typed else { return Ok(()) };
    let allowed = Duration::from_secs(from_s)..=Duration::from_secs(to_s);
    *target =
        parse_duration(text).filter(|duration| allowed.contains(duration)).ok_or_else(|| {
            let reason = format!("{text:?} is no length of time between {from_s}s and {to_s}s");
            Error::invalid_config(format!("alerting.{key}"), reason)
        })?;
    Ok(())
}

/// Everything but the secrets.
impl From<&AlertingConfig> for RawAlerting {
    fn from(alerting: &AlertingConfig) -> Self {
        let channels = alerting.channels.iter();
        let time = |duration| Some(duration_text(duration));
        let number =
            |number: Option<u64>| Some(i64::try_from(number.unwrap_or(0)).unwrap_or(i64::MAX));
        let zone = if alerting.has_own_time_zone { alerting.time_zone.name() } else { "" };
        Self {
            enabled: Some(alerting.enabled),
            interval: time(alerting.interval),
            eval_delay: time(alerting.eval_delay),
            startup_grace: time(alerting.startup_grace),
            timezone: Some(zone.to_owned()),
            external_url: Some(alerting.external_url.clone()),
            group_wait: time(alerting.group_wait),
            repeat_interval: time(alerting.repeat_interval),
            max_groups: Some(i64::try_from(alerting.max_groups).unwrap_or(i64::MAX)),
            history_days: Some(i64::from(alerting.history_days)),
            daily_token_budget: number(alerting.daily_token_budget),
            capacity_per_minute: number(alerting.capacity_per_minute),
            default_rules: Some(alerting.default_rules),
            channels: channels
                .map(|channel| (channel.name.clone(), RawChannel::from(channel)))
                .collect(),
            rule: alerting.raw_rules.clone(),
        }
    }
}
