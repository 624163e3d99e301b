//! Errors of providers, in exactly one type each.

use crate::model::{ErrorType, Name};
use crate::privacy::is_label;

/// The words by which a provider names an error. Its message is not among them: it quotes what people
/// wrote and parts of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorWords {
    /// `error.type`.
    pub kind: Option<Name>,
    /// `error.code`; numbers as text.
    pub code: Option<Name>,
    /// `error.innererror.code`.
    pub inner: Option<Name>,
}

impl ErrorWords {
    fn all(&self) -> impl Iterator<Item = &str> {
        [&self.inner, &self.code, &self.kind].into_iter().flatten().map(Name::as_str)
    }

    fn is_any_of(&self, words: &[&str]) -> bool {
        self.all().any(|word| words.contains(&word))
    }

    /// The most telling word that is an identifier.
    pub fn error_code(&self) -> Option<&str> {
        let is_telling = |word: &&str| is_label(word) && word.parse::<u16>().is_err();
        self.all().find(is_telling)
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

/// The type of an error answered with `status`, or met in a stream after a good status; the first match
/// counts.
pub fn classify(status: Option<u16>, words: &ErrorWords) -> ErrorType {
    let status = status.unwrap_or(200);
    if matches!(status, 408 | 504 | 522 | 524) || words.is_any_of(TIMEOUT) {
        ErrorType::Timeout
    } else if words.is_any_of(CONTENT_FILTER) {
        ErrorType::ContentFilter
    } else if status == 429 || words.is_any_of(RATE_LIMIT) {
        ErrorType::RateLimit
    } else if matches!(status, 401 | 402 | 403 | 407) || words.is_any_of(AUTH) {
        ErrorType::Auth
    } else if matches!(status, 400 | 404 | 405 | 409 | 413 | 415 | 422 | 431) {
        ErrorType::Validation
    } else if status >= 500 || words.is_any_of(SERVER) {
        ErrorType::Server
    } else if words.is_any_of(VALIDATION) {
        ErrorType::Validation
    } else {
        numeric(words)
            .map_or(ErrorType::Other, |status| classify(Some(status), &ErrorWords::default()))
    }
}

/// Some relays put the status into the code of an error inside a stream.
fn numeric(words: &ErrorWords) -> Option<u16> {
    words.code.as_ref()?.parse().ok().filter(|status| (400..600).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(kind: &str, code: &str, inner: &str) -> ErrorWords {
        let name = |text: &str| (!text.is_empty()).then(|| Name::new(text));
        ErrorWords { kind: name(kind), code: name(code), inner: name(inner) }
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
            let found = classify(Some(status), &words(kind, code, inner));
            assert_eq!(found, expected, "{status} {kind} {code} {inner}");
        }
    }

    #[test]
    fn the_code_that_is_kept_is_a_word_and_never_a_sentence() {
        let code = |kind, code, inner| words(kind, code, inner).error_code().map(ToOwned::to_owned);
        assert_eq!(code("rate_limit_error", "429", "").as_deref(), Some("rate_limit_error"));
        assert_eq!(code("x", "insufficient_quota", "").as_deref(), Some("insufficient_quota"));
        assert_eq!(code("", "no such key: sk-SECRET", ""), None);
    }
}
