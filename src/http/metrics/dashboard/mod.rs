//! `GET /api/metrics/dashboard`: everything that a dashboard shows, of one moment.

mod body;
mod make;
mod part;
mod tables;

use axum::Json;
use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

pub(crate) use part::Part;

use crate::http::auth::Principal;
use crate::http::csv;
use crate::http::openapi::{self, ReadProblems};
use crate::http::params::{DASHBOARD, Params};
use crate::http::problem::Problem;
use crate::http::state::{App, params};
use crate::model::{LatencyKind, MetricType, TimeRange};
use crate::query::{DashboardQuery, TopQuery};
use body::{ContentBody, DashboardBody};
use make::View;

/// Rows of the table unless the request says otherwise.
const DEFAULT_ROWS: usize = 10;
/// Bytes of the hash in an `ETag`.
const TAG_BYTES: usize = 12;

/// Everything that a dashboard shows, of one moment
///
/// The parts are read from one snapshot, so they agree. Lists of a series have one value for each of
/// `timestamps`. The `ETag` is that of the figures: while they stay the same the answer is 304, although
/// the moment moves on.
#[utoipa::path(
    get,
    path = "/api/metrics/dashboard",
    operation_id = "metrics_dashboard",
    tag = "metrics",
    params(openapi::DashboardParams),
    responses(
        (status = 200, description = "The figures; CSV of one part.", content(
            (DashboardBody = "application/json"), (String = "text/csv"),
        )),
        (status = 304, description = "The figures are those of the `If-None-Match` sent."),
        ReadProblems,
    ),
)]
pub(crate) async fn dashboard(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = params(query.as_deref(), DASHBOARD)?;
    let asked = Asked::read(&app, &params, &principal)?;
    let only = match params.csv(&headers)? {
        Some(notes) => Some((single_part(&asked.parts)?, notes)),
        None => None,
    };
    let Asked { query, view, .. } = asked;
    let (stamp, content) = app
        .ask(move |service| {
            let dashboard = service.dashboard(&query)?;
            Ok((view.stamp(&query, &dashboard), view.content(&query, &dashboard)))
        })
        .await?;
    if let Some((part, notes)) = only {
        return Ok(csv::response(part.as_str(), &tables::table(part, &content), &notes));
    }
    let previous = stamp.previous.as_ref();
    let tag = tag_of(&content, previous.and_then(|range| range.complete_from.as_deref()))?;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(DashboardBody { stamp, content }).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    let vary = HeaderValue::from_static("Accept, Authorization, Cookie");
    response.headers_mut().insert(header::VARY, vary);
    Ok(response)
}

/// What a request asks for.
struct Asked {
    parts: Vec<Part>,
    query: DashboardQuery,
    view: View,
}

impl Asked {
    fn read(app: &App, params: &Params<'_>, principal: &Principal) -> Result<Self, Problem> {
        let now = app.service().now();
        let zone = params.zone(app.service().config().time_zone)?;
        let range = params.range(now, zone.tz)?;
        let (parts, latency) = (params.parts()?, params.latency_named("latency")?);
        let wants = |part| parts.contains(&part);
        let aggregation = params.aggregation(range)?;
        let aggregation = parts.iter().any(|part| part.is_series()).then_some(aggregation);
        let query = DashboardQuery {
            range,
            previous: params.compare()?.range(range, zone.tz),
            aggregation,
            tz: zone.tz,
            filter: app.filter(params, principal)?,
            quantiles: quantiles(&parts, latency),
            by_day: wants(Part::Cost),
            top: if wants(Part::Top) { Some(top(params)?) } else { None },
            now,
        };
        let covered = TimeRange::new(range.start, range.end.min(now.plus_ms(1)));
        let view = View { parts: parts.clone(), latency, zone, covered };
        Ok(Self { parts, query, view })
    }
}

fn top(params: &Params<'_>) -> Result<TopQuery, Problem> {
    let sort = params.metric("sort", MetricType::RequestRate)?;
    let limit = params.limit()?.unwrap_or(DEFAULT_ROWS);
    Ok(TopQuery { by: params.top()?, sort, stat: params.stat(sort)?, limit })
}

/// The latencies whose distributions the parts need.
fn quantiles(parts: &[Part], shown: LatencyKind) -> Vec<LatencyKind> {
    if parts.contains(&Part::Latency) {
        return LatencyKind::ALL.to_vec();
    }
    let heatmap = parts.contains(&Part::Heatmap).then_some(shown);
    let tiles = parts.contains(&Part::Tiles).then_some(LatencyKind::Total);
    let mut kinds: Vec<LatencyKind> = heatmap.into_iter().chain(tiles).collect();
    kinds.dedup();
    kinds
}

fn single_part(parts: &[Part]) -> Result<Part, Problem> {
    match parts {
        [part] => Ok(*part),
        _ => Err(Problem::parameter("part", "CSV is a single table; name one part")),
    }
}

/// A weak tag of the figures and of what they lack, whatever the moment they are of.
fn tag_of(content: &ContentBody, previous_from: Option<&str>) -> Result<String, Problem> {
    let bytes = serde_json::to_vec(&(content, previous_from))
        .map_err(|error| Problem::internal(format!("figures cannot be written: {error}")))?;
    let hash = Sha256::digest(&bytes);
    Ok(format!("W/\"{}\"", HEXLOWER.encode(&hash[..TAG_BYTES])))
}
