//! New rollup and sketch tables, filled beside the old ones, which they replace in one transaction.
//!
//! Dropping a table reads every page of it and fails if one is damaged. Then the table's row of the schema is deleted
//! instead, and `vacuum` rewrites the file without the pages that belong to no table.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, Transaction};

use super::columns::StoredColumns as _;
use super::error::storage;
use super::read::{DayRow, Reader};
use super::rollup_part::{RollupPart, tables_of};
use super::rollup_rows::write_rows;
use super::sketch_rows::write_sketches;
use super::writer::Writer;
use crate::error::Result;
use crate::model::time::DAY_MS;
use crate::model::{Level, ROLLUPS, Rollup, TimeRange};

/// Prefix of the name of a new table.
const PREFIX: &str = "rebuilt_";
const OPERATION: &str = "rebuilding rollups";

/// Rows of a table that a rebuild could not copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadableRollups {
    /// The table.
    pub table: &'static str,
    /// The level.
    pub level: Level,
    /// The UTC day, by its start in Unix milliseconds.
    pub day_ms: i64,
    /// Buckets that have lost rows.
    pub buckets: u32,
}

/// How the old tables were removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Dropped; their pages are free.
    Whole,
    /// Damaged pages prevented it; `vacuum` rewrote the file without them.
    Vacuumed,
    /// Damaged pages prevented it, and damaged pages of other tables prevent `vacuum` too.
    PagesLeft,
}

impl Reader<'_> {
    /// Tables that an interrupted rebuild has left.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn unfinished_rebuild(&self) -> Result<Vec<String>> {
        unfinished(self.connection()).map_err(storage("reading the schema"))
    }

    /// When the first request of a range started, in Unix milliseconds.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn first_start(&self, range: TimeRange) -> Result<Option<i64>> {
        let sql = "select min(started_at_ms) from requests
                   where started_at_ms >= ?1 and started_at_ms < ?2";
        self.value("looking for requests", sql, (range.start, range.end))
    }
}

fn unfinished(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "select name from sqlite_schema where type = 'table' and substr(name, 1, 8) = ?1";
    connection.prepare(sql)?.query_map([PREFIX], |row| row.get(0))?.collect()
}

/// Logs at the start that a rebuild was interrupted. The old rollups are in use and correct.
pub(super) fn warn_if_unfinished(path: &Path, connection: &Connection) {
    if unfinished(connection).is_ok_and(|tables| !tables.is_empty()) {
        tracing::warn!(
            path = %path.display(),
            "a rebuild was interrupted: the previous rollups stay in use; run `chatgauge rebuild` to finish it and to \
             free the space of its tables"
        );
    }
}

impl Writer {
    /// Creates empty tables beside the old ones, after dropping those that an interrupted rebuild has left. Returns
    /// whether there were such tables.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin_rebuild(&mut self) -> Result<bool> {
        let left = unfinished(self.connected()?).map_err(storage(OPERATION))?;
        self.write(OPERATION, |transaction| {
            for table in &left {
                transaction.execute(&format!("drop table {table}"), [])?;
            }
            // Dropping a table moves the last root page to the place of its own. Created in reverse order, each new
            // table gets the root of the old one, so that a salvage finds it where a new file has it.
            for table in tables_of(None).rev() {
                let sql = "select sql from sqlite_schema where name = ?1";
                let sql: String = transaction.query_row(sql, [table], |row| row.get(0))?;
                let columns = sql.find('(').and_then(|at| sql.get(at..)).unwrap_or_default();
                transaction.execute(&format!("create table {PREFIX}{table} {columns}"), [])?;
            }
            Ok(())
        })?;
        Ok(!left.is_empty())
    }

    /// Writes recomputed rollups into the new tables.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn rebuild_rollups(&mut self, parts: &[RollupPart]) -> Result<()> {
        self.write(OPERATION, |transaction| {
            parts.iter().try_for_each(|part| {
                let new = |table| format!("{PREFIX}{table}");
                write_rows(transaction, "insert", &new(part.grouping.table()), part)?;
                write_sketches(transaction, "insert", &new(part.grouping.sketch_table()), part)
            })
        })
    }

    /// Copies the readable rollups of a UTC day into the new tables; returns the unreadable ones.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn keep_rollups(
        &mut self,
        reader: &Reader<'_>,
        day_ms: i64,
        levels: &[Level],
    ) -> Result<Vec<UnreadableRollups>> {
        self.write(OPERATION, |transaction| {
            let mut unreadable = Vec::new();
            for level in levels.iter().copied() {
                for table in tables_of(Some(level)) {
                    let reader = reader.connection();
                    let copy = LevelCopy { reader, writer: transaction, table, level };
                    let buckets = copy.copy(day_ms, day_ms + DAY_MS)?;
                    if buckets > 0 {
                        unreadable.push(UnreadableRollups { table, level, day_ms, buckets });
                    }
                }
            }
            Ok(unreadable)
        })
    }

    /// Replaces the old tables by the new ones, and corrects rows of days.
    ///
    /// # Errors
    /// When the transaction failed; the old tables then stay in place.
    pub fn finish_rebuild(&mut self, days: &[DayRow]) -> Result<Dropped> {
        match self.swap(days, false) {
            Err(error) if error.is_damage() => {
                self.swap(days, true)?;
                let vacuumed =
                    self.autocommit("vacuuming", |connection| connection.execute_batch("vacuum"));
                match vacuumed {
                    Err(error) if error.is_damage() => Ok(Dropped::PagesLeft),
                    vacuumed => vacuumed.map(|()| Dropped::Vacuumed),
                }
            }
            swapped => swapped.map(|()| Dropped::Whole),
        }
    }

    fn swap(&mut self, days: &[DayRow], is_damaged: bool) -> Result<()> {
        let set = |writer: &Self, name: &str, value: &str| {
            writer
                .connected()?
                .execute_batch(&format!("pragma {name} = {value}"))
                .map_err(storage(OPERATION))
        };
        // Renaming a table must not change the views that name it.
        set(self, "legacy_alter_table", "on")?;
        if is_damaged {
            set(self, "writable_schema", "on")?;
        }
        let swapped = self.write(OPERATION, |transaction| {
            swap(transaction, is_damaged)?;
            replace_days(transaction, days)
        });
        set(self, "writable_schema", "reset")?;
        set(self, "legacy_alter_table", "off")?;
        swapped
    }
}

