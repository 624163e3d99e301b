//! `GET /api/metrics/breakdown`: the leading groups of one dimension.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::auth::Principal;
use crate::http::openapi::ReadProblems;
use crate::http::params::{
    DimensionName, FilterParams, Query, RangeParams, SortName, StatName, ZoneParams, limit,
    route_params,
};
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::query::{BreakdownQuery, BreakdownRow};

/// Default number of rows.
const DEFAULT_ROWS: usize = 20;

route_params! {
    /// Query parameters: the groups, and the requests that they aggregate.
    BreakdownParams {
        groups: GroupParams,
        range: RangeParams,
        zone: ZoneParams,
        filter: FilterParams,
    }
}

/// Parameters that select dimension, metric, statistic and number of rows.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct GroupParams {
    /// The dimension to break down by.
    #[param(inline)]
    by: DimensionName,
    /// The metric.
    #[serde(default)]
    #[param(inline)]
    metric: SortName,
    /// The statistic, for latencies.
    #[serde(default)]
    #[param(inline)]
    stat: StatName,
    /// Maximum number of rows; the rest is `other`.
    #[serde(default, deserialize_with = "limit")]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000, default = 20)]
    limit: Option<usize>,
}

/// The leading groups of one dimension; `total` aggregates the rows and `other`.
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
    /// The first instant from which the result is complete, when it is not `start`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
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
    #[schema(required)]
    value: Option<f64>,
    /// Part of the total in percent; null for metrics that do not add up.
    #[schema(required)]
    share_percent: Option<f64>,
    /// Its requests.
    requests: i64,
}

/// The leading groups of one dimension
#[utoipa::path(
    get,
    path = "/api/metrics/breakdown",
    tag = "metrics",
    params(BreakdownParams),
    responses((status = 200, description = "The groups.", body = BreakdownBody), ReadProblems),
)]
pub(crate) async fn metrics_breakdown(
    State(app): State<App>,
    principal: Principal,
    Query(params): Query<BreakdownParams>,
) -> Result<Json<BreakdownBody>, Problem> {
    let zone = params.zone.zone(app.time_zone());
    let GroupParams { by: DimensionName(by), metric: SortName(metric), stat, limit } =
        params.groups;
    let (stat, range) = (stat.of(metric)?, params.range.range(app.service.now(), zone.tz)?);
    let query = BreakdownQuery {
        by,
        metric,
        stat,
        range,
        filter: app.filter(&params.filter, &principal)?,
        limit: limit.unwrap_or(DEFAULT_ROWS),
    };
    let breakdown = app.queries.run(move |service| service.engine().breakdown(&query)).await?;
    let body = |BreakdownRow { name, value, share_percent, requests }| RowBody {
        name,
        value,
        share_percent,
        requests,
    };
    Ok(Json(BreakdownBody {
        by: by.as_str(),
        metric: metric.as_str(),
        unit: metric.unit(),
        stat: stat.as_str(),
        start: zone.show(range.start),
        end: zone.show(range.end),
        exact: breakdown.exact,
        complete_from: breakdown.complete_from.map(|at| zone.show(at)),
        rows: breakdown.rows.into_iter().map(body).collect(),
        other: body(breakdown.other),
        total: body(breakdown.total),
    }))
}
