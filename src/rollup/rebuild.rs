//! Recomputes the rollups from raw rows into new tables.

use super::recompute::{aggregate_day, kept_levels, kept_parts};
use crate::error::Result;
use crate::model::time::DAY_MS;
use crate::model::{TimeRange, Timestamp};
use crate::store::{DayRow, Dropped, Store, Writer, pruned_flag};

/// The result of a rebuild.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// Days whose rollups were recomputed.
    pub days: usize,
    /// Days whose rollups were kept, because their raw rows are pruned or unreadable.
    pub kept_days: usize,
    /// Whether the tables of an interrupted rebuild were found and removed.
    pub had_unfinished: bool,
    /// Whether the whole file was rewritten (`vacuum`) because of damaged pages.
    pub is_vacuumed: bool,
    /// Corrected problems, one line each.
    pub corrected: Vec<String>,
    /// Lost data and problems that a rebuild cannot correct, one line each.
    pub lost: Vec<String>,
}

/// Recomputes the rollups of every day that still has all its raw rows, and keeps the readable
/// rollups of the other days. Builds new tables that replace the old ones in one transaction.
///
/// `progress` is called with the number of finished days and the total.
///
/// # Errors
/// When the file cannot be read or written; the old rollups then stay in place.
pub fn rebuild(
    store: &Store,
    writer: &mut Writer,
    now: Timestamp,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<RebuildReport> {
    let days = days_with_requests(store, now)?;
    let had_unfinished = writer.begin_rebuild()?;
    let report = RebuildReport { had_unfinished, ..RebuildReport::default() };
    let mut rebuild = Rebuild { store, writer, report };
    let mut corrected = Vec::new();
    for (position, day) in days.iter().enumerate() {
        progress(position, days.len());
        corrected.extend(rebuild.day(day)?);
    }
    progress(days.len(), days.len());
    let Rebuild { writer, mut report, .. } = rebuild;
    match writer.finish_rebuild(&corrected)? {
        Dropped::Whole => {}
        Dropped::Vacuumed => report.is_vacuumed = true,
        Dropped::PagesLeft => report.lost.push(
            "pages outside the rollups are damaged too; run `chatgauge salvage` to copy the readable data to a new file".to_owned(),
        ),
    }
    Ok(report)
}

/// All known days, and the unknown days of raw rows that the rollups include.
fn days_with_requests(store: &Store, now: Timestamp) -> Result<Vec<DayRow>> {
    store.read(|reader| {
        let mut days = reader.days()?;
        let changed_seq = reader.watermark_seq()?;
        let mut from_ms = i64::MIN;
        while let Some(start_ms) = reader.first_start(TimeRange::from_unix_ms(from_ms, i64::MAX))? {
            let day_ms = start_ms - start_ms.rem_euclid(DAY_MS);
            if let Err(index) = days.binary_search_by_key(&day_ms, |day| day.day_ms) {
                let unknown = DayRow {
                    day_ms,
                    requests: 0,
                    min_started_at_ms: start_ms,
                    max_started_at_ms: start_ms,
                    changed_seq,
                    changed_at_ms: now.as_unix_ms(),
                    pruned: 0,
                };
                days.insert(index, unknown);
            }
            from_ms = day_ms + DAY_MS;
        }
        Ok(days)
    })
}

/// A rebuild in progress.
struct Rebuild<'a> {
    store: &'a Store,
    writer: &'a mut Writer,
    report: RebuildReport,
}

impl Rebuild<'_> {
    /// Rebuilds one day; returns its corrected row if the stored one was wrong.
    fn day(&mut self, day: &DayRow) -> Result<Option<DayRow>> {
        let at = Timestamp::from_unix_ms(day.day_ms);
        if day.pruned & pruned_flag(None) != 0 {
            self.keep_day(day)?;
            return Ok(None);
        }
        let delta = match self.store.read(|reader| aggregate_day(reader, day.day_ms)) {
            Ok(delta) => delta,
            Err(error) if error.is_damage() => {
                self.report.lost.push(format!(
                    "{at}: its requests cannot be read ({error}); its rollups are unchanged; run `chatgauge salvage`"
                ));
                self.keep_day(day)?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Some(counted) = delta.days.first().copied() else {
            if day.requests == 0 {
                // All its raw rows are after the watermark.
                return Ok(None);
            }
            self.report.lost.push(format!(
                "{at}: all of its {} requests are missing; its rollups are unchanged",
                day.requests
            ));
            self.keep_day(day)?;
            return Ok(Some(DayRow { pruned: day.pruned | pruned_flag(None), ..*day }));
        };
        self.writer.rebuild_rollups(&kept_parts(day, delta))?;
        self.report.days += 1;
        let found = DayRow {
            requests: counted.requests,
            min_started_at_ms: counted.min_started_at_ms,
            max_started_at_ms: counted.max_started_at_ms,
            ..*day
        };
        if counted.requests != day.requests {
            let (stated, found) = (day.requests, counted.requests);
            self.report
                .corrected
                .push(format!("{at}: the request count was {stated}, corrected to {found}"));
        }
        Ok((found != *day).then_some(found))
    }

    /// Keeps the readable rollups of a day.
    fn keep_day(&mut self, day: &DayRow) -> Result<()> {
        self.report.kept_days += 1;
        let (levels, writer) = (kept_levels(day), &mut *self.writer);
        let unreadable =
            self.store.read(|reader| writer.keep_rollups(reader, day.day_ms, &levels))?;
        self.report.lost.extend(unreadable.iter().map(|unreadable| {
            let at = Timestamp::from_unix_ms(unreadable.day_ms);
            let (table, minutes) = (unreadable.table, unreadable.level.minutes());
            format!(
                "{table} {minutes} min {at}: rows of {} buckets cannot be read, and their requests are pruned",
                unreadable.buckets
            )
        }));
        Ok(())
    }
}
