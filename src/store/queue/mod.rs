//! The bounded queue in front of the writer, and the group commit behind it.

mod pace;
mod skew;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender};

use self::pace::CommitPace;
pub use self::skew::ClockSkew;
use self::skew::SkewWindow;
use super::append::AppendReport;
use super::intern::DimensionCaps;
use super::writer::{WriteGate, WriteJob, Writer};
use crate::config::IngestConfig;
use crate::error::{Error, Result, StorageErrorKind};
use crate::model::failure_log::FailureLog;
use crate::model::{Clock, RequestRecord, Timestamp};
use crate::store::health::locked;

/// Called once with the outcome of a batch, on the writer's thread: it must be short.
pub type OnCommitted = Box<dyn FnOnce(Result<AppendReport>) + Send>;

struct QueuedBatch {
    records: Vec<RequestRecord>,
    on_committed: OnCommitted,
}

enum QueueCommand {
    Append(QueuedBatch),
    Job(WriteJob),
    Stop,
}

/// Number of latest commits whose durations are kept for the percentiles.
const REMEMBERED_COMMITS: usize = 1_024;

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IngestStats {
    /// Records in the queue.
    pub queued_records: usize,
    /// Records stored.
    pub accepted: u64,
    /// Records that were already stored.
    pub duplicates: u64,
    /// Records rejected because retention has deleted the raw rows of their day.
    pub after_retention: u64,
    /// Records rejected because the queue was full.
    pub overloaded: u64,
    /// Transactions.
    pub commits: u64,
    /// Transactions that failed and were rolled back.
    pub failed_commits: u64,
    /// Total duration of all transactions, in microseconds.
    pub commit_total_us: u64,
    /// End of the last successful transaction.
    pub last_commit_at: Option<Timestamp>,
}

/// State shared by both ends of the queue.
#[derive(Debug, Default)]
struct QueueShared {
    queued_records: AtomicUsize,
    closed: AtomicBool,
    /// Start of the writer's current work, in monotonic microseconds; 0 while it is idle.
    working_since_us: AtomicU64,
    stats: Mutex<IngestStats>,
    /// Durations of the latest transactions, in microseconds, oldest first.
    commit_us: Mutex<VecDeque<u64>>,
    skew: Mutex<SkewWindow>,
    /// A copy of the writer's, updated after each of its works.
    dimension_caps: Mutex<[DimensionCaps; 4]>,
}

/// The senders' end of the queue; clones share it.
#[derive(Clone, Debug)]
pub struct Queue {
    sender: Sender<QueueCommand>,
    shared: Arc<QueueShared>,
    max_records: usize,
}

/// The writer's end of the queue.
#[derive(Debug)]
pub struct QueueConsumer {
    receiver: Receiver<QueueCommand>,
    shared: Arc<QueueShared>,
    commit_max_records: usize,
    failure_log: FailureLog,
    /// Failed commits of several batches that are retried one by one.
    split_log: FailureLog,
}

/// Batches of one transaction, and the jobs found between them.
struct CommitGroup {
    batches: Vec<QueuedBatch>,
    jobs: Vec<WriteJob>,
    /// The queue is closed.
    is_last: bool,
}

impl Queue {
    /// A queue and the writer's end of it.
    pub fn new(config: &IngestConfig) -> (Self, QueueConsumer) {
        // Bounded by the number of records, which determines the memory; jobs are few.
        let (sender, receiver) = crossbeam_channel::unbounded();
        let shared = Arc::<QueueShared>::default();
        let consumer = QueueConsumer {
            receiver,
            shared: Arc::clone(&shared),
            commit_max_records: config.commit_max_records,
            failure_log: FailureLog::default(),
            split_log: FailureLog::default(),
        };
        (Self { sender, shared, max_records: config.queue_max_records }, consumer)
    }

    /// Queues a batch without waiting.
    ///
    /// An empty queue accepts a batch of any size, so that no batch is rejected forever.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if the queue is full and [`Error::Closed`] once it is closed. Nothing is
    /// queued then, and the callback is dropped without a call.
    pub fn submit(&self, records: Vec<RequestRecord>, on_committed: OnCommitted) -> Result<()> {
        let shared = &self.shared;
        if shared.closed.load(Ordering::SeqCst) {
            return Err(Error::Closed);
        }
        let count = records.len();
        let queued_records = shared.queued_records.fetch_add(count, Ordering::SeqCst);
        if queued_records > 0 && queued_records + count > self.max_records {
            shared.queued_records.fetch_sub(count, Ordering::SeqCst);
            locked(&shared.stats).overloaded += count as u64;
            return Err(Error::Overloaded { queued_records });
        }
        let batch = QueuedBatch { records, on_committed };
        self.sender.send(QueueCommand::Append(batch)).map_err(|_| {
            shared.queued_records.fetch_sub(count, Ordering::SeqCst);
            Error::Closed
        })
    }

