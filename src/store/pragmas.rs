//! The pragmas of the connections, by role. `ARCHITECTURE.md` gives the reasons.

use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::columns::saturated;
use crate::config::{StoreConfig, Synchronous};

/// How long a connection waits for another process that locks the file, e.g. while it recovers the write-ahead log.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Size to which SQLite truncates the write-ahead log when it restarts, in bytes.
const WAL_LIMIT_BYTES: i64 = 64 << 20;

pub(super) fn prepare_writer(
    connection: &mut Connection,
    config: &StoreConfig,
) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Takes effect only in an empty file, before the first table.
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // SQLite ignores failures of its automatic checkpoints, a failed flush too; this program's own checkpoints do not.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    let synchronous = match config.synchronous {
        Synchronous::Full => "full",
        Synchronous::Normal => "normal",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_LIMIT_BYTES, |_| Ok(()))?;
    prepare_any(connection, config.writer_page_cache_bytes)
}

pub(super) fn prepare_checkpointer(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    prepare_any(connection, 0)
}

pub(super) fn prepare_reader(
    connection: &mut Connection,
    page_cache_bytes: u64,
) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    prepare_any(connection, page_cache_bytes)?;
    connection.pragma_update(None, "query_only", true)
}

/// With `keep`, makes closing the connection neither checkpoint nor delete the write-ahead log, even if it is the last connection:
/// after a failed flush the log may be the only good copy, and only the next server may recover from it.
pub(super) fn keep_wal_at_close(connection: &Connection, keep: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(|_| ())
}

pub(super) fn set_page_cache(connection: &Connection, bytes: u64) -> rusqlite::Result<()> {
    // A negative number is a size in KiB.
    connection.pragma_update(None, "cache_size", -saturated(bytes / 1_024))
}

fn prepare_any(connection: &Connection, page_cache_bytes: u64) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    set_page_cache(connection, page_cache_bytes)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "foreign_keys", false)
}
