//! API keys, stored hashed.

use rusqlite::{OptionalExtension, Row, named_params};

use super::error::storage;
use super::read::Reader;
use super::writer::Writer;
use crate::error::Result;
use crate::model::{KeyInfo, Name, Scope, Timestamp};

const COLUMNS: &str = "key_id, name, scopes, spaces, created_at_ms, expires_at_ms, \
     last_used_at_ms, revoked_at_ms, secret_sha256";

fn read_key(row: &Row<'_>) -> rusqlite::Result<KeyInfo> {
    let time = |position: usize| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(position)?.map(Timestamp::from_unix_ms))
    };
    let scopes: String = row.get(2)?;
    let spaces: Option<String> = row.get(3)?;
    Ok(KeyInfo {
        key_id: Name::from(row.get::<_, String>(0)?),
        name: Name::from(row.get::<_, String>(1)?),
        scopes: scopes.split_whitespace().filter_map(Scope::parse).collect(),
        // A list that cannot be read allows nothing, rather than everything.
        spaces: spaces.map(|json| serde_json::from_str(&json).unwrap_or_default()),
        created_at: Timestamp::from_unix_ms(row.get(4)?),
        expires_at: time(5)?,
        last_used_at: time(6)?,
        revoked_at: time(7)?,
    })
}

impl Writer {
    /// Stores a key with the SHA-256 of its secret.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn insert_key(&mut self, key: &KeyInfo, secret_sha256: &[u8]) -> Result<()> {
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        let spaces = key.spaces.as_ref().map(|spaces| {
            serde_json::Value::from(spaces.iter().map(Name::as_str).collect::<Vec<_>>()).to_string()
        });
        self.transaction(|transaction| {
            transaction
                .execute(
                    include_str!("sql/put_key.sql"),
                    named_params! {
                        ":key_id": key.key_id.as_str(),
                        ":name": key.name.as_str(),
                        ":secret_sha256": secret_sha256,
                        ":scopes": scopes.join(" "),
                        ":spaces": spaces,
                        ":created_at_ms": key.created_at.as_unix_ms(),
                        ":expires_at_ms": key.expires_at.map(Timestamp::as_unix_ms),
                    },
                )
                .map_err(storage("storing the key"))?;
            Ok(())
        })
    }

    /// Revokes a key; a key that was revoked before keeps the earlier time.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn revoke_key(&mut self, key_id: &str, now: Timestamp) -> Result<()> {
        self.transaction(|transaction| {
            transaction
                .execute(
                    "update _api_keys set revoked_at_ms = ?1
                     where key_id = ?2 and revoked_at_ms is null",
                    (now.as_unix_ms(), key_id),
                )
                .map_err(storage("revoking the key"))?;
            Ok(())
        })
    }

    /// Notes when a key was last accepted.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn touch_key(&mut self, key_id: &str, now: Timestamp) -> Result<()> {
        self.transaction(|transaction| {
            transaction
                .execute(
                    "update _api_keys set last_used_at_ms = ?1 where key_id = ?2",
                    (now.as_unix_ms(), key_id),
                )
                .map_err(storage("noting the use of a key"))?;
            Ok(())
        })
    }
}

impl Reader<'_> {
    /// All keys, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn keys(&self) -> Result<Vec<KeyInfo>> {
        let read = || -> rusqlite::Result<Vec<KeyInfo>> {
            let sql =
                format!("select {COLUMNS} from _api_keys order by created_at_ms desc, key_id");
            self.connection().prepare_cached(&sql)?.query_map([], read_key)?.collect()
        };
        read().map_err(storage("reading keys"))
    }

    /// One key with the SHA-256 of its secret.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn key(&self, key_id: &str) -> Result<Option<(KeyInfo, Vec<u8>)>> {
        let read = || {
            let sql = format!("select {COLUMNS} from _api_keys where key_id = ?1");
            let mut statement = self.connection().prepare_cached(&sql)?;
            statement.query_row([key_id], |row| Ok((read_key(row)?, row.get(8)?))).optional()
        };
        read().map_err(storage("reading a key"))
    }
}
