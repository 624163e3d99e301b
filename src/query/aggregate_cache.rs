//! A bounded cache of partial aggregates: what past days, and parts of days, contribute to a query.
//!
//! A dashboard asks for the last 30 days again and again; 29 of them do not change, and one changes by a few records.
//! Their aggregates are materialised and maintained incrementally: each is cached with the `seq` up to which it includes
//! requests, and later requests are merged when it is read. Eviction is by least recent use; an admission policy keeps
//! a cyclic working set that is larger than the cache from evicting every entry before its reuse.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::sorted_run::SortedRun;
use crate::model::{Column, Dimension, Grouping, LatencyKind, Level, TimeRange, Timestamp};
use crate::store::ResolvedFilter;

/// Number of later records up to which they are merged on each read instead of refreshing the aggregate.
const MERGE_ON_READ_MAX: i64 = 300;
/// Number of later records above which recomputing from rollups is cheaper than reading them one by one.
const REFRESH_MAX: i64 = 5_000;

/// How far a cached aggregate is behind, and so what a read does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Staleness {
    /// Nothing has changed: it is used as it is.
    Fresh,
    /// A few records arrived later: they are merged into the result.
    MergeOnRead,
    /// More records arrived later: they are merged into the aggregate, which is cached again.
    Refresh,
    /// Too many records arrived later, or raw rows were deleted: the aggregate is recomputed.
    Recompute,
}

impl Staleness {
    /// `is_pruned`: raw rows that arrived between the two watermarks may have been deleted.
    pub(super) const fn of(cached_seq: i64, changed_seq: i64, is_pruned: bool) -> Self {
        match changed_seq - cached_seq {
            0 => Self::Fresh,
            records if is_pruned || records < 0 || records > REFRESH_MAX => Self::Recompute,
            records if records > MERGE_ON_READ_MAX => Self::Refresh,
            _ => Self::MergeOnRead,
        }
    }
}

/// Under pressure, one new entry in this many is admitted.
const ADMITTED_OF: u64 = 8;
/// An entry is in use if it was read within the last `USES_PER_ENTRY * entries` reads.
const USES_PER_ENTRY: u64 = 4;

/// Estimated bytes of an entry besides its rows.
const ENTRY_BYTES: usize = 512;

/// What an aggregate depends on besides the rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct AggregateKey {
    pub(super) grouping: Grouping,
    /// The level of each segment of the range, `None` for raw rows: after retention prunes a level, a coarser one gives
    /// another aggregate.
    pub(super) levels: Vec<Option<Level>>,
    pub(super) range: TimeRange,
    /// Boundaries inside the range, each with the bucket that begins there.
    pub(super) boundaries: Vec<(Timestamp, u32)>,
    pub(super) dimensions: Vec<Dimension>,
    pub(super) filter: ResolvedFilter,
    pub(super) columns: Vec<Column>,
    /// Latencies with a distribution.
    pub(super) kinds: Vec<LatencyKind>,
}

#[derive(Debug)]
struct CachedAggregate {
    changed_seq: i64,
    aggregate: Arc<SortedRun>,
    bytes: usize,
    /// Number of the last read or write, counted over all entries.
    last_use: u64,
}

#[derive(Debug, Default)]
struct AggregateEntries {
    by_key: FxHashMap<AggregateKey, CachedAggregate>,
    bytes: usize,
    uses: u64,
    /// New entries offered while all others were in use.
    offered_under_pressure: u64,
}

impl AggregateEntries {
    /// The admission policy for a new entry that needs room. A cyclic working set larger than the cache would evict every
    /// entry before it is reused, so while all entries are in use, only one new entry in [`ADMITTED_OF`] is admitted.
    fn admits(&mut self) -> bool {
        let oldest = self.by_key.values().map(|entry| entry.last_use).min().unwrap_or(0);
        let entries = u64::try_from(self.by_key.len()).unwrap_or(u64::MAX);
        if self.uses - oldest > USES_PER_ENTRY.saturating_mul(entries + 1) {
            return true;
        }
        self.offered_under_pressure += 1;
        self.offered_under_pressure.is_multiple_of(ADMITTED_OF)
    }

