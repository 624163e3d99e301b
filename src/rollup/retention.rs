//! Retention, by age and by size, per level; in bounded steps; only what the watermark has passed.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::pace::next_size;
use crate::config::RetentionConfig;
use crate::error::Result;
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{Level, TimeRange, Timestamp};
use crate::store::{DayRow, Store, WriteGate, Writer, pruned_flag};

/// What a step may keep the writing thread: senders wait for it.
const STEP_US: u64 = 8_000;
/// Rows deleted in one transaction.
const STEP_ROWS: RangeInclusive<u32> = 50..=2_000;
/// Free pages given back in one step.
const STEP_PAGES: RangeInclusive<u32> = 16..=512;
/// After a step this many times as long passes until the next one, so that the log of what was deleted is moved to the
/// file meanwhile: the writing thread moves a log that grows too long, while senders wait.
const REST_PER_STEP: u32 = 3;
/// Longest rest.
const MAX_REST: Duration = Duration::from_millis(200);
/// With more pages of the log not in the file yet there is no further step, for a while.
const MAX_LOG_PAGES: i64 = 2_000;
/// How long, at most: a log that is not moved must not stop retention.
const MAX_LOG_WAIT: Duration = Duration::from_secs(30);
/// Between two looks at the log.
const LOG_LOOK: Duration = Duration::from_millis(50);
/// The size of a first step, when nothing is known of how long one takes.
const FIRST_STEP: u32 = 128;
/// Ids that came without a time are remembered this long: twice what is promised.
const UNDATED_MS: i64 = 2 * DAY_MS;

/// An arrival stamped this much later than now, in milliseconds, was stamped by a clock that was ahead.
const AHEAD_MS: i64 = HOUR_MS;

/// Deletes what has outlived its time.
#[derive(Clone, Debug)]
pub struct Retention {
    store: Store,
    config: RetentionConfig,
}

/// What one run deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionReport {
    /// Raw rows.
    pub raw_rows: usize,
    /// Rollup rows.
    pub rollup_rows: usize,
    /// Bytes given back to the file system.
    pub freed_bytes: i64,
}

impl Retention {
    /// Retention of `store`.
    pub const fn new(store: Store, config: RetentionConfig) -> Self {
        Self { store, config }
    }

    /// Deletes everything that is due; `keep_going` is asked between steps.
    ///
    /// Ages are counted at `now`, which must not be ahead of the real time; without `by_age` nothing goes because of its
    /// age, and what goes for its size is of days that are over at `now`.
    ///
    /// # Errors
    /// When the file cannot be read or written; what was deleted until then stays deleted.
    pub fn run(
        &self,
        gate: &dyn WriteGate,
        now: Timestamp,
        by_age: bool,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<RetentionReport> {
        let mut report = RetentionReport::default();
        if by_age {
            for day in self.store.read(|reader| reader.days())? {
                self.prune_aged(gate, &day, now, keep_going, &mut report)?;
            }
        }
        self.prune_by_size(gate, now, keep_going, &mut report)?;
        if by_age {
            let before = now.plus_ms(-UNDATED_MS);
            let rest = |took_us| self.rest(took_us, keep_going);
            in_steps(gate, keep_going, rest, move |writer, rows| {
                writer.prune_undated_ids(before, rows)
            })?;
        }
        report.freed_bytes = self.shrink(gate, keep_going)?;
        Ok(report)
    }

    /// Corrects arrivals stamped later than `latest`, the latest time that may be right, by a clock that was ahead.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn bound_arrivals(&self, gate: &dyn WriteGate, latest: Timestamp) -> Result<()> {
        if !self.store.read(|reader| reader.has_arrivals_after(latest.plus_ms(AHEAD_MS)))? {
            return Ok(());
        }
        let corrected = gate.write(move |writer| writer.bound_arrivals(latest))?;
        tracing::warn!(
            rows = corrected,
            latest = %latest,
            "times of arrival were stamped by a clock that was ahead; they are corrected, so that retention does not wait for them"
        );
        Ok(())
    }

    fn prune_aged(
        &self,
        gate: &dyn WriteGate,
        day: &DayRow,
        now: Timestamp,
        keep_going: &dyn Fn() -> bool,
        report: &mut RetentionReport,
    ) -> Result<()> {
        let age_days = age_days(day, now);
        if age_days >= i64::from(self.config.raw_days) && self.holds(day, None)? {
            report.raw_rows += self.prune_raw(gate, day, keep_going)?;
        }
        let levels = [
            (Level::Minute, self.config.minute_days),
            (Level::QuarterHour, self.config.quarter_hour_days),
        ];
        for (level, kept_days) in levels {
            if age_days >= i64::from(kept_days) && keep_going() && self.holds(day, Some(level))? {
                report.rollup_rows += self.prune_level(gate, day, level, keep_going)?;
            }
        }
        Ok(())
    }

