//! The days of a damaged file: which have their requests, and counts of them.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use crate::model::time::DAY_MS;
use crate::model::{Level, Timestamp};
use crate::store::pruned_days::pruned_flag;
use crate::store::read::DayRow;
use crate::store::rebuild::replace_days;

/// Counts of the requests read of one UTC day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DayCounts {
    /// Requests that the rollups of the damaged file included.
    pub(super) rolled_up: i64,
    min_started_at_ms: i64,
    max_started_at_ms: i64,
    changed_seq: i64,
}

/// The days of the damaged file, as stated and as read.
#[derive(Debug, Default)]
pub(super) struct SalvageDays {
    /// As stated by the damaged file.
    pub(super) stated: BTreeMap<i64, DayRow>,
    /// Requests read, up to the watermark.
    pub(super) counted: BTreeMap<i64, DayCounts>,
}

impl SalvageDays {
    /// Whether retention deleted requests of the day, as far as is known.
    pub(super) fn is_pruned(&self, day_ms: i64) -> bool {
        self.stated.get(&day_ms).is_some_and(|day| day.pruned & pruned_flag(None) != 0)
    }

    /// Whether rollups of the day are copied, because its requests are deleted, or may be.
    pub(super) fn is_copied(&self, day_ms: i64) -> bool {
        let has_rows = self.counted.contains_key(&day_ms);
        self.is_pruned(day_ms) || !self.stated.contains_key(&day_ms) || !has_rows
    }

    /// Counts a request that the rollups included.
    pub(super) fn count(&mut self, day_ms: i64, started_at_ms: i64, seq: i64) {
        let counted = self.counted.entry(day_ms).or_insert(DayCounts {
            rolled_up: 0,
            min_started_at_ms: started_at_ms,
            max_started_at_ms: started_at_ms,
            changed_seq: seq,
        });
        counted.rolled_up += 1;
        counted.min_started_at_ms = counted.min_started_at_ms.min(started_at_ms);
        counted.max_started_at_ms = counted.max_started_at_ms.max(started_at_ms);
        counted.changed_seq = counted.changed_seq.max(seq);
    }

    /// A substitute for a lost watermark: the compactor sets it to the last change of a day.
    pub(super) fn last_change(&self) -> Option<i64> {
        self.stated.values().map(|day| day.changed_seq).max()
    }

    /// Writes the rows of all days after the copied rollups; returns the days whose rollups must be recomputed.
    pub(super) fn write(
        &self,
        connection: &Connection,
        now: Timestamp,
    ) -> rusqlite::Result<WrittenDays> {
        let mut written = WrittenDays::default();
        let sql = "select bucket_ms, requests from _rollup_all where level_minutes = 1440";
        let mut statement = connection.prepare(sql)?;
        let copied = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let copied: BTreeMap<i64, i64> = copied.collect::<rusqlite::Result<_>>()?;
        let days: BTreeSet<i64> =
            self.stated.keys().chain(self.counted.keys()).chain(copied.keys()).copied().collect();
        for day_ms in days {
            let copied = copied.get(&day_ms).copied();
            let counted = self.counted.get(&day_ms);
            let stated = self.stated.get(&day_ms).copied();
            let is_kept = match (stated, counted) {
                (_, None) => false,
                (Some(_), Some(_)) => !self.is_pruned(day_ms),
                // Retention has deleted some if the rollups include more requests than there are.
                (None, Some(counted)) => {
                    copied.is_none_or(|requests| requests <= counted.rolled_up)
                }
            };
            let row = match (stated, counted) {
                (stated, Some(counted)) if is_kept => counted.row(day_ms, stated, now),
                (Some(stated), _) => DayRow { pruned: stated.pruned | pruned_flag(None), ..stated },
                (None, _) => DayRow {
                    pruned: pruned_flag(None) | missing_levels(connection, day_ms)?,
                    day_ms,
                    requests: copied.unwrap_or(0),
                    min_started_at_ms: day_ms,
                    max_started_at_ms: day_ms + DAY_MS - 1,
                    changed_seq: counted.map_or(0, |counted| counted.changed_seq),
                    changed_at_ms: now.as_unix_ms(),
                },
            };
            replace_days(connection, &[row])?;
            if is_kept {
                written.recomputed.push(row);
            } else {
                written.copied += 1;
            }
        }
        Ok(written)
    }
}

/// The days that were written.
#[derive(Debug, Default)]
pub(super) struct WrittenDays {
    /// Days whose rollups must be recomputed.
    pub(super) recomputed: Vec<DayRow>,
    /// Number of days with the rollups of the damaged file.
    pub(super) copied: usize,
}

impl DayCounts {
    /// The row of a day whose rollups are recomputed from the counted requests.
    fn row(&self, day_ms: i64, stated: Option<DayRow>, now: Timestamp) -> DayRow {
        DayRow {
            day_ms,
            requests: self.rolled_up,
            min_started_at_ms: self.min_started_at_ms,
            max_started_at_ms: self.max_started_at_ms,
            changed_seq: stated.map_or(self.changed_seq, |day| day.changed_seq),
            changed_at_ms: stated.map_or(now.as_unix_ms(), |day| day.changed_at_ms),
            pruned: stated.map_or(0, |day| day.pruned),
        }
    }
}

/// The flags of the finer levels without rollups of a day.
fn missing_levels(connection: &Connection, day_ms: i64) -> rusqlite::Result<i64> {
    let sql = "select 1 from _rollup_all
               where level_minutes = ?1 and bucket_ms >= ?2 and bucket_ms < ?3";
    let mut flags = 0;
    for level in [Level::Minute, Level::QuarterHour] {
        let mut rollups = connection.prepare_cached(sql)?;
        if !rollups.exists((level.minutes(), day_ms, day_ms + DAY_MS))? {
            flags |= pruned_flag(Some(level));
        }
    }
    Ok(flags)
}
