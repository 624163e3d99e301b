//! The buffers of all groups, within a byte limit.

use rustc_hash::FxHashMap;

use super::buffer::TimeSeriesBuffer;
use super::slice::HotSlice;
use super::slot::Slot;
use crate::error::Result;
use crate::model::time::MINUTE_MS;
use crate::model::{Grouping, KeyColumn, TimeRange, Timestamp};
use crate::store::{RawSelect, Reader, RequestRow, ResolvedFilter, RollupKey, RowParts};

/// Minutes that can be answered.
const COVERED_MINUTES: i64 = 120;
/// Slots of a ring: what is covered, the running minute, and those that fast clocks are ahead.
const SLOTS: usize = 128;
/// How far ahead of now a start may lie to be held, in milliseconds.
const AHEAD_MS: i64 = 5 * MINUTE_MS;
/// After so many rows read at once, minutes that are over come to rest.
const ROWS_UNTIL_REST: u32 = 50_000;
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

    /// Adds the rows committed since the last call; the first call reads the last two hours.
    ///
    /// # Errors
    /// When the file cannot be read; the store is empty and rebuilds at the next call then.
    pub fn catch_up(&mut self, reader: &Reader<'_>, now: Timestamp) -> Result<()> {
        let result = self.try_catch_up(reader, now);
        if result.is_err() {
            *self = Self::new(self.max_bytes);
        }
        result
    }

    fn try_catch_up(&mut self, reader: &Reader<'_>, now: Timestamp) -> Result<()> {
        let horizon = now.floor_to(MINUTE_MS).plus_ms(-COVERED_MINUTES * MINUTE_MS);
        if self.covered_from.is_some_and(|from| now < from) {
            // The clock was set back by hours: everything held is of the future.
            *self = Self::new(self.max_bytes);
        }
        let first = self.covered_from.is_none();
        let last_seq = reader.last_seq()?;
        let filter = ResolvedFilter::default();
        let select = RawSelect {
            range: TimeRange::new(horizon, Timestamp::from_unix_ms(i64::MAX)),
            after_seq: (!first).then_some(self.upto_seq),
            upto_seq: None,
            filter: &filter,
        };
        let ahead_ms = now.plus_ms(AHEAD_MS).as_unix_ms();
        let this_minute = now.floor_to(MINUTE_MS);
        let mut added = 0;
        reader.raw_rows(&select, RowParts::ALL, |row| {
            self.add(row, ahead_ms);
            added += 1;
            if added % ROWS_UNTIL_REST == 0 {
                self.rest(this_minute);
            }
        })?;
        self.rest(this_minute);
        self.upto_seq = last_seq;
        // A clock that was set back does not bring back the minutes that were emptied.
        let covered_from = self.covered_from.map_or(horizon, |before| before.max(horizon));
        self.covered_from = Some(covered_from);
        if self.beyond_ms < covered_from.as_unix_ms() {
            self.beyond_ms = i64::MAX;
        }
        self.cleanup(covered_from);
        self.enforce_limit();
        Ok(())
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
        let covered_from = self.covered_from?;
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
