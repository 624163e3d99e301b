//! Reading for the check: rows in the order of the file, indexes by themselves, SQLite's own findings.

use std::hash::Hasher as _;

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Row};
use rustc_hash::FxHasher;

use super::error::storage;
use super::read::Reader;
use super::row::{RequestRow, RowParts};
use crate::error::Result;
use crate::model::time::DAY_MS;
use crate::model::{ROLLUPS, TimeRange};

/// The width of a step of the index of users, in milliseconds.
const USER_STEP_MS: i64 = 7_200_000;

/// Differences of one table that SQLite lists.
const LISTED: u32 = 10;

/// What an index says of a request, or what the request says an index should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexEntry {
    /// Order of arrival.
    pub seq: i64,
    /// Start, in Unix milliseconds.
    pub started_at_ms: i64,
    /// A hash of the end of its id, which the index has.
    pub id_end: u32,
}

/// A number that is the same for equal sets of index entries, whatever their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntrySet {
    /// Number of entries.
    pub entries: u64,
    sum: u64,
}

impl EntrySet {
    /// Adds an entry of the index of users; a user that it leaves out adds nothing.
    pub fn add_user(&mut self, started_at_ms: i64, user_id: i64, seq: i64) {
        if user_id > 1 {
            self.add([started_at_ms / USER_STEP_MS, user_id, seq]);
        }
    }

