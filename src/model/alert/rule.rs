//! Validated alert rules.

use std::collections::BTreeMap;
use std::time::Duration;

use super::condition::{AlertCondition, EvaluationWindow, Operator};
use super::group::AlertGroup;
use super::incident::digest;
use super::metric::{AlertMetric, ErrorScope};
use crate::model::spelling::spelled_enum;
use crate::model::{Dimension, ErrorType, Source, Tz};

spelled_enum! {
    /// What happens if there are too few requests for a verdict.
    #[derive(Default)]
    pub enum NoData {
        /// State and counters stay unchanged.
        #[default]
        Keep = "keep",
        /// It counts as clear.
        Ok = "ok",
        /// It counts as a violation.
        Fire = "fire",
    }
}

/// Id of the rule about the monitor itself.
pub const SELF_RULE: &str = "self-evaluation";

/// The requests that a rule covers; names may contain `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RuleFilter {
    /// Spaces.
    pub spaces: Vec<String>,
    /// Users, as ids or pseudonyms; no `*`.
    pub users: Vec<String>,
    /// Models.
    pub models: Vec<String>,
    /// Providers.
    pub providers: Vec<String>,
    /// Only errors of these types.
    pub error_types: Vec<ErrorType>,
    /// Kinds of outcome: `success`, `error`, `cancelled`.
    pub outcomes: Vec<&'static str>,
    /// Routes by which requests arrive.
    pub sources: Vec<Source>,
}

/// The limit of a single group, instead of the rule's.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupLimit {
    /// The dimension.
    pub dimension: Dimension,
    /// Value of the dimension; users as ids or pseudonyms.
    pub value: String,
    /// The limit.
    pub limit: f64,
}

spelled_enum! {
    /// State of a rule: the worst state of its groups.
    pub enum RuleState {
        /// The rule is disabled or lacks a threshold or limit.
        Inactive = "inactive",
        /// No violation.
        Ok = "ok",
        /// Too few requests for a verdict.
        NoData = "no_data",
        /// Violations, but not enough consecutive ones yet.
        Pending = "pending",
        /// An incident is open, but clear evaluations have started.
        Recovering = "recovering",
        /// The alert fires and ends too often.
        Flapping = "flapping",
        /// An incident is open.
        Firing = "firing",
        /// The last evaluation failed.
        Error = "error",
    }
}

/// An alert rule: metric, condition and receivers.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use chatgauge::model::alert::{AlertCondition, AlertMetric, Operator, Rule};
/// let condition = AlertCondition::new(Operator::Above, 0.05, Duration::from_secs(300), 3);
/// let mut rule = Rule::new("errors", AlertMetric::ErrorRate, condition);
/// rule.confidence = 0.95;
/// assert_eq!(rule.min_samples, 10);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Rule id, stable across restarts and edits: `a-z`, `0-9` and `-`.
    pub id: String,
    /// Display name.
    pub name: String,
    /// The metric.
    pub metric: AlertMetric,
    /// The condition.
    pub condition: AlertCondition,
    /// Time zone of periods and of times in notifications.
    pub tz: Tz,
    /// Minimum number of requests in the window; with fewer there is no data.
    pub min_samples: u64,
    /// Minimum number of errors in the window for a violation.
    pub min_events: u64,
    /// Confidence with which a share must pass the threshold; 0 compares the plain share.
    pub confidence: f64,
    /// Number of evaluations that include the same request; `confidence` is divided among them.
    pub looks: u32,
    /// Which errors count.
    pub errors: ErrorScope,
    /// Which requests count.
    pub filter: RuleFilter,
    /// Dimensions to group by, with one alert per group; at most two.
    pub by: Vec<Dimension>,
    /// The limit that a budget's threshold is a share of, or a request rate's threshold a multiple
    /// of.
    pub limit: Option<f64>,
    /// Limits of single groups.
    pub limits: Vec<GroupLimit>,
    /// The SLO of a burn rate, e.g. 0.99.
    pub slo: Option<f64>,
    /// The short window of a burn rate.
    pub short_window: Option<Duration>,
    /// Behaviour with too few requests.
    pub no_data: NoData,
    /// Time without enough requests after which an incident ends.
    pub no_data_resolve_after: Duration,
    /// Interval of reminders of an open incident; zero for none.
    pub repeat_interval: Duration,
    /// Whether this rule, if it has no `by`, inhibits rules with the same metric and a `by` while
    /// it fires.
    pub inhibits_groups: bool,
    /// Severity, e.g. `critical`.
    pub severity: String,
    /// Channels for notifications, in addition to the log.
    pub channels: Vec<String>,
    /// Labels passed to receivers.
    pub labels: BTreeMap<String, String>,
    /// URL of the runbook.
    pub runbook: Option<String>,
    /// Template of the summary.
    pub summary: String,
    /// Why the rule is not evaluated; `None` if it is.
    pub inactive: Option<String>,
    /// Whether the rule is evaluated and recorded without notifications.
    pub dry_run: bool,
    /// Whether it is one of the default rules.
    pub is_default: bool,
}

