//! What one query takes from the hot cache.

use super::super::plan::Shape;
use super::slot::Slot;
use crate::model::time::MINUTE_MS;
use crate::model::{Grouping, KeyColumn, TimeRange};
use crate::store::{ResolvedFilter, RollupKey};

/// The minutes of one grouping that start inside a range, as of one arrival.
#[derive(Clone, Debug)]
pub(in crate::query) struct HotSlice {
    grouping: Grouping,
    upto_seq: i64,
    max_started_at_ms: i64,
    rows: Vec<(RollupKey, Slot)>,
}

impl HotSlice {
    pub(super) const fn new(
        grouping: Grouping,
        upto_seq: i64,
        max_started_at_ms: i64,
        rows: Vec<(RollupKey, Slot)>,
    ) -> Self {
        Self { grouping, upto_seq, max_started_at_ms, rows }
    }

    /// Whether a query of this shape can be answered: by the same keys, and minutes are fine enough.
    pub(in crate::query) fn serves(&self, shape: &Shape<'_>) -> bool {
        let inner = shape.boundaries.get(1..shape.boundaries.len().saturating_sub(1));
        let aligned = |at: &crate::model::Timestamp| at.floor_to(MINUTE_MS) == *at;
        !shape.raw_only
            && shape.keys == self.grouping.keys()
            && inner.unwrap_or_default().iter().all(aligned)
    }

    /// The last row that the slice includes.
    pub(in crate::query) const fn upto_seq(&self) -> i64 {
        self.upto_seq
    }

    /// The whole minutes inside `range`; beyond the last record the running minute is whole too.
    pub(in crate::query) fn whole_minutes(&self, range: TimeRange) -> TimeRange {
        let start = range.start.ceil_to(MINUTE_MS);
        let past_all = range.end.as_unix_ms() > self.max_started_at_ms;
        let end =
            if past_all { range.end.ceil_to(MINUTE_MS) } else { range.end.floor_to(MINUTE_MS) };
        if end <= start { TimeRange::new(range.end, range.end) } else { TimeRange::new(start, end) }
    }

    /// The rows of some minutes that pass the filter.
    pub(in crate::query) fn rows<'a>(
        &'a self,
        minutes: TimeRange,
        filter: &'a ResolvedFilter,
    ) -> impl Iterator<Item = (Grouping, RollupKey, &'a Slot)> {
        let key: Option<KeyColumn> = self.grouping.keys().first().copied();
        let wanted = key.and_then(|key| filter.ids(key));
        self.rows
            .iter()
            .filter(move |(key, _)| {
                minutes.contains(crate::model::Timestamp::from_unix_ms(key.bucket_ms))
                    && wanted.is_none_or(|ids| ids.contains(&key.ids[0]))
            })
            .map(|(key, slot)| (self.grouping, *key, slot))
    }
}
