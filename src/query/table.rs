//! Aggregates the rows of a query by bucket and group, in only the columns and latencies that the query needs.
//!
//! A table without distributions is organised like a log-structured merge tree: new rows go to a hash table, which is
//! packed into a sorted run when it is full; cached aggregates are sorted runs as well. A k-way merge reads them all.
//! A result shows only a few of very many groups, so a hash table of all of them would waste memory. A table with
//! distributions keeps all rows in the hash table.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::sorted_run::{GroupKey, RunReader, RunWriter, SortedRun};
use crate::model::measures::{COLUMNS, EMPTY_VALUES, add_request};
use crate::model::{Column, Distribution, LatencyKind, Measured, Measures};

/// Minimum number of rows of a run that is kept as a run; the rows of a smaller one are added to the hash table.
const MIN_RUN_ROWS: usize = 64;
/// Number of rows at which the hash table of a table without distributions is packed.
const MAX_HASHED_ROWS: usize = 8_192;
/// Number of runs at which packing merges them all into one.
const MAX_RUNS: usize = 16;

/// One row of a table, passed to the reader of [`AggregateTable::each`]: the aggregate of one bucket and group.
#[derive(Debug)]
pub(super) struct AggregateRow<'a> {
    columns: &'a [Column],
    values: &'a [i64],
    kinds: &'a [LatencyKind],
    distributions: &'a mut [Distribution],
}

impl AggregateRow<'_> {
    /// Merges the row into `total`.
    pub(super) fn add_to(&self, total: &mut Measures) {
        self.add_values_to(total);
        for (kind, distribution) in self.kinds.iter().zip(&*self.distributions) {
            match &mut total.distributions[kind.index()] {
                Some(mine) => mine.merge(distribution),
                empty => *empty = Some(distribution.clone()),
            }
        }
    }

    /// Merges the row into `total`, and may take the distributions out of the table instead of copying them.
    pub(super) fn move_to(self, total: &mut Measures) {
        self.add_values_to(total);
        for (kind, distribution) in self.kinds.iter().zip(self.distributions) {
            match &mut total.distributions[kind.index()] {
                Some(mine) => mine.merge(distribution),
                empty => *empty = Some(std::mem::replace(distribution, Distribution::sketch())),
            }
        }
    }

    fn add_values_to(&self, total: &mut Measures) {
        for (column, value) in self.columns.iter().zip(self.values) {
            let mine = &mut total.values[column.index()];
            *mine = column.merge(*mine, *value);
        }
    }

    /// Overwrites the values of the table's columns in `measures`, which the caller reuses for all rows of one table.
    pub(super) fn copy_values_to(&self, measures: &mut Measures) {
        for (column, value) in self.columns.iter().zip(self.values) {
            measures.values[column.index()] = *value;
        }
    }

    /// Overwrites the values and distributions of the table's columns and latencies in `measures`, which the caller
    /// reuses for all rows of one table.
    pub(super) fn copy_to(&self, measures: &mut Measures) {
        self.copy_values_to(measures);
        for (kind, distribution) in self.kinds.iter().zip(&*self.distributions) {
            measures.distributions[kind.index()] = Some(distribution.clone());
        }
    }
}

/// Rows of values and distributions by bucket and group: a hash table, and sorted runs beside it.
#[derive(Debug)]
pub(super) struct AggregateTable {
    /// Number of dimensions of a group, which is the number of its ids in use.
    dimensions: usize,
    pub(super) columns: Vec<Column>,
    /// The values of a row without requests.
    empty: Vec<i64>,
    /// The latencies with a distribution in each row.
    pub(super) kinds: Vec<LatencyKind>,
    /// Whether the distributions keep exact values.
    exact: bool,
    /// Row number of each hashed row; `values` and `distributions` hold the rows one after another.
    index: FxHashMap<(u32, GroupKey), usize>,
    /// The hashed row of the last addition, because consecutive requests mostly belong to the same row.
    last: Option<(u32, GroupKey, usize)>,
    values: Vec<i64>,
    distributions: Vec<Distribution>,
    /// Packed rows; a key may be in several runs and in the hash table. Always empty in a table with distributions.
    runs: Vec<Arc<SortedRun>>,
}

