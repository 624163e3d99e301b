//! Reading one snapshot of the file.

use rusqlite::types::FromSql;
use rusqlite::{Connection, Params, Row, Transaction, params_from_iter};

use super::columns::{Columns, RowCells, columns, saturated};
use super::error::storage;
use super::rollup_part::RollupKey;
use super::row::{RequestRow, RowParts};
use super::select::{BoundSql, RawSelect, RollupSelect, SketchSelect};
use crate::error::Result;
use crate::model::time::DAY_MS;
use crate::model::{LatencyKind, Level, TimeRange, Timestamp};

/// A read transaction: every query sees the same snapshot.
#[derive(Debug)]
pub struct Reader<'a> {
    transaction: &'a Transaction<'a>,
}

/// What is known of one UTC day that has, or had, requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayRow {
    /// Start of the day, in Unix milliseconds.
    pub day_ms: i64,
    /// Requests ever rolled up.
    pub requests: i64,
    /// Earliest start, in Unix milliseconds.
    pub min_started_at_ms: i64,
    /// Latest start, in Unix milliseconds.
    pub max_started_at_ms: i64,
    /// Watermark at the last change.
    pub changed_seq: i64,
    /// Time of the last change, in Unix milliseconds.
    pub changed_at_ms: i64,
    /// Levels that retention deleted, as [`pruned_flag`](super::pruned_flag)s.
    pub pruned: i64,
}

columns!(DayRow {
    day_ms,
    requests,
    min_started_at_ms,
    max_started_at_ms,
    changed_seq,
    changed_at_ms,
    pruned
});

impl<'a> Reader<'a> {
    pub(super) const fn new(transaction: &'a Transaction<'a>) -> Self {
        Self { transaction }
    }

    pub(super) fn connection(&self) -> &Connection {
        self.transaction
    }

    /// Hands each row of a query to `each`; an error names `operation`.
    pub(super) fn for_each(
        &self,
        operation: &'static str,
        sql: &str,
        values: impl Params,
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let run = || -> rusqlite::Result<()> {
            let mut statement = self.connection().prepare_cached(sql)?;
            let mut rows = statement.query(values)?;
            while let Some(row) = rows.next()? {
                each(row)?;
            }
            Ok(())
        };
        run().map_err(storage(operation))
    }

    /// The rows of a query, each read by `read`.
    pub(super) fn rows<T>(
        &self,
        operation: &'static str,
        sql: &str,
        values: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        self.for_each(operation, sql, values, |row| {
            rows.push(read(row)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The rows of `select <columns of T> <from>`.
    pub(super) fn select<T: Columns>(
        &self,
        operation: &'static str,
        from: &str,
        values: impl Params,
    ) -> Result<Vec<T>> {
        let sql = format!("select {} {from}", T::NAMES.join(", "));
        self.rows(operation, &sql, values, T::of)
    }

    /// The first column of the only row of a query.
    pub(super) fn value<T: FromSql>(
        &self,
        operation: &'static str,
        sql: &str,
        values: impl Params,
    ) -> Result<T> {
        let query = || self.connection().prepare_cached(sql)?.query_row(values, |row| row.get(0));
        query().map_err(storage(operation))
    }

    /// The last raw row that the rollups include.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn watermark_seq(&self) -> Result<i64> {
        self.value("reading the watermark", "select watermark_seq from _rollup_state", [])
    }

    /// The last raw row ever stored.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_seq(&self) -> Result<i64> {
        let sql = "select max(coalesce((select max(seq) from requests), 0), watermark_seq) from _rollup_state";
        self.value("reading the last row", sql, [])
    }

    /// Bytes in use and bytes of free pages inside the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn page_bytes(&self) -> Result<(i64, i64)> {
        let pragma = |sql| self.value::<i64>("counting pages", sql, []);
        let size = pragma("select * from pragma_page_size")?;
        let pages = pragma("select * from pragma_page_count")?;
        let free = pragma("select * from pragma_freelist_count")?;
        Ok((size * (pages - free), size * free))
    }

    /// Problems that SQLite's structural check (`pragma quick_check`) finds in the file; empty when there are none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn damage(&self) -> Result<Vec<String>> {
        self.rows("checking the file", "pragma quick_check(10)", [], |row| row.get(0))
            .map(without_ok)
    }

