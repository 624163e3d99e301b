//! The information in the rows of a damaged file, and the choice of the rows to insert into the new one.

use std::collections::BTreeSet;

use rusqlite::types::{FromSql as _, ValueRef};

use super::days::SalvageDays;
use super::dictionaries::{ID_COLUMNS, SeenIds};
use super::schema::{DamagedTable, RowLayout};
use super::{REQUESTS, SCHEMA_HISTORY, STORE_STATE, is_rollup};
use crate::model::time::DAY_MS;
use crate::store::read::DayRow;
use crate::store::state::{InUse, StoreState};

/// Stored positions of the columns that are examined.
pub(super) struct ColumnPositions {
    started_at: Option<usize>,
    bucket: Option<usize>,
    /// Columns of ids, with the positions of their dictionaries.
    ids: Vec<(usize, usize)>,
    layout: RowLayout,
}

impl ColumnPositions {
    pub(super) fn of(table: &DamagedTable) -> Self {
        let layout = table.layout.clone();
        let (is_requests, is_rollup) = (table.name == REQUESTS, is_rollup(&table.name));
        let ids = ID_COLUMNS.into_iter().filter(|_| is_requests || is_rollup);
        let ids = ids.filter_map(|(name, dictionary)| Some((layout.position(name)?, dictionary)));
        Self {
            started_at: layout.position("started_at_ms").filter(|_| is_requests),
            bucket: layout.position("bucket_ms").filter(|_| is_rollup),
            ids: ids.collect(),
            layout,
        }
    }

    fn number(&self, column: &str, rowid: i64, values: &[ValueRef<'_>]) -> Option<i64> {
        let position = self.layout.position(column)?;
        if self.layout.rowid_column == Some(position) {
            return Some(rowid);
        }
        integer(values, position)
    }

    fn value<'v>(&self, column: &str, values: &[ValueRef<'v>]) -> Option<ValueRef<'v>> {
        values.get(self.layout.position(column)?).copied()
    }
}

fn integer(values: &[ValueRef<'_>], position: usize) -> Option<i64> {
    values.get(position)?.as_i64().ok()
}

fn day_of(ms: i64) -> i64 {
    ms - ms.rem_euclid(DAY_MS)
}

/// The use of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowUse {
    /// It is inserted into the new file.
    Inserted,
    /// Its information is kept, or it is not needed.
    Noted,
    /// A value has the wrong type: the row is lost.
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

/// The information about the file and other rows in the rows read so far.
#[derive(Debug, Default)]
pub(super) struct FileFacts {
    pub(super) days: SalvageDays,
    pub(super) seen: SeenIds,
    pub(super) watermark_seq: Option<i64>,
    /// The row of `_store_state`.
    pub(super) state: Option<StoreState>,
    /// Versions in the history of the schema.
    pub(super) schema_versions: BTreeSet<i64>,
    /// Maximum `seq` ever assigned.
    pub(super) last_seq: i64,
    /// Requests read after the watermark.
    pub(super) tail_rows: u64,
}

impl FileFacts {
    /// Examines a row before it is inserted.
    pub(super) fn examine(
        &mut self,
        table: &str,
        positions: &ColumnPositions,
        rowid: i64,
        values: &[ValueRef<'_>],
        is_stray: bool,
    ) -> RowUse {
        let number = |column| positions.number(column, rowid, values);
        if let Some(bucket) = positions.bucket {
            return integer(values, bucket).map_or(RowUse::Refused, |ms| {
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
            // A new file has an id of its own, so that a log of the damaged one is not mistaken for its own.
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

    /// Keeps the information of a row that was inserted.
    pub(super) fn note(
        &mut self,
        positions: &ColumnPositions,
        rowid: i64,
        values: &[ValueRef<'_>],
    ) {
        for (position, dictionary) in &positions.ids {
            if let Some(id) = integer(values, *position) {
                self.seen.add(*dictionary, id);
            }
        }
        if let Some(started_at_ms) = positions.started_at.and_then(|at| integer(values, at)) {
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

/// The row of `_store_state`; `None` when a value has the wrong type.
pub(super) fn read_state(
    positions: &ColumnPositions,
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
