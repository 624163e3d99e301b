//! Deletion in bounded steps, and the release of free pages.

use rusqlite::Transaction;

use super::pruned_days::pruned_flag;
use super::rollup_part::{RollupPart, tables_of};
use super::rollups::merge_parts;
use super::writer::Writer;
use crate::error::Result;
use crate::model::time::DAY_MS;
use crate::model::{Level, TimeRange, Timestamp};

impl Writer {
    /// Deletes up to `limit` rolled-up raw rows of one UTC day and notes that the day is incomplete: from then on, records of
    /// that day are rejected.
    ///
    /// Returns the number of rows deleted; fewer than `limit` means that none is left.
    ///
    /// # Errors
    /// When the transaction failed; nothing was changed then.
    pub fn prune_raw(&mut self, day_ms: i64, limit: u32) -> Result<usize> {
        let pruned = self.write("deleting old requests", |transaction| {
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
        });
        match &pruned {
            Ok(_) => self.memory.pruned.insert(day_ms),
            // Whether a failed commit reached the file is not known.
            Err(_) => self.memory.pruned.forget(),
        }
        pruned
    }

    /// Deletes the rollup rows of a part of one UTC day at one level and notes that the day is incomplete.
    ///
    /// # Errors
    /// When the transaction failed; nothing was changed then.
    pub fn prune_level(&mut self, part: TimeRange, level: Level) -> Result<usize> {
        self.write("deleting old rollups", |transaction| {
            mark_pruned(transaction, part.start.floor_to(DAY_MS).as_unix_ms(), Some(level))?;
            delete_level(transaction, part, level)
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
        self.write("rebuilding rollups", |transaction| {
            for level in levels {
                delete_level(transaction, day, *level)?;
            }
            merge_parts(transaction, parts)
        })
    }

    /// Forgets up to `limit` ids that came without a time and were seen before `before`.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn prune_undated_ids(&mut self, before: Timestamp, limit: u32) -> Result<usize> {
        let sql = "delete from _undated_ids where (id_hash, space_id) in (
                       select id_hash, space_id from _undated_ids where seen_at_ms < ?1 limit ?2)";
        self.execute("forgetting old ids", sql, (before, limit))
    }

    /// Sets times of arrival that a clock that was ahead has stamped later than `latest` to `latest`, so that retention
    /// does not keep these rows until that time has come.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn bound_arrivals(&mut self, latest: Timestamp) -> Result<usize> {
        self.write("correcting times of arrival", |transaction| {
            let days = "update _days set changed_at_ms = ?1 where changed_at_ms > ?1";
            let ids = "update _undated_ids set seen_at_ms = ?1 where seen_at_ms > ?1";
            Ok(transaction.execute(days, [latest])? + transaction.execute(ids, [latest])?)
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

fn mark_pruned(
    transaction: &Transaction<'_>,
    day_ms: i64,
    level: Option<Level>,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("update _days set pruned = pruned | ?1 where day_ms = ?2")?
        .execute((pruned_flag(level), day_ms))
        .map(drop)
}

fn delete_level(
    transaction: &Transaction<'_>,
    part: TimeRange,
    level: Level,
) -> rusqlite::Result<usize> {
    let delete = |table: &str| {
        let sql = format!(
            "delete from {table} where level_minutes = ?1 and bucket_ms >= ?2 and bucket_ms < ?3"
        );
        transaction.prepare_cached(&sql)?.execute((level.minutes(), part.start, part.end))
    };
    tables_of(Some(level)).map(delete).sum()
}
