//! The bounded queue before the writer, and the group commit behind it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender};

use super::pace::CommitPace;
use super::skew::{ClockSkew, SkewWindow};
use crate::config::IngestConfig;
use crate::error::{Error, Result, StorageErrorKind};
use crate::model::failure_log::FailureLog;
use crate::model::{Clock, RequestRecord, Timestamp};
use crate::store::{Appended, DimensionCaps, WriteGate, WriteJob, Writer};

/// What became of a batch of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendReport {
    /// Records stored.
    pub accepted: usize,
    /// Positions, in the batch, of records that were stored before.
    pub duplicates: Vec<usize>,
    /// Positions, in the batch, of records that were rejected because retention has deleted the raw rows of their day.
    pub after_retention: Vec<usize>,
    /// Records stored in such days all the same, by the start of the UTC day.
    pub in_pruned_days: BTreeMap<Timestamp, usize>,
}

impl From<Appended> for AppendReport {
    fn from(appended: Appended) -> Self {
        let Appended { accepted, duplicates, after_retention, in_pruned_days } = appended;
        Self { accepted, duplicates, after_retention, in_pruned_days }
    }
}

/// Called once with the outcome of a batch, on the writer's thread: it must be short.
pub type OnCommitted = Box<dyn FnOnce(Result<AppendReport>) + Send>;

struct Batch {
    records: Vec<RequestRecord>,
    on_committed: OnCommitted,
}

enum Command {
    Append(Batch),
    Job(WriteJob),
    Stop,
}

/// Commits whose times are remembered for the percentiles.
const REMEMBERED_COMMITS: usize = 1_024;

/// Counters since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IngestStats {
    /// Records that wait for the writer.
    pub queued_records: usize,
    /// Records stored.
    pub accepted: u64,
    /// Records that were stored before.
    pub duplicates: u64,
    /// Records rejected because retention has deleted the raw rows of their day.
    pub after_retention: u64,
    /// Records refused because the queue was full.
    pub overloaded: u64,
    /// Transactions.
    pub commits: u64,
    /// Transactions that failed and were rolled back.
    pub failed_commits: u64,
    /// Times of the latest transactions, in microseconds, oldest first.
    pub commit_us: Vec<u64>,
    /// Sum of the times of all transactions, in microseconds.
    pub commit_total_us: u64,
    /// End of the last transaction that succeeded.
    pub last_commit_at: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Shared {
    queued_records: AtomicUsize,
    closed: AtomicBool,
    accepted: AtomicU64,
    duplicates: AtomicU64,
    after_retention: AtomicU64,
    overloaded: AtomicU64,
    commits: AtomicU64,
    failed_commits: AtomicU64,
    commit_total_us: AtomicU64,
    last_commit_ms: AtomicI64,
    /// Since when the writer is at work, in microseconds of the monotonic clock; 0 while it waits for work.
    working_since_us: AtomicU64,
    commit_us: Mutex<VecDeque<u64>>,
    skew: Mutex<SkewWindow>,
    /// As the writer last left them.
    dimension_caps: Mutex<[DimensionCaps; 4]>,
}

/// The way into the queue; clones share it.
#[derive(Clone, Debug)]
pub struct Queue {
    sender: Sender<Command>,
    shared: Arc<Shared>,
    max_records: usize,
}

/// The writer's end of the queue.
#[derive(Debug)]
pub struct QueueConsumer {
    receiver: Receiver<Command>,
    shared: Arc<Shared>,
    commit_max_records: usize,
    failure_log: FailureLog,
    /// Commits of several batches that failed and are retried one by one.
    split_log: FailureLog,
}

/// What is done together.
struct Gathered {
    batches: Vec<Batch>,
    jobs: Vec<WriteJob>,
    /// The queue is closed.
    is_last: bool,
}

impl Queue {
    /// A queue and the writer's end of it.
    pub fn new(config: &IngestConfig) -> (Self, QueueConsumer) {
        // Bounded by the number of records, which is what takes memory; jobs are few.
        let (sender, receiver) = crossbeam_channel::unbounded();
        let shared = Arc::new(Shared::default());
        let queue =
            Self { sender, shared: Arc::clone(&shared), max_records: config.queue_max_records };
        let commit_max_records = config.commit_max_records;
        let (failure_log, split_log) = (FailureLog::default(), FailureLog::default());
        (queue, QueueConsumer { receiver, shared, commit_max_records, failure_log, split_log })
    }

    /// Hands over a batch without waiting.
    ///
    /// An empty queue takes a batch of any size, so that no batch is refused for ever.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the queue is full and [`Error::Closed`] once it is closed; nothing
    /// was taken then, and the callback is dropped uncalled.
    pub fn submit(&self, records: Vec<RequestRecord>, on_committed: OnCommitted) -> Result<()> {
        if self.shared.closed.load(Ordering::SeqCst) {
            return Err(Error::Closed);
        }
        let count = records.len();
        let queued = self.shared.queued_records.fetch_add(count, Ordering::SeqCst);
        if queued > 0 && queued + count > self.max_records {
            self.shared.queued_records.fetch_sub(count, Ordering::SeqCst);
            self.shared.overloaded.fetch_add(as_u64(count), Ordering::Relaxed);
            return Err(Error::Overloaded { queued_records: queued });
        }
        self.sender.send(Command::Append(Batch { records, on_committed })).map_err(|_| {
            self.shared.queued_records.fetch_sub(count, Ordering::SeqCst);
            Error::Closed
        })
    }

