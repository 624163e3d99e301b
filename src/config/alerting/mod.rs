//! `[alerting]`: when rules are evaluated, the rules, and the channels of notifications.

mod check_rule;
mod raw_rule;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use super::channels::{ChannelConfig, RawChannel, check_channels};
use super::example::Example;
use super::kinds::{base_url, count, duration, flag, optional, planned, zone};
use super::settings::settings;
use crate::error::{Error, Result};
use crate::model::Tz;
use crate::model::alert::{AlertCondition, Rule};
use check_rule::check_rule;
pub use raw_rule::{RawAmount, RawRule, RawRuleFilter};

/// Why a rule is inactive that needs a number which is not configured.
pub const NOT_CONFIGURED: &str = "not configured";

/// The default rules, as keys of `[alerting]`.
pub const DEFAULT_RULES: &str = include_str!("default_rules.toml");
/// The default rule that needs `daily_token_budget`.
const BUDGET_RULE: &str = "daily-tokens";
/// The default rule that needs `capacity_per_minute`.
const CAPACITY_RULE: &str = "request-rate";
/// Channels of each type, for the example file.
const EXAMPLE_CHANNELS: &str = include_str!("example_channels.toml");

settings! {
    /// Alerts. Durations are written as "30s", "5m", "1h" or "7d".
    AlertingConfig, RawAlerting {
        /// Evaluate rules; docs/alerts.md describes the default rules and how to write others.
        enabled: bool as flag() = true;
        /// Time between two evaluations.
        interval: Duration as duration(1..=240) = Duration::from_secs(30);
        /// Time by which windows end before now: records that arrive later than this are counted late.
        eval_delay: Duration as duration(0..=600) = Duration::from_secs(10);
        /// Time after a start before a rule may fire.
        startup_grace: Duration as duration(0..=3_600) = Duration::from_secs(60);
        /// Time zone of budgets ("day" is a day there) and of times in notifications; empty: `time_zone` above.
        timezone: Option<Tz> as optional(zone()) = None;
        /// How long the first notification of a rule waits, so that it includes other groups of the rule that fire
        /// meanwhile; "0s": not at all. Groups that fire in one evaluation are always notified together, so less than
        /// `interval` is of little use.
        group_wait: Duration as duration(0..=3_600) = Duration::ZERO;
        /// Time between reminders of an incident that nobody acknowledged; "0s": none.
        repeat_interval: Duration as duration(0..=35 * 86_400) = Duration::from_secs(4 * 3_600);
        /// Maximum number of groups of one rule with `by`; the largest are kept.
        max_groups: usize as count(1..=100_000) = 500;
        /// Days that incidents and their history are kept.
        history_days: u32 as count(1..=36_500) = 400;
        /// Token budget of a local day; the rule daily-tokens fires at 20 % more. 0: not configured.
        daily_token_budget: Option<u64> as planned(1_000_000_000_000_000) = None;
        /// Planned requests per minute; the rule request-rate fires at 50 % more. 0: not configured.
        capacity_per_minute: Option<u64> as planned(1_000_000_000_000_000) = None;
        /// Whether the default rules, which are written out below, exist.
        default_rules: bool as flag() = true;
        /// Public URL of the dashboard, e.g. `https://chatgauge.example`, for links in notifications; empty: no links.
        external_url: String as base_url() = String::new();
    }
    tables {
        /// Channels, by name.
        channels: BTreeMap<String, RawChannel> = raw_channels, write_channels;
        /// Rules; one with the id of a default rule changes that one.
        rule: Vec<RawRule> = raw_rules, write_rules;
    }
    derived {
        /// The time zone of budgets and of times in notifications.
        time_zone: Tz = Tz::UTC;
        /// Channels, in the order of their names.
        channels: Vec<ChannelConfig> = Vec::new();
        /// Rules as typed, without the defaults.
        raw_rules: Vec<RawRule> = Vec::new();
        /// All rules, the defaults first.
        rules: Vec<Rule> = Vec::new();
    }
    check = AlertingConfig::check;
}

fn raw_channels(config: &AlertingConfig) -> BTreeMap<String, RawChannel> {
    config.channels.iter().map(|channel| (channel.name.clone(), channel.into())).collect()
}

fn raw_rules(config: &AlertingConfig) -> Vec<RawRule> {
    config.raw_rules.clone()
}

fn write_channels(_: &AlertingConfig, example: &mut Example) {
    example.commented(EXAMPLE_CHANNELS);
}

fn write_rules(_: &AlertingConfig, example: &mut Example) {
    example.commented(&DEFAULT_RULES.replace("[[rule]]", "[[alerting.rule]]"));
}

fn default_rules() -> Vec<RawRule> {
    toml::from_str::<RawAlerting>(DEFAULT_RULES).map(|section| section.rule).unwrap_or_default()
}

impl AlertingConfig {
    fn check(&mut self, raw: &RawAlerting) -> Result<()> {
        self.time_zone = self.timezone.unwrap_or(self.time_zone);
        self.channels = check_channels(&raw.channels)?;
        self.raw_rules.clone_from(&raw.rule);
        self.rules = self.check_rules()?;
        Ok(())
    }

    /// Uses the time zone of the whole program, unless the section has its own.
    pub(super) fn follow_time_zone(&mut self, time_zone: Tz) {
        self.time_zone = self.timezone.unwrap_or(time_zone);
        for rule in &mut self.rules {
            rule.tz = self.time_zone;
        }
    }

    /// Checks a rule as typed, e.g. in a request; one with the id of a default rule changes that one.
    ///
    /// # Errors
    /// [`InvalidConfig`](Error::InvalidConfig) with the key and the allowed values.
    pub fn check_rule(&self, raw: &RawRule) -> Result<Rule> {
        let base = default_rules().into_iter().find(|rule| rule.id == raw.id);
        self.complete(base, raw, "rule")
    }

    /// Checks a rule: `raw` over a default rule, if it has the id of one.
    fn complete(&self, base: Option<RawRule>, raw: &RawRule, key: &str) -> Result<Rule> {
        let is_default = base.is_some();
        let mut whole = base.unwrap_or_default();
        // These suit the threshold and the groups of the default rule only.
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

    /// Number of evaluations whose window contains the same request.
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
