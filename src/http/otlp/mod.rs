//! OpenTelemetry in: traces over HTTP and gRPC; metrics and logs are accepted and discarded, because a
//! client that is refused writes an error every few seconds.
//!
//! Any path that ends in `/v1/traces` is one of traces, so that the SDKs of other products work when
//! their address is changed. Answers follow the specification of OTLP, not this server's own form.

mod answer;
mod grpc;
mod resolver;
pub(super) mod shared;
mod traces;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;

use super::assets;
use super::auth::Principal;
use super::gate::admit;
use super::intake::BodyLimits;
use super::problem::{Kind, Problem};
use super::state::App;
use super::token::any_token;
use crate::ingest::otlp::TraceFormat;
use crate::ingest::wire::ContentEncoding;
use crate::model::record::limits;
use crate::model::{Name, Scope};
use answer::{Code, Failure, Rejected};
use traces::Encoding;

/// The part that all services of the collector share.
const SERVICES: &str = "/opentelemetry.proto.collector.";

/// What a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Traces,
    /// Metrics, logs or profiles.
    Discarded,
    /// A service of the collector that does not exist.
    Unknown,
}

impl Target {
    fn of_path(path: &str) -> Option<Self> {
        if let Some(service) = path.strip_prefix(SERVICES) {
            return Some(match service {
                "trace.v1.TraceService/Export" => Self::Traces,
                "metrics.v1.MetricsService/Export" | "logs.v1.LogsService/Export" => {
                    Self::Discarded
                }
                _ => Self::Unknown,
            });
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.ends_with("/v1/traces") {
            return Some(Self::Traces);
        }
        ["/v1/metrics", "/v1/logs", "/v1development/profiles"]
            .iter()
            .any(|suffix| path.ends_with(suffix))
            .then_some(Self::Discarded)
    }
}

/// Answers what no other route takes.
pub(crate) async fn fallback(State(app): State<App>, request: Request) -> Response {
    match Target::of_path(request.uri().path()) {
        Some(target) => take(&app, target, request).await,
        None => assets::page_or_not_found(request).await,
    }
}

/// Send OpenTelemetry traces
///
/// Any path that ends in `/v1/traces` is the same route. Spans of model calls become records, the others
/// tell how long the context took to assemble; attributes with content are passed over unread. Metrics and
/// logs, at `/v1/metrics` and `/v1/logs`, are accepted and discarded. The key may also come as `x-api-key` or as the
/// password of basic authentication. The answer comes when the records are on disk.
#[utoipa::path(
    post,
    path = "/v1/traces",
    operation_id = "traces_ingest",
    tag = "requests",
    request_body(
        content(("application/x-protobuf"), ("application/json")),
        description = "An `ExportTraceServiceRequest`; `Content-Encoding` gzip, zstd and deflate are understood.",
    ),
    responses(
        (status = 200, description = "An `ExportTraceServiceResponse`; `partialSuccess` says what was not stored."),
        (status = 400, description = "The body cannot be read; do not send it again. All errors are a `google.rpc.Status`."),
        (status = 401, description = "No token, or one that is not good."),
        (status = 403, description = "The key lacks the scope ingest."),
        (status = 408, description = "The body stopped arriving."),
        (status = 413, description = "The body is too large, as sent or decompressed."),
        (status = 415, description = "The content type or encoding is not supported."),
        (status = 429, description = "Too many requests; send again after `Retry-After`."),
        (status = 503, description = "The server is busy, its disk is full or it is shutting down; send again after `Retry-After`."),
    ),
)]
pub(crate) async fn post_traces(State(app): State<App>, request: Request) -> Response {
    take(&app, Target::Traces, request).await
}

async fn take(app: &App, target: Target, request: Request) -> Response {
    if grpc::is_grpc(request.headers()) {
        return match take_grpc(app, target, request).await {
            Ok(message) => grpc::success(&message),
            Err(failure) => grpc::failure(&failure),
        };
    }
    // What is neither is answered like the one that is more common.
    let format = format_of(request.headers()).unwrap_or(TraceFormat::Protobuf);
    match take_http(app, target, request).await {
        Ok(rejected) => answer::success(&rejected, format),
        Err(failure) => failure.into_response(format),
    }
}

async fn take_http(app: &App, target: Target, request: Request) -> Result<Rejected, Failure> {
    if target == Target::Unknown {
        let message = "there is no such service";
        return Err(Failure::new(Code::Unimplemented, StatusCode::NOT_FOUND, message));
    }
    if request.method() != Method::POST {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let failure = Failure::new(Code::Unimplemented, status, "send POST");
        return Err(failure.with_header(header::ALLOW, HeaderValue::from_static("POST")));
    }
    let principal = admitted(app, &request)?;
    let encoding = encoding_of(request.headers())?;
    take_body(app, target, &principal, request, encoding).await
}

