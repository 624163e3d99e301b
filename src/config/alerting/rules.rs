//! The rules of `[alerting]`: the default ones, changed by those of the file, and further ones.

use super::check_rule::check_rule;
use super::raw_rule::RawRule;
use super::{AlertingConfig, DEFAULT_RULES, NOT_CONFIGURED, RawAlerting};
use crate::config::channels::check_channels;
use crate::config::settings::ensure;
use crate::error::Result;
use crate::model::Tz;
use crate::model::alert::{AlertCondition, Rule};

/// The default rule that needs `daily_token_budget`.
const BUDGET_RULE: &str = "daily-tokens";
/// The default rule that needs `capacity_per_minute`.
const CAPACITY_RULE: &str = "request-rate";

fn default_rules() -> Vec<RawRule> {
    toml::from_str::<RawAlerting>(DEFAULT_RULES).map(|section| section.rule).unwrap_or_default()
}

impl AlertingConfig {
    pub(super) fn check(&mut self, raw: &RawAlerting) -> Result<()> {
        self.time_zone = self.timezone.unwrap_or(self.time_zone);
        self.channels = check_channels(&raw.channels)?;
        self.raw_rules.clone_from(&raw.rule);
        self.rules = self.check_rules()?;
        Ok(())
    }

    /// Uses the time zone of the whole program, unless the section has its own.
    pub(in crate::config) fn follow_time_zone(&mut self, time_zone: Tz) {
        self.time_zone = self.timezone.unwrap_or(time_zone);
        for rule in &mut self.rules {
            rule.tz = self.time_zone;
        }
    }

    /// Checks a rule as typed, e.g. in a request; one with the id of a default rule changes that one.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::Error::InvalidConfig) with the key and the allowed values.
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
        match whole.id.as_deref().filter(|_| is_default) {
            Some(BUDGET_RULE) => {
                whole.limit = whole.limit.or(self.daily_token_budget.map(float));
            }
            Some(CAPACITY_RULE) => {
                whole.capacity = whole.capacity.or(self.capacity_per_minute.map(float));
            }
            _ => {}
        }
        let mut rule = check_rule(&whole, key, self)?;
        rule.is_default = is_default;
        if is_default && rule.id == CAPACITY_RULE && rule.limit.is_none() {
            rule.inactive.get_or_insert_with(|| NOT_CONFIGURED.to_owned());
        }
        Ok(rule)
    }

    /// The default rules, each changed by the rule of the file with its id, then the other rules of the file.
    fn check_rules(&self) -> Result<Vec<Rule>> {
        let mut rules: Vec<Rule> = Vec::new();
        let defaults = if self.default_rules { default_rules() } else { Vec::new() };
        for base in &defaults {
            let place = self.raw_rules.iter().position(|raw| raw.id == base.id);
            let raw = place.map(|place| self.raw_rules[place].clone()).unwrap_or_default();
            let key = format!("alerting.rule[{}]", place.unwrap_or(0));
            rules.push(self.complete(Some(base.clone()), &raw, &key)?);
        }
        for (place, raw) in self.raw_rules.iter().enumerate() {
            let key = format!("alerting.rule[{place}]");
            let id = raw.id.as_deref().unwrap_or("");
            let is_new = raw.id.is_none()
                || self.raw_rules[..place].iter().all(|before| before.id != raw.id);
            let reason = format!("{id:?} is the id of an earlier rule; ids are unique");
            ensure(is_new, format!("{key}.id"), reason)?;
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