    /// Evicts the least recently used entries until the limit holds.
    fn shrink_to(&mut self, max_bytes: usize) {
        if self.bytes <= max_bytes {
            return;
        }
        let mut uses: Vec<(u64, usize)> =
            self.by_key.values().map(|entry| (entry.last_use, entry.bytes)).collect();
        uses.sort_unstable();
        let mut last_evicted = 0;
        for (last_use, bytes) in uses {
            if self.bytes <= max_bytes {
                break;
            }
            self.bytes -= bytes;
            last_evicted = last_use;
        }
        self.by_key.retain(|_, entry| entry.last_use > last_evicted);
    }
}

/// Cached partial aggregates.
#[derive(Debug)]
pub(super) struct AggregateCache {
    entries: Mutex<AggregateEntries>,
    max_bytes: usize,
}

impl AggregateCache {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { entries: Mutex::default(), max_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, AggregateEntries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The aggregate, with the `seq` up to which it includes requests.
    pub(super) fn get(&self, key: &AggregateKey) -> Option<(Arc<SortedRun>, i64)> {
        let mut entries = self.lock();
        entries.uses += 1;
        let last_use = entries.uses;
        let entry = entries.by_key.get_mut(key)?;
        entry.last_use = last_use;
        Some((Arc::clone(&entry.aggregate), entry.changed_seq))
    }

    /// Caches an aggregate, unless it is larger than half of the cache or not admitted.
    pub(super) fn put(&self, key: AggregateKey, changed_seq: i64, aggregate: Arc<SortedRun>) {
        let bytes = aggregate.heap_bytes() + key.boundaries.len() * 16 + ENTRY_BYTES;
        if bytes > self.max_bytes / 2 {
            return;
        }
        let mut entries = self.lock();
        let is_new = !entries.by_key.contains_key(&key);
        if is_new && entries.bytes + bytes > self.max_bytes && !entries.admits() {
            return;
        }
        entries.uses += 1;
        let last_use = entries.uses;
        let entry = CachedAggregate { changed_seq, aggregate, bytes, last_use };
        let replaced = entries.by_key.insert(key, entry);
        entries.bytes += bytes;
        entries.bytes -= replaced.map_or(0, |replaced| replaced.bytes);
        entries.shrink_to(self.max_bytes);
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::sorted_run::RunWriter;

    /// An aggregate of a thousand rows.
    fn aggregate() -> Arc<SortedRun> {
        let mut writer = RunWriter::new(1);
        for id in 0..1_000 {
            writer.key(0, [id, 0, 0]);
            writer.value(Column::count(crate::model::Count::Requests), 1);
        }
        Arc::new(writer.finish())
    }

    fn key(nth: i64) -> AggregateKey {
        AggregateKey {
            grouping: Grouping::User,
            levels: vec![None],
            range: TimeRange::from_unix_ms(nth, nth + 1),
            boundaries: Vec::new(),
            dimensions: vec![Dimension::User],
            filter: ResolvedFilter::default(),
            columns: Vec::new(),
            kinds: Vec::new(),
        }
    }

    /// Number of cache hits in one round of reading all aggregates.
    fn round(cache: &AggregateCache, keys: std::ops::Range<i64>) -> usize {
        keys.filter(|nth| {
            let is_hit = cache.get(&key(*nth)).is_some();
            if !is_hit {
                cache.put(key(*nth), 1, aggregate());
            }
            is_hit
        })
        .count()
    }

    fn room_for(aggregates: usize) -> AggregateCache {
        AggregateCache::new((aggregate().heap_bytes() + ENTRY_BYTES) * aggregates)
    }

    #[test]
    fn a_cyclic_working_set_larger_than_the_cache_still_has_hits() {
        let cache = room_for(20);
        let hits: Vec<usize> = (0..20).map(|_| round(&cache, 0..40)).collect();
        assert!(hits[10..].iter().all(|hits| *hits >= 10), "{hits:?}");
        assert!(cache.bytes() <= cache.max_bytes);
    }

    #[test]
    fn a_new_working_set_replaces_entries_that_are_no_longer_used() {
        let cache = room_for(20);
        for _ in 0..10 {
            round(&cache, 0..18);
        }
        assert_eq!(round(&cache, 0..18), 18);
        let hits: Vec<usize> = (0..12).map(|_| round(&cache, 100..118)).collect();
        assert_eq!(hits[11], 18, "{hits:?}");
    }
}
