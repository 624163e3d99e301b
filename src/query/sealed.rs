//! A bounded cache of what past days, and parts of them, add up to.
//!
//! A dashboard asks again and again for the last 30 days, of which 29 do not change, and one by a few records. Their
//! sum is kept with the watermark of their last change; what came since is added, or all is summed anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::packed::Packed;
use crate::model::{Column, Dimension, Grouping, LatencyKind, TimeRange, Timestamp};
use crate::store::ResolvedFilter;

/// So many records are read whenever the sum is asked for, rather than writing it anew.
const FEW_RECORDS: i64 = 300;
/// More than so many are not read one by one.
const SOME_RECORDS: i64 = 5_000;

/// What came since a sum was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SinceSeal {
    /// It is as it was.
    Nothing,
    /// Few records, to be added to the sum each time.
    Few,
    /// Records enough to keep a new sum, of the old one and them.
    Some,
    /// So much, or who knows what, that everything is summed anew.
    Much,
}

impl SinceSeal {
    /// What came between two watermarks, where raw rows may have been deleted.
    pub(super) const fn of(known_seq: i64, changed_seq: i64, is_pruned: bool) -> Self {
        match changed_seq - known_seq {
            0 => Self::Nothing,
            records if is_pruned || records < 0 || records > SOME_RECORDS => Self::Much,
            records if records > FEW_RECORDS => Self::Some,
            _ => Self::Few,
        }
    }
}

/// Bytes of an entry besides its rows.
const ENTRY_BYTES: usize = 512;

/// What the sum depends on besides the rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    changed_seq: i64,
    part: Arc<Packed>,
    bytes: usize,
    /// Number of the use that was the last.
    used: u64,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: FxHashMap<SealedKey, Entry>,
    bytes: usize,
    uses: u64,
}

impl Entries {
    fn remove(&mut self, key: &SealedKey) {
        if let Some(entry) = self.by_key.remove(key) {
            self.bytes -= entry.bytes;
        }
    }

    /// Makes room: what was not used for longest leaves, in one go until an eighth is free.
    fn shrink_to(&mut self, max_bytes: usize) {
        if self.bytes <= max_bytes {
            return;
        }
        let mut uses: Vec<(u64, usize)> =
            self.by_key.values().map(|entry| (entry.used, entry.bytes)).collect();
        uses.sort_unstable();
        let mut left = self.bytes;
        let aim = max_bytes - max_bytes / 8;
        let gone = uses.into_iter().take_while(|(_, bytes)| {
            let is_over = left > aim;
            left -= if is_over { *bytes } else { 0 };
            is_over
        });
        let Some((last_gone, _)) = gone.last() else { return };
        self.by_key.retain(|_, entry| entry.used > last_gone);
        self.bytes = left;
    }
}

/// Sums of past days, and of parts of them; the least recently used leave first.
#[derive(Debug)]
pub(super) struct SealedCache {
    entries: Mutex<Entries>,
    max_bytes: usize,
}

impl SealedCache {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { entries: Mutex::default(), max_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sum, with the watermark of the last change that it includes.
    pub(super) fn get(&self, key: &SealedKey) -> Option<(Arc<Packed>, i64)> {
        let mut entries = self.lock();
        entries.uses += 1;
        let used = entries.uses;
        let entry = entries.by_key.get_mut(key)?;
        entry.used = used;
        Some((Arc::clone(&entry.part), entry.changed_seq))
    }

    /// Keeps a sum.
    pub(super) fn put(&self, key: SealedKey, changed_seq: i64, part: Packed) {
        let bytes = part.heap_bytes() + key.boundaries.len() * 16 + ENTRY_BYTES;
        if bytes > self.max_bytes / 2 {
            return;
        }
        let mut entries = self.lock();
        entries.remove(&key);
        entries.uses += 1;
        let used = entries.uses;
        entries.by_key.insert(key, Entry { changed_seq, part: Arc::new(part), bytes, used });
        entries.bytes += bytes;
        entries.shrink_to(self.max_bytes);
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }
}
