//! Cuts the segments of a plan into pieces whose aggregates stay the same while a range that ends now moves on.

use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS, QUARTER_HOUR_MS};
use crate::model::{Level, TimeRange, Timestamp};
use crate::query::plan::Segment;

/// A part of a segment that is read in one go.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentPiece {
    pub(super) level: Option<Level>,
    pub(super) range: TimeRange,
    /// Whether its aggregate is worth caching.
    pub(super) is_cacheable: bool,
}

impl SegmentPiece {
    /// Whether its aggregate stays valid for a quarter of an hour or longer; `open` is the start of the newest day.
    pub(super) fn is_lasting(&self, open: Timestamp) -> bool {
        let is_whole = |at: Timestamp| at.floor_to(QUARTER_HOUR_MS) == at;
        let TimeRange { start, end } = self.range;
        self.is_cacheable && end <= open && is_whole(start) && is_whole(end)
    }
}

/// The pieces of a segment; `open` is the start of the newest day.
pub(super) fn pieces(segment: Segment, open: Timestamp) -> Vec<SegmentPiece> {
    let Segment { level, range } = segment;
    let mut pieces = Vec::new();
    let mut from = range.start;
    while from < range.end {
        let (end, is_cacheable) = match level {
            None => next_raw(from, range.end.min(open), range.end),
            // The newest day, which changes all the time, is a piece of its own.
            Some(Level::Day) if from < open => (open.min(range.end), true),
            Some(Level::Day) => (range.end, true),
            Some(_) => next_hours(from, open, range.end),
        };
        pieces.push(SegmentPiece { level, range: TimeRange::new(from, end), is_cacheable });
        from = end;
    }
    pieces
}

/// The end of the piece of raw rows that begins at `from`, and whether it is worth caching: all quarter hours up to
/// `closed_end` together, a whole minute, or the rest.
///
/// The rows between quarter hours stay the same for a quarter of an hour, and those of a whole minute before or after as
/// long as it is in the range.
fn next_raw(from: Timestamp, closed_end: Timestamp, end: Timestamp) -> (Timestamp, bool) {
    let quarters_end = closed_end.floor_to(QUARTER_HOUR_MS);
    if from.floor_to(QUARTER_HOUR_MS) == from && from < quarters_end {
        return (quarters_end, true);
    }
    let minute_end = from.plus_ms(1).ceil_to(MINUTE_MS);
    if minute_end <= closed_end {
        return (minute_end, from.floor_to(MINUTE_MS) == from);
    }
    (end, false)
}

/// The end of the piece of a level finer than days that begins at `from`, within one UTC day, and whether it is worth
/// caching: all whole hours of a day before `open` together, or the rest around them.
///
/// A range that ends now loses its first minutes as it moves on, and keeps the hours after them.
fn next_hours(from: Timestamp, open: Timestamp, end: Timestamp) -> (Timestamp, bool) {
    let day_end = from.plus_ms(1).ceil_to(DAY_MS);
    let end = end.min(day_end);
    if day_end > open {
        return (end, false);
    }
    let hours_end = end.floor_to(HOUR_MS);
    if from.floor_to(HOUR_MS) == from && from < hours_end {
        return (hours_end, true);
    }
    (from.plus_ms(1).ceil_to(HOUR_MS).min(end), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    /// The pieces of a range by minute as `MM-DDTHH:MM` of their ends, cacheable ones with a star.
    fn by_minute(start: &str, open: &str, end: &str) -> Vec<String> {
        let range = TimeRange::new(at(start), at(end));
        let pieces = pieces(Segment { level: Some(Level::Minute), range }, at(open));
        assert_eq!(pieces[0].range.start, range.start);
        assert!(pieces.windows(2).all(|pair| pair[0].range.end == pair[1].range.start));
        let text = |piece: &SegmentPiece| {
            let end = piece.range.end.to_string();
            format!("{}{}", end.get(5..16).unwrap(), if piece.is_cacheable { "*" } else { "" })
        };
        pieces.iter().map(text).collect()
    }

    #[test]
    fn whole_hours_of_past_days_are_cacheable() {
        let two_days =
            by_minute("2026-03-01T10:20:00Z", "2026-03-03T00:00:00Z", "2026-03-03T10:20:00Z");
        assert_eq!(two_days, ["03-01T11:00", "03-02T00:00*", "03-03T00:00*", "03-03T10:20"]);
        let past =
            by_minute("2026-03-01T10:20:00Z", "2026-03-04T00:00:00Z", "2026-03-02T10:20:00Z");
        assert_eq!(past, ["03-01T11:00", "03-02T00:00*", "03-02T10:00*", "03-02T10:20"]);
        let short =
            by_minute("2026-03-01T10:20:00Z", "2026-03-04T00:00:00Z", "2026-03-01T10:40:00Z");
        assert_eq!(short, ["03-01T10:40"]);
    }
}
