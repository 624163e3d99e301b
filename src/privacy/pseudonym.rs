//! Keyed hashes that replace users, sessions and identifiers that look personal.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::identifier::is_sensitive;
use crate::model::dimension::{NONE_NAME, OTHER_NAME};
use crate::model::{Dimension, Name};

type HmacSha256 = Hmac<Sha256>;

/// Length of a key's check value in bytes: a wrong key matches with a probability of 1 in 2^64.
const CHECK_BYTES: usize = 8;
/// Length of the hash kept in a pseudonym, in bytes: 80 bits are 16 base32 characters without
/// padding.
const KEPT_BYTES: usize = 10;
/// Number of base32 characters of a pseudonym.
const KEPT_CHARS: usize = 16;
/// Number of characters of a pseudonym's prefix.
const PREFIX_CHARS: usize = 2;

const USER_PREFIX: &[u8; PREFIX_CHARS] = b"u_";
const IDENTIFIER_PREFIX: &[u8; PREFIX_CHARS] = b"h_";
const SESSION_PREFIX: &str = "s_";

/// Converts identities to pseudonyms with a secret key; clones share the key.
///
/// Equal texts have equal pseudonyms as long as the key stays the same. Without the key nobody can
/// compute or confirm one, unlike a plain hash of an e-mail address.
#[derive(Clone)]
pub struct Pseudonymizer {
    keyed: Arc<Keyed>,
}

/// One prepared HMAC state per purpose, so that key and purpose are absorbed once, not per record.
struct Keyed {
    user: HmacSha256,
    session: HmacSha256,
    identifier: HmacSha256,
    check: HmacSha256,
}

impl fmt::Debug for Pseudonymizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonymizer(..)")
    }
}

impl Pseudonymizer {
    /// A pseudonymizer with this key.
    pub fn from_key(key: [u8; 32]) -> Self {
        // HMAC pads a short key with zeros to one block of its hash.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&key);
        let base = HmacSha256::new(&block.into());
        let for_purpose = |purpose: &[u8]| base.clone().chain_update(purpose).chain_update([0]);
        Self {
            keyed: Arc::new(Keyed {
                user: for_purpose(b"user"),
                session: for_purpose(b"session"),
                identifier: for_purpose(b"identifier"),
                check: for_purpose(b"key-check"),
            }),
        }
    }

    /// The check value of the key: the first 8 bytes of the HMAC-SHA256 of `key-check` and a zero
    /// byte.
    ///
    /// A database stores it to recognise its key. It reveals nothing about the key, which is 256
    /// random bits behind a one-way function, and confirms no pseudonym, because no pseudonym uses
    /// its label.
    pub fn key_check(&self) -> [u8; CHECK_BYTES] {
        let mut check = [0; CHECK_BYTES];
        fill(&mut check, &self.keyed.check, "");
        check
    }

    /// The pseudonym of a user: `u_` and 16 characters. A text that already is a pseudonym is
    /// unchanged.
    pub fn user(&self, id: &str) -> Name {
        if is_pseudonym(id) { Name::new(id) } else { short_name(USER_PREFIX, &self.keyed.user, id) }
    }

    /// The keyed hash of a session. A text printed by [`session_name`] is parsed back to its
    /// number.
    pub fn session(&self, id: &str) -> i64 {
        if let Some(session) = parse_session_name(id) {
            return session;
        }
        let mut first = [0; 8];
        fill(&mut first, &self.keyed.session, id);
        i64::from_be_bytes(first)
    }

    /// The text itself, or `h_` and 16 characters if it is [sensitive](is_sensitive).
    pub fn identifier(&self, text: &str) -> Name {
        if is_sensitive(text) {
            short_name(IDENTIFIER_PREFIX, &self.keyed.identifier, text)
        } else {
            Name::new(text)
        }
    }

    /// The stored form of a filter value that a person typed: a user becomes a pseudonym, a value
    /// of another dimension an [`identifier`](Self::identifier). Error types and the reserved names
    /// `(none)` and `(other)` stay as they are.
    pub fn stored_name(&self, dimension: Dimension, text: &str) -> Name {
        if is_stored_as_typed(dimension, text) {
            Name::new(text)
        } else if dimension == Dimension::User {
            self.user(text)
        } else {
            self.identifier(text)
        }
    }
}

/// Whether [`stored_name`](Pseudonymizer::stored_name) does not change `text`, so that a filter by
/// it needs no key.
pub fn is_stored_as_typed(dimension: Dimension, text: &str) -> bool {
    let is_reserved = matches!(text, NONE_NAME | OTHER_NAME);
    is_reserved
        || match dimension {
            Dimension::ErrorType => true,
            Dimension::User => is_pseudonym(text),
            Dimension::Space | Dimension::Model | Dimension::Provider => !is_sensitive(text),
        }
}

