//! A checked rule.

use std::collections::BTreeMap;
use std::time::Duration;

use super::condition::{AlertCondition, EvaluationWindow, Operator};
use super::group::AlertGroup;
use super::metric::{AlertMetric, ErrorScope};
use crate::model::{Dimension, ErrorType, Source, Tz};

/// What is done when there are too few requests to say anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NoData {
    /// State and counters stay as they are.
    #[default]
    Keep,
    /// It counts as clear of the threshold.
    Ok,
    /// It counts as a violation.
    Fire,
}

impl NoData {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Keep, Self::Ok, Self::Fire];

    /// The spelling in rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Ok => "ok",
            Self::Fire => "fire",
        }
    }

    /// The choice with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == text)
    }
}

/// The id of the rule that watches the monitor itself.
pub const SELF_RULE: &str = "self-evaluation";

/// Which requests a rule looks at; names may hold `*`.
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
    /// Errors of these types only.
    pub error_types: Vec<ErrorType>,
    /// Kinds of outcome: `success`, `error`, `cancelled`.
    pub outcomes: Vec<&'static str>,
    /// Routes.
    pub sources: Vec<Source>,
}

/// A limit of one group in place of the rule's.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupLimit {
    /// The dimension.
    pub dimension: Dimension,
    /// Its value; users as ids or pseudonyms.
    pub value: String,
    /// The limit.
    pub limit: f64,
}

/// What a rule, or the worst of its groups, is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleState {
    /// It cannot be evaluated: a number is missing, or it is disabled.
    Inactive,
    /// Nothing is wrong.
    Ok,
    /// Too few requests to say.
    NoData,
    /// In violation, not yet often enough.
    Pending,
    /// An incident is open and about to end.
    Recovering,
    /// It fires and ends too often.
    Flapping,
    /// An incident is open.
    Firing,
    /// The last evaluation failed.
    Error,
}

impl RuleState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Inactive,
        Self::Ok,
        Self::NoData,
        Self::Pending,
        Self::Recovering,
        Self::Flapping,
        Self::Firing,
        Self::Error,
    ];

    /// The spelling in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Ok => "ok",
            Self::NoData => "no_data",
            Self::Pending => "pending",
            Self::Recovering => "recovering",
            Self::Flapping => "flapping",
            Self::Firing => "firing",
            Self::Error => "error",
        }
    }
}

/// What is watched, when that is too much, and who is told.
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
    /// Identity across restarts and edits: `a-z`, `0-9` and `-`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What is watched.
    pub metric: AlertMetric,
    /// When it is due.
    pub condition: AlertCondition,
    /// The zone of periods and of times in messages.
    pub tz: Tz,
    /// Requests that the window must hold, else there is no data.
    pub min_samples: u64,
    /// Errors that the window must hold for a violation.
    pub min_events: u64,
    /// 0: the plain share. Else the share must pass the threshold with this confidence.
    pub confidence: f64,
    /// Evaluations that one request takes part in: what `confidence` is spread over.
    pub looks: u32,
    /// Which errors count.
    pub errors: ErrorScope,
    /// Which requests count.
    pub filter: RuleFilter,
    /// One alert for each of these groups; at most two.
    pub by: Vec<Dimension>,
    /// What a budget's threshold is a share of; what a request rate's is a multiple of.
    pub limit: Option<f64>,
    /// Limits of single groups.
    pub limits: Vec<GroupLimit>,
    /// The SLO of a burn rate, e.g. 0.99.
    pub slo: Option<f64>,
    /// The short window of a burn rate.
    pub short_window: Option<Duration>,
    /// When there are too few requests.
    pub no_data: NoData,
    /// After so long without enough requests an incident ends.
    pub no_data_resolve_after: Duration,
    /// Time between reminders of an open incident; zero: none.
    pub repeat_interval: Duration,
    /// A firing rule without `by` keeps back messages of rules of the same metric with `by`.
    pub inhibits_groups: bool,
    /// E.g. `critical`.
    pub severity: String,
    /// Where messages go, besides the log.
    pub channels: Vec<String>,
    /// Handed on to receivers.
    pub labels: BTreeMap<String, String>,
    /// Where to look.
    pub runbook: Option<String>,
    /// Template of the message.
    pub summary: String,
    /// Why it is not evaluated; `None`: it is.
    pub inactive: Option<String>,
    /// Evaluated and recorded, but nobody is told.
    pub dry_run: bool,
    /// One of those that the program comes with.
    pub is_default: bool,
}

/// The template of messages that every rule has unless it brings one.
const SUMMARY: &str = "{name}: {value} {op} {threshold} ({events} of {samples}) in {window}";
/// That of runs of failures, which have no window.
const RUN_SUMMARY: &str = "{name}: {value} errors in a row, limit {threshold}";