async fn take_grpc(app: &App, target: Target, request: Request) -> Result<Vec<u8>, Failure> {
    if target == Target::Unknown {
        let message = "there is no such service";
        return Err(Failure::new(Code::Unimplemented, StatusCode::NOT_FOUND, message));
    }
    let principal = admitted(app, &request)?;
    let content = match header_text(request.headers(), grpc::ENCODING.as_str()) {
        "" | "identity" => ContentEncoding::Identity,
        "gzip" => ContentEncoding::Gzip,
        _ => {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            let message = "messages may be compressed with gzip";
            return Err(Failure::new(Code::Unimplemented, status, message));
        }
    };
    let encoding = Encoding { format: TraceFormat::Protobuf, content, is_grpc: true };
    let rejected = take_body(app, target, &principal, request, encoding).await?;
    Ok(answer::success_message(&rejected, TraceFormat::Protobuf))
}

fn admitted(app: &App, request: &Request) -> Result<Principal, Failure> {
    let token = any_token(request.headers());
    let (principal, _) = admit(app, Scope::Ingest, request, token.as_deref())?;
    Ok(principal)
}

async fn take_body(
    app: &App,
    target: Target,
    principal: &Principal,
    request: Request,
    encoding: Encoding,
) -> Result<Rejected, Failure> {
    if target == Target::Discarded {
        discard(app, request.into_body()).await?;
        return Ok(Rejected::default());
    }
    let space = space_of(request.headers());
    traces::store(app, principal, space, request.into_body(), encoding).await
}

/// Reads a body to its end, so that the connection can be used again.
async fn discard(app: &App, body: Body) -> Result<(), Problem> {
    let config = app.service().config();
    let limits = BodyLimits {
        sent_bytes_max: config.otlp.body_max_bytes,
        silence_max: config.http.body_timeout,
        is_compressed: false,
    };
    let mut source = app.body_turns().source(body, limits);
    while source.next().await?.is_some() {}
    Ok(())
}

/// The project that LangSmith's clients name.
fn space_of(headers: &HeaderMap) -> Option<Name> {
    let project = header_text(headers, "langsmith-project").trim();
    let is_name = (1..=limits::NAME_BYTES).contains(&project.len());
    is_name.then(|| Name::new(project))
}

fn encoding_of(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let unsupported = |detail: &str, name, accepted| {
        let problem = Problem::new(Kind::UnsupportedMediaType, detail);
        problem.with_header(name, HeaderValue::from_static(accepted))
    };
    let format = format_of(headers).ok_or_else(|| {
        let accepted = "application/x-protobuf, application/json";
        let detail = "send Content-Type: application/x-protobuf or application/json";
        unsupported(detail, header::ACCEPT, accepted)
    })?;
    let content =
        ContentEncoding::parse(header_text(headers, "content-encoding")).ok_or_else(|| {
            let detail = format!("the content encodings are {}", ContentEncoding::ACCEPTED);
            unsupported(&detail, header::ACCEPT_ENCODING, ContentEncoding::ACCEPTED)
        })?;
    Ok(Encoding { format, content, is_grpc: false })
}

fn format_of(headers: &HeaderMap) -> Option<TraceFormat> {
    let content_type = header_text(headers, "content-type");
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/x-protobuf" | "application/protobuf" => Some(TraceFormat::Protobuf),
        "application/json" => Some(TraceFormat::Json),
        _ => None,
    }
}

fn header_text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).map_or("", |value| value.to_str().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_path_says_what_it_is_for() {
        for path in [
            "/v1/traces",
            "/v1/traces/",
            "/api/public/otel/v1/traces",
            "/otel/v1/traces",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        ] {
            assert_eq!(Target::of_path(path), Some(Target::Traces), "{path}");
        }
        for path in ["/v1/metrics", "/x/v1/logs/", "/v1development/profiles"] {
            assert_eq!(Target::of_path(path), Some(Target::Discarded), "{path}");
        }
        assert_eq!(Target::of_path("/opentelemetry.proto.collector.x/Y"), Some(Target::Unknown));
        for path in ["/", "/v1/traces/x", "/xv1/traces", "/v2/traces", "/api/nothing"] {
            assert_eq!(Target::of_path(path), None, "{path}");
        }
    }
}
