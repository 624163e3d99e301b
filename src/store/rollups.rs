//! Merging what the compactor aggregated into the rollup tables.

use std::sync::atomic::Ordering;

use rusqlite::{CachedStatement, Connection, Transaction, named_params};

use super::error::storage;
use super::open::Store;
use super::read::DayRow;
use super::rollup_rows::{merge_rows, merged_rows, replace_rows};
use super::sketch_rows::{SketchRow, merge_sketches, merged_sketches, replace_sketches};
use super::writer::Writer;
use crate::error::Result;
use crate::model::{Grouping, Level, PackedMeasures, Timestamp};

/// The key of a rollup row: its bucket and the ids of the grouping's key columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollupKey {
    /// Start of the bucket, in Unix milliseconds.
    pub bucket_ms: i64,
    /// Ids in the order of [`Grouping::keys`]; unused places are 0.
    pub ids: [i64; 2],
}

/// What some raw rows add to one rollup at one level, in the order of the keys.
#[derive(Clone, Debug)]
pub struct RollupPart {
    /// The rollup.
    pub grouping: Grouping,
    /// The level.
    pub level: Level,
    /// Plain measures by [`Column::index`](crate::model::Column::index); packed and boxed, because whole parts are sorted and handed on.
    pub rows: Vec<(RollupKey, Box<PackedMeasures>)>,
    /// Sketches, of rollups that have them.
    pub sketches: Vec<SketchRow>,
    /// The rows with what is stored already; see [`RollupDelta::foresee`].
    pub(super) foreseen_rows: Vec<(RollupKey, Box<PackedMeasures>)>,
    /// The sketches with what is stored already.
    pub(super) foreseen_sketches: Vec<SketchRow>,
}

impl RollupPart {
    /// A part without sketches.
    pub const fn plain(
        grouping: Grouping,
        level: Level,
        rows: Vec<(RollupKey, Box<PackedMeasures>)>,
    ) -> Self {
        Self {
            grouping,
            level,
            rows,
            sketches: Vec::new(),
            foreseen_rows: Vec::new(),
            foreseen_sketches: Vec::new(),
        }
    }
}

/// What some raw rows add to one UTC day.
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

/// What some raw rows add to all rollups.
#[derive(Clone, Debug, Default)]
pub struct RollupDelta {
    /// By rollup and level.
    pub parts: Vec<RollupPart>,
    /// By day.
    pub days: Vec<DayDelta>,
    /// [`Store::changes`] before it was read what is stored already.
    pub(super) foreseen_at: Option<u64>,
}

impl RollupDelta {
    /// A delta of these parts and days.
    pub const fn new(parts: Vec<RollupPart>, days: Vec<DayDelta>) -> Self {
        Self { parts, days, foreseen_at: None }
    }

    /// Merges rows and sketches with those that are stored, so that the writer need only write them if nothing has
    /// changed until then.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn foresee(&mut self, store: &Store) -> Result<()> {
        let changes = store.changes();
        store.read(|reader| {
            for part in &mut self.parts {
                part.foreseen_rows =
                    merged_rows(reader.connection(), part).map_err(storage("reading rollups"))?;
                part.foreseen_sketches = merged_sketches(reader.connection(), part)
                    .map_err(storage("reading sketches"))?;
            }
            Ok(())
        })?;
        self.foreseen_at = Some(changes);
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
        let is_foreseen = delta.foreseen_at == Some(self.changes().load(Ordering::SeqCst));
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
            merge_parts(transaction, delta.parts, is_foreseen)
                .map_err(storage("merging rollups"))?;
            Ok(true)
        })
    }
}

pub(super) fn merge_parts(
    transaction: &Transaction<'_>,
    parts: Vec<RollupPart>,
    is_foreseen: bool,
) -> rusqlite::Result<()> {
    for part in parts {
        if is_foreseen {
            replace_rows(transaction, &part)?;
            replace_sketches(transaction, &part)?;
        } else {
            merge_rows(transaction, &part)?;
            merge_sketches(transaction, &part)?;
        }
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
            ":changed_at_ms": now.as_unix_ms(),
        })?;
    }
    Ok(())
}

/// Writes rows of days in place of those that are there.
pub(super) fn replace_days(connection: &Connection, days: &[DayRow]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(include_str!("sql/replace_day.sql"))?;
    for day in days {
        statement.execute(named_params! {
            ":day_ms": day.day_ms,
            ":requests": day.requests,
            ":min_started_at_ms": day.min_started_at_ms,
            ":max_started_at_ms": day.max_started_at_ms,
            ":changed_seq": day.changed_seq,
            ":changed_at_ms": day.changed_at_ms,
            ":pruned": day.pruned,
        })?;
    }
    Ok(())
}

pub(super) fn key_names(grouping: Grouping) -> Vec<&'static str> {
    ["level_minutes", "bucket_ms"]
        .into_iter()
        .chain(grouping.keys().iter().map(|key| key.column()))
        .collect()
}

/// The condition that finds the row of a key bound by [`bind_key`].
pub(super) fn key_condition(grouping: Grouping) -> String {
    let names = key_names(grouping).into_iter().zip(1..);
    let equals: Vec<String> = names.map(|(name, place)| format!("{name} = ?{place}")).collect();
    equals.join(" and ")
}

/// `insert ... into` a table, with a parameter for each column.
pub(super) fn insert_into(table: &str, columns: &[impl AsRef<str>], verb: &str) -> String {
    let names: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
    let places: Vec<String> = (1..=names.len()).map(|place| format!("?{place}")).collect();
    format!("{verb} into {table} ({}) values ({})", names.join(", "), places.join(", "))
}

pub(super) fn bind_key(
    statement: &mut CachedStatement<'_>,
    level: Level,
    key: &RollupKey,
    keys: usize,
) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(1, level.minutes())?;
    statement.raw_bind_parameter(2, key.bucket_ms)?;
    for position in 0..keys {
        statement.raw_bind_parameter(3 + position, key.ids[position])?;
    }
    Ok(())
}
