//! The part of the hot cache that one query reads.

use super::minute::MinuteAggregate;
use crate::model::time::MINUTE_MS;
use crate::model::{Grouping, TimeRange, Timestamp};
use crate::query::plan::Shape;
use crate::store::{ResolvedFilter, RollupKey};

/// The minutes of one grouping that start in a range, with all rows up to one `seq`.
#[derive(Clone, Debug)]
pub(in crate::query) struct HotSlice {
    pub(in crate::query) grouping: Grouping,
    /// The last row that the slice includes.
    pub(in crate::query) upto_seq: i64,
    pub(super) max_started_at_ms: i64,
    pub(super) minutes: Vec<(RollupKey, MinuteAggregate)>,
}

impl HotSlice {
    /// Whether the slice can serve a query of this shape: the keys are the same, and minutes are fine enough.
    pub(in crate::query) fn serves(&self, shape: &Shape<'_>) -> bool {
        let inner = shape.boundaries.get(1..shape.boundaries.len().saturating_sub(1));
        let is_minute = |at: &Timestamp| at.floor_to(MINUTE_MS) == *at;
        !shape.raw_only
            && shape.keys == self.grouping.keys()
            && inner.unwrap_or_default().iter().all(is_minute)
    }

    /// The whole minutes in `range`. If the range ends after the last record, its last minute counts as whole.
    pub(in crate::query) fn whole_minutes(&self, range: TimeRange) -> TimeRange {
        let start = range.start.ceil_to(MINUTE_MS);
        let end = match range.end.as_unix_ms() > self.max_started_at_ms {
            true => range.end.ceil_to(MINUTE_MS),
            false => range.end.floor_to(MINUTE_MS),
        };
        if end <= start { TimeRange::new(range.end, range.end) } else { TimeRange::new(start, end) }
    }

    /// The aggregates of the minutes in `range` that pass the filter.
    pub(in crate::query) fn minutes(
        &self,
        range: TimeRange,
        filter: &ResolvedFilter,
    ) -> impl Iterator<Item = &(RollupKey, MinuteAggregate)> {
        let wanted = self.grouping.keys().first().and_then(|key| filter.ids(*key));
        self.minutes.iter().filter(move |(key, _)| {
            range.contains(Timestamp::from_unix_ms(key.bucket_ms))
                && wanted.is_none_or(|ids| ids.contains(&key.ids[0]))
        })
    }
}
