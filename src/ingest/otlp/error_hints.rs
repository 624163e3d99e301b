//! Searches the beginning of an error message for a status and the name of an error.

use crate::model::Name;
use crate::model::record::limits;

/// Texts of clients without a connection.
const CONNECTION_WORDS: [&str; 6] = [
    "Connection error",
    "Cannot connect to API",
    "ECONNREFUSED",
    "ECONNRESET",
    "ENOTFOUND",
    "Connection refused",
];

/// Values found in a message; the message itself is dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorHints {
    /// The digits after `Error code: `.
    pub(super) http_status: Option<u16>,
    /// The name that the message begins with, such as `RateLimitError`.
    pub(super) error_name: Option<Name>,
    /// It reports a failed connection.
    pub(super) is_about_connection: bool,
}

impl ErrorHints {
    /// Searches the beginning of a message.
    pub(super) fn search(text: &str) -> Self {
        Self {
            http_status: status_in(text),
            error_name: name_at_start(text),
            is_about_connection: CONNECTION_WORDS.iter().any(|words| text.contains(words)),
        }
    }

    /// Adds the values of `other` that this one lacks.
    pub(super) fn fill(&mut self, other: Self) {
        self.http_status = self.http_status.or(other.http_status);
        self.is_about_connection |= other.is_about_connection;
        if self.error_name.is_none() {
            self.error_name = other.error_name;
        }
    }
}

fn status_in(text: &str) -> Option<u16> {
    const MARK: &str = "Error code: ";
    let (_, rest) = text.split_once(MARK)?;
    let digits: &str = rest.get(..3)?;
    let follows_digit = rest.as_bytes().get(3).is_some_and(u8::is_ascii_alphanumeric);
    if follows_digit || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|status| (100..600).contains(status))
}

fn name_at_start(text: &str) -> Option<Name> {
    if text.starts_with("Connection error") {
        return Some(Name::new("APIConnectionError"));
    }
    let end = text.find(|c: char| !(c.is_ascii_alphabetic() || c == '_' || c == '.'))?;
    let name = text.get(..end)?;
    let is_error = ["Error", "Exception", "Timeout"].iter().any(|end| name.ends_with(end));
    let is_named = text.get(end..)?.starts_with(['(', ':']);
    (is_error && is_named && name.len() <= limits::LABEL_BYTES).then(|| Name::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_names_are_found_and_nothing_else_is_kept() {
        let of = |text: &str| {
            let ErrorHints { http_status, error_name, .. } = ErrorHints::search(text);
            (http_status, error_name.map(String::from))
        };
        assert_eq!(of("Error code: 429 - {'error': 'SECRET'}"), (Some(429), None));
        assert_eq!(
            of("RateLimitError(\"Error code: 429 - x\")"),
            (Some(429), Some("RateLimitError".into()))
        );
        assert_eq!(of("litellm.Timeout: secret"), (None, Some("litellm.Timeout".into())));
        assert_eq!(of("Connection error."), (None, Some("APIConnectionError".into())));
        for text in
            ["Error code: 4291", "Error code: 42", "Error code: 999", "My Error: x", "", "Error"]
        {
            assert_eq!(of(text), (None, None), "{text}");
        }
    }
}
