//! API keys: made, revoked, recognised.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::{Chatgauge, Shared};
use crate::error::{Error, Result};
use crate::model::time::MINUTE_MS;
use crate::model::{CreatedKey, KeyGrant, KeyInfo, Name, NewKey, Timestamp};
use crate::store::WriteGate;

/// How long a recognised key is believed without looking again: revoking takes at most so long when
/// another process did it, and no time when this one did.
const BELIEVED_US: u64 = 2_000_000;
/// Most keys remembered.
const REMEMBERED: usize = 1_000;
/// Bytes of randomness in the secret part of a key.
const SECRET_BYTES: usize = 24;
/// Bytes of randomness in the public part of a key.
const ID_BYTES: usize = 6;

#[derive(Debug)]
struct Recognised {
    info: KeyInfo,
    secret_sha256: Vec<u8>,
    /// In monotonic microseconds.
    looked_us: u64,
}

/// Keys recognised lately, by their public part.
#[derive(Debug, Default)]
pub(super) struct KeyCache {
    keys: Mutex<HashMap<Name, Recognised>>,
}

impl KeyCache {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Recognised>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the parts of a new key: `(info, token, SHA-256 of the secret)`.
///
/// # Errors
/// [`Error::InvalidQuery`] when it would allow nothing.
pub fn make_key(key: &NewKey, now: Timestamp) -> Result<(CreatedKey, Vec<u8>)> {
    if key.scopes.is_empty() {
        return Err(Error::invalid_query(
            "scopes",
            "name at least one: ingest, read, metrics, admin",
        ));
    }
    let key_id = random_text::<ID_BYTES>();
    let secret = random_text::<SECRET_BYTES>();
    let info = KeyInfo {
        key_id: Name::from(key_id.as_str()),
        name: key.name.clone(),
        scopes: key.scopes.clone(),
        spaces: key.spaces.clone(),
        created_at: now,
        expires_at: key.expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    let token = format!("cg_{key_id}_{secret}");
    Ok((CreatedKey { info, token }, Sha256::digest(secret.as_bytes()).to_vec()))
}

/// Random bytes as lower-case hexadecimal text.
pub fn random_text<const BYTES: usize>() -> String {
    use rand::RngExt as _;
    let bytes: [u8; BYTES] = rand::rng().random();
    data_encoding::HEXLOWER.encode(&bytes)
}

impl Chatgauge {
    /// What the key `cg_<id>_<secret>` allows; `None` when it is unknown, expired or revoked.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn authenticate_key(&self, token: &str) -> Result<Option<KeyGrant>> {
        let Some((key_id, secret)) =
            token.strip_prefix("cg_").and_then(|rest| rest.split_once('_'))
        else {
            return Ok(None);
        };
        let now = self.now();
        let presented = Sha256::digest(secret.as_bytes());
        let shared = self.shared();
        let Some(info) = shared.recognise(key_id, &presented)? else { return Ok(None) };
        let expired = info.expires_at.is_some_and(|expires_at| expires_at <= now);
        if expired || info.revoked_at.is_some() {
            return Ok(None);
        }
        shared.note_use(&info, now);
        Ok(Some(KeyGrant {
            key_id: info.key_id,
            name: info.name,
            scopes: info.scopes,
            spaces: info.spaces,
        }))
    }

    /// Every key, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn keys(&self) -> Result<Vec<KeyInfo>> {
        self.shared().store.read(|reader| reader.keys())
    }

    /// Makes a key; only a hash of its secret is kept.
    ///
    /// # Errors
    /// When it would allow nothing, or the write failed.
    pub fn create_key(&self, key: &NewKey) -> Result<CreatedKey> {
        let (created, secret_sha256) = make_key(key, self.now())?;
        let info = created.info.clone();
        let gate: &dyn WriteGate = &self.shared().queue;
        gate.write(move |writer| writer.insert_key(&info, &secret_sha256))?;
        Ok(created)
    }

    /// Revokes a key at once; `None` when there is no such key.
    ///
    /// # Errors
    /// When the write failed.
    pub fn revoke_key(&self, key_id: &str) -> Result<Option<KeyInfo>> {
        let (id, now) = (key_id.to_owned(), self.now());
        let gate: &dyn WriteGate = &self.shared().queue;
        gate.write(move |writer| writer.revoke_key(&id, now))?;
        self.shared().keys.lock().remove(key_id);
        Ok(self.shared().store.read(|reader| reader.key(key_id))?.map(|(info, _)| info))
    }
}

impl Shared {
    fn recognise(&self, key_id: &str, presented: &[u8]) -> Result<Option<KeyInfo>> {
        let now_us = self.clock.monotonic_us();
        let fresh = |known: &&Recognised| now_us < known.looked_us + BELIEVED_US;
        if let Some(known) = self.keys.lock().get(key_id).filter(fresh) {
            return Ok(is_same(&known.secret_sha256, presented).then(|| known.info.clone()));
        }
        let Some((info, secret_sha256)) = self.store.read(|reader| reader.key(key_id))? else {
            return Ok(None);
        };
        if !is_same(&secret_sha256, presented) {
            return Ok(None);
        }
        let mut keys = self.keys.lock();
        if keys.len() >= REMEMBERED {
            keys.clear();
        }
        let known = Recognised { info: info.clone(), secret_sha256, looked_us: now_us };
        keys.insert(info.key_id.clone(), known);
        Ok(Some(info))
    }

    /// Notes the use of a key, to the minute, without waiting for the disk.
    fn note_use(&self, info: &KeyInfo, now: Timestamp) {
        if info.last_used_at.is_some_and(|at| now < at.plus_ms(MINUTE_MS)) {
            return;
        }
        if let Some(known) = self.keys.lock().get_mut(&info.key_id) {
            known.info.last_used_at = Some(now);
        }
        let key_id = info.key_id.clone();
        let log = Arc::clone(&self.key_use_log);
        let noted = self.queue.hand_over(Box::new(move |writer, clock| {
            let touched = writer.touch_key(&key_id, now);
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            match touched {
                Ok(_) => drop(log.succeeded(clock.monotonic_us())),
                Err(error) => {
                    if let Some(failures) = log.failed(clock.monotonic_us()) {
                        tracing::warn!(%error, failures, "the use of a key could not be noted");
                    }
                }
            }
        }));
        if noted.is_err() {
            tracing::debug!("a key was used while shutting down");
        }
    }
}

/// Compares two hashes in a time that does not depend on where they differ.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}
