//! `GET /api/metrics/breakdown`: the leading groups of one dimension.

use axum::Json;
use axum::extract::{Extension, RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::auth::Principal;
use crate::http::openapi::{self, ReadProblems};
use crate::http::params::BREAKDOWN;
use crate::http::problem::Problem;
use crate::http::state::{App, params};
use crate::model::MetricType;
use crate::query::{BreakdownQuery, BreakdownRow};

const DEFAULT_ROWS: usize = 20;

/// The leading groups of one dimension; rows and `other` add up to `total`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BreakdownBody {
    /// The dimension.
    by: &'static str,
    /// The metric.
    metric: &'static str,
    /// Unit of the values.
    unit: &'static str,
    /// The statistic, for latencies.
    stat: &'static str,
    /// First instant inside, resolved.
    #[schema(format = DateTime)]
    start: String,
    /// First instant after, resolved.
    #[schema(format = DateTime)]
    end: String,
    /// Percentiles are exact, not within 1 %.
    exact: bool,
    /// The first instant from which the answer is complete, when it is not `start`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    complete_from: Option<String>,
    /// The leading groups.
    rows: Vec<RowBody>,
    /// All other groups together.
    other: RowBody,
    /// All groups together; by error type, all errors.
    total: RowBody,
}

/// One group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RowBody {
    /// Its name.
    name: String,
    /// The value of the metric.
    value: Option<f64>,
    /// Part of the total in percent; null for metrics that do not add up.
    share_percent: Option<f64>,
    /// Its requests.
    requests: i64,
}

impl From<BreakdownRow> for RowBody {
    fn from(row: BreakdownRow) -> Self {
        let BreakdownRow { name, value, share_percent, requests } = row;
        Self { name, value, share_percent, requests }
    }
}

/// The leading groups of one dimension
#[utoipa::path(
    get,
    path = "/api/metrics/breakdown",
    operation_id = "metrics_breakdown",
    tag = "metrics",
    params(openapi::BreakdownParams),
    responses((status = 200, description = "The groups.", body = BreakdownBody), ReadProblems),
)]
pub(crate) async fn breakdown(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    RawQuery(query): RawQuery,
) -> Result<Json<BreakdownBody>, Problem> {
    let params = params(query.as_deref(), BREAKDOWN)?;
    let zone = params.zone(app.service().config().time_zone)?;
    let metric = params.metric("metric", MetricType::RequestRate)?;
    let query = BreakdownQuery {
        by: params.dimension()?,
        metric,
        stat: params.stat(metric)?,
        range: params.range(app.service().now(), zone.tz)?,
        filter: app.filter(&params, &principal)?,
        limit: params.limit()?.unwrap_or(DEFAULT_ROWS),
    };
    let (by, stat, range) = (query.by, query.stat, query.range);
    let breakdown = app.ask(move |service| service.breakdown(&query)).await?;
    Ok(Json(BreakdownBody {
        by: by.as_str(),
        metric: metric.as_str(),
        unit: metric.unit(),
        stat: stat.as_str(),
        start: zone.show(range.start),
        end: zone.show(range.end),
        exact: breakdown.exact,
        complete_from: breakdown.complete_from.map(|at| zone.show(at)),
        rows: breakdown.rows.into_iter().map(RowBody::from).collect(),
        other: breakdown.other.into(),
        total: breakdown.total.into(),
    }))
}
