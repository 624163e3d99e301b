//! Which days keep their requests, and what is counted of them.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use crate::model::time::DAY_MS;
use crate::model::{Level, Timestamp};
use crate::store::prune::pruned_flag;
use crate::store::read::DayRow;
use crate::store::rollups::replace_days;

/// What was read of one UTC day's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// Requests that the rollups of the damaged file had.
    pub(super) rolled_up: i64,
    min_started_at_ms: i64,
    max_started_at_ms: i64,
    changed_seq: i64,
}

/// The days of the damaged file: what it said, and what was read.
#[derive(Debug, Default)]
pub(super) struct Days {
    /// As the damaged file says.
    pub(super) stated: BTreeMap<i64, DayRow>,
    /// Requests read, up to the watermark.
    pub(super) counted: BTreeMap<i64, Counted>,
}

impl Days {
    /// Whether retention deleted requests of the day, as far as the file says.
    pub(super) fn is_pruned(&self, day_ms: i64) -> bool {
        self.stated.get(&day_ms).is_some_and(|day| day.pruned & pruned_flag(None) != 0)
    }

    /// Whether rollups of the day are copied: its requests are gone, or nothing says whether they are.
    pub(super) fn is_copied(&self, day_ms: i64) -> bool {
        let has_rows = self.counted.contains_key(&day_ms);
        self.is_pruned(day_ms) || !self.stated.contains_key(&day_ms) || !has_rows
    }

    /// Counts a request that the rollups had.
    pub(super) fn count(&mut self, day_ms: i64, started_at_ms: i64, seq: i64) {
        let counted = self.counted.entry(day_ms).or_insert(Counted {
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

    /// The watermark, where the file does not say it any more: rolling up moves it to the last change of a day.
    pub(super) fn last_change(&self) -> Option<i64> {
        self.stated.values().map(|day| day.changed_seq).max()
    }

    /// Writes the rows of all days, after the rollups that are copied; gives those whose rollups are to be recomputed.
    pub(super) fn write(
        &self,
        connection: &Connection,
        now: Timestamp,
    ) -> rusqlite::Result<WrittenDays> {
        let mut written = WrittenDays::default();
        let mut days: BTreeMap<i64, Option<&Counted>> =
            self.stated.keys().map(|day_ms| (*day_ms, None)).collect();
        let mut statement =
            connection.prepare("select bucket_ms from _rollup_all where level_minutes = 1440")?;
        let copied = statement.query_map([], |row| row.get(0))?;
        days.extend(
            copied.collect::<rusqlite::Result<Vec<i64>>>()?.into_iter().map(|day| (day, None)),
        );
        days.extend(self.counted.iter().map(|(day_ms, counted)| (*day_ms, Some(counted))));
        for (day_ms, counted) in days {
            let copied = rolled_up(connection, day_ms)?;
            let stated = self.stated.get(&day_ms).copied();
            let is_kept = match (stated, counted) {
                (_, None) => false,
                (Some(_), Some(_)) => !self.is_pruned(day_ms),
                // Nothing says whether retention deleted some: the rollups know of more than there are.
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

/// Days as they were written.
#[derive(Debug, Default)]
pub(super) struct WrittenDays {
    /// Days whose rollups are to be recomputed.
    pub(super) recomputed: Vec<DayRow>,
    /// Days whose rollups are those of the damaged file.
    pub(super) copied: usize,
}

impl Counted {
    /// The row of a day whose rollups are recomputed from what was counted.
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

/// Requests of a day by its rollup; `None` without one.
fn rolled_up(connection: &Connection, day_ms: i64) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "select requests from _rollup_all where level_minutes = 1440 and bucket_ms = ?1",
        )?
        .query_row([day_ms], |row| row.get(0))
        .optional()
}

/// The finer levels that a day has no rollups of.
fn missing_levels(connection: &Connection, day_ms: i64) -> rusqlite::Result<i64> {
    let mut flags = 0;
    for level in [Level::Minute, Level::QuarterHour] {
        let exists: bool = connection
            .prepare_cached(
                "select exists (select 1 from _rollup_all
                     where level_minutes = ?1 and bucket_ms >= ?2 and bucket_ms < ?3)",
            )?
            .query_row((level.minutes(), day_ms, day_ms + DAY_MS), |row| row.get(0))?;
        flags |= if exists { 0 } else { pruned_flag(Some(level)) };
    }
    Ok(flags)
}
