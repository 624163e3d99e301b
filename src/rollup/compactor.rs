//! The compactor: raw rows after the watermark into the rollups, in bounded steps.

use std::time::Duration;

use super::aggregate::Aggregate;
use super::pace::next_size;
use crate::config::CompactorConfig;
use crate::error::Result;
use crate::model::Timestamp;
use crate::store::{RollupDelta, Store, WriteGate, Writing};

/// Rows of the first step, of which nobody knows how long it takes.
const FIRST_ROWS: u32 = 1_000;
/// Fewest rows of a step: fewer would spend more on the transaction, and on rollup rows that many rows share, than on
/// the rows.
const MIN_ROWS: u32 = 200;
/// How long a merge may keep the writing thread when nobody waits for it: the larger a step, the more of its rows
/// meet in one rollup row.
const IDLE_US: u64 = 400_000;
/// How long it may when records come in.
const BUSY_US: u64 = 5_000;
/// How long it may when they come in faster than they are rolled up.
const OUTPACED_US: u64 = 200_000;

/// Steps of so many rows are worth it to merge them with what is stored beforehand, on the compactor's own thread:
/// senders wait for nothing but the writing. Larger steps would take more memory, and are taken when nobody waits.
const FORESEEN_ROWS: u32 = 5_000;

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
    /// Records that had come in when the last merge ended.
    taken_records: u64,
}

impl Compactor {
    /// A compactor of `store`.
    pub fn new(store: Store, config: &CompactorConfig) -> Self {
        Self {
            store,
            max_rows: config.max_rows.max(MIN_ROWS),
            step_rows: FIRST_ROWS.min(config.max_rows.max(MIN_ROWS)),
            taken_records: 0,
        }
    }

    /// Rolls up the next rows; [`Progress::rows`] is 0 when there are none.
    ///
    /// Aggregation happens on the calling thread; only the merge runs on the writing thread.
    ///
    /// # Errors
    /// When the file cannot be read or written; the next call tries the same rows again.
    pub fn run_once(&mut self, gate: &dyn WriteGate, now: Timestamp) -> Result<Progress> {
        let step = self.aggregate(None)?;
        let (from_seq, upto_seq, rows, more) =
            (step.from_seq, step.upto_seq, step.rows, step.is_full);
        if rows == 0 || !self.merge(gate, step, now)?.wait()? {
            return Ok(Progress { watermark_seq: from_seq, ..Progress::default() });
        }
        Ok(Progress { rows, watermark_seq: upto_seq, more })
    }

    /// Rolls up until no step is full, `merged` hearing of each step's rows and of the microseconds that their merge
    /// kept the writing thread, and saying whether to go on; the next step is aggregated while the one before is merged.
    ///
    /// # Errors
    /// As [`run_once`](Self::run_once); the steps before the failure are done.
    pub fn run(
        &mut self,
        gate: &dyn WriteGate,
        now: Timestamp,
        merged: &mut dyn FnMut(&mut Self, u32, u64) -> bool,
    ) -> Result<()> {
        let mut step = self.aggregate(None)?;
        loop {
            let (rows, upto_seq, is_full) = (step.rows, step.upto_seq, step.is_full);
            if rows == 0 {
                return Ok(());
            }
            let merge = self.merge(gate, step, now)?;
            let next = if is_full { Some(self.aggregate(Some(upto_seq))) } else { None };
            let (is_merged, merge_us) = merge.wait_timed()?;
            if !is_merged || !merged(self, rows, merge_us) {
                return Ok(());
            }
            match next {
                Some(next) => step = next?,
                None => return Ok(()),
            }
        }
    }

    /// Tells how long the merge of `rows` kept senders waiting, so that the next step fits; gives how long to rest, so
    /// that whoever sends records has the writing thread half of the time.
    ///
    /// `taken_records`: all that have come in so far.
    pub fn adapt(&mut self, rows: u32, merge_us: u64, taken_records: u64) -> Duration {
        let arrived = taken_records.saturating_sub(self.taken_records);
        self.taken_records = taken_records;
        let target_us = match arrived {
            0 => IDLE_US,
            _ if arrived < u64::from(rows) => BUSY_US,
            _ => OUTPACED_US,
        };
        self.step_rows = next_size(rows, merge_us, target_us, MIN_ROWS..=self.max_rows);
        let rest_us = if arrived > 0 { merge_us.min(target_us) } else { 0 };
        Duration::from_micros(rest_us)
    }

    /// Starts the merge on the writing thread; it tells whether the watermark stood where the step began.
    fn merge(&self, gate: &dyn WriteGate, mut step: Step, now: Timestamp) -> Result<Writing<bool>> {
        if step.rows <= FORESEEN_ROWS {
            step.delta.foresee(&self.store)?;
        }
        gate.start(move |writer| {
            writer.merge_rollups(step.delta, step.from_seq, step.upto_seq, now)
        })
    }

    /// Aggregates the rows after `from_seq`, by default after the watermark.
    fn aggregate(&self, from_seq: Option<i64>) -> Result<Step> {
        self.store.read(|reader| {
            let from_seq = match from_seq {
                Some(seq) => seq,
                None => reader.watermark_seq()?,
            };
            let mut upto_seq = from_seq;
            let mut rows = 0;
            let mut aggregate = Aggregate::default();
            reader.rows_after(from_seq, self.step_rows, |row| {
                aggregate.add(row);
                upto_seq = row.seq;
                rows += 1;
            })?;
            let is_full = rows == self.step_rows;
            Ok(Step { from_seq, upto_seq, rows, is_full, delta: aggregate.finish() })
        })
    }
}

/// Aggregated rows that are not merged yet.
struct Step {
    from_seq: i64,
    upto_seq: i64,
    rows: u32,
    /// There may be more rows than these.
    is_full: bool,
    delta: RollupDelta,
}
