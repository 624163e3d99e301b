//! Stored requests: pages, a tail, a single request, and what is readable of a damaged file.

use super::engine::Engine;
use super::types::{RequestsPage, RequestsQuery, StoredRequest, Tail};
use crate::error::{Error, Result};
use crate::model::{Filter, RequestId, RequestRecord, TimeRange, Timestamp};
use crate::store::{NameCache, PageCursor, PageSelect, Reader, ResolvedFilter};

/// Maximum number of requests of a page.
const MAX_PAGE: usize = 1_000;
/// Maximum number of rows that a tail reads at once; earlier ones are skipped.
const TAIL_LOOK_BACK: i64 = 10_000;
/// Number of keys read at a time from a damaged file.
const KEYS_PER_READ: usize = 1_000;
/// Length in milliseconds below which a damaged part of the time index is not divided further.
const MIN_PART_MS: i64 = 1_000;

/// What could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnreadRequests {
    /// Unreadable requests in the index.
    pub(crate) requests: u64,
    /// Parts of the time index that are damaged: their requests are unknown.
    pub(crate) ranges: Vec<TimeRange>,
}

impl UnreadRequests {
    /// Whether everything was read.
    pub(crate) const fn is_empty(&self) -> bool {
        self.requests == 0 && self.ranges.is_empty()
    }
}

/// Checks the `limit` of a query for pages or names.
pub(super) fn check_limit(limit: usize) -> Result<()> {
    match limit {
        1..=MAX_PAGE => Ok(()),
        _ => Err(Error::invalid_query("limit", format!("must be 1 to {MAX_PAGE}"))),
    }
}

impl Engine {
    /// A page of stored requests, newest first.
    ///
    /// If few requests match the filter, many are read; `stop` is called now and then, and ends the page where it is.
    ///
    /// # Errors
    /// If the page is too large or the file cannot be read.
    pub fn requests(
        &self,
        query: &RequestsQuery,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<RequestsPage> {
        check_limit(query.limit)?;
        let mut requests = Vec::new();
        let each = |seq, record| requests.push(StoredRequest { seq, record });
        let next_cursor = self.stored(query, None, &mut NameCache::default(), stop, each)?;
        Ok(RequestsPage { requests, next_cursor })
    }

    /// Passes the requests of a page of any size to `each`, newest first; returns where the next page begins.
    ///
    /// Skips requests that arrived after `upto_seq`. `names` may be reused for the next page. `stop` as in
    /// [`requests`](Self::requests).
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn stored(
        &self,
        query: &RequestsQuery,
        upto_seq: Option<i64>,
        names: &mut NameCache,
        stop: &mut dyn FnMut() -> bool,
        mut each: impl FnMut(i64, RequestRecord),
    ) -> Result<Option<PageCursor>> {
        self.read_matching(&query.filter, |reader, filter| {
            let (range, after, limit) = (query.range, query.cursor.as_ref(), query.limit);
            let select = PageSelect { range, filter, upto_seq, after, limit };
            reader.page(&select, names, stop, &mut each)
        })
    }

    /// The newest `limit` requests that match the filter and arrived after `after`, oldest first.
    ///
    /// Without `after`, nothing is read, and the tail begins with the next arrival.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn tail(&self, filter: &Filter, after: Option<i64>, limit: usize) -> Result<Tail> {
        self.store.read(|reader| {
            let upto = reader.last_seq()?;
            let Some(after) = after.filter(|after| *after < upto) else {
                return Ok(Tail { requests: Vec::new(), upto, missed: false });
            };
            let filter = reader.resolve(filter)?;
            let from = after.max(upto - TAIL_LOOK_BACK);
            let mut rows = match filter.matches_nothing() {
                true => Vec::new(),
                false => reader.arrivals(&filter, from, limit + 1)?,
            };
            let missed = from > after || rows.len() > limit;
            rows.truncate(limit);
            let requests = rows.into_iter().rev();
            let requests = requests.map(|(seq, record)| StoredRequest { seq, record }).collect();
            Ok(Tail { requests, upto, missed })
        })
    }

