//! Results of ad-hoc SQL statements.

use serde::{Serialize, Serializer};

/// Result of a read-only statement.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlAnswer {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows, with one value per column.
    pub rows: Vec<Vec<SqlValue>>,
    /// Whether rows beyond the limit were dropped.
    pub truncated: bool,
    /// Duration in microseconds.
    pub elapsed_us: u64,
}

/// An SQLite value.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    /// NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// A floating point number.
    Real(f64),
    /// Text.
    Text(String),
    /// A blob; serialised as lower-case hexadecimal text.
    Blob(Vec<u8>),
}

impl Serialize for SqlValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Real(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Blob(bytes) => {
                serializer.collect_str(&data_encoding::HEXLOWER.encode_display(bytes))
            }
        }
    }
}
