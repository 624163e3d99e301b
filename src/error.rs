//! The one public error, with predicates.

use std::path::{Path, PathBuf};

/// The result of a fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of a record is not acceptable.
    #[error("{field}: {reason}")]
    InvalidRecord {
        /// Name of the field in the record.
        field: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A query is not acceptable.
    #[error("{parameter}: {reason}")]
    InvalidQuery {
        /// Name of the parameter.
        parameter: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A configuration value is not acceptable.
    #[error("{key}: {reason}")]
    InvalidConfig {
        /// Dotted name of the key, or the file.
        key: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The queue of records that wait to be written is full; nothing was taken.
    #[error("the ingest queue is full ({queued_records} records wait); send again in a second")]
    Overloaded {
        /// Records that wait.
        queued_records: usize,
    },
    /// Something that is done one at a time is being done.
    #[error("another {what} is running; try again when it is done")]
    Busy {
        /// What it is.
        what: &'static str,
    },
    /// The service is shutting down; nothing was taken.
    #[error("the service is shutting down")]
    Closed,
    /// The file cannot be used as a database of this program.
    #[error("{path}: {reason}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The key of the pseudonyms is not the one that the database was written with; nothing was changed.
    #[error("{}: {}", key.display(), problem.in_words(database))]
    PseudonymKey {
        /// The key file.
        key: PathBuf,
        /// The database.
        database: PathBuf,
        /// What is wrong with the key.
        problem: KeyProblem,
    },
    /// A statement failed; the transaction was rolled back.
    #[error("{operation}: {source}")]
    Storage {
        /// What was attempted.
        operation: &'static str,
        /// The cause.
        source: StorageError,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// What is wrong with the key of the pseudonyms of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyProblem {
    /// There is no key file, and the database holds records.
    Missing,
    /// The key file is there and holds another key.
    Different,
}

impl KeyProblem {
    /// What is wrong and what to do; `database` is the file that the key belongs to.
    fn in_words(self, database: &Path) -> String {
        let database = database.display();
        match self {
            Self::Missing => format!(
                "no such file, and {database} holds records with pseudonyms made by this key; put it back from its \
                 backup, or start with --new-key to make another key: every user then counts again"
            ),
            Self::Different => format!(
                "not the key that {database} was written with; put the right file there or name it with \
                 store.key_path, or start with --new-key to go on with this one: every user then counts again"
            ),
        }
    }
}

/// The cause of a failed storage operation, without naming the storage library.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct StorageError {
    /// The kind of failure.
    pub kind: StorageErrorKind,
    /// The library's own words.
    pub message: String,
}

/// Kinds of failed storage operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageErrorKind {
    /// The file system says that no space is left.
    DiskFull,
    /// The system reported an I/O error other than a full disk.
    Io,
    /// A flush to the disk (fsync) failed. What the system had not written may be gone, so this process writes no more;
    /// the next start recovers everything acknowledged from the write-ahead log.
    SyncFailed,
    /// The path no longer leads to the open database, or to its write-ahead log.
    Misplaced,
    /// The file or its directory cannot be written.
    ReadOnly,
    /// The file is damaged.
    Damaged,
    /// Another process holds a lock.
    Busy,
    /// The statement took too long or was stopped.
    Interrupted,
    /// The statement itself is not acceptable.
    Statement,
    /// Anything else.
    Other,
}

impl StorageErrorKind {
    /// What is wrong, without names of files: for callers who may not know them.
    pub const fn public_words(self) -> &'static str {
        match self {
            Self::DiskFull => "the disk of the database is full",
            Self::Io => "the disk of the database reported an I/O error; send again",
            Self::SyncFailed => {
                "a flush to the disk failed; the server restarts from its write-ahead log; send again"
            }
            Self::Misplaced => "the database file was moved, deleted or replaced; send again later",
            Self::ReadOnly => "the database file cannot be written; send again later",
            Self::Damaged => {
                "the database file is damaged; the server's log says what to do; send again later"
            }
            Self::Busy => "another process holds the database file",
            Self::Interrupted => "the time limit was reached",
            Self::Statement | Self::Other => "the cause is in the server's log",
        }
    }
}

impl Error {
    /// A record's field that is not acceptable.
    pub fn invalid_record(field: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidRecord { field, reason: reason.into() }
    }

    /// A query parameter that is not acceptable.
    pub fn invalid_query(parameter: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidQuery { parameter, reason: reason.into() }
    }

    /// A configuration value that is not acceptable.
    pub fn invalid_config(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidConfig { key: key.into(), reason: reason.into() }
    }

    /// A file that cannot be used.
    pub fn database(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Database { path: path.into(), reason: reason.into() }
    }

    /// Whether the caller sent something that will never be acceptable.
    pub const fn is_invalid_input(&self) -> bool {
        matches!(
            self,
            Self::InvalidRecord { .. } | Self::InvalidQuery { .. } | Self::InvalidConfig { .. }
        )
    }

    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Overloaded { .. } | Self::Busy { .. } => true,
            Self::Storage { source, .. } => matches!(
                source.kind,
                StorageErrorKind::DiskFull
                    | StorageErrorKind::Io
                    | StorageErrorKind::Misplaced
                    | StorageErrorKind::ReadOnly
                    | StorageErrorKind::Busy
                    | StorageErrorKind::Interrupted
            ),
            _ => false,
        }
    }

    /// The kind of a failed storage operation.
    pub const fn storage_kind(&self) -> Option<StorageErrorKind> {
        match self {
            Self::Storage { source, .. } => Some(source.kind),
            _ => None,
        }
    }

    /// Whether something in the file is not what it should be.
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Storage { source, .. } if matches!(source.kind, StorageErrorKind::Damaged))
    }
}
