//! The engine: one snapshot per question.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockWriteGuard};

use super::answer::{answer, group_names};
use super::errors_by_type::{by_error_type, expands, groups_with_errors, wanted_errors};
use super::execute::{Executed, execute};
use super::hot::{HotSlice, MetricsStore};
use super::plan::key_columns;
use super::sealed::SealedCache;
use super::table::GroupKey;
use super::types::{Answer, Query, RequestsPage, RequestsQuery, StoredRequest, Tail};
use crate::config::QueryConfig;
use crate::error::{Error, Result};
use crate::model::{
    Dimension, Filter, KeyColumn, Measures, RequestId, RequestRecord, TimeRange, Timestamp,
};
use crate::store::{
    NameCache, PageCursor, PageSelect, RawSelect, Reader, ResolvedFilter, RowParts, Store,
};

/// Most bytes that sums of past days may take.
const SEALED_CACHE_BYTES: usize = 8_000_000;
/// The part of the caches' bytes that sums of past days may take: one in this many.
const SEALED_SHARE: usize = 2;
/// Rows added to the hot cache under one lock, about a millisecond. While more are to come, queries read the file.
const ROWS_PER_LOCK: usize = 2_048;
/// Most requests of one page.
pub const MAX_PAGE: usize = 1_000;

/// Answers questions about one database file.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    hot: RwLock<MetricsStore>,
    catching_up: Mutex<()>,
    /// Size of the hot cache after its last change: whoever asks for the status must not wait while it reads.
    hot_bytes: AtomicUsize,
    hot_groups: AtomicUsize,
    sealed: SealedCache,
    pub(super) max_points: usize,
    hot_hits: AtomicU64,
    hot_misses: AtomicU64,
}

impl Engine {
    /// An engine over `store`, with an empty hot cache.
    pub fn new(store: Store, config: &QueryConfig) -> Self {
        // Both together stay within the configured limit.
        let max_bytes = config.hot_cache_max_bytes;
        let sealed_bytes = SEALED_CACHE_BYTES.min(max_bytes / SEALED_SHARE);
        Self {
            store,
            hot: RwLock::new(MetricsStore::new(max_bytes - sealed_bytes)),
            catching_up: Mutex::new(()),
            hot_bytes: AtomicUsize::new(0),
            hot_groups: AtomicUsize::new(0),
            sealed: SealedCache::new(sealed_bytes),
            max_points: config.max_points,
            hot_hits: AtomicU64::new(0),
            hot_misses: AtomicU64::new(0),
        }
    }

    /// Adds what was committed since to the hot cache.
    ///
    /// # Errors
    /// When the file cannot be read; the cache is rebuilt later then.
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

    /// Reads without the lock of the cache, so that queries wait for neither a connection nor the file.
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

    /// Bytes of the hot cache and of the sums of past days.
    pub fn cache_bytes(&self) -> usize {
        self.hot_bytes.load(Ordering::Relaxed) + self.sealed.bytes()
    }

