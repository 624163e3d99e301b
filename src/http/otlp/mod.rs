//! Receives OpenTelemetry: traces over HTTP and gRPC. Metrics and logs are accepted and dropped, because a client that is
//! rejected logs an error every few seconds.
//!
//! Any path that ends in `/v1/traces` receives traces, so that the SDKs of other products work after a change of their
//! address. Responses follow the OTLP specification, not this server's own form.

mod grpc;
mod resolver;
mod response;
mod traces;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;

use super::assets;
use super::gate::admit;
use super::intake::{BodyLimits, content_encoding, media_type, unsupported};
use super::problem::Problem;
use super::state::App;
use super::token::any_token;
use crate::ingest::otlp::TraceFormat;
use crate::ingest::wire::ContentEncoding;
use crate::model::record::limits;
use crate::model::{Name, Scope};
use response::{GrpcCode, OtlpFailure, RejectedSpans};
use traces::TraceEncoding;

/// Common prefix of the gRPC services of the collector.
const SERVICES: &str = "/opentelemetry.proto.collector.";

/// The purpose of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OtlpTarget {
    Traces,
    /// Metrics, logs or profiles.
    Discarded,
    /// A service of the collector that does not exist.
    Unknown,
}

impl OtlpTarget {
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
        let discarded = ["/v1/metrics", "/v1/logs", "/v1development/profiles"];
        if path.ends_with("/v1/traces") {
            Some(Self::Traces)
        } else {
            discarded.iter().any(|end| path.ends_with(end)).then_some(Self::Discarded)
        }
    }
}

/// Handles requests without a route: OTLP paths and the files of the page.
pub(crate) async fn fallback(State(app): State<App>, request: Request) -> Response {
    match OtlpTarget::of_path(request.uri().path()) {
        Some(target) => take(&app, target, request).await,
        None => assets::page_or_not_found(request).await,
    }
}

/// Send OpenTelemetry traces
///
/// Any path that ends in `/v1/traces` is the same route. Spans of model calls become records, the others
/// tell how long the context took to assemble; attributes with content are skipped unread. Metrics and
/// logs, at `/v1/metrics` and `/v1/logs`, are accepted and discarded. The key may also come as `x-api-key` or as the
/// password of basic authentication. The response is sent when the records are on disk.
#[utoipa::path(
    post,
    path = "/v1/traces",
    tag = "requests",
    request_body(
        content((Object = "application/json"), (String = "application/x-protobuf")),
        description = "An `ExportTraceServiceRequest`; `Content-Encoding` gzip, zstd and deflate are understood.",
    ),
    responses(
        (status = 200, description = "An `ExportTraceServiceResponse`; `partialSuccess` counts the rejected spans.", content((Object = "application/json"), (String = "application/x-protobuf"))),
        (status = 400, description = "The body cannot be read; do not send it again. All errors are a `google.rpc.Status`.", content((Object = "application/json"), (String = "application/x-protobuf"))),
        (status = 401, description = "No token, or an invalid one.", content((Object = "application/json"), (String = "application/x-protobuf"))),
        (status = 403, description = "The key lacks the scope ingest.", content((Object = "application/json"), (String = "application/x-protobuf"))),
        (status = 408, description = "The body stopped arriving.", content((Object = "application/json"), (String = "application/x-protobuf"))),
        (status = 413, description = "The body is too large, as sent or decompressed.", content((Object = "application/json"), (String = "application/x-protobuf"))),
        (status = 415, description = "The content type or encoding is not supported.", content((Object = "application/json"), (String = "application/x-protobuf"))),
        (status = 429, description = "Too many requests; send again after `Retry-After`.", content((Object = "application/json"), (String = "application/x-protobuf"))),
        (status = 503, description = "The server is busy, its disk is full or it is shutting down; send again after `Retry-After`.", content((Object = "application/json"), (String = "application/x-protobuf"))),
    ),
)]
pub(crate) async fn traces_ingest(State(app): State<App>, request: Request) -> Response {
    take(&app, OtlpTarget::Traces, request).await
}