impl AggregateTable {
    /// Creates an empty table. Its distributions keep exact values if `exact`, and are sketches otherwise.
    pub(super) fn new(
        dimensions: usize,
        columns: Vec<Column>,
        kinds: Vec<LatencyKind>,
        exact: bool,
    ) -> Self {
        Self {
            dimensions,
            empty: columns.iter().map(|column| column.empty()).collect(),
            columns,
            kinds,
            exact,
            index: FxHashMap::default(),
            last: None,
            values: Vec::new(),
            distributions: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Creates an empty table of the same dimensions, columns and latencies, whose distributions are sketches.
    pub(super) fn new_like(&self) -> Self {
        Self::new(self.dimensions, self.columns.clone(), self.kinds.clone(), false)
    }

    /// Adds a row with one value for each column of the table, in their order.
    pub(super) fn add_values(&mut self, bucket: u32, group: GroupKey, values: &[i64]) {
        let position = self.position(bucket, group);
        let mine = &mut self.values[position * self.columns.len()..];
        for ((mine, value), column) in mine.iter_mut().zip(values).zip(&self.columns) {
            *mine = column.merge(*mine, *value);
        }
    }

    /// Adds an encoded sketch, unless the table lacks its latency; returns `false` if the bytes are damaged.
    pub(super) fn add_sketch(
        &mut self,
        bucket: u32,
        group: GroupKey,
        kind: LatencyKind,
        bytes: &[u8],
    ) -> bool {
        let Some(place) = self.kinds.iter().position(|wanted| *wanted == kind) else {
            return true;
        };
        let position = self.position(bucket, group);
        let distribution = &mut self.distributions[position * self.kinds.len() + place];
        distribution.as_sketch_mut().merge_encoded(bytes).is_some()
    }

    /// Adds one request.
    pub(super) fn add_request(&mut self, bucket: u32, group: GroupKey, request: &impl Measured) {
        let position = self.position(bucket, group);
        let width = self.columns.len();
        let mine = &mut self.values[position * width..][..width];
        if let Ok(all) = mine.try_into() {
            add_request(all, request);
        } else {
            let mut all = EMPTY_VALUES;
            add_request(&mut all, request);
            merge_wanted(mine, &all, &self.columns);
        }
        let distributions = &mut self.distributions[position * self.kinds.len()..];
        for (distribution, kind) in distributions.iter_mut().zip(&self.kinds) {
            if let Some(value_us) = request.latency_us(*kind) {
                distribution.add(value_us);
            }
        }
    }

    /// Adds the table's columns and latencies of `measures`.
    pub(super) fn add_measures(&mut self, bucket: u32, group: GroupKey, measures: &Measures) {
        let position = self.position(bucket, group);
        let mine = &mut self.values[position * self.columns.len()..];
        merge_wanted(mine, &measures.values, &self.columns);
        let distributions = &mut self.distributions[position * self.kinds.len()..];
        for (mine, kind) in distributions.iter_mut().zip(&self.kinds) {
            if let Some(distribution) = &measures.distributions[kind.index()] {
                mine.merge(distribution);
            }
        }
    }

    /// Adds a run that was packed from a table of the same columns and latencies.
    pub(super) fn add_run(&mut self, run: Arc<SortedRun>) {
        if self.kinds.is_empty() && run.rows >= MIN_RUN_ROWS {
            self.runs.push(run);
            return;
        }
        let more = run.rows.saturating_sub(self.index.len());
        self.index.reserve(more);
        self.values.reserve(more * self.columns.len());
        let mut reader = run.read();
        while let Some((bucket, group)) = reader.next_key() {
            let position = self.position(bucket, group);
            let mine = &mut self.values[position * self.columns.len()..];
            merge_next(mine, &mut reader, &self.columns);
            let kinds = self.kinds.len();
            for distribution in &mut self.distributions[position * kinds..][..kinds] {
                if let Some(sketch) = reader.sketch() {
                    // Encoded in this process, so it is never damaged.
                    distribution.as_sketch_mut().merge_encoded(sketch);
                }
            }
        }
    }

    /// Packs all rows into one run; distributions become sketches.
    pub(super) fn into_run(mut self) -> SortedRun {
        let mut writer = RunWriter::new(self.dimensions);
        self.each(|bucket, group, row| {
            writer.key(bucket, group);
            for (column, value) in row.columns.iter().zip(row.values) {
                writer.value(*column, *value);
            }
            row.distributions.iter_mut().for_each(|distribution| writer.sketch(distribution));
        });
        writer.finish()
    }

    /// Passes every row to `read`, sorted by bucket and group: a k-way merge of the hash table and the runs.
    pub(super) fn each(&mut self, mut read: impl FnMut(u32, GroupKey, AggregateRow<'_>)) {
        let (columns, kinds) = (&*self.columns, &*self.kinds);
        let mut hashed: Vec<(MergeKey, usize)> = self
            .index
            .iter()
            .map(|(&(bucket, group), &position)| (MergeKey::new(bucket, group), position))
            .collect();
        hashed.sort_unstable();
        let mut hashed = hashed.into_iter().peekable();
        let mut heads: Vec<RunHead<'_>> =
            self.runs.iter().map(|run| RunHead::new(run.read())).collect();
        let mut values = self.empty.clone();
        loop {
            let mut key = hashed.peek().map_or(MergeKey::END, |(key, _)| *key);
            for head in &heads {
                if head.key.is_before(key) {
                    key = head.key;
                }
            }
            if key == MergeKey::END {
                return;
            }
            values.copy_from_slice(&self.empty);
            let mut distributions: &mut [Distribution] = &mut [];
            if let Some((_, position)) = hashed.next_if(|(hashed, _)| *hashed == key) {
                values.copy_from_slice(&self.values[position * columns.len()..][..columns.len()]);
                distributions = &mut self.distributions[position * kinds.len()..][..kinds.len()];
            }
            let mut has_ended = false;
            for head in heads.iter_mut().filter(|head| head.key == key) {
                merge_next(&mut values, &mut head.reader, columns);
                head.advance();
                has_ended |= head.key == MergeKey::END;
            }
            if has_ended {
                heads.retain(|head| head.key != MergeKey::END);
            }
            let (bucket, group) = key.bucket_and_group();
            read(bucket, group, AggregateRow { columns, values: &values, kinds, distributions });
        }
    }

    /// Returns the row number of a hashed row, and adds an empty row if it is missing. May pack the hash table first.
    fn position(&mut self, bucket: u32, group: GroupKey) -> usize {
        if let Some((last_bucket, last_group, position)) = self.last
            && last_bucket == bucket
            && last_group == group
        {
            return position;
        }
        if self.index.len() >= MAX_HASHED_ROWS && self.kinds.is_empty() {
            self.pack();
        }
        let next = self.index.len();
        let position = *self.index.entry((bucket, group)).or_insert(next);
        if position == next {
            self.values.extend_from_slice(&self.empty);
            let empty = || if self.exact { Distribution::exact() } else { Distribution::sketch() };
            self.distributions.extend(self.kinds.iter().map(|_| empty()));
        }
        self.last = Some((bucket, group, position));
        position
    }

    /// Packs the hash table into a run; with [`MAX_RUNS`] runs, merges these into it.
    fn pack(&mut self) {
        let empty = self.new_like();
        let mut full = std::mem::replace(self, empty);
        if full.runs.len() < MAX_RUNS {
            self.runs = std::mem::take(&mut full.runs);
        }
        self.runs.push(Arc::new(full.into_run()));
    }
}

/// Merges the values of all columns that exist into a row that has only `columns`.
fn merge_wanted(mine: &mut [i64], all: &[i64; COLUMNS], columns: &[Column]) {
    for (mine, column) in mine.iter_mut().zip(columns) {
        *mine = column.merge(*mine, all[column.index()]);
    }
}

/// Merges the values of a run's next row into a row of the same columns.
#[inline]
fn merge_next(mine: &mut [i64], reader: &mut RunReader<'_>, columns: &[Column]) {
    for (mine, column) in mine.iter_mut().zip(columns) {
        *mine = column.merge(*mine, reader.value(*column));
    }
}

/// The sort key of a row: its bucket and group. With at most one dimension, comparing `first` is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct MergeKey {
    /// The bucket in the upper half, the first id in the lower, with its sign bit flipped, so that negative ids come first.
    first: u128,
    second: i64,
    third: i64,
}

impl MergeKey {
    /// Sorts after the key of every row; marks the end of a run.
    const END: Self = Self { first: u128::MAX, second: 0, third: 0 };
    const SIGN: u64 = 1 << 63;

    #[inline]
    fn new(bucket: u32, [id, second, third]: GroupKey) -> Self {
        let first = (u128::from(bucket) << 64) | u128::from(id.cast_unsigned() ^ Self::SIGN);
        Self { first, second, third }
    }

    #[inline]
    fn is_before(self, other: Self) -> bool {
        self.first < other.first
            || (self.first == other.first
                && (self.second, self.third) < (other.second, other.third))
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "halves of what `new` put together")]
    const fn bucket_and_group(self) -> (u32, GroupKey) {
        let id = (self.first as u64 ^ Self::SIGN).cast_signed();
        ((self.first >> 64) as u32, [id, self.second, self.third])
    }
}

/// A run in a k-way merge, with the key of its next row, or [`MergeKey::END`].
struct RunHead<'a> {
    key: MergeKey,
    reader: RunReader<'a>,
}

