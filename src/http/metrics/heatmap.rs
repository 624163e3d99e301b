//! `GET /api/metrics/heatmap`: how many requests took how long, over time.

use axum::Json;
use axum::extract::{Extension, RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::auth::Principal;
use crate::http::openapi::{self, ReadProblems};
use crate::http::params::HEATMAP;
use crate::http::problem::Problem;
use crate::http::state::{App, params};
use crate::query::HeatmapQuery;

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
    timestamps: Vec<String>,
    /// Upper bounds of the rows; a row holds what is above the bound before it.
    bounds_ms: Vec<f64>,
    /// One list for each column, one count for each bound.
    counts: Vec<Vec<u64>>,
}

/// How many requests took how long, over time
#[utoipa::path(
    get,
    path = "/api/metrics/heatmap",
    operation_id = "metrics_heatmap",
    tag = "metrics",
    params(openapi::HeatmapParams),
    responses((status = 200, description = "The counts.", body = HeatmapBody), ReadProblems),
)]
pub(crate) async fn heatmap(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    RawQuery(query): RawQuery,
) -> Result<Json<HeatmapBody>, Problem> {
    let params = params(query.as_deref(), HEATMAP)?;
    let zone = params.zone(app.service().config().time_zone)?;
    let range = params.range(app.service().now(), zone.tz)?;
    let aggregation = params.aggregation(range)?;
    let kind = params.latency_kind()?;
    let filter = app.filter(&params, &principal)?;
    let query = HeatmapQuery { range, aggregation, tz: zone.tz, kind, filter };
    let heatmap = app.ask(move |service| service.heatmap(&query)).await?;
    let columns = heatmap.boundaries.len().saturating_sub(1);
    Ok(Json(HeatmapBody {
        latency: kind.stem(),
        start: zone.show(range.start),
        end: zone.show(range.end),
        aggregation: aggregation.as_str(),
        tz: zone.tz.name(),
        timestamps: heatmap.boundaries.iter().take(columns).map(|at| zone.show(*at)).collect(),
        bounds_ms: heatmap.bounds_ms,
        counts: heatmap.counts,
    }))
}