/// Whether `text` has the form of a user pseudonym.
pub fn is_pseudonym(text: &str) -> bool {
    text.len() == PREFIX_CHARS + KEPT_CHARS
        && text
            .as_bytes()
            .strip_prefix(USER_PREFIX)
            .is_some_and(|rest| rest.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')))
}

/// Whether `glob`, in which `*` matches any characters, can match a user pseudonym.
pub fn may_be_pseudonym(glob: &str) -> bool {
    let Some((start, rest)) = glob.split_once('*') else { return is_pseudonym(glob) };
    let literal_chars: usize = glob.split('*').map(str::len).sum();
    let is_kept = |byte: u8| matches!(byte, b'a'..=b'z' | b'2'..=b'7');
    let starts = start.bytes().enumerate().all(|(place, byte)| match USER_PREFIX.get(place) {
        Some(prefix) => byte == *prefix,
        None => is_kept(byte),
    });
    let goes_on = rest.bytes().all(|byte| is_kept(byte) || matches!(byte, b'*' | b'_'));
    literal_chars <= PREFIX_CHARS + KEPT_CHARS && starts && goes_on
}

/// The printed form of a session hash: `s_` and 16 hexadecimal digits.
pub fn session_name(session: i64) -> String {
    format!("{SESSION_PREFIX}{session:016x}")
}

fn parse_session_name(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(SESSION_PREFIX)?;
    let is_printed_form =
        digits.len() == 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_printed_form {
        return None;
    }
    u64::from_str_radix(digits, 16).ok().map(u64::cast_signed)
}

fn short_name(prefix: &[u8; PREFIX_CHARS], state: &HmacSha256, text: &str) -> Name {
    let mut hash = [0; KEPT_BYTES];
    fill(&mut hash, state, text);
    let mut name = [0; PREFIX_CHARS + KEPT_CHARS];
    let (start, encoded) = name.split_at_mut(PREFIX_CHARS);
    start.copy_from_slice(prefix);
    BASE32_NOPAD.encode_mut(&hash, encoded);
    name.make_ascii_lowercase();
    Name::from_utf8_lossy(&name)
}

/// Fills `out` with the first bytes of the hash of `text`.
fn fill(out: &mut [u8], state: &HmacSha256, text: &str) {
    let hash = state.clone().chain_update(text.as_bytes()).finalize().into_bytes();
    out.copy_from_slice(&hash[..out.len()]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pseudonymizer() -> Pseudonymizer {
        Pseudonymizer::from_key([7; 32])
    }

    #[test]
    fn a_pseudonym_is_stable_and_keyed_and_hides_its_input() {
        let name = pseudonymizer().user("alice@example.com");
        assert!(is_pseudonym(&name), "{name}");
        assert_eq!(name, pseudonymizer().user("alice@example.com"));
        assert_ne!(name, pseudonymizer().user("bob@example.com"));
        assert_ne!(name, Pseudonymizer::from_key([8; 32]).user("alice@example.com"));
        assert_eq!(format!("{:?}", pseudonymizer()), "Pseudonymizer(..)");
    }

    #[test]
    fn the_hash_is_hmac_sha256_of_purpose_zero_byte_and_text() {
        // python3: hmac.new(bytes([7])*32, b"user\0alice", "sha256"), base32, first 10 bytes
        assert_eq!(pseudonymizer().user("alice"), "u_os2kjtfjnp5vltea");
    }

    #[test]
    fn the_check_value_is_hmac_sha256_of_its_label_and_differs_by_key() {
        // python3: hmac.new(bytes([7])*32, b"key-check\0", "sha256").digest()[:8].hex()
        assert_eq!(pseudonymizer().key_check(), [0x7e, 0x61, 0xaf, 0x9d, 0xd4, 0x0b, 0xd4, 0xc4]);
        assert_ne!(pseudonymizer().key_check(), Pseudonymizer::from_key([8; 32]).key_check());
    }

    #[test]
    fn purposes_do_not_share_hashes() {
        let user = pseudonymizer().user("alice@example.com");
        let identifier = pseudonymizer().identifier("alice@example.com");
        assert!(identifier.starts_with("h_"));
        assert_ne!(user.get(2..), identifier.get(2..));
    }

    #[test]
    fn filter_values_take_their_stored_form() {
        let stored = |dimension, text| pseudonymizer().stored_name(dimension, text).to_string();
        for dimension in Dimension::ALL {
            assert_eq!(stored(dimension, NONE_NAME), NONE_NAME);
            assert_eq!(stored(dimension, OTHER_NAME), OTHER_NAME);
        }
        assert_eq!(stored(Dimension::User, "alice"), "u_os2kjtfjnp5vltea");
        assert_eq!(stored(Dimension::User, "u_os2kjtfjnp5vltea"), "u_os2kjtfjnp5vltea");
        assert_eq!(stored(Dimension::ErrorType, "timeout"), "timeout");
        assert_eq!(stored(Dimension::Space, "acme"), "acme");
        for dimension in [Dimension::Space, Dimension::Model, Dimension::Provider] {
            assert!(stored(dimension, "alice@example.com").starts_with("h_"));
        }
        assert!(is_stored_as_typed(Dimension::User, OTHER_NAME));
        assert!(!is_stored_as_typed(Dimension::User, "acme"));
    }

    #[test]
    fn texts_that_resemble_a_pseudonym_are_hashed() {
        for text in [
            "u_",
            "u_ABCDEFGHIJKLMNOP",
            "u_abcdefghijklmno1",
            "u_abcdefghijklmnopq",
            "ü_abcdefghijklmnop",
        ] {
            assert!(!is_pseudonym(text), "{text}");
            assert_ne!(pseudonymizer().user(text), text);
        }
        for text in ["s_", "s_0123456789ABCDEF", "s_+123456789abcdef", "s_0123456789abcde"] {
            assert_ne!(session_name(pseudonymizer().session(text)), text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn printed_forms_are_accepted_back_unchanged(text in ".*", session: i64) {
            let pseudonymizer = pseudonymizer();
            let name = pseudonymizer.user(&text);
            prop_assert!(is_pseudonym(&name));
            prop_assert!(!is_sensitive(&name));
            prop_assert_eq!(pseudonymizer.user(&name), name);
            prop_assert_eq!(pseudonymizer.session(&session_name(session)), session);
            let identifier = pseudonymizer.identifier(&text);
            prop_assert_eq!(pseudonymizer.identifier(&identifier), identifier);
        }
    }
}
