//! A sink that shows the progress of an import and records it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Checkpoint, Input, Rejection, RowSink};
use crate::error::Result;
use crate::model::RequestRecord;
use crate::service::AppendReport;

/// Number of rows between two updates of the progress bar, because reading the position has a cost.
const ROWS_PER_UPDATE: u64 = 1_000;

/// Forwards rows, updates the progress bar and saves the checkpoint.
pub(super) struct TrackedSink<'a> {
    inner: &'a mut dyn RowSink,
    checkpoint: Option<Checkpoint>,
    /// Draws on standard error, and only on a terminal.
    bar: ProgressBar,
    bytes_read: Arc<AtomicU64>,
    rows: u64,
}

impl fmt::Debug for TrackedSink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackedSink").field("checkpoint", &self.checkpoint).finish_non_exhaustive()
    }
}

impl<'a> TrackedSink<'a> {
    pub(super) fn new(
        inner: &'a mut dyn RowSink,
        checkpoint: Option<Checkpoint>,
        input: &Input,
    ) -> Self {
        let (bar, template) = match input.bytes_total {
            Some(bytes) => {
                (ProgressBar::new(bytes), "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
            }
            None => (ProgressBar::no_length(), "{spinner} {bytes} {bytes_per_sec}"),
        };
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self { inner, checkpoint, bar, bytes_read: Arc::clone(&input.bytes_read), rows: 0 }
    }

    /// Removes the bar and the checkpoint after everything is stored.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
        if let Some(checkpoint) = self.checkpoint {
            checkpoint.clear();
        }
    }
}

impl RowSink for TrackedSink<'_> {
    fn parse(&mut self, json: &[u8]) -> Result<RequestRecord, Rejection> {
        self.rows += 1;
        if self.rows.is_multiple_of(ROWS_PER_UPDATE) {
            self.bar.set_position(self.bytes_read.load(Ordering::Relaxed));
        }
        self.inner.parse(json)
    }

    fn store(&mut self, records: Vec<RequestRecord>, rows: u64) -> Result<AppendReport> {
        let report = self.inner.store(records, rows)?;
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.save(rows)?;
        }
        Ok(report)
    }
}
