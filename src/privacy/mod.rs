//! Privacy rules: pseudonyms, identifiers that look personal, and fields that carry content.
//!
//! Identities of people become keyed hashes on receipt, before anything is queued. Identifiers that
//! look like an e-mail address or a phone number are hashed too. Fields that may carry content are
//! recognised by name, dropped unread and counted.

mod content;
mod key_file;
mod personal;
mod pseudonym;

pub use content::is_content_field;
pub use key_file::{holds_key, install_key, load_key, load_or_create_key};
pub use personal::looks_personal;
pub use pseudonym::{Pseudonymizer, is_pseudonym, may_be_pseudonym, session_name};

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
