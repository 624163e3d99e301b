//! Rows of sketches: the four latencies of a bucket and group, as bytes and as plain percentiles.

use rusqlite::{Connection, Statement, Transaction};

use super::encoded_sketch::{EncodedSketch, PERCENTILES, sketch_column};
use super::rollup_part::{RollupPart, SketchRow, insert_into, key_condition, key_names};
use crate::model::{Grouping, LatencyKind, Sketch};

/// Merges the sketches of a part into the stored ones.
pub(super) fn merge_sketches(
    transaction: &Transaction<'_>,
    part: &RollupPart,
) -> rusqlite::Result<()> {
    if part.sketches.is_empty() {
        return Ok(());
    }
    // Nearly all rows are new, and then there is nothing to read first.
    let (table, names) = (part.grouping.sketch_table(), names(part.grouping));
    let insert = |verb| transaction.prepare_cached(&insert_into(table, &names, verb));
    let (mut insert, mut replace) = (insert("insert or ignore")?, insert("insert or replace")?);
    let mut select = transaction.prepare_cached(&select_sql(part.grouping))?;
    for row in &part.sketches {
        if write(&mut insert, part, row)? == 0 {
            write(&mut replace, part, &with_stored(&mut select, part, row)?)?;
        }
    }
    Ok(())
}

/// The sketches of a part merged with the stored ones, as [`merge_sketches`] would leave them.
pub(super) fn merged_sketches(
    connection: &Connection,
    part: &RollupPart,
) -> rusqlite::Result<Vec<SketchRow>> {
    if part.sketches.is_empty() {
        return Ok(Vec::new());
    }
    let mut select = connection.prepare_cached(&select_sql(part.grouping))?;
    part.sketches.iter().map(|row| with_stored(&mut select, part, row)).collect()
}

/// Writes the sketches of a part into a table with the columns of its sketches, e.g. by `insert or replace`.
pub(super) fn write_sketches(
    transaction: &Transaction<'_>,
    verb: &str,
    table: &str,
    part: &RollupPart,
) -> rusqlite::Result<()> {
    if part.sketches.is_empty() {
        return Ok(());
    }
    let sql = insert_into(table, &names(part.grouping), verb);
    let mut insert = transaction.prepare_cached(&sql)?;
    part.sketches.iter().try_for_each(|row| write(&mut insert, part, row).map(drop))
}

fn names(grouping: Grouping) -> Vec<String> {
    let mut names: Vec<String> = key_names(grouping).into_iter().map(str::to_owned).collect();
    for kind in LatencyKind::ALL {
        names.extend(PERCENTILES.map(|(name, _)| format!("{}_{name}", kind.as_str())));
        names.push(sketch_column(kind));
    }
    names
}

fn select_sql(grouping: Grouping) -> String {
    let columns = LatencyKind::ALL.map(sketch_column).join(", ");
    let (table, condition) = (grouping.sketch_table(), key_condition(grouping));
    format!("select {columns} from {table} where {condition}")
}

/// Runs an insert; 0 when the row exists and the insert leaves such rows alone.
fn write(
    insert: &mut Statement<'_>,
    part: &RollupPart,
    row: &SketchRow,
) -> rusqlite::Result<usize> {
    row.key.bind(insert, part)?;
    let mut position = 3 + part.grouping.keys().len();
    for sketch in &row.sketches {
        for at in 0..PERCENTILES.len() {
            let percentile_us = sketch.as_ref().map(|sketch| sketch.percentiles_us[at]);
            insert.raw_bind_parameter(position + at, percentile_us)?;
        }
        let bytes = sketch.as_ref().map(EncodedSketch::bytes);
        insert.raw_bind_parameter(position + PERCENTILES.len(), bytes)?;
        position += PERCENTILES.len() + 1;
    }
    insert.raw_execute()
}

/// A row merged with the stored row of the same key.
fn with_stored(
    select: &mut Statement<'_>,
    part: &RollupPart,
    row: &SketchRow,
) -> rusqlite::Result<SketchRow> {
    row.key.bind(select, part)?;
    let mut merged_row = row.clone();
    let mut rows = select.raw_query();
    let Some(stored) = rows.next()? else { return Ok(merged_row) };
    for (position, sketch) in merged_row.sketches.iter_mut().enumerate() {
        let Some(stored) = stored.get_ref(position)?.as_blob_or_null().ok().flatten() else {
            continue;
        };
        let merged = match sketch.as_ref() {
            Some(sketch) => sketch.merged_with(stored),
            None => Sketch::decode(stored).and_then(|mut sketch| EncodedSketch::of(&mut sketch)),
        };
        if merged.is_none() {
            tracing::error!(
                table = part.grouping.sketch_table(),
                bucket_ms = row.key.bucket_ms,
                "a stored sketch is damaged; run `chatgauge rebuild`"
            );
        }
        *sketch = merged.or_else(|| sketch.take());
    }
    Ok(merged_row)
}
