//! The column of a request's id: a UUID is a blob of 16 bytes, any other id text.

use rusqlite::Row;
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};

use crate::model::{Name, RequestId};

impl ToSql for RequestId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Uuid(bytes) => ValueRef::Blob(bytes),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// The id as a value of its own.
pub(super) fn request_id_value(id: &RequestId) -> Value {
    match id {
        RequestId::Uuid(bytes) => Value::Blob(bytes.to_vec()),
        RequestId::Text(text) => Value::Text(text.to_string()),
    }
}

/// The id in a column of a row; an id that this program does not write shows as text.
pub(super) fn read_request_id(row: &Row<'_>, position: usize) -> rusqlite::Result<RequestId> {
    Ok(match row.get_ref(position)? {
        ValueRef::Blob(bytes) => match bytes.try_into() {
            Ok(uuid) => RequestId::Uuid(uuid),
            Err(_) => RequestId::Text(Name::from(format!("{bytes:02x?}"))),
        },
        ValueRef::Text(text) => RequestId::Text(Name::from_utf8_lossy(text)),
        _ => RequestId::Text(Name::from(row.get::<_, i64>(position)?.to_string())),
    })
}
