//! Sliding windows over replayed requests: slots are appended at the front and removed at the back.

use std::collections::VecDeque;

use crate::alert::judge::Sums;
use crate::model::Sketch;
use crate::model::quantile::exact_quantile;

/// Maximum number of values for exact percentiles; above it, sketches are used, as in live queries.
const EXACT_VALUES: usize = 5_000;

/// What one request, or one minute of a rollup bucket, adds to a window. Ordered by the time it
/// becomes visible, then by arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReplayedRequest {
    /// Time from which evaluations see it, in Unix milliseconds.
    pub(super) visible_ms: i64,
    /// Order of arrival among equal `visible_ms`.
    pub(super) seq: i64,
    /// Start, in Unix milliseconds.
    pub(super) started_ms: i64,
    /// Index of its group.
    pub(super) group: usize,
    /// For failure runs: the run of the group it belongs to.
    pub(super) run_key: i64,
    pub(super) sums: Sums,
    /// The latency for the rule's percentile, in microseconds.
    pub(super) latency_us: Option<u64>,
    /// For failure runs: a counted error, a success, or `None` for neither.
    pub(super) is_failure: Option<bool>,
}

/// The requests that start within one slot.
#[derive(Debug, Default)]
struct WindowSlot {
    start_ms: i64,
    sums: Sums,
    values: Vec<u64>,
    sketch: Option<Sketch>,
}

/// A sliding window: sums over the requests of the last `width_ms` milliseconds.
#[derive(Debug)]
pub(super) struct Sliding {
    width_ms: i64,
    slot_ms: i64,
    slots: VecDeque<WindowSlot>,
    pub(super) total: Sums,
}

impl Sliding {
    /// An empty window; `slot_ms` must divide its width and every end it is moved to.
    pub(super) fn new(width_ms: i64, slot_ms: i64) -> Self {
        Self { width_ms, slot_ms, slots: VecDeque::new(), total: Sums::default() }
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

    /// Adds an arrival if it lies within the window that ends at `end_ms`.
    pub(super) fn add(&mut self, arrival: &ReplayedRequest, end_ms: i64) {
        let start_ms = arrival.started_ms.div_euclid(self.slot_ms) * self.slot_ms;
        if arrival.started_ms < end_ms.saturating_sub(self.width_ms) {
            return;
        }
        // Almost every arrival belongs to the last slot or the one before.
        let index = self.slots.iter().rposition(|slot| slot.start_ms <= start_ms);
        let index = match index {
            Some(index) if self.slots[index].start_ms == start_ms => index,
            before => {
                let index = before.map_or(0, |before| before + 1);
                self.slots.insert(index, WindowSlot { start_ms, ..WindowSlot::default() });
                index
            }
        };
        let slot = &mut self.slots[index];
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

    /// A percentile of the latencies in the window, in milliseconds.
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

    /// Sums of `count` consecutive parts of `part_ms`, oldest first; the last part ends at
    /// `end_ms`.
    pub(super) fn parts(&self, end_ms: i64, part_ms: i64, count: usize) -> Vec<Sums> {
        let mut parts = vec![Sums::default(); count];
        let start_ms = end_ms - part_ms * i64::try_from(count).unwrap_or(0);
        for slot in self.slots.iter().filter(|slot| slot.start_ms < end_ms) {
            let index = usize::try_from((slot.start_ms - start_ms).div_euclid(part_ms));
            if let Some(part) = index.ok().and_then(|index| parts.get_mut(index)) {
                part.add(&slot.sums, 1);
            }
        }
        parts
    }
}
