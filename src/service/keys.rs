//! API keys: creation, revocation, authentication.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::{Chatgauge, ServiceCore};
use crate::error::{Error, Result};
use crate::model::failure_log::report;
use crate::model::time::MINUTE_MS;
use crate::model::{CreatedKey, KeyGrant, KeyInfo, Name, NewKey, Timestamp};
use crate::store::Writer;

/// Lifetime of a cached key in microseconds: the maximum time until a revocation by another process
/// takes effect. Revocations by this process take effect immediately.
const CACHE_TTL_US: u64 = 2_000_000;
/// Maximum number of cached keys.
const MAX_CACHED: usize = 1_000;
/// Number of random bytes in the secret part of a key.
const SECRET_BYTES: usize = 24;
/// Number of random bytes in the public part of a key.
const ID_BYTES: usize = 6;

/// A recently used key.
#[derive(Debug)]
pub(super) struct CachedKey {
    info: KeyInfo,
    secret_sha256: Vec<u8>,
    /// Time of loading, in monotonic microseconds.
    loaded_us: u64,
}

/// Generates a key: the key with its token, and the SHA-256 hash of the secret.
///
/// # Errors
/// [`Error::InvalidQuery`] if it has no scopes.
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
    /// The permissions of the key `cg_<id>_<secret>`; `None` if it is unknown, expired or revoked.
    pub fn authenticate_key(&self, token: &str) -> Result<Option<KeyGrant>> {
        let Some((key_id, secret)) =
            token.strip_prefix("cg_").and_then(|rest| rest.split_once('_'))
        else {
            return Ok(None);
        };
        let now = self.now();
        let presented = Sha256::digest(secret.as_bytes());
        let shared = self.shared();
        let Some(info) = shared.verify_secret(key_id, &presented)? else { return Ok(None) };
        let expired = info.expires_at.is_some_and(|expires_at| expires_at <= now);
        if expired || info.revoked_at.is_some() {
            return Ok(None);
        }
        shared.record_use(&info, now);
        Ok(Some(KeyGrant {
            key_id: info.key_id,
            name: info.name,
            scopes: info.scopes,
            spaces: info.spaces,
        }))
    }

    /// Creates a key; only a hash of its secret is stored.
    ///
    /// # Errors
    /// If it has no scopes or the write failed.
    pub fn create_key(&self, key: &NewKey) -> Result<CreatedKey> {
        let (created, secret_sha256) = make_key(key, self.now())?;
        let info = created.info.clone();
        self.shared().gate().write(move |writer| writer.insert_key(&info, &secret_sha256))?;
        Ok(created)
    }

    /// Revokes a key; `None` if it does not exist.
    pub fn revoke_key(&self, key_id: &str) -> Result<Option<KeyInfo>> {
        let (id, now) = (key_id.to_owned(), self.now());
        self.shared().gate().write(move |writer| writer.revoke_key(&id, now))?;
        self.shared().cached_keys().remove(key_id);
        Ok(self.shared().store.read(|reader| reader.key(key_id))?.map(|(info, _)| info))
    }
}

impl ServiceCore {
    fn cached_keys(&self) -> MutexGuard<'_, HashMap<Name, CachedKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verify_secret(&self, key_id: &str, presented: &[u8]) -> Result<Option<KeyInfo>> {
        let now_us = self.clock.monotonic_us();
        let fresh = |known: &&CachedKey| now_us < known.loaded_us + CACHE_TTL_US;
        if let Some(known) = self.cached_keys().get(key_id).filter(fresh) {
            return Ok(
                constant_time_eq(&known.secret_sha256, presented).then(|| known.info.clone())
            );
        }
        let Some((info, secret_sha256)) = self.store.read(|reader| reader.key(key_id))? else {
            return Ok(None);
        };
        if !constant_time_eq(&secret_sha256, presented) {
            return Ok(None);
        }
        let mut keys = self.cached_keys();
        if keys.len() >= MAX_CACHED {
            keys.clear();
        }
        let known = CachedKey { info: info.clone(), secret_sha256, loaded_us: now_us };
        keys.insert(info.key_id.clone(), known);
        Ok(Some(info))
    }

    /// Records the use of a key, to the minute, without waiting for the disk.
    fn record_use(&self, info: &KeyInfo, now: Timestamp) {
        if info.last_used_at.is_some_and(|at| now < at.plus_ms(MINUTE_MS)) {
            return;
        }
        if let Some(known) = self.cached_keys().get_mut(&info.key_id) {
            known.info.last_used_at = Some(now);
        }
        let key_id = info.key_id.clone();
        let touch = move |writer: &mut Writer| writer.touch_key(&key_id, now);
        let queued = self.hand_over(&self.key_use_log, touch, |log, now_us, outcome| {
            report!(
                log, now_us, outcome,
                warn: "recording the use of an API key failed",
                "uses of API keys are recorded again"
            );
        });
        if queued.is_err() {
            tracing::debug!("the use of an API key during shutdown was not recorded");
        }
    }
}

/// Compares two hashes in constant time.
fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}
