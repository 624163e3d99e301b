//! Sorted runs: the rows of an [`AggregateTable`](super::table::AggregateTable) at rest, in a tenth of the memory.
//!
//! Caches hold thousands of partial aggregates and read each from its start to its end, so a run has no index. Its rows are
//! sorted by bucket and group: each bucket as its number and the number of its rows; each row as the ids of its group, its
//! values and its encoded sketches. All are variable-length integers (LEB128, signed ones in zigzag); buckets and ids are
//! the difference from the previous ones.

use crate::model::varint::{put_varint, read_varint};
use crate::model::{Column, Distribution};

/// The ids of a group, in the order of the query's dimensions; unused ids are 0.
pub(super) type GroupKey = [i64; 3];

/// Packed rows, sorted by bucket and group.
#[derive(Debug)]
pub(super) struct SortedRun {
    /// Number of dimensions; only as many ids of each group are stored.
    dimensions: usize,
    /// Number of rows.
    pub(super) rows: usize,
    bytes: Box<[u8]>,
}

impl SortedRun {
    /// Bytes on the heap.
    pub(super) const fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// A reader before the first row.
    pub(super) fn read(&self) -> RunReader<'_> {
        let (dimensions, bytes) = (self.dimensions, &*self.bytes);
        RunReader { dimensions, bytes, rows_left: 0, bucket: 0, group: [0; 3] }
    }
}

/// Reads a run. Of each row, its key comes first, then every value, then every sketch.
#[derive(Debug)]
pub(super) struct RunReader<'a> {
    dimensions: usize,
    bytes: &'a [u8],
    /// Unread rows of the bucket.
    rows_left: u64,
    bucket: u32,
    group: GroupKey,
}

impl<'a> RunReader<'a> {
    /// The bucket and the group of the next row; `None` after the last one.
    #[inline]
    pub(super) fn next_key(&mut self) -> Option<(u32, GroupKey)> {
        if self.rows_left == 0 {
            if self.bytes.is_empty() {
                return None;
            }
            self.bucket += u32::try_from(self.unsigned()).unwrap_or(0);
            self.rows_left = self.unsigned();
            self.group = GroupKey::default();
        }
        self.rows_left -= 1;
        let mut group = self.group;
        for id in group.iter_mut().take(self.dimensions) {
            *id = id.wrapping_add(self.signed());
        }
        self.group = group;
        Some((self.bucket, group))
    }

    /// The value of the next column.
    #[inline]
    pub(super) fn value(&mut self, column: Column) -> i64 {
        self.signed().wrapping_add(column.empty())
    }

    /// The next encoded sketch; `None` if it has no values.
    pub(super) fn sketch(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.unsigned()).unwrap_or(usize::MAX);
        let (sketch, rest) = self.bytes.split_at(length.min(self.bytes.len()));
        self.bytes = rest;
        (!sketch.is_empty()).then_some(sketch)
    }

    #[inline]
    fn unsigned(&mut self) -> u64 {
        // Runs are written in this process, so they are never damaged.
        read_varint(&mut self.bytes).unwrap_or(0)
    }

    #[inline]
    fn signed(&mut self) -> i64 {
        let value = self.unsigned();
        (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
    }
}

/// Writes a run. Rows come in order, each as its key, then every value, then every sketch.
#[derive(Default)]
pub(super) struct RunWriter {
    dimensions: usize,
    rows: usize,
    bytes: Vec<u8>,
    last_bucket: u32,
    /// The bucket being written, its number of rows and their bytes.
    bucket: u32,
    bucket_rows: u64,
    bucket_bytes: Vec<u8>,
    group: GroupKey,
}

impl RunWriter {
    pub(super) fn new(dimensions: usize) -> Self {
        Self { dimensions, ..Self::default() }
    }

    pub(super) fn key(&mut self, bucket: u32, group: GroupKey) {
        if bucket != self.bucket {
            self.end_bucket();
            self.bucket = bucket;
        }
        self.rows += 1;
        self.bucket_rows += 1;
        let last = std::mem::replace(&mut self.group, group);
        for (id, last) in group.into_iter().zip(last).take(self.dimensions) {
            self.signed(id.wrapping_sub(last));
        }
    }

    pub(super) fn value(&mut self, column: Column, value: i64) {
        // The distance from the empty value, so that an unknown minimum or maximum takes one byte.
        self.signed(value.wrapping_sub(column.empty()));
    }

    /// Writes a distribution as a sketch.
    pub(super) fn sketch(&mut self, distribution: &mut Distribution) {
        let sketch = distribution.as_sketch_mut();
        let encoded = if sketch.is_empty() { Vec::new() } else { sketch.encode() };
        put_varint(&mut self.bucket_bytes, u64::try_from(encoded.len()).unwrap_or(u64::MAX));
        self.bucket_bytes.extend_from_slice(&encoded);
    }

    pub(super) fn finish(mut self) -> SortedRun {
        self.end_bucket();
        let Self { dimensions, rows, bytes, .. } = self;
        SortedRun { dimensions, rows, bytes: bytes.into_boxed_slice() }
    }

    fn end_bucket(&mut self) {
        if self.bucket_rows > 0 {
            put_varint(&mut self.bytes, u64::from(self.bucket - self.last_bucket));
            put_varint(&mut self.bytes, self.bucket_rows);
            self.bytes.append(&mut self.bucket_bytes);
            self.last_bucket = self.bucket;
        }
        self.bucket_rows = 0;
        self.group = GroupKey::default();
    }

    fn signed(&mut self, value: i64) {
        put_varint(&mut self.bucket_bytes, ((value << 1) ^ (value >> 63)).cast_unsigned());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(values in prop::collection::vec(any::<i64>(), 0..20)) {
            let mut writer = RunWriter::default();
            writer.key(0, GroupKey::default());
            values.iter().for_each(|value| writer.signed(*value));
            let run = writer.finish();
            let mut reader = run.read();
            prop_assert_eq!(reader.next_key(), Some((0, GroupKey::default())));
            let back: Vec<i64> = values.iter().map(|_| reader.signed()).collect();
            prop_assert_eq!(back, values);
            prop_assert_eq!(reader.next_key(), None);
        }
    }
}
