//! A bounded cache of what past days, and parts of them, add up to.
//!
//! A dashboard asks again and again for the last 30 days, of which 29 do not change. Their sum is kept
//! with the watermark of their last change; one late record for any of them, and it is summed anew.

use std::sync::{Arc, Mutex, PoisonError};

use super::table::Packed;
use crate::model::{Column, Dimension, Grouping, LatencyKind, TimeRange, Timestamp};
use crate::store::ResolvedFilter;

/// What the sum depends on besides the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SealedKey {
    pub(super) grouping: Grouping,
    pub(super) range: TimeRange,
    /// Boundaries inside the range with the bucket that begins there.
    pub(super) boundaries: Vec<(Timestamp, u32)>,
    pub(super) dimensions: Vec<Dimension>,
    pub(super) filter: ResolvedFilter,
    pub(super) columns: Vec<Column>,
    /// Latencies with a distribution each.
    pub(super) kinds: Vec<LatencyKind>,
}

#[derive(Debug)]
struct Entry {
    key: SealedKey,
    changed_seq: i64,
    part: Arc<Packed>,
    bytes: usize,
}

/// Sums of past days, most recently used last; the least recently used leaves first.
#[derive(Debug)]
pub(super) struct SealedCache {
    entries: Mutex<Vec<Entry>>,
    max_bytes: usize,
}

impl SealedCache {
    pub(super) const fn new(max_bytes: usize) -> Self {
        Self { entries: Mutex::new(Vec::new()), max_bytes }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sum, if nothing changed since.
    pub(super) fn get(&self, key: &SealedKey, changed_seq: i64) -> Option<Arc<Packed>> {
        let mut entries = self.lock();
        let found = entries.iter().position(|entry| entry.key == *key)?;
        let entry = entries.remove(found);
        let part = (entry.changed_seq == changed_seq).then(|| Arc::clone(&entry.part));
        if part.is_some() {
            entries.push(entry);
        }
        part
    }

    /// Keeps a sum.
    pub(super) fn put(&self, key: SealedKey, changed_seq: i64, part: Packed) {
        let bytes = part.heap_bytes() + key.boundaries.len() * 16 + 512;
        if bytes > self.max_bytes / 2 {
            return;
        }
        let mut entries = self.lock();
        entries.retain(|entry| entry.key != key);
        entries.push(Entry { key, changed_seq, part: Arc::new(part), bytes });
        let mut total: usize = entries.iter().map(|entry| entry.bytes).sum();
        while total > self.max_bytes {
            total -= entries.remove(0).bytes;
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.lock().iter().map(|entry| entry.bytes).sum()
    }
}
