//! Privacy rules: pseudonyms, identifiers that look personal, and fields that carry content.
//!
//! Identities of people become keyed hashes on receipt, before anything is queued. Identifiers that
//! hold an e-mail address, a phone number, a secret or a sentence are hashed too. Fields that may carry content are
//! recognised by name, dropped unread and counted.

mod content;
mod identifier;
mod key_file;
mod personal;
mod prose;
mod pseudonym;
mod secret;

pub use content::is_content_field;
pub use identifier::{is_identifier_text, is_label, is_sensitive, is_tag_key};
pub use key_file::{holds_key, install_key, load_key, load_or_create_key};
pub use personal::looks_personal;
pub use prose::reads_like_prose;
pub use pseudonym::{
    Pseudonymizer, is_pseudonym, is_stored_as_typed, may_be_pseudonym, session_name,
};
pub use secret::looks_secret;
