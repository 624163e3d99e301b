//! New rollup and sketch tables, filled beside the old ones, which they replace in one transaction.
//!
//! Dropping a table reads every page of it. Where one is damaged that fails: then the table's row of the schema is deleted
//! instead, and `vacuum` rewrites the file without the pages that no table owns any more.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, Transaction};

use super::error::storage;
use super::read::{DayRow, Reader};
use super::rollup_rows::write_rows_into;
use super::rollups::{RollupPart, replace_days};
use super::sketch_rows::write_sketches_into;
use super::writer::Writer;
use crate::error::Result;
use crate::model::time::DAY_MS;
use crate::model::{Level, ROLLUPS, Rollup, TimeRange};

/// What the name of a table begins with that is being built.
const PREFIX: &str = "rebuilt_";
const OPERATION: &str = "rebuilding rollups";

/// Rows of a table that a rebuild could not keep.
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

/// How the old tables went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Dropped; their pages are free.
    Whole,
    /// Damaged pages prevented it; `vacuum` rewrote the file without them.
    Vacuumed,
    /// Damaged pages prevented it, and damaged pages of other tables prevent `vacuum` too.
    PagesLeft,
}

/// The tables, in the order in which they are dropped.
fn tables() -> impl DoubleEndedIterator<Item = &'static str> {
    ROLLUPS.iter().flat_map(|rollup| {
        let sketches = rollup.sketches.then(|| rollup.grouping.sketch_table());
        [Some(rollup.grouping.table()), sketches].into_iter().flatten()
    })
}

/// The tables that have rows of a level.
fn tables_of(level: Level) -> impl Iterator<Item = &'static str> {
    ROLLUPS.iter().filter(move |rollup| rollup.levels.contains(&level)).flat_map(|rollup| {
        let sketches = rollup.sketches.then(|| rollup.grouping.sketch_table());
        [Some(rollup.grouping.table()), sketches].into_iter().flatten()
    })
}

impl Reader<'_> {
    /// Tables that a rebuild was building when it was stopped.
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
        let read = || {
            self.connection()
                .prepare_cached(
                    "select min(started_at_ms) from requests
                     where started_at_ms >= ?1 and started_at_ms < ?2",
                )?
                .query_row((range.start.as_unix_ms(), range.end.as_unix_ms()), |row| row.get(0))
        };
        read().map_err(storage("looking for requests"))
    }
}

fn unfinished(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "select name from sqlite_schema where type = 'table' and substr(name, 1, 8) = ?1";
    connection.prepare(sql)?.query_map([PREFIX], |row| row.get(0))?.collect()
}

/// Says at the start that a rebuild was stopped; the old rollups are in use, and right.
pub(super) fn tell_unfinished(path: &Path, connection: &Connection) {
    if unfinished(connection).is_ok_and(|tables| !tables.is_empty()) {
        tracing::warn!(
            path = %path.display(),
            "a rebuild was stopped before its end: the rollups are those from before; run `chatgauge rebuild` to \
             finish it and to free the space that it took"
        );
    }
}

