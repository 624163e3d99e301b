//! The UTC days of which retention has deleted raw rows: their mark, and the writer's cache of them.

use rusqlite::Connection;

use crate::model::time::DAY_MS;
use crate::model::{Level, Timestamp};

/// The bit of `_days.pruned` for a rollup level, or for raw rows when `None`.
pub const fn pruned_flag(level: Option<Level>) -> i64 {
    match level {
        None => 1,
        Some(Level::Minute) => 2,
        Some(Level::QuarterHour) => 4,
        Some(Level::Day) => 8,
    }
}

/// The pruned days, read in a transaction of the writer so that they match the file.
#[derive(Debug, Default)]
pub(super) struct PrunedDays {
    /// Starts of the days in Unix milliseconds, in order; `None`: not read yet.
    days: Option<Vec<i64>>,
}

impl PrunedDays {
    /// Reads the days, unless they are known.
    pub(super) fn load(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.days.is_none() {
            let mut statement = connection
                .prepare_cached("select day_ms from _days where pruned & ?1 order by day_ms")?;
            let days = statement.query_map([pruned_flag(None)], |row| row.get(0))?;
            self.days = Some(days.collect::<rusqlite::Result<_>>()?);
        }
        Ok(())
    }

    /// Clears the cache, because a failed transaction may have changed the days.
    pub(super) fn forget(&mut self) {
        self.days = None;
    }

    /// Adds a day after the transaction that has marked it.
    pub(super) fn insert(&mut self, day_ms: i64) {
        if let Some(days) = &mut self.days
            && let Err(position) = days.binary_search(&day_ms)
        {
            days.insert(position, day_ms);
        }
    }

    /// The start of the instant's day if that is a pruned one. Usually this is one comparison, with the newest pruned day.
    pub(super) fn day_of(&self, at: Timestamp) -> Option<Timestamp> {
        let days = self.days.as_deref()?;
        if at.as_unix_ms() >= days.last()?.saturating_add(DAY_MS) {
            return None;
        }
        let day = at.floor_to(DAY_MS);
        days.binary_search(&day.as_unix_ms()).is_ok().then_some(day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_found_in_its_own_day_only() {
        let mut pruned = PrunedDays { days: Some(Vec::new()) };
        let at = Timestamp::from_unix_ms;
        assert_eq!(pruned.day_of(at(0)), None);
        for day in [4, 2, 4, -1] {
            pruned.insert(day * DAY_MS);
        }
        assert_eq!(pruned.days.as_deref(), Some(&[-DAY_MS, 2 * DAY_MS, 4 * DAY_MS][..]));
        for day in [-1, 2, 4] {
            for ms in [0, 1, DAY_MS - 1] {
                assert_eq!(pruned.day_of(at(day * DAY_MS + ms)), Some(at(day * DAY_MS)));
            }
            assert_eq!(pruned.day_of(at((day + 1) * DAY_MS)), None);
            assert_eq!(pruned.day_of(at(day * DAY_MS - 1)), None);
        }
    }
}
