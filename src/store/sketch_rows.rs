//! Rows of sketches: the four latencies of a bucket and group, as bytes and as plain percentiles.

use rusqlite::{CachedStatement, Connection, Transaction};

use super::rollups::{RollupKey, RollupPart, bind_key, insert_into, key_condition, key_names};
use crate::model::{Grouping, LatencyKind, Level, Sketch};

/// The percentiles that rows carry as plain numbers, with the names of their columns.
const PERCENTILES: [(&str, f64); 3] = [("p50_us", 0.50), ("p95_us", 0.95), ("p99_us", 0.99)];
/// Columns of one latency: its percentiles and its sketch.
const COLUMNS_OF_KIND: usize = PERCENTILES.len() + 1;

/// The sketches of one bucket and group.
#[derive(Clone, Debug)]
pub struct SketchRow {
    /// The bucket and the group.
    pub key: RollupKey,
    /// By [`LatencyKind::index`]; `None` where no value is known.
    pub sketches: [Option<EncodedSketch>; 4],
}

/// A sketch as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedSketch {
    percentiles_us: [i64; 3],
    bytes: Vec<u8>,
}

impl EncodedSketch {
    /// The stored form of a sketch; `None` when it is empty.
    pub fn of(sketch: &mut Sketch) -> Option<Self> {
        if sketch.is_empty() {
            return None;
        }
        // Sorts the values, which each percentile would do anew.
        let bytes = sketch.encode();
        let percentiles_us = PERCENTILES.map(|(_, q)| rounded(sketch.quantile(q)));
        Some(Self { percentiles_us, bytes })
    }

    /// The encoded sketch.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// This and a stored sketch together; `None` when one of them is damaged.
    fn merged_with(&self, stored: &[u8]) -> Option<Self> {
        let mut sketch = Sketch::decode(&self.bytes)?;
        sketch.merge_encoded(stored)?;
        Self::of(&mut sketch)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a sketch's value is far below 2^63 µs")]
fn rounded(quantile_us: Option<f64>) -> i64 {
    quantile_us.unwrap_or(0.0).round() as i64
}

/// The name of the column of a latency's sketch.
pub(super) fn sketch_column(kind: LatencyKind) -> String {
    format!("{}_sketch", kind.stem())
}

/// Adds the sketches of a part to those that are stored.
pub(super) fn merge_sketches(
    transaction: &Transaction<'_>,
    part: &RollupPart,
) -> rusqlite::Result<()> {
    if part.sketches.is_empty() {
        return Ok(());
    }
    let (grouping, level) = (part.grouping, part.level);
    // Nearly all rows are new, and then there is nothing to read first.
    let mut insert = transaction.prepare_cached(&insert_sql(grouping, "insert or ignore"))?;
    let mut select = transaction.prepare_cached(&select_sql(grouping))?;
    let mut replace = transaction.prepare_cached(&insert_sql(grouping, "insert or replace"))?;
    for row in &part.sketches {
        if store(&mut insert, grouping, level, row)? == 0 {
            let together = with_stored(&mut select, grouping, level, row)?;
            store(&mut replace, grouping, level, &together)?;
        }
    }
    Ok(())
}

/// The sketches of a part with those that are stored, as [`merge_sketches`] would leave them.
pub(super) fn merged_sketches(
    connection: &Connection,
    part: &RollupPart,
) -> rusqlite::Result<Vec<SketchRow>> {
    if part.sketches.is_empty() {
        return Ok(Vec::new());
    }
    let mut select = connection.prepare_cached(&select_sql(part.grouping))?;
    let merged = part.sketches.iter();
    merged.map(|row| with_stored(&mut select, part.grouping, part.level, row)).collect()
}

/// Writes the sketches that were merged beforehand.
pub(super) fn replace_sketches(
    transaction: &Transaction<'_>,
    part: &RollupPart,
) -> rusqlite::Result<()> {
    if part.foreseen_sketches.is_empty() {
        return Ok(());
    }
    let sql = insert_sql(part.grouping, "insert or replace");
    let mut replace = transaction.prepare_cached(&sql)?;
    for row in &part.foreseen_sketches {
        store(&mut replace, part.grouping, part.level, row)?;
    }
    Ok(())
}

/// Writes the sketches of a part into a table of the same columns.
pub(super) fn write_sketches_into(
    transaction: &Transaction<'_>,
    table: &str,
    part: &RollupPart,
) -> rusqlite::Result<()> {
    let mut insert =
        transaction.prepare_cached(&insert_into(table, &names(part.grouping), "insert"))?;
    for row in &part.sketches {
        store(&mut insert, part.grouping, part.level, row)?;
    }
    Ok(())
}

fn insert_sql(grouping: Grouping, verb: &str) -> String {
    insert_into(grouping.sketch_table(), &names(grouping), verb)
}

fn names(grouping: Grouping) -> Vec<String> {
    let mut names: Vec<String> = key_names(grouping).into_iter().map(str::to_owned).collect();
    for kind in LatencyKind::ALL {
        names.extend(PERCENTILES.map(|(name, _)| format!("{}_{name}", kind.stem())));
        names.push(sketch_column(kind));
    }
    names
}

fn select_sql(grouping: Grouping) -> String {
    let columns = LatencyKind::ALL.map(sketch_column);
    format!(
        "select {} from {} where {}",
        columns.join(", "),
        grouping.sketch_table(),
        key_condition(grouping)
    )
}

/// Runs an insert; 0 when the row was there and the insert leaves such rows alone.
fn store(
    insert: &mut CachedStatement<'_>,
    grouping: Grouping,
    level: Level,
    row: &SketchRow,
) -> rusqlite::Result<usize> {
    let keys = grouping.keys().len();
    bind_key(insert, level, &row.key, keys)?;
    for (position, sketch) in row.sketches.iter().enumerate() {
        let first = 3 + keys + position * COLUMNS_OF_KIND;
        for offset in 0..PERCENTILES.len() {
            let percentile_us = sketch.as_ref().map(|sketch| sketch.percentiles_us[offset]);
            insert.raw_bind_parameter(first + offset, percentile_us)?;
        }
        let bytes = sketch.as_ref().map(EncodedSketch::bytes);
        insert.raw_bind_parameter(first + PERCENTILES.len(), bytes)?;
    }
    insert.raw_execute()
}

/// A row and the stored row of the same key together.
fn with_stored(
    select: &mut CachedStatement<'_>,
    grouping: Grouping,
    level: Level,
    row: &SketchRow,
) -> rusqlite::Result<SketchRow> {
    bind_key(select, level, &row.key, grouping.keys().len())?;
    let mut together = row.clone();
    let mut rows = select.raw_query();
    let Some(stored) = rows.next()? else { return Ok(together) };
    for (position, sketch) in together.sketches.iter_mut().enumerate() {
        let Some(stored) = stored.get_ref(position)?.as_blob_or_null().ok().flatten() else {
            continue;
        };
        let merged = match sketch.as_ref() {
            Some(sketch) => sketch.merged_with(stored),
            None => Sketch::decode(stored).and_then(|mut sketch| EncodedSketch::of(&mut sketch)),
        };
        if merged.is_none() {
            tracing::error!(
                table = grouping.sketch_table(),
                bucket_ms = row.key.bucket_ms,
                "a stored sketch is damaged; run `chatgauge rebuild`"
            );
        }
        *sketch = merged.or_else(|| sketch.take());
    }
    Ok(together)
}
