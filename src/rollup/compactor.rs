//! The compactor: raw rows after the watermark into the rollups, in bounded steps.

use std::time::Duration;

use super::aggregate::Aggregate;
use super::pace::{Pace, SenderLoad, StepDone};
use crate::config::CompactorConfig;
use crate::error::Result;
use crate::model::Timestamp;
use crate::store::{RollupDelta, Store, WriteGate, Writing};

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
    pace: Pace,
}

impl Compactor {
    /// A compactor of `store`.
    pub fn new(store: Store, config: &CompactorConfig) -> Self {
        Self { store, pace: Pace::new(config.max_rows) }
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

    /// Rolls up until no step is full, `merged` hearing of each step and saying whether to go on; the next step is
    /// aggregated while the one before is merged.
    ///
    /// # Errors
    /// As [`run_once`](Self::run_once); the steps before the failure are done.
    pub fn run(
        &mut self,
        gate: &dyn WriteGate,
        now: Timestamp,
        merged: &mut dyn FnMut(&mut Self, StepDone) -> bool,
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
            if !is_merged || !merged(self, StepDone { rows, is_full, merge_us }) {
                return Ok(());
            }
            match next {
                Some(next) => step = next?,
                None => return Ok(()),
            }
        }
    }

    /// Tells that [`run`](Self::run) is about to begin; all instants are of one monotonic clock.
    pub const fn begin(&mut self, now_us: u64) {
        self.pace.begin(now_us);
    }

    /// Learns from a step how large the next may be; gives how long to rest, so that senders get through.
    ///
    /// `load`: what senders have had of the writing thread since the start.
    pub fn adapt(&mut self, step: StepDone, now_us: u64, load: SenderLoad) -> Duration {
        self.pace.step_done(step, now_us, load)
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
            let step_rows = self.pace.step_rows();
            reader.rows_after(from_seq, step_rows, |row| {
                aggregate.add(row);
                upto_seq = row.seq;
                rows += 1;
            })?;
            let is_full = rows == step_rows;
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
