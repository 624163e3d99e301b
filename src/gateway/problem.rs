//! The gateway's own error responses, in the format of the provider that the client expects.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::json;

use crate::provider::Dialect;

/// Why the gateway rejects a request or cannot complete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// Machine-readable.
    pub(super) code: &'static str,
    /// What to do about it; never quotes the request.
    pub(super) message: &'static str,
}

impl Problem {
    pub(super) const NO_UPSTREAM: Self = Self {
        status: StatusCode::NOT_FOUND,
        code: "unknown_upstream",
        message: "no such upstream; use /v1/..., /NAME/v1/... or /s/SPACE/NAME/v1/... with a NAME of \
                  [gateway.upstreams]",
    };
    pub(super) const NO_UPGRADES: Self = Self {
        status: StatusCode::NOT_IMPLEMENTED,
        code: "upgrade_not_supported",
        message: "the gateway does not upgrade connections; use plain HTTP, or call the provider directly",
    };
    pub(super) const TOO_LARGE: Self = Self {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        code: "request_too_large",
        message: "the body is larger than gateway.body_max_bytes",
    };
    pub(super) const BUSY: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "gateway_busy",
        message: "too many requests in flight (gateway.max_concurrent_requests); try again",
    };
    pub(super) const BAD_BODY: Self = Self {
        status: StatusCode::BAD_REQUEST,
        code: "unreadable_body",
        message: "the request body is incomplete",
    };
    pub(super) const SLOW_BODY: Self = Self {
        status: StatusCode::REQUEST_TIMEOUT,
        code: "request_timeout",
        message: "timed out reading the request body (gateway.idle_timeout_seconds)",
    };
    pub(super) const BAD_ADDRESS: Self = Self {
        status: StatusCode::BAD_REQUEST,
        code: "unreadable_path",
        message: "the path does not form a valid URL",
    };
    pub(super) const NO_CONNECTION: Self = Self {
        status: StatusCode::BAD_GATEWAY,
        code: "upstream_unreachable",
        message: "no response from the upstream: connecting failed or the connection was lost",
    };
    pub(super) const TIMED_OUT: Self = Self {
        status: StatusCode::GATEWAY_TIMEOUT,
        code: "upstream_timeout",
        message: "the upstream timed out",
    };

    /// The response.
    pub(super) fn into_response(self, dialect: Option<Dialect>) -> Response {
        let Self { status, code, message } = self;
        let body = match dialect {
            Some(Dialect::Messages) => {
                json!({"type": "error", "error": {"type": "api_error", "message": message, "details": {"error_code": code}}})
            }
            _ => {
                json!({"error": {"message": message, "type": "gateway_error", "param": null, "code": code}})
            }
        };
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
