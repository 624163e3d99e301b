//! Inserting rows of the damaged file into the new one.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, Statement, ffi};

use super::OPERATION;
use super::schema::RowLayout;
use crate::error::Result;
use crate::store::checkpoint::checkpoint;
use crate::store::error::{extended_code, storage};

/// Rows of one transaction.
const ROWS_PER_COMMIT: u32 = 50_000;

/// Consecutive transactions of limited size.
#[derive(Debug)]
pub(super) struct Batches<'c> {
    connection: &'c Connection,
    rows: u32,
}

impl<'c> Batches<'c> {
    /// Begins the first transaction.
    pub(super) fn begin(connection: &'c Connection) -> Result<Self> {
        connection.execute_batch("begin immediate").map_err(storage(OPERATION))?;
        Ok(Self { connection, rows: 0 })
    }

    /// Counts a row; after enough rows, commits and checkpoints the write-ahead log, which nothing else does.
    pub(super) fn row_done(&mut self) -> Result<()> {
        self.rows += 1;
        if self.rows < ROWS_PER_COMMIT {
            return Ok(());
        }
        self.rows = 0;
        self.connection.execute_batch("commit").map_err(storage(OPERATION))?;
        checkpoint(self.connection, "passive")?;
        self.connection.execute_batch("begin immediate").map_err(storage(OPERATION))
    }

    /// Commits the last transaction.
    pub(super) fn finish(self) -> Result<()> {
        self.connection.execute_batch("commit").map_err(storage(OPERATION))
    }
}

/// Inserts rows into one table; a row whose key exists stays as it is.
#[derive(Debug)]
pub(super) struct Inserter<'c> {
    connection: &'c Connection,
    table: String,
    verb: &'static str,
    /// Stored positions and names of the columns that the new table has too.
    columns: Vec<(usize, String)>,
    rowid_column: Option<usize>,
    /// The statement for rows with this number of values: rows from before a column was added are shorter.
    statement: Option<(usize, Statement<'c>)>,
}

impl<'c> Inserter<'c> {
    /// An inserter of rows with this layout into `table`.
    pub(super) fn new(
        connection: &'c Connection,
        table: &str,
        layout: &RowLayout,
        verb: &'static str,
    ) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare("select name from pragma_table_xinfo(?1)")?;
        let names: Vec<String> =
            statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let columns = layout.columns.iter().cloned().enumerate();
        Ok(Self {
            connection,
            table: table.to_owned(),
            verb,
            columns: columns.filter(|(_, name)| names.contains(name)).collect(),
            rowid_column: layout.rowid_column,
            statement: None,
        })
    }

    /// Inserts a row; `Some(false)` when its key exists, `None` when the row is damaged and violates another constraint.
    pub(super) fn insert(
        &mut self,
        rowid: i64,
        values: &[ValueRef<'_>],
    ) -> rusqlite::Result<Option<bool>> {
        let columns = self.columns.iter().filter(|(position, _)| *position < values.len());
        if self.statement.as_ref().is_none_or(|(length, _)| *length != values.len()) {
            let names: Vec<&str> = columns.clone().map(|(_, name)| name.as_str()).collect();
            let places = vec!["?"; names.len()].join(", ");
            let names = names.join(", ");
            let sql = format!("{} into {} ({names}) values ({places})", self.verb, self.table);
            self.statement = Some((values.len(), self.connection.prepare(&sql)?));
        }
        let Some((_, statement)) = &mut self.statement else { return Ok(None) };
        for ((position, _), place) in columns.zip(1..) {
            if self.rowid_column == Some(*position) {
                statement.raw_bind_parameter(place, rowid)?;
            } else {
                statement.raw_bind_parameter(place, ToSqlOutput::Borrowed(values[*position]))?;
            }
        }
        match statement.raw_execute() {
            Ok(rows) => Ok(Some(rows > 0)),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                // Many rows are found twice, on a page and in an index.
                let is_duplicate = matches!(
                    extended_code(&error),
                    Some(
                        ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                            | ffi::SQLITE_CONSTRAINT_ROWID
                            | ffi::SQLITE_CONSTRAINT_UNIQUE
                    )
                );
                Ok(is_duplicate.then_some(false))
            }
            Err(error) => Err(error),
        }
    }
}
