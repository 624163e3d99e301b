//! Where the batches of a body go: to the writer, and back to one report.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::Error;
use crate::http::problem::{Problem, Stored};
use crate::ingest::wire::{ParsedRecords, Rejections};
use crate::model::RequestRecord;
use crate::service::{AppendReport, Chatgauge, OnCommitted};

/// Maximum number of records in a batch. A body with fewer is stored as a whole or, when it turns out unreadable, not at
/// all.
pub(crate) const BATCH_RECORDS_MAX: usize = 10_000;
/// Batches in flight while the next one is decoded: one commits while one is decoded.
const IN_FLIGHT_MAX: usize = 1;
/// How often, and how long each time, a sender that does not retry waits for room in the queue.
const ROOM_TRIES: u32 = 20;
const ROOM_WAIT: Duration = Duration::from_millis(100);

/// Accepts the batches of a body.
pub(crate) trait BatchSink<B> {
    /// Hands a batch to the writer; waits while too many are in flight.
    ///
    /// # Errors
    /// When a batch cannot be stored.
    fn accept(&mut self, batch: B) -> impl Future<Output = Result<(), Problem>> + Send;
}

/// The queue of the writer.
pub(crate) trait Queue: Clone + Send + Sync + 'static {
    /// See [`Chatgauge::submit`].
    fn submit(&self, batch: Vec<RequestRecord>, on_committed: OnCommitted) -> Result<(), Error>;

    /// See [`Chatgauge::has_room`].
    fn has_room(&self, records: usize) -> bool;
}

impl Queue for Chatgauge {
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
    /// The places of its records in the body.
    indexes: Vec<usize>,
    committed: oneshot::Receiver<Result<AppendReport, Error>>,
}

/// Hands the records of a body to the writer and gathers what became of them.
#[derive(Debug)]
pub(crate) struct RecordSink<Q = Chatgauge> {
    queue: Q,
    batch_records_max: usize,
    waits_for_room: bool,
    pending: VecDeque<Pending>,
    stored: Stored,
    rejections: Rejections,
}

impl<Q: Queue> RecordSink<Q> {
    /// A sink of a body of which nothing was stored. A batch larger than `queue_records_max` would never be accepted.
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

    /// The same for a sender that does not send again: a full queue is waited for.
    pub(crate) const fn waiting_for_room(mut self) -> Self {
        self.waits_for_room = true;
        self
    }

    /// Hands records to the writer as one batch.
    ///
    /// # Errors
    /// When the writer accepts no more, or a batch before was not stored.
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
            // Nobody listens when the sender of the body has gone away.
            drop(sender.send(result));
        });
        self.queue.submit(records, on_committed)?;
        self.pending.push_back(Pending { indexes, committed });
        while self.pending.len() > IN_FLIGHT_MAX {
            self.settle_oldest().await?;
        }
        Ok(())
    }

    /// Waits for every batch in flight, whatever became of the others.
    ///
    /// # Errors
    /// The first failure; [`stored`](Self::stored) says what was stored all the same.
    pub(crate) async fn settle(&mut self) -> Result<(), Problem> {
        let mut result = Ok(());
        while !self.pending.is_empty() {
            result = result.and(self.settle_oldest().await);
        }
        result
    }

    async fn settle_oldest(&mut self) -> Result<(), Problem> {
        let Some(Pending { indexes, committed }) = self.pending.pop_front() else { return Ok(()) };
        // A callback dropped without a call: the writer has gone away.
        let report = committed.await.map_err(|_| Error::Closed)??;
        self.stored.accepted += report.accepted;
        self.stored.duplicates += report.duplicates.len();
        for rejection in report.rejections(&indexes) {
            self.rejections.add(rejection);
        }
        Ok(())
    }

    /// What was stored so far.
    pub(crate) const fn stored(&self) -> Stored {
        self.stored
    }

    /// Records that the writer rejected, which has counted them.
    pub(crate) fn into_rejections(self) -> Rejections {
        self.rejections
    }
}

impl<Q: Queue> BatchSink<ParsedRecords> for RecordSink<Q> {
    async fn accept(&mut self, batch: ParsedRecords) -> Result<(), Problem> {
        let ParsedRecords { mut records, mut indexes } = batch;
        while !records.is_empty() {
            let size = records.len().min(self.batch_records_max);
            let rest = ParsedRecords {
                records: records.split_off(size),
                indexes: indexes.split_off(size),
            };
            self.submit(ParsedRecords { records, indexes }, Box::new(|_| {})).await?;
            ParsedRecords { records, indexes } = rest;
        }
        Ok(())
    }
}
