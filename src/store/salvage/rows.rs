//! What the rows of a damaged file say, and whether they go into the new one.

use std::collections::BTreeSet;

use rusqlite::types::{FromSql as _, ValueRef};

use super::days::Days;
use super::dictionaries::{self, SeenIds};
use super::schema::{Layout, SourceTable};
use super::{REQUESTS, SCHEMA_HISTORY, STORE_STATE, is_rollup};
use crate::model::time::DAY_MS;
use crate::store::read::DayRow;
use crate::store::state::{InUse, StoreState};

/// Stored positions of the columns that are looked at.
pub(super) struct Positions {
    started_at: Option<usize>,
    bucket: Option<usize>,
    ids: Vec<(usize, usize)>,
    layout: Layout,
}

impl Positions {
    pub(super) fn of(table: &SourceTable) -> Self {
        let layout = table.layout.clone();
        let ids = dictionaries::ID_COLUMNS.into_iter();
        Self {
            started_at: layout.position("started_at_ms").filter(|_| table.name == REQUESTS),
            bucket: layout.position("bucket_ms").filter(|_| is_rollup(&table.name)),
            ids: if table.name == REQUESTS || is_rollup(&table.name) {
                ids.filter_map(|(column, dictionary)| Some((layout.position(column)?, dictionary)))
                    .collect()
            } else {
                Vec::new()
            },
            layout,
        }
    }

    fn number(&self, column: &str, rowid: i64, values: &[ValueRef<'_>]) -> Option<i64> {
        let position = self.layout.position(column)?;
        if self.layout.rowid_column == Some(position) {
            return Some(rowid);
        }
        values.get(position)?.as_i64().ok()
    }

    fn value<'v>(&self, column: &str, values: &[ValueRef<'v>]) -> Option<ValueRef<'v>> {
        values.get(self.layout.position(column)?).copied()
    }
}

fn day_of(ms: i64) -> i64 {
    ms - ms.rem_euclid(DAY_MS)
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowUse {
    /// It goes into the new file as it is.
    Inserted,
    /// What it says is kept, or it is not wanted.
    Noted,
    /// A value in it is not what the column holds: the row is lost.
    Refused,
}

impl RowUse {
    const fn inserted_if(is_wanted: bool) -> Self {
        if is_wanted { Self::Inserted } else { Self::Noted }
    }

    const fn noted_if(is_read: bool) -> Self {
        if is_read { Self::Noted } else { Self::Refused }
    }
}

/// What the rows read so far say about the file and about other rows.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) days: Days,
    pub(super) seen: SeenIds,
    pub(super) watermark_seq: Option<i64>,
    /// The row that ties the file to its write-ahead log, its key and the clock.
    pub(super) state: Option<StoreState>,
    /// Versions of the schema that the file went through.
    pub(super) schema_versions: BTreeSet<i64>,
    /// The greatest `seq` that was ever given.
    pub(super) last_seq: i64,
    /// Requests read that come after the watermark.
    pub(super) tail_rows: u64,
}

impl Known {
    /// Looks at a row before it is inserted.
    pub(super) fn take(
        &mut self,
        table: &str,
        positions: &Positions,
        rowid: i64,
        values: &[ValueRef<'_>],
        is_stray: bool,
    ) -> RowUse {
        let number = |column| positions.number(column, rowid, values);
        if let Some(bucket) = positions.bucket {
            let bucket_ms = values.get(bucket).and_then(|value| value.as_i64().ok());
            return bucket_ms.map_or(RowUse::Refused, |ms| {
                RowUse::inserted_if(self.days.is_copied(day_of(ms)))
            });
        }
        match table {
            REQUESTS if is_stray => RowUse::inserted_if(
                number("started_at_ms").is_some_and(|ms| !self.days.is_pruned(day_of(ms))),
            ),
            "_days" => {
                let day = read_day(&number);
                self.days.stated.extend(day.map(|day| (day.day_ms, day)));
                RowUse::noted_if(day.is_some())
            }
            "_rollup_state" => {
                self.watermark_seq = number("watermark_seq");
                RowUse::noted_if(self.watermark_seq.is_some())
            }
            "sqlite_sequence" => {
                let name = values.first().map(|name| name.as_str().ok());
                let seq = number("seq");
                if name == Some(Some(REQUESTS)) {
                    self.last_seq = self.last_seq.max(seq.unwrap_or(0));
                }
                RowUse::noted_if(seq.is_some())
            }
            // A new file has an id of its own, so that no log of the damaged one is taken for its log.
            STORE_STATE => {
                self.state = read_state(positions, rowid, values);
                RowUse::noted_if(self.state.is_some())
            }
            SCHEMA_HISTORY => {
                let version = number("version");
                self.schema_versions.extend(version);
                RowUse::noted_if(version.is_some())
            }
            _ => RowUse::Inserted,
        }
    }

    /// Remembers what a row of the new file says.
    pub(super) fn note(
        &mut self,
        table: &str,
        positions: &Positions,
        rowid: i64,
        values: &[ValueRef<'_>],
    ) {
        for (position, dictionary) in &positions.ids {
            if let Some(id) = values.get(*position).and_then(|value| value.as_i64().ok()) {
                self.seen.add(*dictionary, id);
            }
        }
        let started_at = positions.started_at.and_then(|at| values.get(at)?.as_i64().ok());
        if let Some(started_at_ms) = started_at.filter(|_| table == REQUESTS) {
            self.last_seq = self.last_seq.max(rowid);
            if self.watermark_seq.is_none_or(|seq| rowid <= seq) {
                self.days.count(day_of(started_at_ms), started_at_ms, rowid);
            } else {
                self.tail_rows += 1;
            }
        }
    }
}

fn read_day(number: &dyn Fn(&'static str) -> Option<i64>) -> Option<DayRow> {
    let day_ms = number("day_ms").filter(|ms| ms.rem_euclid(DAY_MS) == 0)?;
    Some(DayRow {
        day_ms,
        requests: number("requests")?,
        min_started_at_ms: number("min_started_at_ms")?,
        max_started_at_ms: number("max_started_at_ms")?,
        changed_seq: number("changed_seq")?,
        changed_at_ms: number("changed_at_ms")?,
        pruned: number("pruned").unwrap_or(0),
    })
}

/// The row of `_store_state`; `None` when a value is not what its column holds.
pub(super) fn read_state(
    positions: &Positions,
    rowid: i64,
    values: &[ValueRef<'_>],
) -> Option<StoreState> {
    let blob = |column| match positions.value(column, values) {
        Some(ValueRef::Blob(bytes)) => Some(bytes.to_vec()),
        _ => None,
    };
    Some(StoreState {
        store_id: blob("store_id")?,
        session: blob("session")?,
        previous_session: blob("previous_session")?,
        in_use: InUse::column_result(positions.value("in_use", values)?).ok()?,
        clock_ms: positions.number("clock_ms", rowid, values)?,
        wal_missing_after_ms: positions.number("wal_missing_after_ms", rowid, values),
        pseudonym_key_check: blob("pseudonym_key_check"),
    })
}