async fn take(app: &App, target: OtlpTarget, request: Request) -> Response {
    let is_grpc = grpc::is_grpc(request.headers());
    // Requests of an unknown type get the more common encoding.
    let format = format_of(request.headers()).unwrap_or(TraceFormat::Protobuf);
    match receive(app, target, request, is_grpc).await {
        Ok(rejected) => {
            let message = response::success_message(&rejected, format);
            if is_grpc {
                grpc::success(&message)
            } else {
                response::respond(StatusCode::OK, format, message)
            }
        }
        Err(failure) if is_grpc => grpc::failure(&failure),
        Err(failure) => failure.into_response(format),
    }
}

async fn receive(
    app: &App,
    target: OtlpTarget,
    request: Request,
    is_grpc: bool,
) -> Result<RejectedSpans, OtlpFailure> {
    let headers = request.headers();
    if target == OtlpTarget::Unknown {
        let (status, message) = (StatusCode::NOT_FOUND, "there is no such service");
        return Err(OtlpFailure::new(GrpcCode::Unimplemented, status, message));
    }
    if !is_grpc && request.method() != Method::POST {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let failure = OtlpFailure::new(GrpcCode::Unimplemented, status, "send POST");
        return Err(failure.with_header(header::ALLOW, HeaderValue::from_static("POST")));
    }
    let (principal, _) = admit(app, Scope::Ingest, &request, any_token(headers).as_deref())?;
    let encoding = if is_grpc { grpc_encoding(headers)? } else { http_encoding(headers)? };
    let space = space_of(headers);
    if target == OtlpTarget::Discarded {
        discard(app, request.into_body()).await?;
        return Ok(RejectedSpans::default());
    }
    traces::store(app, &principal, space, request.into_body(), encoding).await
}

/// Reads a body to its end, so that the connection can be reused.
async fn discard(app: &App, body: Body) -> Result<(), Problem> {
    let config = app.service.config();
    let limits = BodyLimits {
        sent_bytes_max: config.otlp.body_max_bytes,
        silence_max: config.http.body_timeout,
        is_compressed: false,
    };
    let mut bytes = app.uploads.bytes(body, limits);
    while bytes.next().await?.is_some() {}
    Ok(())
}

/// The project that clients of LangSmith send.
fn space_of(headers: &HeaderMap) -> Option<Name> {
    let project = header_text(headers, "langsmith-project").trim();
    let is_name = (1..=limits::NAME_BYTES).contains(&project.len());
    is_name.then(|| Name::new(project))
}

fn grpc_encoding(headers: &HeaderMap) -> Result<TraceEncoding, OtlpFailure> {
    let content = match header_text(headers, grpc::ENCODING.as_str()) {
        "" | "identity" => ContentEncoding::Identity,
        "gzip" => ContentEncoding::Gzip,
        _ => {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            let message = "messages may be compressed with gzip";
            return Err(OtlpFailure::new(GrpcCode::Unimplemented, status, message));
        }
    };
    Ok(TraceEncoding { format: TraceFormat::Protobuf, content, is_grpc: true })
}

fn http_encoding(headers: &HeaderMap) -> Result<TraceEncoding, Problem> {
    let format = format_of(headers).ok_or_else(|| {
        let detail = "send Content-Type: application/x-protobuf or application/json";
        unsupported(detail, header::ACCEPT, "application/x-protobuf, application/json")
    })?;
    Ok(TraceEncoding { format, content: content_encoding(headers)?, is_grpc: false })
}

fn format_of(headers: &HeaderMap) -> Option<TraceFormat> {
    match media_type(headers)?.as_str() {
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
            assert_eq!(OtlpTarget::of_path(path), Some(OtlpTarget::Traces), "{path}");
        }
        for path in ["/v1/metrics", "/x/v1/logs/", "/v1development/profiles"] {
            assert_eq!(OtlpTarget::of_path(path), Some(OtlpTarget::Discarded), "{path}");
        }
        assert_eq!(
            OtlpTarget::of_path("/opentelemetry.proto.collector.x/Y"),
            Some(OtlpTarget::Unknown)
        );
        for path in ["/", "/v1/traces/x", "/xv1/traces", "/v2/traces", "/api/nothing"] {
            assert_eq!(OtlpTarget::of_path(path), None, "{path}");
        }
    }
}
