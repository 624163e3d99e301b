//! Planning, purely: which levels, which raw rows.
//!
//! A range is cut into the fewest buckets that cover it exactly: days inside, then quarter hours, then
//! minutes, raw rows at the ragged edges. Rows after the watermark (the tail) are always read raw.

use crate::model::time::DAY_MS;
use crate::model::{Dimension, Grouping, KeyColumn, Level, ROLLUPS, TimeRange, Timestamp};
use crate::store::{DayRow, pruned_flag};

/// Where a part of the answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegmentSource {
    /// Rollup rows whose bucket starts inside the segment.
    Level(Level),
    /// Raw rows that the rollups include.
    Raw,
}

/// A part of the range, answered from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The source.
    pub source: SegmentSource,
    /// The part.
    pub range: TimeRange,
}

/// How a query is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Everything from raw rows, those after the watermark included.
    Raw,
    /// Segments from rollups and raw rows up to the watermark, then the tail.
    Rollups {
        /// The rollup.
        grouping: Grouping,
        /// In order of time; together they cover the range.
        segments: Vec<Segment>,
        /// Part of the range has outlived the rows that would answer it exactly.
        incomplete: bool,
    },
}

/// What the planner needs to know of a query.
#[derive(Clone, Debug)]
pub struct Shape<'a> {
    /// The range.
    pub range: TimeRange,
    /// Instants that no bucket may straddle, in order: the boundaries of the answer's buckets.
    pub boundaries: &'a [Timestamp],
    /// Key columns of the dimensions grouped by and filtered by.
    pub keys: Vec<KeyColumn>,
    /// Distributions are wanted.
    pub sketches: bool,
    /// Only raw rows know the answer.
    pub raw_only: bool,
}

