//! `GET /api/metrics/current`: current figures.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::auth::Principal;
use crate::http::openapi::ReadProblems;
use crate::http::params::{FilterParams, Query, WindowName, route_params};
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::model::measures::percent;
use crate::model::{Count, ErrorStats, LatencyKind, LatencyStats, TimeWindow, TokenUsageStats};
use crate::query::CurrentMetrics;

route_params! {
    /// Which window, of which requests.
    CurrentParams {
        window: WindowParams,
        filter: FilterParams,
    }
}

/// Which window.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WindowParams {
    /// The rolling window of everything but the request rates.
    #[serde(default)]
    #[param(inline)]
    window: WindowName,
}

/// The numbers of this moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CurrentBody {
    /// When.
    #[schema(format = DateTime)]
    as_of: String,
    /// The rolling window of everything but the request rates.
    window: &'static str,
    /// Requests by their start.
    request_rate: RequestRate,
    /// Latencies over every request with that latency known, whatever its outcome.
    latency: Latencies,
    /// Sums over known values.
    token_usage: TokenUsage,
    /// Errors.
    errors: Errors,
    /// The app's own response cache.
    cache: Cache,
    /// Sum of the known costs in US dollars; null when none is known.
    #[schema(required)]
    cost_usd: Option<f64>,
    /// Requests in the window.
    requests: i64,
    /// Requests that the in-process collector saw start and not end.
    in_flight: u64,
    /// Percentiles are exact, not within 1 %.
    exact: bool,
    /// The first instant from which all figures are complete, when retention has deleted rows that one needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    complete_from: Option<String>,
}

/// Numbers of requests over fixed windows, regardless of `window`.
#[derive(Debug, Serialize, ToSchema)]
struct RequestRate {
    /// In the last minute.
    per_minute: i64,
    /// In the last hour.
    per_hour: i64,
    /// In the last 24 hours.
    per_day: i64,
}

/// Latencies of each kind.
#[derive(Debug, Serialize, ToSchema)]
struct Latencies {
    /// From the start of the request to its end.
    total: LatencyBody,
    /// Time to assemble the context.
    context: LatencyBody,
    /// Time inside the LLM call.
    llm: LatencyBody,
    /// From the start of the LLM call to the first generated delta.
    time_to_first_token: LatencyBody,
}

/// Statistics of one latency in milliseconds; null over nothing.
#[derive(Debug, Serialize, ToSchema)]
struct LatencyBody {
    #[schema(required)]
    average_ms: Option<f64>,
    #[schema(required)]
    median_ms: Option<f64>,
    #[schema(required)]
    p95_ms: Option<f64>,
    #[schema(required)]
    p99_ms: Option<f64>,
    #[schema(required)]
    min_ms: Option<f64>,
    #[schema(required)]
    max_ms: Option<f64>,
}

/// Tokens over the window.
#[derive(Debug, Serialize, ToSchema)]
struct TokenUsage {
    /// Prompt plus completion.
    total: i64,
    /// Input.
    prompt: i64,
    /// Output.
    completion: i64,
    /// Total of the local day of the configured zone so far.
    today_total: i64,
    /// Average over the requests with known tokens; null without such a request.
    #[schema(required)]
    average_per_request: Option<f64>,
}

/// Errors over the window.
#[derive(Debug, Serialize, ToSchema)]
struct Errors {
    /// Percent of all requests; null over nothing.
    #[schema(required)]
    rate_percent: Option<f64>,
    /// Number of each type; every type is present.
    #[schema(value_type = BTreeMap<String, i64>)]
    by_type: BTreeMap<&'static str, i64>,
    /// Number of all types.
    total: i64,
}

/// Hits and misses of the app's own response cache over the window.
#[derive(Debug, Serialize, ToSchema)]
struct Cache {
    /// Percent of all requests; null over nothing.
    #[schema(required)]
    hit_rate_percent: Option<f64>,
    /// Requests that it served.
    hits: i64,
    /// All others.
    misses: i64,
}

