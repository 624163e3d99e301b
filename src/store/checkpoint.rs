//! A checkpoint of the write-ahead log.

use rusqlite::Connection;

use super::error::storage;
use crate::error::Result;

/// The operation that an error names.
pub(super) const CHECKPOINT: &str = "WAL checkpoint";

/// Runs a checkpoint in the mode; returns the pages of the log that it has not copied.
pub(super) fn checkpoint(connection: &Connection, mode: &str) -> Result<i64> {
    let left = connection.pragma_update_and_check(None, "wal_checkpoint", mode, |row| {
        Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)
    });
    left.map_err(storage(CHECKPOINT))
}