    /// Whether any user was ever stored.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn has_users(&self) -> Result<bool> {
        let sql = "select exists (select 1 from users where user_id > 1)";
        self.value("looking for users", sql, [])
    }

    /// Start of the newest stored request.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn newest_start(&self) -> Result<Option<Timestamp>> {
        self.value("reading the newest request", "select max(started_at_ms) from requests", [])
    }

    /// All days that have, or had, requests, in order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn days(&self) -> Result<Vec<DayRow>> {
        self.days_in(TimeRange::from_unix_ms(i64::MIN, i64::MAX))
    }

    /// The days that a range touches, and the first and the last of all, in order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn days_in(&self, range: TimeRange) -> Result<Vec<DayRow>> {
        let from = "from _days where day_ms > ?1 and day_ms < ?2
                        or day_ms in (select min(day_ms) from _days union select max(day_ms) from _days)
                    order by day_ms";
        let after_ms = range.start.as_unix_ms().saturating_sub(DAY_MS);
        self.select("reading the days", from, (after_ms, range.end))
    }

    /// Whether anything is stamped as having arrived after `latest`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn has_arrivals_after(&self, latest: Timestamp) -> Result<bool> {
        let sql = "select exists (select 1 from _days where changed_at_ms > ?1)
                       or exists (select 1 from _undated_ids where seen_at_ms > ?1)";
        self.value("looking for arrivals ahead of the clock", sql, [latest])
    }

    /// Whether a UTC day has raw rows, or rollup rows at a level.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn day_holds(&self, day_ms: i64, level: Option<Level>) -> Result<bool> {
        let sql = match level {
            None => {
                "select exists (select 1 from requests
                     where started_at_ms >= ?1 and started_at_ms < ?1 + 86400000 and ?2 is null)"
            }
            Some(_) => {
                "select exists (select 1 from _rollup_all
                     where level_minutes = ?2 and bucket_ms >= ?1 and bucket_ms < ?1 + 86400000)"
            }
        };
        self.value("looking for old rows", sql, (day_ms, level.map(Level::minutes)))
    }

    fn for_each_of(
        &self,
        operation: &'static str,
        statement: &BoundSql,
        each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        self.for_each(operation, &statement.sql, params_from_iter(&statement.values), each)
    }

    /// Hands each row's bucket, key and wanted columns to `each`, in the order of the columns.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rollup_rows(
        &self,
        select: &RollupSelect<'_>,
        mut each: impl FnMut(RollupKey, &[i64]),
    ) -> Result<()> {
        let keys = select.grouping.keys().len();
        let mut values = vec![0; select.columns.len()];
        self.for_each_of("reading rollups", &select.statement(), |row| {
            let mut cells = RowCells::of(row);
            let key = RollupKey::read(&mut cells, keys)?;
            for (value, column) in values.iter_mut().zip(select.columns) {
                *value = cells.next::<Option<i64>>()?.unwrap_or_else(|| column.empty());
            }
            each(key, &values);
            Ok(())
        })
    }

    /// Hands each sketch's bucket, key, latency and bytes to `each`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn sketches(
        &self,
        select: &SketchSelect<'_>,
        mut each: impl FnMut(RollupKey, LatencyKind, &[u8]),
    ) -> Result<()> {
        let keys = select.grouping.keys().len();
        self.for_each_of("reading sketches", &select.statement(), |row| {
            let key = RollupKey::read(&mut RowCells::of(row), keys)?;
            for (position, kind) in (1 + keys..).zip(select.columns) {
                if let Ok(bytes) = row.get_ref(position)?.as_blob() {
                    each(key, *kind, bytes);
                }
            }
            Ok(())
        })
    }

    /// Hands each selected raw row to `each`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn raw_rows(
        &self,
        select: &RawSelect<'_>,
        parts: RowParts,
        mut each: impl FnMut(&RequestRow),
    ) -> Result<()> {
        self.for_each_of("reading requests", &select.statement(&parts.columns()), |row| {
            each(&RequestRow::read(row, parts)?);
            Ok(())
        })
    }

    /// Hands the start of each selected raw row to `each`, in Unix milliseconds; only an index is read.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn raw_starts(&self, select: &RawSelect<'_>, mut each: impl FnMut(i64)) -> Result<()> {
        self.for_each_of("reading requests", &select.statement("started_at_ms"), |row| {
            each(row.get(0)?);
            Ok(())
        })
    }

    /// The number of selected raw rows.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn raw_count(&self, select: &RawSelect<'_>) -> Result<i64> {
        let BoundSql { sql, values } = select.statement("count(*)");
        self.value("counting requests", &sql, params_from_iter(values))
    }

    /// Hands up to `limit` raw rows after `seq` to `each`, in order of arrival.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rows_after(
        &self,
        seq: i64,
        limit: u32,
        mut each: impl FnMut(&RequestRow),
    ) -> Result<()> {
        let columns = RowParts::ALL.columns();
        let sql = format!("select {columns} from requests where seq > ?1 order by seq limit ?2");
        self.for_each("reading new requests", &sql, (seq, limit), |row| {
            each(&RequestRow::read(row, RowParts::ALL)?);
            Ok(())
        })
    }

    /// Names of a dimension that start with `prefix`, with their ids.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn names_with_prefix(
        &self,
        table: NameTable,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<(i64, String)>> {
        let columns = match table {
            NameTable::Spaces => "space_id, name from spaces",
            NameTable::Users => "user_id, name from users",
        };
        let sql = format!("select {columns} where substr(name, 1, length(?1)) = ?1 limit ?2");
        let values = (prefix, saturated(limit));
        self.rows("reading names", &sql, values, |row| Ok((row.get(0)?, row.get(1)?)))
    }
}

/// The findings of SQLite's check: it reports `ok` when there are none.
pub(super) fn without_ok(mut lines: Vec<String>) -> Vec<String> {
    lines.retain(|line| line != "ok");
    lines
}

/// A dictionary of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameTable {
    /// Spaces.
    Spaces,
    /// Pseudonyms of users.
    Users,
}
