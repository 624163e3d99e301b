//! Sums that are kept, and brought up to date with what came since.

use std::sync::Arc;

use super::super::gathered::Gathered;
use super::super::packed::Packed;
use super::super::parts::{next_hours, next_part};
use super::super::plan::{Segment, SegmentSource};
use super::super::sealed::{SealedCache, SealedKey, SinceSeal};
use super::super::table::Table;
use super::{Run, bucket_of, touched};
use crate::error::Result;
use crate::model::time::QUARTER_HOUR_MS;
use crate::model::{Grouping, Level, TimeRange, Timestamp};
use crate::store::{DayRow, pruned_flag};

/// A part of a range that is read in one go.
#[derive(Clone, Copy, Debug)]
struct Piece {
    source: SegmentSource,
    range: TimeRange,
    /// Its sum is worth keeping.
    is_kept: bool,
}

impl Piece {
    /// Its sum is worth keeping for a quarter of an hour or longer.
    fn is_lasting(&self, open: Timestamp) -> bool {
        let is_whole = |at: Timestamp| at.floor_to(QUARTER_HOUR_MS) == at;
        let TimeRange { start, end } = self.range;
        self.is_kept && end <= open && is_whole(start) && is_whole(end)
    }
}

/// What keeping sums depends on besides the pieces.
#[derive(Clone, Copy)]
struct Keeping<'a> {
    grouping: Grouping,
    days: &'a [DayRow],
    sealed: &'a SealedCache,
    upto_seq: i64,
}

