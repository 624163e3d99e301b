//! The planner, a pure function: which rollup levels and which raw rows serve a query.
//!
//! A range is cut into the fewest buckets that cover it exactly: days inside, then quarter hours, then minutes, and raw rows
//! at its ragged edges. Rows after the watermark (the tail) are always read raw.

use crate::model::time::DAY_MS;
use crate::model::{Dimension, Filter, Grouping, KeyColumn, Level, ROLLUPS, TimeRange, Timestamp};
use crate::store::{DayRow, pruned_flag};

/// A part of a range that is read from one rollup level or from raw rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Rollup rows whose bucket starts in the range; `None`: raw rows up to the watermark.
    pub(super) level: Option<Level>,
    pub(super) range: TimeRange,
}

/// How a query is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Everything from raw rows, those after the watermark included.
    Raw,
    /// Segments from rollups and raw rows up to the watermark, then the tail.
    Rollups {
        grouping: Grouping,
        /// In order of time; together they cover the range.
        segments: Vec<Segment>,
        /// Whether retention deleted rows that an exact result needs.
        incomplete: bool,
    },
}

/// What the planner needs to know about a query.
#[derive(Clone, Debug)]
pub(super) struct Shape<'a> {
    pub(super) range: TimeRange,
    /// Instants that no bucket may straddle, in order: the boundaries of the result's buckets.
    pub(super) boundaries: &'a [Timestamp],
    /// Key columns of the dimensions that the query groups or filters by.
    pub(super) keys: Vec<KeyColumn>,
    /// Whether the query needs distributions.
    pub(super) sketches: bool,
    /// Whether only raw rows have what the query needs.
    pub(super) raw_only: bool,
}

/// The key columns of the dimensions that a query groups or filters by, sorted, each once.
pub(super) fn key_columns(filter: &Filter, group_by: &[Dimension]) -> Vec<KeyColumn> {
    let filtered = [
        (KeyColumn::Space, &filter.spaces),
        (KeyColumn::User, &filter.users),
        (KeyColumn::Model, &filter.models),
        (KeyColumn::Model, &filter.providers),
    ];
    let filtered = filtered.into_iter().filter(|(_, names)| !names.is_empty()).map(|(key, _)| key);
    let grouped = group_by.iter().filter_map(|dimension| KeyColumn::of(*dimension));
    let mut keys: Vec<KeyColumn> = grouped.chain(filtered).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The cheapest rollup with these keys, and with sketches if they are needed.
fn grouping_for(keys: &[KeyColumn], sketches: bool) -> Option<Grouping> {
    ROLLUPS
        .iter()
        .filter(|rollup| rollup.sketches || !sketches)
        .find(|rollup| keys.iter().all(|key| rollup.grouping.keys().contains(key)))
        .map(|rollup| rollup.grouping)
}

/// Whether distributions by these keys cost no further reads: a rollup has them, or raw rows are read anyway.
pub(super) fn sketches_are_cheap(keys: &[KeyColumn]) -> bool {
    grouping_for(keys, true).is_some() || grouping_for(keys, false).is_none()
}

/// Plans a query over the days that have data.
pub(super) fn plan(shape: &Shape<'_>, days: &[DayRow]) -> Plan {
    if shape.raw_only {
        return Plan::Raw;
    }
    let Some(grouping) = grouping_for(&shape.keys, shape.sketches) else { return Plan::Raw };
    let mut cover = Cover { segments: Vec::new(), incomplete: false };
    for (range, pruned) in equally_pruned(widen_to_data(shape.range, days), days) {
        let levels = grouping.rollup().levels.iter().rev().map(|level| Some(*level));
        let kept: Vec<Option<Level>> =
            levels.chain([None]).filter(|level| pruned & pruned_flag(*level) == 0).collect();
        let finest = kept.iter().rev().find_map(|level| *level);
        for range in cut(range, shape.boundaries) {
            cover.add(range, &kept, finest);
        }
    }
    Plan::Rollups { grouping, segments: cover.segments, incomplete: cover.incomplete }
}

/// Moves an edge outside the data of its day to the edge of the day. This adds no rows, and whole buckets replace raw rows.
fn widen_to_data(range: TimeRange, days: &[DayRow]) -> TimeRange {
    let empty = TimeRange::new(range.start, range.start);
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return empty };
    let TimeRange { start, end } =
        range.intersect(TimeRange::from_unix_ms(first.day_ms, last.day_ms + DAY_MS));
    if end <= start {
        return empty;
    }
    // The edge `at` of the day that contains `inside`; `without_data` if that day has no rows.
    let widened = |at: Timestamp, inside: Timestamp, without_data: Timestamp| {
        let day_ms = inside.floor_to(DAY_MS).as_unix_ms();
        match days.binary_search_by_key(&day_ms, |day| day.day_ms).map(|found| &days[found]) {
            Ok(day) if at.as_unix_ms() <= day.min_started_at_ms => Timestamp::from_unix_ms(day_ms),
            Ok(day) if at.as_unix_ms() > day.max_started_at_ms => {
                Timestamp::from_unix_ms(day_ms + DAY_MS)
            }
            Ok(_) => at,
            Err(_) => without_data,
        }
    };
    let end = widened(end, end.plus_ms(-1), end.ceil_to(DAY_MS));
    let start = widened(start, start, start.floor_to(DAY_MS));
    TimeRange::new(start, end.max(start))
}

