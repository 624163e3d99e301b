//! Recomputing rollups from raw rows: to compare, or to replace.

use rustc_hash::FxHashMap;

use super::aggregate::Aggregate;
use crate::error::Result;
use crate::model::time::DAY_MS;
use crate::model::{
    Column, Count, Grouping, LatencyKind, Level, PackedMeasures, ROLLUPS, TimeRange, Timestamp,
};
use crate::store::{
    DayRow, EncodedSketch, RawSelect, Reader, ResolvedFilter, RollupKey, RollupPart, RollupSelect,
    RowParts, SketchSelect, Store, Writer, pruned_flag,
};

/// What a comparison of rollups with raw rows found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Days compared.
    pub days: usize,
    /// Days whose raw rows are gone, so that nothing is left to compare with.
    pub skipped_days: usize,
    /// Raw rows read.
    pub rows: u64,
    /// Rollup rows compared.
    pub rollup_rows: u64,
    /// Differences, one line each.
    pub mismatches: Vec<String>,
}

/// Differences listed before the rest is only counted by its absence.
const LISTED: usize = 100;

/// Recomputes the rollups of every day that still has all its raw rows, and compares.
///
/// `progress` hears of each day before it is compared.
///
/// # Errors
/// When the file cannot be read.
pub fn check(store: &Store, progress: &mut dyn FnMut(usize, usize)) -> Result<CheckReport> {
    store.read(|reader| {
        let days = reader.days()?;
        let watermark_seq = reader.watermark_seq()?;
        let mut report = CheckReport::default();
        for (position, day) in days.iter().enumerate() {
            progress(position, days.len());
            if day.pruned & pruned_flag(None) != 0 {
                report.skipped_days += 1;
                continue;
            }
            report.days += 1;
            check_day(reader, day, watermark_seq, &mut report)?;
        }
        check_days(reader, &days, &mut report)?;
        report.mismatches.truncate(LISTED);
        Ok(report)
    })
}

