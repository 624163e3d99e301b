//! What a client of OpenTelemetry hears: empty success, partial success, or a status, in the encoding of
//! its request and with a status code that tells it whether to send again.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::http::problem::Problem;
use crate::ingest::otlp::TraceFormat;
use crate::model::varint::put_varint;

/// Longest time a client is asked to wait, in seconds: they give up after ten in all.
pub(super) const WAIT_MAX_S: u64 = 2;
/// Type of the detail that tells a gRPC client to come back.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// The codes of gRPC that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// A failure as both transports tell it.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) message: String,
    status: StatusCode,
    /// Seconds after which the client may send the same again; `None`: it must not.
    pub(super) retry_after_s: Option<u64>,
    headers: Box<axum::http::HeaderMap>,
}

impl Failure {
    pub(super) fn new(code: Code, status: StatusCode, message: impl Into<String>) -> Self {
        let headers = Box::default();
        Self { code, message: message.into(), status, retry_after_s: None, headers }
    }

    /// With a header over HTTP.
    pub(super) fn with_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The answer over HTTP.
    pub(super) fn into_response(self, format: TraceFormat) -> Response {
        let body = match format {
            TraceFormat::Protobuf => self.status_message(),
            TraceFormat::Json => {
                json!({"code": self.code as u8, "message": self.message}).to_string().into_bytes()
            }
        };
        let mut response = answer(self.status, format, body);
        response.headers_mut().extend(*self.headers);
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
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

    /// `google.rpc.RetryInfo` in protobuf, when the client may come back.
    pub(super) fn retry_info(&self) -> Option<Vec<u8>> {
        let mut duration = vec![0x08];
        put_varint(&mut duration, self.retry_after_s?);
        let mut info = Vec::new();
        put_bytes(&mut info, 1, &duration);
        Some(info)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        if problem.is_logged_at_its_source() {
            tracing::debug!(cause = problem.cause(), "{} of OpenTelemetry", problem.slug());
        } else if let Some(cause) = problem.cause() {
            tracing::error!(cause, "{} of OpenTelemetry", problem.slug());
        } else if problem.status().is_server_error() {
            tracing::warn!("{} of OpenTelemetry", problem.slug());
        }
        let (code, status) = match problem.status() {
            StatusCode::UNAUTHORIZED => (Code::Unauthenticated, StatusCode::UNAUTHORIZED),
            StatusCode::FORBIDDEN => (Code::PermissionDenied, StatusCode::FORBIDDEN),
            StatusCode::REQUEST_TIMEOUT => (Code::DeadlineExceeded, StatusCode::REQUEST_TIMEOUT),
            StatusCode::PAYLOAD_TOO_LARGE => {
                (Code::ResourceExhausted, StatusCode::PAYLOAD_TOO_LARGE)
            }
            StatusCode::TOO_MANY_REQUESTS => (Code::Unavailable, StatusCode::TOO_MANY_REQUESTS),
            // What fails here may work later, and a client drops what is answered with a 500.
            status if status.is_server_error() => {
                (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE)
            }
            status => (Code::InvalidArgument, status),
        };
        let mut failure = Self::new(code, status, problem.public_words());
        failure.headers = Box::new(problem.headers().clone());
        let asked_s = failure.headers.remove(header::RETRY_AFTER);
        if code == Code::Unavailable {
            let asked_s = asked_s.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            failure.retry_after_s = Some(asked_s.unwrap_or(1).clamp(1, WAIT_MAX_S));
        }
        failure
    }
}

/// Spans that could not be stored, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) spans: usize,
    pub(super) reason: String,
}

impl Rejected {
    /// Counts spans that are not stored; the first reason is given.
    pub(super) fn add(&mut self, spans: usize, reason: impl FnOnce() -> String) {
        if self.spans == 0 && spans > 0 {
            self.reason = reason();
        }
        self.spans += spans;
    }
}

/// The body of a success; nothing when every span was taken.
pub(super) fn success_message(rejected: &Rejected, format: TraceFormat) -> Vec<u8> {
    let Rejected { spans, reason } = rejected;
    match (format, spans) {
        (TraceFormat::Protobuf, 0) => Vec::new(),
        (TraceFormat::Json, 0) => b"{}".to_vec(),
        (TraceFormat::Json, spans) => {
            // A 64-bit number is a text in JSON.
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

/// A success over HTTP.
pub(super) fn success(rejected: &Rejected, format: TraceFormat) -> Response {
    answer(StatusCode::OK, format, success_message(rejected, format))
}

fn answer(status: StatusCode, format: TraceFormat, body: Vec<u8>) -> Response {
    let content_type = match format {
        TraceFormat::Protobuf => "application/x-protobuf",
        TraceFormat::Json => "application/json",
    };
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
    (status, headers, Body::from(body)).into_response()
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
    use crate::http::problem::Kind;

    fn failure(kind: StorageErrorKind) -> Failure {
        let source = StorageError { kind, message: "secret words".into() };
        Problem::from(Error::Storage { operation: "append", source }).into()
    }

    #[test]
    fn whatever_fails_in_the_server_is_sent_again_soon() {
        for kind in [StorageErrorKind::DiskFull, StorageErrorKind::Busy, StorageErrorKind::Damaged]
        {
            let failure = failure(kind);
            assert_eq!(failure.code, Code::Unavailable);
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
        for (kind, status) in
            [(Kind::BodyTooLarge, 413), (Kind::InvalidBody, 400), (Kind::Unauthorized, 401)]
        {
            let failure = Failure::from(Problem::new(kind, "no"));
            assert_eq!(failure.retry_info(), None);
            let response = failure.into_response(TraceFormat::Json);
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
            assert!(!response.headers().contains_key(header::RETRY_AFTER));
        }
    }

    #[test]
    fn messages_are_in_the_encoding_of_the_request() {
        let none = Rejected::default();
        assert!(success_message(&none, TraceFormat::Protobuf).is_empty());
        assert_eq!(success_message(&none, TraceFormat::Json), b"{}");
        let some = Rejected { spans: 300, reason: "no".into() };
        let json = success_message(&some, TraceFormat::Json);
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["partialSuccess"]["rejectedSpans"], "300");
        let protobuf = success_message(&some, TraceFormat::Protobuf);
        assert_eq!(protobuf, [10, 7, 8, 0xac, 2, 18, 2, b'n', b'o']);
        let mut failure = Failure::new(Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE, "x");
        failure.retry_after_s = Some(1);
        assert_eq!(failure.retry_info().unwrap(), [10, 2, 8, 1]);
        assert_eq!(failure.status_message()[..5], [8, 14, 18, 1, b'x']);
    }
}
