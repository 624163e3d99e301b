//! A table at rest: what caches keep of it, in a tenth of the bytes.
//!
//! Buckets in order, each with the number of its rows; the rows in the order of the group, each its ids, its values and its
//! sketches. All are variable-length numbers (LEB128; signed ones in zigzag), buckets and ids as the step from the one
//! before. Ids that no group has are left out.

use super::gathered::Gathered;
use super::table::{GroupKey, Row, Table};
use crate::model::varint::{put_varint, read_varint};
use crate::model::{Column, LatencyKind};

/// The rows of a table.
#[derive(Debug)]
pub(super) struct Packed {
    columns: Box<[Column]>,
    kinds: Box<[LatencyKind]>,
    /// Ids of a group that are stored.
    places: usize,
    rows: usize,
    bytes: Box<[u8]>,
}

impl Packed {
    /// What was gathered, whose distributions are sketches.
    pub(super) fn of(gathered: Gathered) -> Self {
        let dimensions = gathered.dimensions();
        let columns: Box<[Column]> = gathered.columns().into();
        let kinds: Box<[LatencyKind]> = gathered.kinds().into();
        let mut writer = Writer { places: dimensions, ..Writer::default() };
        if kinds.is_empty() {
            gathered.each(|bucket, group, row| writer.row(bucket, group, row));
        } else {
            let mut table = gathered.into_table();
            for (bucket, group, row) in table.sorted_positions() {
                writer.row(bucket, group, table.row(row));
                table.row_sketches(row).for_each(|sketch| writer.sketch(&sketch));
            }
        }
        writer.end_bucket();
        let bytes = writer.bytes.into_boxed_slice();
        Self { columns, kinds, places: dimensions, rows: writer.rows, bytes }
    }

    /// Bytes on the heap.
    pub(super) const fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Number of rows.
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// Reads the rows in order.
    pub(super) fn read(&self) -> Rows<'_> {
        let reader = Reader { bytes: &self.bytes };
        let values = vec![0; self.columns.len()];
        Rows { packed: self, reader, left: 0, bucket: 0, group: GroupKey::default(), values }
    }

    /// Adds all rows to a table of the same columns and latencies.
    pub(super) fn add_to(&self, table: &mut Table) {
        table.reserve(self.rows);
        let mut rows = self.read();
        while let Some((bucket, group)) = rows.advance() {
            table.add_values(bucket, group, &rows.values);
            for kind in &self.kinds {
                let sketch = rows.reader.slice();
                if !sketch.is_empty() {
                    // What was packed here is whole.
                    table.add_sketch(bucket, group, *kind, sketch);
                }
            }
        }
    }
}

/// The rows of a sum, one after the other.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    packed: &'a Packed,
    reader: Reader<'a>,
    /// Rows of the bucket that are still to come.
    left: u64,
    bucket: u32,
    group: GroupKey,
    values: Vec<i64>,
}

impl Rows<'_> {
    /// Goes on to the next row. The sketches of a sum that has some have to be read before.
    #[inline]
    pub(super) fn advance(&mut self) -> Option<(u32, GroupKey)> {
        if self.left == 0 {
            if self.reader.bytes.is_empty() {
                return None;
            }
            self.bucket += u32::try_from(self.reader.unsigned()).unwrap_or(0);
            self.left = self.reader.unsigned();
            self.group = GroupKey::default();
        }
        self.left -= 1;
        for id in self.group.iter_mut().take(self.packed.places) {
            *id = id.wrapping_add(self.reader.signed());
        }
        for (value, column) in self.values.iter_mut().zip(&self.packed.columns) {
            *value = self.reader.signed().wrapping_add(column.empty());
        }
        Some((self.bucket, self.group))
    }

    /// The values of the row.
    pub(super) fn values(&self) -> &[i64] {
        &self.values
    }
}

#[derive(Default)]
struct Writer {
    places: usize,
    rows: usize,
    bytes: Vec<u8>,
    bucket_before: u32,
    /// The bucket that is being written, with the number of its rows and their bytes.
    bucket: u32,
    bucket_rows: u64,
    bucket_bytes: Vec<u8>,
    group: GroupKey,
}

impl Writer {
    fn row(&mut self, bucket: u32, group: GroupKey, row: Row<'_>) {
        if bucket != self.bucket {
            self.end_bucket();
            self.bucket = bucket;
        }
        self.rows += 1;
        self.bucket_rows += 1;
        let before = std::mem::replace(&mut self.group, group);
        for (id, before) in group.into_iter().zip(before).take(self.places) {
            self.signed(id.wrapping_sub(before));
        }
        for (column, value) in row.columns.iter().zip(row.values) {
            // The distance from what the column holds of nothing: 0 for an extreme that is not known.
            self.signed(value.wrapping_sub(column.empty()));
        }
    }

