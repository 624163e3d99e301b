//! Rows of an answer while it is gathered: flat, with only the columns that were asked for.

use rustc_hash::FxHashMap;

use crate::model::measures::{COLUMNS, EMPTY_VALUES, add_request};
use crate::model::{Column, Distribution, LatencyKind, Measured, Measures};

/// The ids of a group, in the order of the query's dimensions; unused places are 0.
pub(super) type GroupKey = [i64; 3];

/// A row of a table: values by column, distributions by latency, if there are any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) columns: &'a [Column],
    pub(super) values: &'a [i64],
    pub(super) kinds: &'a [LatencyKind],
    pub(super) distributions: &'a [Distribution],
}

impl Row<'_> {
    /// Merges the row into `total`, its own columns only.
    pub(super) fn add_to(&self, total: &mut Measures) {
        for (column, value) in self.columns.iter().zip(self.values) {
            let slot = &mut total.values[column.index()];
            *slot = column.merge(*slot, *value);
        }
        for (kind, distribution) in self.kinds.iter().zip(self.distributions) {
            match &mut total.distributions[kind.index()] {
                Some(mine) => mine.merge(distribution),
                empty => *empty = Some(distribution.clone()),
            }
        }
    }

    /// Makes the values of `measures`, which are of no other columns, those of the row.
    pub(super) fn replace_values(&self, measures: &mut Measures) {
        for (column, value) in self.columns.iter().zip(self.values) {
            measures.values[column.index()] = *value;
        }
    }

    /// Makes `measures`, which are of no other columns and latencies, those of the row.
    pub(super) fn replace(&self, measures: &mut Measures) {
        self.replace_values(measures);
        for (kind, distribution) in self.kinds.iter().zip(self.distributions) {
            measures.distributions[kind.index()] = Some(distribution.clone());
        }
    }
}

/// Merges the values of a row into those of another of the same columns.
#[inline]
pub(super) fn merge_values(mine: &mut [i64], theirs: &[i64], columns: &[Column]) {
    for ((mine, theirs), column) in mine.iter_mut().zip(theirs).zip(columns) {
        *mine = column.merge(*mine, *theirs);
    }
}

/// Merges of the values of all columns those of a row.
fn merge_some(mine: &mut [i64], all: &[i64; COLUMNS], columns: &[Column]) {
    for (mine, column) in mine.iter_mut().zip(columns) {
        *mine = column.merge(*mine, all[column.index()]);
    }
}

/// Values by bucket and group.
#[derive(Clone, Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    kinds: Vec<LatencyKind>,
    exact: bool,
    index: FxHashMap<(u32, GroupKey), usize>,
    /// The row that was placed last: requests that follow each other are mostly of one.
    last: Option<(u32, GroupKey, usize)>,
    values: Vec<i64>,
    distributions: Vec<Distribution>,
}

impl Table {
    /// A table of `columns`, with a distribution of each of `kinds`, of exact values or as sketches.
    pub(super) fn new(columns: Vec<Column>, kinds: Vec<LatencyKind>, exact: bool) -> Self {
        Self {
            columns,
            kinds,
            exact,
            index: FxHashMap::default(),
            last: None,
            values: Vec::new(),
            distributions: Vec::new(),
        }
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(super) fn kinds(&self) -> &[LatencyKind] {
        &self.kinds
    }

    fn place(&mut self, bucket: u32, group: GroupKey) -> usize {
        if let Some((last_bucket, last_group, row)) = self.last
            && last_bucket == bucket
            && last_group == group
        {
            return row;
        }
        let next = self.index.len();
        let row = *self.index.entry((bucket, group)).or_insert(next);
        if row == next {
            self.values.extend(self.columns.iter().map(|column| column.empty()));
            let empty = || if self.exact { Distribution::exact() } else { Distribution::sketch() };
            self.distributions.extend(self.kinds.iter().map(|_| empty()));
        }
        self.last = Some((bucket, group, row));
        row
    }

    /// Adds a row of the wanted columns.
    pub(super) fn add_values(&mut self, bucket: u32, group: GroupKey, values: &[i64]) {
        let start = self.place(bucket, group) * self.columns.len();
        merge_values(&mut self.values[start..], values, &self.columns);
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
        let row = self.place(bucket, group);
        let slot = &mut self.distributions[row * self.kinds.len() + offset];
        slot.as_sketch_mut().merge_encoded(bytes).is_some()
    }

    /// Adds one request.
    pub(super) fn add_request(&mut self, bucket: u32, group: GroupKey, request: &impl Measured) {
        let row = self.place(bucket, group);
        let mine = &mut self.values[row * self.columns.len()..][..self.columns.len()];
        if let Ok(all) = mine.try_into() {
            add_request(all, request);
        } else {
            let mut all = EMPTY_VALUES;
            add_request(&mut all, request);
            merge_some(mine, &all, &self.columns);
        }
        for (offset, kind) in self.kinds.iter().enumerate() {
            if let Some(value_us) = request.latency_us(*kind) {
                self.distributions[row * self.kinds.len() + offset].add(value_us);
            }
        }
    }

    /// Adds whole measures.
    pub(super) fn add_measures(&mut self, bucket: u32, group: GroupKey, measures: &Measures) {
        let row = self.place(bucket, group);
        merge_some(&mut self.values[row * self.columns.len()..], &measures.values, &self.columns);
        for (offset, kind) in self.kinds.iter().enumerate() {
            if let Some(distribution) = &measures.distributions[kind.index()] {
                self.distributions[row * self.kinds.len() + offset].merge(distribution);
            }
        }
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.index.len()
    }

    /// Room for so many rows in all.
    pub(super) fn reserve(&mut self, rows: usize) {
        let more = rows.saturating_sub(self.index.len());
        self.index.reserve(more);
        self.values.reserve(more * self.columns.len());
    }

    /// Every row as bucket, group and position, in the order of buckets and groups.
    pub(super) fn sorted_positions(&self) -> Vec<(u32, GroupKey, usize)> {
        let rows = self.index.iter().map(|(&(bucket, group), &row)| (bucket, group, row));
        let mut rows: Vec<_> = rows.collect();
        rows.sort_unstable();
        rows
    }

    /// One row.
    pub(super) fn row(&self, row: usize) -> Row<'_> {
        Row {
            columns: &self.columns,
            values: &self.values[row * self.columns.len()..][..self.columns.len()],
            kinds: &self.kinds,
            distributions: &self.distributions[row * self.kinds.len()..][..self.kinds.len()],
        }
    }

    /// As [`Row::add_to`]; the row is left without its distributions.
    pub(super) fn move_row_to(&mut self, row: usize, total: &mut Measures) {
        Row { distributions: &[], ..self.row(row) }.add_to(total);
        let from = row * self.kinds.len();
        for (kind, mine) in self.kinds.iter().zip(&mut self.distributions[from..]) {
            let moved = std::mem::replace(mine, Distribution::sketch());
            match &mut total.distributions[kind.index()] {
                Some(sum) => sum.merge(&moved),
                empty => *empty = Some(moved),
            }
        }
    }

    /// The encoded sketches of one row, in the order of the latencies; an empty one has no bytes.
    pub(super) fn row_sketches(&mut self, row: usize) -> impl Iterator<Item = Vec<u8>> {
        let from = row * self.kinds.len();
        let distributions = &mut self.distributions[from..from + self.kinds.len()];
        distributions.iter_mut().map(|distribution| {
            let sketch = distribution.as_sketch_mut();
            if sketch.is_empty() { Vec::new() } else { sketch.encode() }
        })
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
        self.row(row).add_to(&mut measures);
        measures
    }
}