/// Cuts a range where the pruned levels change from one day to the next.
fn equally_pruned(range: TimeRange, days: &[DayRow]) -> Vec<(TimeRange, i64)> {
    let start_of = |day: &DayRow| Timestamp::from_unix_ms(day.day_ms);
    let first = days.partition_point(|day| start_of(day).plus_ms(DAY_MS) <= range.start);
    let after = days.partition_point(|day| start_of(day) < range.end);
    let days = days.get(first..after).unwrap_or_default();
    let mut parts: Vec<(TimeRange, i64)> = Vec::new();
    for day in days.chunk_by(|a, b| a.pruned == b.pruned).filter_map(|chunk| chunk.first()) {
        let start = start_of(day).max(range.start);
        if let Some((before, _)) = parts.last_mut() {
            before.end = start;
        }
        let start = if parts.is_empty() { range.start } else { start };
        parts.push((TimeRange::new(start, range.end), day.pruned));
    }
    parts
}

/// Cuts a range at the boundaries inside it, except the first and the last boundary, beyond which there is no data.
fn cut(range: TimeRange, boundaries: &[Timestamp]) -> Vec<TimeRange> {
    let boundaries = boundaries.get(1..boundaries.len().saturating_sub(1)).unwrap_or_default();
    let mut pieces = Vec::new();
    let mut start = range.start;
    for at in boundaries.iter().filter(|at| range.start < **at && **at < range.end) {
        pieces.push(TimeRange::new(start, *at));
        start = *at;
    }
    pieces.push(TimeRange::new(start, range.end));
    pieces
}

/// The segments that cover a range.
struct Cover {
    segments: Vec<Segment>,
    incomplete: bool,
}

impl Cover {
    /// Covers a range with the first of `levels`, coarsest first, and its edges with the others.
    fn add(&mut self, range: TimeRange, levels: &[Option<Level>], finest: Option<Level>) {
        if range.is_empty() {
            return;
        }
        match levels {
            [Some(level), finer @ ..] => {
                let width_ms = level.width_ms();
                let inner =
                    TimeRange::new(range.start.ceil_to(width_ms), range.end.floor_to(width_ms));
                if inner.is_empty() {
                    return self.add(range, finer, finest);
                }
                self.add(TimeRange::new(range.start, inner.start), finer, finest);
                self.push(Segment { level: Some(*level), range: inner });
                self.add(TimeRange::new(inner.end, range.end), finer, finest);
            }
            [None, ..] => self.push(Segment { level: None, range }),
            // Part of a bucket without raw rows: the bucket counts where it starts, so that each request counts once in
            // adjacent ranges, though not to the millisecond.
            [] => {
                self.incomplete = true;
                if finest.is_some() {
                    self.push(Segment { level: finest, range });
                }
            }
        }
    }

    fn push(&mut self, segment: Segment) {
        match self.segments.last_mut() {
            Some(last) if last.level == segment.level && last.range.end == segment.range.start => {
                last.range.end = segment.range.end;
            }
            _ => self.segments.push(segment),
        }
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
        let levels: Vec<Option<Level>> = found.iter().map(|segment| segment.level).collect();
        let finer = [Some(Level::QuarterHour), Some(Level::Minute)];
        assert_eq!(levels[..4], [None, finer[1], finer[0], Some(Level::Day)]);
        assert_eq!(levels[4..], finer);
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
        assert_eq!(found[0].level, Some(Level::Day));
    }

    #[test]
    fn a_start_before_the_first_record_of_a_day_takes_the_whole_day() {
        let mut first = day("2026-03-01", 0);
        first.min_started_at_ms = at("2026-03-01T09:00:00Z").as_unix_ms();
        for start in ["2026-03-01T00:00:00Z", "2026-03-01T08:59:59Z", "2026-02-01T00:00:00Z"] {
            let found = segments(start, "2026-03-02T00:00:00Z", vec![KeyColumn::User], &[first]);
            let levels: Vec<Option<Level>> = found.iter().map(|segment| segment.level).collect();
            assert_eq!(levels, [Some(Level::Day)], "{start}");
        }
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
        let levels: Vec<Option<Level>> = found.iter().map(|segment| segment.level).collect();
        assert_eq!(levels, [Some(Level::QuarterHour), Some(Level::Minute)]);
    }

    #[test]
    fn nothing_lies_outside_the_days_with_data() {
        assert!(
            segments("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z", Vec::new(), &[]).is_empty()
        );
    }
}