    fn sketch(&mut self, encoded: &[u8]) {
        put_varint(&mut self.bucket_bytes, u64::try_from(encoded.len()).unwrap_or(u64::MAX));
        self.bucket_bytes.extend_from_slice(encoded);
    }

    fn end_bucket(&mut self) {
        if self.bucket_rows > 0 {
            put_varint(&mut self.bytes, u64::from(self.bucket - self.bucket_before));
            put_varint(&mut self.bytes, self.bucket_rows);
            self.bytes.append(&mut self.bucket_bytes);
            self.bucket_before = self.bucket;
        }
        self.bucket_rows = 0;
        self.group = GroupKey::default();
    }

    fn signed(&mut self, value: i64) {
        put_varint(&mut self.bucket_bytes, ((value << 1) ^ (value >> 63)).cast_unsigned());
    }
}

#[derive(Debug)]
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// What was packed here is whole.
    #[inline]
    fn unsigned(&mut self) -> u64 {
        read_varint(&mut self.bytes).unwrap_or(0)
    }

    #[inline]
    fn signed(&mut self) -> i64 {
        let value = self.unsigned();
        (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
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

    fn sorted(table: &Table) -> Vec<(u32, GroupKey, Measures)> {
        let rows = table.sorted_positions().into_iter();
        rows.map(|(bucket, group, row)| (bucket, group, table.measures(row))).collect()
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(
            rows in prop::collection::vec(
                ((any::<u32>(), (any::<i64>(), 0..50_i64).prop_map(|(a, b)| [a, b, 0])), prop::collection::vec(any::<i64>(), 6), 0..4_u64),
                0..40,
            )
        ) {
            let new = || Gathered::new(2, Table::new(columns(), vec![LatencyKind::Total], false));
            let mut gathered = new();
            let table = gathered.table_mut();
            for ((bucket, group), values, requests) in &rows {
                table.add_values(*bucket, *group, values);
                let mut sketch = crate::model::Sketch::default();
                (0..*requests).for_each(|nth| sketch.add_bin(u16::try_from(nth * 7).unwrap()));
                if !sketch.is_empty() {
                    prop_assert!(table.add_sketch(*bucket, *group, LatencyKind::Total, &sketch.encode()));
                }
            }
            let mut back = new().into_table();
            Packed::of(gathered.clone()).add_to(&mut back);
            prop_assert_eq!(sorted(&back), sorted(&gathered.into_table()));
        }

        #[test]
        fn numbers_come_back(values in prop::collection::vec(any::<i64>(), 0..20)) {
            let mut writer = Writer::default();
            values.iter().for_each(|value| writer.signed(*value));
            let mut reader = Reader { bytes: &writer.bucket_bytes };
            let back: Vec<i64> = values.iter().map(|_| reader.signed()).collect();
            prop_assert_eq!(back, values);
        }

        #[test]
        fn sums_are_merged_as_they_are_read(
            parts in prop::collection::vec(
                prop::collection::vec((0..3_u32, 0..90_i64, -5..500_i64, any::<i32>()), 0..300),
                0..4,
            )
        ) {
            let columns = vec![Column::count(Count::Requests), Column::latency(LatencyKind::Total)[2]];
            let new = || Gathered::new(1, Table::new(columns.clone(), Vec::new(), false));
            let (mut gathered, mut whole) = (new(), new());
            for (place, rows) in parts.iter().enumerate() {
                let mut part = new();
                for (bucket, id, requests, least) in rows {
                    let values = [*requests, i64::from(*least)];
                    let tables = [&mut part, &mut whole].map(Gathered::table_mut);
                    for table in tables {
                        table.add_values(*bucket, [*id, 0, 0], &values);
                    }
                    if place == 0 {
                        gathered.table_mut().add_values(*bucket, [*id, 0, 0], &values);
                    }
                }
                if place > 0 {
                    gathered.add_part(std::sync::Arc::new(Packed::of(part)));
                }
            }
            let rows_of = |gathered: &Gathered| {
                let mut rows = Vec::new();
                gathered.each(|bucket, group, row| rows.push((bucket, group, row.values.to_vec())));
                rows
            };
            let rows = rows_of(&gathered);
            prop_assert!(rows.is_sorted_by_key(|(bucket, group, _)| (*bucket, *group)));
            prop_assert_eq!(&rows, &rows_of(&whole));
            prop_assert_eq!(sorted(&gathered.into_table()), sorted(&whole.into_table()));
        }
    }
}
