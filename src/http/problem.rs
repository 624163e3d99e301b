//! RFC 9457 problems: what the caller hears when a request fails, and what the log hears.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::{Error, StorageErrorKind};

/// Media type of a problem.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
const TYPE_PREFIX: &str = "urn:chatgauge:problem:";

/// The kinds of problems; their names and meanings are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    InvalidQuery,
    InvalidBody,
    InvalidRecord,
    UnknownName,
    Unauthorized,
    Forbidden,
    NotFound,
    Conflict,
    MethodNotAllowed,
    BodyTimeout,
    BodyTooLarge,
    UnsupportedMediaType,
    RateLimited,
    Overloaded,
    ShuttingDown,
    DiskFull,
    StoreFailed,
    QueryTimeout,
    Unavailable,
    Internal,
}

impl Kind {
    /// Every kind.
    #[cfg(test)]
    const ALL: [Self; 20] = [
        Self::InvalidQuery,
        Self::InvalidBody,
        Self::InvalidRecord,
        Self::UnknownName,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::MethodNotAllowed,
        Self::BodyTimeout,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::RateLimited,
        Self::Overloaded,
        Self::ShuttingDown,
        Self::DiskFull,
        Self::StoreFailed,
        Self::QueryTimeout,
        Self::Unavailable,
        Self::Internal,
    ];

