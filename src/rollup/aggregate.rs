//! Aggregates raw rows into the rows of every rollup.

use rustc_hash::FxHashMap;

use crate::model::measures::{add_request, merge_values};
use crate::model::time::{DAY_MS, MINUTE_MS, QUARTER_HOUR_MS};
use crate::model::{Grouping, LatencyKind, Level, Measured, Measures, PackedMeasures, Sketch};
use crate::store::{
    DayDelta, EncodedSketch, RequestRow, RollupDelta, RollupKey, RollupPart, SketchRow,
};

/// Rollup rows without sketches.
type Plain = FxHashMap<RollupKey, Box<PackedMeasures>>;
/// Rollup rows with a sketch of every latency.
type WithSketches = FxHashMap<RollupKey, Box<Measures>>;

/// Aggregates raw rows at the finest level of each rollup; [`finish`](Self::finish) derives the
/// coarser levels.
#[derive(Debug, Default)]
pub(super) struct Aggregate {
    all_by_minute: WithSketches,
    space_by_quarter: WithSketches,
    model_by_quarter: WithSketches,
    space_user_by_day: Plain,
    space_model_by_day: Plain,
    days: FxHashMap<i64, DayDelta>,
}

const fn key(at_ms: i64, width_ms: i64, ids: [i64; 2]) -> RollupKey {
    RollupKey { bucket_ms: at_ms - at_ms.rem_euclid(width_ms), ids }
}

/// The row with this key, empty if it is new.
fn row_with_sketches(map: &mut WithSketches, key: RollupKey) -> &mut Measures {
    map.entry(key).or_insert_with(|| Box::new(Measures::with_sketches()))
}

impl Aggregate {
    /// Adds one row.
    pub(super) fn add(&mut self, row: &RequestRow) {
        let at = row.started_at_ms;
        // Shared by three rows, because the logarithm of a latency is most of the cost of adding it.
        let bins = LatencyKind::ALL.map(|kind| row.latency_us(kind).map(Sketch::bin_of));
        let (space, user, model) = (row.space_id, row.user_id, row.model_id);
        for (map, key) in [
            (&mut self.all_by_minute, key(at, MINUTE_MS, [0, 0])),
            (&mut self.space_by_quarter, key(at, QUARTER_HOUR_MS, [space, 0])),
            (&mut self.model_by_quarter, key(at, QUARTER_HOUR_MS, [model, 0])),
        ] {
            let measures = row_with_sketches(map, key);
            add_request(&mut measures.values, row);
            for (distribution, bin) in measures.distributions.iter_mut().zip(bins) {
                if let (Some(distribution), Some(bin)) = (distribution, bin) {
                    distribution.as_sketch_mut().add_bin(bin);
                }
            }
        }
        self.space_user_by_day.entry(key(at, DAY_MS, [space, user])).or_default().add(row);
        self.space_model_by_day.entry(key(at, DAY_MS, [space, model])).or_default().add(row);
        self.add_day(at);
    }

    fn add_day(&mut self, at_ms: i64) {
        let day_ms = key(at_ms, DAY_MS, [0, 0]).bucket_ms;
        let day = self.days.entry(day_ms).or_insert(DayDelta {
            day_ms,
            requests: 0,
            min_started_at_ms: at_ms,
            max_started_at_ms: at_ms,
        });
        day.requests += 1;
        day.min_started_at_ms = day.min_started_at_ms.min(at_ms);
        day.max_started_at_ms = day.max_started_at_ms.max(at_ms);
    }

    /// All rollup rows, sorted by key.
    pub(super) fn finish(self) -> RollupDelta {
        let all_by_quarter = coarser(&self.all_by_minute, QUARTER_HOUR_MS);
        let all_by_day = coarser(&all_by_quarter, DAY_MS);
        let space_by_day = coarser(&self.space_by_quarter, DAY_MS);
        let model_by_day = coarser(&self.model_by_quarter, DAY_MS);
        let mut user_by_day = Plain::default();
        for (by_space_user, values) in &self.space_user_by_day {
            let by_user = RollupKey { ids: [by_space_user.ids[1], 0], ..*by_space_user };
            let values = values.unpack();
            user_by_day.entry(by_user).or_default().update(|mine| merge_values(mine, &values));
        }
        let mut days: Vec<DayDelta> = self.days.into_values().collect();
        days.sort_unstable_by_key(|day| day.day_ms);
        let parts = vec![
            sketched_part(Grouping::All, Level::Minute, self.all_by_minute),
            sketched_part(Grouping::All, Level::QuarterHour, all_by_quarter),
            sketched_part(Grouping::All, Level::Day, all_by_day),
            sketched_part(Grouping::Space, Level::QuarterHour, self.space_by_quarter),
            sketched_part(Grouping::Space, Level::Day, space_by_day),
            sketched_part(Grouping::Model, Level::QuarterHour, self.model_by_quarter),
            sketched_part(Grouping::Model, Level::Day, model_by_day),
            plain_part(Grouping::SpaceModel, self.space_model_by_day),
            plain_part(Grouping::User, user_by_day),
            plain_part(Grouping::SpaceUser, self.space_user_by_day),
        ];
        RollupDelta::new(parts, days)
    }
}

fn coarser(fine: &WithSketches, width_ms: i64) -> WithSketches {
    let mut coarse = WithSketches::default();
    for (fine_key, measures) in fine {
        let coarse_key = key(fine_key.bucket_ms, width_ms, fine_key.ids);
        row_with_sketches(&mut coarse, coarse_key).merge(measures);
    }
    coarse
}

fn sorted<V>(map: FxHashMap<RollupKey, V>) -> Vec<(RollupKey, V)> {
    let mut rows: Vec<(RollupKey, V)> = map.into_iter().collect();
    rows.sort_unstable_by_key(|(key, _)| *key);
    rows
}

fn plain_part(grouping: Grouping, map: Plain) -> RollupPart {
    RollupPart::plain(grouping, Level::Day, sorted(map))
}

fn sketched_part(grouping: Grouping, level: Level, map: WithSketches) -> RollupPart {
    let mut part = RollupPart::plain(grouping, level, Vec::with_capacity(map.len()));
    part.sketches.reserve(map.len());
    for (key, measures) in sorted(map) {
        part.rows.push((key, Box::new(PackedMeasures::of(&measures.values))));
        let sketches = measures
            .distributions
            .map(|mut distribution| EncodedSketch::of(distribution.as_mut()?.as_sketch_mut()));
        part.sketches.push(SketchRow { key, sketches });
    }
    part
}
