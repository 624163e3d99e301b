//! `GET /api/alerts/rules`: every rule with its state, and every channel with its counters.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::alert::ChannelReport;
use crate::alert::view::RuleBody;
use crate::http::extract::AllSpaces;
use crate::http::openapi::ReadProblems;
use crate::http::params::NoQuery;
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::model::Timestamp;

/// Every rule and channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RulesBody {
    /// Time of this response.
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
    /// Whether rules are evaluated.
    enabled: bool,
    /// Time between two evaluations.
    interval_s: u64,
    /// Time of the last evaluation.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    last_evaluated_at: Option<Timestamp>,
    /// Maximum number of groups of one rule.
    max_groups: usize,
    /// Evaluations skipped since startup because the previous one was still running.
    missed_evaluations: u64,
    /// The default rules, then the others in the order of the configuration.
    rules: Vec<RuleBody>,
    /// Channels by name.
    channels: Vec<ChannelReport>,
}

/// Every rule with its state, and every channel
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
    let as_of = app.service.now();
    let body = app.queries.run(move |service| {
        let (alerting, monitor) = (&service.config().alerting, service.monitor());
        let counts = monitor.counts();
        Ok(RulesBody {
            as_of,
            enabled: alerting.enabled,
            interval_s: alerting.interval.as_secs(),
            last_evaluated_at: counts.evaluated_at,
            max_groups: alerting.max_groups,
            missed_evaluations: counts.missed_total,
            rules: monitor.rules()?.into_iter().map(RuleBody::from).collect(),
            channels: service.channels()?,
        })
    });
    Ok(Json(body.await?))
}
