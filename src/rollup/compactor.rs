//! The compactor: rolls up the raw rows after the watermark in bounded steps.

use std::time::Duration;

use super::aggregate::Aggregate;
use super::pace::{CompactorPace, SenderLoad, StepDone};
use crate::config::CompactorConfig;
use crate::error::Result;
use crate::model::Timestamp;
use crate::store::{RollupDelta, Store, WriteGate, Writing};

/// Largest step, in rows, whose rollup rows are merged with the stored ones in advance on the compactor's own thread, so
/// that the writer thread only writes. For larger steps that would take too much memory; the writer thread merges them.
const PREMERGE_ROWS: u32 = 5_000;

/// Rolls up raw rows in steps that occupy the writer thread for a bounded time.
#[derive(Debug)]
pub struct Compactor {
    store: Store,
    pace: CompactorPace,
}

impl Compactor {
    /// Creates a compactor of `store`.
    pub fn new(store: Store, config: &CompactorConfig) -> Self {
        Self { store, pace: CompactorPace::new(config.max_rows) }
    }

    /// Rolls up until a step is not full, `merged`, called after each step, returns false, or another process has moved the
    /// watermark. `now` is noted as the time at which the rollups changed.
    ///
    /// Steps are aggregated, and small ones merged with the stored rows, on the calling thread, each while the writer thread
    /// writes the one before.
    ///
    /// # Errors
    /// When the file cannot be read or written; the steps before the failure remain done, and the
    /// next call retries the same rows.
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

    /// Marks the start of a [`run`](Self::run). All times are of one monotonic clock.
    pub(crate) const fn begin(&mut self, now_us: u64) {
        self.pace.begin(now_us);
    }

    /// Adapts the size of the next step to be aggregated, and returns how long to rest so that senders' commits get through.
    ///
    /// `load` is the senders' use of the writer thread since the process started.
    pub(crate) fn adapt(&mut self, step: StepDone, now_us: u64, load: SenderLoad) -> Duration {
        self.pace.step_done(step, now_us, load)
    }

    /// Merges a small step with the stored rows, and starts the writing of any on the writer thread; its result is false
    /// when the watermark has moved since the step began.
    fn merge(
        &self,
        gate: &dyn WriteGate,
        mut step: CompactionStep,
        now: Timestamp,
    ) -> Result<Writing<bool>> {
        if step.rows <= PREMERGE_ROWS {
            step.delta.foresee(&self.store)?;
        }
        gate.start(move |writer| {
            writer.merge_rollups(step.delta, step.from_seq, step.upto_seq, now)
        })
    }

    /// Aggregates the rows after `from_seq`, or after the watermark if `None`.
    fn aggregate(&self, from_seq: Option<i64>) -> Result<CompactionStep> {
        self.store.read(|reader| {
            let from_seq = match from_seq {
                Some(seq) => seq,
                None => reader.watermark_seq()?,
            };
            let mut upto_seq = from_seq;
            let mut rows = 0;
            let mut aggregate = Aggregate::default();
            let step_rows = self.pace.step_rows;
            reader.rows_after(from_seq, step_rows, |row| {
                aggregate.add(row);
                upto_seq = row.seq;
                rows += 1;
            })?;
            let is_full = rows == step_rows;
            Ok(CompactionStep { from_seq, upto_seq, rows, is_full, delta: aggregate.finish() })
        })
    }
}

/// Aggregated rows that are not yet merged.
struct CompactionStep {
    from_seq: i64,
    upto_seq: i64,
    rows: u32,
    /// Whether there may be more rows.
    is_full: bool,
    delta: RollupDelta,
}
