//! From the bytes of a body to batches handed to the writer, and back to one report.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::error::Error;
use crate::http::problem::{Problem, Stored};
use crate::http::pull::body_problem;
use crate::ingest::wire::{
    BatchParser, BatchReport, FieldCounts, Framing, ParsedRecords, RecordContext, Rejection,
};
use crate::model::{Name, RequestRecord};
use crate::service::{AppendReport, Chatgauge, OnCommitted};

/// Records handed to the writer at a time. A body with fewer is stored as a whole or, when it turns out
/// unreadable, not at all.
const BATCH_RECORDS: usize = 10_000;
/// Batches that may be under way while the next one is read: one commits while one is parsed.
const UNDER_WAY: usize = 1;
/// Most rejections that are described.
const REJECTIONS_MAX: usize = 1_000;

/// Where batches go.
pub(super) trait Writer {
    /// See [`Chatgauge::submit`].
    fn submit(&self, batch: Vec<RequestRecord>, on_committed: OnCommitted) -> Result<(), Error>;
}

impl Writer for Chatgauge {
    fn submit(&self, batch: Vec<RequestRecord>, on_committed: OnCommitted) -> Result<(), Error> {
        Self::submit(self, batch, on_committed)
    }
}

/// A batch under way.
pub(super) type Ack = oneshot::Receiver<Result<AppendReport, Error>>;
/// What became of a batch; no answer when the writer has gone away.
pub(super) type Answer = Result<Result<AppendReport, Error>, oneshot::error::RecvError>;

/// What became of a body that was read to its end.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What was stored.
    pub(super) stored: Stored,
    /// Records that were not acceptable, in the order of the body; the first ones only.
    pub(super) rejected: Vec<Rejection>,
    /// All records that were not acceptable.
    pub(super) rejected_records: usize,
    /// Those of them that the writer rejected, which has counted them.
    pub(super) after_retention: usize,
    /// Fields that were not kept.
    pub(super) fields: FieldCounts,
}

impl Outcome {
    /// Whether there were records and none was acceptable.
    pub(super) const fn all_rejected(&self) -> bool {
        self.rejected_records > 0 && self.stored.accepted + self.stored.duplicates == 0
    }
}

/// One body on its way to the writer.
#[derive(Debug)]
pub(super) struct Intake<W> {
    parser: BatchParser,
    batches: Batches<W>,
}

/// The batches of a body, handed over and answered for.
#[derive(Debug)]
pub(super) struct Batches<W> {
    writer: W,
    batch_records: usize,
    spaces: Option<Vec<Name>>,
    under_way: VecDeque<Ack>,
    /// The places in the body of the records of each batch whose answer was not noted yet, in their order.
    indexes: VecDeque<Vec<usize>>,
    stored: Stored,
    /// Records of other spaces than the key's, and of days that retention has pruned; the first ones of each.
    rejected: Vec<Rejection>,
    out_of_bounds: usize,
    after_retention: usize,
}

impl<W: Writer> Intake<W> {
    /// A body of which nothing was read; only records of `spaces`, when given, are let through.
    pub(super) fn new(
        writer: W,
        context: RecordContext,
        framing: Framing,
        queue_max_records: usize,
        spaces: Option<Vec<Name>>,
    ) -> Self {
        Self {
            parser: BatchParser::new(context, framing),
            batches: Batches {
                writer,
                // A batch larger than the queue would never be taken.
                batch_records: BATCH_RECORDS.min(queue_max_records).max(1),
                spaces,
                under_way: VecDeque::new(),
                indexes: VecDeque::new(),
                stored: Stored::default(),
                rejected: Vec::new(),
                out_of_bounds: 0,
                after_retention: 0,
            },
        }
    }

