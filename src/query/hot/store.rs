//! The buffers of all groups, within a byte limit.

use rustc_hash::FxHashMap;

use super::buffer::TimeSeriesBuffer;
use super::minute::MinuteAggregate;
use super::slice::HotSlice;
use crate::model::time::MINUTE_MS;
use crate::model::{Grouping, KeyColumn, TimeRange, Timestamp};
use crate::store::{RequestRow, RollupKey};

/// Minutes before now that queries can read.
const COVERED_MINUTES: i64 = 120;
/// Slots of a buffer: the covered minutes, the current one, and a margin for starts ahead of the clock.
const SLOTS: usize = 128;
/// Maximum time by which the start of a cached request may be ahead of now, in milliseconds.
const AHEAD_MS: i64 = 5 * MINUTE_MS;
/// Number of rows added after which past minutes are packed, so that reading two hours at a start takes little memory.
const ROWS_UNTIL_PACKED: usize = 50_000;
/// The groupings in the cache.
const GROUPINGS: [Grouping; 3] = [Grouping::All, Grouping::Space, Grouping::Model];
/// Bytes of a group besides the contents of its slots.
const GROUP_BYTES: usize =
    size_of::<HotGroup>() + 48 + SLOTS * size_of::<Option<(i64, MinuteAggregate)>>();

#[derive(Debug)]
struct HotGroup {
    buffer: TimeSeriesBuffer<MinuteAggregate>,
    last_active_ms: i64,
    bytes: usize,
}

impl HotGroup {
    fn count_bytes(&mut self) {
        let all = TimeRange::from_unix_ms(i64::MIN, i64::MAX);
        let minutes = self.buffer.get_range(all).map(|(_, minute)| minute.heap_bytes());
        self.bytes = GROUP_BYTES + minutes.sum::<usize>();
    }
}

/// The measures of the last two hours by minute: of all requests, and of every active space and model.
#[derive(Debug)]
pub(in crate::query) struct MetricsStore {
    groups: FxHashMap<(Grouping, i64), HotGroup>,
    bytes: usize,
    max_bytes: usize,
    /// The last row in the cache.
    upto_seq: i64,
    covered_from: Option<Timestamp>,
    max_started_at_ms: i64,
    /// The latest start in an evicted group, by grouping: up to it, a missing group may have had requests.
    evicted_ms: [i64; GROUPINGS.len()],
    /// The earliest start that was too far ahead of the clock to be cached.
    beyond_ms: i64,
    /// Whether only some of the rows after `upto_seq` have been added.
    is_partial: bool,
    rows_until_packed: usize,
}

/// Rows to be added: those committed after `after_seq`; without it, all that start at `horizon` or later.
#[derive(Clone, Copy, Debug)]
pub(in crate::query) struct CatchUp {
    now: Timestamp,
    pub(in crate::query) horizon: Timestamp,
    pub(in crate::query) after_seq: Option<i64>,
}

impl MetricsStore {
    /// An empty store that holds at most `max_bytes`.
    pub(in crate::query) fn new(max_bytes: usize) -> Self {
        Self {
            groups: FxHashMap::default(),
            bytes: 0,
            max_bytes,
            upto_seq: 0,
            covered_from: None,
            max_started_at_ms: i64::MIN,
            evicted_ms: [i64::MIN; GROUPINGS.len()],
            beyond_ms: i64::MAX,
            is_partial: false,
            rows_until_packed: ROWS_UNTIL_PACKED,
        }
    }

    /// Bytes held.
    pub(in crate::query) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of groups held.
    pub(in crate::query) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Begins to add the rows that were committed since the last time; returns which rows to
    /// [add](Self::add_rows).
    pub(in crate::query) fn begin(&mut self, now: Timestamp) -> CatchUp {
        if self.covered_from.is_some_and(|from| now < from) {
            // The clock was set back by hours: everything in the cache is in the future.
            self.reset();
        }
        let horizon = now.floor_to(MINUTE_MS).plus_ms(-COVERED_MINUTES * MINUTE_MS);
        let after_seq = self.covered_from.is_some().then_some(self.upto_seq);
        CatchUp { now, horizon, after_seq }
    }

    /// Adds some of the rows. Queries get no slice until [`finish`](Self::finish).
    pub(in crate::query) fn add_rows(&mut self, catch_up: &CatchUp, rows: &[RequestRow]) {
        self.is_partial = true;
        let ahead_ms = catch_up.now.plus_ms(AHEAD_MS).as_unix_ms();
        for row in rows {
            self.add(row, ahead_ms);
        }
        self.rows_until_packed = self.rows_until_packed.saturating_sub(rows.len());
        if self.rows_until_packed == 0 {
            self.rows_until_packed = ROWS_UNTIL_PACKED;
            self.pack(catch_up.now.floor_to(MINUTE_MS));
        }
    }

