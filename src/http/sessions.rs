//! Sessions of browsers as signed statements: expiry and a nonce.

use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, header};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use rustc_hash::FxHashMap;
use sha2::Sha256;

use crate::model::Timestamp;
use crate::model::time::DAY_MS;

/// Prefix of the names of the cookies; the port follows, because cookies are shared by all ports of a host.
pub(super) const COOKIE: &str = "chatgauge_session";
/// Cookie prefix over HTTPS: this host only, all paths, never without TLS.
pub(super) const HOST_PREFIX: &str = "__Host-";
/// Cookie prefix over HTTPS below a path of the host: never without TLS.
pub(super) const SECURE_PREFIX: &str = "__Secure-";
/// Lifetime of a session, in milliseconds.
const LIFETIME_MS: i64 = 7 * DAY_MS;
/// Length of the nonce, in bytes.
pub(super) const NONCE_BYTES: usize = 16;
/// Length of the signed bytes: the expiry in milliseconds and the nonce.
const STATEMENT_BYTES: usize = 8 + NONCE_BYTES;
/// Maximum number of remembered logged-out sessions; each takes about 40 bytes.
const ENDED_MAX: usize = 1_000;
/// Domain separation: the signature is valid for nothing else.
const PURPOSE: &[u8] = b"chatgauge session";

type SessionMac = Hmac<Sha256>;

/// A browser that is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoginSession {
    pub(super) expires_at: Timestamp,
    nonce: [u8; NONCE_BYTES],
}

impl LoginSession {
    /// A session that starts now.
    pub(crate) const fn new(now: Timestamp, nonce: [u8; NONCE_BYTES]) -> Self {
        Self { expires_at: now.plus_ms(LIFETIME_MS), nonce }
    }

    /// Seconds until it expires.
    pub(crate) fn lifetime_s(&self, now: Timestamp) -> i64 {
        (self.expires_at.as_unix_ms() - now.as_unix_ms()).max(0) / 1_000
    }
}

/// Signs and verifies sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    mac: SessionMac,
    /// Logged-out sessions by nonce, with their expiry.
    ended: Mutex<FxHashMap<[u8; NONCE_BYTES], Timestamp>>,
}

impl Sessions {
    /// Sessions signed with a secret.
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        let mut block = hmac::digest::Key::<SessionMac>::default();
        block[..secret.len()].copy_from_slice(secret);
        let mut mac = SessionMac::new(&block);
        mac.update(PURPOSE);
        Self { mac, ended: Mutex::default() }
    }

    fn signed(&self, statement: &[u8]) -> SessionMac {
        let mut mac = self.mac.clone();
        mac.update(statement);
        mac
    }

    /// The value of the cookie of a session.
    pub(super) fn seal(&self, session: &LoginSession) -> String {
        let mut bytes = session.expires_at.as_unix_ms().to_be_bytes().to_vec();
        bytes.extend(session.nonce);
        let signature = self.signed(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// The session of a cookie, unless it has expired or was logged out.
    pub(super) fn open(&self, text: &str, now: Timestamp) -> Option<LoginSession> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (statement, signature) = bytes.split_at_checked(STATEMENT_BYTES)?;
        // Compares in constant time.
        self.signed(statement).verify_slice(signature).ok()?;
        let (expires_at_ms, nonce) = statement.split_first_chunk()?;
        let expires_at = Timestamp::from_unix_ms(i64::from_be_bytes(*expires_at_ms));
        let session = LoginSession { expires_at, nonce: nonce.try_into().ok()? };
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        (session.expires_at > now && !ended.contains_key(&session.nonce)).then_some(session)
    }

    /// Ends a session.
    pub(super) fn end(&self, session: &LoginSession, now: Timestamp) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, expires_at| *expires_at > now);
        if ended.len() >= ENDED_MAX {
            // Only the holder of the token can create that many; the oldest matters least.
            let oldest = ended.iter().min_by_key(|(_, expires_at)| **expires_at);
            if let Some(nonce) = oldest.map(|(nonce, _)| *nonce) {
                ended.remove(&nonce);
            }
        }
        ended.insert(session.nonce, session.expires_at);
    }
}

/// The values of all cookies that may contain a session.
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
        let session = LoginSession::new(NOW, [7; NONCE_BYTES]);
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
        let text = sessions.seal(&LoginSession::new(NOW, [7; NONCE_BYTES]));
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
            sessions.end(&LoginSession::new(NOW, nonce), NOW);
        }
        assert_eq!(sessions.ended.lock().unwrap().len(), ENDED_MAX);
    }
}
