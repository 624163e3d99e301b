//! Deleting in bounded steps, and giving the space back.

use rusqlite::Transaction;

use super::error::storage;
use super::rollups::{RollupPart, merge_parts};
use super::writer::Writer;
use crate::error::Result;
use crate::model::time::DAY_MS;
use crate::model::{Level, ROLLUPS, TimeRange, Timestamp};

/// The bit of `_days.pruned` for a rollup level, or for raw rows when `None`.
pub const fn pruned_flag(level: Option<Level>) -> i64 {
    match level {
        None => 1,
        Some(Level::Minute) => 2,
        Some(Level::QuarterHour) => 4,
        Some(Level::Day) => 8,
    }
}

impl Writer {
    /// Deletes up to `limit` rolled-up raw rows of one UTC day and notes that the day is incomplete: from then on, records of
    /// that day are rejected.
    ///
    /// Returns the number of rows deleted; fewer than `limit` means that none is left.
    ///
    /// # Errors
    /// When the transaction failed; nothing was changed then.
    pub fn prune_raw(&mut self, day_ms: i64, limit: u32) -> Result<usize> {
        // Whether a failed commit reached the file is not known.
        let pruned = self.transaction(|transaction| {
            prune_raw(transaction, day_ms, limit).map_err(storage("deleting old requests"))
        });
        match &pruned {
            Ok(_) => self.pruned_days().insert(day_ms),
            Err(_) => self.pruned_days().forget(),
        }
        pruned
    }

    /// Deletes the rollup rows of a part of one UTC day at one level and notes that the day is incomplete.
    ///
    /// # Errors
    /// When the transaction failed; nothing was changed then.
    pub fn prune_level(&mut self, part: TimeRange, level: Level) -> Result<usize> {
        self.transaction(|transaction| {
            let deleted =
                delete_level(transaction, part, level).map_err(storage("deleting old rollups"))?;
            mark_pruned(transaction, part.start.floor_to(DAY_MS).as_unix_ms(), Some(level))
                .map_err(storage("noting what is gone"))?;
            Ok(deleted)
        })
    }

    /// Replaces the rollup rows of one UTC day at the levels of `parts`.
    ///
    /// # Errors
    /// When the transaction failed; nothing was changed then.
    pub fn replace_rollups(
        &mut self,
        day_ms: i64,
        levels: &[Level],
        parts: Vec<RollupPart>,
    ) -> Result<()> {
        let day = TimeRange::from_unix_ms(day_ms, day_ms + DAY_MS);
        self.transaction(|transaction| {
            let replace = || -> rusqlite::Result<()> {
                for level in levels {
                    delete_level(transaction, day, *level)?;
                }
                merge_parts(transaction, parts, false)
            };
            replace().map_err(storage("rebuilding rollups"))
        })
    }

    /// Forgets up to `limit` ids that came without a time and were seen before `before`.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn prune_undated_ids(&mut self, before: Timestamp, limit: u32) -> Result<usize> {
        self.transaction(|transaction| {
            transaction
                .execute(
                    "delete from _undated_ids where (id_hash, space_id) in (
                         select id_hash, space_id from _undated_ids
                         where seen_at_ms < ?1 limit ?2)",
                    (before.as_unix_ms(), limit),
                )
                .map_err(storage("forgetting old ids"))
        })
    }

    /// Corrects arrivals that were stamped later than `latest`, by a clock that was ahead: what arrived by then would
    /// otherwise be kept until that time has come.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn bound_arrivals(&mut self, latest: Timestamp) -> Result<usize> {
        self.transaction(|transaction| {
            let bound = || -> rusqlite::Result<usize> {
                let latest_ms = latest.as_unix_ms();
                let days = transaction.execute(
                    "update _days set changed_at_ms = ?1 where changed_at_ms > ?1",
                    [latest_ms],
                )?;
                let ids = transaction.execute(
                    "update _undated_ids set seen_at_ms = ?1 where seen_at_ms > ?1",
                    [latest_ms],
                )?;
                Ok(days + ids)
            };
            bound().map_err(storage("correcting times of arrival"))
        })
    }

    /// Gives up to `pages` free pages back to the file system.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn shrink(&mut self, pages: u32) -> Result<()> {
        self.autocommit("shrinking the file", |connection| {
            let sql = format!("pragma incremental_vacuum({pages})");
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        })
    }
}

fn prune_raw(transaction: &Transaction<'_>, day_ms: i64, limit: u32) -> rusqlite::Result<usize> {
    mark_pruned(transaction, day_ms, None)?;
    transaction
        .prepare_cached(
            "delete from requests where seq in (
                 select seq from requests indexed by requests__started_at_ms
                 where started_at_ms >= ?1 and started_at_ms < ?2
                   and +seq <= (select watermark_seq from _rollup_state)
                 limit ?3)",
        )?
        .execute((day_ms, day_ms + DAY_MS, limit))
}

fn mark_pruned(
    transaction: &Transaction<'_>,
    day_ms: i64,
    level: Option<Level>,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("update _days set pruned = pruned | ?1 where day_ms = ?2")?
        .execute((pruned_flag(level), day_ms))?;
    Ok(())
}

fn delete_level(
    transaction: &Transaction<'_>,
    part: TimeRange,
    level: Level,
) -> rusqlite::Result<usize> {
    let (start_ms, end_ms) = (part.start.as_unix_ms(), part.end.as_unix_ms());
    let mut deleted = 0;
    for rollup in ROLLUPS.iter().filter(|rollup| rollup.levels.contains(&level)) {
        let sketches = rollup.sketches.then(|| rollup.grouping.sketch_table());
        for table in [Some(rollup.grouping.table()), sketches].into_iter().flatten() {
            deleted += transaction
                .prepare_cached(&format!(
                    "delete from {table} where level_minutes = ?1 and bucket_ms >= ?2 and bucket_ms < ?3"
                ))?
                .execute((level.minutes(), start_ms, end_ms))?;
        }
    }
    Ok(deleted)
}
