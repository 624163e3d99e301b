//! Errors of the SQLite library in this crate's words.

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

fn is_failed_write(source: &rusqlite::Error) -> bool {
    let code = source.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(rusqlite::ffi::SQLITE_IOERR_WRITE | rusqlite::ffi::SQLITE_IOERR_SHMSIZE))
}

fn translate(source: &rusqlite::Error) -> StorageError {
    let kind = match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StorageErrorKind::DiskFull,
        // A quota or a limit of the file's size: the system calls it a failed write.
        Some(ErrorCode::SystemIoFailure) if is_failed_write(source) => StorageErrorKind::DiskFull,
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
            | ErrorCode::TooBig
            | ErrorCode::TypeMismatch,
        ) => StorageErrorKind::Statement,
        Some(_) => StorageErrorKind::Other,
        // Not from SQLite: several statements at once, a statement without columns, a wrong type.
        None => StorageErrorKind::Statement,
    };
    StorageError { kind, message: source.to_string() }
}
