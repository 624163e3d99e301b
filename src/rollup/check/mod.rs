//! Checks the database and recomputes its rollups from raw rows, as tasks that can run in parallel.

mod compare;
mod day;
mod report;

use std::sync::atomic::AtomicU64;

use self::day::check_day;
pub use self::report::{CheckMode, CheckReport};
use super::recompute::{find_day, kept_levels, range_of};
use crate::error::{Error, Result, StorageErrorKind};
use crate::model::time::DAY_MS;
use crate::model::{Column, Count, Grouping, Level, TimeRange, Timestamp};
use crate::store::{DayRow, Reader, ResolvedFilter, RollupSelect, Store, pruned_flag};

/// One part of a check. Each task reads its own snapshot, so that a long check does not keep the
/// write-ahead log from being checkpointed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckTask {
    /// SQLite's check of the file structure.
    Structure,
    /// SQLite's check of the tables with indexes, except `requests`.
    SmallTables,
    /// Totals that must agree, and the requests after the watermark.
    Totals(CheckMode),
    /// One UTC day, given by its start in Unix milliseconds.
    Day(CheckMode, i64),
}

/// The tasks of a check, longest first.
#[derive(Clone, Debug)]
pub(crate) struct CheckPlan {
    /// The tasks.
    pub(crate) tasks: Vec<CheckTask>,
    /// Number of requests to read.
    pub(crate) rows: u64,
}

impl CheckPlan {
    /// Splits a check into tasks.
    pub(crate) fn new(store: &Store, mode: CheckMode) -> Result<Self> {
        let days = store.read(|reader| reader.days())?;
        let mut tasks = vec![CheckTask::Structure, CheckTask::Totals(mode)];
        if mode == CheckMode::Full {
            tasks.push(CheckTask::SmallTables);
        }
        let kept = days.iter().filter(|day| day.pruned & pruned_flag(None) == 0);
        let rows = kept.map(|day| day.requests).sum::<i64>();
        tasks.extend(days.iter().map(|day| CheckTask::Day(mode, day.day_ms)));
        Ok(Self { tasks, rows: u64::try_from(rows).unwrap_or(0) })
    }
}

impl CheckTask {
    /// Runs the task; `rows_read` counts the requests read.
    ///
    /// Unreadable data is reported as damage, not as an error.
    ///
    /// # Errors
    /// When the file is busy, or the read was interrupted.
    pub(crate) fn run(self, store: &Store, rows_read: &AtomicU64) -> Result<CheckReport> {
        let mut report = CheckReport::default();
        let outcome = store.read(|reader| match self {
            Self::Structure => reader.damage().map(|damage| report.damage.extend(damage)),
            Self::SmallTables => {
                reader.small_table_damage().map(|damage| report.damage.extend(damage))
            }
            Self::Totals(mode) => check_totals(reader, mode, &mut report),
            Self::Day(CheckMode::Quick, day_ms) => check_day_totals(reader, day_ms, &mut report),
            Self::Day(CheckMode::Full, day_ms) => check_day(reader, day_ms, rows_read, &mut report),
        });
        match outcome {
            Err(error) if is_damage(&error) => {
                let what = match self {
                    Self::Structure => "the structure of the file".to_owned(),
                    Self::SmallTables => "tables with indexes".to_owned(),
                    Self::Totals(_) => "totals".to_owned(),
                    Self::Day(_, day_ms) => Timestamp::from_unix_ms(day_ms).to_string(),
                };
                report.damage.push(format!("{what}: {error}"));
                report.differs(format_args!("{what}: not compared, because it cannot be read"));
                Ok(report)
            }
            outcome => outcome.map(|()| report),
        }
    }
}

/// Whether the read failed because of the file's contents. A value of the wrong type is a statement
/// error.
const fn is_damage(error: &Error) -> bool {
    matches!(
        error,
        Error::Storage { source, .. }
            if matches!(source.kind, StorageErrorKind::Damaged | StorageErrorKind::Statement)
    )
}

/// Runs a full check on the calling thread: recomputes and compares the rollups of every day that
/// still has all its raw rows.
///
/// `progress` is called with the number of finished tasks and the total.
///
/// # Errors
/// When the file is busy.
pub fn check(store: &Store, progress: &mut dyn FnMut(usize, usize)) -> Result<CheckReport> {
    let plan = CheckPlan::new(store, CheckMode::Full)?;
    let mut report = CheckReport::default();
    for (position, task) in plan.tasks.iter().enumerate() {
        progress(position, plan.tasks.len());
        report.add(task.run(store, &AtomicU64::new(0))?);
    }
    Ok(report)
}

