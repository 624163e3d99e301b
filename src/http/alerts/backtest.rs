//! `POST /api/alerts/backtest`: what a rule would have done.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::rules::RuleBody;
use crate::alert::{Backtest, BacktestIncident};
use crate::config::RawRule;
use crate::http::auth::Principal;
use crate::http::body::JsonBody;
use crate::http::openapi::AdminProblems;
use crate::http::params::{NoQuery, instant};
use crate::http::problem::{Kind, Problem};
use crate::http::state::App;
use crate::model::alert::{EndReason, Rule};
use crate::model::measures::ratio;
use crate::model::{AuditAction, TimeRange};

/// What to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BacktestBody {
    /// The id of a rule, or a whole rule with the keys of the configuration file.
    #[schema(value_type = Object)]
    rule: Value,
    /// First instant, in the forms of other routes. Default: `now-7d`.
    #[serde(default = "a_week_ago")]
    start: String,
    /// First instant after. Default: now.
    #[serde(default = "now")]
    end: String,
}

fn a_week_ago() -> String {
    "now-7d".to_owned()
}

fn now() -> String {
    "now".to_owned()
}

/// What the rule would have done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BacktestedBody {
    /// The rule.
    rule: RuleBody,
    /// First instant inside, resolved.
    #[schema(format = DateTime)]
    start: String,
    /// First instant after, resolved.
    #[schema(format = DateTime)]
    end: String,
    /// Whether raw rows answered; otherwise rollups stood in for some.
    exact: bool,
    /// Evaluations.
    evaluations: u64,
    /// Time it took.
    elapsed_ms: f64,
    /// In the order in which they would have begun.
    incidents: Vec<BacktestIncidentBody>,
    /// In numbers.
    summary: BacktestSummaryBody,
}

/// An incident that would have been.
#[derive(Debug, Serialize, ToSchema)]
struct BacktestIncidentBody {
    /// Dimension to value.
    group: BTreeMap<String, String>,
    /// The budget's period.
    #[schema(required)]
    period: Option<String>,
    /// When it would have begun.
    #[schema(format = DateTime)]
    triggered_at: String,
    /// When it would have ended; null: not within the range.
    #[schema(format = DateTime, required)]
    ended_at: Option<String>,
    /// Why.
    #[schema(required)]
    reason: Option<&'static str>,
    /// The value when it fired.
    #[schema(required)]
    triggered_value: Option<f64>,
    /// The worst value.
    #[schema(required)]
    peak_value: Option<f64>,
    /// Requests behind the value when it fired.
    samples: u64,
    /// Those of them that count against it.
    events: u64,
}

/// A backtest in numbers.
#[derive(Debug, Serialize, ToSchema)]
struct BacktestSummaryBody {
    /// Incidents.
    incidents: usize,
    /// Those that have not ended within the range.
    open_at_end: usize,
    /// Those longer than 5 minutes; of those that have not ended, up to the end of the range.
    longer_than_5_min: usize,
    /// Those on fewer than 25 requests.
    fewer_than_25_samples: usize,
}

impl From<BacktestIncident> for BacktestIncidentBody {
    fn from(incident: BacktestIncident) -> Self {
        Self {
            group: incident.group.names.into(),
            period: incident.group.period,
            triggered_at: incident.fired_at.to_string(),
            ended_at: incident.ended_at.map(|at| at.to_string()),
            reason: incident.end_reason.map(EndReason::as_str),
            triggered_value: incident.value,
            peak_value: incident.peak_value,
            samples: incident.samples,
            events: incident.events,
        }
    }
}

impl BacktestedBody {
    fn new(rule: &Rule, range: TimeRange, elapsed_us: u64, backtest: Backtest) -> Self {
        let tally = backtest.tally();
        Self {
            rule: RuleBody::of(rule),
            start: range.start.to_string(),
            end: range.end.to_string(),
            exact: backtest.exact,
            evaluations: backtest.evaluations,
            elapsed_ms: ratio(i64::try_from(elapsed_us).unwrap_or(i64::MAX), 1_000),
            incidents: backtest.incidents.into_iter().map(BacktestIncidentBody::from).collect(),
            summary: BacktestSummaryBody {
                incidents: tally.incidents,
                open_at_end: tally.open_at_end,
                longer_than_5_min: tally.longer_than_5_min,
                fewer_than_25_samples: tally.fewer_than_25_samples,
            },
        }
    }
}

/// The rule that the body means.
async fn rule_of(app: &App, rule: Value) -> Result<Rule, Problem> {
    if let Value::String(id) = rule {
        let rules = app.ask(crate::service::Chatgauge::alert_rules).await?;
        let found = rules.into_iter().find(|status| status.rule.id == id);
        let found = found.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such rule"))?;
        return Ok(Rule::clone(&found.rule));
    }
    let raw: RawRule = serde_json::from_value(rule)
        .map_err(|error| Problem::field("rule", format!("is no rule: {error}")))?;
    Ok(app.service().config().alerting.check_rule(&raw)?)
}

/// What a rule would have done over the stored history
#[utoipa::path(
    post,
    path = "/api/alerts/backtest",
    operation_id = "alerts_backtest",
    tag = "alerts",
    request_body = BacktestBody,
    responses((status = 200, description = "What would have been.", body = BacktestedBody), AdminProblems),
)]
pub(crate) async fn backtest(
    State(app): State<App>,
    principal: Principal,
    _: NoQuery,
    JsonBody(BacktestBody { rule, start, end }): JsonBody<BacktestBody>,
) -> Result<Json<BacktestedBody>, Problem> {
    let (now, tz) = (app.service().now(), app.time_zone());
    let at = |field: &'static str, text: &str| {
        instant(text, now, tz).map_err(|reason| Problem::field(field, reason))
    };
    let range = TimeRange::new(at("start", &start)?, at("end", &end)?);
    let rule = rule_of(&app, rule).await?;
    let detail = Some("backtest".to_owned());
    app.audit(&principal.actor, AuditAction::Alert, Some(rule.id.clone()), detail);
    let body = app.ask(move |service| {
        let started_us = service.monotonic_us();
        let found = service.backtest_alert(&rule, range)?;
        let elapsed_us = service.monotonic_us().saturating_sub(started_us);
        Ok(BacktestedBody::new(&rule, range, elapsed_us, found))
    });
    Ok(Json(body.await?))
}