    /// Whether there is something to delete: after the first pruning, only late arrivals.
    fn holds(&self, day: &DayRow, level: Option<Level>) -> Result<bool> {
        self.store.read(|reader| reader.day_holds(day.day_ms, level))
    }

    /// While the file is too large: raw rows of the oldest days, then their finest rollups. Never those of a day that is not
    /// over: from then on its records would be rejected.
    fn prune_by_size(
        &self,
        gate: &dyn WriteGate,
        now: Timestamp,
        keep_going: &dyn Fn() -> bool,
        report: &mut RetentionReport,
    ) -> Result<()> {
        let Some(max_bytes) = self.config.max_bytes else { return Ok(()) };
        let max_bytes = i64::try_from(max_bytes).unwrap_or(i64::MAX);
        let mut days = self.store.read(|reader| reader.days())?;
        days.retain(|day| day.day_ms + DAY_MS <= now.as_unix_ms());
        for level in [None, Some(Level::Minute), Some(Level::QuarterHour)] {
            for day in days.iter().filter(|day| day.pruned & pruned_flag(level) == 0) {
                if !keep_going() || self.store.read(|reader| reader.page_bytes())?.0 <= max_bytes {
                    return Ok(());
                }
                tracing::warn!(
                    day = %Timestamp::from_unix_ms(day.day_ms),
                    level_minutes = level.map_or(0, Level::minutes),
                    max_bytes,
                    "the database passed its size limit; the oldest rows go"
                );
                match level {
                    None => report.raw_rows += self.prune_raw(gate, day, keep_going)?,
                    Some(level) => {
                        report.rollup_rows += self.prune_level(gate, day, level, keep_going)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn prune_raw(
        &self,
        gate: &dyn WriteGate,
        day: &DayRow,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<usize> {
        let day_ms = day.day_ms;
        let rest = |took_us| self.rest(took_us, keep_going);
        in_steps(gate, keep_going, rest, move |writer, rows| writer.prune_raw(day_ms, rows))
    }

    fn prune_level(
        &self,
        gate: &dyn WriteGate,
        day: &DayRow,
        level: Level,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<usize> {
        let hours = (0..DAY_MS / HOUR_MS).map(|hour| day.day_ms + hour * HOUR_MS);
        let mut deleted = 0;
        for start_ms in hours {
            let part = TimeRange::from_unix_ms(start_ms, start_ms + HOUR_MS);
            let (rows, took_us) =
                gate.write_timed(move |writer| writer.prune_level(part, level))?;
            deleted += rows;
            self.rest(took_us, keep_going);
        }
        Ok(deleted)
    }

    /// Waits after a step.
    fn rest(&self, took_us: u64, keep_going: &dyn Fn() -> bool) {
        let rest = Duration::from_micros(took_us).saturating_mul(REST_PER_STEP);
        std::thread::sleep(rest.min(MAX_REST));
        let mut waited = Duration::ZERO;
        while self.store.log_pages_left() > MAX_LOG_PAGES && waited < MAX_LOG_WAIT && keep_going() {
            std::thread::sleep(LOG_LOOK);
            waited += LOG_LOOK;
        }
    }

    fn shrink(&self, gate: &dyn WriteGate, keep_going: &dyn Fn() -> bool) -> Result<i64> {
        let free_bytes = || self.store.read(|reader| Ok(reader.page_bytes()?.1));
        let before = free_bytes()?;
        let mut left = before;
        let mut pages = FIRST_STEP;
        while left > 0 && keep_going() {
            let ((), took_us) = gate.write_timed(move |writer| writer.shrink(pages))?;
            pages = next_size(pages, took_us, STEP_US, STEP_PAGES);
            self.rest(took_us, keep_going);
            let now_left = free_bytes()?;
            if now_left >= left {
                break;
            }
            left = now_left;
        }
        if left < before {
            gate.write(|writer| writer.checkpoint(i64::MAX))?;
        }
        Ok(before - left)
    }
}

/// Days since the end of the day or the last arrival of one of its records, whichever is later.
fn age_days(day: &DayRow, now: Timestamp) -> i64 {
    let since_ms = (day.day_ms + DAY_MS).max(day.changed_at_ms);
    (now.as_unix_ms() - since_ms).div_euclid(DAY_MS)
}

/// Deletes in transactions that keep the writing thread for a few milliseconds each, until one finds less than
/// it may delete.
fn in_steps(
    gate: &dyn WriteGate,
    keep_going: &dyn Fn() -> bool,
    rest: impl Fn(u64),
    delete: impl Fn(&mut Writer, u32) -> Result<usize> + Copy + Send + 'static,
) -> Result<usize> {
    let (mut deleted, mut rows) = (0, FIRST_STEP);
    while keep_going() {
        let (step, took_us) = gate.write_timed(move |writer| delete(writer, rows))?;
        deleted += step;
        if step < rows as usize {
            break;
        }
        rows = next_size(rows, took_us, STEP_US, STEP_ROWS);
        rest(took_us);
    }
    Ok(deleted)
}
