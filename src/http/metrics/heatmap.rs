//! `GET /api/metrics/heatmap`: the distribution of a latency over time.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::auth::Principal;
use crate::http::openapi::ReadProblems;
use crate::http::params::{
    AggregationName, FilterParams, LatencyName, Query, RangeParams, ZoneParams, aggregation_for,
    route_params,
};
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::query::HeatmapQuery;

route_params! {
    /// Which latency, of which requests.
    HeatmapParams {
        latency: ColumnParams,
        range: RangeParams,
        zone: ZoneParams,
        filter: FilterParams,
    }
}

/// Which latency, and the width of the columns.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ColumnParams {
    /// The latency.
    #[serde(default)]
    #[param(inline)]
    r#type: LatencyName,
    /// Width of the buckets. Default: the finest that gives at most about 400 buckets.
    #[param(inline)]
    aggregation: Option<AggregationName>,
}

/// Counts of requests by latency over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HeatmapBody {
    /// The latency.
    #[serde(rename = "type")]
    latency: &'static str,
    /// First instant inside, resolved.
    #[schema(format = DateTime)]
    start: String,
    /// First instant after, resolved.
    #[schema(format = DateTime)]
    end: String,
    /// Width of the columns.
    aggregation: &'static str,
    /// The zone that the columns are cut in.
    tz: &'static str,
    /// Starts of the columns.
    #[schema(format = DateTime)]
    timestamps: Vec<String>,
    /// Upper bounds of the rows; a row counts values above the previous bound.
    bounds_ms: Vec<f64>,
    /// One list for each column, one count for each bound.
    counts: Vec<Vec<u64>>,
}

/// The distribution of a latency over time
#[utoipa::path(
    get,
    path = "/api/metrics/heatmap",
    tag = "metrics",
    params(HeatmapParams),
    responses((status = 200, description = "The counts.", body = HeatmapBody), ReadProblems),
)]
pub(crate) async fn metrics_heatmap(
    State(app): State<App>,
    principal: Principal,
    Query(params): Query<HeatmapParams>,
) -> Result<Json<HeatmapBody>, Problem> {
    let zone = params.zone.zone(app.time_zone());
    let range = params.range.range(app.service.now(), zone.tz)?;
    let aggregation = aggregation_for(params.latency.aggregation, range);
    let kind = params.latency.r#type.0;
    let filter = app.filter(&params.filter, &principal)?;
    let query = HeatmapQuery { range, aggregation, tz: zone.tz, kind, filter };
    let heatmap = app.queries.run(move |service| service.engine().heatmap(&query)).await?;
    Ok(Json(HeatmapBody {
        latency: kind.as_str(),
        start: zone.show(range.start),
        end: zone.show(range.end),
        aggregation: aggregation.as_str(),
        tz: zone.tz.name(),
        timestamps: zone.starts(&heatmap.boundaries),
        bounds_ms: heatmap.bounds_ms,
        counts: heatmap.counts,
    }))
}
