//! Reading inside one snapshot.

use rusqlite::{Connection, Row, Transaction, params_from_iter};

use super::RollupKey;
use super::error::storage;
use super::row::{RequestRow, RowParts};
use super::select::{RawSelect, RollupSelect, SketchSelect, Statement};
use crate::error::Result;
use crate::model::time::DAY_MS;
use crate::model::{LatencyKind, Level, TimeRange, Timestamp};

/// A read transaction: everything it answers is of one moment.
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
    /// Levels that retention removed.
    pub pruned: i64,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(transaction: &'a Transaction<'a>) -> Self {
        Self { transaction }
    }

    pub(super) fn connection(&self) -> &Connection {
        self.transaction
    }

    fn number(&self, operation: &'static str, sql: &str) -> Result<i64> {
        let query = || self.connection().prepare_cached(sql)?.query_row([], |row| row.get(0));
        query().map_err(storage(operation))
    }

    /// The last raw row that the rollups include.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn watermark_seq(&self) -> Result<i64> {
        self.number("reading the watermark", "select watermark_seq from _rollup_state")
    }

    /// The last raw row ever stored.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_seq(&self) -> Result<i64> {
        self.number(
            "reading the last row",
            "select max(coalesce((select max(seq) from requests), 0), watermark_seq) from _rollup_state",
        )
    }

    /// Bytes in use and bytes of free pages inside the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn page_bytes(&self) -> Result<(i64, i64)> {
        let size = self.number("reading the page size", "select * from pragma_page_size")?;
        let pages = self.number("counting pages", "select * from pragma_page_count")?;
        let free = self.number("counting free pages", "select * from pragma_freelist_count")?;
        Ok((size * (pages - free), size * free))
    }

    /// What SQLite's own check finds wrong with the file; empty when all is well.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn damage(&self) -> Result<Vec<String>> {
        let read = || -> rusqlite::Result<Vec<String>> {
            let mut statement = self.connection().prepare("pragma quick_check(10)")?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        let lines = read().map_err(storage("checking the file"))?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    /// Whether any user was ever stored.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn has_users(&self) -> Result<bool> {
        self.number("looking for users", "select exists (select 1 from users where user_id > 1)")
            .map(|found| found == 1)
    }

    /// Start of the newest stored request.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn newest_start(&self) -> Result<Option<Timestamp>> {
        let query = || {
            let sql = "select max(started_at_ms) from requests";
            self.connection().prepare_cached(sql)?.query_row([], |row| row.get::<_, Option<i64>>(0))
        };
        let newest = query().map_err(storage("reading the newest request"))?;
        Ok(newest.map(Timestamp::from_unix_ms))
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
        let read = || -> rusqlite::Result<Vec<DayRow>> {
            let mut statement = self.connection().prepare_cached(
                "select day_ms, requests, min_started_at_ms, max_started_at_ms, changed_seq,
                        changed_at_ms, pruned from _days
                 where day_ms > ?1 and day_ms < ?2
                     or day_ms in (select min(day_ms) from _days union select max(day_ms) from _days)
                 order by day_ms",
            )?;
            let edges = (range.start.as_unix_ms().saturating_sub(DAY_MS), range.end.as_unix_ms());
            let rows = statement.query_map(edges, |row| {
                Ok(DayRow {
                    day_ms: row.get(0)?,
                    requests: row.get(1)?,
                    min_started_at_ms: row.get(2)?,
                    max_started_at_ms: row.get(3)?,
                    changed_seq: row.get(4)?,
                    changed_at_ms: row.get(5)?,
                    pruned: row.get(6)?,
                })
            })?;
            rows.collect()
        };
        read().map_err(storage("reading the days"))
    }

    /// Whether anything is stamped as having arrived after `latest`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn has_arrivals_after(&self, latest: Timestamp) -> Result<bool> {
        let query = || {
            let mut statement = self.connection().prepare_cached(
                "select exists (select 1 from _days where changed_at_ms > ?1)
                     or exists (select 1 from _undated_ids where seen_at_ms > ?1)",
            )?;
            statement.query_row([latest.as_unix_ms()], |row| row.get(0))
        };
        query().map_err(storage("looking for arrivals ahead of the clock"))
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
        let query = || {
            let mut statement = self.connection().prepare_cached(sql)?;
            statement.query_row((day_ms, level.map(Level::minutes)), |row| row.get(0))
        };
        query().map_err(storage("looking for old rows"))
    }

    fn for_each(
        &self,
        operation: &'static str,
        statement: &Statement,
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let mut run = || -> rusqlite::Result<()> {
            let mut prepared = self.connection().prepare_cached(&statement.sql)?;
            let mut rows = prepared.query(params_from_iter(&statement.values))?;
            while let Some(row) = rows.next()? {
                each(row)?;
            }
            Ok(())
        };
        run().map_err(storage(operation))
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
        self.for_each("reading rollups", &select.statement(), |row| {
            for (position, column) in select.columns.iter().enumerate() {
                let value: Option<i64> = row.get(1 + keys + position)?;
                values[position] = value.unwrap_or_else(|| column.empty());
            }
            each(read_key(row, keys)?, &values);
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
        self.for_each("reading sketches", &select.statement(), |row| {
            let key = read_key(row, keys)?;
            for (position, kind) in select.kinds.iter().enumerate() {
                if let Ok(bytes) = row.get_ref(1 + keys + position)?.as_blob() {
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
        self.for_each("reading requests", &select.statement(parts), |row| {
            each(&RequestRow::read(row, parts)?);
            Ok(())
        })
    }

    /// When the selected raw rows started, in Unix milliseconds; an index tells it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn raw_starts(&self, select: &RawSelect<'_>, mut each: impl FnMut(i64)) -> Result<()> {
        self.for_each("reading requests", &select.starts_statement(), |row| {
            each(row.get(0)?);
            Ok(())
        })
    }

    /// The number of selected raw rows.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn raw_count(&self, select: &RawSelect<'_>) -> Result<i64> {
        let statement = select.count_statement();
        let count = || {
            let mut prepared = self.connection().prepare_cached(&statement.sql)?;
            prepared.query_row(params_from_iter(&statement.values), |row| row.get(0))
        };
        count().map_err(storage("counting requests"))
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
        let parts = RowParts::ALL;
        let columns = parts.columns();
        let sql = format!("select {columns} from requests where seq > ? order by seq limit ?");
        let values = vec![seq.into(), i64::from(limit).into()];
        self.for_each("reading new requests", &Statement { sql, values }, |row| {
            each(&RequestRow::read(row, parts)?);
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
        let sql = match table {
            NameTable::Spaces => "select space_id, name from spaces",
            NameTable::Users => "select user_id, name from users",
        };
        let sql = format!("{sql} where substr(name, 1, length(?1)) = ?1 limit ?2");
        let values =
            vec![prefix.to_owned().into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
        let mut names = Vec::new();
        self.for_each("reading names", &Statement { sql, values }, |row| {
            names.push((row.get(0)?, row.get(1)?));
            Ok(())
        })?;
        Ok(names)
    }
}

/// A dictionary of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameTable {
    /// Spaces.
    Spaces,
    /// Pseudonyms of users.
    Users,
}

fn read_key(row: &Row<'_>, keys: usize) -> rusqlite::Result<RollupKey> {
    let mut key = RollupKey { bucket_ms: row.get(0)?, ids: [0; 2] };
    for position in 0..keys {
        key.ids[position] = row.get(1 + position)?;
    }
    Ok(key)
}