    /// Takes the next decompressed bytes and hands full batches to the writer; does not wait.
    ///
    /// # Errors
    /// When the body cannot be read on or the writer takes no more.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.parser.push(bytes).map_err(|problem| body_problem(&problem))?;
        if self.parser.waiting_records() >= self.batches.batch_records {
            self.batches.submit(self.parser.take_records())?;
        }
        Ok(())
    }

    /// The batches handed over so far.
    pub(super) const fn batches(&mut self) -> &mut Batches<W> {
        &mut self.batches
    }

    /// Gives up on the rest of the body.
    pub(super) fn abandon(self) -> Batches<W> {
        self.batches
    }

    /// Ends the body and hands the last records to the writer; an error when the body is empty or cut
    /// off, or when the writer takes no more.
    pub(super) fn finish(self) -> (Batches<W>, Result<BatchReport, Problem>) {
        let Self { parser, mut batches } = self;
        let report = match parser.finish() {
            Ok(mut report) => {
                let parsed = std::mem::take(&mut report.parsed);
                batches.submit(parsed).map(|()| report).map_err(Problem::from)
            }
            Err(problem) => Err(body_problem(&problem)),
        };
        (batches, report)
    }
}

impl<W: Writer> Batches<W> {
    fn submit(&mut self, parsed: ParsedRecords) -> Result<(), Error> {
        let ParsedRecords { mut records, mut indexes } = self.within_bounds(parsed);
        while !records.is_empty() {
            let size = records.len().min(self.batch_records);
            let (rest, rest_indexes) = (records.split_off(size), indexes.split_off(size));
            let (sender, ack) = oneshot::channel();
            let on_committed: OnCommitted = Box::new(move |result| {
                // Nobody listens when the sender of the body has gone away.
                drop(sender.send(result));
            });
            self.writer.submit(records, on_committed)?;
            self.under_way.push_back(ack);
            self.indexes.push_back(indexes);
            (records, indexes) = (rest, rest_indexes);
        }
        Ok(())
    }

    fn within_bounds(&mut self, parsed: ParsedRecords) -> ParsedRecords {
        let Some(spaces) = &self.spaces else { return parsed };
        let mut kept = ParsedRecords::default();
        for (record, index) in parsed.records.into_iter().zip(parsed.indexes) {
            if record.space.as_ref().is_some_and(|space| spaces.contains(space)) {
                kept.records.push(record);
                kept.indexes.push(index);
                continue;
            }
            self.out_of_bounds += 1;
            if self.out_of_bounds <= REJECTIONS_MAX {
                let reason = format!("this key may only send records of {}", spaces.join(", "));
                self.rejected.push(Rejection { index, field: "space", reason });
            }
        }
        kept
    }
}

impl<W> Batches<W> {
    /// A batch to wait for before more is read.
    pub(super) fn overdue(&mut self) -> Option<Ack> {
        if self.under_way.len() > UNDER_WAY { self.under_way.pop_front() } else { None }
    }

    /// A batch to wait for before the answer.
    pub(super) fn next_ack(&mut self) -> Option<Ack> {
        self.under_way.pop_front()
    }

    /// Notes what became of the oldest batch that has no answer yet.
    ///
    /// # Errors
    /// When it was not stored.
    pub(super) fn settle(&mut self, answer: Answer) -> Result<(), Problem> {
        // A callback dropped without a call: the writer has gone away.
        let indexes = self.indexes.pop_front().unwrap_or_default();
        let report = answer.map_err(|_| Error::Closed)??;
        self.stored.accepted += report.accepted;
        self.stored.duplicates += report.duplicates.len();
        let room = REJECTIONS_MAX.saturating_sub(self.after_retention);
        self.rejected.extend(report.rejections(&indexes).take(room));
        self.after_retention += report.after_retention.len();
        Ok(())
    }

    /// What was stored so far.
    pub(super) const fn stored(&self) -> Stored {
        self.stored
    }

    /// The outcome of a body that was read to its end.
    pub(super) fn outcome(self, report: BatchReport) -> Outcome {
        let mut rejected = report.rejected;
        rejected.extend(self.rejected);
        rejected.sort_by_key(|rejection| rejection.index);
        rejected.truncate(REJECTIONS_MAX);
        Outcome {
            stored: self.stored,
            rejected,
            rejected_records: report.rejected_records + self.out_of_bounds + self.after_retention,
            after_retention: self.after_retention,
            fields: report.fields,
        }
    }
}
