//! Whether the write-ahead log beside a file is the file's own, and whether one is missing.
//!
//! Both are told by the row of `_store_state` as the database file alone has it, and as it is when read through the log.
//! Each server that opens the file writes a session into the row, first with the mark *opening*; the mark becomes *open*
//! only when a checkpoint has moved the session into the database file. So a log with the mark *open* and another session
//! than the file's belongs to another copy of the file, and a file with that mark and no log has lost its latest records.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::paths::{beside, resolved};
use super::state::{InUse, StoreState};
use crate::error::{Error, Result};

/// The write-ahead log beside a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WalFound {
    /// No log with anything in it, and none is needed.
    None,
    /// A log of the file's own.
    Own,
    /// A server had the file open and its log is gone: the latest acknowledged records are missing, unless a tool other
    /// than this program closed the file and moved the log into it.
    Missing,
}

/// What was found of a file before it was opened.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The log beside it.
    pub(super) wal: WalFound,
    /// The session that the database file has without its log.
    pub(super) session: Vec<u8>,
}

/// Looks at a file that this process does not have open; nothing is written.
///
/// # Errors
/// [`Error::Database`] when the log belongs to another database or to another copy of this one, or when there is a log
/// and no database.
pub(super) fn find_wal(path: &Path) -> Result<Found> {
    find_wal_by(path, || read_state(&plain_uri(path)))
}

/// Like [`find_wal`], and leaves no file beside `path` that was not there.
///
/// # Errors
/// As [`find_wal`].
pub(super) fn find_wal_of_examined(path: &Path) -> Result<Found> {
    find_wal_by(path, || StoreState::read(&open_examined(path)?))
}

fn find_wal_by(
    path: &Path,
    read_through_wal: impl FnOnce() -> rusqlite::Result<StoreState>,
) -> Result<Found> {
    let wal_path = beside(&resolved(path), "-wal");
    let wal_bytes = wal_path.metadata().map(|metadata| metadata.len());
    let alone = read_state(&immutable_uri(path)).ok();
    let wal = match (wal_bytes, &alone) {
        // An empty one is what a reader leaves that opened the file without its log.
        (Err(_) | Ok(0), Some(alone)) if alone.in_use == InUse::Open => WalFound::Missing,
        (Err(_) | Ok(0), _) => WalFound::None,
        // SQLite would delete the log. A database of this program has its first page before its log has anything.
        (Ok(_), None) if path.metadata().map_or(0, |metadata| metadata.len()) == 0 => {
            return Err(without_database(path, &wal_path));
        }
        // Nothing to compare with: the first page is damaged.
        (Ok(_), None) => WalFound::Own,
        (Ok(_), Some(alone)) => {
            compare(path, &wal_path, alone, read_through_wal())?;
            WalFound::Own
        }
    };
    Ok(Found { wal, session: alone.map(|alone| alone.session).unwrap_or_default() })
}

fn without_database(path: &Path, wal_path: &Path) -> Error {
    let wal = wal_path.display();
    let reason = format!(
        "the database is missing or empty, but its write-ahead log {wal} is there and holds the latest records; nothing \
         was changed. Put the database back, or, to begin a new one, move the log away: mv '{wal}' '{wal}.stale'"
    );
    Error::database(path, reason)
}

fn compare(
    path: &Path,
    wal_path: &Path,
    alone: &StoreState,
    through_wal: rusqlite::Result<StoreState>,
) -> Result<()> {
    let foreign = |why: &str| {
        let (file, wal) = (path.display(), wal_path.display());
        let reason = format!(
            "the write-ahead log {wal} does not belong to this file ({why}); nothing was changed. If {file} was restored \
             or copied here, move the log away: mv '{wal}' '{wal}.stale'. If the log is the right one, put back the file \
             that it belongs to"
        );
        Err(Error::database(path, reason))
    };
    match through_wal {
        Ok(state) if state.store_id != alone.store_id => foreign("it is of another database"),
        Ok(state) if state.continues(alone) => Ok(()),
        Ok(_) => foreign("it is of another copy of this database"),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) => {
                foreign("the file can be read without it and not with it")
            }
            // Whoever opens the file next tells what is wrong.
            _ => Ok(()),
        },
    }
}

fn read_state(uri: &str) -> rusqlite::Result<StoreState> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    super::pragmas::keep_wal_at_close(&connection)?;
    StoreState::read(&connection)
}

/// Opens a file that is only examined, with its write-ahead log; makes no index of that log (`-shm`) beside it.
///
/// Every program that has the file open with its log keeps the index there. So without one nobody has it open, and it is
/// read without locks (`unix-none`), with the index in memory (exclusive locking mode). Without a log and a journal it
/// is read as it is (`immutable=1`), from read-only media too.
pub(super) fn open_examined(path: &Path) -> rusqlite::Result<Connection> {
    let file = resolved(path);
    let is_there = |suffix| beside(&file, suffix).exists();
    let (has_log, has_journal) = (is_there("-wal"), is_there("-journal"));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if !has_log && !has_journal {
        return Connection::open_with_flags(immutable_uri(&file), flags);
    }
    let is_unlocked = cfg!(unix) && !has_journal && !is_there("-shm");
    let uri = plain_uri(&file) + if is_unlocked { "?vfs=unix-none" } else { "" };
    let connection = Connection::open_with_flags(uri, flags)?;
    super::pragmas::keep_wal_at_close(&connection)?;
    if is_unlocked {
        // Before the first read, which opens the log.
        connection.pragma_update(None, "locking_mode", "exclusive")?;
    }
    Ok(connection)
}

/// Reads the database file alone, without locks and without its log.
pub(super) fn immutable_uri(path: &Path) -> String {
    format!("{}?immutable=1", plain_uri(path))
}

/// The path as SQLite's URI; characters with a meaning in one are escaped.
fn plain_uri(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    let mut uri = String::from("file:");
    for byte in absolute.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'~' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
