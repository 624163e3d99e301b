//! From the names that emitters give to errors to the one type that each error has.

use crate::model::{ErrorType, Outcome};
use crate::privacy::{is_identifier_text, is_sensitive};

/// The last part of a dotted name: `openai.RateLimitError` is a `RateLimitError`.
fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The code that the name of an error gives: its last part.
///
/// `None` for what is no name: the last part of a sentence or of a token may look like one.
pub(crate) fn code_of(name: &str) -> Option<&str> {
    (is_identifier_text(name) && !is_sensitive(name)).then(|| last_part(name))
}

/// The outcome of a call that failed, by the name of the error, then by the HTTP status.
///
/// Rate limits and timeouts come first: some names of theirs contain `connection`.
pub(crate) fn outcome_of(name: Option<&str>, http_status: Option<u16>) -> Outcome {
    by_name(&last_part(name.unwrap_or_default()).to_ascii_lowercase())
        .or_else(|| http_status.and_then(by_status))
        .unwrap_or(Outcome::Error(ErrorType::Other))
}

const WORDS: [(&[&str], Outcome); 9] = [
    (
        &["ratelimit", "rate_limit", "429", "throttl", "toomanyrequests"],
        Outcome::Error(ErrorType::RateLimit),
    ),
    (&["timeout", "timedout", "deadline", "408", "504"], Outcome::Error(ErrorType::Timeout)),
    (
        &["authentication", "unauthorized", "401", "permission", "forbidden", "403"],
        Outcome::Error(ErrorType::Auth),
    ),
    (
        &["notfound", "not_found", "404", "contextwindow", "context_length"],
        Outcome::Error(ErrorType::Validation),
    ),
    (
        &["contentpolicy", "content_policy", "content_filter", "safety"],
        Outcome::Error(ErrorType::ContentFilter),
    ),
    (
        &[
            "badrequest",
            "bad_request",
            "invalidrequest",
            "invalid_request",
            "unprocessable",
            "400",
            "422",
        ],
        Outcome::Error(ErrorType::Validation),
    ),
    (&["connection", "connect", "econnrefused", "network"], Outcome::Error(ErrorType::Network)),
    (
        &[
            "internalserver",
            "internal_server",
            "serviceunavailable",
            "overloaded",
            "server_error",
            "api_error",
            "badgateway",
        ],
        Outcome::Error(ErrorType::Server),
    ),
    (&["cancel", "abort"], Outcome::Cancelled),
];

fn by_name(name: &str) -> Option<Outcome> {
    let status = name.parse::<u16>().ok().filter(|status| (100..600).contains(status));
    let found = WORDS.iter().find(|(words, _)| words.iter().any(|word| name.contains(word)));
    found.map(|(_, outcome)| *outcome).or_else(|| status.and_then(by_status))
}

/// What an HTTP status says about a call; `None` when it is no error.
pub(crate) fn by_status(status: u16) -> Option<Outcome> {
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