/// Default summary template of metrics that count some of the requests: errors or cache hits.
const SUMMARY: &str = "{name}: {value} {op} {threshold} ({events} of {samples}) in {window}";
/// Default summary template of latencies.
const LATENCY_SUMMARY: &str = "{name}: {value} {op} {threshold} in {window} ({samples} requests)";
/// Default summary template of metrics over all requests, and of the monitor's own.
const PLAIN_SUMMARY: &str = "{name}: {value} {op} {threshold} in {window}";
/// Default summary template of failure runs, which have no window.
const RUN_SUMMARY: &str = "{name}: {value} errors in a row, limit {threshold}";

impl Rule {
    /// A rule with the default guards of its metric and the documented defaults.
    pub fn new(id: &str, metric: AlertMetric, mut condition: AlertCondition) -> Self {
        let is_downward = condition.operator.is_downward();
        let default_clear = AlertCondition::default_clear(condition.operator, condition.threshold);
        let is_default = Operator::Equal.holds(condition.clear_threshold, default_clear);
        if matches!(metric, AlertMetric::ErrorRate | AlertMetric::CacheHitRate)
            && is_downward
            && is_default
        {
            // No share exceeds 1, so the incident would never end.
            condition.clear_threshold = default_clear.min(1.0_f64.max(condition.threshold));
        }
        let (min_samples, min_events) = match metric {
            AlertMetric::ErrorRate | AlertMetric::BurnRate => (10, 3),
            AlertMetric::CacheHitRate => (10, 0),
            AlertMetric::Latency(..) => (20, 0),
            // Such a rule is about few requests.
            AlertMetric::RequestRate if is_downward => (0, 0),
            AlertMetric::RequestRate => (10, 0),
            _ => (0, 0),
        };
        let summary = match metric {
            AlertMetric::ConsecutiveFailures => RUN_SUMMARY,
            AlertMetric::Latency(..) => LATENCY_SUMMARY,
            AlertMetric::ErrorRate
            | AlertMetric::ErrorCount
            | AlertMetric::CacheHitRate
            | AlertMetric::BurnRate
            | AlertMetric::Spike => SUMMARY,
            AlertMetric::RequestRate
            | AlertMetric::Tokens
            | AlertMetric::Cost
            | AlertMetric::NoTraffic
            | AlertMetric::FailedEvaluations => PLAIN_SUMMARY,
        };
        Self {
            id: id.to_owned(),
            name: id.to_owned(),
            metric,
            condition,
            tz: Tz::UTC,
            min_samples,
            min_events,
            confidence: 0.0,
            looks: 1,
            errors: ErrorScope::All,
            filter: RuleFilter::default(),
            by: Vec::new(),
            limit: None,
            limits: Vec::new(),
            slo: None,
            short_window: None,
            no_data: NoData::Keep,
            no_data_resolve_after: Duration::from_secs(30 * 60),
            repeat_interval: Duration::from_secs(4 * 3_600),
            inhibits_groups: true,
            severity: "warning".to_owned(),
            channels: Vec::new(),
            labels: BTreeMap::new(),
            runbook: None,
            summary: summary.to_owned(),
            inactive: None,
            dry_run: false,
            is_default: false,
        }
    }

    /// Hash of the definition: metric, filter, groups and window, but not thresholds, texts or
    /// channels. A rule with another identity is another rule.
    pub fn identity(&self) -> Vec<u8> {
        let window = match self.condition.window {
            EvaluationWindow::Rolling(width) => format!("{}ms", width.as_millis()),
            EvaluationWindow::Period(period) => format!("{} {}", period.as_str(), self.tz),
        };
        let text = format!(
            "{} {window} {:?} {:?} {:?} {:?}",
            self.metric.name(),
            self.short_window,
            self.errors,
            self.filter,
            self.by
        );
        digest(&[&text]).to_vec()
    }

    /// The limit of a group.
    pub fn limit_of(&self, group: &AlertGroup) -> Option<f64> {
        let own = self.limits.iter().find(|limit| {
            group.names.get(limit.dimension.as_str()).is_some_and(|value| *value == limit.value)
        });
        own.map(|own| own.limit).or(self.limit)
    }

    /// The threshold of a group in the unit of the value: for budgets, the share times the limit.
    pub fn threshold_of(&self, group: &AlertGroup) -> f64 {
        self.condition.threshold * self.limit_of(group).unwrap_or(1.0)
    }

    /// The clear threshold of a group in the unit of the value.
    pub fn clear_threshold_of(&self, group: &AlertGroup) -> f64 {
        self.condition.clear_threshold * self.limit_of(group).unwrap_or(1.0)
    }

    /// Whether the rule is a budget of a calendar period.
    pub const fn is_budget(&self) -> bool {
        matches!(self.condition.window, EvaluationWindow::Period(_))
    }
}
