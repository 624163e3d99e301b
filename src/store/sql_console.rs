//! SQL statements of users: read-only, bounded in time, rows and bytes.

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;

use super::error::storage;
use super::open::{STEPS_PER_CHECK, Stop, Store};
use super::pragmas::prepare_reader;
use crate::error::{Error, Result, StorageErrorKind};
use crate::model::{SqlAnswer, SqlValue};

/// Limits of one statement.
pub struct SqlLimits {
    /// Maximum number of rows.
    pub max_rows: usize,
    /// Stops the statement.
    pub stop: Stop,
}

impl std::fmt::Debug for SqlLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlLimits").field("max_rows", &self.max_rows).finish_non_exhaustive()
    }
}

/// Maximum length of a value and of the statement, in bytes.
const MAX_VALUE_BYTES: i32 = 4 << 20;
/// Maximum size of the values of one result, in bytes.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// Functions that reach beyond the database.
const FORBIDDEN_FUNCTIONS: [&str; 4] =
    ["load_extension", "fts3_tokenizer", "writefile", "readfile"];

impl Store {
    /// Runs one statement that can only read.
    ///
    /// # Errors
    /// [`Error::InvalidQuery`] when the statement is invalid, would write, or reads a forbidden table; a retryable storage
    /// error when it was stopped.
    pub fn sql(&self, sql: &str, limits: SqlLimits) -> Result<SqlAnswer> {
        let mut connection = self.connect_to_read()?;
        restrict(&mut connection, limits.stop).map_err(storage("restricting a connection"))?;
        run(&connection, sql, limits.max_rows)
            .map_err(|source| self.damage_seen().note(self.path(), refused(source)))
    }
}

fn restrict(connection: &mut Connection, stop: Stop) -> rusqlite::Result<()> {
    prepare_reader(connection, 2 << 20)?;
    // Sorting a large table must not exhaust the server's memory.
    connection.pragma_update(None, "temp_store", "file")?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.progress_handler(STEPS_PER_CHECK, Some(stop))?;
    connection.authorizer(Some(authorize))
}

fn authorize(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Read { table_name, .. } if table_name.eq_ignore_ascii_case("_api_keys") => {
            Authorization::Deny
        }
        AuthAction::Function { function_name }
            if FORBIDDEN_FUNCTIONS.iter().any(|name| function_name.eq_ignore_ascii_case(name)) =>
        {
            Authorization::Deny
        }
        AuthAction::Select
        | AuthAction::Recursive
        | AuthAction::Read { .. }
        | AuthAction::Function { .. } => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

/// Turns an error of the statement itself into one of the query parameter.
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
    let mut answer = SqlAnswer { columns, rows: Vec::new(), truncated: false, elapsed_us: 0 };
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if answer.rows.len() == max_rows || bytes > MAX_ANSWER_BYTES {
            answer.truncated = true;
            break;
        }
        let values = (0..answer.columns.len()).map(|at| row.get_ref(at).map(read_value));
        let values: Vec<SqlValue> = values.collect::<rusqlite::Result<_>>()?;
        bytes += values.iter().map(bytes_of).sum::<usize>();
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
