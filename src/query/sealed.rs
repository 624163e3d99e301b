//! A bounded cache of what past days, and parts of them, add up to.
//!
//! A dashboard asks again and again for the last 30 days, of which 29 do not change, and one by a few records. Their
//! sum is kept with the watermark of their last change; what came since is added, or all is summed anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::packed::Packed;
use super::plan::SegmentSource;
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

/// Of the sums for which others in use would have to leave, one in so many is kept.
const KEPT_OF_MANY: u64 = 8;
/// A sum is in use that was asked for within this many times the number of sums.
const USES_PER_ENTRY: u64 = 4;

/// Bytes of an entry besides its rows.
const ENTRY_BYTES: usize = 512;

/// What the sum depends on besides the rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SealedKey {
    pub(super) grouping: Grouping,
    /// Retention leaves coarser levels only, which tell another part of the range.
    pub(super) sources: Vec<SegmentSource>,
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
    /// Sums for which others in use would have had to leave.
    crowded: u64,
}

impl Entries {
    /// Whether a new sum may take the place of others. Questions that come in turn and need more than there is room for would
    /// push out each what the next one needs, and nothing would ever be found: most of them have to do without.
    fn admits(&mut self) -> bool {
        let oldest = self.by_key.values().map(|entry| entry.used).min().unwrap_or(0);
        let entries = u64::try_from(self.by_key.len()).unwrap_or(u64::MAX);
        if self.uses - oldest > USES_PER_ENTRY.saturating_mul(entries + 1) {
            return true;
        }
        self.crowded += 1;
        self.crowded.is_multiple_of(KEPT_OF_MANY)
    }

    fn remove(&mut self, key: &SealedKey) {
        if let Some(entry) = self.by_key.remove(key) {
            self.bytes -= entry.bytes;
        }
    }

    /// Makes room: what was not used for longest leaves.
    fn shrink_to(&mut self, max_bytes: usize) {
        if self.bytes <= max_bytes {
            return;
        }
        let mut uses: Vec<(u64, usize)> =
            self.by_key.values().map(|entry| (entry.used, entry.bytes)).collect();
        uses.sort_unstable();
        let mut left = self.bytes;
        let gone = uses.into_iter().take_while(|(_, bytes)| {
            let is_over = left > max_bytes;
            left -= if is_over { *bytes } else { 0 };
            is_over
        });
        let Some((last_gone, _)) = gone.last() else { return };
        self.by_key.retain(|_, entry| entry.used > last_gone);
        self.bytes = left;
    }
}

/// Sums of past days, and of parts of them; the least recently used leave first, unless all are in use.
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
    pub(super) fn put(&self, key: SealedKey, changed_seq: i64, part: Arc<Packed>) {
        let bytes = part.heap_bytes() + key.boundaries.len() * 16 + ENTRY_BYTES;
        if bytes > self.max_bytes / 2 {
            return;
        }
        let mut entries = self.lock();
        let is_new = !entries.by_key.contains_key(&key);
        if is_new && entries.bytes + bytes > self.max_bytes && !entries.admits() {
            return;
        }
        entries.remove(&key);
        entries.uses += 1;
        let used = entries.uses;
        entries.by_key.insert(key, Entry { changed_seq, part, bytes, used });
        entries.bytes += bytes;
        entries.shrink_to(self.max_bytes);
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::gathered::Gathered;
    use super::super::table::Table;
    use super::*;

    /// A sum of a thousand rows.
    fn part() -> Arc<Packed> {
        let columns = vec![Column::count(crate::model::Count::Requests)];
        let mut gathered = Gathered::new(1, Table::new(columns, Vec::new(), false));
        for id in 0..1_000 {
            gathered.table_mut().add_values(0, [id, 0, 0], &[1]);
        }
        Arc::new(Packed::of(gathered))
    }

    fn key(nth: i64) -> SealedKey {
        SealedKey {
            grouping: Grouping::User,
            sources: vec![SegmentSource::Raw],
            range: TimeRange::from_unix_ms(nth, nth + 1),
            boundaries: Vec::new(),
            dimensions: vec![Dimension::User],
            filter: ResolvedFilter::default(),
            columns: Vec::new(),
            kinds: Vec::new(),
        }
    }

    /// How many of the sums are found in one round of asking for all of them.
    fn round(cache: &SealedCache, keys: std::ops::Range<i64>) -> usize {
        keys.filter(|nth| {
            let is_found = cache.get(&key(*nth)).is_some();
            if !is_found {
                cache.put(key(*nth), 1, part());
            }
            is_found
        })
        .count()
    }

    fn room_for(sums: usize) -> SealedCache {
        SealedCache::new((part().heap_bytes() + ENTRY_BYTES) * sums)
    }

    #[test]
    fn more_sums_than_there_is_room_for_are_found_in_part() {
        let cache = room_for(20);
        let found: Vec<usize> = (0..20).map(|_| round(&cache, 0..40)).collect();
        assert!(found[10..].iter().all(|found| *found >= 10), "{found:?}");
        assert!(cache.bytes() <= cache.max_bytes);
    }

    #[test]
    fn other_sums_take_the_places_of_those_that_are_no_longer_asked_for() {
        let cache = room_for(20);
        for _ in 0..10 {
            round(&cache, 0..18);
        }
        assert_eq!(round(&cache, 0..18), 18);
        let found: Vec<usize> = (0..12).map(|_| round(&cache, 100..118)).collect();
        assert_eq!(found[11], 18, "{found:?}");
    }
}
