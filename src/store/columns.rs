//! How the types of the model are stored: as the value of a column, or as a row with a column for each field.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Row, Statement};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::alert::{AlertPhase, DeliveryState};
use crate::model::{AuditAction, Name, RequestId, Timestamp};

/// The cells of a row, read from left to right.
pub(super) struct RowCells<'r, 's> {
    row: &'r Row<'s>,
    position: usize,
}

impl<'r, 's> RowCells<'r, 's> {
    pub(super) const fn of(row: &'r Row<'s>) -> Self {
        Self::after(row, 0)
    }

    /// The cells after the first `position`.
    pub(super) const fn after(row: &'r Row<'s>, position: usize) -> Self {
        Self { row, position }
    }

    pub(super) fn next<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        self.position += 1;
        self.row.get(self.position - 1)
    }

    pub(super) fn next_ref(&mut self) -> rusqlite::Result<ValueRef<'r>> {
        self.position += 1;
        self.row.get_ref(self.position - 1)
    }
}

/// A type that is read from a row; [`columns!`] implements it.
pub(super) trait Columns: Sized {
    /// Names of the columns, in the order of the cells of a row.
    const NAMES: &'static [&'static str];

    /// Reads the cells that come next.
    fn read(cells: &mut RowCells<'_, '_>) -> rusqlite::Result<Self>;

    /// Reads a row that begins with the columns.
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Self::read(&mut RowCells::of(row))
    }
}

/// A type that is stored as a row; [`columns!`] implements it.
pub(super) trait StoredColumns: Columns {
    /// Binds every field to the parameter that is called like its column.
    fn bind(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()>;

    /// The columns and parameters of an insert: `(a, b) values (:a, :b)`.
    fn values() -> String {
        format!("({}) values (:{})", Self::NAMES.join(", "), Self::NAMES.join(", :"))
    }

    /// Runs a statement whose parameters are called like the columns; the number of changed rows.
    fn execute(&self, statement: &mut Statement<'_>) -> rusqlite::Result<usize> {
        self.bind(statement)?;
        statement.raw_execute()
    }
}

/// Implements [`Columns`] and [`StoredColumns`] for a struct; with `read` before its name only [`Columns`]. An entry is a
/// field, a field and its column (`at: at_ms`), or one of these with two functions, the first of which reads the field
/// from a column value and the second writes it (compare serde's `with`): `samples as (count, stored_count)`.
macro_rules! columns {
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $column:ident) => { stringify!($column) };
    (@read $cells:ident) => { $cells.next()? };
    (@read $cells:ident $read:path) => { $read($cells.next()?) };
    (@value $self:ident $field:ident) => { &$self.$field };
    (@value $self:ident $field:ident $write:path) => { $write(&$self.$field) };
    ($type:ident $fields:tt) => {
        columns!(read $type $fields);
        columns!(write $type $fields);
    };
    (read $type:ident { $($field:ident $(: $column:ident)? $(as ($read:path $(, $write:path)?))?),+ $(,)? }) => {
        impl $crate::store::columns::Columns for $type {
            const NAMES: &'static [&'static str] = &[$(columns!(@name $field $($column)?)),+];

            fn read(
                cells: &mut $crate::store::columns::RowCells<'_, '_>,
            ) -> rusqlite::Result<Self> {
                Ok(Self { $($field: columns!(@read cells $($read)?)),+ })
            }
        }
    };
    (write $type:ident { $($field:ident $(: $column:ident)? $(as ($read:path, $write:path))?),+ $(,)? }) => {
        impl $crate::store::columns::StoredColumns for $type {
            fn bind(&self, statement: &mut rusqlite::Statement<'_>) -> rusqlite::Result<()> {
                $(statement.raw_bind_parameter(
                    concat!(":", columns!(@name $field $($column)?)),
                    columns!(@value self $field $($write)?),
                )?;)+
                Ok(())
            }
        }
    };
}
pub(super) use columns;

/// Stores enums as their spelling; an unknown spelling, of a newer version, is read as the variant after `else`.
macro_rules! spelled {
    ($($type:ident else $unknown:ident),+) => {
        $(impl ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.as_str()))
            }
        }

        impl FromSql for $type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                Ok(Self::parse(value.as_str()?).unwrap_or(Self::$unknown))
            }
        })+
    };
}
spelled!(AlertPhase else Ok, AuditAction else Read, DeliveryState else Dead);

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_unix_ms()))
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self::from_unix_ms)
    }
}

/// A UUID is a blob of 16 bytes, any other id text.
impl ToSql for RequestId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Uuid(bytes) => ValueRef::Blob(bytes),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// An id that this program does not write is read as text.
impl FromSql for RequestId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value {
            ValueRef::Blob(bytes) => bytes
                .try_into()
                .map_or_else(|_| Self::Text(Name::from(format!("{bytes:02x?}"))), Self::Uuid),
            ValueRef::Text(text) => Self::Text(Name::from_utf8_lossy(text)),
            _ => Self::Text(Name::from(value.as_i64()?.to_string())),
        })
    }
}

/// The id as a value of its own.
pub(super) fn request_id_value(id: &RequestId) -> Value {
    match id {
        RequestId::Uuid(bytes) => Value::Blob(bytes.to_vec()),
        RequestId::Text(text) => Value::Text(text.to_string()),
    }
}

/// A count as SQLite stores it: at most [`i64::MAX`].
pub(super) fn saturated(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// A stored count; 0 for a negative number, which this program does not write.
pub(super) fn unsigned(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

pub(super) fn count(stored: Option<i64>) -> u64 {
    stored.map_or(0, unsigned)
}

pub(super) fn stored_count(count: &u64) -> i64 {
    saturated(*count)
}

pub(super) fn known_count(stored: Option<i64>) -> Option<u64> {
    stored.and_then(|count| u64::try_from(count).ok())
}

pub(super) fn stored_known_count(count: &Option<u64>) -> Option<i64> {
    count.map(saturated)
}

pub(super) fn to_name(text: String) -> Name {
    Name::from(text)
}

/// A value stored as JSON; the default for NULL and for text that is not its JSON.
pub(super) fn from_json<T: DeserializeOwned + Default>(text: Option<String>) -> T {
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
