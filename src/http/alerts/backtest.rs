//! `POST /api/alerts/backtest`: replays a rule over the stored history.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::alert::backtest::BacktestedBody;
use crate::config::RawRule;
use crate::http::auth::Principal;
use crate::http::body::{JsonBody, misfit};
use crate::http::openapi::AdminProblems;
use crate::http::params::{Instant, NoQuery, instant};
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::model::alert::Rule;
use crate::model::{AuditAction, TimeRange};

/// The backtest to run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BacktestBody {
    /// The id of a rule, or a whole rule with the keys of the configuration file.
    #[schema(value_type = Value)]
    rule: Value,
    /// Start of the range, inclusive, in the forms of other routes. Default: `now-7d`.
    #[serde(default = "a_week_ago")]
    #[schema(value_type = Instant)]
    start: String,
    /// End of the range, exclusive. Default: now.
    #[serde(default = "now")]
    #[schema(value_type = Instant)]
    end: String,
}

fn a_week_ago() -> String {
    "now-7d".to_owned()
}

fn now() -> String {
    "now".to_owned()
}

/// The rule with this id, or the rule in the body.
async fn rule_of(app: &App, rule: Value) -> Result<Rule, Problem> {
    if let Value::String(id) = rule {
        let rules = app.queries.run(|service| service.monitor().rules()).await?;
        let found = rules.into_iter().find(|status| status.rule.id == id);
        let found = found.ok_or_else(|| Problem::not_found("there is no such rule"))?;
        return Ok(Rule::clone(&found.rule));
    }
    // serde would read an array as the fields in order.
    if !rule.is_object() {
        return Err(Problem::field("rule", "must be the id of a rule or an object"));
    }
    let raw: RawRule =
        serde_path_to_error::deserialize(rule).map_err(|error| misfit("rule", error))?;
    Ok(app.service.config().alerting.check_rule(&raw)?)
}

/// Replay a rule over the stored history
#[utoipa::path(
    post,
    path = "/api/alerts/backtest",
    operation_id = "alerts_backtest",
    tag = "alerts",
    request_body = BacktestBody,
    responses((status = 200, description = "The replayed incidents.", body = BacktestedBody), AdminProblems),
)]
pub(crate) async fn backtest(
    State(app): State<App>,
    principal: Principal,
    _: NoQuery,
    JsonBody(BacktestBody { rule, start, end }): JsonBody<BacktestBody>,
) -> Result<Json<BacktestedBody>, Problem> {
    let (now, tz) = (app.service.now(), app.time_zone());
    let at = |field: &'static str, text: &str| {
        instant(text, now, tz).map_err(|reason| Problem::field(field, reason))
    };
    let range = TimeRange::new(at("start", &start)?, at("end", &end)?);
    let rule = rule_of(&app, rule).await?;
    app.audit(&principal.actor, AuditAction::Alert, Some(&rule.id), Some("backtest"));
    let body = app.queries.run(move |service| {
        let started_us = service.monotonic_us();
        let found = service.backtest_alert(&rule, range)?;
        let elapsed_us = service.monotonic_us().saturating_sub(started_us);
        Ok(found.into_body(&rule, range, elapsed_us))
    });
    Ok(Json(body.await.map_err(Problem::of_body)?))
}
