//! `GET /api/alerts/rules`: every rule with what it is doing, and every channel.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::alert::RuleStatus;
use crate::alert::summary::unit_of;
use crate::http::extract::AllSpaces;
use crate::http::openapi::ReadProblems;
use crate::http::params::NoQuery;
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::model::Timestamp;
use crate::model::alert::{EvaluationWindow, Rule};
use crate::service::{ChannelReport, Chatgauge};

/// Every rule and channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RulesBody {
    /// When this was so.
    #[schema(format = DateTime)]
    as_of: String,
    /// Whether rules are evaluated at all.
    enabled: bool,
    /// Time between two evaluations.
    interval_s: u64,
    /// The last evaluation.
    #[schema(format = DateTime, required)]
    last_evaluated_at: Option<String>,
    /// Most groups of a rule that are watched.
    max_groups: usize,
    /// Evaluations left out since the start because the one before was still running.
    missed_evaluations: u64,
    /// In the order of the configuration, those that the program comes with first.
    rules: Vec<RuleBody>,
    /// In the order of their names.
    channels: Vec<ChannelBody>,
}

/// A rule with what it is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleBody {
    /// Identity.
    id: String,
    /// What people call it.
    name: String,
    /// What is watched.
    metric: String,
    /// `>`, `<`, `>=`, `<=` or `==`.
    operator: &'static str,
    /// What the values count: `ratio`, `ms`, `per_minute`, `usd` or `count`.
    unit: &'static str,
    /// What the value is held against.
    threshold: f64,
    /// What it must come back to.
    clear_threshold: f64,
    /// What the threshold of a budget or a capacity is a share of.
    #[schema(required)]
    limit: Option<f64>,
    /// Width of the window; null: a period.
    #[schema(required)]
    window_s: Option<f64>,
    /// day, week or month; null: a window.
    #[schema(required)]
    period: Option<&'static str>,
    /// Evaluations in violation to fire.
    consecutive: u32,
    /// Evaluations at or under the clear threshold to end.
    clear_consecutive: u32,
    /// Requests that the window must hold.
    min_samples: u64,
    /// Errors that the window must hold.
    min_events: u64,
    /// 0: the plain share.
    confidence: f64,
    /// One alert for each of these groups.
    by: Vec<&'static str>,
    /// As the rule says.
    severity: String,
    /// Where messages go, besides the log.
    channels: Vec<String>,
    /// Where to look.
    #[schema(required)]
    runbook: Option<String>,
    /// Handed on to receivers.
    labels: BTreeMap<String, String>,
    /// Evaluated and recorded, but nobody is told.
    dry_run: bool,
    /// One of those that the program comes with.
    is_default: bool,
    /// The worst of its groups: `ok`, `no_data`, `pending`, `recovering`, `flapping`, `firing`,
    /// `error`; or `inactive`.
    state: &'static str,
    /// Why it is inactive, or what else is worth saying.
    #[schema(required)]
    state_detail: Option<String>,
    /// Groups by what they are doing; ok ones are left out.
    #[schema(value_type = BTreeMap<String, usize>)]
    states: BTreeMap<&'static str, usize>,
    /// There are more groups than `max_groups`: only the largest are watched.
    is_truncated: bool,
    /// The last value of the worst group, of the largest when all are ok; null: there is no data.
    #[schema(required)]
    last_value: Option<f64>,
    /// Requests behind it.
    last_samples: u64,
    /// When it was found.
    #[schema(format = DateTime, required)]
    last_value_at: Option<String>,
    /// The last evaluation.
    #[schema(format = DateTime, required)]
    last_evaluated_at: Option<String>,
}

/// A channel and what became of its messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelBody {
    /// What rules call it.
    name: String,
    /// log, webhook, slack, alertmanager or email.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Scheme, host and port; never more.
    target: String,
    /// ok, failing, or disabled (the receiver answered 410).
    state: &'static str,
    /// Messages that wait.
    pending: u64,
    /// Messages given up and still remembered.
    dead: u64,
    /// Messages kept because the channel is not configured any more; they are sent once it is again.
    undeliverable: u64,
    /// Messages delivered since the start.
    sent_total: u64,
    /// Attempts that failed and may be repeated, since the start.
    failed_attempts_total: u64,
    /// Messages given up since the start.
    dead_total: u64,
    /// The last delivery since the start.
    #[schema(format = DateTime, required)]
    last_sent_at: Option<String>,
    /// What went wrong last, until the next success.
    #[schema(required)]
    last_error: Option<String>,
}