    /// Last part of the problem's `type`, its `title` and its status.
    const fn facts(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::InvalidQuery => {
                ("invalid-query", "A parameter is not acceptable", StatusCode::BAD_REQUEST)
            }
            Self::InvalidBody => {
                ("invalid-body", "The body cannot be read", StatusCode::BAD_REQUEST)
            }
            Self::InvalidRecord => {
                ("invalid-record", "A record is not acceptable", StatusCode::BAD_REQUEST)
            }
            Self::UnknownName => {
                ("unknown-name", "A name stands for nothing", StatusCode::UNPROCESSABLE_ENTITY)
            }
            Self::Unauthorized => {
                ("unauthorized", "A valid token is needed", StatusCode::UNAUTHORIZED)
            }
            Self::Forbidden => {
                ("forbidden", "The token does not allow this", StatusCode::FORBIDDEN)
            }
            Self::NotFound => ("not-found", "There is nothing here", StatusCode::NOT_FOUND),
            Self::Conflict => ("conflict", "It is too late for this", StatusCode::CONFLICT),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                "The method is not supported here",
                StatusCode::METHOD_NOT_ALLOWED,
            ),
            Self::BodyTimeout => {
                ("body-timeout", "The body stopped arriving", StatusCode::REQUEST_TIMEOUT)
            }
            Self::BodyTooLarge => {
                ("body-too-large", "The body is too large", StatusCode::PAYLOAD_TOO_LARGE)
            }
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                "The type or encoding of the body is not supported",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ),
            Self::RateLimited => {
                ("rate-limited", "Too many requests", StatusCode::TOO_MANY_REQUESTS)
            }
            Self::Overloaded => {
                ("overloaded", "The server is busy", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::ShuttingDown => {
                ("shutting-down", "The server is shutting down", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::DiskFull => {
                ("disk-full", "The server's disk is full", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::StoreFailed => {
                ("store-failed", "Storage failure", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::QueryTimeout => {
                ("query-timeout", "The query took too long", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Unavailable => {
                ("unavailable", "The server cannot do this now", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Internal => ("internal", "The server failed", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct Violation {
    /// The parameter, or the field of the body.
    pub(crate) parameter: Cow<'static, str>,
    /// What is wrong with it and what would be right.
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

/// A failed request: a public part for the caller and a cause for the log.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Details>);

#[derive(Clone, Debug)]
struct Details {
    kind: Kind,
    detail: String,
    errors: Vec<Violation>,
    headers: HeaderMap,
    stored: Option<Stored>,
    cause: Option<String>,
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
    /// What is wrong this time and what to do about it.
    detail: &'a str,
    /// The request's id, as in `X-Request-Id` and the server's log.
    instance: &'a str,
    /// Each thing that is wrong, where it can be told.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Violation],
    /// What was stored of a large body of records before something went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stored: Option<Stored>,
}

impl Problem {
    /// A problem of this kind.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            headers: HeaderMap::new(),
            stored: None,
            cause: None,
        }))
    }

    /// A parameter that is not acceptable.
    pub(crate) fn parameter(
        parameter: impl Into<Cow<'static, str>>,
        reason: impl Into<String>,
    ) -> Self {
        Self::violation(Kind::InvalidQuery, parameter.into(), reason.into())
    }

    /// A field of the body that is not acceptable.
    pub(crate) fn field(field: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        Self::violation(Kind::InvalidBody, field.into(), reason.into())
    }

    /// A field of the body that names what is not there.
    pub(crate) fn unknown(field: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        Self::violation(Kind::UnknownName, field.into(), reason.into())
    }

    fn violation(kind: Kind, parameter: Cow<'static, str>, reason: String) -> Self {
        let mut problem = Self::new(kind, format!("{parameter}: {reason}"));
        problem.0.errors.push(Violation { parameter, detail: reason });
        problem
    }

    /// A failure that the caller is told nothing about; the cause goes to the log.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let public = "the cause is in the server's log under this request id";
        Self::new(Kind::Internal, public).with_cause(cause)
    }

    /// Asks the caller to come back after this many seconds.
    #[must_use]
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds a header to the answer.
    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Says what was stored all the same, if anything was.
    #[must_use]
    pub(crate) fn with_stored(mut self, stored: Stored) -> Self {
        self.0.stored = Some(stored).filter(|stored| *stored != Stored::default());
        self
    }

    fn with_cause(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.kind.facts().2
    }

    /// The kind of problem.
    #[cfg(test)]
    pub(crate) fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The public words, for answers in another form.
    pub(crate) fn public_words(&self) -> &str {
        &self.0.detail
    }

    /// Headers of the answer.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// What the log is told beside the public words.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Whether the part that failed writes its own line to the log, for the first of many failures in a row.
    pub(crate) const fn is_logged_at_its_source(&self) -> bool {
        matches!(
            self.0.kind,
            Kind::DiskFull
                | Kind::StoreFailed
                | Kind::Unavailable
                | Kind::Overloaded
                | Kind::ShuttingDown
        )
    }

    /// The last part of the problem's type.
    pub(crate) fn slug(&self) -> &'static str {
        self.0.kind.facts().0
    }

    /// The body, for the request with this id.
    pub(crate) fn body(&self, instance: &str) -> Vec<u8> {
        let (slug, title, status) = self.0.kind.facts();
        let body = ProblemBody {
            kind: format!("{TYPE_PREFIX}{slug}"),
            title,
            status: status.as_u16(),
            detail: &self.0.detail,
            instance,
            errors: &self.0.errors,
            stored: self.0.stored,
        };
        // Strings and numbers only: this cannot fail, and an empty body is still an error status.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

/// The one mapping from the library's errors.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match &error {
            Error::InvalidQuery { parameter, reason } => Self::parameter(*parameter, reason),
            Error::InvalidRecord { field, reason } => {
                Self::violation(Kind::InvalidRecord, (*field).into(), reason.clone())
            }
            Error::InvalidConfig { key, reason } => Self::field(key.clone(), reason),
            Error::Overloaded { .. } | Error::Busy { .. } => {
                Self::new(Kind::Overloaded, error.to_string()).retry_after(1)
            }
            Error::Closed => Self::new(Kind::ShuttingDown, error.to_string()).retry_after(5),
            Error::Storage { source, .. } => match source.kind {
                StorageErrorKind::DiskFull => Self::new(
                    Kind::DiskFull,
                    "nothing was stored; free some space on the disk of the database and send again",
                )
                .retry_after(30),
                StorageErrorKind::Interrupted => Self::new(
                    Kind::QueryTimeout,
                    "the time limit was reached; ask for a shorter range or fewer groups",
                )
                .retry_after(1),
                StorageErrorKind::Busy => {
                    Self::new(Kind::Unavailable, source.kind.public_words()).retry_after(1)
                }
                StorageErrorKind::Io
                | StorageErrorKind::SyncFailed
                | StorageErrorKind::Misplaced
                | StorageErrorKind::ReadOnly
                | StorageErrorKind::Damaged => {
                    Self::new(Kind::StoreFailed, source.kind.public_words()).retry_after(10)
                }
                StorageErrorKind::Statement | StorageErrorKind::Other => {
                    return Self::internal(error.to_string());
                }
            }
            .with_cause(error.to_string()),
            Error::Database { .. } | Error::PseudonymKey { .. } | Error::Io { .. } => Self::internal(error.to_string()),
        }
    }
}

/// Carries the problem to the outermost layer, which knows the request's id and writes the body.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.headers_mut().extend(self.0.headers.clone());
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
                assert_eq!(problem.cause(), Some(text.as_str()));
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
                "title": "A parameter is not acceptable",
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
            Kind::ALL.into_iter().map(|kind| kind.facts().0).collect();
        assert_eq!(slugs.len(), Kind::ALL.len());
    }
}
