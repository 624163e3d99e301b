//! Failed requests as RFC 9457 problems: a public part for the client and a cause for the log.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::{Error, StorageErrorKind};

/// Media type of a problem.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
const TYPE_PREFIX: &str = "urn:chatgauge:problem:";

/// Declares [`ProblemKind`]. `NotFound = "not-found", "Not found", NOT_FOUND;` is a kind with the `type`
/// `urn:chatgauge:problem:not-found`, the `title` "Not found" and the status 404.
macro_rules! problem_kinds {
    ($($kind:ident = $slug:literal, $title:literal, $status:ident;)+) => {
        /// The kind of a problem; its type, title and status are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum ProblemKind { $($kind,)+ }

        impl ProblemKind {
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$kind,)+];

            /// The `type` after [`TYPE_PREFIX`], the `title`, and the status.
            const fn facts(self) -> (&'static str, &'static str, StatusCode) {
                match self { $(Self::$kind => ($slug, $title, StatusCode::$status),)+ }
            }
        }
    };
}

problem_kinds! {
    InvalidQuery = "invalid-query", "Invalid parameter", BAD_REQUEST;
    InvalidBody = "invalid-body", "Invalid body", BAD_REQUEST;
    InvalidRecord = "invalid-record", "Invalid record", BAD_REQUEST;
    UnknownName = "unknown-name", "Unknown name", UNPROCESSABLE_ENTITY;
    Unauthorized = "unauthorized", "Unauthorized", UNAUTHORIZED;
    Forbidden = "forbidden", "Forbidden", FORBIDDEN;
    NotFound = "not-found", "Not found", NOT_FOUND;
    Conflict = "conflict", "Conflict", CONFLICT;
    MethodNotAllowed = "method-not-allowed", "Method not allowed", METHOD_NOT_ALLOWED;
    BodyTimeout = "body-timeout", "Body timeout", REQUEST_TIMEOUT;
    BodyTooLarge = "body-too-large", "Body too large", PAYLOAD_TOO_LARGE;
    UnsupportedMediaType = "unsupported-media-type", "Unsupported media type", UNSUPPORTED_MEDIA_TYPE;
    RateLimited = "rate-limited", "Too many requests", TOO_MANY_REQUESTS;
    Overloaded = "overloaded", "Server overloaded", SERVICE_UNAVAILABLE;
    ShuttingDown = "shutting-down", "Server shutting down", SERVICE_UNAVAILABLE;
    DiskFull = "disk-full", "Disk full", SERVICE_UNAVAILABLE;
    StoreFailed = "store-failed", "Storage failure", SERVICE_UNAVAILABLE;
    QueryTimeout = "query-timeout", "Query timeout", SERVICE_UNAVAILABLE;
    Unavailable = "unavailable", "Service unavailable", SERVICE_UNAVAILABLE;
    Internal = "internal", "Internal server error", INTERNAL_SERVER_ERROR;
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct Violation {
    /// The parameter, or the field of the body.
    pub(crate) parameter: Cow<'static, str>,
    /// The fault and its remedy.
    pub(crate) detail: String,
}

/// Records that are on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct Stored {
    /// Stored now.
    pub(crate) accepted: usize,
    /// Stored before.
    pub(crate) duplicates: usize,
}

/// A failed request: a public part for the client and a cause for the log.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) kind: ProblemKind,
    /// The fault and its remedy, for the client.
    pub(crate) detail: String,
    errors: Vec<Violation>,
    /// Headers of the response.
    pub(crate) headers: Box<HeaderMap>,
    stored: Option<Stored>,
    /// Cause, which is logged but not sent to the client.
    pub(crate) cause: Option<String>,
}

/// The wire form of a problem (RFC 9457).
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// Stable identifier of the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of problem in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The fault of this request and its remedy.
    detail: &'a str,
    /// The request's id, as in `X-Request-Id` and the server's log.
    instance: &'a str,
    /// Each violation, if the position is known.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Violation],
    /// Counts of the records of a large body that were stored before the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stored: Option<Stored>,
}

