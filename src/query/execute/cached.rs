//! Reads a plan's segments through the cache of partial aggregates, with incremental maintenance of stale ones.

use std::sync::Arc;

use super::pieces::{SegmentPiece, pieces};
use super::{Execution, bucket_of, touched};
use crate::error::Result;
use crate::model::{Grouping, TimeRange, Timestamp};
use crate::query::aggregate_cache::{AggregateKey, Staleness};
use crate::query::plan::Segment;
use crate::store::pruned_flag;

impl Execution<'_> {
    /// Adds the segments of a plan.
    pub(super) fn add_segments(&mut self, grouping: Grouping, segments: &[Segment]) -> Result<()> {
        let open = Timestamp::from_unix_ms(self.days.last().map_or(i64::MIN, |day| day.day_ms));
        let pieces: Vec<SegmentPiece> =
            segments.iter().flat_map(|segment| pieces(*segment, open)).collect();
        // Of very many groups, most of the time goes into merging pieces: adjacent ones are also cached as one aggregate.
        let are_joined = self.boundaries.len() == 2
            && !self.groups.dimensions.is_empty()
            && self.table.kinds.is_empty();
        let joins = |a: &SegmentPiece, b: &SegmentPiece| {
            let lasting = a.is_lasting(open) && b.is_lasting(open);
            are_joined && lasting && a.range.end == b.range.start
        };
        pieces.chunk_by(joins).try_for_each(|pieces| self.add_pieces(grouping, pieces))
    }

    fn add_pieces(&mut self, grouping: Grouping, pieces: &[SegmentPiece]) -> Result<()> {
        match pieces {
            [piece] if piece.is_cacheable => {
                self.add_cached(grouping, pieces, |run| run.read_piece(grouping, *piece))
            }
            [piece] => self.read_piece(grouping, *piece),
            _ => self.add_cached(grouping, pieces, |run| {
                pieces.chunks(1).try_for_each(|piece| run.add_pieces(grouping, piece))
            }),
        }
    }

    fn read_piece(&mut self, grouping: Grouping, piece: SegmentPiece) -> Result<()> {
        match piece.level {
            None => self.add_raw(piece.range, None, Some(self.watermark_seq)),
            Some(level) => self.add_level(grouping, level, piece.range),
        }
    }

    /// Adds the aggregate of adjacent pieces, which `read` reads from the file.
    fn add_cached(
        &mut self,
        grouping: Grouping,
        pieces: &[SegmentPiece],
        read: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return Ok(()) };
        let range = TimeRange::new(first.range.start, last.range.end);
        let changed_seq = touched(self.days, range).map(|day| day.changed_seq).max().unwrap_or(0);
        let key = AggregateKey {
            grouping,
            levels: pieces.iter().map(|piece| piece.level).collect(),
            range,
            boundaries: self.inner_boundaries(range),
            dimensions: self.groups.dimensions.clone(),
            filter: self.filter.clone(),
            columns: self.table.columns.clone(),
            kinds: self.table.kinds.clone(),
        };
        let Some((aggregate, cached_seq)) = self.cache.get(&key) else {
            return self.add_computed(key, changed_seq, read);
        };
        let is_pruned = touched(self.days, range).any(|day| day.pruned & pruned_flag(None) != 0);
        let staleness = Staleness::of(cached_seq, changed_seq, is_pruned);
        let add_merged = |run: &mut Self| {
            run.table.add_run(Arc::clone(&aggregate));
            run.add_raw(range, Some(cached_seq), Some(changed_seq))
        };
        match staleness {
            Staleness::Fresh => {
                self.table.add_run(aggregate);
                Ok(())
            }
            Staleness::MergeOnRead => add_merged(self),
            Staleness::Refresh => self.add_computed(key, changed_seq, add_merged),
            Staleness::Recompute => self.add_computed(key, changed_seq, read),
        }
    }

    /// Adds and caches the aggregate of what `compute` adds.
    fn add_computed(
        &mut self,
        key: AggregateKey,
        changed_seq: i64,
        compute: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let empty = self.table.new_like();
        let result = std::mem::replace(&mut self.table, empty);
        let was_damaged = std::mem::take(&mut self.is_damaged);
        let computed = compute(self);
        let partial = std::mem::replace(&mut self.table, result);
        computed?;
        let aggregate = Arc::new(partial.into_run());
        self.table.add_run(Arc::clone(&aggregate));
        // After damage, the next query reads the file again, in case it is repaired meanwhile.
        if !self.is_damaged {
            self.cache.put(key, changed_seq, aggregate);
        }
        self.is_damaged |= was_damaged;
        Ok(())
    }

    /// The boundaries that decide the bucket of a row in `range`, each with the bucket that begins there. The outer ones are
    /// omitted, because they decide nothing and move on all the time if the query's range ends now.
    fn inner_boundaries(&self, range: TimeRange) -> Vec<(Timestamp, u32)> {
        let from = bucket_of(self.boundaries, range.start.as_unix_ms());
        let between = self.boundaries.get(1..self.boundaries.len().max(2) - 1).unwrap_or_default();
        let inner = between.iter().copied().zip(1u32..);
        let inner = inner.filter(|(at, _)| range.contains(*at) && *at > range.start);
        std::iter::once((range.start, from)).chain(inner).collect()
    }
}
