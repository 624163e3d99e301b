//! Errors of the SQLite library in this crate's words.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::{Error, StorageError, StorageErrorKind};

/// Names the operation that failed and translates the cause.
pub(super) fn storage(operation: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |source| Error::Storage { operation, source: translate(&source) }
}

/// The same for an error of the pool of readers.
pub(super) fn pool(source: &r2d2::Error) -> Error {
    Error::Storage {
        operation: "waiting for a reading connection",
        source: StorageError { kind: StorageErrorKind::Busy, message: source.to_string() },
    }
}

const NO_SPACE: &str = "no space is left on the disk; free some and start again";
/// Free bytes from which on a failure is not for want of space: far more than an opening writes at once.
const SPACE_BYTES: u64 = 1 << 20;

/// Whether the file system says that it has hardly any space left for this user.
fn has_no_space(path: &Path) -> bool {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    rustix::fs::statvfs(directory.unwrap_or(Path::new("."))).is_ok_and(|found| {
        found.f_blocks > 0 && found.f_bavail.saturating_mul(found.f_frsize) < SPACE_BYTES
    })
}

fn is_failed_sync(source: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC};
    let code = source.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(SQLITE_IOERR_FSYNC | SQLITE_IOERR_DIR_FSYNC))
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
        // Not from SQLite: several statements at once, a statement without columns, a wrong type.
        None => StorageErrorKind::Statement,
    };
    StorageError { kind, message: source.to_string() }
}

/// Whether the file of shared memory beside a write-ahead log could not be made or extended: mostly a full disk.
pub(super) fn is_out_of_shared_memory(source: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_SHMMAP, SQLITE_IOERR_SHMOPEN, SQLITE_IOERR_SHMSIZE};
    let code = source.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(SQLITE_IOERR_SHMSIZE | SQLITE_IOERR_SHMOPEN | SQLITE_IOERR_SHMMAP))
}

/// Why a file cannot be opened, and what to do.
pub(super) fn unusable(path: &Path, source: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let shown = path.display();
    let reason = match source.sqlite_error_code() {
        Some(Code::NotADatabase) => "not a chatgauge file (it is no SQLite database)".to_owned(),
        Some(Code::DatabaseCorrupt) => format!(
            "the file is damaged ({source}); nothing was changed. Restore a backup, or save what can be read: \
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
        Some(Code::SystemIoFailure) => format!(
            "the system reported an I/O error ({source}); nothing was changed. Its log (dmesg) says which disk; the file \
             itself may be whole"
        ),
        _ => source.to_string(),
    };
    Error::database(path, reason)
}

/// Why a file cannot be read, outside SQLite.
pub(super) fn unreadable(path: &Path, source: &std::io::Error) -> Error {
    let reason = format!(
        "the system reported an I/O error ({source}); nothing was changed. Its log (dmesg) says which disk; the file itself \
         may be whole"
    );
    Error::database(path, reason)
}