fn check_totals(reader: &Reader<'_>, mode: CheckMode, report: &mut CheckReport) -> Result<()> {
    let days = reader.days()?;
    let watermark_seq = reader.watermark_seq()?;
    let counts = reader.stored_counts()?;
    if counts.requests != counts.index_entries {
        report.differs(format_args!(
            "requests__started_at_ms: {} entries, but there are {} requests",
            counts.index_entries, counts.requests
        ));
    }
    if counts.given_seq < counts.max_seq.max(watermark_seq) {
        report.differs(format_args!(
            "sqlite_sequence: {} is below the last request or the watermark: the next request would be missing from the rollups",
            counts.given_seq
        ));
    }
    for day in days.iter().filter(|day| day.changed_seq > watermark_seq) {
        let at = Timestamp::from_unix_ms(day.day_ms);
        report.differs(format_args!("days {at}: changed after the watermark {watermark_seq}"));
    }
    match mode {
        CheckMode::Quick => {
            // Unused sequence numbers of retries leave gaps, so the rows are counted.
            report.tail_rows = unsigned(reader.tail_count(watermark_seq)?);
        }
        CheckMode::Full => reader.rows_between((watermark_seq + 1, i64::MAX), |_, _| {
            report.tail_rows += 1;
        })?,
    }
    check_between_days(reader, &days, watermark_seq, report)?;
    check_rolled_up_days(reader, &days, report)
}

/// Reports requests that the rollups include but whose day is missing from `days`.
fn check_between_days(
    reader: &Reader<'_>,
    days: &[DayRow],
    watermark_seq: i64,
    report: &mut CheckReport,
) -> Result<()> {
    let mut from_ms = i64::MIN;
    let ends = days.iter().map(|day| (day.day_ms, range_of(day.day_ms).end.as_unix_ms()));
    for (day_ms, next_ms) in ends.chain([(i64::MAX, i64::MAX)]) {
        if from_ms < day_ms {
            let gap = TimeRange::from_unix_ms(from_ms, day_ms);
            let requests = reader.rolled_up_count(gap, watermark_seq)?;
            if requests > 0 {
                let first_ms = reader.first_start(gap)?.unwrap_or(0);
                let at = Timestamp::from_unix_ms(first_ms).floor_to(DAY_MS);
                report.differs(format_args!(
                    "days {at}: missing, possibly with later days: {requests} requests exist"
                ));
            }
        }
        from_ms = next_ms;
    }
    Ok(())
}

/// Reports days that the rollups contain but `days` does not.
fn check_rolled_up_days(
    reader: &Reader<'_>,
    days: &[DayRow],
    report: &mut CheckReport,
) -> Result<()> {
    let select = RollupSelect {
        grouping: Grouping::All,
        level: Level::Day,
        range: TimeRange::from_unix_ms(i64::MIN, i64::MAX),
        columns: &[Column::count(Count::Requests)],
        filter: &ResolvedFilter::default(),
    };
    reader.rollup_rows(&select, |key, _| {
        if days.binary_search_by_key(&key.bucket_ms, |day| day.day_ms).is_err() {
            let at = Timestamp::from_unix_ms(key.bucket_ms);
            report.differs(format_args!("_days {at}: missing, but _rollup_all has it"));
        }
    })
}

/// Compares the day's request count with every rollup and with the time index.
fn check_day_totals(reader: &Reader<'_>, day_ms: i64, report: &mut CheckReport) -> Result<()> {
    let Some(day) = find_day(reader, day_ms)? else { return Ok(()) };
    let at = Timestamp::from_unix_ms(day_ms);
    report.days += 1;
    if day.pruned & pruned_flag(None) == 0 {
        let requests = reader.rolled_up_count(range_of(day_ms), reader.watermark_seq()?)?;
        report.rows += unsigned(requests);
        if requests != day.requests {
            report.differs(format_args!(
                "days {at}: {} requests, but there are {requests} raw rows",
                day.requests
            ));
        }
    }
    check_rollup_totals(reader, &day, report)
}

/// Compares the day's request count with every rollup at the levels that retention has kept.
fn check_rollup_totals(reader: &Reader<'_>, day: &DayRow, report: &mut CheckReport) -> Result<()> {
    let levels: Vec<i64> = kept_levels(day).into_iter().map(Level::minutes).collect();
    for (table, minutes, requests) in reader.rollup_totals(range_of(day.day_ms))? {
        if !levels.contains(&minutes) {
            continue;
        }
        report.rollup_rows += 1;
        if requests != day.requests {
            let at = Timestamp::from_unix_ms(day.day_ms);
            let stated = day.requests;
            report.differs(format_args!(
                "{table} {minutes} min {at}: {requests} requests, days says {stated}"
            ));
        }
    }
    Ok(())
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
