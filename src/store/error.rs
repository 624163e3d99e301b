//! Translates errors of the SQLite library.

use std::path::Path;

use rusqlite::ErrorCode;

use super::paths::directory_of;
use crate::error::{Error, StorageError, StorageErrorKind};

/// Translates an error, with the operation that failed.
pub(super) fn storage(operation: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |source| Error::Storage { operation, source: translate(&source) }
}

/// Translates an error of the pool of readers.
pub(super) fn pool(source: &r2d2::Error) -> Error {
    Error::Storage {
        operation: "waiting for a reading connection",
        source: StorageError { kind: StorageErrorKind::Busy, message: source.to_string() },
    }
}

const NO_SPACE: &str = "no space is left on the disk; free some and start again";
/// Free bytes below which a failure is ascribed to a full disk: far more than opening a file writes at once.
const SPACE_BYTES: u64 = 1 << 20;

/// Whether the file system reports less than [`SPACE_BYTES`] of free space for this user.
fn has_no_space(path: &Path) -> bool {
    rustix::fs::statvfs(directory_of(path)).is_ok_and(|found| {
        found.f_blocks > 0 && found.f_bavail.saturating_mul(found.f_frsize) < SPACE_BYTES
    })
}

/// SQLite's extended error code.
pub(super) fn extended_code(source: &rusqlite::Error) -> Option<i32> {
    source.sqlite_error().map(|error| error.extended_code)
}

fn is_failed_sync(source: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC};
    matches!(extended_code(source), Some(SQLITE_IOERR_FSYNC | SQLITE_IOERR_DIR_FSYNC))
}

fn translate(source: &rusqlite::Error) -> StorageError {
    let kind = match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StorageErrorKind::DiskFull,
        Some(ErrorCode::SystemIoFailure) if is_failed_sync(source) => StorageErrorKind::SyncFailed,
        Some(ErrorCode::SystemIoFailure) => StorageErrorKind::Io,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            StorageErrorKind::ReadOnly
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StorageErrorKind::Damaged,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StorageErrorKind::Busy,
        Some(ErrorCode::OperationInterrupted) => StorageErrorKind::Interrupted,
        Some(
            ErrorCode::Unknown
            | ErrorCode::AuthorizationForStatementDenied
            | ErrorCode::ApiMisuse
            | ErrorCode::ConstraintViolation
            | ErrorCode::TooBig
            | ErrorCode::TypeMismatch,
        ) => StorageErrorKind::Statement,
        Some(_) => StorageErrorKind::Other,
        // Of the library: several statements at once, a statement without columns, a wrong type.
        None => StorageErrorKind::Statement,
    };
    StorageError { kind, message: source.to_string() }
}

/// Whether the shared memory file beside a write-ahead log could not be created or extended, usually on a full disk.
pub(super) fn is_out_of_shared_memory(source: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_SHMMAP, SQLITE_IOERR_SHMOPEN, SQLITE_IOERR_SHMSIZE};
    let code = extended_code(source);
    matches!(code, Some(SQLITE_IOERR_SHMSIZE | SQLITE_IOERR_SHMOPEN | SQLITE_IOERR_SHMMAP))
}

/// The error of a file that cannot be opened, with the remedy.
pub(super) fn unusable(path: &Path, source: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let shown = path.display();
    let reason = match source.sqlite_error_code() {
        Some(Code::NotADatabase) => "not a chatgauge file (it is no SQLite database)".to_owned(),
        Some(Code::DatabaseCorrupt) => format!(
            "the file is damaged ({source}); nothing was changed. Restore a backup, or save the readable data: \
             chatgauge salvage '{shown}' --into NEW"
        ),
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
            "the file is locked by another program; close that program".to_owned()
        }
        Some(Code::ReadOnly | Code::CannotOpen | Code::PermissionDenied) => format!(
            "cannot be written ({source}); the file and its directory must be writable for this user"
        ),
        Some(Code::DiskFull) => NO_SPACE.to_owned(),
        Some(Code::SystemIoFailure) if is_out_of_shared_memory(source) && has_no_space(path) => {
            NO_SPACE.to_owned()
        }
        Some(Code::SystemIoFailure) => return unreadable(path, source),
        _ => source.to_string(),
    };
    Error::database(path, reason)
}

/// The error of a file that the system cannot read.
pub(super) fn unreadable(path: &Path, source: &dyn std::error::Error) -> Error {
    let reason = format!(
        "the system reported an I/O error ({source}); nothing was changed. Its log (dmesg) says which disk; the file itself \
         may be whole"
    );
    Error::database(path, reason)
}
