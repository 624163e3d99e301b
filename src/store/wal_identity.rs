//! Whether the write-ahead log beside a file is the file's own, and whether one is missing.
//!
//! This compares the row of `_store_state` in the database file alone with the row as it is read through the log. Each
//! server that opens the file writes a session into the row, at first with the mark *opening*; the mark becomes *open*
//! only after a checkpoint of the session. So a log with the mark *open* and another session than the file's belongs to
//! another copy of the file, and a file with that mark and no log has lost its latest records.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::paths::{beside, file_bytes, resolved};
use super::pragmas::keep_wal_at_close;
use super::state::{InUse, StoreState};
use crate::error::{Error, Result};

/// The write-ahead log beside a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WalPresence {
    /// No log or an empty one, and none is needed.
    None,
    /// The file's own log.
    Own,
    /// A server had the file open and its log is missing: so are the latest acknowledged records, unless another program
    /// has checkpointed the log and closed the file.
    Missing,
}

/// The state of a file before it is opened.
#[derive(Clone, Debug)]
pub(super) struct WalFinding {
    /// The log beside it.
    pub(super) wal: WalPresence,
    /// The session that the database file has without its log; `None` if it can only be read through its log, as after a
    /// power cut during a checkpoint.
    pub(super) session: Option<Vec<u8>>,
}

/// Examines a file that this process does not have open; nothing is written.
///
/// # Errors
/// [`Error::Database`] when the log belongs to another database or to another copy of this one, or when there is a log
/// and no database.
pub(super) fn find_wal(path: &Path) -> Result<WalFinding> {
    find_wal_by(path, || read_state(&plain_uri(path)))
}

/// Like [`find_wal`], but leaves no new file beside `path`.
///
/// # Errors
/// As [`find_wal`].
pub(super) fn find_wal_of_examined(path: &Path) -> Result<WalFinding> {
    find_wal_by(path, || StoreState::stored(&open_examined(path)?))
}

/// Like [`find_wal`]; `read_through_wal` reads the state through the log.
///
/// # Errors
/// As [`find_wal`].
pub(super) fn find_wal_by(
    path: &Path,
    read_through_wal: impl FnOnce() -> rusqlite::Result<StoreState>,
) -> Result<WalFinding> {
    let wal_path = beside(&resolved(path), "-wal");
    let wal_bytes = wal_path.metadata().map(|metadata| metadata.len());
    let alone = read_state(&immutable_uri(path)).ok();
    let wal = match (wal_bytes, &alone) {
        // A reader that opens the file without its log leaves an empty one.
        (Err(_) | Ok(0), Some(alone)) if alone.in_use == InUse::Open => WalPresence::Missing,
        (Err(_) | Ok(0), _) => WalPresence::None,
        // SQLite would delete the log. A database of this program has its first page before its log has frames.
        (Ok(_), None) if file_bytes(path) == 0 => return Err(without_database(path, &wal_path)),
        // Nothing to compare with: the first page is damaged.
        (Ok(_), None) => WalPresence::Own,
        (Ok(_), Some(alone)) => {
            compare(path, &wal_path, alone, read_through_wal())?;
            WalPresence::Own
        }
    };
    let session = alone.map(|alone| alone.session);
    Ok(WalFinding { wal, session: session.or_else(|| (wal != WalPresence::Own).then(Vec::new)) })
}

fn without_database(path: &Path, wal_path: &Path) -> Error {
    let wal = wal_path.display();
    let reason = format!(
        "the database is missing or empty, but its write-ahead log {wal} is there and holds the latest records; nothing \
         was changed. Put the database back, or, to begin a new one, rename the WAL: mv '{wal}' '{wal}.stale'"
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
             or copied here, rename the WAL: mv '{wal}' '{wal}.stale'. If the WAL is the right one, put back the file \
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
            // The caller, which reads the file next, reports the error.
            _ => Ok(()),
        },
    }
}

fn read_state(uri: &str) -> rusqlite::Result<StoreState> {
    let connection = Connection::open_with_flags(uri, READ_FLAGS)?;
    keep_wal_at_close(&connection, true)?;
    StoreState::stored(&connection)
}

pub(super) const READ_FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY
    .union(OpenFlags::SQLITE_OPEN_URI)
    .union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// Opens a file to examine it, with its write-ahead log; creates no index of that log (`-shm`) beside it.
///
/// Every program that has the file open with its log keeps the index there. So if there is none, no program has it open,
/// and it is read without locks (`unix-none`), with the index in memory (exclusive locking mode). A file without a log and
/// a journal is read as it is (`immutable=1`), also on read-only media.
pub(super) fn open_examined(path: &Path) -> rusqlite::Result<Connection> {
    let file = resolved(path);
    let is_there = |suffix| beside(&file, suffix).exists();
    let (has_log, has_journal) = (is_there("-wal"), is_there("-journal"));
    if !has_log && !has_journal {
        return Connection::open_with_flags(immutable_uri(&file), READ_FLAGS);
    }
    let is_unlocked = cfg!(unix) && !has_journal && !is_there("-shm");
    let uri = plain_uri(&file) + if is_unlocked { "?vfs=unix-none" } else { "" };
    let connection = Connection::open_with_flags(uri, READ_FLAGS)?;
    keep_wal_at_close(&connection, true)?;
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
    let escaped = absolute.as_os_str().as_encoded_bytes().iter().map(|byte| match byte {
        b'/' | b'.' | b'-' | b'_' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
            char::from(*byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    });
    format!("file:{}", escaped.collect::<String>())
}
