//! Sessions as signed statements: when they end, and a random number that tells them apart.

use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, header};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use rustc_hash::FxHashMap;
use sha2::Sha256;

use crate::model::Timestamp;
use crate::model::time::DAY_MS;

/// What the names of the cookies begin with; the port follows, because cookies do not tell ports apart.
pub(super) const COOKIE: &str = "chatgauge_session";
/// Over HTTPS: only this host, all of its paths, never without TLS.
pub(super) const HOST_PREFIX: &str = "__Host-";
/// Over HTTPS below a path of the host: never without TLS.
pub(super) const SECURE_PREFIX: &str = "__Secure-";
/// How long a session lasts.
const LIFETIME_MS: i64 = 7 * DAY_MS;
/// Random bytes of a session.
pub(super) const NONCE_BYTES: usize = 16;
/// Bytes that are signed: the end in milliseconds and the random number.
const STATEMENT_BYTES: usize = 8 + NONCE_BYTES;
/// Most logged-out sessions remembered; each takes about 40 bytes.
const ENDED_MAX: usize = 1_000;
/// What the signature is for, so that it fits nothing else.
const PURPOSE: &[u8] = b"chatgauge session";

type HmacSha256 = Hmac<Sha256>;

/// A browser that is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    expires_at: Timestamp,
    nonce: [u8; NONCE_BYTES],
}

impl Session {
    /// A session that begins now.
    pub(crate) const fn new(now: Timestamp, nonce: [u8; NONCE_BYTES]) -> Self {
        Self { expires_at: now.plus_ms(LIFETIME_MS), nonce }
    }

    /// When it ends.
    pub(crate) const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Seconds until it ends.
    pub(crate) fn lifetime_s(&self, now: Timestamp) -> i64 {
        (self.expires_at.as_unix_ms() - now.as_unix_ms()).max(0) / 1_000
    }

    fn statement(&self) -> [u8; STATEMENT_BYTES] {
        let mut bytes = [0; STATEMENT_BYTES];
        bytes[..8].copy_from_slice(&self.expires_at.as_unix_ms().to_be_bytes());
        bytes[8..].copy_from_slice(&self.nonce);
        bytes
    }

    fn of_statement(bytes: &[u8]) -> Option<Self> {
        let (end, nonce) = bytes.split_first_chunk::<8>()?;
        let expires_at = Timestamp::from_unix_ms(i64::from_be_bytes(*end));
        Some(Self { expires_at, nonce: nonce.try_into().ok()? })
    }
}

/// Makes and checks sessions.
pub(crate) struct Sessions {
    key: HmacSha256,
    /// When the sessions that were logged out would have ended.
    ended: Mutex<FxHashMap<[u8; NONCE_BYTES], Timestamp>>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// Sessions signed with a secret that nobody else has.
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        let mut block = hmac::digest::Key::<HmacSha256>::default();
        block[..secret.len()].copy_from_slice(secret);
        let mut key = HmacSha256::new(&block);
        key.update(PURPOSE);
        Self { key, ended: Mutex::default() }
    }

    fn signed(&self, statement: &[u8]) -> HmacSha256 {
        let mut mac = self.key.clone();
        mac.update(statement);
        mac
    }

    /// The text that stands for a session.
    pub(super) fn seal(&self, session: &Session) -> String {
        let statement = session.statement();
        let signature = self.signed(&statement).finalize().into_bytes();
        BASE64URL_NOPAD.encode(&[&statement[..], &signature[..]].concat())
    }

    /// The session that a text stands for, while it lasts.
    pub(super) fn open(&self, text: &str, now: Timestamp) -> Option<Session> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (statement, signature) = bytes.split_at_checked(STATEMENT_BYTES)?;
        // Compares without stopping at the first difference.
        self.signed(statement).verify_slice(signature).ok()?;
        let session = Session::of_statement(statement)?;
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        (session.expires_at > now && !ended.contains_key(&session.nonce)).then_some(session)
    }

    /// Ends a session.
    pub(super) fn end(&self, session: &Session, now: Timestamp) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, expires_at| *expires_at > now);
        if ended.len() >= ENDED_MAX {
            // Only the holder of the token can make so many; the oldest are the least likely to matter.
            let oldest = ended.iter().min_by_key(|(_, expires_at)| **expires_at);
            if let Some(nonce) = oldest.map(|(nonce, _)| *nonce) {
                ended.remove(&nonce);
            }
        }
        ended.insert(session.nonce, session.expires_at);
    }
}

/// The values of all cookies that may hold a session.
pub(super) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lists = headers.get_all(header::COOKIE).into_iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(';')).filter_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        let plain = [HOST_PREFIX, SECURE_PREFIX].iter().find_map(|one| name.strip_prefix(one));
        plain.unwrap_or(name).starts_with(COOKIE).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_767_323_045_678);

    #[test]
    fn a_session_lasts_a_week_and_ends_when_it_is_logged_out() {
        let sessions = Sessions::new(&[1; 32]);
        let session = Session::new(NOW, [7; NONCE_BYTES]);
        let text = sessions.seal(&session);
        assert_eq!(sessions.open(&text, NOW), Some(session));
        assert_eq!(sessions.open(&text, NOW.plus_ms(7 * DAY_MS - 1)), Some(session));
        assert_eq!(sessions.open(&text, NOW.plus_ms(7 * DAY_MS)), None);
        assert_eq!(session.lifetime_s(NOW), 604_800);
        sessions.end(&session, NOW);
        assert_eq!(sessions.open(&text, NOW), None);
    }

    #[test]
    fn a_session_of_another_token_or_a_changed_one_is_nothing() {
        let sessions = Sessions::new(&[1; 32]);
        let text = sessions.seal(&Session::new(NOW, [7; NONCE_BYTES]));
        assert_eq!(Sessions::new(&[2; 32]).open(&text, NOW), None);
        for position in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            assert_eq!(
                sessions.open(&String::from_utf8(changed).unwrap(), NOW),
                None,
                "{position}"
            );
        }
        for text in ["", "A", "????"] {
            assert_eq!(sessions.open(text, NOW), None);
        }
    }

    #[test]
    fn not_more_than_a_thousand_are_remembered() {
        let sessions = Sessions::new(&[1; 32]);
        for n in 0..ENDED_MAX + 10 {
            let mut nonce = [0; NONCE_BYTES];
            nonce[..8].copy_from_slice(&n.to_be_bytes());
            sessions.end(&Session::new(NOW, nonce), NOW);
        }
        assert_eq!(sessions.ended.lock().unwrap().len(), ENDED_MAX);
    }
}
