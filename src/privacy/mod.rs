//! Privacy rules: pseudonyms, identifiers that look personal, and fields that carry content.
//!
//! Identities of people become keyed hashes on receipt, before anything is queued. Identifiers that
//! hold an e-mail address, a phone number, a secret or a sentence are hashed too. Fields that may carry content are
//! recognised by name, dropped unread and counted.

mod content;
mod key_file;
mod personal;
mod prose;
mod pseudonym;
mod secret;

pub use content::is_content_field;
pub use key_file::{holds_key, install_key, load_key, load_or_create_key};
pub use personal::looks_personal;
pub use prose::reads_like_prose;
pub use pseudonym::{Pseudonymizer, is_pseudonym, may_be_pseudonym, session_name};
pub use secret::looks_secret;

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
/// access](looks_secret) or [was written by somebody](reads_like_prose).
pub fn is_sensitive(text: &str) -> bool {
    looks_personal(text) || looks_secret(text) || reads_like_prose(text)
}

/// Whether `key` may be the key of a tag: a [label](is_label) that names neither content nor a secret, and is not
/// [sensitive](is_sensitive) itself.
pub fn is_tag_key(key: &str) -> bool {
    is_label(key) && !is_content_field(key) && !secret::names_secret(key) && !is_sensitive(key)
}