    /// Rejects new batches; queued ones are still written.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Sending fails only if the writer has already stopped.
        drop(self.sender.send(QueueCommand::Stop));
    }

    /// Records in the queue.
    pub fn queued_records(&self) -> usize {
        self.shared.queued_records.load(Ordering::SeqCst)
    }

    /// Duration of the writer's current work so far, in microseconds; 0 while it is idle.
    pub fn working_for_us(&self, now_us: u64) -> u64 {
        match self.shared.working_since_us.load(Ordering::Relaxed) {
            0 => 0,
            since_us => now_us.saturating_sub(since_us),
        }
    }

    /// Distinct values of users, spaces, models and labels and their cardinality limits, after the writer's last work.
    /// Never waits for the writer.
    pub fn dimension_caps(&self) -> [DimensionCaps; 4] {
        *locked(&self.shared.dimension_caps)
    }

    /// How far the latest records are dated ahead of this server's clock, at a monotonic instant.
    pub fn skew(&self, now_us: u64) -> ClockSkew {
        locked(&self.shared.skew).skew(now_us)
    }

    /// Counters since the start.
    pub fn stats(&self) -> IngestStats {
        IngestStats { queued_records: self.queued_records(), ..*locked(&self.shared.stats) }
    }

    /// Durations of the latest transactions, in microseconds, oldest first.
    pub fn commit_us(&self) -> VecDeque<u64> {
        locked(&self.shared.commit_us).clone()
    }
}

impl WriteGate for Queue {
    fn hand_over(&self, job: WriteJob) -> Result<()> {
        self.sender.send(QueueCommand::Job(job)).map_err(|_| Error::Closed)
    }
}

impl QueueConsumer {
    /// Writes until the queue is closed and empty; one transaction stores all pending batches.
    pub fn run(mut self, writer: &mut Writer, clock: &dyn Clock) {
        let mut stopping = false;
        let mut pace = CommitPace::default();
        self.note_caps(writer);
        loop {
            let command = if stopping {
                self.receiver.try_recv().ok()
            } else {
                self.receive(&mut pace, clock)
            };
            let began_us = clock.monotonic_us();
            self.shared.working_since_us.store(began_us.max(1), Ordering::Relaxed);
            match command {
                None => return,
                Some(QueueCommand::Stop) => stopping = true,
                Some(QueueCommand::Job(job)) => self.run_job(job, writer, clock),
                Some(QueueCommand::Append(first)) => {
                    pace.commit_starts(began_us);
                    let group = self.gather(first);
                    self.commit(group.batches, writer, clock);
                    group.jobs.into_iter().for_each(|job| self.run_job(job, writer, clock));
                    stopping |= group.is_last;
                }
            }
            let now_us = clock.monotonic_us();
            self.shared.working_since_us.store(0, Ordering::Relaxed);
            pace.was_busy(now_us, now_us - began_us);
        }
    }

    fn note_caps(&self, writer: &Writer) {
        *locked(&self.shared.dimension_caps) = writer.dimension_caps().map(|(_, caps)| caps);
    }

    /// Waits for a command; after a batch also for the commit delay.
    fn receive(&self, pace: &mut CommitPace, clock: &dyn Clock) -> Option<QueueCommand> {
        if !self.is_full_commit() {
            std::thread::sleep(pace.sleep(clock.monotonic_us()));
        }
        let command = self.receiver.recv().ok()?;
        if matches!(command, QueueCommand::Append(_)) && !self.is_full_commit() {
            let delay = pace.delay(clock.monotonic_us());
            if !delay.is_zero() {
                // Senders that were acknowledged together may return at once. Only later arrivals justify the delay.
                std::thread::sleep(delay / 2);
                let early = self.receiver.len();
                std::thread::sleep(delay / 2);
                pace.delayed(self.receiver.len() > early);
            }
        }
        Some(command)
    }

    /// Whether the queued records already fill a transaction.
    fn is_full_commit(&self) -> bool {
        self.shared.queued_records.load(Ordering::SeqCst) >= self.commit_max_records
    }

    /// Removes the batches behind `first` from the queue, up to the size of a transaction.
    ///
    /// Batches overtake jobs, which take longer and are less urgent.
    fn gather(&self, first: QueuedBatch) -> CommitGroup {
        let mut records = first.records.len();
        let mut group = CommitGroup { batches: vec![first], jobs: Vec::new(), is_last: false };
        while records < self.commit_max_records {
            match self.receiver.try_recv() {
                Ok(QueueCommand::Append(batch)) => {
                    records += batch.records.len();
                    group.batches.push(batch);
                }
                Ok(QueueCommand::Job(job)) => group.jobs.push(job),
                Ok(QueueCommand::Stop) => group.is_last = true,
                Err(_) => break,
            }
        }
        group
    }

    fn run_job(&self, job: WriteJob, writer: &mut Writer, clock: &dyn Clock) {
        job(writer, clock);
        self.note_caps(writer);
    }

