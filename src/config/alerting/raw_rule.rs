//! A rule as typed, in the file or in a request: every key optional, nothing checked.

use std::collections::BTreeMap;

use serde::de::{self, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use toml::Value;

use crate::config::layer::raw_table;

/// A number, or a duration such as `"5s"`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RawAmount {
    /// In the unit of the metric.
    Number(f64),
    /// A duration.
    Text(String),
}

/// Written by hand for its error message.
impl<'de> Deserialize<'de> for RawAmount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        let unexpected = match Value::deserialize(deserializer)? {
            Value::Float(number) => return Ok(Self::Number(number)),
            Value::Integer(number) => return Ok(Self::Number(number as f64)),
            Value::String(text) => return Ok(Self::Text(text)),
            Value::Boolean(flag) => Unexpected::Bool(flag),
            other => Unexpected::Other(other.type_str()),
        };
        Err(de::Error::invalid_type(unexpected, &"a number, or a duration such as \"5s\""))
    }
}

raw_table! {
    /// `filter` of a rule; `*` in a value matches any text.
    RawRuleFilter {
        /// Spaces.
        space: Vec<String>,
        /// Users, as ids or pseudonyms, without patterns.
        user: Vec<String>,
        /// Models.
        model: Vec<String>,
        /// Providers.
        provider: Vec<String>,
        /// Types of errors, without patterns.
        error_type: Vec<String>,
        /// Outcomes that count.
        outcome: Vec<String>,
        /// Outcomes that do not count.
        status_not: Vec<String>,
        /// Routes by which records came.
        source: Vec<String>,
    }
}

raw_table! {
    /// A rule as typed; the names of the fields are the keys.
    RawRule {
        /// Identity.
        id: Option<String>,
        /// Name in notifications and in the dashboard.
        name: Option<String>,
        /// Metric to evaluate.
        metric: Option<String>,
        /// Length of the window, which ends now.
        window: Option<String>,
        /// `day`, `week` or `month` in place of a window: a budget.
        period: Option<String>,
        /// `>`, `<`, `>=`, `<=` or `==`.
        op: Option<String>,
        /// Value to compare with.
        threshold: Option<RawAmount>,
        /// Value at which the incident ends.
        clear_threshold: Option<RawAmount>,
        /// Minimum number of requests in the window.
        min_samples: Option<i64>,
        /// Minimum number of errors of a violation.
        min_events: Option<i64>,
        /// Number of violations in a row until it fires.
        consecutive: Option<i64>,
        /// Number of clear evaluations in a row until it ends.
        clear_consecutive: Option<i64>,
        /// Confidence that the true share is beyond the threshold, e.g. 0.95; 0: the plain share.
        confidence: Option<f64>,
        /// Requests to count.
        filter: Option<RawRuleFilter>,
        /// Dimensions to group by.
        by: Option<Vec<String>>,
        /// Errors to count: `all` or `service`.
        errors: Option<String>,
        /// Budget; the threshold is a share of it.
        limit: Option<f64>,
        /// Budgets of single groups, `"space:acme" = 5_000_000`.
        limits: Option<BTreeMap<String, f64>>,
        /// Requests per minute; the threshold of a request rate is a multiple of it.
        capacity: Option<f64>,
        /// SLO of a burn rate: the share of requests that should succeed.
        slo: Option<f64>,
        /// Short window of a burn rate.
        short_window: Option<String>,
        /// State with too few requests: `keep`, `ok` or `fire`.
        no_data: Option<String>,
        /// Time without enough requests after which an incident ends.
        no_data_resolve_after: Option<String>,
        /// Time between reminders.
        repeat_interval: Option<String>,
        /// Suppresses notifications of rules of the same metric with `by` while this rule fires.
        inhibits_groups: Option<bool>,
        /// Severity, e.g. `critical`.
        severity: Option<String>,
        /// Channels to notify.
        channels: Option<Vec<String>>,
        /// Labels passed on to receivers.
        labels: Option<BTreeMap<String, String>>,
        /// URL or text that helps to resolve the incident.
        runbook: Option<String>,
        /// Template of the notification.
        summary: Option<String>,
        /// `false`: not evaluated.
        enabled: Option<bool>,
        /// Evaluated without notifications.
        dry_run: Option<bool>,
    }
}
