//! A checkpoint of the write-ahead log.

use rusqlite::Connection;

use super::error::storage;
use crate::error::Result;

/// The operation that an error names.
pub(super) const CHECKPOINT: &str = "WAL checkpoint";

/// Lengths of the write-ahead log, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WalPages {
    /// The whole log. SQLite restarts the log, with the next commit, only after a complete checkpoint.
    pub(super) log: i64,
    /// The pages that no checkpoint has copied into the database file yet.
    pub(super) backlog: i64,
}

/// Runs a checkpoint in the mode; returns what it left.
pub(super) fn checkpoint(connection: &Connection, mode: &str) -> Result<WalPages> {
    let left = connection.pragma_update_and_check(None, "wal_checkpoint", mode, |row| {
        let log = row.get(1)?;
        Ok(WalPages { log, backlog: log - row.get::<_, i64>(2)? })
    });
    left.map_err(storage(CHECKPOINT))
}
