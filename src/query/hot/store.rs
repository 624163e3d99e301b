//! The buffers of all groups, within a byte limit.

use rustc_hash::FxHashMap;

use super::buffer::TimeSeriesBuffer;
use super::slice::HotSlice;
use super::slot::Slot;
use crate::model::time::MINUTE_MS;
use crate::model::{Grouping, KeyColumn, TimeRange, Timestamp};
use crate::store::{RequestRow, RollupKey};

/// Minutes that can be answered.
const COVERED_MINUTES: i64 = 120;
/// Slots of a ring: what is covered, the running minute, and those that fast clocks are ahead.
const SLOTS: usize = 128;
/// How far ahead of now a start may lie to be held, in milliseconds.
const AHEAD_MS: i64 = 5 * MINUTE_MS;
/// After so many rows read at once, minutes that are over come to rest.
const ROWS_UNTIL_REST: usize = 50_000;
/// The groupings held.
const GROUPINGS: [Grouping; 3] = [Grouping::All, Grouping::Space, Grouping::Model];

#[derive(Debug)]
struct Group {
    buffer: TimeSeriesBuffer<Slot>,
    last_active_ms: i64,
    bytes: usize,
}

impl Group {
    fn count_bytes(&mut self) {
        let all = TimeRange::from_unix_ms(i64::MIN, i64::MAX);
        let slots = self.buffer.get_range(all).map(|(_, slot)| slot.heap_bytes());
        self.bytes = GROUP_BYTES + slots.sum::<usize>();
    }
}

/// The measures of the last two hours by minute: of everything, and of every active space and model.
#[derive(Debug)]
pub struct MetricsStore {
    groups: FxHashMap<(Grouping, i64), Group>,
    bytes: usize,
    max_bytes: usize,
    upto_seq: i64,
    covered_from: Option<Timestamp>,
    max_started_at_ms: i64,
    /// The latest start in a group that had to leave, by grouping: until then, the absence of a group
    /// does not mean that it had no requests.
    evicted_ms: [i64; GROUPINGS.len()],
    /// The earliest start that was too far ahead to be held.
    beyond_ms: i64,
    /// Rows after `upto_seq` are added, and not all of them yet.
    is_partial: bool,
    rows_until_rest: usize,
}

/// Rows that are being added to a store: those committed after `after_seq`, or without it all since `horizon`.
#[derive(Clone, Copy, Debug)]
pub(in crate::query) struct CatchUp {
    now: Timestamp,
    pub(in crate::query) horizon: Timestamp,
    pub(in crate::query) after_seq: Option<i64>,
}

/// Bytes of a group besides its slots' contents.
const GROUP_BYTES: usize = size_of::<Group>() + 48 + SLOTS * size_of::<Option<(i64, Slot)>>();