    fn add(&mut self, numbers: [i64; 3]) {
        let mut hasher = FxHasher::default();
        numbers.into_iter().for_each(|number| hasher.write_i64(number));
        self.entries += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

/// Totals of the tables that must agree, of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredCounts {
    /// Rows of the table of requests.
    pub requests: i64,
    /// Entries of its index of time.
    pub index_entries: i64,
    /// The greatest `seq` there is; 0 without requests.
    pub max_seq: i64,
    /// The greatest `seq` that was ever given, by SQLite's own count.
    pub given_seq: i64,
}

fn id_end(value: ValueRef<'_>) -> u32 {
    let mut hasher = FxHasher::default();
    match value {
        ValueRef::Blob(bytes) => hasher.write(&bytes[bytes.len().saturating_sub(2)..]),
        ValueRef::Text(bytes) => {
            let last = String::from_utf8_lossy(bytes);
            let from = last.char_indices().rev().nth(2).map_or(0, |(at, _)| at);
            hasher.write_u8(1);
            hasher.write(last.get(from..).unwrap_or_default().as_bytes());
        }
        ValueRef::Integer(number) => hasher.write_i64(number),
        ValueRef::Null | ValueRef::Real(_) => {}
    }
    // Half of a hash is a hash.
    (hasher.finish() >> 32) as u32
}

impl Reader<'_> {
    /// What SQLite's check of single tables finds wrong, those with indexes that are not checked otherwise.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn small_table_damage(&self) -> Result<Vec<String>> {
        let check = || -> rusqlite::Result<Vec<String>> {
            let mut tables = self.connection().prepare(
                "select distinct tbl_name from sqlite_schema where type = 'index' and tbl_name <> 'requests'",
            )?;
            let names: Vec<String> =
                tables.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let mut found = Vec::new();
            for name in names {
                let sql = "select integrity_check from pragma_integrity_check(?1)";
                let mut statement = self.connection().prepare(sql)?;
                let lines = statement.query_map([&name], |row| row.get::<_, String>(0))?;
                for line in lines.take(usize::try_from(LISTED).unwrap_or(usize::MAX)) {
                    let line = line?;
                    if line != "ok" {
                        found.push(format!("{name}: {line}"));
                    }
                }
            }
            Ok(found)
        };
        check().map_err(storage("checking tables"))
    }

    /// Hands every entry of the index of time in a range to `each`, in the order of the index; nothing else is read.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn time_index(&self, range: TimeRange, mut each: impl FnMut(IndexEntry)) -> Result<()> {
        let mut read = || -> rusqlite::Result<()> {
            let mut statement = self.connection().prepare_cached(
                "select started_at_ms, substr(request_id, case typeof(request_id) when 'blob' then -2 else -3 end), seq
                 from requests indexed by requests__started_at_ms
                 where started_at_ms >= ?1 and started_at_ms < ?2",
            )?;
            let mut rows = statement.query((range.start.as_unix_ms(), range.end.as_unix_ms()))?;
            while let Some(row) = rows.next()? {
                let id_end = id_end(row.get_ref(1)?);
                each(IndexEntry { started_at_ms: row.get(0)?, seq: row.get(2)?, id_end });
            }
            Ok(())
        };
        read().map_err(storage("reading the index of time"))
    }

    /// The entries of a UTC day in the index of users; nothing else is read.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn user_index(&self, day_ms: i64) -> Result<EntrySet> {
        let read = || -> rusqlite::Result<EntrySet> {
            let mut set = EntrySet::default();
            let mut statement = self.connection().prepare_cached(&format!(
                "select started_at_ms / {USER_STEP_MS}, user_id, seq
                 from requests indexed by requests__started_at_ms_user_id
                 where user_id > 1
                   and started_at_ms / {USER_STEP_MS} >= ?1 and started_at_ms / {USER_STEP_MS} < ?2",
            ))?;
            let mut rows =
                statement.query((day_ms / USER_STEP_MS, (day_ms + DAY_MS) / USER_STEP_MS))?;
            while let Some(row) = rows.next()? {
                set.add([row.get(0)?, row.get(1)?, row.get(2)?]);
            }
            Ok(set)
        };
        read().map_err(storage("reading the index of users"))
    }

    /// Hands requests to `each` by `seq`, the order of the file, from one to another inclusive, with what the index of
    /// time should say of each.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rows_between(
        &self,
        seqs: (i64, i64),
        mut each: impl FnMut(&RequestRow, IndexEntry),
    ) -> Result<()> {
        let mut read = || -> rusqlite::Result<()> {
            let mut statement = self.rows_between_statement()?;
            let mut rows = statement.query(seqs)?;
            while let Some(row) = rows.next()? {
                let (request, entry) = read_checked(row)?;
                each(&request, entry);
            }
            Ok(())
        };
        read().map_err(storage("reading requests"))
    }

    fn rows_between_statement(&self) -> rusqlite::Result<CachedStatement<'_>> {
        let columns = RowParts::ALL.columns();
        self.connection().prepare_cached(&format!(
            "select {columns}, request_id from requests where seq >= ?1 and seq <= ?2"
        ))
    }

    /// Totals that must agree.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn stored_counts(&self) -> Result<StoredCounts> {
        let read = || {
            self.connection().query_row(
                "select (select count(*) from requests not indexed), (select count(*) from requests),
                        coalesce((select max(seq) from requests), 0),
                        coalesce((select max(seq) from sqlite_sequence where name = 'requests'), 0)",
                [],
                |row| {
                    Ok(StoredCounts {
                        requests: row.get(0)?,
                        index_entries: row.get(1)?,
                        max_seq: row.get(2)?,
                        given_seq: row.get(3)?,
                    })
                },
            )
        };
        read().map_err(storage("counting requests"))
    }

    /// Requests after the watermark.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn tail_count(&self, watermark_seq: i64) -> Result<i64> {
        let read = || {
            let sql = "select count(*) from requests where seq > ?1";
            self.connection().query_row(sql, [watermark_seq], |row| row.get(0))
        };
        read().map_err(storage("counting requests"))
    }

    /// Requests of a range that the rollups include, counted in the index of time.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn rolled_up_count(&self, range: TimeRange, watermark_seq: i64) -> Result<i64> {
        let read = || {
            self.connection()
                .prepare_cached(
                    "select count(*) from requests indexed by requests__started_at_ms
                     where started_at_ms >= ?1 and started_at_ms < ?2 and +seq <= ?3",
                )?
                .query_row(
                    (range.start.as_unix_ms(), range.end.as_unix_ms(), watermark_seq),
                    |row| row.get(0),
                )
        };
        read().map_err(storage("counting requests"))
    }

    /// Requests by every rollup and level of a range: the table, the minutes of a bucket, and the sum.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rollup_totals(&self, range: TimeRange) -> Result<Vec<(&'static str, i64, i64)>> {
        let read = || -> rusqlite::Result<Vec<(&'static str, i64, i64)>> {
            let mut totals = Vec::new();
            for rollup in &ROLLUPS {
                let table = rollup.grouping.table();
                let mut statement = self.connection().prepare_cached(&format!(
                    "select coalesce(sum(requests), 0) from {table}
                     where level_minutes = ?1 and bucket_ms >= ?2 and bucket_ms < ?3"
                ))?;
                for level in rollup.levels {
                    let minutes = level.minutes();
                    let bounds = (minutes, range.start.as_unix_ms(), range.end.as_unix_ms());
                    totals.push((table, minutes, statement.query_row(bounds, |row| row.get(0))?));
                }
            }
            Ok(totals)
        };
        read().map_err(storage("adding up rollups"))
    }
}

fn read_checked(row: &Row<'_>) -> rusqlite::Result<(RequestRow, IndexEntry)> {
    let request = RequestRow::read(row, RowParts::ALL)?;
    let id_end = id_end(row.get_ref(row.as_ref().column_count() - 1)?);
    let entry = IndexEntry { seq: request.seq, started_at_ms: request.started_at_ms, id_end };
    Ok((request, entry))
}
