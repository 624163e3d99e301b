//! Hands the batches of a body to the writer and gathers their outcomes.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::Error;
use crate::http::problem::{Problem, Stored};
use crate::ingest::wire::{ParsedRecords, Rejection, Rejections};
use crate::model::RequestRecord;
use crate::service::{AppendReport, Chatgauge, OnCommitted};

/// Maximum number of records in a batch. A body with at most this number is stored completely or, if it is unreadable, not
/// at all; of an unreadable body of LiteLLM, which does not send again, what comes before the fault is stored.
pub(crate) const BATCH_RECORDS_MAX: usize = 10_000;
/// Maximum number of batches in flight while the next one is decoded.
const IN_FLIGHT_MAX: usize = 1;
/// Number and duration of the waits for room in the queue, for a sender that does not retry.
const ROOM_TRIES: u32 = 20;
const ROOM_WAIT: Duration = Duration::from_millis(100);

/// Accepts the batches of a body.
pub(crate) trait BatchSink<B> {
    /// Hands a batch to the writer; waits while too many are in flight.
    ///
    /// # Errors
    /// If a batch cannot be stored.
    fn accept(&mut self, batch: B) -> impl Future<Output = Result<(), Problem>> + Send;
}

/// The queue of the writer.
pub(crate) trait WriterQueue: Clone + Send + Sync + 'static {
    /// See [`Chatgauge::submit`].
    fn submit(&self, batch: Vec<RequestRecord>, on_committed: OnCommitted) -> Result<(), Error>;

    /// See [`Chatgauge::has_room`].
    fn has_room(&self, records: usize) -> bool;
}

impl WriterQueue for Chatgauge {
    fn submit(&self, batch: Vec<RequestRecord>, on_committed: OnCommitted) -> Result<(), Error> {
        Self::submit(self, batch, on_committed)
    }

    fn has_room(&self, records: usize) -> bool {
        Self::has_room(self, records)
    }
}

/// Called on the writer's thread with the outcome of a batch: it must be short.
pub(crate) type OnStored = Box<dyn FnOnce(&Result<AppendReport, Error>) + Send>;

/// A batch in flight.
#[derive(Debug)]
struct Pending {
    /// The positions of its records in the body.
    indexes: Vec<usize>,
    committed: oneshot::Receiver<Result<AppendReport, Error>>,
}

/// Hands the records of a body to the writer and gathers their outcomes.
#[derive(Debug)]
pub(crate) struct RecordSink<Q = Chatgauge> {
    queue: Q,
    batch_records_max: usize,
    waits_for_room: bool,
    pending: VecDeque<Pending>,
    /// Records stored so far.
    pub(crate) stored: Stored,
    /// Records that the writer rejected and counted.
    pub(crate) rejections: Rejections,
}

impl<Q: WriterQueue> RecordSink<Q> {
    /// A sink for one body. Batches are at most `queue_records_max` records, because a larger one would never be accepted.
    pub(crate) fn new(queue: Q, queue_records_max: usize) -> Self {
        Self {
            queue,
            batch_records_max: BATCH_RECORDS_MAX.min(queue_records_max).max(1),
            waits_for_room: false,
            pending: VecDeque::new(),
            stored: Stored::default(),
            rejections: Rejections::default(),
        }
    }

    /// Waits while the queue is full, for a sender that does not retry.
    pub(crate) const fn waiting_for_room(mut self) -> Self {
        self.waits_for_room = true;
        self
    }

    /// Hands records to the writer as one batch.
    ///
    /// # Errors
    /// If the writer accepts no more, or an earlier batch was not stored.
    pub(crate) async fn submit(
        &mut self,
        batch: ParsedRecords,
        on_stored: OnStored,
    ) -> Result<(), Problem> {
        let ParsedRecords { records, indexes } = batch;
        for _ in 0..if self.waits_for_room { ROOM_TRIES } else { 0 } {
            if self.queue.has_room(records.len()) {
                break;
            }
            tokio::time::sleep(ROOM_WAIT).await;
        }
        let (sender, committed) = oneshot::channel();
        let on_committed: OnCommitted = Box::new(move |result| {
            on_stored(&result);
            // The receiver is gone if the client has disconnected.
            drop(sender.send(result));
        });
        self.queue.submit(records, on_committed)?;
        self.pending.push_back(Pending { indexes, committed });
        while self.pending.len() > IN_FLIGHT_MAX {
            self.settle_oldest().await?;
        }
        Ok(())
    }

    /// Waits for all batches in flight, even after a failure.
    ///
    /// # Errors
    /// The first failure.
    pub(crate) async fn settle(&mut self) -> Result<(), Problem> {
        let mut result = Ok(());
        while !self.pending.is_empty() {
            result = result.and(self.settle_oldest().await);
        }
        result
    }

    async fn settle_oldest(&mut self) -> Result<(), Problem> {
        let Some(Pending { indexes, committed }) = self.pending.pop_front() else { return Ok(()) };
        // A dropped callback means that the writer has stopped.
        let report = committed.await.map_err(|_| Error::Closed)??;
        self.stored.accepted += report.accepted;
        self.stored.duplicates += report.duplicates.len();
        for position in report.after_retention {
            self.rejections.add(Rejection {
                index: indexes.get(position).copied().unwrap_or(position),
                field: AppendReport::AFTER_RETENTION_FIELD,
                reason: AppendReport::AFTER_RETENTION.to_owned(),
            });
        }
        Ok(())
    }
}

impl<Q: WriterQueue> BatchSink<ParsedRecords> for RecordSink<Q> {
    async fn accept(&mut self, mut batch: ParsedRecords) -> Result<(), Problem> {
        while !batch.records.is_empty() {
            let size = batch.records.len().min(self.batch_records_max);
            let rest = ParsedRecords {
                records: batch.records.split_off(size),
                indexes: batch.indexes.split_off(size),
            };
            self.submit(batch, Box::new(|_| {})).await?;
            batch = rest;
        }
        Ok(())
    }
}
