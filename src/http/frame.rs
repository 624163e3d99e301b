//! The outermost layer: request ids, headers that every answer has, problems in their final form, and the
//! one place where failures are logged.

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::{self, Kind, Problem};
use super::state::App;
use crate::model::Timestamp;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Longest request id taken over from the caller, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Wraps every request.
pub(crate) async fn frame(State(app): State<App>, request: Request, next: Next) -> Response {
    let started_us = app.service().monotonic_us();
    let id = request_id(request.headers(), app.service().now());
    let method = request.method().clone();
    // The route, not the path or query as sent: those can name users.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        log(&problem, &id, &method, route.as_ref());
        write_problem(&mut response, &problem, &id);
    }
    let elapsed_us = app.service().monotonic_us().saturating_sub(started_us);
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    tracing::debug!(%method, route, status = response.status().as_u16(), elapsed_us, id, "answered");
    write_headers(response.headers_mut(), &id, &method, elapsed_us);
    response
}

/// What is answered where there is no route.
pub(crate) async fn not_found() -> Problem {
    Problem::new(Kind::NotFound, "no such route; /api/openapi.json lists them all")
}

/// What is answered where there is a route for other methods.
pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(Kind::MethodNotAllowed, "the header Allow lists the methods of this route")
}

/// The response when a handler has panicked: a 500 with the id of the request, under which the log has the panic. Its words
/// stay in the log.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over")]
pub(crate) fn after_panic(panic: Box<dyn std::any::Any + Send>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Problem::internal(format!("a handler panicked: {words}")).into_response()
}

fn request_id(headers: &HeaderMap, now: Timestamp) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    if let Some(id) = given.filter(|id| is_acceptable_id(id)) {
        return id.to_owned();
    }
    let ms = u64::try_from(now.as_unix_ms()).unwrap_or(0);
    let nanos = u32::try_from(ms % 1_000).unwrap_or(0) * 1_000_000;
    let at = uuid::Timestamp::from_unix(uuid::NoContext, ms / 1_000, nanos);
    uuid::Uuid::new_v7(at).to_string()
}

/// Identifier-like, so that nothing else gets into logs by this way.
fn is_acceptable_id(id: &str) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:/-".contains(&b))
}

fn log(problem: &Problem, id: &str, method: &Method, route: Option<&MatchedPath>) {
    let route = route.map_or("-", MatchedPath::as_str);
    let (slug, status) = (problem.slug(), problem.status().as_u16());
    match problem.cause() {
        _ if problem.is_logged_at_its_source() => {
            let cause = problem.cause().unwrap_or_default();
            tracing::debug!(%method, route, status, id, cause, "{slug}");
        }
        Some(cause) => tracing::error!(%method, route, status, id, cause, "{slug}"),
        // Only the kind: the detail repeats what the caller sent.
        None if status >= 500 => tracing::warn!(%method, route, status, id, "{slug}"),
        None => tracing::debug!(%method, route, status, id, "{slug}"),
    }
}

fn write_problem(response: &mut Response, problem: &Problem, id: &str) {
    let body = problem.body(id);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(problem::MEDIA_TYPE));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    *response.body_mut() = Body::from(body);
}

fn write_headers(headers: &mut HeaderMap, id: &str, method: &Method, elapsed_us: u64) {
    let defaults = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    if method == Method::GET {
        let (ms, us) = (elapsed_us / 1_000, elapsed_us % 1_000);
        if let Ok(timing) = HeaderValue::from_str(&format!("total;dur={ms}.{us:03}")) {
            headers.entry(SERVER_TIMING).or_insert(timing);
        }
    }
}

/// JSON made elsewhere.
pub(crate) fn json_bytes(body: axum::body::Bytes) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_identifier_like_ids_are_taken_over() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(value).unwrap());
            request_id(&headers, Timestamp::from_unix_ms(1_767_323_045_678))
        };
        assert_eq!(of("req-1:a/b.c_d"), "req-1:a/b.c_d");
        for value in ["", "two words", "a@b", &"x".repeat(65), "{}"] {
            assert_eq!(of(value).len(), 36, "{value}");
        }
    }

    #[test]
    fn every_answer_has_the_safe_headers_and_may_have_its_own() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        write_headers(&mut headers, "id-1", &Method::GET, 12_034);
        assert_eq!(headers[header::CACHE_CONTROL], "max-age=60");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[REQUEST_ID], "id-1");
        assert_eq!(headers[SERVER_TIMING], "total;dur=12.034");
    }

    #[test]
    fn a_problem_becomes_a_body_with_the_id() {
        let mut response = Problem::new(Kind::NotFound, "no").into_response();
        let problem = response.extensions_mut().remove::<Problem>().unwrap();
        write_problem(&mut response, &problem, "id-1");
        assert_eq!(response.headers()[header::CONTENT_TYPE], problem::MEDIA_TYPE);
        assert_eq!(response.status().as_u16(), 404);
    }

    #[test]
    fn a_panic_becomes_a_500_whose_words_stay_in_the_log() {
        for panic in [Box::new("secret") as Box<dyn std::any::Any + Send>, Box::new(7)] {
            let mut response = after_panic(panic);
            let problem = response.extensions_mut().remove::<Problem>().unwrap();
            assert_eq!(problem.status().as_u16(), 500);
            assert!(problem.cause().unwrap().contains("panicked"));
            let body = String::from_utf8(problem.body("id-1")).unwrap();
            assert!(body.contains("id-1") && !body.contains("secret"), "{body}");
        }
    }
}
