//! Classifies provider errors: each has exactly one type.

use crate::model::{ErrorType, Name};
use crate::privacy::is_label;

/// The machine-readable codes of a provider error. Its message is not read, because it may quote
/// prompts and parts of API keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorCodes {
    /// `error.type`.
    pub kind: Option<Name>,
    /// `error.code`; numbers as text.
    pub code: Option<Name>,
    /// `error.innererror.code`.
    pub inner: Option<Name>,
}

impl ErrorCodes {
    fn all(&self) -> impl Iterator<Item = &str> {
        [&self.inner, &self.code, &self.kind].into_iter().flatten().map(Name::as_str)
    }

    fn is_any_of(&self, codes: &[&str]) -> bool {
        self.all().any(|code| codes.contains(&code))
    }

    /// The most specific code that is an identifier and not an HTTP status.
    pub fn error_code(&self) -> Option<&str> {
        let is_specific = |code: &&str| is_label(code) && code.parse::<u16>().is_err();
        self.all().find(is_specific)
    }
}

const TIMEOUT: &[&str] = &["timeout_error", "timeout", "vector_store_timeout"];
const CONTENT_FILTER: &[&str] = &[
    "content_filter",
    "content_policy_violation",
    "moderation_blocked",
    "ResponsibleAIPolicyViolation",
    "image_content_policy_violation",
    "bio_policy",
    "misalignment_policy_violation",
];
const RATE_LIMIT: &[&str] =
    &["rate_limit_exceeded", "rate_limit_error", "insufficient_quota", "tokens", "requests"];
const AUTH: &[&str] =
    &["authentication_error", "permission_error", "invalid_api_key", "billing_error"];
const VALIDATION: &[&str] = &[
    "invalid_request_error",
    "not_found_error",
    "request_too_large",
    "context_length_exceeded",
    "invalid_prompt",
];
const SERVER: &[&str] = &["overloaded_error", "api_error", "server_error"];

/// The type of an error with HTTP `status`, or inside a stream with a successful status. The first
/// matching rule wins.
pub fn classify(status: Option<u16>, codes: &ErrorCodes) -> ErrorType {
    let status = status.unwrap_or(200);
    if matches!(status, 408 | 504 | 522 | 524) || codes.is_any_of(TIMEOUT) {
        ErrorType::Timeout
    } else if codes.is_any_of(CONTENT_FILTER) {
        ErrorType::ContentFilter
    } else if status == 429 || codes.is_any_of(RATE_LIMIT) {
        ErrorType::RateLimit
    } else if matches!(status, 401 | 402 | 403 | 407) || codes.is_any_of(AUTH) {
        ErrorType::Auth
    } else if matches!(status, 400 | 404 | 405 | 409 | 413 | 415 | 422 | 431) {
        ErrorType::Validation
    } else if status >= 500 || codes.is_any_of(SERVER) {
        ErrorType::Server
    } else if codes.is_any_of(VALIDATION) {
        ErrorType::Validation
    } else {
        numeric(codes)
            .map_or(ErrorType::Other, |status| classify(Some(status), &ErrorCodes::default()))
    }
}

/// Some relays put the HTTP status into the code of an error inside a stream.
fn numeric(codes: &ErrorCodes) -> Option<u16> {
    codes.code.as_ref()?.parse().ok().filter(|status| (400..600).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(kind: &str, code: &str, inner: &str) -> ErrorCodes {
        let name = |text: &str| (!text.is_empty()).then(|| Name::new(text));
        ErrorCodes { kind: name(kind), code: name(code), inner: name(inner) }
    }

    #[test]
    fn every_error_has_one_type() {
        for (status, kind, code, inner, expected) in [
            (429, "rate_limit_error", "rate_limit_exceeded", "", ErrorType::RateLimit),
            (429, "insufficient_quota", "insufficient_quota", "", ErrorType::RateLimit),
            (402, "billing_error", "", "", ErrorType::Auth),
            (401, "authentication_error", "", "", ErrorType::Auth),
            (400, "invalid_request_error", "context_length_exceeded", "", ErrorType::Validation),
            (400, "", "content_filter", "ResponsibleAIPolicyViolation", ErrorType::ContentFilter),
            (413, "request_too_large", "", "", ErrorType::Validation),
            (500, "server_error", "", "", ErrorType::Server),
            (529, "overloaded_error", "", "", ErrorType::Server),
            (504, "timeout_error", "", "", ErrorType::Timeout),
            (524, "", "", "", ErrorType::Timeout),
            (200, "overloaded_error", "", "", ErrorType::Server),
            (200, "", "rate_limit_exceeded", "", ErrorType::RateLimit),
            (200, "", "vector_store_timeout", "", ErrorType::Timeout),
            (200, "invalid_request_error", "", "", ErrorType::Validation),
            (200, "", "429", "", ErrorType::RateLimit),
            (200, "", "200", "", ErrorType::Other),
            (418, "", "", "", ErrorType::Other),
        ] {
            let found = classify(Some(status), &codes(kind, code, inner));
            assert_eq!(found, expected, "{status} {kind} {code} {inner}");
        }
    }

    #[test]
    fn an_error_code_is_a_label_and_never_a_sentence() {
        let code = |kind, code, inner| codes(kind, code, inner).error_code().map(ToOwned::to_owned);
        assert_eq!(code("rate_limit_error", "429", "").as_deref(), Some("rate_limit_error"));
        assert_eq!(code("x", "insufficient_quota", "").as_deref(), Some("insufficient_quota"));
        assert_eq!(code("", "no such key: sk-SECRET", ""), None);
    }
}