impl RuleBody {
    /// A rule, and nothing known of what it is doing.
    pub(crate) fn of(rule: &Rule) -> Self {
        let condition = &rule.condition;
        let (window_s, period) = match condition.window {
            EvaluationWindow::Rolling(width) => (Some(width.as_secs_f64()), None),
            EvaluationWindow::Period(period) => (None, Some(period.as_str())),
        };
        Self {
            id: rule.id.clone(),
            name: rule.name.clone(),
            metric: rule.metric.name(),
            operator: condition.operator.as_str(),
            unit: unit_of(rule.metric).as_str(),
            threshold: condition.threshold,
            clear_threshold: condition.clear_threshold,
            limit: rule.limit,
            window_s,
            period,
            consecutive: condition.consecutive,
            clear_consecutive: condition.clear_consecutive,
            min_samples: rule.min_samples,
            min_events: rule.min_events,
            confidence: rule.confidence,
            by: rule.by.iter().map(|dimension| dimension.as_str()).collect(),
            severity: rule.severity.clone(),
            channels: rule.channels.clone(),
            runbook: rule.runbook.clone(),
            labels: rule.labels.clone(),
            dry_run: rule.dry_run,
            is_default: rule.is_default,
            state: if rule.inactive.is_some() { "inactive" } else { "ok" },
            state_detail: rule.inactive.clone(),
            states: BTreeMap::new(),
            is_truncated: false,
            last_value: None,
            last_samples: 0,
            last_value_at: None,
            last_evaluated_at: None,
        }
    }
}

impl From<RuleStatus> for RuleBody {
    fn from(status: RuleStatus) -> Self {
        let counts = status.counts.into_iter();
        Self {
            state: status.state.as_str(),
            state_detail: status.detail,
            states: counts.map(|(state, count)| (state.as_str(), count)).collect(),
            is_truncated: status.is_truncated,
            last_value: status.value,
            last_samples: status.samples,
            last_value_at: status.value_at.map(|at| at.to_string()),
            last_evaluated_at: status.evaluated_at.map(|at| at.to_string()),
            ..Self::of(&status.rule)
        }
    }
}

impl From<ChannelReport> for ChannelBody {
    fn from(report: ChannelReport) -> Self {
        Self {
            name: report.name,
            kind: report.kind,
            target: report.target,
            state: report.state.as_str(),
            pending: report.queued,
            dead: report.dead,
            undeliverable: report.undeliverable,
            sent_total: report.sent_total,
            failed_attempts_total: report.failed_total,
            dead_total: report.dead_total,
            last_sent_at: report.last_sent_at.map(|at| at.to_string()),
            last_error: report.last_error,
        }
    }
}

fn body(service: &Chatgauge, now: Timestamp) -> crate::error::Result<RulesBody> {
    let counts = service.alert_counts();
    let alerting = &service.config().alerting;
    Ok(RulesBody {
        as_of: now.to_string(),
        enabled: alerting.enabled,
        interval_s: alerting.interval.as_secs(),
        last_evaluated_at: counts.evaluated_at.map(|at| at.to_string()),
        max_groups: alerting.max_groups,
        missed_evaluations: counts.missed_total,
        rules: service.alert_rules()?.into_iter().map(RuleBody::from).collect(),
        channels: service.channels()?.into_iter().map(ChannelBody::from).collect(),
    })
}

/// Every rule with what it is doing, and every channel
#[utoipa::path(
    get,
    path = "/api/alerts/rules",
    operation_id = "alerts_rules",
    tag = "alerts",
    responses((status = 200, description = "Rules and channels.", body = RulesBody), ReadProblems),
)]
pub(crate) async fn rules(
    State(app): State<App>,
    _: AllSpaces,
    _: NoQuery,
) -> Result<Json<RulesBody>, Problem> {
    let now = app.service().now();
    Ok(Json(app.ask(move |service| body(service, now)).await?))
}