    fn commit(&mut self, batches: Vec<QueuedBatch>, writer: &mut Writer, clock: &dyn Clock) {
        let records: usize = batches.iter().map(|batch| batch.records.len()).sum();
        let (started_us, now) = (clock.monotonic_us(), clock.now());
        let slices: Vec<&[RequestRecord]> = batches.iter().map(|batch| &*batch.records).collect();
        let result = writer.append(&slices, now);
        self.note_caps(writer);
        self.note_commit(clock.monotonic_us() - started_us, clock.now(), result.is_ok());
        self.shared.queued_records.fetch_sub(records, Ordering::SeqCst);
        match result {
            Ok(reports) => {
                if let Some(ended) = self.failure_log.succeeded(clock.monotonic_us()) {
                    let (failures, seconds) = (ended.failures, ended.lasted_s);
                    tracing::info!(failures, seconds, "commits succeed again");
                }
                let mut skew = locked(&self.shared.skew);
                batches.iter().for_each(|batch| skew.note(&batch.records, now, started_us));
                drop(skew);
                self.acknowledge(batches, reports);
            }
            // A batch must not fail because of another one; a cause common to all fails them together.
            Err(error) if batches.len() > 1 && may_be_of_one_batch(&error) => {
                if let Some(failures) = self.split_log.failed(clock.monotonic_us()) {
                    let batches = batches.len();
                    tracing::warn!(%error, batches, failures, "a commit failed; retrying its batches one by one");
                }
                for batch in batches {
                    self.shared.queued_records.fetch_add(batch.records.len(), Ordering::SeqCst);
                    self.commit(vec![batch], writer, clock);
                }
            }
            Err(error) => {
                if let Some(failures) = self.failure_log.failed(clock.monotonic_us()) {
                    tracing::error!(%error, failures, "commit failed: its senders get the error and may retry");
                }
                for batch in batches {
                    (batch.on_committed)(Err(same_failure(&error)));
                }
            }
        }
    }

    fn acknowledge(&self, batches: Vec<QueuedBatch>, reports: Vec<AppendReport>) {
        let mut stats = locked(&self.shared.stats);
        for report in &reports {
            stats.accepted += report.accepted as u64;
            stats.duplicates += report.duplicates.len() as u64;
            stats.after_retention += report.after_retention.len() as u64;
        }
        drop(stats);
        for (batch, report) in batches.into_iter().zip(reports) {
            (batch.on_committed)(Ok(report));
        }
    }

    fn note_commit(&self, took_us: u64, now: Timestamp, is_ok: bool) {
        let mut stats = locked(&self.shared.stats);
        if !is_ok {
            stats.failed_commits += 1;
            return;
        }
        stats.commits += 1;
        stats.commit_total_us += took_us;
        stats.last_commit_at = Some(now);
        drop(stats);
        let mut commit_us = locked(&self.shared.commit_us);
        if commit_us.len() == REMEMBERED_COMMITS {
            commit_us.pop_front();
        }
        commit_us.push_back(took_us);
    }
}

/// Whether the cause may be in the records of one batch: their values, or the pages they are written to.
fn may_be_of_one_batch(error: &Error) -> bool {
    use StorageErrorKind::{Damaged, Other, Statement};
    matches!(error.storage_kind(), Some(Statement | Other | Damaged))
}

/// A copy of the error for another sender.
fn same_failure(error: &Error) -> Error {
    match error {
        Error::Storage { operation, source } => {
            Error::Storage { operation, source: source.clone() }
        }
        _ => Error::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;
    use crate::generate::Workload;
    use crate::model::TimeRange;
    use crate::store::Store;

    #[test]
    fn batches_pass_jobs_and_nothing_is_left_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = crate::Config::default();
        config.store.path = directory.path().join("chat.db");
        let (_store, mut writer) = Store::open(&config.store).unwrap();
        let (queue, consumer) = Queue::new(&config.ingest);
        let done = Arc::new(Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let done = Arc::clone(&done);
            move || done.lock().unwrap().push(what)
        };
        let mut records = Workload::new(7, TimeRange::from_unix_ms(0, 1_000), 3).records();
        let mut submit = |what| {
            let noted = note(what);
            let on_committed: OnCommitted = Box::new(move |outcome| {
                assert_eq!(outcome.unwrap().accepted, 1, "{what}");
                noted();
            });
            queue.submit(vec![records.next().unwrap()], on_committed).unwrap();
        };
        let hand_over = |what| {
            let noted = note(what);
            queue.hand_over(Box::new(move |_, _| noted())).unwrap();
        };
        submit("first batch");
        hand_over("first job");
        submit("second batch");
        hand_over("second job");
        submit("third batch");
        queue.close();
        consumer.run(&mut writer, &SystemClock::new());
        let batches_then_jobs =
            ["first batch", "second batch", "third batch", "first job", "second job"];
        assert_eq!(*done.lock().unwrap(), batches_then_jobs);
        assert_eq!(queue.stats().commits, 1, "all batches share a transaction");
    }
}
