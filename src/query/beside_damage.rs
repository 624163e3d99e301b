//! Requests of a damaged file: one by one, over those that cannot be read.

use crate::error::Result;
use crate::model::TimeRange;
use crate::store::{PageCursor, Reader, ResolvedFilter};

use super::engine::Engine;
use super::types::{RequestsQuery, StoredRequest};

/// Keys read at a time.
const KEYS: usize = 1_000;
/// A part of the index of time that is shorter than this, in milliseconds, is not cut any further.
const SHORTEST_MS: i64 = 1_000;

/// What could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadRequests {
    /// Requests that the index names.
    pub requests: u64,
    /// Times whose part of the index is damaged: which requests they have is not known.
    pub ranges: Vec<TimeRange>,
}

impl UnreadRequests {
    /// Whether everything was read.
    pub const fn is_empty(&self) -> bool {
        self.requests == 0 && self.ranges.is_empty()
    }
}

impl Engine {
    /// Hands every request of a query from its cursor on to `each`, newest first, and passes over what cannot be read.
    ///
    /// Slower than [`stored`](Self::stored), in the same order: each request is looked up by itself. Requests that arrived after
    /// `upto_seq` are left out.
    ///
    /// # Errors
    /// When the file is busy, the names of the filter cannot be read, and whatever `each` returns.
    pub fn requests_beside_damage(
        &self,
        query: &RequestsQuery,
        upto_seq: i64,
        each: &mut dyn FnMut(StoredRequest) -> Result<()>,
    ) -> Result<UnreadRequests> {
        let filter = self.store().read(|reader| reader.resolve(&query.filter))?;
        let mut unread = UnreadRequests::default();
        if filter.matches_nothing() {
            return Ok(unread);
        }
        let mut after = query.cursor.clone();
        let mut left = vec![query.range];
        while let Some(range) = left.pop() {
            let keys = self.store().read(|reader| reader.page_keys(range, after.as_ref(), KEYS));
            match keys {
                Ok(mut keys) => {
                    let Some((_, last)) = keys.last().cloned() else { continue };
                    keys.retain(|(seq, _)| *seq <= upto_seq);
                    self.store()
                        .read(|reader| read_each(reader, &filter, &keys, &mut unread, each))?;
                    left.push(TimeRange::new(range.start, last.started_at().plus_ms(1)));
                    after = Some(last);
                }
                Err(error) if !error.is_damage() => return Err(error),
                Err(_) => match halves(range, after.as_ref()) {
                    Some([older, newer]) => left.extend([older, newer]),
                    None => unread.ranges.push(range),
                },
            }
        }
        Ok(unread)
    }
}

/// What is left of a range in two parts; `None` when it is short.
fn halves(range: TimeRange, after: Option<&PageCursor>) -> Option<[TimeRange; 2]> {
    let after_ms = after.map_or(i64::MAX, |cursor| cursor.started_at().plus_ms(1).as_unix_ms());
    let end_ms = range.end.as_unix_ms().min(after_ms);
    let start_ms = range.start.as_unix_ms();
    let width_ms = end_ms.checked_sub(start_ms).unwrap_or(i64::MAX);
    if width_ms <= SHORTEST_MS {
        return None;
    }
    let middle_ms = start_ms + width_ms / 2;
    Some([TimeRange::from_unix_ms(start_ms, middle_ms), TimeRange::from_unix_ms(middle_ms, end_ms)])
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
