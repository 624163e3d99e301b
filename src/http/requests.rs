//! `GET /api/requests`: stored requests, newest first, page by page.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Principal;
use super::csv::{self, CsvTable};
use super::extract::Path;
use super::openapi::{NotFoundProblems, ReadProblems};
use super::params::{
    AllTimeParams, FilterParams, FormatParams, Instant, LatencyBoundParams, PageParams, Query,
    ZoneParams, ZoneView, encode_cursor, resolve, route_params,
};
use super::problem::Problem;
use super::state::App;
use crate::ingest::wire::TAGS_FIELD;
use crate::model::measures::ratio;
use crate::model::{
    Filter, LatencyKind, Name, Outcome, RequestId, RequestRecord, Source, TimeRange, Timestamp,
};
use crate::privacy::session_name;
use crate::query::{PageCursor, RequestsQuery};

/// How to get the requests after a page of CSV.
const MORE_REQUESTS: &str =
    "there are older ones; raise limit, follow the header Link, or use chatgauge export";

/// Fields of a request that CSV does not have.
const JSON_ONLY_FIELDS: [&str; 3] = ["cancelled", "provider_response_id", TAGS_FIELD];

route_params! {
    /// Which requests, and how many.
    RequestsParams {
        range: AllTimeParams,
        zone: ZoneParams,
        page: PageParams,
        format: FormatParams,
        latency: LatencyBoundParams,
        filter: FilterParams,
    }
}

route_params! {
    /// The start of the request, and the zone of shown instants.
    RequestParams {
        start: StartParams,
        zone: ZoneParams,
    }
}

/// The start of the request.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StartParams {
    /// Its start, which finds it at once. Without it the newest request with this id is looked for.
    #[param(inline)]
    started_at: Option<Instant>,
}

/// A page of stored requests.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RequestsBody {
    /// Newest first.
    requests: Vec<RequestBody>,
    /// Value of `cursor` for the next page; null at the end.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// One stored request; unknown is null.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RequestBody {
    /// The sender's id, or the one given on arrival.
    request_id: String,
    /// Start.
    #[schema(format = DateTime)]
    started_at: String,
    /// The route by which it came.
    source: &'static str,
    /// `chat`, `completion`, `responses`, `embedding`, ...
    #[schema(required)]
    operation: Option<String>,
    /// Pseudonym of the user.
    #[schema(required)]
    user: Option<String>,
    /// Workspace, project or team.
    #[schema(required)]
    space: Option<String>,
    /// Keyed hash of the session.
    #[schema(required)]
    session: Option<String>,
    /// Who ran the model.
    #[schema(required)]
    provider: Option<String>,
    /// Name of the model.
    #[schema(required)]
    model: Option<String>,
    /// From the start of the request to its end.
    #[schema(required)]
    total_latency_ms: Option<f64>,
    /// Time to assemble the context.
    #[schema(required)]
    context_latency_ms: Option<f64>,
    /// Time inside the LLM call.
    #[schema(required)]
    llm_latency_ms: Option<f64>,
    /// From the start of the LLM call to the first generated delta.
    #[schema(required)]
    time_to_first_token_ms: Option<f64>,
    /// Input tokens.
    #[schema(required)]
    prompt_tokens: Option<u64>,
    /// Output tokens.
    #[schema(required)]
    completion_tokens: Option<u64>,
    /// The part of the input that the provider had in its prompt cache.
    #[schema(required)]
    cached_prompt_tokens: Option<u64>,
    /// The part of the input written to the provider's prompt cache.
    #[schema(required)]
    cache_write_prompt_tokens: Option<u64>,
    /// The part of `cache_write_prompt_tokens` that is cached for an hour.
    #[schema(required)]
    cache_write_1h_prompt_tokens: Option<u64>,
    /// The part of the output spent on reasoning.
    #[schema(required)]
    reasoning_tokens: Option<u64>,
    /// Cost.
    #[schema(required)]
    cost_usd: Option<f64>,
    /// Who said so: client, provider or table.
    #[schema(required)]
    cost_source: Option<&'static str>,
    /// The app's own response cache served it.
    cache_hit: bool,
    /// success, error or cancelled.
    outcome: &'static str,
    /// The kind of error.
    #[schema(required)]
    error_type: Option<&'static str>,
    /// Short code of the error.
    #[schema(required)]
    error_code: Option<String>,
    /// The caller went away.
    cancelled: bool,
    /// HTTP status of the response.
    #[schema(required)]
    http_status: Option<u16>,
    /// Why the model stopped.
    #[schema(required)]
    finish_reason: Option<String>,
    /// The tier of service that the provider's response names.
    #[schema(required)]
    service_tier: Option<String>,
    /// Id of the API key that delivered the record.
    #[schema(required)]
    api_key: Option<String>,
    /// 0 for the first try, 1 for the first retry, ...
    attempt: u32,
    /// Whether the response was streamed.
    #[schema(required)]
    streamed: Option<bool>,
    /// The provider's id of the response.
    #[schema(required)]
    provider_response_id: Option<String>,
    /// Short tags.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>, required)]
    tags: Option<serde_json::Value>,
}

