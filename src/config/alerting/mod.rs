//! `[alerting]`: when rules are evaluated, the rules, and the channels of notifications.

mod check_rule;
mod raw_rule;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use super::channels::{ChannelConfig, RawChannel};
#[cfg(test)]
use super::example::Example;
use super::kinds::{base_url, count, duration, flag, optional, planned, zone};
use super::settings::settings;
use crate::model::Tz;
use crate::model::alert::Rule;
pub use raw_rule::{RawAmount, RawRule, RawRuleFilter};

/// Why a rule is inactive: it needs a number that is not configured.
pub const NOT_CONFIGURED: &str = "not configured";

/// The default rules, as keys of `[alerting]`.
pub const DEFAULT_RULES: &str = include_str!("default_rules.toml");
/// Channels of each type, for the example file.
#[cfg(test)]
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
        channels: BTreeMap<String, RawChannel> = raw_channels,
            |_, example: &mut Example| example.commented(EXAMPLE_CHANNELS);
        /// Rules; one with the id of a default rule changes that one.
        rule: Vec<RawRule> = |config: &AlertingConfig| config.raw_rules.clone(),
            |_, example: &mut Example| example.commented(&DEFAULT_RULES.replace("[[rule]]", "[[alerting.rule]]"));
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
