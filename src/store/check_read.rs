//! Reading for the check: rows in the order of the file, indexes by themselves, SQLite's own findings.

use std::hash::Hasher as _;

use rusqlite::types::ValueRef;
use rustc_hash::FxHasher;

use super::columns::{Columns as _, columns};
use super::error::storage;
use super::read::Reader;
use super::row::{RequestRow, RowParts};
use super::select::{ID_END, USER_STEP_MS};
use crate::error::Result;
use crate::model::time::DAY_MS;
use crate::model::{ROLLUPS, TimeRange};

/// Maximum number of SQLite's findings for one table.
const LISTED: usize = 10;

/// The entry of a request in the time index, as it is or as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexEntry {
    /// Order of arrival.
    pub seq: i64,
    /// Start, in Unix milliseconds.
    pub started_at_ms: i64,
    /// A hash of the end of its id, which is the second column of the index.
    pub id_end: u32,
}

/// The fingerprint of a set of index entries; it does not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntrySet {
    /// Number of entries.
    pub entries: u64,
    sum: u64,
}

impl EntrySet {
    /// Adds an entry of the user index, unless the index leaves out that user.
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

/// Totals of one snapshot that must agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredCounts {
    /// Rows of the table of requests.
    pub requests: i64,
    /// Entries of its time index.
    pub index_entries: i64,
    /// Maximum `seq`; 0 without requests.
    pub max_seq: i64,
    /// Maximum `seq` ever assigned, by SQLite's own count.
    pub given_seq: i64,
}

columns!(read StoredCounts { requests, index_entries, max_seq, given_seq });

fn id_end(value: ValueRef<'_>) -> u32 {
    let mut hasher = FxHasher::default();
    match value {
        ValueRef::Blob(bytes) => hasher.write(&bytes[bytes.len().saturating_sub(1)..]),
        ValueRef::Text(bytes) => {
            let last = String::from_utf8_lossy(bytes);
            let from = last.char_indices().rev().nth(1).map_or(0, |(at, _)| at);
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
    /// Problems that SQLite's check finds in the tables whose indexes are not checked otherwise.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn small_table_damage(&self) -> Result<Vec<String>> {
        let operation = "checking tables";
        let sql = "select distinct tbl_name from sqlite_schema
                   where type = 'index' and tbl_name <> 'requests'";
        let tables: Vec<String> = self.rows(operation, sql, [], |row| row.get(0))?;
        let mut found = Vec::new();
        for table in tables {
            let sql = "select integrity_check from pragma_integrity_check(?1)";
            let lines: Vec<String> = self.rows(operation, sql, [&table], |row| row.get(0))?;
            let lines = lines.into_iter().take(LISTED).filter(|line| line != "ok");
            found.extend(lines.map(|line| format!("{table}: {line}")));
        }
        Ok(found)
    }

    /// Hands every entry of the time index in a range to `each`, in the order of the index; nothing else is read.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn time_index(&self, range: TimeRange, mut each: impl FnMut(IndexEntry)) -> Result<()> {
        let sql = format!(
            "select started_at_ms, {ID_END}, seq from requests indexed by requests__started_at_ms
             where started_at_ms >= ?1 and started_at_ms < ?2"
        );
        self.for_each("reading the time index", &sql, (range.start, range.end), |row| {
            let id_end = id_end(row.get_ref(1)?);
            each(IndexEntry { started_at_ms: row.get(0)?, seq: row.get(2)?, id_end });
            Ok(())
        })
    }

    /// The entries of a UTC day in the user index; nothing else is read.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn user_index(&self, day_ms: i64) -> Result<EntrySet> {
        let mut set = EntrySet::default();
        let sql = format!(
            "select started_at_ms / {USER_STEP_MS}, user_id, seq
             from requests indexed by requests__started_at_ms_user_id
             where user_id > 1
               and started_at_ms / {USER_STEP_MS} >= ?1 and started_at_ms / {USER_STEP_MS} < ?2"
        );
        let steps = (day_ms / USER_STEP_MS, (day_ms + DAY_MS) / USER_STEP_MS);
        self.for_each("reading the user index", &sql, steps, |row| {
            set.add([row.get(0)?, row.get(1)?, row.get(2)?]);
            Ok(())
        })?;
        Ok(set)
    }

    /// Hands requests with their due entries of the time index to `each`, by `seq` (the order of the file), from one to
    /// another inclusive.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rows_between(
        &self,
        seqs: (i64, i64),
        mut each: impl FnMut(&RequestRow, IndexEntry),
    ) -> Result<()> {
        let columns = RowParts::ALL.columns();
        let sql =
            format!("select {columns}, request_id from requests where seq >= ?1 and seq <= ?2");
        self.for_each("reading requests", &sql, seqs, |row| {
            let request = RequestRow::read(row, RowParts::ALL)?;
            let id_end = id_end(row.get_ref(row.as_ref().column_count() - 1)?);
            let (seq, started_at_ms) = (request.seq, request.started_at_ms);
            each(&request, IndexEntry { seq, started_at_ms, id_end });
            Ok(())
        })
    }

    /// Totals that must agree.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn stored_counts(&self) -> Result<StoredCounts> {
        let sql =
            "select (select count(*) from requests not indexed), (select count(*) from requests),
                       coalesce((select max(seq) from requests), 0),
                       coalesce((select max(seq) from sqlite_sequence where name = 'requests'), 0)";
        let counts = self.connection().query_row(sql, [], StoredCounts::of);
        counts.map_err(storage("counting requests"))
    }

    /// Requests after the watermark.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn tail_count(&self, watermark_seq: i64) -> Result<i64> {
        let sql = "select count(*) from requests where seq > ?1";
        self.value("counting requests", sql, [watermark_seq])
    }

    /// Requests of a range that the rollups include, counted in the time index.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn rolled_up_count(&self, range: TimeRange, watermark_seq: i64) -> Result<i64> {
        let sql = "select count(*) from requests indexed by requests__started_at_ms
                   where started_at_ms >= ?1 and started_at_ms < ?2 and +seq <= ?3";
        self.value("counting requests", sql, (range.start, range.end, watermark_seq))
    }

    /// Requests by every rollup and level of a range: the table, the minutes of a bucket, and the sum.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rollup_totals(&self, range: TimeRange) -> Result<Vec<(&'static str, i64, i64)>> {
        let mut totals = Vec::new();
        for rollup in &ROLLUPS {
            let table = rollup.grouping.table();
            let sql = format!(
                "select coalesce(sum(requests), 0) from {table}
                 where level_minutes = ?1 and bucket_ms >= ?2 and bucket_ms < ?3"
            );
            for level in rollup.levels {
                let bounds = (level.minutes(), range.start, range.end);
                let requests = self.value("adding up rollups", &sql, bounds)?;
                totals.push((table, level.minutes(), requests));
            }
        }
        Ok(totals)
    }
}