impl RequestBody {
    pub(crate) fn new(record: &RequestRecord, zone: ZoneView) -> Self {
        let ms = |us| ratio(i64::try_from(us).unwrap_or(i64::MAX), 1_000);
        let latency = |kind| record.latency(kind).map(ms);
        let text = |name: &Option<Name>| name.as_ref().map(ToString::to_string);
        Self {
            request_id: record.request_id.to_string(),
            started_at: zone.show(record.started_at),
            source: record.source.as_str(),
            operation: text(&record.operation),
            user: text(&record.user),
            space: text(&record.space),
            session: record.session.map(session_name),
            provider: text(&record.provider),
            model: text(&record.model),
            total_latency_ms: latency(LatencyKind::Total),
            context_latency_ms: latency(LatencyKind::Context),
            llm_latency_ms: latency(LatencyKind::Llm),
            time_to_first_token_ms: latency(LatencyKind::TimeToFirstToken),
            prompt_tokens: record.prompt_tokens,
            completion_tokens: record.completion_tokens,
            cached_prompt_tokens: record.cached_prompt_tokens,
            cache_write_prompt_tokens: record.cache_write_prompt_tokens.map(u64::from),
            cache_write_1h_prompt_tokens: record.cache_write_1h_prompt_tokens.map(u64::from),
            reasoning_tokens: record.reasoning_tokens,
            cost_usd: record.cost_nano_usd.map(|nano| ratio(nano, 1_000_000_000)),
            cost_source: record.cost_source.map(|source| source.as_str()),
            cache_hit: record.cache_hit,
            outcome: record.outcome.as_str(),
            error_type: record.outcome.error_type().map(|kind| kind.as_str()),
            error_code: text(&record.error_code),
            cancelled: record.outcome == Outcome::Cancelled,
            http_status: record.http_status,
            finish_reason: text(&record.finish_reason),
            service_tier: text(&record.service_tier),
            api_key: text(&record.api_key().cloned()),
            attempt: record.attempt,
            streamed: record.streamed,
            provider_response_id: text(&record.provider_response_id),
            tags: record.tags.as_deref().and_then(|tags| serde_json::from_str(tags).ok()),
        }
    }
}

/// The columns of CSV, in the order of the fields.
fn columns(zone: ZoneView) -> Vec<String> {
    let any = RequestRecord::new(RequestId::parse(""), Timestamp::from_unix_ms(0), Source::Rest);
    let body = serde_json::to_value(RequestBody::new(&any, zone)).unwrap_or_default();
    let names = body.as_object().into_iter().flat_map(serde_json::Map::keys).cloned();
    names.filter(|name| !JSON_ONLY_FIELDS.contains(&name.as_str())).collect()
}

/// The link to the next page. Its range is resolved, so that `now` does not move between pages. It is relative to the
/// address of this page, which a proxy may have changed.
fn next_link(query: &str, range: TimeRange, cursor: &str) -> Option<HeaderValue> {
    let is_kept = |name: &str| !["start", "end", "cursor"].contains(&name);
    let mut next = form_urlencoded::Serializer::new(String::new());
    next.extend_pairs(form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| is_kept(name)));
    let others = next.finish();
    let others = if others.is_empty() { others } else { format!("{others}&") };
    let (start, end) = (range.start, range.end);
    let query = format!("{others}start={start}&end={end}&cursor={cursor}");
    HeaderValue::from_str(&format!("<requests?{query}>; rel=\"next\"")).ok()
}

