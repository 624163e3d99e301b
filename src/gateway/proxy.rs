//! Handles one request, up to the head of its response.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use axum::response::Response;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, Incoming};
use tokio::sync::OwnedSemaphorePermit;

use super::GatewayState;
use super::headers::{is_event_stream, to_client, to_upstream};
use super::identity::Caller;
use super::problem::GatewayProblem;
use super::recording::Recording;
use super::relay::{ReadAhead, Relay};
use super::route::{Destination, route};
use super::upload::{self, BufferedBody, Upload, UploadBody, UploadProgress};
use super::upstream::{Upstream, UpstreamFailure};
use crate::collector::RequestInfo;
use crate::model::Source;
use crate::provider::{Dialect, Framing, ResponseReader, Stripper};

/// Response header with the gateway's request id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-chatgauge-request-id");
/// Response header with the time that the gateway and the upstream took to start the response.
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Requests with this header use Anthropic's dialect, whatever the path.
const ANTHROPIC_VERSION: &str = "anthropic-version";
/// Maximum number of bytes of an error response searched for a rejection of `stream_options`.
const REFUSAL_BYTES: usize = 64 << 10;
/// Maximum time to wait for these bytes before the response is forwarded.
const REFUSAL_WAIT: Duration = Duration::from_secs(5);

/// The handler of every path.
pub(super) async fn proxy(State(shared): State<Arc<GatewayState>>, request: Request) -> Response {
    let arrived_us = shared.service.monotonic_us();
    let (parts, body) = request.into_parts();
    let speaks_anthropic = parts.headers.contains_key(ANTHROPIC_VERSION);
    let known = |name: &str| shared.upstreams.contains_key(name);
    let is_post = parts.method == Method::POST;
    let counters = shared.service.gateway();
    let Some(route) = route(is_post, parts.uri.path(), speaks_anthropic, known) else {
        counters.refused();
        return GatewayProblem::NO_UPSTREAM.into_response(None);
    };
    let reject = |problem: GatewayProblem| {
        counters.refused();
        problem.into_response(route.dialect)
    };
    if parts.version < Version::HTTP_2 && wants_websocket(&parts.headers) {
        return reject(GatewayProblem::NO_UPGRADES);
    }
    if body.size_hint().lower() > shared.config.body_max_bytes {
        return reject(GatewayProblem::TOO_LARGE);
    }
    let Ok(permit) = Arc::clone(&shared.request_permits).try_acquire_owned() else {
        return reject(GatewayProblem::BUSY);
    };
    let Some(upstream) = shared.upstreams.get(route.upstream) else {
        return reject(GatewayProblem::NO_UPSTREAM);
    };
    let exchange = Exchange { shared: &shared, upstream, parts: &parts, route: &route, arrived_us };
    let response = match route.dialect {
        Some(dialect) => exchange.recorded(dialect, body, permit).await,
        None => exchange.passed_through(body, permit).await,
    };
    response.unwrap_or_else(|problem| problem.into_response(route.dialect))
}

/// Whether the client asks for a WebSocket. Other upgrades, such as the one to HTTP/2 that some
/// clients offer with every request, are ignored.
fn wants_websocket(headers: &HeaderMap) -> bool {
    let protocols = headers.get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    let mut protocols = protocols.flat_map(|value| value.split(','));
    protocols.any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

/// What is known about a request before its body is read.
struct Exchange<'r> {
    shared: &'r Arc<GatewayState>,
    upstream: &'r Upstream,
    parts: &'r Parts,
    route: &'r Destination<'r>,
    arrived_us: u64,
}

