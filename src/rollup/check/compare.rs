//! Compares the stored rollups of a day with those recomputed from its requests, by merging two
//! sorted sequences.

use super::super::recompute::range_of;
use super::CheckReport;
use crate::error::Result;
use crate::model::{Column, LatencyKind, Level, Timestamp};
use crate::store::{
    EncodedSketch, Reader, ResolvedFilter, RollupKey, RollupPart, RollupSelect, SketchRow,
    SketchSelect,
};

/// Compares the rows and the sketches of one rollup at one level.
pub(super) fn compare_part(
    reader: &Reader<'_>,
    day_ms: i64,
    part: &RollupPart,
    report: &mut CheckReport,
) -> Result<()> {
    compare_rows(reader, day_ms, part, report)?;
    if part.grouping.rollup().sketches {
        compare_sketches(reader, day_ms, part, report)?;
    }
    Ok(())
}

fn compare_rows(
    reader: &Reader<'_>,
    day_ms: i64,
    part: &RollupPart,
    report: &mut CheckReport,
) -> Result<()> {
    let columns: Vec<Column> = Column::all().collect();
    let select = RollupSelect {
        grouping: part.grouping,
        level: part.level,
        range: range_of(day_ms),
        columns: &columns,
        filter: &ResolvedFilter::default(),
    };
    let location = |key: RollupKey| location(part.grouping.table(), part.level, key);
    let mut expected = part.rows.iter().peekable();
    reader.rollup_rows(&select, |key, values| {
        report.rollup_rows += 1;
        while let Some((missing, _)) = expected.next_if(|(wanted, _)| *wanted < key) {
            report.differs(format_args!("{}: missing", location(*missing)));
        }
        let wanted = expected.next_if(|(wanted, _)| *wanted == key);
        let wanted = wanted.map(|(_, values)| values.unpack());
        if wanted.as_ref().is_some_and(|wanted| wanted[..] == *values) {
            return;
        }
        for column in &columns {
            let want = wanted.map(|wanted| wanted[column.index()]);
            let have = values[column.index()];
            if want != Some(have) {
                let (at, name) = (location(key), column.name());
                let want = want.map_or_else(|| "no row".to_owned(), |want| want.to_string());
                report.differs(format_args!("{at}: {name} is {have}, recomputed: {want}"));
            }
        }
    })?;
    for (key, _) in expected {
        report.differs(format_args!("{}: missing", location(*key)));
    }
    Ok(())
}

fn compare_sketches(
    reader: &Reader<'_>,
    day_ms: i64,
    part: &RollupPart,
    report: &mut CheckReport,
) -> Result<()> {
    let select = SketchSelect {
        grouping: part.grouping,
        level: part.level,
        range: range_of(day_ms),
        columns: &LatencyKind::ALL,
        filter: &ResolvedFilter::default(),
    };
    let table = part.grouping.sketch_table();
    let mut expected = sketches(&part.sketches).peekable();
    let differs = |report: &mut CheckReport, (key, kind): (RollupKey, LatencyKind), how: &str| {
        let (at, kind) = (location(table, part.level, key), kind.as_str());
        report.differs(format_args!("{at}: the {kind} sketch {how}"));
    };
    reader.sketches(&select, |key, kind, bytes| {
        report.rollup_rows += 1;
        let at = (key, kind);
        while let Some((missing, _)) = expected.next_if(|(wanted, _)| *wanted < at) {
            differs(report, missing, "is missing");
        }
        let wanted = expected.next_if(|(wanted, _)| *wanted == at);
        if wanted.is_none_or(|(_, sketch)| sketch.bytes() != bytes) {
            differs(report, at, "differs");
        }
    })?;
    expected.for_each(|(missing, _)| differs(report, missing, "is missing"));
    Ok(())
}

/// Non-empty sketches in storage order.
fn sketches(
    rows: &[SketchRow],
) -> impl Iterator<Item = ((RollupKey, LatencyKind), &EncodedSketch)> {
    rows.iter().flat_map(|row| {
        let kinds = LatencyKind::ALL.into_iter().zip(&row.sketches);
        kinds.filter_map(|(kind, sketch)| Some(((row.key, kind), sketch.as_ref()?)))
    })
}

fn location(table: &str, level: Level, key: RollupKey) -> String {
    let at = Timestamp::from_unix_ms(key.bucket_ms);
    format!("{table} {} min {at} {:?}", level.minutes(), key.ids)
}