impl Rule {
    /// A rule with the guards that suit its metric, and everything else as the documentation says.
    pub fn new(id: &str, metric: AlertMetric, mut condition: AlertCondition) -> Self {
        let is_downward = condition.operator.is_downward();
        let default_clear = AlertCondition::default_clear(condition.operator, condition.threshold);
        let is_default = Operator::Equal.holds(condition.clear_threshold, default_clear);
        if matches!(metric, AlertMetric::ErrorRate | AlertMetric::CacheHitRate)
            && is_downward
            && is_default
        {
            // A share of more than 1 is not to be had, and the incident would never end.
            condition.clear_threshold = default_clear.min(1.0_f64.max(condition.threshold));
        }
        let (min_samples, min_events) = match metric {
            AlertMetric::ErrorRate | AlertMetric::BurnRate => (10, 3),
            AlertMetric::CacheHitRate => (10, 0),
            AlertMetric::Latency(..) => (20, 0),
            // Few requests are what such a rule is about.
            AlertMetric::RequestRate if is_downward => (0, 0),
            AlertMetric::RequestRate => (10, 0),
            _ => (0, 0),
        };
        let summary = match metric {
            AlertMetric::ConsecutiveFailures => RUN_SUMMARY,
            _ => SUMMARY,
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

    /// What keeps a rule made by a program from being evaluated: the field, and what is wrong.
    ///
    /// # Errors
    /// The field and the reason.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_id = !self.id.is_empty() && self.id.len() <= 64 && self.id.bytes().all(plain);
        if !is_id {
            return Err(("id", format!("{:?} is not 1 to 64 of a-z, 0-9 and -", self.id)));
        }
        if self.id == SELF_RULE && self.metric != AlertMetric::FailedEvaluations {
            return Err(("id", format!("{SELF_RULE:?} is the program's own; choose another")));
        }
        if self.filter.sources == [Source::Import] {
            let reason = "imported requests are history and never fire; name another source";
            return Err(("filter", reason.to_owned()));
        }
        if !self.condition.threshold.is_finite() || !self.condition.clear_threshold.is_finite() {
            return Err(("threshold", "must be a finite number".to_owned()));
        }
        if self.condition.window.rolling_ms().is_some_and(|width_ms| width_ms <= 0) {
            return Err(("window", "must be longer than nothing".to_owned()));
        }
        if self.is_budget() && !self.metric.is_sum() {
            return Err(("window", "only tokens, cost and error_count have budgets".to_owned()));
        }
        if self.is_budget() && self.limit.is_none() && self.limits.is_empty() {
            return Err(("limit", "a budget needs one".to_owned()));
        }
        if self.by.len() > 2 {
            return Err(("by", "at most 2 dimensions".to_owned()));
        }
        if let [first, second] = self.by[..]
            && first == second
        {
            return Err(("by", format!("{:?} stands there twice", first.as_str())));
        }
        if self.metric == AlertMetric::Spike && !self.by.is_empty() {
            return Err(("by", "spike watches all requests, or those of a filter".to_owned()));
        }
        if self.metric == AlertMetric::BurnRate {
            let slo = self.slo.unwrap_or(0.0);
            if !(slo > 0.0 && slo < 1.0) || self.condition.threshold * (1.0 - slo) >= 1.0 {
                return Err((
                    "slo",
                    "burn rate times the allowed share must stay below 1".to_owned(),
                ));
            }
        }
        if let Some(fault) = self.impossible() {
            return Err(fault);
        }
        match super::template::fault(&self.summary) {
            Some(fault) => Err(("summary", fault)),
            None => Ok(()),
        }
    }

    /// The field, and why, that keeps the rule from ever firing, or makes it fire always; `None`: none.
    pub fn impossible(&self) -> Option<(&'static str, String)> {
        super::possible::fault(self)
    }

    /// What makes it the same rule: the metric, which requests, the groups, the window; not thresholds,
    /// texts or channels.
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
        crate::model::alert::incident::digest(&[&text]).to_vec()
    }

    /// The limit of a group.
    pub fn limit_of(&self, group: &AlertGroup) -> Option<f64> {
        let own = self.limits.iter().find(|limit| {
            group.names.get(limit.dimension.as_str()).is_some_and(|value| *value == limit.value)
        });
        own.map(|own| own.limit).or(self.limit)
    }

    /// What the value of a group is held against, in the value's unit: the share of its limit made whole.
    pub fn threshold_of(&self, group: &AlertGroup) -> f64 {
        self.condition.threshold * self.limit_of(group).unwrap_or(1.0)
    }

    /// Where the value of a group must be back, in the value's unit.
    pub fn clear_threshold_of(&self, group: &AlertGroup) -> f64 {
        self.condition.clear_threshold * self.limit_of(group).unwrap_or(1.0)
    }

    /// Whether the budget of a period is watched.
    pub const fn is_budget(&self) -> bool {
        matches!(self.condition.window, EvaluationWindow::Period(_))
    }
}
