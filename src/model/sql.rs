//! Results of ad-hoc SQL statements.

use serde::{Serialize, Serializer};

/// Result of a read-only statement.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlAnswer {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows, with one value per column.
    pub rows: Vec<Vec<SqlValue>>,
    /// Whether rows beyond the limit, or beyond 16 MiB, were dropped.
    pub truncated: bool,
    /// Duration in microseconds.
    pub elapsed_us: u64,
}

#[cfg(feature = "server")]
impl SqlAnswer {
    /// How to get the missing rows of a truncated result.
    pub(crate) const MORE_ROWS: &str = "there are more; narrow the statement or raise query.sql_max_rows (the limit of 16 MiB stays)";
}

/// An SQLite value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
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
    #[serde(serialize_with = "as_hex")]
    Blob(Vec<u8>),
}

fn as_hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&data_encoding::HEXLOWER.encode_display(bytes))
}