impl MetricsStore {
    /// An empty store that will hold at most `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
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
            rows_until_rest: ROWS_UNTIL_REST,
        }
    }

    /// Bytes held.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Groups held.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Begins to add the rows that were committed since the last time; the rows from the result on are to be
    /// [added](Self::add_rows).
    pub(in crate::query) fn begin(&mut self, now: Timestamp) -> CatchUp {
        if self.covered_from.is_some_and(|from| now < from) {
            // The clock was set back by hours: everything held is of the future.
            self.reset();
        }
        let horizon = now.floor_to(MINUTE_MS).plus_ms(-COVERED_MINUTES * MINUTE_MS);
        let after_seq = self.covered_from.is_some().then_some(self.upto_seq);
        CatchUp { now, horizon, after_seq }
    }

    /// Adds some of the rows; until [`finish`](Self::finish) nothing is answered.
    pub(in crate::query) fn add_rows(&mut self, catch_up: &CatchUp, rows: &[RequestRow]) {
        self.is_partial = true;
        let ahead_ms = catch_up.now.plus_ms(AHEAD_MS).as_unix_ms();
        for row in rows {
            self.add(row, ahead_ms);
        }
        self.rows_until_rest = self.rows_until_rest.saturating_sub(rows.len());
        if self.rows_until_rest == 0 {
            self.rows_until_rest = ROWS_UNTIL_REST;
            self.rest(catch_up.now.floor_to(MINUTE_MS));
        }
    }

    /// Ends what [`begin`](Self::begin) began: all rows up to `upto_seq` were added.
    pub(in crate::query) fn finish(&mut self, catch_up: &CatchUp, upto_seq: i64) {
        self.is_partial = false;
        self.rest(catch_up.now.floor_to(MINUTE_MS));
        self.upto_seq = upto_seq;
        // A clock that was set back does not bring back the minutes that were emptied.
        let horizon = catch_up.horizon;
        let covered_from = self.covered_from.map_or(horizon, |before| before.max(horizon));
        self.covered_from = Some(covered_from);
        if self.beyond_ms < covered_from.as_unix_ms() {
            self.beyond_ms = i64::MAX;
        }
        self.cleanup(covered_from);
        self.enforce_limit();
    }

    /// Empties the store; the next time it reads the last two hours.
    pub(in crate::query) fn reset(&mut self) {
        *self = Self::new(self.max_bytes);
    }

    fn add(&mut self, row: &RequestRow, ahead_ms: i64) {
        if row.started_at_ms > ahead_ms {
            // Its slot may hold a minute that is covered still.
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
            Group {
                buffer: TimeSeriesBuffer::new(SLOTS),
                last_active_ms: i64::MIN,
                bytes: GROUP_BYTES,
            }
        });
        group.last_active_ms = group.last_active_ms.max(row.started_at_ms);
        let grown = group.buffer.add(Timestamp::from_unix_ms(row.started_at_ms), |slot| {
            let before = slot.heap_bytes();
            slot.add(row);
            (before, slot.heap_bytes())
        });
        if let Some((before, after)) = grown {
            group.bytes = group.bytes + after - before;
            *total = *total + after - before;
        }
    }

    /// Minutes that are over come to rest.
    fn rest(&mut self, before: Timestamp) {
        for group in self.groups.values_mut() {
            let mut is_changed = false;
            for slot in group.buffer.before_mut(before) {
                is_changed |= slot.rest();
            }
            if is_changed {
                group.count_bytes();
            }
        }
        self.bytes = self.groups.values().map(|group| group.bytes).sum();
    }

    /// Empties old minutes and drops groups without any.
    fn cleanup(&mut self, horizon: Timestamp) {
        self.groups.retain(|_, group| {
            if group.buffer.cleanup(horizon) > 0 {
                group.count_bytes();
            }
            !group.buffer.is_empty()
        });
        self.bytes = self.groups.values().map(|group| group.bytes).sum();
    }

    /// The least recently active groups leave until the limit holds; everything together leaves last.
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

    /// What a query over `range` by `keys` needs; `None` when this store cannot answer it.
    ///
    /// Take it before the snapshot is opened, so that the snapshot has every row that the slice has.
    pub(in crate::query) fn slice(&self, range: TimeRange, keys: &[KeyColumn]) -> Option<HotSlice> {
        let covered_from = self.covered_from.filter(|_| !self.is_partial)?;
        let place = GROUPINGS.iter().position(|grouping| grouping.keys() == keys)?;
        let (start_ms, end_ms) = (range.start.as_unix_ms(), range.end.as_unix_ms());
        if range.start < covered_from
            || start_ms <= self.evicted_ms[place]
            || end_ms > self.beyond_ms
        {
            return None;
        }
        let grouping = GROUPINGS[place];
        let mut rows = Vec::new();
        for ((_, id), group) in self.groups.iter().filter(|((held, _), _)| *held == grouping) {
            for (minute, slot) in group.buffer.get_range(range) {
                let key = RollupKey { bucket_ms: minute.as_unix_ms(), ids: [*id, 0] };
                rows.push((key, slot.clone()));
            }
        }
        Some(HotSlice::new(grouping, self.upto_seq, self.max_started_at_ms, rows))
    }
}