fn swap(transaction: &Transaction<'_>, is_damaged: bool) -> rusqlite::Result<()> {
    for table in tables_of(None) {
        if is_damaged {
            transaction.execute("delete from sqlite_schema where tbl_name = ?1", [table])?;
        } else {
            transaction.execute(&format!("drop table {table}"), [])?;
        }
    }
    if is_damaged {
        transaction.execute_batch("pragma writable_schema = reset")?;
    }
    for table in tables_of(None) {
        transaction.execute(&format!("alter table {PREFIX}{table} rename to {table}"), [])?;
    }
    Ok(())
}

/// Writes rows of days in place of the stored ones.
pub(super) fn replace_days(connection: &Connection, days: &[DayRow]) -> rusqlite::Result<()> {
    let sql = format!("insert or replace into _days {}", DayRow::values());
    let mut statement = connection.prepare_cached(&sql)?;
    days.iter().try_for_each(|day| day.execute(&mut statement).map(drop))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// A copy of one table at one level. It reads through a connection of its own, because damage that a writing statement
/// meets makes later statements of the connection fail.
struct LevelCopy<'t> {
    reader: &'t Connection,
    writer: &'t Transaction<'t>,
    table: &'static str,
    level: Level,
}

impl LevelCopy<'_> {
    /// Copies the rows of a range of buckets; halves it where a page is damaged. Returns the number of buckets that have
    /// lost rows.
    fn copy(&self, from_ms: i64, to_ms: i64) -> rusqlite::Result<u32> {
        let width_ms = self.level.width_ms();
        if self.copy_until_damage(from_ms, to_ms, "asc")? {
            return Ok(0);
        }
        if to_ms - from_ms > width_ms {
            let half_ms = from_ms + (to_ms - from_ms) / width_ms / 2 * width_ms;
            return Ok(self.copy(from_ms, half_ms)? + self.copy(half_ms, to_ms)?);
        }
        // One bucket whose rows lie on several pages: also copy the rows after the damaged page.
        self.copy_until_damage(from_ms, to_ms, "desc")?;
        Ok(1)
    }

    /// Copies rows in an order; `false` when a damaged page ends it early.
    fn copy_until_damage(&self, from_ms: i64, to_ms: i64, order: &str) -> rusqlite::Result<bool> {
        let (table, keys) = (self.table, self.keys(order));
        let mut select = self.reader.prepare_cached(&format!(
            "select * from {table} where level_minutes = ?1 and bucket_ms >= ?2 and bucket_ms < ?3
             order by {keys}"
        ))?;
        let columns = select.column_count();
        let places = vec!["?"; columns].join(", ");
        let mut insert = self
            .writer
            .prepare_cached(&format!("insert or ignore into {PREFIX}{table} values ({places})"))?;
        let mut rows = select.query((self.level.minutes(), from_ms, to_ms))?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(true),
                Err(error) if is_damage(&error) => return Ok(false),
                Err(error) => return Err(error),
            };
            for column in 0..columns {
                insert.raw_bind_parameter(column + 1, row.get::<_, Value>(column)?)?;
            }
            insert.raw_execute()?;
        }
    }

    fn keys(&self, order: &str) -> String {
        let of_table = |rollup: &&Rollup| {
            rollup.grouping.table() == self.table || rollup.grouping.sketch_table() == self.table
        };
        let rollup = ROLLUPS.iter().find(of_table);
        let ids = rollup.map_or(&[][..], |rollup| rollup.grouping.keys());
        let ids = ids.iter().map(|key| key.column());
        let names: Vec<String> =
            ["bucket_ms"].into_iter().chain(ids).map(|name| format!("{name} {order}")).collect();
        names.join(", ")
    }
}