/// Stored requests, newest first
#[utoipa::path(
    get,
    path = "/api/requests",
    tag = "requests",
    params(RequestsParams),
    responses(
        (status = 200, description = "A page; the header Link names the next, and CSV that has one says so in \
                                      its last row.",
         content((RequestsBody = "application/json"), (String = "text/csv")),
         headers(("Link" = String, description = "The next page, as `rel=\"next\"`."),
                 ("X-Chatgauge-Truncated" = String, description = "`true` when CSV lacks rows."))),
        ReadProblems,
    ),
)]
pub(crate) async fn requests_list(
    State(app): State<App>,
    principal: Principal,
    Query(params): Query<RequestsParams>,
    RawQuery(sent): RawQuery,
    accepted: HeaderMap,
) -> Result<Response, Problem> {
    let csv = params.format.csv(&accepted)?;
    let zone = params.zone.zone(app.time_zone());
    let range = params.range.range(app.service.now(), zone.tz)?;
    let query = RequestsQuery {
        range,
        filter: Filter {
            latency: params.latency.bounds()?,
            ..app.filter(&params.filter, &principal)?
        },
        limit: params.page.limit(),
        cursor: params.page.cursor(PageCursor::from_bytes)?,
    };
    let page = app.queries.run(move |service| service.requests(&query)).await?;
    let next_cursor = page.next_cursor.map(|cursor| encode_cursor(&cursor.to_bytes()));
    let mut headers = HeaderMap::new();
    let sent = sent.unwrap_or_default();
    if let Some(link) = next_cursor.as_deref().and_then(|cursor| next_link(&sent, range, cursor)) {
        headers.insert(header::LINK, link);
    }
    let requests = page.requests.iter().map(|stored| RequestBody::new(&stored.record, zone));
    if let Some(mut notes) = csv {
        notes.truncated = next_cursor.is_some().then(|| MORE_REQUESTS.to_owned());
        let objects = requests.filter_map(|request| serde_json::to_value(request).ok()).collect();
        let table = CsvTable::of_objects(&columns(zone), objects);
        return Ok((headers, csv::response("requests", &table, &notes)).into_response());
    }
    let body = RequestsBody { requests: requests.collect(), next_cursor };
    Ok((headers, Json(body)).into_response())
}

/// One stored request
#[utoipa::path(
    get,
    path = "/api/requests/{id}",
    tag = "requests",
    params(("id" = String, Path, description = "Its `request_id`."), RequestParams),
    responses((status = 200, description = "The request.", body = RequestBody), NotFoundProblems, ReadProblems),
)]
pub(crate) async fn requests_get(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    Query(params): Query<RequestParams>,
) -> Result<Json<RequestBody>, Problem> {
    let zone = params.zone.zone(app.time_zone());
    let (started_at, now) = (params.start.started_at.as_ref(), app.service.now());
    let started_at = resolve("started_at", started_at, now, zone.tz)?;
    let mut filter = Filter::default();
    principal.restrict(&mut filter)?;
    let id = RequestId::parse(&id);
    let found =
        app.queries.run(move |service| service.engine().request(&id, started_at, &filter)).await?;
    let stored = found.ok_or_else(|| Problem::not_found("no stored request has this id"))?;
    Ok(Json(RequestBody::new(&stored.record, zone)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ErrorType, Tz};

    #[test]
    fn cursors_read_back_and_others_are_refused_with_words() {
        let cursor = PageCursor::from_bytes(&[0; 9]).unwrap();
        let decoded = |text: &str| {
            let Query(params) = Query::<PageParams>::read(&format!("cursor={text}")).unwrap();
            params.cursor(PageCursor::from_bytes)
        };
        assert_eq!(decoded(&encode_cursor(&cursor.to_bytes())).unwrap(), Some(cursor));
        for text in ["AAABogxvKY8AAAAAAAALxg", "AAAAAAAAAAE", "!"] {
            let problem = decoded(text).unwrap_err();
            assert!(problem.detail.contains("not a cursor of this route"), "{}", problem.detail);
        }
    }

    #[test]
    fn the_next_page_has_the_same_filters_and_a_fixed_range() {
        let query = "space=a+b&start=now-1h&cursor=AA";
        let link = next_link(query, TimeRange::from_unix_ms(0, 1), "BB").unwrap();
        let expected = "<requests?space=a+b&start=1970-01-01T00:00:00Z\
                        &end=1970-01-01T00:00:00.001Z&cursor=BB>; rel=\"next\"";
        assert_eq!(link, expected);
    }

    #[test]
    fn a_record_shows_every_field_and_null_for_the_unknown() {
        let at = Timestamp::from_unix_ms(0);
        let mut record = RequestRecord::new(RequestId::parse("r1"), at, Source::Rest);
        record.outcome = Outcome::Error(ErrorType::RateLimit);
        record.latency_us[0] = Some(1_500);
        record.cost_nano_usd = Some(2_500_000);
        record.tags = Some(r#"{"env":"prod"}"#.into());
        let zone = ZoneView { tz: Tz::UTC, shown: Tz::UTC };
        let body = serde_json::to_value(RequestBody::new(&record, zone)).unwrap();
        assert_eq!(body["total_latency_ms"], 1.5);
        assert_eq!(body["cost_usd"], 0.0025);
        assert_eq!(
            (&body["outcome"], &body["error_type"]),
            (&"error".into(), &"rate_limit".into())
        );
        assert_eq!(body["tags"]["env"], "prod");
        assert_eq!(body["prompt_tokens"], serde_json::Value::Null);
        assert!(JSON_ONLY_FIELDS.iter().all(|name| body.get(name).is_some()), "{body}");
        let columns = columns(zone);
        assert_eq!((columns[0].as_str(), columns[30].as_str()), ("request_id", "streamed"));
        assert_eq!(columns.len(), 31);
    }
}
