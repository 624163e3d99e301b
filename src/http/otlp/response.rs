//! Responses of OTLP: success, partial success or a `google.rpc.Status`, in the encoding of the request and with a status
//! code that says whether to retry.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::http::problem::Problem;
use crate::ingest::otlp::TraceFormat;
use crate::model::varint::put_varint;

/// Maximum `Retry-After`, in seconds: clients give up after 10 s in all.
pub(super) const WAIT_MAX_S: u64 = 2;
/// Type of the detail that makes a gRPC client retry.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// The gRPC status codes in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GrpcCode {
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// A failure, for both transports.
#[derive(Clone, Debug)]
pub(super) struct OtlpFailure {
    pub(super) code: GrpcCode,
    pub(super) message: String,
    status: StatusCode,
    /// Seconds after which the client may retry; `None` if it must not.
    pub(super) retry_after_s: Option<u64>,
    headers: Box<axum::http::HeaderMap>,
}

impl OtlpFailure {
    pub(super) fn new(code: GrpcCode, status: StatusCode, message: impl Into<String>) -> Self {
        let headers = Box::default();
        Self { code, message: message.into(), status, retry_after_s: None, headers }
    }

    /// Adds a header to the HTTP response.
    pub(super) fn with_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The HTTP response.
    pub(super) fn into_response(self, format: TraceFormat) -> Response {
        let body = match format {
            TraceFormat::Protobuf => self.status_message(),
            TraceFormat::Json => {
                json!({"code": self.code as u8, "message": self.message}).to_string().into_bytes()
            }
        };
        let retry_after = self.retry_after_s.map(|seconds| [(header::RETRY_AFTER, seconds)]);
        (*self.headers, retry_after, respond(self.status, format, body)).into_response()
    }

    /// `google.rpc.Status` in protobuf.
    pub(super) fn status_message(&self) -> Vec<u8> {
        let mut status = vec![0x08, self.code as u8];
        put_bytes(&mut status, 2, self.message.as_bytes());
        if let Some(info) = self.retry_info() {
            let mut any = Vec::new();
            put_bytes(&mut any, 1, RETRY_INFO.as_bytes());
            put_bytes(&mut any, 2, &info);
            put_bytes(&mut status, 3, &any);
        }
        status
    }

    /// `google.rpc.RetryInfo` in protobuf, if the client may retry.
    pub(super) fn retry_info(&self) -> Option<Vec<u8>> {
        let mut duration = vec![0x08];
        put_varint(&mut duration, self.retry_after_s?);
        let mut info = Vec::new();
        put_bytes(&mut info, 1, &duration);
        Some(info)
    }
}

impl From<Problem> for OtlpFailure {
    fn from(problem: Problem) -> Self {
        let slug = problem.slug();
        match problem.cause.as_deref() {
            cause if problem.is_logged_at_its_source() => tracing::debug!(cause, "OTLP: {slug}"),
            Some(cause) => tracing::error!(cause, "OTLP: {slug}"),
            None if problem.status().is_server_error() => tracing::warn!("OTLP: {slug}"),
            None => {}
        }
        let status = problem.status();
        let code = match status {
            StatusCode::UNAUTHORIZED => GrpcCode::Unauthenticated,
            StatusCode::FORBIDDEN => GrpcCode::PermissionDenied,
            StatusCode::REQUEST_TIMEOUT => GrpcCode::DeadlineExceeded,
            StatusCode::PAYLOAD_TOO_LARGE => GrpcCode::ResourceExhausted,
            StatusCode::TOO_MANY_REQUESTS => GrpcCode::Unavailable,
            _ if status.is_server_error() => GrpcCode::Unavailable,
            _ => GrpcCode::InvalidArgument,
        };
        // A retry may succeed after any failure of the server, but clients do not retry after a 500.
        let is_of_server = status.is_server_error();
        let status = if is_of_server { StatusCode::SERVICE_UNAVAILABLE } else { status };
        let mut failure = Self::new(code, status, problem.detail);
        failure.headers = problem.headers;
        let asked_s = failure.headers.remove(header::RETRY_AFTER);
        if code == GrpcCode::Unavailable {
            let asked_s = asked_s.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            failure.retry_after_s = Some(asked_s.unwrap_or(1).clamp(1, WAIT_MAX_S));
        }
        failure
    }
}

