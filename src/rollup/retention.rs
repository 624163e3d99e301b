//! Retention by age and by size, per level, in bounded steps; deletes only what the watermark has
//! passed.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::pace::next_size;
use crate::config::RetentionConfig;
use crate::error::Result;
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{Level, TimeRange, Timestamp};
use crate::store::{DayRow, Store, WriteGate, Writer, pruned_flag};

/// Target time that a step occupies the writer thread, in microseconds: senders wait meanwhile.
const STEP_US: u64 = 8_000;
/// Rows deleted per transaction.
const STEP_ROWS: RangeInclusive<u32> = 50..=2_000;
/// Free pages returned to the file system per step.
const STEP_PAGES: RangeInclusive<u32> = 16..=512;
/// Rest after a step, as a multiple of its duration. The write-ahead log of the deletions is
/// checkpointed meanwhile; otherwise it would grow until the writer thread must checkpoint it
/// while senders wait.
const REST_PER_STEP: u32 = 3;
/// Longest rest.
const MAX_REST: Duration = Duration::from_millis(200);
/// Pages of the write-ahead log not yet checkpointed above which retention pauses.
const MAX_WAL_BACKLOG: i64 = 2_000;
/// Longest pause for a checkpoint, so that a stuck checkpoint does not stop retention.
const MAX_CHECKPOINT_WAIT: Duration = Duration::from_secs(30);
/// Interval between checks of the write-ahead log.
const CHECKPOINT_POLL: Duration = Duration::from_millis(50);
/// Size of the first step (rows or pages), whose duration is unknown.
const FIRST_STEP: u32 = 128;
/// How long ids of records without a time are kept: twice the documented time.
const UNDATED_ID_MS: i64 = 2 * DAY_MS;

/// Tolerance before an arrival time counts as stamped by a clock that was ahead, in milliseconds.
const CLOCK_TOLERANCE_MS: i64 = HOUR_MS;

/// Deletes data that has reached its retention limits.
#[derive(Clone, Debug)]
pub struct Retention {
    store: Store,
    config: RetentionConfig,
}

/// The result of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionReport {
    /// Raw rows deleted.
    pub raw_rows: usize,
    /// Rollup rows deleted.
    pub rollup_rows: usize,
    /// Bytes returned to the file system.
    pub freed_bytes: i64,
}

impl Retention {
    /// Creates the retention of `store`.
    pub const fn new(store: Store, config: RetentionConfig) -> Self {
        Self { store, config }
    }

    /// Deletes everything that is due; stops between steps when `keep_going` returns false.
    ///
    /// Ages are relative to `now`, which must not be ahead of the real time. Without `by_age`,
    /// nothing is deleted because of its age. The size limit deletes only from days that have ended
    /// at `now`.
    ///
    /// # Errors
    /// When the file cannot be read or written; deletions before the failure remain.
    pub fn run(
        &self,
        gate: &dyn WriteGate,
        now: Timestamp,
        by_age: bool,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<RetentionReport> {
        let report = RetentionReport::default();
        let Self { store, config } = self;
        let mut pruning = Pruning { store, config, gate, keep_going, report };
        if by_age {
            for day in store.read(|reader| reader.days())? {
                pruning.by_age(&day, now)?;
            }
        }
        pruning.by_size(now)?;
        if by_age {
            let before = now.plus_ms(-UNDATED_ID_MS);
            pruning.in_steps(move |writer, rows| writer.prune_undated_ids(before, rows))?;
        }
        pruning.shrink()?;
        Ok(pruning.report)
    }

    /// Corrects arrival times later than `latest`, the latest time that can be right; a clock that
    /// was ahead stamped them.
    pub(crate) fn bound_arrivals(&self, gate: &dyn WriteGate, latest: Timestamp) -> Result<()> {
        let tolerated = latest.plus_ms(CLOCK_TOLERANCE_MS);
        if !self.store.read(|reader| reader.has_arrivals_after(tolerated))? {
            return Ok(());
        }
        let corrected = gate.write(move |writer| writer.bound_arrivals(latest))?;
        tracing::warn!(
            rows = corrected,
            latest = %latest,
            "corrected arrival times that a clock set ahead had stamped; they would have delayed retention"
        );
        Ok(())
    }
}

/// One run of the retention.
struct Pruning<'a> {
    store: &'a Store,
    config: &'a RetentionConfig,
    gate: &'a dyn WriteGate,
    keep_going: &'a dyn Fn() -> bool,
    report: RetentionReport,
}

