//! The gateway's own error responses, in the format of the provider that the client expects.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::provider::Dialect;

/// Why the gateway rejects a request or cannot complete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GatewayProblem {
    pub(super) status: StatusCode,
    /// Machine-readable.
    pub(super) code: &'static str,
    /// What to do about it; never quotes the request.
    pub(super) message: &'static str,
}

/// Declares problems as constants: status, code and message.
macro_rules! problems {
    ($($name:ident = $status:ident, $code:literal, $message:literal;)+) => {
        impl GatewayProblem {
            $(pub(super) const $name: Self =
                Self { status: StatusCode::$status, code: $code, message: $message };)+
        }
    };
}

problems! {
    NO_UPSTREAM = NOT_FOUND, "unknown_upstream",
        "no such upstream; use /v1/..., /NAME/v1/... or /s/SPACE/NAME/v1/... with a NAME of \
         [gateway.upstreams]";
    NO_UPGRADES = NOT_IMPLEMENTED, "upgrade_not_supported",
        "the gateway does not upgrade connections; use plain HTTP, or call the provider directly";
    TOO_LARGE = PAYLOAD_TOO_LARGE, "request_too_large",
        "the body is larger than gateway.body_max_bytes";
    BUSY = SERVICE_UNAVAILABLE, "gateway_busy",
        "too many requests in flight (gateway.max_concurrent_requests); try again";
    BAD_BODY = BAD_REQUEST, "unreadable_body", "the request body is incomplete";
    SLOW_BODY = REQUEST_TIMEOUT, "request_timeout",
        "timed out reading the request body (gateway.idle_timeout_seconds)";
    BAD_ADDRESS = BAD_REQUEST, "unreadable_path", "the path does not form a valid URL";
    NO_CONNECTION = BAD_GATEWAY, "upstream_unreachable",
        "no response from the upstream: connecting failed or the connection was lost";
    TIMED_OUT = GATEWAY_TIMEOUT, "upstream_timeout", "the upstream timed out";
}

impl GatewayProblem {
    /// The response.
    pub(super) fn into_response(self, dialect: Option<Dialect>) -> Response {
        let Self { status, code, message } = self;
        let body = if dialect == Some(Dialect::Messages) {
            json!({"type": "error", "error": {"type": "api_error", "message": message, "details": {"error_code": code}}})
        } else {
            json!({"error": {"message": message, "type": "gateway_error", "param": null, "code": code}})
        };
        let headers = [(CONTENT_TYPE, "application/json")];
        let is_busy = status == StatusCode::SERVICE_UNAVAILABLE;
        let retry_after = is_busy.then_some([(RETRY_AFTER, "1")]);
        (status, headers, retry_after, body.to_string()).into_response()
    }
}