    /// Ends what [`begin`](Self::begin) began: all rows up to `upto_seq` have been added.
    pub(in crate::query) fn finish(&mut self, catch_up: &CatchUp, upto_seq: i64) {
        self.is_partial = false;
        self.pack(catch_up.now.floor_to(MINUTE_MS));
        self.upto_seq = upto_seq;
        // Minutes that were emptied stay empty after the clock is set back.
        let horizon = catch_up.horizon;
        let covered_from = self.covered_from.map_or(horizon, |before| before.max(horizon));
        self.covered_from = Some(covered_from);
        if self.beyond_ms < covered_from.as_unix_ms() {
            self.beyond_ms = i64::MAX;
        }
        self.cleanup(covered_from);
        self.enforce_limit();
    }

    /// Empties the store; the next catch-up reads the last two hours.
    pub(in crate::query) fn reset(&mut self) {
        *self = Self::new(self.max_bytes);
    }

    fn add(&mut self, row: &RequestRow, ahead_ms: i64) {
        if row.started_at_ms > ahead_ms {
            // Its slot may still hold a covered minute.
            self.beyond_ms = self.beyond_ms.min(row.started_at_ms);
            return;
        }
        self.max_started_at_ms = self.max_started_at_ms.max(row.started_at_ms);
        for grouping in GROUPINGS {
            let id = grouping.keys().first().map_or(0, |key| row.key(*key));
            self.add_to_group((grouping, id), row);
        }
    }

    fn add_to_group(&mut self, key: (Grouping, i64), row: &RequestRow) {
        let total = &mut self.bytes;
        let group = self.groups.entry(key).or_insert_with(|| {
            *total += GROUP_BYTES;
            let buffer = TimeSeriesBuffer::new(SLOTS);
            HotGroup { buffer, last_active_ms: i64::MIN, bytes: GROUP_BYTES }
        });
        group.last_active_ms = group.last_active_ms.max(row.started_at_ms);
        let grown = group.buffer.add(Timestamp::from_unix_ms(row.started_at_ms), |minute| {
            let before = minute.heap_bytes();
            minute.add(row);
            (before, minute.heap_bytes())
        });
        if let Some((before, after)) = grown {
            group.bytes = group.bytes + after - before;
            *total = *total + after - before;
        }
    }

    /// Packs the minutes before `before`.
    fn pack(&mut self, before: Timestamp) {
        for group in self.groups.values_mut() {
            let minutes = group.buffer.before_mut(before);
            let packed: usize = minutes.map(|minute| usize::from(minute.pack())).sum();
            if packed > 0 {
                group.count_bytes();
            }
        }
        self.count_bytes();
    }

    /// Empties the minutes before `horizon` and drops groups without any.
    fn cleanup(&mut self, horizon: Timestamp) {
        self.groups.retain(|_, group| {
            if group.buffer.cleanup(horizon) > 0 {
                group.count_bytes();
            }
            !group.buffer.is_empty()
        });
        self.count_bytes();
    }

    fn count_bytes(&mut self) {
        self.bytes = self.groups.values().map(|group| group.bytes).sum();
    }

    /// Evicts the least recently active groups until the limit holds; the group of all requests last.
    fn enforce_limit(&mut self) {
        if self.bytes <= self.max_bytes {
            return;
        }
        let mut by_age: Vec<((Grouping, i64), i64)> =
            self.groups.iter().map(|(key, group)| (*key, group.last_active_ms)).collect();
        by_age.sort_unstable_by_key(|((grouping, _), active_ms)| {
            (*grouping == Grouping::All, *active_ms)
        });
        for (key, _) in by_age {
            if self.bytes <= self.max_bytes {
                break;
            }
            let Some(group) = self.groups.remove(&key) else { continue };
            self.bytes -= group.bytes;
            if let Some(place) = GROUPINGS.iter().position(|grouping| *grouping == key.0) {
                self.evicted_ms[place] = self.evicted_ms[place].max(group.last_active_ms);
            }
        }
    }

    /// The part of the cache for a query over `range` by `keys`; `None` if the cache does not have all of it.
    ///
    /// Call this before opening the snapshot, so that the snapshot has every row of the slice.
    pub(in crate::query) fn slice(&self, range: TimeRange, keys: &[KeyColumn]) -> Option<HotSlice> {
        let covered_from = self.covered_from.filter(|_| !self.is_partial)?;
        let place = GROUPINGS.iter().position(|grouping| grouping.keys() == keys)?;
        let is_covered = range.start >= covered_from
            && range.start.as_unix_ms() > self.evicted_ms[place]
            && range.end.as_unix_ms() <= self.beyond_ms;
        if !is_covered {
            return None;
        }
        let grouping = GROUPINGS[place];
        let mut minutes = Vec::new();
        for ((_, id), group) in self.groups.iter().filter(|((held, _), _)| *held == grouping) {
            for (minute, aggregate) in group.buffer.get_range(range) {
                let key = RollupKey { bucket_ms: minute.as_unix_ms(), ids: [*id, 0] };
                minutes.push((key, aggregate.clone()));
            }
        }
        let (upto_seq, max_started_at_ms) = (self.upto_seq, self.max_started_at_ms);
        Some(HotSlice { grouping, upto_seq, max_started_at_ms, minutes })
    }
}
