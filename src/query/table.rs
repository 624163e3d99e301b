//! Rows of an answer while it is gathered: flat, with only the columns that were asked for.

use rustc_hash::FxHashMap;

use crate::model::measures::{COLUMNS, add_request};
use crate::model::{Column, Distribution, LatencyKind, Measured, Measures};

/// The ids of a group, in the order of the query's dimensions; unused places are 0.
pub(super) type GroupKey = [i64; 3];

/// Values by bucket and group.
#[derive(Clone, Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    kinds: Vec<LatencyKind>,
    exact: bool,
    index: FxHashMap<(u32, GroupKey), usize>,
    values: Vec<i64>,
    distributions: Vec<Distribution>,
}

/// A table at rest: its numbers, and its sketches encoded.
#[derive(Debug)]
pub(super) struct Packed {
    table: Table,
    sketches: Vec<(u32, GroupKey, LatencyKind, Box<[u8]>)>,
}

impl Packed {
    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let index = self.table.index.capacity() * (size_of::<(u32, GroupKey)>() + 16);
        let encoded: usize = self.sketches.iter().map(|(.., bytes)| bytes.len() + 64).sum();
        self.table.values.capacity() * 8 + index + encoded
    }
}

impl Table {
    /// A table of `columns`, with a distribution of each of `kinds`, of exact values or as sketches.
    pub(super) fn new(columns: Vec<Column>, kinds: Vec<LatencyKind>, exact: bool) -> Self {
        Self {
            columns,
            kinds,
            exact,
            index: FxHashMap::default(),
            values: Vec::new(),
            distributions: Vec::new(),
        }
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn row(&mut self, bucket: u32, group: GroupKey) -> usize {
        let next = self.index.len();
        let row = *self.index.entry((bucket, group)).or_insert(next);
        if row == next {
            self.values.extend(self.columns.iter().map(|column| column.empty()));
            let empty = || if self.exact { Distribution::exact() } else { Distribution::sketch() };
            self.distributions.extend(self.kinds.iter().map(|_| empty()));
        }
        row
    }

    /// Adds a row of the wanted columns.
    pub(super) fn add_values(&mut self, bucket: u32, group: GroupKey, values: &[i64]) {
        let start = self.row(bucket, group) * self.columns.len();
        for (offset, column) in self.columns.iter().enumerate() {
            let slot = &mut self.values[start + offset];
            *slot = column.merge(*slot, values[offset]);
        }
    }

    /// Adds an encoded sketch; `false` when the bytes are damaged.
    pub(super) fn add_sketch(
        &mut self,
        bucket: u32,
        group: GroupKey,
        kind: LatencyKind,
        bytes: &[u8],
    ) -> bool {
        let Some(offset) = self.kinds.iter().position(|wanted| *wanted == kind) else {
            return true;
        };
        let row = self.row(bucket, group);
        let slot = &mut self.distributions[row * self.kinds.len() + offset];
        slot.as_sketch_mut().merge_encoded(bytes).is_some()
    }

    /// Adds one request.
    pub(super) fn add_request(&mut self, bucket: u32, group: GroupKey, request: &impl Measured) {
        let mut all = Measures::default().values;
        add_request(&mut all, request);
        self.add_all_columns(bucket, group, &all);
        let row = self.row(bucket, group);
        for (offset, kind) in self.kinds.iter().enumerate() {
            if let Some(value_us) = request.latency_us(*kind) {
                self.distributions[row * self.kinds.len() + offset].add(value_us);
            }
        }
    }

    fn add_all_columns(&mut self, bucket: u32, group: GroupKey, all: &[i64; COLUMNS]) {
        let start = self.row(bucket, group) * self.columns.len();
        for (offset, column) in self.columns.iter().enumerate() {
            let slot = &mut self.values[start + offset];
            *slot = column.merge(*slot, all[column.index()]);
        }
    }

    /// Adds whole measures.
    pub(super) fn add_measures(&mut self, bucket: u32, group: GroupKey, measures: &Measures) {
        self.add_all_columns(bucket, group, &measures.values);
        let row = self.row(bucket, group);
        for (offset, kind) in self.kinds.iter().enumerate() {
            if let Some(distribution) = &measures.distributions[kind.index()] {
                self.distributions[row * self.kinds.len() + offset].merge(distribution);
            }
        }
    }

    /// The rows in the form that caches keep, a fifth of the bytes where there are sketches.
    pub(super) fn pack(mut self) -> Packed {
        let mut sketches = Vec::new();
        if !self.kinds.is_empty() {
            for (&(bucket, group), &row) in &self.index {
                for (offset, kind) in self.kinds.iter().enumerate() {
                    let distribution = &mut self.distributions[row * self.kinds.len() + offset];
                    let sketch = distribution.as_sketch_mut();
                    if !sketch.is_empty() {
                        sketches.push((bucket, group, *kind, sketch.encode().into_boxed_slice()));
                    }
                }
            }
        }
        self.distributions = Vec::new();
        Packed { table: self, sketches }
    }

    /// Adds all rows of a packed table of the same columns and kinds.
    pub(super) fn merge(&mut self, other: &Packed) {
        let Packed { table, sketches } = other;
        if self.kinds.is_empty() && self.index.len() < table.index.len() {
            // Copying the larger table whole is several times faster than looking each of its rows up.
            let copy = Self { exact: self.exact, ..table.clone() };
            let smaller = std::mem::replace(self, copy);
            self.add_rows(&smaller);
        } else {
            self.add_rows(table);
        }
        for (bucket, group, kind, bytes) in sketches {
            // What was packed here is whole.
            self.add_sketch(*bucket, *group, *kind, bytes);
        }
    }

    /// Adds the values of all rows of a table of the same columns.
    fn add_rows(&mut self, other: &Self) {
        for (&(bucket, group), &row) in &other.index {
            let start = row * other.columns.len();
            self.add_values(bucket, group, &other.values[start..start + other.columns.len()]);
        }
    }

    /// The groups with the positions of their rows, of a table without buckets.
    pub(super) fn groups(&self) -> impl Iterator<Item = (GroupKey, usize)> {
        self.index.iter().map(|((_, group), row)| (*group, *row))
    }

    /// The value of one column of a row; what is neutral when it was not asked for.
    pub(super) fn value(&self, row: usize, column: Column) -> i64 {
        let place = self.columns.iter().position(|own| *own == column);
        place.map_or(column.empty(), |place| self.values[row * self.columns.len() + place])
    }

    /// The measures of one row.
    pub(super) fn measures(&self, row: usize) -> Measures {
        let mut measures = Measures::default();
        self.add_row_to(row, &mut measures);
        measures
    }

    /// What `read` makes of each row of a table without buckets, one after the other: there may be very many.
    pub(super) fn each<T>(
        &self,
        mut read: impl FnMut(GroupKey, usize, &mut Measures) -> T,
    ) -> Vec<T> {
        let empty = Measures::default();
        let mut measures = empty.clone();
        let groups = self.groups().map(|(key, row)| {
            measures.values = empty.values;
            let values = &self.values[row * self.columns.len()..];
            for (column, value) in self.columns.iter().zip(values) {
                measures.values[column.index()] = *value;
            }
            let distributions = &self.distributions[row * self.kinds.len()..];
            for (kind, distribution) in self.kinds.iter().zip(distributions) {
                measures.distributions[kind.index()] = Some(distribution.clone());
            }
            read(key, row, &mut measures)
        });
        groups.collect()
    }

    /// Merges one row into `total`, wanted columns only.
    pub(super) fn add_row_to(&self, row: usize, total: &mut Measures) {
        let values = &self.values[row * self.columns.len()..];
        for (column, value) in self.columns.iter().zip(values) {
            let slot = &mut total.values[column.index()];
            *slot = column.merge(*slot, *value);
        }
        let distributions = &self.distributions[row * self.kinds.len()..];
        for (kind, distribution) in self.kinds.iter().zip(distributions) {
            match &mut total.distributions[kind.index()] {
                Some(mine) => mine.merge(distribution),
                empty => *empty = Some(distribution.clone()),
            }
        }
    }

    /// Every row as bucket, group and measures.
    pub(super) fn into_rows(self) -> impl Iterator<Item = (u32, GroupKey, Measures)> {
        let (columns, kinds) = (self.columns, self.kinds);
        let (values, mut distributions) = (self.values, self.distributions);
        self.index.into_iter().map(move |((bucket, group), row)| {
            let mut measures = Measures::default();
            for (offset, column) in columns.iter().enumerate() {
                measures.values[column.index()] = values[row * columns.len() + offset];
            }
            for (offset, kind) in kinds.iter().enumerate() {
                let slot = &mut distributions[row * kinds.len() + offset];
                measures.distributions[kind.index()] =
                    Some(std::mem::replace(slot, Distribution::exact()));
            }
            (bucket, group, measures)
        })
    }
}
