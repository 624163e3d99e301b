//! Recomputes the rollups of a day from its raw rows.

use super::aggregate::Aggregate;
use crate::error::Result;
use crate::model::time::DAY_MS;
use crate::model::{Level, TimeRange};
use crate::store::{
    DayRow, RawSelect, Reader, ResolvedFilter, RollupDelta, RollupPart, RowParts, pruned_flag,
};

/// The levels of a day that retention has not pruned.
pub(super) fn kept_levels(day: &DayRow) -> Vec<Level> {
    Level::ALL.into_iter().filter(|level| day.pruned & pruned_flag(Some(*level)) == 0).collect()
}

/// The parts of a day's rollups at the levels that retention has not pruned.
pub(super) fn kept_parts(day: &DayRow, delta: RollupDelta) -> Vec<RollupPart> {
    let levels = kept_levels(day);
    delta.parts.into_iter().filter(|part| levels.contains(&part.level)).collect()
}

/// The day as a time range.
pub(super) const fn range_of(day_ms: i64) -> TimeRange {
    TimeRange::from_unix_ms(day_ms, day_ms + DAY_MS)
}

/// The row of a day in `days`, if any.
pub(super) fn find_day(reader: &Reader<'_>, day_ms: i64) -> Result<Option<DayRow>> {
    let days = reader.days_in(range_of(day_ms))?;
    Ok(days.into_iter().find(|day| day.day_ms == day_ms))
}

/// Aggregates the raw rows of a day up to the watermark.
pub(super) fn aggregate_day(reader: &Reader<'_>, day_ms: i64) -> Result<RollupDelta> {
    let mut aggregate = Aggregate::default();
    let select = RawSelect {
        range: range_of(day_ms),
        after_seq: None,
        upto_seq: Some(reader.watermark_seq()?),
        filter: &ResolvedFilter::default(),
    };
    reader.raw_rows(&select, RowParts::ALL, |row| aggregate.add(row))?;
    Ok(aggregate.finish())
}