impl Exchange<'_> {
    /// Forwards and counts a request that is not of a recorded dialect.
    async fn passed_through(
        &self,
        body: Body,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response, GatewayProblem> {
        self.shared.service.gateway().passed_through();
        let config = &self.shared.config;
        let body = UploadBody::new(body, config.body_max_bytes, config.idle_timeout);
        let response = self.send_streamed(body).await.map_err(|failure| failure.problem)?;
        Ok(self.respond(response, None, None, 0, permit))
    }

    async fn recorded(
        &self,
        dialect: Dialect,
        body: Body,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response, GatewayProblem> {
        self.shared.service.gateway().recorded();
        let identity = Caller::of(&self.parts.headers);
        let mut recording = self.start(dialect, &identity);
        let injects = dialect == Dialect::Chat && self.upstream.injects_usage();
        let reading_us = self.now_us();
        let has_space = self.route.space.is_some();
        let GatewayState { buffer_budget, config, .. } = &**self.shared;
        let (max_bytes, silence) = (config.body_max_bytes, config.idle_timeout);
        let headers = &self.parts.headers;
        let upload = upload::read(body, headers, injects, buffer_budget, max_bytes, silence).await;
        let read_us = self.now_us() - reading_us;
        let provider = &self.upstream.config.provider;
        let sent = match upload {
            Ok(Upload::Buffered(body, facts)) => {
                recording.describe(&identity, &facts, has_space);
                recording.sent(provider, facts.model.as_deref().unwrap_or_default());
                self.send_buffered(body).await
            }
            Ok(Upload::Streamed(body, facts)) => {
                recording.sent(provider, "");
                let sent = self.send_streamed(body).await;
                recording.describe(&identity, &facts.facts(), has_space);
                sent
            }
            Err(problem) => Err(UpstreamFailure::of_body(problem)),
        };
        match sent {
            Ok(head) => {
                let stripper = self.observe(&mut recording, dialect, &head);
                Ok(self.respond(head, Some(recording), stripper, read_us, permit))
            }
            Err(failure) => {
                recording.end(failure.end);
                Err(failure.problem)
            }
        }
    }

    fn start(&self, dialect: Dialect, identity: &Caller) -> Recording {
        let info = RequestInfo::new(dialect.operation())
            .source(Source::Gateway)
            .provider(&self.upstream.config.provider);
        let info = identity.describe(info, self.route.space.as_ref());
        let mut guard = self.shared.service.collector().start_request(info);
        if identity.cache_hit {
            guard.cache_lookup(true);
        }
        Recording::new(Arc::clone(self.shared), guard, identity)
    }

    /// Sends a buffered body. If the upstream rejects the edit, sends the original once; the
    /// rejected request generated nothing.
    async fn send_buffered(&self, body: BufferedBody) -> Result<UpstreamResponse, UpstreamFailure> {
        let headers = to_upstream(self.parts.headers.clone());
        // The memory permit is held until the response starts; then the body is no longer needed.
        let BufferedBody { original, edited, permit: _permit } = body;
        let progress = UploadProgress::default();
        if let Some(edited) = edited {
            let mut headers = headers.clone();
            headers.remove(CONTENT_LENGTH);
            headers.remove(CONTENT_ENCODING);
            let mut response = self.call_upstream(headers, edited.into(), &progress).await?;
            response.is_edited = true;
            if !response.rejects_usage(self.shared.config.idle_timeout).await {
                return Ok(response);
            }
            self.upstream.note_rejection();
        }
        self.call_upstream(headers, original.into(), &progress).await
    }

    async fn send_streamed(&self, body: UploadBody) -> Result<UpstreamResponse, UpstreamFailure> {
        let progress = Arc::clone(&body.progress);
        self.call_upstream(to_upstream(self.parts.headers.clone()), Body::new(body), &progress)
            .await
    }

    async fn call_upstream(
        &self,
        headers: HeaderMap,
        body: Body,
        progress: &UploadProgress,
    ) -> Result<UpstreamResponse, UpstreamFailure> {
        let uri = self.upstream.uri(self.route.path, self.parts.uri.query());
        let mut request = hyper::Request::new(body);
        *request.uri_mut() = uri.ok_or(UpstreamFailure::BAD_ADDRESS)?;
        request.method_mut().clone_from(&self.parts.method);
        *request.headers_mut() = headers;
        let sent_us = self.now_us();
        let timeout = self.shared.config.first_byte_timeout;
        let response = self.upstream.call(request, timeout, progress).await?;
        let upstream_us = self.now_us() - sent_us;
        self.shared.service.gateway().first_byte(upstream_us);
        let read_ahead = ReadAhead::new(self.shared.config.idle_timeout);
        Ok(UpstreamResponse { response, read_ahead, is_edited: false, upstream_us })
    }

    /// Starts to read the response; returns the stripper if the usage chunk has to be removed.
    fn observe(
        &self,
        recording: &mut Recording,
        dialect: Dialect,
        head: &UpstreamResponse,
    ) -> Option<Stripper> {
        let (status, headers) = (head.response.status(), head.response.headers());
        let framing = if is_event_stream(headers) { Framing::Events } else { Framing::Whole };
        let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
        let is_readable = headers.get(CONTENT_ENCODING).is_none_or(plain);
        let reader = is_readable.then(|| ResponseReader::new(dialect, framing));
        let share = self.upstream.cache_share(dialect);
        recording.response_started(status.as_u16(), framing, reader, share);
        let is_stripped = head.is_edited && is_readable && framing == Framing::Events;
        is_stripped.then(Stripper::default)
    }

    /// The response to the client. `read_us` is the time the client took to send its body, in microseconds.
    fn respond(
        &self,
        head: UpstreamResponse,
        recording: Option<Recording>,
        stripper: Option<Stripper>,
        read_us: u64,
        permit: OwnedSemaphorePermit,
    ) -> Response {
        let (mut parts, upstream) = head.response.into_parts();
        to_client(&mut parts.headers, stripper.is_some());
        parts.version = Version::HTTP_11;
        let id = recording.as_ref().and_then(Recording::request_id).map(ToString::to_string);
        if let Some(id) = id.and_then(|id| HeaderValue::try_from(id).ok()) {
            parts.headers.insert(REQUEST_ID, id);
        }
        let own_us = (self.now_us() - self.arrived_us).saturating_sub(head.upstream_us + read_us);
        self.shared.service.gateway().overhead(own_us);
        let ms = |us: u64| format!("{}.{:03}", us / 1_000, us % 1_000);
        let timing = format!("gateway;dur={}, upstream;dur={}", ms(own_us), ms(head.upstream_us));
        if let Ok(timing) = HeaderValue::try_from(timing) {
            parts.headers.append(SERVER_TIMING, timing);
        }
        let on_disconnect = self.upstream.config.on_disconnect;
        let read_ahead = head.read_ahead;
        let relay = Relay::new(upstream, read_ahead, recording, stripper, on_disconnect, permit);
        Response::from_parts(parts, Body::new(relay))
    }

    fn now_us(&self) -> u64 {
        self.shared.service.monotonic_us()
    }
}

/// The head of a response.
struct UpstreamResponse {
    response: hyper::Response<Incoming>,
    /// Frames of the body that were already read.
    read_ahead: ReadAhead,
    /// The usage option was added to the request.
    is_edited: bool,
    /// Time the upstream took to respond, in microseconds.
    upstream_us: u64,
}

impl UpstreamResponse {
    /// Whether the upstream rejects `stream_options`. The frames read here are kept, including an
    /// end or error.
    async fn rejects_usage(&mut self, idle_timeout: Duration) -> bool {
        if !matches!(self.response.status().as_u16(), 400 | 422) {
            return false;
        }
        let mut deadline = pin!(tokio::time::sleep(idle_timeout.min(REFUSAL_WAIT)));
        let (mut text, body) = (Vec::new(), self.response.body_mut());
        while text.len() < REFUSAL_BYTES {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = &mut deadline => None,
            };
            let Some(frame) = frame else { break };
            let is_broken = frame.is_err();
            if let Some(bytes) = frame.as_ref().ok().and_then(Frame::data_ref) {
                text.extend_from_slice(bytes);
            }
            self.read_ahead.take(frame);
            if is_broken {
                break;
            }
        }
        memchr::memmem::find(&text, b"stream_options").is_some()
    }
}
