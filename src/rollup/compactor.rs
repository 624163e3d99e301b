//! The compactor: raw rows after the watermark into the rollups, in bounded steps.

use super::aggregate::Aggregate;
use crate::config::CompactorConfig;
use crate::error::Result;
use crate::model::Timestamp;
use crate::store::{RollupDelta, Store, WriteGate};

/// Fewest rows of a step: fewer would spend more on the transaction than on the rows.
const MIN_ROWS: u32 = 1_000;

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Raw rows rolled up.
    pub rows: u32,
    /// The watermark afterwards.
    pub watermark_seq: i64,
    /// There were more rows than one step takes.
    pub more: bool,
}

/// Rolls up in steps that keep the writing thread for a bounded time.
#[derive(Debug)]
pub struct Compactor {
    store: Store,
    max_rows: u32,
    step_rows: u32,
}

impl Compactor {
    /// A compactor of `store`.
    pub fn new(store: Store, config: &CompactorConfig) -> Self {
        Self { store, max_rows: config.max_rows.max(MIN_ROWS), step_rows: MIN_ROWS }
    }

    /// Rolls up the next rows; [`Progress::rows`] is 0 when there are none.
    ///
    /// Aggregation happens on the calling thread; only the merge runs on the writing thread.
    ///
    /// # Errors
    /// When the file cannot be read or written; the next call tries the same rows again.
    pub fn run_once(&mut self, gate: &dyn WriteGate, now: Timestamp) -> Result<Progress> {
        let limit = self.step_rows;
        let (from_seq, upto_seq, rows, delta) = self.aggregate(limit)?;
        if rows == 0 {
            return Ok(Progress { watermark_seq: from_seq, ..Progress::default() });
        }
        let moved =
            gate.write(move |writer| writer.merge_rollups(delta, from_seq, upto_seq, now))?;
        let watermark_seq = if moved { upto_seq } else { from_seq };
        Ok(Progress { rows: if moved { rows } else { 0 }, watermark_seq, more: rows == limit })
    }

    /// Tells how long the last merge may have kept senders waiting, so that the next step fits.
    ///
    /// `busy` steps aim at 20 ms a merge, others at 200 ms, which rolls up faster.
    pub fn adapt(&mut self, last_step_us: u64, busy: bool) {
        let target_us = if busy { 20_000 } else { 200_000 };
        let rows = u64::from(self.step_rows);
        let fitting = rows.saturating_mul(target_us) / last_step_us.max(1);
        // At most doubled at a time, so that one lucky step does not make the next one long.
        let next = fitting.min(rows * 2);
        self.step_rows = u32::try_from(next).unwrap_or(u32::MAX).clamp(MIN_ROWS, self.max_rows);
    }

    fn aggregate(&self, limit: u32) -> Result<(i64, i64, u32, RollupDelta)> {
        self.store.read(|reader| {
            let from_seq = reader.watermark_seq()?;
            let mut upto_seq = from_seq;
            let mut rows = 0;
            let mut aggregate = Aggregate::default();
            reader.rows_after(from_seq, limit, |row| {
                aggregate.add(row);
                upto_seq = row.seq;
                rows += 1;
            })?;
            Ok((from_seq, upto_seq, rows, aggregate.finish()))
        })
    }
}
