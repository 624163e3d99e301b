//! API keys, stored hashed.

use super::columns::{
    Columns as _, RowCells, StoredColumns as _, columns, from_json, to_json, to_name,
};
use super::read::Reader;
use super::writer::Writer;
use crate::error::Result;
use crate::model::{KeyInfo, Name, Scope, Timestamp};

columns!(KeyInfo {
    key_id as (to_name, Name::as_str), name as (to_name, Name::as_str),
    scopes as (scopes, stored_scopes), spaces as (spaces, stored_spaces),
    created_at: created_at_ms, expires_at: expires_at_ms, last_used_at: last_used_at_ms,
    revoked_at: revoked_at_ms,
});

fn scopes(text: Option<String>) -> Vec<Scope> {
    let text = text.unwrap_or_default();
    text.split_whitespace().filter_map(Scope::parse).collect()
}

fn stored_scopes(scopes: &[Scope]) -> String {
    let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    scopes.join(" ")
}

/// A list that cannot be read allows no space, rather than all.
fn spaces(json: Option<String>) -> Option<Vec<Name>> {
    json.map(|json| from_json(Some(json)))
}

fn stored_spaces(spaces: &Option<Vec<Name>>) -> Option<String> {
    spaces.as_ref().map(to_json)
}

impl Writer {
    /// Stores a key with the SHA-256 of its secret.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn insert_key(&mut self, key: &KeyInfo, secret_sha256: &[u8]) -> Result<()> {
        self.write("storing the key", |transaction| {
            let mut insert = transaction.prepare_cached(include_str!("sql/put_key.sql"))?;
            insert.raw_bind_parameter(":secret_sha256", secret_sha256)?;
            key.execute(&mut insert).map(drop)
        })
    }

    /// Revokes a key; a key that was revoked before keeps the earlier time.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn revoke_key(&mut self, key_id: &str, now: Timestamp) -> Result<()> {
        let sql = "update _api_keys set revoked_at_ms = ?1
                   where key_id = ?2 and revoked_at_ms is null";
        self.execute("revoking the key", sql, (now, key_id)).map(drop)
    }

    /// Notes when a key was last accepted.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn touch_key(&mut self, key_id: &str, now: Timestamp) -> Result<()> {
        let sql = "update _api_keys set last_used_at_ms = ?1 where key_id = ?2";
        self.execute("noting the use of a key", sql, (now, key_id)).map(drop)
    }
}

impl Reader<'_> {
    /// All keys, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn keys(&self) -> Result<Vec<KeyInfo>> {
        self.select("reading keys", "from _api_keys order by created_at_ms desc, key_id", [])
    }

    /// One key with the SHA-256 of its secret.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn key(&self, key_id: &str) -> Result<Option<(KeyInfo, Vec<u8>)>> {
        let columns = KeyInfo::NAMES.join(", ");
        let sql = format!("select secret_sha256, {columns} from _api_keys where key_id = ?1");
        let mut keys = self.rows("reading a key", &sql, [key_id], |row| {
            Ok((KeyInfo::read(&mut RowCells::after(row, 1))?, row.get(0)?))
        })?;
        Ok(keys.pop())
    }
}