/// Spans that were not stored, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RejectedSpans {
    pub(super) spans: usize,
    pub(super) reason: String,
}

impl RejectedSpans {
    /// Counts spans that are not stored; the first reason is kept.
    pub(super) fn add(&mut self, spans: usize, reason: impl FnOnce() -> String) {
        if self.spans == 0 && spans > 0 {
            self.reason = reason();
        }
        self.spans += spans;
    }
}

/// The body of a success; empty if every span was stored.
pub(super) fn success_message(rejected: &RejectedSpans, format: TraceFormat) -> Vec<u8> {
    let RejectedSpans { spans, reason } = rejected;
    match (format, spans) {
        (TraceFormat::Protobuf, 0) => Vec::new(),
        (TraceFormat::Json, 0) => b"{}".to_vec(),
        (TraceFormat::Json, spans) => {
            // JSON has 64-bit numbers as text.
            let partial = json!({"rejectedSpans": spans.to_string(), "errorMessage": reason});
            json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
        (TraceFormat::Protobuf, spans) => {
            let mut partial = vec![0x08];
            put_varint(&mut partial, u64::try_from(*spans).unwrap_or(u64::MAX));
            put_bytes(&mut partial, 2, reason.as_bytes());
            let mut message = Vec::new();
            put_bytes(&mut message, 1, &partial);
            message
        }
    }
}

/// An HTTP response in the encoding of the request.
pub(super) fn respond(status: StatusCode, format: TraceFormat, body: Vec<u8>) -> Response {
    let content_type = match format {
        TraceFormat::Protobuf => "application/x-protobuf",
        TraceFormat::Json => "application/json",
    };
    (status, [(header::CONTENT_TYPE, content_type)], Body::from(body)).into_response()
}

fn put_bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | 2);
    put_varint(message, u64::try_from(bytes.len()).unwrap_or(0));
    message.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, StorageError, StorageErrorKind};
    use crate::http::problem::ProblemKind;

    fn failure(kind: StorageErrorKind) -> OtlpFailure {
        let source = StorageError { kind, message: "secret words".into() };
        Problem::from(Error::Storage { operation: "append", source }).into()
    }

    #[test]
    fn whatever_fails_in_the_server_is_sent_again_soon() {
        for kind in [StorageErrorKind::DiskFull, StorageErrorKind::Busy, StorageErrorKind::Damaged]
        {
            let failure = failure(kind);
            assert_eq!(failure.code, GrpcCode::Unavailable);
            assert!(!failure.message.contains("secret"), "{}", failure.message);
            let response = failure.into_response(TraceFormat::Protobuf);
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            let wait: u64 =
                response.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
            assert!((1..=WAIT_MAX_S).contains(&wait));
        }
    }

    #[test]
    fn what_will_never_be_taken_is_not_sent_again() {
        for (kind, status) in [
            (ProblemKind::BodyTooLarge, 413),
            (ProblemKind::InvalidBody, 400),
            (ProblemKind::Unauthorized, 401),
        ] {
            let failure = OtlpFailure::from(Problem::new(kind, "no"));
            assert_eq!(failure.retry_info(), None);
            let response = failure.into_response(TraceFormat::Json);
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
            assert!(!response.headers().contains_key(header::RETRY_AFTER));
        }
    }

    #[test]
    fn messages_are_in_the_encoding_of_the_request() {
        let none = RejectedSpans::default();
        assert!(success_message(&none, TraceFormat::Protobuf).is_empty());
        assert_eq!(success_message(&none, TraceFormat::Json), b"{}");
        let some = RejectedSpans { spans: 300, reason: "no".into() };
        let json = success_message(&some, TraceFormat::Json);
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["partialSuccess"]["rejectedSpans"], "300");
        let protobuf = success_message(&some, TraceFormat::Protobuf);
        assert_eq!(protobuf, [10, 7, 8, 0xac, 2, 18, 2, b'n', b'o']);
        let mut failure =
            OtlpFailure::new(GrpcCode::Unavailable, StatusCode::SERVICE_UNAVAILABLE, "x");
        failure.retry_after_s = Some(1);
        assert_eq!(failure.retry_info().unwrap(), [10, 2, 8, 1]);
        assert_eq!(failure.status_message()[..5], [8, 14, 18, 1, b'x']);
    }
}
