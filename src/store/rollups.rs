//! Merging the compactor's aggregates into the rollup tables.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, Transaction, named_params};

use super::error::storage;
use super::open::Store;
use super::rollup_part::RollupPart;
use super::rollup_rows::{merge_rows, merged_rows, write_rows};
use super::sketch_rows::{merge_sketches, merged_sketches, write_sketches};
use super::writer::Writer;
use crate::error::Result;
use crate::model::Timestamp;

/// The aggregates of some raw rows for one UTC day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayDelta {
    /// Start of the day, in Unix milliseconds.
    pub day_ms: i64,
    /// Requests.
    pub requests: i64,
    /// Earliest start, in Unix milliseconds.
    pub min_started_at_ms: i64,
    /// Latest start, in Unix milliseconds.
    pub max_started_at_ms: i64,
}

/// The aggregates of some raw rows for all rollups.
#[derive(Clone, Debug, Default)]
pub struct RollupDelta {
    /// By rollup and level.
    pub parts: Vec<RollupPart>,
    /// By day.
    pub days: Vec<DayDelta>,
    /// The parts merged with the stored rows, and [`Store::changes`] before these were read.
    merged: Option<(u64, Vec<RollupPart>)>,
}

impl RollupDelta {
    /// A delta of these parts and days.
    pub const fn new(parts: Vec<RollupPart>, days: Vec<DayDelta>) -> Self {
        Self { parts, days, merged: None }
    }

    /// Merges rows and sketches with the stored ones beforehand, so that the writer need only write them if nothing has
    /// changed until then.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn foresee(&mut self, store: &Store) -> Result<()> {
        let changes = store.changes();
        let parts = store.read(|reader| {
            let merged = self.parts.iter().map(|part| merged(reader.connection(), part));
            merged.collect::<rusqlite::Result<_>>().map_err(storage("reading rollups"))
        })?;
        self.merged = Some((changes, parts));
        Ok(())
    }
}

impl Writer {
    /// Adds a delta and moves the watermark from `from_seq` to `upto_seq`, in one transaction.
    ///
    /// Returns `false`, and changes nothing, when the watermark is not at `from_seq`.
    ///
    /// # Errors
    /// When the transaction failed; nothing was changed then.
    pub fn merge_rollups(
        &mut self,
        delta: RollupDelta,
        from_seq: i64,
        upto_seq: i64,
        now: Timestamp,
    ) -> Result<bool> {
        let changes = self.changes.load(Ordering::SeqCst);
        let merged = delta.merged.filter(|(foreseen_at, _)| *foreseen_at == changes);
        self.transaction(|transaction| {
            let moved = transaction
                .execute(
                    "update _rollup_state set watermark_seq = ?1 where watermark_seq = ?2",
                    (upto_seq, from_seq),
                )
                .map_err(storage("moving the watermark"))?;
            if moved == 0 {
                return Ok(false);
            }
            merge_days(transaction, &delta.days, upto_seq, now).map_err(storage("merging days"))?;
            let written = match merged {
                Some((_, parts)) => replace_parts(transaction, parts),
                None => merge_parts(transaction, delta.parts),
            };
            written.map(|()| true).map_err(storage("merging rollups"))
        })
    }
}

/// A part merged with the stored rows of its keys.
fn merged(connection: &Connection, part: &RollupPart) -> rusqlite::Result<RollupPart> {
    let (rows, sketches) = (merged_rows(connection, part)?, merged_sketches(connection, part)?);
    Ok(RollupPart { grouping: part.grouping, level: part.level, rows, sketches })
}

pub(super) fn merge_parts(
    transaction: &Transaction<'_>,
    parts: Vec<RollupPart>,
) -> rusqlite::Result<()> {
    for part in parts {
        merge_rows(transaction, &part)?;
        merge_sketches(transaction, &part)?;
    }
    Ok(())
}

/// Writes parts that are merged with the stored rows already.
fn replace_parts(transaction: &Transaction<'_>, parts: Vec<RollupPart>) -> rusqlite::Result<()> {
    for part in parts {
        let (table, sketch_table) = (part.grouping.table(), part.grouping.sketch_table());
        write_rows(transaction, "insert or replace", table, &part)?;
        write_sketches(transaction, "insert or replace", sketch_table, &part)?;
    }
    Ok(())
}

fn merge_days(
    transaction: &Transaction<'_>,
    days: &[DayDelta],
    changed_seq: i64,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut upsert = transaction.prepare_cached(include_str!("sql/merge_day.sql"))?;
    for day in days {
        upsert.execute(named_params! {
            ":day_ms": day.day_ms,
            ":requests": day.requests,
            ":min_started_at_ms": day.min_started_at_ms,
            ":max_started_at_ms": day.max_started_at_ms,
            ":changed_seq": changed_seq,
            ":changed_at_ms": now,
        })?;
    }
    Ok(())
}