impl Pruning<'_> {
    /// Deletes the levels of a day that have reached their age.
    fn by_age(&mut self, day: &DayRow, now: Timestamp) -> Result<()> {
        let age_days = age_days(day, now);
        for (level, kept_days) in [
            (None, self.config.raw_days),
            (Some(Level::Minute), self.config.minute_days),
            (Some(Level::QuarterHour), self.config.quarter_hour_days),
        ] {
            let is_due = age_days >= i64::from(kept_days) && (self.keep_going)();
            // After the first pruning, a day holds only late arrivals.
            if is_due && self.store.read(|reader| reader.day_holds(day.day_ms, level))? {
                self.prune(day, level)?;
            }
        }
        Ok(())
    }

    /// While the file is too large, deletes the raw rows of the oldest days, then their finest
    /// rollups. Never deletes from a day that has not ended, because records of a pruned day are
    /// rejected.
    fn by_size(&mut self, now: Timestamp) -> Result<()> {
        let Some(max_bytes) = self.config.max_bytes else { return Ok(()) };
        let max_bytes = i64::try_from(max_bytes).unwrap_or(i64::MAX);
        let mut days = self.store.read(|reader| reader.days())?;
        days.retain(|day| day.day_ms + DAY_MS <= now.as_unix_ms());
        for level in [None, Some(Level::Minute), Some(Level::QuarterHour)] {
            for day in days.iter().filter(|day| day.pruned & pruned_flag(level) == 0) {
                let is_stopped = !(self.keep_going)();
                if is_stopped || self.store.read(|reader| reader.page_bytes())?.0 <= max_bytes {
                    return Ok(());
                }
                tracing::warn!(
                    day = %Timestamp::from_unix_ms(day.day_ms),
                    level_minutes = level.map_or(0, Level::minutes),
                    max_bytes,
                    "the database exceeds retention.max_bytes; deleting the oldest rows"
                );
                self.prune(day, level)?;
            }
        }
        Ok(())
    }

    /// Deletes one level of a day, or its raw rows.
    fn prune(&mut self, day: &DayRow, level: Option<Level>) -> Result<()> {
        let day_ms = day.day_ms;
        let Some(level) = level else {
            let deleted = self.in_steps(move |writer, rows| writer.prune_raw(day_ms, rows))?;
            self.report.raw_rows += deleted;
            return Ok(());
        };
        for start_ms in (0..DAY_MS / HOUR_MS).map(|hour| day_ms + hour * HOUR_MS) {
            let part = TimeRange::from_unix_ms(start_ms, start_ms + HOUR_MS);
            let (rows, took_us) =
                self.gate.write_timed(move |writer| writer.prune_level(part, level))?;
            self.report.rollup_rows += rows;
            self.rest(took_us);
        }
        Ok(())
    }

    /// Deletes in transactions of a few milliseconds each, until one deletes fewer rows than it may.
    fn in_steps(
        &self,
        delete: impl Fn(&mut Writer, u32) -> Result<usize> + Copy + Send + 'static,
    ) -> Result<usize> {
        let (mut deleted, mut rows) = (0, FIRST_STEP);
        while (self.keep_going)() {
            let (step, took_us) = self.gate.write_timed(move |writer| delete(writer, rows))?;
            deleted += step;
            if step < rows as usize {
                break;
            }
            rows = next_size(rows, took_us, STEP_US, STEP_ROWS);
            self.rest(took_us);
        }
        Ok(deleted)
    }

    /// Rests after a step, and waits for the checkpoint if the write-ahead log is long.
    fn rest(&self, took_us: u64) {
        let rest = Duration::from_micros(took_us).saturating_mul(REST_PER_STEP);
        std::thread::sleep(rest.min(MAX_REST));
        let mut waited = Duration::ZERO;
        while self.store.wal_backlog_pages() > MAX_WAL_BACKLOG
            && waited < MAX_CHECKPOINT_WAIT
            && (self.keep_going)()
        {
            std::thread::sleep(CHECKPOINT_POLL);
            waited += CHECKPOINT_POLL;
        }
    }

    /// Returns free pages to the file system.
    fn shrink(&mut self) -> Result<()> {
        let free_bytes = || self.store.read(|reader| Ok(reader.page_bytes()?.1));
        let before = free_bytes()?;
        let mut left = before;
        let mut pages = FIRST_STEP;
        while left > 0 && (self.keep_going)() {
            let ((), took_us) = self.gate.write_timed(move |writer| writer.shrink(pages))?;
            pages = next_size(pages, took_us, STEP_US, STEP_PAGES);
            self.rest(took_us);
            let left_after = free_bytes()?;
            if left_after >= left {
                break;
            }
            left = left_after;
        }
        if left < before {
            self.gate.write(|writer| writer.checkpoint(i64::MAX))?;
        }
        self.report.freed_bytes = before - left;
        Ok(())
    }
}

/// Days since the end of the day or the last arrival of one of its records, whichever is later.
fn age_days(day: &DayRow, now: Timestamp) -> i64 {
    let since_ms = (day.day_ms + DAY_MS).max(day.changed_at_ms);
    (now.as_unix_ms() - since_ms).div_euclid(DAY_MS)
}