    /// Refuses new batches; what is queued is still written.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // When the writer is gone already there is nobody to stop.
        drop(self.sender.send(Command::Stop));
    }

    /// Records that wait for the writer.
    pub fn queued_records(&self) -> usize {
        self.shared.queued_records.load(Ordering::SeqCst)
    }

    /// Records that were stored, or had been before, since the start.
    pub fn taken_records(&self) -> u64 {
        let shared = &self.shared;
        shared.accepted.load(Ordering::Relaxed) + shared.duplicates.load(Ordering::Relaxed)
    }

    /// Sum of the times of all commits of records, in microseconds.
    pub fn commit_total_us(&self) -> u64 {
        self.shared.commit_total_us.load(Ordering::Relaxed)
    }

    /// How long the writer has been at the same piece of work, in microseconds; 0 while it waits for work.
    pub fn working_for_us(&self, now_us: u64) -> u64 {
        match self.shared.working_since_us.load(Ordering::Relaxed) {
            0 => 0,
            since_us => now_us.saturating_sub(since_us),
        }
    }

    /// Distinct values of users, spaces, models and labels against their caps, after the writer's last work. Never
    /// waits for the writer.
    pub fn dimension_caps(&self) -> [DimensionCaps; 4] {
        *self.shared.dimension_caps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the latest records are dated against this server's clock, at a monotonic instant.
    pub fn skew(&self, now_us: u64) -> ClockSkew {
        self.shared.skew.lock().unwrap_or_else(PoisonError::into_inner).skew(now_us)
    }

    /// Counters since the start.
    pub fn stats(&self) -> IngestStats {
        let shared = &self.shared;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let last_commit_ms = shared.last_commit_ms.load(Ordering::Relaxed);
        let commit_us = shared.commit_us.lock().unwrap_or_else(PoisonError::into_inner);
        IngestStats {
            queued_records: self.queued_records(),
            accepted: load(&shared.accepted),
            duplicates: load(&shared.duplicates),
            after_retention: load(&shared.after_retention),
            overloaded: load(&shared.overloaded),
            commits: load(&shared.commits),
            failed_commits: load(&shared.failed_commits),
            commit_us: commit_us.iter().copied().collect(),
            commit_total_us: load(&shared.commit_total_us),
            last_commit_at: (last_commit_ms != 0).then(|| Timestamp::from_unix_ms(last_commit_ms)),
        }
    }
}

impl WriteGate for Queue {
    fn hand_over(&self, job: WriteJob) -> Result<()> {
        self.sender.send(Command::Job(job)).map_err(|_| Error::Closed)
    }
}

