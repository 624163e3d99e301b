//! `GET /api/metrics/dashboard`: everything that a dashboard shows, from one snapshot.

mod body;
mod make;
mod part;
mod tables;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use crate::csv_file::CsvNotes;
use crate::http::auth::Principal;
use crate::http::csv;
use crate::http::openapi::ReadProblems;
use crate::http::params::{
    AggregationName, DashboardCompare, FilterParams, FormatParams, LatencyName, Query, RangeParams,
    SortName, StatName, ZoneParams, aggregation_for, distinct, limit, route_params, words,
};
use crate::http::problem::Problem;
use crate::http::state::{App, AppState};
use crate::model::{Dimension, LatencyKind, TimeRange};
use crate::query::{DashboardQuery, TopQuery};
use body::{ContentBody, DashboardBody, StampBody};
use make::DashboardView;
use part::DashboardPart;

/// Default number of rows of the table.
const DEFAULT_ROWS: usize = 10;
/// Length of the hash in an `ETag`, in bytes.
const TAG_BYTES: usize = 12;

words! {
    /// A part of a dashboard.
    PartName(DashboardPart);
    /// The dimension of the table; models unless another is named.
    TopName(Dimension), default Dimension::Model;
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
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct PartParams {
    /// Width of the buckets. Default: the finest that gives at most about 400 buckets.
    #[param(inline)]
    aggregation: Option<AggregationName>,
    /// `previous` compares with the range just before: as many months or days of the calendar, else hours; `week` with
    /// the same times a week earlier.
    #[param(inline)]
    compare: Option<DashboardCompare>,
    /// The latency of the heatmap.
    #[param(inline)]
    latency: LatencyName,
    /// Only these parts of the result. Default: all. CSV is of one part.
    #[param(inline, max_items = 100)]
    part: Vec<PartName>,
    /// The dimension of the table.
    #[param(inline)]
    top: TopName,
    /// Order of the rows of the table, largest first.
    #[param(inline)]
    sort: SortName,
    /// The statistic, for latencies.
    #[param(inline)]
    stat: StatName,
    /// Maximum number of rows of the table; the rest is `other`.
    #[serde(deserialize_with = "limit")]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000, default = 10)]
    limit: Option<usize>,
}

impl PartParams {
    /// The selected parts.
    fn parts(&self) -> Vec<DashboardPart> {
        let parts = distinct(self.part.iter().map(|part| part.0));
        if parts.is_empty() { DashboardPart::ALL.to_vec() } else { parts }
    }

    /// The query of the table.
    fn top(&self) -> Result<TopQuery, Problem> {
        let (sort, limit) = (self.sort.0, self.limit.unwrap_or(DEFAULT_ROWS));
        Ok(TopQuery { by: self.top.0, sort, stat: self.stat.of(sort)?, limit })
    }
}

/// Everything that a dashboard shows, of one moment
///
/// The parts are read from one snapshot, so they agree. Lists of a series have one value for each of
/// `timestamps`. The `ETag` is that of the figures: while they stay the same the response is 304, although
/// the moment moves on.
#[utoipa::path(
    get,
    path = "/api/metrics/dashboard",
    tag = "metrics",
    params(DashboardParams),
    responses(
        (status = 200, description = "The figures; CSV of one part.", content(
            (DashboardBody = "application/json"), (String = "text/csv"),
        )),
        (status = 304, description = "The figures match `If-None-Match`."),
        ReadProblems,
    ),
)]
pub(crate) async fn metrics_dashboard(
    State(app): State<App>,
    principal: Principal,
    Query(params): Query<DashboardParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (query, view) = request_of(&app, &params, &principal)?;
    let csv = match (params.format.csv(&headers)?, view.parts.as_slice()) {
        (Some(notes), [part]) => Some((*part, notes)),
        (Some(_), _) => {
            return Err(Problem::parameter("part", "CSV is a single table; name one part"));
        }
        (None, _) => None,
    };
    let response = app.queries.run(move |service| {
        let dashboard = service.engine().dashboard(&query)?;
        let content = view.content(&query, &dashboard);
        Ok(match csv {
            Some((part, notes)) => csv_response(part, content, &notes),
            None => json_response(view.stamp(&query, &dashboard), content, &headers),
        })
    });
    response.await?
}

fn csv_response(
    part: DashboardPart,
    content: ContentBody,
    notes: &CsvNotes,
) -> Result<Response, Problem> {
    let table = tables::table(part, content).map_err(unwritable)?;
    Ok(csv::response(part.as_str(), &table, notes))
}

/// The figures, or 304 if `headers` name their tag.
fn json_response(
    stamp: StampBody,
    content: ContentBody,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let previous = stamp.previous.as_ref();
    let tag = tag_of(&content, previous.and_then(|range| range.complete_from.as_deref()))?;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let headers = [(header::ETAG, tag.as_str()), (header::VARY, "Accept, Authorization, Cookie")];
    Ok(if is_known {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, Json(DashboardBody { stamp, content })).into_response()
    })
}

fn request_of(
    app: &AppState,
    params: &DashboardParams,
    principal: &Principal,
) -> Result<(DashboardQuery, DashboardView), Problem> {
    let now = app.service.now();
    let zone = params.zone.zone(app.time_zone());
    let range = params.range.range(now, zone.tz)?;
    let (parts, latency) = (params.parts.parts(), params.parts.latency.0);
    let wants = |part| parts.contains(&part);
    let aggregation = aggregation_for(params.parts.aggregation, range);
    let query = DashboardQuery {
        range,
        previous: params.parts.compare.map(|DashboardCompare(with)| with.range(range, zone.tz)),
        aggregation: parts.iter().any(|part| part.is_series()).then_some(aggregation),
        tz: zone.tz,
        filter: app.filter(&params.filter, principal)?,
        quantiles: quantiles(&parts, latency),
        by_day: wants(DashboardPart::Cost),
        top: wants(DashboardPart::Top).then(|| params.parts.top()).transpose()?,
        now,
    };
    let covered = TimeRange::new(range.start, range.end.min(now.plus_ms(1)));
    Ok((query, DashboardView { parts, latency, zone, covered }))
}

/// The latencies whose distributions the parts need.
fn quantiles(parts: &[DashboardPart], shown: LatencyKind) -> Vec<LatencyKind> {
    if parts.contains(&DashboardPart::Latency) {
        return LatencyKind::ALL.to_vec();
    }
    let heatmap = parts.contains(&DashboardPart::Heatmap).then_some(shown);
    let tiles = parts.contains(&DashboardPart::Tiles).then_some(LatencyKind::Total);
    let mut kinds: Vec<LatencyKind> = heatmap.into_iter().chain(tiles).collect();
    kinds.dedup();
    kinds
}

/// A weak tag of the figures and their completeness, without the time of the query.
fn tag_of(content: &ContentBody, previous_from: Option<&str>) -> Result<String, Problem> {
    let bytes = serde_json::to_vec(&(content, previous_from)).map_err(unwritable)?;
    let hash = Sha256::digest(&bytes);
    Ok(format!("W/\"{}\"", HEXLOWER.encode(&hash[..TAG_BYTES])))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unwritable(error: serde_json::Error) -> Problem {
    Problem::internal(format!("figures cannot be written: {error}"))
}
