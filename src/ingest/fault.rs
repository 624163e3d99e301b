//! Classifies errors by the names that emitters give them; each error has exactly one type.

use crate::model::{ErrorType, Outcome};
use crate::privacy::{is_identifier_text, is_sensitive};

/// The last part of a dotted name: `openai.RateLimitError` is a `RateLimitError`.
fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The error code: the last part of the error's name.
///
/// `None` if the text is no name, because the last part of a sentence or token may look like one.
pub(crate) fn code_of(name: &str) -> Option<&str> {
    (is_identifier_text(name) && !is_sensitive(name)).then(|| last_part(name))
}

/// The outcome of a failed call, by the name of the error, then by the HTTP status.
///
/// Rate limits and timeouts come first, because some of their names contain `connection`.
pub(crate) fn outcome_of(name: Option<&str>, http_status: Option<u16>) -> Outcome {
    by_name(&last_part(name.unwrap_or_default()).to_ascii_lowercase())
        .or_else(|| http_status.and_then(by_status))
        .unwrap_or(Outcome::Error(ErrorType::Other))
}

/// Words in the names of errors, in lower case; the first match wins.
const WORDS: [(ErrorType, &[&str]); 12] = [
    (ErrorType::RateLimit, &["ratelimit", "rate_limit", "429", "throttl", "toomanyrequests"]),
    (ErrorType::Timeout, &["timeout", "timedout", "deadline", "408", "504"]),
    (ErrorType::Auth, &["authentication", "unauthorized", "401"]),
    (ErrorType::Auth, &["permission", "forbidden", "403"]),
    (ErrorType::Validation, &["notfound", "not_found", "404"]),
    (ErrorType::Validation, &["contextwindow", "context_length"]),
    (ErrorType::ContentFilter, &["contentpolicy", "content_policy", "content_filter", "safety"]),
    (ErrorType::Validation, &["badrequest", "bad_request", "400", "422"]),
    (ErrorType::Validation, &["invalidrequest", "invalid_request", "unprocessable"]),
    (ErrorType::Network, &["connection", "connect", "econnrefused", "network"]),
    (ErrorType::Server, &["internalserver", "internal_server", "server_error", "api_error"]),
    (ErrorType::Server, &["serviceunavailable", "overloaded", "badgateway"]),
];
/// Words in the names of cancellations.
const CANCEL_WORDS: [&str; 2] = ["cancel", "abort"];

fn by_name(name: &str) -> Option<Outcome> {
    let has_any = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if let Some((kind, _)) = WORDS.iter().find(|(_, words)| has_any(words)) {
        return Some(Outcome::Error(*kind));
    }
    if has_any(&CANCEL_WORDS) {
        return Some(Outcome::Cancelled);
    }
    name.parse().ok().and_then(by_status)
}

/// The outcome of a call with this HTTP status; `None` if it is no error.
fn by_status(status: u16) -> Option<Outcome> {
    let kind = match status {
        499 => return Some(Outcome::Cancelled),
        429 => ErrorType::RateLimit,
        401..=403 | 407 => ErrorType::Auth,
        408 | 504 | 522 | 524 => ErrorType::Timeout,
        400..=498 => ErrorType::Validation,
        500..=599 => ErrorType::Server,
        _ => return None,
    };
    Some(Outcome::Error(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_give_a_code() {
        assert_eq!(code_of("openai.RateLimitError"), Some("RateLimitError"));
        assert_eq!(code_of("timeout"), Some("timeout"));
        for text in ["ask alice.smith", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.secret"] {
            assert_eq!(code_of(text), None, "{text}");
        }
    }

    #[test]
    fn names_of_errors_have_one_type_each() {
        for (name, status, expected) in [
            (Some("openai.RateLimitError"), None, "rate_limit"),
            (Some("rate_limit_error"), None, "rate_limit"),
            (Some("openai.APITimeoutError"), None, "timeout"),
            (Some("APIConnectionError"), None, "network"),
            (Some("openai.APIConnectionTimeoutError"), None, "timeout"),
            (Some("InternalServerError"), Some(500), "server"),
            (Some("overloaded_error"), None, "server"),
            (Some("AuthenticationError"), None, "auth"),
            (Some("PermissionDeniedError"), None, "auth"),
            (Some("BadRequestError"), None, "validation"),
            (Some("ContextWindowExceededError"), None, "validation"),
            (Some("ContentPolicyViolationError"), None, "content_filter"),
            (Some("AI_APICallError"), None, "other"),
            (Some("AI_APICallError"), Some(429), "rate_limit"),
            (Some("503"), None, "server"),
            (None, Some(404), "validation"),
            (None, None, "other"),
            (Some("ValueError"), Some(200), "other"),
        ] {
            let kind = outcome_of(name, status).error_type().map(ErrorType::as_str);
            assert_eq!(kind, Some(expected), "{name:?} {status:?}");
        }
        assert_eq!(outcome_of(Some("asyncio.CancelledError"), None), Outcome::Cancelled);
        assert_eq!(outcome_of(Some("AbortError"), Some(500)), Outcome::Cancelled);
    }
}