impl Run<'_> {
    pub(super) fn rollups(
        &mut self,
        grouping: Grouping,
        segments: &[Segment],
        days: &[DayRow],
        sealed: &SealedCache,
    ) -> Result<()> {
        let open = Timestamp::from_unix_ms(days.last().map_or(i64::MIN, |day| day.day_ms));
        let pieces: Vec<Piece> =
            segments.iter().flat_map(|segment| self.pieces(*segment, open)).collect();
        let keeping = Keeping { grouping, days, sealed, upto_seq: self.reader.watermark_seq()? };
        let are_many = self.boundaries.len() == 2 && !self.groups.dimensions.is_empty();
        let are_one = are_many && self.kinds.is_empty();
        let is_next = |a: &Piece, b: &Piece| a.range.end == b.range.start;
        let lasts = |piece: &Piece| piece.is_lasting(open);
        for run in pieces.chunk_by(|a, b| are_one && is_next(a, b) && lasts(a) && lasts(b)) {
            self.add_pieces(keeping, run)?;
        }
        Ok(())
    }

    /// Neighbours of very many groups are kept as one sum too: merging them is most of an answer.
    fn add_pieces(&mut self, keeping: Keeping<'_>, pieces: &[Piece]) -> Result<()> {
        match pieces {
            [piece] if piece.is_kept => {
                self.sealed_part(keeping, pieces, |run| run.read_piece(keeping, *piece))
            }
            [piece] => self.read_piece(keeping, *piece),
            _ => self.sealed_part(keeping, pieces, |run| {
                pieces.chunks(1).try_for_each(|piece| run.add_pieces(keeping, piece))
            }),
        }
    }

    fn read_piece(&mut self, keeping: Keeping<'_>, piece: Piece) -> Result<()> {
        match piece.source {
            SegmentSource::Raw => self.raw(piece.range, None, Some(keeping.upto_seq)),
            SegmentSource::Level(level) => self.level(keeping.grouping, level, piece.range),
        }
    }

    /// The pieces of a segment; `open` is when the newest day began.
    fn pieces(&self, segment: Segment, open: Timestamp) -> Vec<Piece> {
        match segment.source {
            SegmentSource::Raw => self.raw_pieces(segment.range, open),
            SegmentSource::Level(Level::Day) => self.day_pieces(segment.range, open),
            SegmentSource::Level(level) => self.finer_pieces(level, segment.range, open),
        }
    }

    /// Days that are over together, the newest, which changes all the time, by itself.
    fn day_pieces(&self, range: TimeRange, open: Timestamp) -> Vec<Piece> {
        let cut = open.clamp(range.start, range.end);
        let source = SegmentSource::Level(Level::Day);
        [TimeRange::new(range.start, cut), TimeRange::new(cut, range.end)]
            .into_iter()
            .filter(|range| !range.is_empty())
            .map(|range| Piece { source, range, is_kept: true })
            .collect()
    }

    /// Levels finer than days: whole hours of each day that is over together, because a range that ends now loses
    /// its first minutes as it moves on, and keeps the hours after them.
    fn finer_pieces(&self, level: Level, range: TimeRange, open: Timestamp) -> Vec<Piece> {
        let next = |from| next_hours(from, open, range.end);
        let source = SegmentSource::Level(level);
        cut_by(range, next).map(|(range, is_kept)| Piece { source, range, is_kept }).collect()
    }

    /// Raw rows of a part of a day that is over. A range that ends now and began weeks ago moves on with
    /// every look; what lies between quarter hours is the same for a quarter of an hour, and each whole minute
    /// before and after as long as it is in the range.
    fn raw_pieces(&self, range: TimeRange, open: Timestamp) -> Vec<Piece> {
        let closed_end = range.end.min(open).max(range.start);
        let next = |from| next_part(from, closed_end, range.end);
        cut_by(range, next)
            .map(|(range, is_kept)| Piece { source: SegmentSource::Raw, range, is_kept })
            .collect()
    }

    /// Adds the sum of neighbours, which is kept.
    fn sealed_part(
        &mut self,
        Keeping { grouping, days, sealed, .. }: Keeping<'_>,
        pieces: &[Piece],
        read: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return Ok(()) };
        let range = TimeRange::new(first.range.start, last.range.end);
        let changed_seq = touched(days, range).map(|day| day.changed_seq).max().unwrap_or(0);
        let key = SealedKey {
            grouping,
            sources: pieces.iter().map(|piece| piece.source).collect(),
            range,
            boundaries: self.inner_boundaries(range),
            dimensions: self.groups.dimensions.clone(),
            filter: self.filter.clone(),
            columns: self.gathered.columns().to_vec(),
            kinds: self.kinds.to_vec(),
        };
        let Some((part, known_seq)) = sealed.get(&key) else {
            return self.keep(key, changed_seq, sealed, read);
        };
        let is_pruned = touched(days, range).any(|day| day.pruned & pruned_flag(None) != 0);
        let since = SinceSeal::of(known_seq, changed_seq, is_pruned);
        let add_later = |run: &mut Self| run.raw(range, Some(known_seq), Some(changed_seq));
        match since {
            SinceSeal::Nothing => self.gathered.add_part(part),
            SinceSeal::Few => {
                self.gathered.add_part(part);
                add_later(self)?;
            }
            SinceSeal::Some => self.keep(key, changed_seq, sealed, |run| {
                run.gathered.add_part(part);
                add_later(run)
            })?,
            SinceSeal::Much => self.keep(key, changed_seq, sealed, read)?,
        }
        Ok(())
    }

    /// Adds what `read` adds, and keeps it.
    fn keep(
        &mut self,
        key: SealedKey,
        changed_seq: i64,
        sealed: &SealedCache,
        read: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let columns = self.gathered.columns().to_vec();
        let empty = Table::new(columns, self.kinds.to_vec(), false);
        let empty = Gathered::new(self.groups.dimensions.len(), empty);
        let whole = std::mem::replace(&mut self.gathered, empty);
        let damaged_before = std::mem::take(&mut self.damaged);
        let read = read(self);
        let part = std::mem::replace(&mut self.gathered, whole);
        read?;
        let part = Arc::new(Packed::of(part));
        self.gathered.add_part(Arc::clone(&part));
        // What could not be read whole is read again, in case it is mended meanwhile.
        if !self.damaged {
            sealed.put(key, changed_seq, part);
        }
        self.damaged |= damaged_before;
        Ok(())
    }

    /// The boundaries that decide which bucket a day of `range` falls in: not the outer ones, beyond which lies nothing
    /// that counts for another bucket, and which move on all the time when the range ends now.
    fn inner_boundaries(&self, range: TimeRange) -> Vec<(Timestamp, u32)> {
        let from = bucket_of(self.boundaries, range.start.as_unix_ms());
        let between = self.boundaries.get(1..self.boundaries.len().max(2) - 1).unwrap_or_default();
        let inner = between.iter().zip(1u32..);
        let inner = inner.filter(|(at, _)| range.contains(**at) && **at > range.start);
        std::iter::once((range.start, from)).chain(inner.map(|(at, index)| (*at, index))).collect()
    }
}

/// Cuts a range into the parts that `next` gives for the end of the one before.
fn cut_by(
    range: TimeRange,
    next: impl Fn(Timestamp) -> (TimeRange, bool),
) -> impl Iterator<Item = (TimeRange, bool)> {
    let mut from = range.start;
    std::iter::from_fn(move || {
        (from < range.end).then(|| {
            let part = next(from);
            from = part.0.end;
            part
        })
    })
}
