//! What an ad-hoc statement answers.

use serde::{Serialize, Serializer};

/// Rows of a read-only statement.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlAnswer {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The values of each row, one for each column.
    pub rows: Vec<Vec<SqlValue>>,
    /// There were more rows than the limit allows.
    pub truncated: bool,
    /// How long it took, in microseconds.
    pub elapsed_us: u64,
}

/// A value as SQLite stores it.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    /// Unknown.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating point number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes; shown as lower-case hexadecimal text.
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