impl<'a> RunHead<'a> {
    fn new(reader: RunReader<'a>) -> Self {
        let mut head = Self { key: MergeKey::END, reader };
        head.advance();
        head
    }

    #[inline]
    fn advance(&mut self) {
        let next = self.reader.next_key();
        self.key = next.map_or(MergeKey::END, |(bucket, group)| MergeKey::new(bucket, group));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::model::{Count, Sketch};

    fn rows(table: &mut AggregateTable) -> Vec<(u32, GroupKey, Measures)> {
        let mut rows = Vec::new();
        table.each(|bucket, group, row| {
            let mut measures = Measures::default();
            row.add_to(&mut measures);
            rows.push((bucket, group, measures));
        });
        rows
    }

    /// Adds enough rows for more than [`MAX_RUNS`] runs, with the same groups in many of them.
    #[test]
    fn very_many_groups_add_up_as_in_one_table() {
        let columns = vec![Column::count(Count::Requests)];
        let mut table = AggregateTable::new(1, columns, Vec::new(), false);
        let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
        let mut rng = StdRng::seed_from_u64(7);
        for _ in 0..400_000 {
            let (id, requests) = (rng.random_range(-30_000..30_000), rng.random_range(1..5));
            table.add_values(0, [id, 0, 0], &[requests]);
            *expected.entry(id).or_default() += requests;
        }
        let mut found = Vec::new();
        table.each(|_, [id, ..], row| found.push((id, row.values[0])));
        assert_eq!(found, expected.iter().map(|(id, sum)| (*id, *sum)).collect::<Vec<_>>());
        let run = table.into_run();
        assert_eq!(run.rows, expected.len());
    }

    fn columns() -> Vec<Column> {
        let latency = Column::latency(LatencyKind::Total);
        [Column::count(Count::Requests), Column::count(Count::CostNanoUsd)]
            .into_iter()
            .chain(latency)
            .collect()
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(
            added in prop::collection::vec(
                ((any::<u32>(), (any::<i64>(), 0..50_i64).prop_map(|(a, b)| [a, b, 0])), prop::collection::vec(any::<i64>(), 6), 0..4_u64),
                0..40,
            )
        ) {
            let mut table = AggregateTable::new(2, columns(), vec![LatencyKind::Total], false);
            for ((bucket, group), values, requests) in &added {
                table.add_values(*bucket, *group, values);
                let mut sketch = Sketch::default();
                (0..*requests).for_each(|nth| sketch.add_bin(u16::try_from(nth * 7).unwrap()));
                if !sketch.is_empty() {
                    prop_assert!(table.add_sketch(*bucket, *group, LatencyKind::Total, &sketch.encode()));
                }
            }
            let mut back = table.new_like();
            let expected = rows(&mut table);
            back.add_run(Arc::new(table.into_run()));
            prop_assert_eq!(rows(&mut back), expected);
        }

        #[test]
        fn runs_are_merged_as_they_are_read(
            runs in prop::collection::vec(
                prop::collection::vec((0..3_u32, 0..90_i64, -5..500_i64, any::<i32>()), 0..300),
                0..4,
            )
        ) {
            let columns = vec![Column::count(Count::Requests), Column::latency(LatencyKind::Total)[2]];
            let mut table = AggregateTable::new(1, columns, Vec::new(), false);
            let mut whole = table.new_like();
            for (place, added) in runs.iter().enumerate() {
                let mut part = table.new_like();
                for (bucket, id, requests, least) in added {
                    let values = [*requests, i64::from(*least)];
                    for table in [&mut part, &mut whole] {
                        table.add_values(*bucket, [*id, 0, 0], &values);
                    }
                    if place == 0 {
                        table.add_values(*bucket, [*id, 0, 0], &values);
                    }
                }
                if place > 0 {
                    table.add_run(Arc::new(part.into_run()));
                }
            }
            let found = rows(&mut table);
            prop_assert!(found.is_sorted_by_key(|(bucket, group, _)| (*bucket, *group)));
            prop_assert_eq!(&found, &rows(&mut whole));
            let mut back = whole.new_like();
            back.add_run(Arc::new(table.into_run()));
            prop_assert_eq!(found, rows(&mut back));
        }
    }
}