impl Problem {
    /// A problem of this kind.
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let (detail, headers) = (detail.into(), Box::default());
        Self { kind, detail, errors: Vec::new(), headers, stored: None, cause: None }
    }

    /// The client may not do this.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Forbidden, detail)
    }

    /// Nothing has this name, or nothing that the client may see.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::NotFound, detail)
    }

    /// An invalid parameter.
    pub(crate) fn parameter(
        parameter: impl Into<Cow<'static, str>>,
        reason: impl Into<String>,
    ) -> Self {
        Self::violation(ProblemKind::InvalidQuery, parameter, reason)
    }

    /// An invalid field of the body.
    pub(crate) fn field(field: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        Self::violation(ProblemKind::InvalidBody, field, reason)
    }

    /// Makes a problem of a parameter one of a field of the body, where the service was given values of the body.
    #[must_use]
    pub(crate) fn of_body(mut self) -> Self {
        if self.kind == ProblemKind::InvalidQuery {
            self.kind = ProblemKind::InvalidBody;
        }
        self
    }

    /// A problem with one parameter or field.
    pub(crate) fn violation(
        kind: ProblemKind,
        parameter: impl Into<Cow<'static, str>>,
        reason: impl Into<String>,
    ) -> Self {
        let violation = Violation { parameter: parameter.into(), detail: reason.into() };
        let detail = format!("{}: {}", violation.parameter, violation.detail);
        Self { errors: vec![violation], ..Self::new(kind, detail) }
    }

    /// A failure of the server; its cause goes only to the log.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let public = "the cause is in the server's log under this request id";
        Self { cause: Some(cause.into()), ..Self::new(ProblemKind::Internal, public) }
    }

    /// Sets `Retry-After`, in seconds.
    #[must_use]
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds a header to the response.
    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Adds the number of records that were stored before the failure, unless it is 0.
    #[must_use]
    pub(crate) fn with_stored(self, stored: Stored) -> Self {
        Self { stored: Some(stored).filter(|stored| *stored != Stored::default()), ..self }
    }

    /// The status of the response.
    pub(crate) fn status(&self) -> StatusCode {
        self.kind.facts().2
    }

    /// Whether the part that failed writes its own log line, for the first of many failures in a row: all 503 except query
    /// timeouts.
    pub(crate) fn is_logged_at_its_source(&self) -> bool {
        let is_unavailable = self.status() == StatusCode::SERVICE_UNAVAILABLE;
        is_unavailable && self.kind != ProblemKind::QueryTimeout
    }

    /// The last part of the problem's type.
    pub(crate) fn slug(&self) -> &'static str {
        self.kind.facts().0
    }

    /// The body of the response to the request with this id.
    pub(crate) fn body(&self, instance: &str) -> Vec<u8> {
        let (slug, title, status) = self.kind.facts();
        let body = ProblemBody {
            kind: format!("{TYPE_PREFIX}{slug}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            instance,
            errors: &self.errors,
            stored: self.stored,
        };
        // Strings and numbers always serialize.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

/// The only mapping from the library's errors.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        use ProblemKind as Kind;
        let words = error.to_string();
        let (kind, detail, retry_after_s) = match &error {
            Error::InvalidQuery { parameter, reason } => {
                return Self::parameter(*parameter, reason);
            }
            Error::InvalidRecord { field, reason } => {
                return Self::violation(Kind::InvalidRecord, *field, reason);
            }
            Error::InvalidConfig { key, reason } => return Self::field(key.clone(), reason),
            Error::Overloaded { .. } | Error::Busy { .. } => {
                return Self::new(Kind::Overloaded, words).retry_after(1);
            }
            Error::Closed => return Self::new(Kind::ShuttingDown, words).retry_after(5),
            Error::Database { .. } | Error::PseudonymKey { .. } | Error::Io { .. } => {
                return Self::internal(words);
            }
            Error::Storage { source, .. } => match source.kind {
                StorageErrorKind::DiskFull => (
                    Kind::DiskFull,
                    "nothing was stored; free some space on the disk of the database and send again",
                    30,
                ),
                StorageErrorKind::Interrupted => (
                    Kind::QueryTimeout,
                    "the time limit was reached; ask for a shorter range or fewer groups",
                    1,
                ),
                StorageErrorKind::Busy => (Kind::Unavailable, source.kind.public_words(), 1),
                StorageErrorKind::Io
                | StorageErrorKind::SyncFailed
                | StorageErrorKind::Misplaced
                | StorageErrorKind::ReadOnly
                | StorageErrorKind::Damaged => (Kind::StoreFailed, source.kind.public_words(), 10),
                StorageErrorKind::Statement | StorageErrorKind::Other => {
                    return Self::internal(words);
                }
            },
        };
        Self { cause: Some(words), ..Self::new(kind, detail) }.retry_after(retry_after_s)
    }
}

/// Carries the problem to the outermost layer, which knows the request's id and writes the body.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.headers_mut().extend((*self.headers).clone());
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StorageError;

    fn storage(kind: StorageErrorKind) -> Error {
        let source = StorageError { kind, message: "secret words".into() };
        Error::Storage { operation: "append", source }
    }

    #[test]
    fn every_error_has_its_status_and_only_public_words() {
        let cases = [
            (Error::invalid_query("start", "is late"), 400, None),
            (Error::invalid_record("model", "is long"), 400, None),
            (Error::Overloaded { queued_records: 7 }, 503, Some("1")),
            (Error::Closed, 503, Some("5")),
            (storage(StorageErrorKind::DiskFull), 503, Some("30")),
            (storage(StorageErrorKind::Interrupted), 503, Some("1")),
            (storage(StorageErrorKind::Busy), 503, Some("1")),
            (storage(StorageErrorKind::Damaged), 503, Some("10")),
            (storage(StorageErrorKind::Io), 503, Some("10")),
            (storage(StorageErrorKind::SyncFailed), 503, Some("10")),
            (storage(StorageErrorKind::Other), 500, None),
            (Error::database("/private/path.db", "is damaged"), 500, None),
        ];
        for (error, status, retry_after) in cases {
            let text = error.to_string();
            let problem = Problem::from(error);
            assert_eq!(problem.status().as_u16(), status, "{text}");
            let body = String::from_utf8(problem.body("id-1")).unwrap();
            assert!(!body.contains("secret words") && !body.contains("/private"), "{body}");
            if status == 500 {
                assert_eq!(problem.cause.as_deref(), Some(text.as_str()));
            }
            let response = problem.into_response();
            let header = response.headers().get(header::RETRY_AFTER);
            assert_eq!(header.map(|value| value.to_str().unwrap()), retry_after, "{text}");
        }
    }

    #[test]
    fn the_body_has_the_members_of_rfc_9457() {
        let problem = Problem::parameter("tz", "there is no such zone");
        let body: serde_json::Value = serde_json::from_slice(&problem.body("id-1")).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:chatgauge:problem:invalid-query",
                "title": "Invalid parameter",
                "status": 400,
                "detail": "tz: there is no such zone",
                "instance": "id-1",
                "errors": [{"parameter": "tz", "detail": "there is no such zone"}],
            })
        );
    }

    #[test]
    fn kinds_are_told_apart() {
        let slugs: std::collections::HashSet<_> =
            ProblemKind::ALL.iter().map(|kind| kind.facts().0).collect();
        assert_eq!(slugs.len(), ProblemKind::ALL.len());
    }
}
