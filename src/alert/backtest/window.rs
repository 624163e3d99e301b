//! Windows that slide over replayed requests: slots are added in front and taken away behind.

use std::collections::VecDeque;

use crate::alert::judge::Sums;
use crate::model::Sketch;
use crate::model::stats::exact_quantile;

/// With more values than this in a window, percentiles come from sketches, as in live queries.
const EXACT_VALUES: usize = 5_000;

/// What one request, or the requests of one rolled-up bucket, add to a window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrival {
    /// Start, in Unix milliseconds.
    pub(super) started_ms: i64,
    /// From when on evaluations see it.
    pub(super) visible_ms: i64,
    /// Order of arrival among those that become visible together.
    pub(super) seq: i64,
    /// Place of its group.
    pub(super) group: usize,
    /// For runs of failures: which of the group's runs it belongs to.
    pub(super) run_key: i64,
    pub(super) sums: Sums,
    /// The latency that the rule's percentile is about, in microseconds.
    pub(super) latency_us: Option<u64>,
    /// For runs of failures: an error that counts, a success, or neither.
    pub(super) is_failure: Option<bool>,
}

#[derive(Debug, Default)]
struct Slot {
    start_ms: i64,
    sums: Sums,
    values: Vec<u64>,
    sketch: Option<Sketch>,
}

/// The sums over the requests that started within the last so many milliseconds.
#[derive(Debug)]
pub(super) struct Sliding {
    width_ms: i64,
    slot_ms: i64,
    slots: VecDeque<Slot>,
    pub(super) total: Sums,
}

impl Sliding {
    /// An empty window; `slot_ms` divides its width and every end that it will be moved to.
    pub(super) const fn new(width_ms: i64, slot_ms: i64) -> Self {
        Self { width_ms, slot_ms, slots: VecDeque::new(), total: ZERO }
    }

    /// Moves the end of the window forward.
    pub(super) fn move_to(&mut self, end_ms: i64) {
        let start_ms = end_ms.saturating_sub(self.width_ms);
        while self.slots.front().is_some_and(|slot| slot.start_ms < start_ms) {
            if let Some(slot) = self.slots.pop_front() {
                self.total.add(&slot.sums, -1);
            }
        }
    }

    /// Adds what lies within the window that ends at `end_ms`.
    pub(super) fn add(&mut self, arrival: &Arrival, end_ms: i64) {
        let start_ms = arrival.started_ms.div_euclid(self.slot_ms) * self.slot_ms;
        if arrival.started_ms < end_ms.saturating_sub(self.width_ms) {
            return;
        }
        // Nearly everything belongs to the last slot or just before it.
        let place = self.slots.iter().rposition(|slot| slot.start_ms <= start_ms);
        let place = match place {
            Some(place) if self.slots[place].start_ms == start_ms => place,
            before => {
                let place = before.map_or(0, |before| before + 1);
                self.slots.insert(place, Slot { start_ms, ..Slot::default() });
                place
            }
        };
        let slot = &mut self.slots[place];
        slot.sums.add(&arrival.sums, 1);
        self.total.add(&arrival.sums, 1);
        if let Some(value_us) = arrival.latency_us {
            slot.values.push(value_us);
            slot.sketch.get_or_insert_with(Sketch::default).add(value_us);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The percentile of the latencies in the window, in milliseconds.
    pub(super) fn quantile_ms(&self, q: f64) -> Option<f64> {
        let count: usize = self.slots.iter().map(|slot| slot.values.len()).sum();
        if count <= EXACT_VALUES {
            let values = self.slots.iter().flat_map(|slot| slot.values.iter().copied());
            let mut values: Vec<u64> = values.collect();
            #[expect(clippy::cast_precision_loss, reason = "a day in µs is far below 2^53")]
            return exact_quantile(&mut values, q).map(|us| us as f64 / 1_000.0);
        }
        let mut all = Sketch::default();
        self.slots.iter().filter_map(|slot| slot.sketch.as_ref()).for_each(|one| all.merge(one));
        all.quantile(q).map(|us| us / 1_000.0)
    }

    /// Sums over `count` parts of `part_ms`, oldest first, the last of which ends at `end_ms`.
    pub(super) fn parts(&self, end_ms: i64, part_ms: i64, count: usize) -> Vec<Sums> {
        let mut parts = vec![Sums::default(); count];
        let start_ms = end_ms - part_ms * i64::try_from(count).unwrap_or(0);
        for slot in self.slots.iter().filter(|slot| slot.start_ms < end_ms) {
            let place = usize::try_from((slot.start_ms - start_ms).div_euclid(part_ms));
            if let Some(part) = place.ok().and_then(|place| parts.get_mut(place)) {
                part.add(&slot.sums, 1);
            }
        }
        parts
    }
}

const ZERO: Sums = Sums {
    requests: 0,
    errors: 0,
    cache_hits: 0,
    tokens: 0,
    cost_nano_usd: 0,
    latency_known: 0,
    latency_sum_us: 0,
};
