//! Rules for identifiers: their alphabet, their length, and what they must not contain.

use super::content::is_content_field;
use super::personal::looks_personal;
use super::prose::reads_like_prose;
use super::secret::{is_name_of_secret, looks_secret};
use crate::model::record::limits;

/// Whether every byte is one of `A-Z a-z 0-9 _ . : / -`: the alphabet of codes, not of sentences.
pub fn is_identifier_text(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'/' | b'-')
        })
}

/// Whether `text` is a short identifier: [`is_identifier_text`] and at most
/// [`LABEL_BYTES`](limits::LABEL_BYTES) long.
pub fn is_label(text: &str) -> bool {
    text.len() <= limits::LABEL_BYTES && is_identifier_text(text)
}

/// Whether `text` must not be stored as sent: it [identifies a person](looks_personal), [grants
/// access](looks_secret) or [reads like prose](reads_like_prose).
pub fn is_sensitive(text: &str) -> bool {
    looks_personal(text) || looks_secret(text) || reads_like_prose(text)
}

/// Whether `key` may be the key of a tag: a [label](is_label) that names neither content nor a secret, and is not
/// [sensitive](is_sensitive) itself.
pub fn is_tag_key(key: &str) -> bool {
    is_label(key)
        && !is_content_field(key)
        && !is_name_of_secret(key.as_bytes())
        && !is_sensitive(key)
}
