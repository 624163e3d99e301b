//! The one row of `store_state`: what ties the file to its write-ahead log, its key and the server's clock.

use super::error::storage;
use super::read::Reader;
use crate::error::Result;

/// The row of `store_state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreState {
    /// Random, 16 bytes, made with the file: a write-ahead log of another database carries another one.
    pub store_id: Vec<u8>,
    /// Whether a server has the file open, or had it open when it died.
    pub in_use: bool,
    /// The server's clock as last stored with a commit, in Unix milliseconds; 0: never.
    pub clock_ms: i64,
    /// Check value of the key of the pseudonyms; `None`: not known yet.
    pub pseudonym_key_check: Option<Vec<u8>>,
}

impl StoreState {
    pub(super) fn read(connection: &rusqlite::Connection) -> rusqlite::Result<Self> {
        let sql = "select store_id, in_use, clock_ms, pseudonym_key_check from store_state";
        connection.query_row(sql, [], |row| {
            Ok(Self {
                store_id: row.get(0)?,
                in_use: row.get(1)?,
                clock_ms: row.get(2)?,
                pseudonym_key_check: row.get(3)?,
            })
        })
    }
}

impl Reader<'_> {
    /// The row of `store_state`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn store_state(&self) -> Result<StoreState> {
        StoreState::read(self.connection()).map_err(storage("reading the state of the store"))
    }
}