impl QueueConsumer {
    /// Writes until the queue is closed and empty; each wait gathers what came meanwhile into one
    /// transaction.
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
                Some(Command::Stop) => stopping = true,
                Some(Command::Job(job)) => self.run_job(job, writer, clock),
                Some(Command::Append(batch)) => {
                    pace.commit_starts(began_us);
                    stopping |= self.commit_gathered(batch, writer, clock);
                }
            }
            let now_us = clock.monotonic_us();
            self.shared.working_since_us.store(0, Ordering::Relaxed);
            pace.held_up(now_us, now_us - began_us);
        }
    }

    /// Commits a batch with those that wait behind it, then runs the jobs among them; `true` when there are to be no
    /// more.
    fn commit_gathered(&mut self, first: Batch, writer: &mut Writer, clock: &dyn Clock) -> bool {
        let gathered = self.gather(first);
        self.commit(gathered.batches, writer, clock);
        for job in gathered.jobs {
            self.run_job(job, writer, clock);
        }
        gathered.is_last
    }

    fn note_caps(&self, writer: &Writer) {
        let caps = writer.dimension_caps().map(|(_, caps)| caps);
        *self.shared.dimension_caps.lock().unwrap_or_else(PoisonError::into_inner) = caps;
    }

    /// Waits for a command, and with a batch for those that come with it.
    fn receive(&self, pace: &mut CommitPace, clock: &dyn Clock) -> Option<Command> {
        if !self.is_full_commit() {
            std::thread::sleep(pace.sleep(clock.monotonic_us()));
        }
        let command = self.receiver.recv().ok()?;
        if matches!(command, Command::Append(_)) && !self.is_full_commit() {
            self.await_company(pace, clock.monotonic_us());
        }
        Some(command)
    }

    /// Puts off a commit as long as `pace` thinks that others will come.
    fn await_company(&self, pace: &mut CommitPace, now_us: u64) {
        let wait = pace.wait(now_us);
        if wait.is_zero() {
            return;
        }
        // Those who were acknowledged together may come back together, at once; nobody needs to wait for more.
        std::thread::sleep(wait / 2);
        let early = self.receiver.len();
        std::thread::sleep(wait / 2);
        pace.waited(self.receiver.len() > early);
    }

    /// More company would not fit in the transaction.
    fn is_full_commit(&self) -> bool {
        self.shared.queued_records.load(Ordering::SeqCst) >= self.commit_max_records
    }

    /// Takes what waits behind `first`, up to the size of a transaction.
    ///
    /// Batches pass jobs, which take longer and which nobody waits for as urgently.
    fn gather(&self, first: Batch) -> Gathered {
        let mut records = first.records.len();
        let mut gathered = Gathered { batches: vec![first], jobs: Vec::new(), is_last: false };
        while records < self.commit_max_records {
            match self.receiver.try_recv() {
                Ok(Command::Append(batch)) => {
                    records += batch.records.len();
                    gathered.batches.push(batch);
                }
                Ok(Command::Job(job)) => gathered.jobs.push(job),
                Ok(Command::Stop) => gathered.is_last = true,
                Err(_) => break,
            }
        }
        gathered
    }

    fn run_job(&self, job: WriteJob, writer: &mut Writer, clock: &dyn Clock) {
        job(writer, clock);
        self.note_caps(writer);
    }

    fn commit(&mut self, batches: Vec<Batch>, writer: &mut Writer, clock: &dyn Clock) {
        let records: usize = batches.iter().map(|batch| batch.records.len()).sum();
        let started_us = clock.monotonic_us();
        let now = clock.now();
        let result = {
            let slices: Vec<&[RequestRecord]> =
                batches.iter().map(|batch| batch.records.as_slice()).collect();
            writer.append(&slices, now)
        };
        self.note_caps(writer);
        self.note_commit(clock.monotonic_us() - started_us, clock.now(), result.is_ok());
        self.shared.queued_records.fetch_sub(records, Ordering::SeqCst);
        match result {
            Ok(appended) => {
                if let Some(ended) = self.failure_log.succeeded(clock.monotonic_us()) {
                    let (failures, seconds) = (ended.failures, ended.lasted_s);
                    tracing::info!(failures, seconds, "commits succeed again");
                }
                self.note_skew(&batches, now, started_us);
                self.acknowledge(batches, appended);
            }
            // One batch must not fail for another's sake, nor is one tried alone for what ails all of them.
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
            Err(error) => self.refuse(batches, &error, clock),
        }
    }

    /// Reports the failure to every sender of a transaction.
    fn refuse(&mut self, batches: Vec<Batch>, error: &Error, clock: &dyn Clock) {
        if let Some(failures) = self.failure_log.failed(clock.monotonic_us()) {
            tracing::error!(%error, failures, "commit failed: its senders get the error and may retry");
        }
        for batch in batches {
            (batch.on_committed)(Err(same_failure(error)));
        }
    }

    fn note_skew(&self, batches: &[Batch], now: Timestamp, now_us: u64) {
        let mut skew = self.shared.skew.lock().unwrap_or_else(PoisonError::into_inner);
        for batch in batches {
            skew.note(&batch.records, now, now_us);
        }
    }

    fn acknowledge(&self, batches: Vec<Batch>, appended: Vec<Appended>) {
        for (batch, appended) in batches.into_iter().zip(appended) {
            let (shared, report) = (&self.shared, AppendReport::from(appended));
            shared.accepted.fetch_add(as_u64(report.accepted), Ordering::Relaxed);
            shared.duplicates.fetch_add(as_u64(report.duplicates.len()), Ordering::Relaxed);
            let after_retention = as_u64(report.after_retention.len());
            shared.after_retention.fetch_add(after_retention, Ordering::Relaxed);
            (batch.on_committed)(Ok(report));
        }
    }

    fn note_commit(&self, took_us: u64, now: Timestamp, is_ok: bool) {
        let shared = &self.shared;
        if !is_ok {
            shared.failed_commits.fetch_add(1, Ordering::Relaxed);
            return;
        }
        shared.commits.fetch_add(1, Ordering::Relaxed);
        shared.commit_total_us.fetch_add(took_us, Ordering::Relaxed);
        shared.last_commit_ms.store(now.as_unix_ms(), Ordering::Relaxed);
        let mut commit_us = shared.commit_us.lock().unwrap_or_else(PoisonError::into_inner);
        if commit_us.len() == REMEMBERED_COMMITS {
            commit_us.pop_front();
        }
        commit_us.push_back(took_us);
    }
}

/// Whether the cause may be in the records of one batch: what it writes, or where it goes in the file.
fn may_be_of_one_batch(error: &Error) -> bool {
    use StorageErrorKind::{Damaged, Other, Statement};
    matches!(error.storage_kind(), Some(Statement | Other | Damaged))
}

/// The error once more, for another sender.
fn same_failure(error: &Error) -> Error {
    match error {
        Error::Storage { operation, source } => {
            Error::Storage { operation, source: source.clone() }
        }
        _ => Error::Closed,
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
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
