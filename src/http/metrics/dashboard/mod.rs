//! `GET /api/metrics/dashboard`: everything that a dashboard shows, of one moment.

mod body;
mod make;
mod part;
mod tables;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use part::Part;

use crate::http::auth::Principal;
use crate::http::csv;
use crate::http::openapi::ReadProblems;
use crate::http::params::{
    AggregationName, DashboardCompare, FilterParams, FormatParams, LatencyName, Limit, Query,
    RangeParams, SortName, StatName, ZoneParams, aggregation_for, distinct, route_params, words,
};
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::model::{Dimension, LatencyKind, TimeRange};
use crate::query::{DashboardQuery, TopQuery};
use body::{ContentBody, DashboardBody};
use make::View;

/// Rows of the table unless the request says otherwise.
const DEFAULT_ROWS: usize = 10;
/// Bytes of the hash in an `ETag`.
const TAG_BYTES: usize = 12;

words! {
    /// A part of a dashboard.
    PartName(Part), Part::ALL, Part::as_str;
    /// The dimension of the table; models unless another is named.
    TopName(Dimension), Dimension::ALL, Dimension::as_str, default Dimension::Model;
}

route_params! {
    /// Which parts, of which requests, and how they are written.
    DashboardParams {
        range: RangeParams,
        zone: ZoneParams,
        parts: PartParams,
        format: FormatParams,
        filter: FilterParams,
    }
}

/// Which parts, and what they show.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PartParams {
    /// Width of the buckets. Default: the finest that gives at most about 400 buckets.
    #[param(inline)]
    aggregation: Option<AggregationName>,
    /// `previous` compares with the range just before: as many months or days of the calendar, else hours; `week` with
    /// the same times a week earlier.
    #[param(inline)]
    compare: Option<DashboardCompare>,
    /// The latency of the heatmap.
    #[serde(default)]
    #[param(inline)]
    latency: LatencyName,
    /// Only these parts of the result. Default: all. CSV is of one part.
    #[serde(default)]
    #[param(inline, max_items = 100)]
    part: Vec<PartName>,
    /// The dimension of the table.
    #[serde(default)]
    #[param(inline)]
    top: TopName,
    /// What the rows of the table are ordered by, largest first.
    #[serde(default)]
    #[param(inline)]
    sort: SortName,
    /// The statistic, for latencies.
    #[serde(default)]
    #[param(inline)]
    stat: StatName,
    /// Maximum number of rows of the table; the rest is `other`.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000, default = 10)]
    limit: Option<Limit>,
}

impl PartParams {
    /// The parts asked for.
    fn parts(&self) -> Vec<Part> {
        let parts = distinct(self.part.iter().map(|part| part.0));
        if parts.is_empty() { Part::ALL.to_vec() } else { parts }
    }

    /// The table asked for.
    fn top(&self) -> Result<TopQuery, Problem> {
        let (sort, limit) = (self.sort.0, Limit::or(self.limit, DEFAULT_ROWS));
        Ok(TopQuery { by: self.top.0, sort, stat: self.stat.of(sort)?, limit })
    }
}

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
    params(DashboardParams),
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
    principal: Principal,
    Query(params): Query<DashboardParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::read(&app, &params, &principal)?;
    let only = match params.format.csv(&headers)? {
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
    fn read(app: &App, params: &DashboardParams, principal: &Principal) -> Result<Self, Problem> {
        let now = app.service().now();
        let zone = params.zone.zone(app.time_zone());
        let range = params.range.range(now, zone.tz)?;
        let (parts, latency) = (params.parts.parts(), params.parts.latency.0);
        let wants = |part| parts.contains(&part);
        let aggregation = aggregation_for(params.parts.aggregation, range);
        let aggregation = parts.iter().any(|part| part.is_series()).then_some(aggregation);
        let compare = params.parts.compare.map(|DashboardCompare(with)| with);
        let query = DashboardQuery {
            range,
            previous: compare.map(|with| with.range(range, zone.tz)),
            aggregation,
            tz: zone.tz,
            filter: app.filter(&params.filter, principal)?,
            quantiles: quantiles(&parts, latency),
            by_day: wants(Part::Cost),
            top: wants(Part::Top).then(|| params.parts.top()).transpose()?,
            now,
        };
        let covered = TimeRange::new(range.start, range.end.min(now.plus_ms(1)));
        let view = View { parts: parts.clone(), latency, zone, covered };
        Ok(Self { parts, query, view })
    }
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
