//! The layers around every router: request ids, headers of every response, bodies of problems, and the only place where
//! failures are logged.

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{
    MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use tower_http::set_header::SetResponseHeaderLayer;

use super::problem::{self, Problem, ProblemKind};
use super::state::App;
use crate::service::Chatgauge;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The content security policy of all responses but the page: nothing is loaded or framed.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Maximum length of a request id of the client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Adds the layers to a router, the outermost first: the request gets an id, the response its missing headers, and a
/// problem, which may come from a panic, its body.
pub(crate) fn around<S: Clone + Send + Sync + 'static>(router: Router<S>, app: &App) -> Router<S> {
    let default =
        |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    let layers = ServiceBuilder::new()
        .map_request(without_unfit_id)
        .layer(SetRequestIdLayer::new(REQUEST_ID, RequestIds(app.service.clone())))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(default(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(default(header::REFERRER_POLICY, "no-referrer"))
        .layer(default(header::CACHE_CONTROL, "private, no-cache"))
        .layer(default(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(from_fn_with_state(App::clone(app), frame))
        .layer(CatchPanicLayer::custom(after_panic));
    router.layer(layers)
}

/// Generates ids for requests without one.
#[derive(Clone, Debug)]
struct RequestIds(Chatgauge);

impl MakeRequestId for RequestIds {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        let ms = u64::try_from(self.0.now().as_unix_ms()).unwrap_or(0);
        let nanos = u32::try_from(ms % 1_000).unwrap_or(0) * 1_000_000;
        let at = uuid::Timestamp::from_unix(uuid::NoContext, ms / 1_000, nanos);
        let id = uuid::Uuid::new_v7(at).to_string();
        HeaderValue::try_from(id).ok().map(RequestId::new)
    }
}

/// Removes an id that is not identifier-like, so that it cannot inject text into logs.
fn without_unfit_id(mut request: Request) -> Request {
    let is_fit = |id: &HeaderValue| {
        let is_of_id = |b: &u8| b.is_ascii_alphanumeric() || b"_.:/-".contains(b);
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(is_of_id)
    };
    if !request.headers().get_all(REQUEST_ID).iter().all(is_fit) {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

/// Writes the bodies of problems and logs the outcome of the request.
async fn frame(State(app): State<App>, request: Request, next: Next) -> Response {
    let started_us = app.service.monotonic_us();
    let id = request.extensions().get::<RequestId>().cloned();
    let id = id.as_ref().and_then(|id| id.header_value().to_str().ok()).unwrap_or_default();
    let method = request.method().clone();
    // The route, because the path and the query as sent can name users.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        log(&problem, id, &method, route);
        write_problem(&mut response, &problem, id);
    }
    let elapsed_us = app.service.monotonic_us().saturating_sub(started_us);
    tracing::debug!(%method, route, status = response.status().as_u16(), elapsed_us, id, "request completed");
    if method == Method::GET {
        write_timing(response.headers_mut(), elapsed_us);
    }
    response
}

/// The response where there is no route.
pub(crate) async fn not_found() -> Problem {
    Problem::not_found("no such route; /api/openapi.json lists them all")
}

/// The response where there is a route, but for other methods.
pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(ProblemKind::MethodNotAllowed, "the header Allow lists the methods of this route")
}

/// The response after a panic of a handler: a 500 with the id of the request. The message of the panic goes only to the log.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over")]
fn after_panic(panic: Box<dyn std::any::Any + Send>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Problem::internal(format!("a handler panicked: {words}")).into_response()
}

fn log(problem: &Problem, id: &str, method: &Method, route: &str) {
    let (slug, status) = (problem.slug(), problem.status().as_u16());
    match problem.cause.as_deref() {
        cause if problem.is_logged_at_its_source() => {
            let cause = cause.unwrap_or_default();
            tracing::debug!(%method, route, status, id, cause, "{slug}");
        }
        Some(cause) => tracing::error!(%method, route, status, id, cause, "{slug}"),
        // Without the detail, which can repeat text of the client.
        None if status >= 500 => tracing::warn!(%method, route, status, id, "{slug}"),
        None => tracing::debug!(%method, route, status, id, "{slug}"),
    }
}

fn write_problem(response: &mut Response, problem: &Problem, id: &str) {
    let body = problem.body(id);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(problem::MEDIA_TYPE));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    *response.body_mut() = Body::from(body);
}

fn write_timing(headers: &mut HeaderMap, elapsed_us: u64) {
    let (ms, us) = (elapsed_us / 1_000, elapsed_us % 1_000);
    if let Ok(timing) = HeaderValue::from_str(&format!("total;dur={ms}.{us:03}")) {
        headers.entry(SERVER_TIMING).or_insert(timing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_identifier_like_ids_are_taken_over() {
        let of = |value: &str| {
            let request = Request::get("/").header(REQUEST_ID, value).body(Body::empty()).unwrap();
            without_unfit_id(request).headers().get(REQUEST_ID).cloned()
        };
        assert_eq!(of("req-1:a/b.c_d").unwrap(), "req-1:a/b.c_d");
        for value in ["", "two words", "a@b", &"x".repeat(65), "{}"] {
            assert_eq!(of(value), None, "{value}");
        }
    }

    #[test]
    fn the_time_that_it_took_is_in_milliseconds() {
        let mut headers = HeaderMap::new();
        write_timing(&mut headers, 12_034);
        assert_eq!(headers[SERVER_TIMING], "total;dur=12.034");
    }

    #[test]
    fn a_problem_becomes_a_body_with_the_id() {
        let mut response = Problem::not_found("no").into_response();
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
            let body = String::from_utf8(problem.body("id-1")).unwrap();
            assert!(problem.cause.unwrap().contains("panicked"));
            assert!(body.contains("id-1") && !body.contains("secret"), "{body}");
        }
    }
}
