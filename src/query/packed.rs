//! A table at rest: what caches keep of it, in a tenth of the bytes.
//!
//! Rows in the order of bucket and group; each is its bucket, its ids, its values and its sketches, as variable-length
//! numbers (LEB128; signed ones in zigzag) and, for buckets and ids, as the step from the row before.

use super::table::{GroupKey, Table};
use crate::model::varint::{put_varint, read_varint};
use crate::model::{Column, LatencyKind};

/// The rows of a table.
#[derive(Debug)]
pub(super) struct Packed {
    bytes: Box<[u8]>,
    rows: usize,
}

impl Packed {
    /// The rows of `table`, whose distributions are sketches.
    pub(super) fn of(mut table: Table) -> Self {
        let mut rows: Vec<(u32, GroupKey, usize)> = table.positions().collect();
        rows.sort_unstable();
        let mut writer = Writer::default();
        for (bucket, group, row) in &rows {
            writer.key(*bucket, *group);
            for (column, value) in table.row_values(*row) {
                writer.value(column, value);
            }
            for sketch in table.row_sketches(*row) {
                writer.unsigned(u64::try_from(sketch.len()).unwrap_or(u64::MAX));
                writer.bytes.extend_from_slice(&sketch);
            }
        }
        Self { bytes: writer.bytes.into_boxed_slice(), rows: rows.len() }
    }

    /// Bytes on the heap.
    pub(super) const fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds all rows to a table of the same columns and latencies.
    pub(super) fn add_to(&self, table: &mut Table) {
        let columns: Vec<Column> = table.columns().to_vec();
        let kinds: Vec<LatencyKind> = table.kinds().to_vec();
        let mut values = vec![0; columns.len()];
        table.reserve(self.rows);
        let mut reader = Reader { bytes: &self.bytes, bucket: 0, group: GroupKey::default() };
        for _ in 0..self.rows {
            let (bucket, group) = reader.key();
            for (value, column) in values.iter_mut().zip(&columns) {
                *value = reader.value(*column);
            }
            table.add_values(bucket, group, &values);
            for kind in &kinds {
                let sketch = reader.slice();
                if !sketch.is_empty() {
                    // What was packed here is whole.
                    table.add_sketch(bucket, group, *kind, sketch);
                }
            }
        }
    }
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    bucket: u32,
    group: GroupKey,
}

impl Writer {
    fn unsigned(&mut self, value: u64) {
        put_varint(&mut self.bytes, value);
    }

    fn signed(&mut self, value: i64) {
        self.unsigned(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    fn key(&mut self, bucket: u32, group: GroupKey) {
        self.unsigned(u64::from(bucket - self.bucket));
        for (id, before) in group.into_iter().zip(self.group) {
            self.signed(id.wrapping_sub(before));
        }
        (self.bucket, self.group) = (bucket, group);
    }

    /// The distance from what the column holds of nothing: 0 for an extreme that is not known.
    fn value(&mut self, column: Column, value: i64) {
        self.signed(value.wrapping_sub(column.empty()));
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    bucket: u32,
    group: GroupKey,
}

impl<'a> Reader<'a> {
    /// What was packed here is whole.
    fn unsigned(&mut self) -> u64 {
        read_varint(&mut self.bytes).unwrap_or(0)
    }

    fn signed(&mut self) -> i64 {
        let value = self.unsigned();
        (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
    }

    fn key(&mut self) -> (u32, GroupKey) {
        self.bucket += u32::try_from(self.unsigned()).unwrap_or(0);
        for place in 0..self.group.len() {
            self.group[place] = self.group[place].wrapping_add(self.signed());
        }
        (self.bucket, self.group)
    }

    fn value(&mut self, column: Column) -> i64 {
        self.signed().wrapping_add(column.empty())
    }

    fn slice(&mut self) -> &'a [u8] {
        let length = usize::try_from(self.unsigned()).unwrap_or(usize::MAX);
        let (slice, rest) = self.bytes.split_at(length.min(self.bytes.len()));
        self.bytes = rest;
        slice
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Count, Measures};

    fn columns() -> Vec<Column> {
        let latency = Column::latency(LatencyKind::Total);
        [Column::count(Count::Requests), Column::count(Count::CostNanoUsd)]
            .into_iter()
            .chain(latency)
            .collect()
    }

    fn sorted(table: Table) -> Vec<(u32, GroupKey, Measures)> {
        let mut rows: Vec<_> = table.into_rows().collect();
        rows.sort_by_key(|(bucket, group, _)| (*bucket, *group));
        rows
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(
            rows in prop::collection::vec(
                ((any::<u32>(), (any::<i64>(), 0..50_i64).prop_map(|(a, b)| [a, b, 0])), prop::collection::vec(any::<i64>(), 6), 0..4_u64),
                0..40,
            )
        ) {
            let new = || Table::new(columns(), vec![LatencyKind::Total], false);
            let mut table = new();
            for ((bucket, group), values, requests) in &rows {
                table.add_values(*bucket, *group, values);
                let mut sketch = crate::model::Sketch::default();
                (0..*requests).for_each(|nth| sketch.add_bin(u16::try_from(nth * 7).unwrap()));
                if !sketch.is_empty() {
                    prop_assert!(table.add_sketch(*bucket, *group, LatencyKind::Total, &sketch.encode()));
                }
            }
            let mut back = new();
            Packed::of(table.clone()).add_to(&mut back);
            prop_assert_eq!(sorted(back), sorted(table));
        }

        #[test]
        fn numbers_come_back(values in prop::collection::vec(any::<i64>(), 0..20)) {
            let mut writer = Writer::default();
            values.iter().for_each(|value| writer.signed(*value));
            let mut reader = Reader { bytes: &writer.bytes, bucket: 0, group: GroupKey::default() };
            let back: Vec<i64> = values.iter().map(|_| reader.signed()).collect();
            prop_assert_eq!(back, values);
        }
    }
}