impl CurrentBody {
    fn new(current: &CurrentMetrics, window: TimeWindow, in_flight: u64) -> Self {
        let measures = &current.window;
        let latency = |kind: LatencyKind| {
            let stats = current.latency[kind.index()];
            let LatencyStats { average_ms, median_ms, p95_ms, p99_ms, min_ms, max_ms } = stats;
            LatencyBody { average_ms, median_ms, p95_ms, p99_ms, min_ms, max_ms }
        };
        let tokens = TokenUsageStats::totals(measures);
        let errors = ErrorStats::from(&current.errors);
        let (requests, hits) = (measures.requests(), measures.get(Count::CacheHits));
        Self {
            as_of: current.as_of.to_string(),
            window: window.as_str(),
            request_rate: RequestRate {
                per_minute: current.requests_per_minute,
                per_hour: current.requests_per_hour,
                per_day: current.requests_per_day,
            },
            latency: Latencies {
                total: latency(LatencyKind::Total),
                context: latency(LatencyKind::Context),
                llm: latency(LatencyKind::Llm),
                time_to_first_token: latency(LatencyKind::TimeToFirstToken),
            },
            token_usage: TokenUsage {
                total: tokens.total,
                prompt: tokens.prompt,
                completion: tokens.completion,
                today_total: current.today_total_tokens,
                average_per_request: tokens.average_per_request,
            },
            errors: Errors {
                rate_percent: errors.total_error_rate,
                by_type: errors.error_count_by_type,
                total: errors.total_errors,
            },
            cache: Cache {
                hit_rate_percent: percent(hits, requests),
                hits,
                misses: requests - hits,
            },
            cost_usd: measures.cost_usd(),
            requests,
            in_flight,
            exact: current.exact,
            complete_from: current.complete_from.map(|at| at.to_string()),
        }
    }
}

/// The numbers of this moment
///
/// Request rates over the last minute, hour and 24 hours; the rest over the rolling window.
#[utoipa::path(
    get,
    path = "/api/metrics/current",
    tag = "metrics",
    params(CurrentParams),
    responses((status = 200, description = "The numbers.", body = CurrentBody), ReadProblems),
)]
pub(crate) async fn metrics_current(
    State(app): State<App>,
    principal: Principal,
    Query(params): Query<CurrentParams>,
) -> Result<Json<CurrentBody>, Problem> {
    let WindowParams { window: WindowName(window) } = params.window;
    let filter = app.filter(&params.filter, &principal)?;
    let current = app.queries.run(move |service| service.current(&filter, window)).await?;
    Ok(Json(CurrentBody::new(&current, window, app.service.collector().stats().in_flight)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Measures, Timestamp};

    #[test]
    fn the_keys_are_those_of_the_contract() {
        let current = CurrentMetrics {
            as_of: Timestamp::from_unix_ms(0),
            requests_per_minute: 1,
            requests_per_hour: 2,
            requests_per_day: 3,
            latency: [LatencyStats::default(); 4],
            window: Measures::default(),
            errors: Measures::default(),
            today_total_tokens: 4,
            exact: true,
            complete_from: None,
        };
        let body = CurrentBody::new(&current, TimeWindow::Hour, 5);
        let body = serde_json::to_value(body).unwrap();
        let pointers = [
            "/as_of",
            "/request_rate/per_minute",
            "/request_rate/per_hour",
            "/request_rate/per_day",
            "/latency/total/average_ms",
            "/latency/context/median_ms",
            "/latency/llm/p95_ms",
            "/latency/time_to_first_token/p99_ms",
            "/latency/total/min_ms",
            "/latency/total/max_ms",
            "/token_usage/total",
            "/token_usage/prompt",
            "/token_usage/completion",
            "/token_usage/today_total",
            "/token_usage/average_per_request",
            "/errors/rate_percent",
            "/errors/by_type/rate_limit",
            "/errors/total",
            "/cache/hit_rate_percent",
            "/cache/hits",
            "/cache/misses",
            "/in_flight",
        ];
        for pointer in pointers {
            assert!(body.pointer(pointer).is_some(), "{pointer}");
        }
        assert_eq!(body["errors"]["rate_percent"], serde_json::Value::Null);
    }
}