/// Replaces the rollups of every day that still has all its raw rows; returns the days rebuilt.
///
/// # Errors
/// When the file cannot be read or written; days before the failure are rebuilt.
pub fn rebuild(
    store: &Store,
    writer: &mut Writer,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<usize> {
    let days = store.read(|reader| reader.days())?;
    let mut rebuilt = 0;
    for (position, day) in days.iter().enumerate() {
        progress(position, days.len());
        if day.pruned & pruned_flag(None) != 0 {
            continue;
        }
        let levels = kept_levels(day);
        let parts = store.read(|reader| {
            let watermark_seq = reader.watermark_seq()?;
            Ok(aggregate_day(reader, day, watermark_seq)?.0)
        })?;
        let parts = parts.into_iter().filter(|part| levels.contains(&part.level)).collect();
        writer.replace_rollups(day.day_ms, &levels, parts)?;
        rebuilt += 1;
    }
    Ok(rebuilt)
}

/// Every day that the rollups know must be among the days.
fn check_days(reader: &Reader<'_>, days: &[DayRow], report: &mut CheckReport) -> Result<()> {
    let filter = ResolvedFilter::default();
    let select = RollupSelect {
        grouping: Grouping::All,
        level: Level::Day,
        range: TimeRange::from_unix_ms(i64::MIN, i64::MAX),
        columns: &[Column::count(Count::Requests)],
        filter: &filter,
    };
    reader.rollup_rows(&select, |key, _| {
        if days.binary_search_by_key(&key.bucket_ms, |day| day.day_ms).is_err() {
            let at = Timestamp::from_unix_ms(key.bucket_ms);
            report.mismatches.push(format!("days {at}: missing, rollup_all has it"));
        }
    })
}

fn kept_levels(day: &DayRow) -> Vec<Level> {
    Level::ALL.into_iter().filter(|level| day.pruned & pruned_flag(Some(*level)) == 0).collect()
}

const fn range_of(day: &DayRow) -> TimeRange {
    TimeRange::from_unix_ms(day.day_ms, day.day_ms + DAY_MS)
}

fn aggregate_day(
    reader: &Reader<'_>,
    day: &DayRow,
    watermark_seq: i64,
) -> Result<(Vec<RollupPart>, u64)> {
    let mut aggregate = Aggregate::default();
    let mut rows = 0;
    let filter = ResolvedFilter::default();
    let select = RawSelect {
        range: range_of(day),
        after_seq: None,
        upto_seq: Some(watermark_seq),
        filter: &filter,
    };
    reader.raw_rows(&select, RowParts::ALL, |row| {
        aggregate.add(row);
        rows += 1;
    })?;
    Ok((aggregate.finish().parts, rows))
}

fn check_day(
    reader: &Reader<'_>,
    day: &DayRow,
    watermark_seq: i64,
    report: &mut CheckReport,
) -> Result<()> {
    let (parts, rows) = aggregate_day(reader, day, watermark_seq)?;
    report.rows += rows;
    if i64::try_from(rows).unwrap_or(i64::MAX) != day.requests {
        let at = Timestamp::from_unix_ms(day.day_ms);
        report
            .mismatches
            .push(format!("days {at}: {} requests, raw rows say {rows}", day.requests));
    }
    let levels = kept_levels(day);
    for part in parts.into_iter().filter(|part| levels.contains(&part.level)) {
        check_rows(reader, day, &part, report)?;
        check_sketches(reader, day, part, report)?;
    }
    Ok(())
}

fn check_rows(
    reader: &Reader<'_>,
    day: &DayRow,
    part: &RollupPart,
    report: &mut CheckReport,
) -> Result<()> {
    let mut expected: FxHashMap<RollupKey, &PackedMeasures> =
        part.rows.iter().map(|(key, values)| (*key, &**values)).collect();
    let columns: Vec<Column> = Column::all().collect();
    let filter = ResolvedFilter::default();
    let select = RollupSelect {
        grouping: part.grouping,
        level: part.level,
        range: range_of(day),
        columns: &columns,
        filter: &filter,
    };
    let table = part.grouping.table();
    reader.rollup_rows(&select, |key, values| {
        report.rollup_rows += 1;
        let wanted = expected.remove(&key).map(PackedMeasures::unpack);
        for column in &columns {
            let want = wanted.map(|wanted| wanted[column.index()]);
            let have = values[column.index()];
            if want != Some(have) {
                let name = column.name();
                let place = place(table, part.level, key);
                report.mismatches.push(format!("{place}: {name} is {have}, raw rows say {want:?}"));
            }
        }
    })?;
    for key in expected.into_keys() {
        report.mismatches.push(format!("{}: missing", place(table, part.level, key)));
    }
    Ok(())
}

fn check_sketches(
    reader: &Reader<'_>,
    day: &DayRow,
    part: RollupPart,
    report: &mut CheckReport,
) -> Result<()> {
    let Some(rollup) = ROLLUPS.iter().find(|rollup| rollup.grouping == part.grouping) else {
        return Ok(());
    };
    if !rollup.sketches {
        return Ok(());
    }
    let mut expected: FxHashMap<(RollupKey, LatencyKind), EncodedSketch> = FxHashMap::default();
    for row in part.sketches {
        for (kind, sketch) in LatencyKind::ALL.into_iter().zip(row.sketches) {
            expected.extend(sketch.map(|sketch| ((row.key, kind), sketch)));
        }
    }
    let filter = ResolvedFilter::default();
    let select = SketchSelect {
        grouping: part.grouping,
        level: part.level,
        range: range_of(day),
        kinds: &LatencyKind::ALL,
        filter: &filter,
    };
    let table = part.grouping.sketch_table();
    reader.sketches(&select, |key, kind, bytes| {
        report.rollup_rows += 1;
        if expected.remove(&(key, kind)).is_none_or(|sketch| sketch.bytes() != bytes) {
            let place = place(table, part.level, key);
            report.mismatches.push(format!("{place}: the {} sketch differs", kind.stem()));
        }
    })?;
    for (key, kind) in expected.into_keys() {
        let place = place(table, part.level, key);
        report.mismatches.push(format!("{place}: the {} sketch is missing", kind.stem()));
    }
    Ok(())
}

fn place(table: &str, level: Level, key: RollupKey) -> String {
    let at = Timestamp::from_unix_ms(key.bucket_ms);
    format!("{table} {} min {at} {:?}", level.minutes(), key.ids)
}