    /// Answers a query.
    ///
    /// # Errors
    /// When the query asks for too much or the file cannot be read.
    pub fn query(&self, query: &Query) -> Result<Answer> {
        let mut answers = self.query_all(std::slice::from_ref(query))?;
        answers.pop().ok_or(Error::Closed)
    }

    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    /// Several queries answered from one snapshot.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn query_all(&self, queries: &[Query]) -> Result<Vec<Answer>> {
        self.snapshot(queries, |_, answers| Ok(answers))
    }

    /// Answers several queries from one snapshot and goes on in it.
    pub(super) fn snapshot<T>(
        &self,
        queries: &[Query],
        then: impl FnOnce(&Reader<'_>, Vec<Answer>) -> Result<T>,
    ) -> Result<T> {
        let slices: Vec<_> = queries.iter().map(|query| self.hot_slice(query)).collect();
        self.store.read(|reader| {
            let pairs = queries.iter().zip(&slices);
            let answers = pairs.map(|(query, hot)| self.answer(reader, query, hot.as_ref()));
            let answers = answers.collect::<Result<Vec<_>>>()?;
            then(reader, answers)
        })
    }

    pub(super) fn answer(
        &self,
        reader: &Reader<'_>,
        query: &Query,
        hot: Option<&HotSlice>,
    ) -> Result<Answer> {
        if expands(query) {
            let groups = groups_with_errors(query);
            let executed = self.execute(reader, &groups, hot)?;
            let weight = |measures: &Measures| wanted_errors(query, measures);
            let answer = answer(reader, &groups, executed, self.max_points, &weight)?;
            return Ok(by_error_type(query, answer));
        }
        let executed = self.execute(reader, query, hot)?;
        answer(reader, query, executed, self.max_points, &Measures::requests)
    }

    /// Executes a query and names the groups that `pick` chooses, in its order.
    pub(super) fn pick_groups<T>(
        &self,
        query: &Query,
        pick: impl FnOnce(Executed) -> (T, Vec<GroupKey>),
    ) -> Result<(T, Vec<Vec<String>>)> {
        self.with_snapshot(query, |reader, executed| {
            let (picked, keys) = pick(executed);
            Ok((picked, group_names(reader, &query.group_by, &keys)?))
        })
    }

    pub(super) fn with_snapshot<T>(
        &self,
        query: &Query,
        then: impl FnOnce(&Reader<'_>, Executed) -> Result<T>,
    ) -> Result<T> {
        let hot = self.hot_slice(query);
        self.store.read(|reader| {
            let executed = self.execute(reader, query, hot.as_ref())?;
            then(reader, executed)
        })
    }

    pub(super) fn execute(
        &self,
        reader: &Reader<'_>,
        query: &Query,
        hot: Option<&HotSlice>,
    ) -> Result<Executed> {
        execute(reader, query, hot, &self.sealed, self.max_points)
    }

    /// Taken before the snapshot, so that the snapshot has every row of the slice.
    fn hot_slice(&self, query: &Query) -> Option<HotSlice> {
        let hot = self.hot.read().unwrap_or_else(PoisonError::into_inner);
        let slice = hot.slice(query.range, &keys_of(query));
        let counter = if slice.is_some() { &self.hot_hits } else { &self.hot_misses };
        counter.fetch_add(1, Ordering::Relaxed);
        slice
    }

    /// Queries that the hot cache could help with, and the others, since the start.
    pub fn hot_uses(&self) -> (u64, u64) {
        (self.hot_hits.load(Ordering::Relaxed), self.hot_misses.load(Ordering::Relaxed))
    }

    /// Groups in the hot cache.
    pub fn hot_groups(&self) -> usize {
        self.hot_groups.load(Ordering::Relaxed)
    }

    /// A page of stored requests, newest first.
    ///
    /// Of a filter that few requests match, many are looked at; now and then `stop` is asked whether to end the page where
    /// it is.
    ///
    /// # Errors
    /// When the page is too large or the file cannot be read.
    pub fn requests(
        &self,
        query: &RequestsQuery,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<RequestsPage> {
        if query.limit == 0 || query.limit > MAX_PAGE {
            return Err(Error::invalid_query("limit", format!("must be 1 to {MAX_PAGE}")));
        }
        let mut requests = Vec::new();
        let each = |seq, record| requests.push(StoredRequest { seq, record });
        let next_cursor = self.stored(query, None, &mut NameCache::default(), stop, each)?;
        Ok(RequestsPage { requests, next_cursor })
    }

    /// Hands the requests of a page of any size to `each`, newest first, and gives where the next page begins.
    ///
    /// `upto_seq`: requests that arrived later are left out. `names` may be kept from page to page. `stop` as in
    /// [`requests`](Self::requests).
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn stored(
        &self,
        query: &RequestsQuery,
        upto_seq: Option<i64>,
        names: &mut NameCache,
        stop: &mut dyn FnMut() -> bool,
        mut each: impl FnMut(i64, RequestRecord),
    ) -> Result<Option<PageCursor>> {
        self.store.read(|reader| {
            let filter = reader.resolve(&query.filter)?;
            if filter.matches_nothing() {
                return Ok(None);
            }
            let (range, after, limit) = (query.range, query.cursor.as_ref(), query.limit);
            let select = PageSelect { range, filter: &filter, upto_seq, after, limit };
            reader.page(&select, names, stop, &mut each)
        })
    }
}

/// Most rows that a tail reads at once; what lies before them is left out.
const TAIL_LOOK_BACK: i64 = 10_000;

impl Engine {
    /// What arrived after `after`, oldest first: the newest `limit` requests of the filter.
    ///
    /// Without `after` nothing is read, and the tail begins with what comes next.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn tail(&self, filter: &Filter, after: Option<i64>, limit: usize) -> Result<Tail> {
        self.store.read(|reader| {
            let upto = reader.last_seq()?;
            let Some(after) = after.filter(|after| *after < upto) else {
                return Ok(Tail { requests: Vec::new(), upto, missed: false });
            };
            let filter = reader.resolve(filter)?;
            let from = after.max(upto - TAIL_LOOK_BACK);
            let mut rows = if filter.matches_nothing() {
                Vec::new()
            } else {
                reader.arrivals(&filter, from, limit + 1)?
            };
            let missed = from > after || rows.len() > limit;
            rows.truncate(limit);
            rows.reverse();
            let requests = rows.into_iter().map(|(seq, record)| StoredRequest { seq, record });
            Ok(Tail { requests: requests.collect(), upto, missed })
        })
    }

    /// One stored request: the newest with this id, or the one that started at `started_at`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn request(
        &self,
        id: &RequestId,
        started_at: Option<Timestamp>,
        filter: &Filter,
    ) -> Result<Option<StoredRequest>> {
        self.store.read(|reader| {
            let filter = reader.resolve(filter)?;
            if filter.matches_nothing() {
                return Ok(None);
            }
            let found = reader.record(id, started_at, &filter)?;
            Ok(found.map(|(seq, record)| StoredRequest { seq, record }))
        })
    }
}

fn keys_of(query: &Query) -> Vec<KeyColumn> {
    keys_of_dimensions(&query.filter, &query.group_by)
}

/// The key columns of the dimensions that are filtered by and of `group_by`.
pub(super) fn keys_of_dimensions(filter: &Filter, group_by: &[Dimension]) -> Vec<KeyColumn> {
    let filtered = [
        (Dimension::Space, filter.spaces.is_empty()),
        (Dimension::User, filter.users.is_empty()),
        (Dimension::Model, filter.models.is_empty()),
        (Dimension::Provider, filter.providers.is_empty()),
    ];
    let filtered = filtered.into_iter().filter(|(_, empty)| !empty).map(|(dimension, _)| dimension);
    key_columns(group_by.iter().copied().chain(filtered))
}
