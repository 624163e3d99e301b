//! Statements of the user's: read-only, bounded in time, rows and bytes.

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Rows};

use super::error::storage;
use super::open::{STEPS_PER_CHECK, Stop, Store};
use super::pragmas::prepare_reader;
use crate::error::{Error, Result, StorageErrorKind};
use crate::model::{SqlAnswer, SqlValue};

/// Bounds of one statement.
pub struct SqlLimits {
    /// Most rows.
    pub max_rows: usize,
    /// Asked every few thousand steps.
    pub stop: Stop,
}

impl std::fmt::Debug for SqlLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlLimits").field("max_rows", &self.max_rows).finish_non_exhaustive()
    }
}

/// Longest value and statement, in bytes.
const MAX_VALUE_BYTES: i32 = 4 << 20;
/// Most bytes of text and blobs in one answer.
const MAX_ANSWER_BYTES: usize = 16 << 20;

impl Store {
    /// Runs one statement that can only read.
    ///
    /// # Errors
    /// [`Error::InvalidQuery`] when the statement is not acceptable, would write, or names what is not
    /// to be read; a retryable storage error when it was stopped.
    pub fn sql(&self, sql: &str, limits: SqlLimits) -> Result<SqlAnswer> {
        let mut connection = self.connect_to_read()?;
        restrict(&mut connection, limits.stop).map_err(storage("restricting a connection"))?;
        run(&connection, sql, limits.max_rows)
            .map_err(|source| self.damage_seen().note(self.path(), refused(source)))
    }
}

fn restrict(connection: &mut Connection, stop: Stop) -> rusqlite::Result<()> {
    prepare_reader(connection, 2 << 20)?;
    // Sorting a whole table must not take the server's memory.
    connection.pragma_update(None, "temp_store", "file")?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.progress_handler(STEPS_PER_CHECK, Some(stop))?;
    connection.authorizer(Some(authorize))
}

fn authorize(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Read { table_name, .. } if table_name.eq_ignore_ascii_case("_api_keys") => {
            Authorization::Deny
        }
        AuthAction::Read { .. } => Authorization::Allow,
        AuthAction::Function { function_name } => {
            match function_name.to_ascii_lowercase().as_str() {
                "load_extension" | "fts3_tokenizer" | "writefile" | "readfile" => {
                    Authorization::Deny
                }
                _ => Authorization::Allow,
            }
        }
        _ => Authorization::Deny,
    }
}

/// An error of the statement itself is the user's, everything else is the store's.
fn refused(source: rusqlite::Error) -> Error {
    match storage("running the statement")(source) {
        Error::Storage { source, .. } if source.kind == StorageErrorKind::Statement => {
            let refused =
                source.message.contains("not authorized") || source.message.contains("prohibited");
            let hint = if refused { "; only reading is possible" } else { "" };
            Error::invalid_query("sql", format!("{}{hint}", source.message))
        }
        other => other,
    }
}

fn run(connection: &Connection, sql: &str, max_rows: usize) -> rusqlite::Result<SqlAnswer> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = statement.query([])?;
    collect(&mut rows, columns, max_rows)
}

fn collect(
    rows: &mut Rows<'_>,
    columns: Vec<String>,
    max_rows: usize,
) -> rusqlite::Result<SqlAnswer> {
    let mut answer = SqlAnswer { columns, rows: Vec::new(), truncated: false, elapsed_us: 0 };
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if answer.rows.len() == max_rows || bytes > MAX_ANSWER_BYTES {
            answer.truncated = true;
            break;
        }
        let mut values = Vec::with_capacity(answer.columns.len());
        for position in 0..answer.columns.len() {
            let value = read_value(row.get_ref(position)?);
            bytes += bytes_of(&value);
            values.push(value);
        }
        answer.rows.push(values);
    }
    Ok(answer)
}

fn read_value(value: ValueRef<'_>) -> SqlValue {
    match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(number) => SqlValue::Integer(number),
        ValueRef::Real(number) => SqlValue::Real(number),
        ValueRef::Text(text) => SqlValue::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => SqlValue::Blob(bytes.to_vec()),
    }
}

const fn bytes_of(value: &SqlValue) -> usize {
    match value {
        SqlValue::Null | SqlValue::Integer(_) | SqlValue::Real(_) => 8,
        SqlValue::Text(text) => text.len(),
        SqlValue::Blob(bytes) => bytes.len(),
    }
}