    /// One stored request: the newest with this id, or the one that started at `started_at`.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn request(
        &self,
        id: &RequestId,
        started_at: Option<Timestamp>,
        filter: &Filter,
    ) -> Result<Option<StoredRequest>> {
        self.read_matching(filter, |reader, filter| {
            let found = reader.record(id, started_at, filter)?;
            Ok(found.map(|(seq, record)| StoredRequest { seq, record }))
        })
    }

    /// Reads with a resolved filter; the default value if nothing can match it.
    fn read_matching<T: Default>(
        &self,
        filter: &Filter,
        read: impl FnOnce(&Reader<'_>, &ResolvedFilter) -> Result<T>,
    ) -> Result<T> {
        self.store.read(|reader| {
            let filter = reader.resolve(filter)?;
            if filter.matches_nothing() { Ok(T::default()) } else { read(reader, &filter) }
        })
    }

    /// Passes every request of a query from its cursor on to `each`, newest first, and skips damaged ones.
    ///
    /// Slower than [`stored`](Self::stored), in the same order: it looks up each request by itself. Skips requests that arrived
    /// after `upto_seq`.
    ///
    /// # Errors
    /// If the file is busy or the names of the filter cannot be read, and whatever `each` returns.
    pub(crate) fn requests_skipping_damage(
        &self,
        query: &RequestsQuery,
        upto_seq: i64,
        each: &mut dyn FnMut(StoredRequest) -> Result<()>,
    ) -> Result<UnreadRequests> {
        let filter = self.store.read(|reader| reader.resolve(&query.filter))?;
        let mut unread = UnreadRequests::default();
        if filter.matches_nothing() {
            return Ok(unread);
        }
        let mut after = query.cursor.clone();
        let mut left = vec![query.range];
        while let Some(range) = left.pop() {
            let keys =
                self.store.read(|reader| reader.page_keys(range, after.as_ref(), KEYS_PER_READ));
            match keys {
                Ok(mut keys) => {
                    let Some((_, last)) = keys.last().cloned() else { continue };
                    keys.retain(|(seq, _)| *seq <= upto_seq);
                    self.store
                        .read(|reader| read_each(reader, &filter, &keys, &mut unread, each))?;
                    left.push(TimeRange::new(range.start, last.started_at().plus_ms(1)));
                    after = Some(last);
                }
                Err(error) if !error.is_damage() => return Err(error),
                Err(_) => match halves(range, after.as_ref()) {
                    Some(halves) => left.extend(halves),
                    None => unread.ranges.push(range),
                },
            }
        }
        Ok(unread)
    }
}

/// The unread part of a range in two halves, older first; `None` if it is short.
fn halves(range: TimeRange, after: Option<&PageCursor>) -> Option<[TimeRange; 2]> {
    let unread_end = after.map(|cursor| cursor.started_at().plus_ms(1));
    let end = unread_end.map_or(range.end, |unread_end| range.end.min(unread_end));
    let width_ms = TimeRange::new(range.start, end).width_ms();
    let middle = range.start.plus_ms(width_ms / 2);
    (width_ms > MIN_PART_MS)
        .then_some([TimeRange::new(range.start, middle), TimeRange::new(middle, end)])
}

fn read_each(
    reader: &Reader<'_>,
    filter: &ResolvedFilter,
    keys: &[(i64, PageCursor)],
    unread: &mut UnreadRequests,
    each: &mut dyn FnMut(StoredRequest) -> Result<()>,
) -> Result<()> {
    for (seq, _) in keys {
        match reader.record_at(*seq, filter) {
            Ok(Some(record)) => each(StoredRequest { seq: *seq, record })?,
            Ok(None) => {}
            Err(error) if error.is_damage() => unread.requests += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
