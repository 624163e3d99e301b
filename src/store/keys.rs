//! API keys, stored hashed.

use rusqlite::{OptionalExtension, Row};

use super::error::storage;
use super::read::Reader;
use super::writer::Writer;
use crate::error::Result;
use crate::model::Timestamp;

/// A stored key; the secret itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part of the key.
    pub key_id: String,
    /// What the key is for.
    pub name: String,
    /// SHA-256 of the secret part.
    pub secret_sha256: Vec<u8>,
    /// Space-separated scopes.
    pub scopes: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

const COLUMNS: &str = "key_id, name, secret_sha256, scopes, created_at_ms, revoked_at_ms";

fn read_key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        key_id: row.get(0)?,
        name: row.get(1)?,
        secret_sha256: row.get(2)?,
        scopes: row.get(3)?,
        created_at: Timestamp::from_unix_ms(row.get(4)?),
        revoked_at: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_unix_ms),
    })
}

impl Writer {
    /// Stores a key.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn insert_key(&mut self, key: &ApiKey) -> Result<()> {
        self.transaction(|transaction| {
            transaction
                .execute(
                    "insert into api_keys (key_id, name, secret_sha256, scopes, created_at_ms)
                     values (?1, ?2, ?3, ?4, ?5)",
                    (
                        &key.key_id,
                        &key.name,
                        &key.secret_sha256,
                        &key.scopes,
                        key.created_at.as_unix_ms(),
                    ),
                )
                .map_err(storage("storing the key"))?;
            Ok(())
        })
    }

    /// Revokes a key; `false` when there is no such key or it was revoked before.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn revoke_key(&mut self, key_id: &str, now: Timestamp) -> Result<bool> {
        self.transaction(|transaction| {
            let revoked = transaction
                .execute(
                    "update api_keys set revoked_at_ms = ?1
                     where key_id = ?2 and revoked_at_ms is null",
                    (now.as_unix_ms(), key_id),
                )
                .map_err(storage("revoking the key"))?;
            Ok(revoked == 1)
        })
    }
}

impl Reader<'_> {
    /// All keys, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn keys(&self) -> Result<Vec<ApiKey>> {
        let read = || -> rusqlite::Result<Vec<ApiKey>> {
            let sql = format!("select {COLUMNS} from api_keys order by created_at_ms, key_id");
            self.connection().prepare_cached(&sql)?.query_map([], read_key)?.collect()
        };
        read().map_err(storage("reading keys"))
    }

    /// One key.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn key(&self, key_id: &str) -> Result<Option<ApiKey>> {
        let read = || {
            let sql = format!("select {COLUMNS} from api_keys where key_id = ?1");
            self.connection().prepare_cached(&sql)?.query_row([key_id], read_key).optional()
        };
        read().map_err(storage("reading a key"))
    }
}
