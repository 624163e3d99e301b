//! Aggregates of raw rows for one rollup, and the tables that they go to.

use rusqlite::Statement;

use super::columns::RowCells;
use super::encoded_sketch::EncodedSketch;
use crate::model::{Grouping, Level, PackedMeasures, ROLLUPS};

/// The key of a rollup row: its bucket and the ids of the grouping's key columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollupKey {
    /// Start of the bucket, in Unix milliseconds.
    pub bucket_ms: i64,
    /// Ids in the order of [`Grouping::keys`], followed by zeros.
    pub ids: [i64; 2],
}

impl RollupKey {
    /// Reads the next cells: the bucket and `keys` ids.
    pub(super) fn read(cells: &mut RowCells<'_, '_>, keys: usize) -> rusqlite::Result<Self> {
        let mut key = Self { bucket_ms: cells.next()?, ids: [0; 2] };
        for id in key.ids.iter_mut().take(keys) {
            *id = cells.next()?;
        }
        Ok(key)
    }

    /// Binds the key of a row of `part` to the first parameters, in the order of [`key_names`].
    pub(super) fn bind(
        &self,
        statement: &mut Statement<'_>,
        part: &RollupPart,
    ) -> rusqlite::Result<()> {
        statement.raw_bind_parameter(1, part.level.minutes())?;
        statement.raw_bind_parameter(2, self.bucket_ms)?;
        for (position, id) in (3_usize..).zip(self.ids).take(part.grouping.keys().len()) {
            statement.raw_bind_parameter(position, id)?;
        }
        Ok(())
    }
}

/// The aggregates of some raw rows for one rollup at one level, in the order of the keys.
#[derive(Clone, Debug)]
pub struct RollupPart {
    /// The rollup.
    pub grouping: Grouping,
    /// The level.
    pub level: Level,
    /// Plain measures by [`Column::index`](crate::model::Column::index), packed and boxed because parts are sorted and
    /// moved.
    pub rows: Vec<(RollupKey, Box<PackedMeasures>)>,
    /// Sketches, of rollups that have them.
    pub sketches: Vec<SketchRow>,
}

impl RollupPart {
    /// A part without sketches.
    pub const fn plain(
        grouping: Grouping,
        level: Level,
        rows: Vec<(RollupKey, Box<PackedMeasures>)>,
    ) -> Self {
        Self { grouping, level, rows, sketches: Vec::new() }
    }
}

/// The sketches of one bucket and group.
#[derive(Clone, Debug)]
pub struct SketchRow {
    /// The bucket and the group.
    pub key: RollupKey,
    /// By [`LatencyKind::index`](crate::model::LatencyKind::index); `None` where no value is known.
    pub sketches: [Option<EncodedSketch>; 4],
}

/// The rollup tables, each followed by its sketch table if it has one; only those with rows of `level`, if it is given.
pub(super) fn tables_of(level: Option<Level>) -> impl DoubleEndedIterator<Item = &'static str> {
    let rollups = ROLLUPS
        .iter()
        .filter(move |rollup| level.is_none_or(|level| rollup.levels.contains(&level)));
    rollups.flat_map(|rollup| {
        let sketches = rollup.sketches.then(|| rollup.grouping.sketch_table());
        [Some(rollup.grouping.table()), sketches].into_iter().flatten()
    })
}

/// The names of the key columns of a rollup table.
pub(super) fn key_names(grouping: Grouping) -> Vec<&'static str> {
    ["level_minutes", "bucket_ms"]
        .into_iter()
        .chain(grouping.keys().iter().map(|key| key.column()))
        .collect()
}

/// The condition that finds the row of a key bound by [`RollupKey::bind`].
pub(super) fn key_condition(grouping: Grouping) -> String {
    let names = key_names(grouping).into_iter().zip(1..);
    let equals: Vec<String> = names.map(|(name, place)| format!("{name} = ?{place}")).collect();
    equals.join(" and ")
}

/// `insert ... into` a table, with a parameter for each column.
pub(super) fn insert_into(table: &str, columns: &[impl AsRef<str>], verb: &str) -> String {
    let names: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
    let places: Vec<String> = (1..=names.len()).map(|place| format!("?{place}")).collect();
    format!("{verb} into {table} ({}) values ({})", names.join(", "), places.join(", "))
}