/// The key columns of some dimensions, each once.
pub fn key_columns(dimensions: impl Iterator<Item = Dimension>) -> Vec<KeyColumn> {
    let mut keys: Vec<KeyColumn> = dimensions.filter_map(KeyColumn::of).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The cheapest grouping that carries the keys, with distributions when they are wanted.
fn grouping_for(keys: &[KeyColumn], sketches: bool) -> Option<Grouping> {
    ROLLUPS
        .iter()
        .filter(|rollup| rollup.sketches || !sketches)
        .find(|rollup| keys.iter().all(|key| rollup.grouping.keys().contains(key)))
        .map(|rollup| rollup.grouping)
}

/// Whether asking for distributions by these keys changes nothing of where the answer comes from: a rollup
/// has them, or raw rows are read anyway.
pub(super) fn sketches_are_cheap(keys: &[KeyColumn]) -> bool {
    grouping_for(keys, true).is_some() || grouping_for(keys, false).is_none()
}

/// Plans a query over the days that have data.
pub fn plan(shape: &Shape<'_>, days: &[DayRow]) -> Plan {
    if shape.raw_only {
        return Plan::Raw;
    }
    let Some(grouping) = grouping_for(&shape.keys, shape.sketches) else { return Plan::Raw };
    let mut cover = Cover { grouping, segments: Vec::new(), incomplete: false };
    let range = widen_to_data(shape.range, days);
    for run in runs(range, days) {
        for piece in cut(run.range, shape.boundaries) {
            cover.add(piece, run.pruned);
        }
    }
    Plan::Rollups { grouping, segments: cover.segments, incomplete: cover.incomplete }
}

/// Moves an edge that lies beyond the data of its day to the edge of the day: nothing is added, and
/// whole buckets answer where raw rows would have to.
fn widen_to_data(range: TimeRange, days: &[DayRow]) -> TimeRange {
    let (Some(first), Some(last)) = (days.first(), days.last()) else {
        return TimeRange::new(range.start, range.start);
    };
    let data = TimeRange::from_unix_ms(first.day_ms, last.day_ms + DAY_MS);
    let clamped = range.intersect(data);
    if clamped.is_empty() {
        return TimeRange::new(range.start, range.start);
    }
    let day_of = |at: Timestamp| {
        let day_ms = at.floor_to(DAY_MS).as_unix_ms();
        days.binary_search_by_key(&day_ms, |day| day.day_ms).ok().map(|found| &days[found])
    };
    let start = match day_of(clamped.start) {
        Some(day) if clamped.start.as_unix_ms() <= day.min_started_at_ms => {
            Timestamp::from_unix_ms(day.day_ms)
        }
        Some(day) if clamped.start.as_unix_ms() > day.max_started_at_ms => {
            Timestamp::from_unix_ms(day.day_ms + DAY_MS)
        }
        Some(_) => clamped.start,
        None => clamped.start.floor_to(DAY_MS),
    };
    let end = match day_of(clamped.end.plus_ms(-1)) {
        Some(day) if clamped.end.as_unix_ms() > day.max_started_at_ms => {
            Timestamp::from_unix_ms(day.day_ms + DAY_MS)
        }
        Some(day) if clamped.end.as_unix_ms() <= day.min_started_at_ms => {
            Timestamp::from_unix_ms(day.day_ms)
        }
        Some(_) => clamped.end,
        None => clamped.end.ceil_to(DAY_MS),
    };
    TimeRange::new(start, end.max(start))
}

/// Neighbouring days of which the same levels are left.
struct Run {
    range: TimeRange,
    pruned: i64,
}

fn runs(range: TimeRange, days: &[DayRow]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    if range.is_empty() {
        return runs;
    }
    let mut start = range.start;
    let mut pruned = None;
    for day in days.iter().filter(|day| day.day_ms + DAY_MS > range.start.as_unix_ms()) {
        let day_start = Timestamp::from_unix_ms(day.day_ms);
        if day_start >= range.end {
            break;
        }
        if pruned.is_some_and(|before| before != day.pruned) {
            let cut = day_start.max(start);
            runs.push(Run { range: TimeRange::new(start, cut), pruned: pruned.unwrap_or(0) });
            start = cut;
        }
        pruned = Some(day.pruned);
    }
    runs.push(Run { range: TimeRange::new(start, range.end), pruned: pruned.unwrap_or(0) });
    runs
}

/// Cuts a range at the boundaries that lie inside it.
fn cut(range: TimeRange, boundaries: &[Timestamp]) -> Vec<TimeRange> {
    let first = boundaries.partition_point(|boundary| *boundary <= range.start);
    // The last boundary ends the last bucket; what lies beyond it is free of data.
    let inner = &boundaries[first.min(boundaries.len())
        ..boundaries.len().saturating_sub(1).max(first.min(boundaries.len()))];
    let mut pieces = Vec::new();
    let mut start = range.start;
    for boundary in inner.iter().take_while(|boundary| **boundary < range.end) {
        pieces.push(TimeRange::new(start, *boundary));
        start = *boundary;
    }
    pieces.push(TimeRange::new(start, range.end));
    pieces
}

struct Cover {
    grouping: Grouping,
    segments: Vec<Segment>,
    incomplete: bool,
}

impl Cover {
    fn add(&mut self, range: TimeRange, pruned: i64) {
        let levels: Vec<Level> = self
            .grouping
            .rollup()
            .levels
            .iter()
            .rev()
            .copied()
            .filter(|level| pruned & pruned_flag(Some(*level)) == 0)
            .collect();
        let raw_left = pruned & pruned_flag(None) == 0;
        self.cover(range, &levels, levels.last().copied(), raw_left);
    }

    /// Covers with the coarsest level first, its edges with the finer ones.
    fn cover(&mut self, range: TimeRange, levels: &[Level], finest: Option<Level>, raw_left: bool) {
        if range.is_empty() {
            return;
        }
        let Some((level, finer)) = levels.split_first() else {
            return self.ragged(range, finest, raw_left);
        };
        let inner = TimeRange::new(
            range.start.ceil_to(level.width_ms()),
            range.end.floor_to(level.width_ms()),
        );
        if inner.is_empty() {
            return self.cover(range, finer, finest, raw_left);
        }
        self.cover(TimeRange::new(range.start, inner.start), finer, finest, raw_left);
        self.push(SegmentSource::Level(*level), inner);
        self.cover(TimeRange::new(inner.end, range.end), finer, finest, raw_left);
    }

    /// Part of one bucket. Where the raw rows are gone, the bucket counts where it starts: every
    /// request counts once in neighbouring ranges, though not to the millisecond.
    fn ragged(&mut self, range: TimeRange, finest: Option<Level>, raw_left: bool) {
        match finest {
            _ if raw_left => self.push(SegmentSource::Raw, range),
            Some(level) => {
                self.incomplete = true;
                self.push(SegmentSource::Level(level), range);
            }
            None => self.incomplete = true,
        }
    }

    fn push(&mut self, source: SegmentSource, range: TimeRange) {
        if let Some(last) = self.segments.last_mut()
            && last.source == source
            && last.range.end == range.start
        {
            last.range.end = range.end;
            return;
        }
        self.segments.push(Segment { source, range });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn day(text: &str, pruned: i64) -> DayRow {
        let day_ms = at(&format!("{text}T00:00:00Z")).as_unix_ms();
        DayRow {
            day_ms,
            requests: 1_000,
            min_started_at_ms: day_ms,
            max_started_at_ms: day_ms + DAY_MS - 1,
            changed_seq: 1,
            changed_at_ms: day_ms,
            pruned,
        }
    }

    fn segments(start: &str, end: &str, keys: Vec<KeyColumn>, days: &[DayRow]) -> Vec<Segment> {
        let range = TimeRange::new(at(start), at(end));
        let boundaries = [range.start, range.end];
        let shape =
            Shape { range, boundaries: &boundaries, keys, sketches: false, raw_only: false };
        match plan(&shape, days) {
            Plan::Rollups { segments, .. } => segments,
            Plan::Raw => Vec::new(),
        }
    }

    #[test]
    fn a_ragged_range_is_days_inside_and_finer_towards_its_edges() {
        let days = [day("2026-03-01", 0), day("2026-03-02", 0), day("2026-03-03", 0)];
        let found = segments("2026-03-01T10:07:30.5Z", "2026-03-03T00:16:00Z", Vec::new(), &days);
        let sources: Vec<SegmentSource> = found.iter().map(|segment| segment.source).collect();
        use SegmentSource::{Level as L, Raw};
        assert_eq!(
            sources,
            [
                Raw,
                L(Level::Minute),
                L(Level::QuarterHour),
                L(Level::Day),
                L(Level::QuarterHour),
                L(Level::Minute)
            ]
        );
        assert!(found.windows(2).all(|pair| pair[0].range.end == pair[1].range.start));
        assert_eq!(found[0].range.start, at("2026-03-01T10:07:30.5Z"));
        assert_eq!(found[5].range.end, at("2026-03-03T00:16:00Z"));
    }

    #[test]
    fn an_end_after_the_last_record_of_a_day_takes_the_whole_day() {
        let mut today = day("2026-03-02", 0);
        today.max_started_at_ms = at("2026-03-02T09:00:00Z").as_unix_ms();
        let found = segments(
            "2026-03-01T00:00:00Z",
            "2026-03-02T09:00:01Z",
            vec![KeyColumn::User],
            &[day("2026-03-01", 0), today],
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].source, SegmentSource::Level(Level::Day));
    }

    #[test]
    fn neighbouring_ranges_meet_where_a_day_has_no_records() {
        let gone = pruned_flag(None) | pruned_flag(Some(Level::Minute));
        let mut second = day("2026-03-02", gone);
        second.min_started_at_ms = at("2026-03-02T01:00:00Z").as_unix_ms();
        second.max_started_at_ms = at("2026-03-02T20:00:00Z").as_unix_ms();
        let days = [day("2026-03-01", gone), second, day("2026-03-03", gone)];
        let days_of = |start, end| {
            let found = segments(start, end, vec![KeyColumn::User], &days);
            found.iter().map(|segment| segment.range.width_ms()).sum::<i64>() / DAY_MS
        };
        let cuts = ["2026-03-02T00:30:00Z", "2026-03-02T01:00:00Z", "2026-03-02T20:00:00.001Z"];
        for (cut, before) in cuts.into_iter().zip([1, 1, 2]) {
            assert_eq!(days_of("2026-03-01T00:00:00Z", cut), before, "until {cut}");
            assert_eq!(days_of(cut, "2026-03-04T00:00:00Z"), 3 - before, "from {cut}");
        }
        assert_eq!(days_of("2026-03-02T00:10:00Z", "2026-03-02T00:50:00Z"), 0);
        assert_eq!(days_of("2026-03-02T21:00:00Z", "2026-03-02T22:00:00Z"), 0);
    }

    #[test]
    fn pruned_levels_are_not_read() {
        let gone = pruned_flag(None) | pruned_flag(Some(Level::Minute));
        let days = [day("2026-03-01", gone), day("2026-03-02", 0)];
        let found = segments("2026-03-01T10:07:00Z", "2026-03-02T00:01:00Z", Vec::new(), &days);
        let levels: Vec<SegmentSource> = found.iter().map(|segment| segment.source).collect();
        use SegmentSource::Level as L;
        assert_eq!(levels, [L(Level::QuarterHour), L(Level::Minute)]);
    }

    #[test]
    fn nothing_lies_outside_the_days_with_data() {
        assert!(
            segments("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z", Vec::new(), &[]).is_empty()
        );
    }
}
