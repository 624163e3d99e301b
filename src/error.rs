//! The public error type and its predicates.

use std::path::{Path, PathBuf};

/// The result of a fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate: what failed, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of a record is invalid.
    #[error("{field}: {reason}")]
    InvalidRecord {
        /// Name of the field in the record.
        field: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A query parameter is invalid.
    #[error("{parameter}: {reason}")]
    InvalidQuery {
        /// Name of the parameter.
        parameter: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A configuration value is invalid.
    #[error("{key}: {reason}")]
    InvalidConfig {
        /// Dotted name of the key, or the file.
        key: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The ingest queue is full; no record was accepted.
    #[error("the ingest queue is full ({queued_records} records queued); send again in a second")]
    Overloaded {
        /// Records in the queue.
        queued_records: usize,
    },
    /// An operation of which only one may run at a time is running.
    #[error("another {what} is running; try again when it is done")]
    Busy {
        /// The name of the operation.
        what: &'static str,
    },
    /// The service is shutting down; nothing was accepted.
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
    /// The pseudonym key is not the one that the database was written with; nothing was changed.
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

/// What is wrong with the pseudonym key of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyProblem {
    /// The key file is missing, and the database contains records.
    Missing,
    /// The key file contains a different key.
    Different,
}

impl KeyProblem {
    /// The error text; `database` is the file that the key belongs to.
    fn in_words(self, database: &Path) -> String {
        let database = database.display();
        match self {
            Self::Missing => format!(
                "no such file, and {database} holds records with pseudonyms made with this key; restore it from its \
                 backup, or start with --new-key to generate a new key: every user then gets a new pseudonym"
            ),
            Self::Different => format!(
                "not the key that {database} was written with; put the right file there or name it with \
                 store.key_path, or start with --new-key to use this one: every user then gets a new pseudonym"
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
    /// The message of the library.
    pub message: String,
}

/// The kinds of failed storage operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageErrorKind {
    /// The file system is full.
    DiskFull,
    /// The system reported an I/O error other than a full disk.
    Io,
    /// A flush to the disk (fsync) failed. The system may have dropped unwritten pages, so this
    /// process stops writing; the next start recovers all acknowledged records from the write-ahead
    /// log.
    SyncFailed,
    /// The path no longer refers to the open database or its write-ahead log.
    Misplaced,
    /// The file or its directory cannot be written.
    ReadOnly,
    /// The file is damaged.
    Damaged,
    /// Another process holds a lock.
    Busy,
    /// The statement exceeded the time limit or was interrupted.
    Interrupted,
    /// The statement is invalid.
    Statement,
    /// Anything else.
    Other,
}

impl StorageErrorKind {
    /// The error text without file names, for callers that must not learn them.
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
    /// Creates an [`InvalidRecord`](Self::InvalidRecord) error.
    pub fn invalid_record(field: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidRecord { field, reason: reason.into() }
    }

    /// Creates an [`InvalidQuery`](Self::InvalidQuery) error.
    pub fn invalid_query(parameter: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidQuery { parameter, reason: reason.into() }
    }

    /// Creates an [`InvalidConfig`](Self::InvalidConfig) error.
    pub fn invalid_config(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidConfig { key: key.into(), reason: reason.into() }
    }

    /// Creates a [`Database`](Self::Database) error.
    pub fn database(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Database { path: path.into(), reason: reason.into() }
    }

    /// Whether the input is invalid, so that a retry cannot succeed.
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

    /// The kind of the failed storage operation, if the error is one.
    pub const fn storage_kind(&self) -> Option<StorageErrorKind> {
        match self {
            Self::Storage { source, .. } => Some(source.kind),
            _ => None,
        }
    }

    /// Whether the database file is damaged.
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Storage { source, .. } if matches!(source.kind, StorageErrorKind::Damaged))
    }
}