impl Writer {
    /// Makes empty tables beside the old ones; says whether a stopped rebuild had left some, which are dropped.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin_rebuild(&mut self) -> Result<bool> {
        let left = unfinished(self.connected()?).map_err(storage(OPERATION))?;
        self.transaction(|transaction| {
            let make = || -> rusqlite::Result<()> {
                for table in &left {
                    transaction.execute(&format!("drop table {table}"), [])?;
                }
                // Dropping a table moves the last root into the place of its own. Made in the opposite order, each new
                // table gets the root of the old one, so that a salvage finds it where a new file has it.
                for table in tables().rev() {
                    let sql: String = transaction.query_row(
                        "select sql from sqlite_schema where name = ?1",
                        [table],
                        |row| row.get(0),
                    )?;
                    let columns = sql.find('(').and_then(|at| sql.get(at..)).unwrap_or_default();
                    transaction.execute(&format!("create table {PREFIX}{table} {columns}"), [])?;
                }
                Ok(())
            };
            make().map_err(storage(OPERATION))
        })?;
        Ok(!left.is_empty())
    }

    /// Puts recomputed rollups into the new tables.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn rebuild_rollups(&mut self, parts: &[RollupPart]) -> Result<()> {
        self.transaction(|transaction| {
            let write = || -> rusqlite::Result<()> {
                for part in parts {
                    let table = format!("{PREFIX}{}", part.grouping.table());
                    write_rows_into(transaction, &table, part)?;
                    if part.grouping.rollup().sketches {
                        let table = format!("{PREFIX}{}", part.grouping.sketch_table());
                        write_sketches_into(transaction, &table, part)?;
                    }
                }
                Ok(())
            };
            write().map_err(storage(OPERATION))
        })
    }

    /// Copies the rollups of a UTC day into the new tables, as far as they can be read; says what cannot.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn keep_rollups(
        &mut self,
        reader: &Reader<'_>,
        day_ms: i64,
        levels: &[Level],
    ) -> Result<Vec<UnreadableRollups>> {
        self.transaction(|transaction| {
            let mut unreadable = Vec::new();
            for level in levels.iter().copied() {
                for table in tables_of(level) {
                    let reader = reader.connection();
                    let keeping = Keeping { reader, writer: transaction, table, level };
                    let buckets =
                        keeping.keep(day_ms, day_ms + DAY_MS).map_err(storage(OPERATION))?;
                    if buckets > 0 {
                        unreadable.push(UnreadableRollups { table, level, day_ms, buckets });
                    }
                }
            }
            Ok(unreadable)
        })
    }

    /// Puts the new tables in the place of the old ones, and rows of days that were wrong.
    ///
    /// # Errors
    /// When the transaction failed; the old tables are there then.
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
        // Views name the tables; they stay as they are.
        set(self, "legacy_alter_table", "on")?;
        if is_damaged {
            set(self, "writable_schema", "on")?;
        }
        let swapped = self.transaction(|transaction| {
            swap(transaction, is_damaged).map_err(storage(OPERATION))?;
            replace_days(transaction, days).map_err(storage(OPERATION))
        });
        set(self, "writable_schema", "reset")?;
        set(self, "legacy_alter_table", "off")?;
        swapped
    }
}

fn swap(transaction: &Transaction<'_>, is_damaged: bool) -> rusqlite::Result<()> {
    for table in tables() {
        if is_damaged {
            transaction.execute("delete from sqlite_schema where tbl_name = ?1", [table])?;
        } else {
            transaction.execute(&format!("drop table {table}"), [])?;
        }
    }
    if is_damaged {
        transaction.execute_batch("pragma writable_schema = reset")?;
    }
    for table in tables() {
        transaction.execute(&format!("alter table {PREFIX}{table} rename to {table}"), [])?;
    }
    Ok(())
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// One table at one level, copied from a reading connection: a statement that meets damage while it writes leaves the
/// connection in a state in which later statements fail.
struct Keeping<'t> {
    reader: &'t Connection,
    writer: &'t Transaction<'t>,
    table: &'static str,
    level: Level,
}

impl Keeping<'_> {
    /// Copies the rows of a range of buckets; halves it where a page is damaged. Returns the buckets that have lost rows.
    fn keep(&self, from_ms: i64, to_ms: i64) -> rusqlite::Result<u32> {
        let width_ms = self.level.width_ms();
        if self.copy(from_ms, to_ms, "asc")? {
            return Ok(0);
        }
        if to_ms - from_ms > width_ms {
            let half_ms = from_ms + (to_ms - from_ms) / width_ms / 2 * width_ms;
            return Ok(self.keep(from_ms, half_ms)? + self.keep(half_ms, to_ms)?);
        }
        // One bucket, whose rows lie on several pages: those after the damaged one too.
        self.copy(from_ms, to_ms, "desc")?;
        Ok(1)
    }

    /// Copies rows in an order until there are no more; `false` when a damaged page comes before.
    fn copy(&self, from_ms: i64, to_ms: i64, order: &str) -> rusqlite::Result<bool> {
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
            match rows.next() {
                Ok(Some(row)) => {
                    for column in 0..columns {
                        insert.raw_bind_parameter(column + 1, row.get::<_, Value>(column)?)?;
                    }
                    insert.raw_execute()?;
                }
                Ok(None) => return Ok(true),
                Err(error) if is_damage(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
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
