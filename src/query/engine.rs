//! The engine: executes queries, each in one snapshot, with the hot cache and the cache of partial aggregates.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockWriteGuard};

use super::aggregate_cache::AggregateCache;
use super::errors_by_type::{by_error_type, expands, groups_with_errors, wanted_errors};
use super::execute::{Executed, execute};
use super::hot::{HotSlice, MetricsStore};
use super::plan::key_columns;
use super::result::build_result;
use super::types::{Query, QueryResult};
use crate::config::QueryConfig;
use crate::error::{Error, Result};
use crate::model::{Measures, TimeRange, Timestamp};
use crate::store::{RawSelect, Reader, ResolvedFilter, RowParts, Store};

/// Maximum size of the cache of partial aggregates, in bytes.
const AGGREGATE_CACHE_BYTES: usize = 8_000_000;
/// The cache of partial aggregates gets at most one in this many bytes of the configured limit for both caches.
const AGGREGATE_CACHE_SHARE: usize = 2;
/// Rows added to the hot cache under one lock, about a millisecond. Until all are added, queries read the file.
const ROWS_PER_LOCK: usize = 2_048;

/// Executes queries on one database file.
#[derive(Debug)]
pub struct Engine {
    pub(super) store: Store,
    hot: RwLock<MetricsStore>,
    catching_up: Mutex<()>,
    /// Size of the hot cache after its last change, so that the status need not wait for the lock.
    hot_bytes: AtomicUsize,
    hot_groups: AtomicUsize,
    aggregates: AggregateCache,
    pub(super) max_points: usize,
    hot_hits: AtomicU64,
    hot_misses: AtomicU64,
}

impl Engine {
    /// An engine over `store`, with an empty hot cache.
    pub fn new(store: Store, config: &QueryConfig) -> Self {
        let max_bytes = config.hot_cache_max_bytes;
        let aggregate_bytes = AGGREGATE_CACHE_BYTES.min(max_bytes / AGGREGATE_CACHE_SHARE);
        Self {
            store,
            hot: RwLock::new(MetricsStore::new(max_bytes - aggregate_bytes)),
            catching_up: Mutex::default(),
            hot_bytes: AtomicUsize::default(),
            hot_groups: AtomicUsize::default(),
            aggregates: AggregateCache::new(aggregate_bytes),
            max_points: config.max_points,
            hot_hits: AtomicU64::default(),
            hot_misses: AtomicU64::default(),
        }
    }

    /// Adds the rows that were committed since the last call to the hot cache.
    ///
    /// # Errors
    /// If the file cannot be read; the next call then rebuilds the cache.
    pub fn catch_up(&self, now: Timestamp) -> Result<()> {
        let _one_at_a_time = self.catching_up.lock().unwrap_or_else(PoisonError::into_inner);
        let caught_up = self.store.read(|reader| self.add_committed(reader, now));
        let mut hot = self.hot_mut();
        if caught_up.is_err() {
            hot.reset();
        }
        self.hot_bytes.store(hot.bytes(), Ordering::Relaxed);
        self.hot_groups.store(hot.groups(), Ordering::Relaxed);
        caught_up
    }

    /// Reads the file without the cache's lock, so that queries wait for neither a connection nor the file.
    fn add_committed(&self, reader: &Reader<'_>, now: Timestamp) -> Result<()> {
        let catch_up = self.hot_mut().begin(now);
        let last_seq = reader.last_seq()?;
        let mut rows = Vec::new();
        let select = RawSelect {
            range: TimeRange::new(catch_up.horizon, Timestamp::from_unix_ms(i64::MAX)),
            after_seq: catch_up.after_seq,
            upto_seq: None,
            filter: &ResolvedFilter::default(),
        };
        reader.raw_rows(&select, RowParts::ALL, |row| {
            rows.push(row.clone());
            if rows.len() == ROWS_PER_LOCK {
                self.hot_mut().add_rows(&catch_up, &rows);
                rows.clear();
            }
        })?;
        let mut hot = self.hot_mut();
        hot.add_rows(&catch_up, &rows);
        hot.finish(&catch_up, last_seq);
        Ok(())
    }

    fn hot_mut(&self) -> RwLockWriteGuard<'_, MetricsStore> {
        self.hot.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the hot cache and of the cached aggregates.
    pub fn cache_bytes(&self) -> usize {
        self.hot_bytes.load(Ordering::Relaxed) + self.aggregates.bytes()
    }

    /// Hits and misses of the hot cache since the start.
    pub fn hot_uses(&self) -> (u64, u64) {
        (self.hot_hits.load(Ordering::Relaxed), self.hot_misses.load(Ordering::Relaxed))
    }

    /// Number of groups in the hot cache.
    pub fn hot_groups(&self) -> usize {
        self.hot_groups.load(Ordering::Relaxed)
    }

    /// Runs a query.
    ///
    /// # Errors
    /// If the query exceeds a limit or the file cannot be read.
    pub fn query(&self, query: &Query) -> Result<QueryResult> {
        self.query_all(std::slice::from_ref(query), |_, results| {
            results.into_iter().next().ok_or(Error::Closed)
        })
    }

    /// Runs several queries in one snapshot, and passes their results to `then`, which may read on in it.
    pub(super) fn query_all<T>(
        &self,
        queries: &[Query],
        then: impl FnOnce(&Reader<'_>, Vec<QueryResult>) -> Result<T>,
    ) -> Result<T> {
        let slices: Vec<_> = queries.iter().map(|query| self.hot_slice(query)).collect();
        self.store.read(|reader| {
            let pairs = queries.iter().zip(&slices);
            let results = pairs.map(|(query, hot)| self.result(reader, query, hot.as_ref()));
            let results = results.collect::<Result<Vec<_>>>()?;
            then(reader, results)
        })
    }

    /// Executes a query in a snapshot, and passes it on to `then`, which may read on in it.
    pub(super) fn with_executed<T>(
        &self,
        query: &Query,
        then: impl FnOnce(&Reader<'_>, Executed) -> Result<T>,
    ) -> Result<T> {
        let hot = self.hot_slice(query);
        self.store.read(|reader| then(reader, self.execute(reader, query, hot.as_ref())?))
    }

    /// The result of a query in the reader's snapshot.
    pub(super) fn result(
        &self,
        reader: &Reader<'_>,
        query: &Query,
        hot: Option<&HotSlice>,
    ) -> Result<QueryResult> {
        if expands(query) {
            let groups = groups_with_errors(query);
            let executed = self.execute(reader, &groups, hot)?;
            let weight = |measures: &Measures| wanted_errors(query, measures);
            let result = build_result(reader, &groups, executed, self.max_points, weight)?;
            return Ok(by_error_type(query, result));
        }
        let executed = self.execute(reader, query, hot)?;
        build_result(reader, query, executed, self.max_points, Measures::requests)
    }

    pub(super) fn execute(
        &self,
        reader: &Reader<'_>,
        query: &Query,
        hot: Option<&HotSlice>,
    ) -> Result<Executed> {
        execute(reader, query, hot, &self.aggregates, self.max_points)
    }

    /// The part of the hot cache for a query. Called before the snapshot is opened, so that the snapshot has every row of it.
    fn hot_slice(&self, query: &Query) -> Option<HotSlice> {
        let hot = self.hot.read().unwrap_or_else(PoisonError::into_inner);
        let slice = hot.slice(query.range, &key_columns(&query.filter, &query.group_by));
        let counter = if slice.is_some() { &self.hot_hits } else { &self.hot_misses };
        counter.fetch_add(1, Ordering::Relaxed);
        slice
    }
}
