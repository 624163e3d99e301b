//! Problems of records and of bodies.

use crate::error::Error;

/// The `field` of a problem with the record as a whole.
pub(super) const WHOLE_RECORD: &str = "(record)";

/// Why one record is rejected; the others of its batch are not affected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct RecordProblem {
    /// Name of the field, or `(record)`.
    pub field: &'static str,
    /// What is wrong and what would be right, without the value.
    pub reason: String,
}

impl RecordProblem {
    /// A problem with one field.
    pub fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self { field, reason: reason.into() }
    }

    /// A problem with the record as a whole.
    pub fn whole(reason: impl Into<String>) -> Self {
        Self::new(WHOLE_RECORD, reason)
    }
}

impl From<RecordProblem> for Error {
    fn from(problem: RecordProblem) -> Self {
        Self::invalid_record(problem.field, problem.reason)
    }
}

/// Why a body cannot be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyProblem {
    /// It is damaged, cut off or not in a known format.
    #[error("the body cannot be read: {reason}")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// It is too large after decompression.
    #[error(
        "the body is larger than {limit_bytes} bytes after decompression; send smaller batches"
    )]
    TooLarge {
        /// The limit in bytes.
        limit_bytes: u64,
    },
}

impl BodyProblem {
    /// A body that is damaged, cut off or not in a known format.
    pub fn unreadable(reason: impl Into<String>) -> Self {
        Self::Unreadable { reason: reason.into() }
    }

    /// Whether the body was too large rather than damaged.
    pub const fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. })
    }
}

/// The problem that the reader reported; any other error is a body that broke off.
impl From<std::io::Error> for BodyProblem {
    fn from(error: std::io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>());
        inner.cloned().unwrap_or_else(|| Self::unreadable("it broke off"))
    }
}

impl From<BodyProblem> for std::io::Error {
    fn from(problem: BodyProblem) -> Self {
        Self::other(problem)
    }
}
