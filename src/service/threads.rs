//! The threads: writer, checkpoints, collector, compactor, retention, backups, alerts and delivery.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::Shared;
use super::delivery::deliver;
use crate::collector::{CollectorQueue, FinishedRequest, Handover, Identify};
use crate::error::{Error, Result};
use crate::ingest::{AppendReport, QueueConsumer};
use crate::model::failure_log::FailureLog;
use crate::model::{Name, RequestRecord};
use crate::privacy::Pseudonymizer;
use crate::rollup::SenderLoad;
use crate::store::{Checkpointer, Writer};

/// Name of the writer thread, which ends last.
pub(super) const WRITER: &str = "writer";
/// Maximum wait of the collector thread before it checks for shutdown.
const COLLECTOR_WAIT: Duration = Duration::from_millis(50);
/// Maximum number of requests per batch from the collector.
const COLLECTOR_BATCH: usize = 2_000;
/// Delay before records from the collector are retried because the queue is full.
const RETRY_WAIT: Duration = Duration::from_millis(20);
/// Delay before records from the collector are retried because the store failed.
const FAILED_WAIT: Duration = Duration::from_millis(500);
/// Interval of progress reports while compacting.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum delay before compaction is retried after failures.
const MAX_COMPACTION_BACKOFF: Duration = Duration::from_secs(5);
/// Interval at which the WAL is considered for a checkpoint.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(100);
/// Interval at which abandoned requests are swept.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);

type Threads = Vec<(&'static str, JoinHandle<()>)>;

/// Starts the threads and returns them in the order in which they must be stopped.
pub(super) fn start(
    shared: &Arc<Shared>,
    mut writer: Writer,
    consumer: QueueConsumer,
    finished: CollectorQueue,
) -> Result<Threads> {
    let checkpointer = Checkpointer::new(&shared.store, &mut writer)?;
    let spawn = |name: &'static str, run: Box<dyn FnOnce(&Shared) + Send>| -> Result<_> {
        let shared = Arc::clone(shared);
        let thread = Builder::new().name(format!("chatgauge-{name}")).spawn(move || run(&shared));
        let thread = thread.map_err(|source| Error::Io { path: name.into(), source })?;
        Ok((name, thread))
    };
    let collect = move |shared: &Shared| drain_collector(shared, finished);
    let deliver = |shared: &Shared| deliver(shared, Box::new(rand::random));
    let checkpoint = move |shared: &Shared| checkpoint_loop(shared, &checkpointer);
    let write = move |shared: &Shared| {
        consumer.run(&mut writer, shared.clock.as_ref());
        // The next start compares its clock with this one.
        if let Err(error) = writer.keep_clock(Duration::ZERO) {
            tracing::warn!(%error, "storing the clock at shutdown failed");
        }
    };
    Ok(vec![
        spawn("collector", Box::new(collect))?,
        spawn("retention", Box::new(retention_loop))?,
        spawn("backups", Box::new(super::backups::backup_loop))?,
        spawn("alerts", Box::new(super::alerts::evaluation_loop))?,
        spawn("delivery", Box::new(deliver))?,
        spawn("compactor", Box::new(compaction_loop))?,
        spawn("watch", Box::new(super::watch::watch_loop))?,
        spawn("checkpoints", Box::new(checkpoint))?,
        spawn(WRITER, Box::new(write))?,
    ])
}

impl Shared {
    /// Waits for `interval`, or less at shutdown; returns `true` at shutdown.
    pub(super) fn wait(&self, interval: Duration) -> bool {
        let stopping = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.stopping_changed.wait_timeout_while(stopping, interval, |stop| !*stop);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The part of the pseudonymizer that the collector needs.
struct Pseudonyms<'a>(&'a Pseudonymizer);

impl Identify for Pseudonyms<'_> {
    fn user(&self, id: &str) -> Name {
        self.0.user(id)
    }

    fn session(&self, id: &str) -> i64 {
        self.0.session(id)
    }

    fn identifier(&self, text: &str) -> Name {
        self.0.identifier(text)
    }
}

/// Passes finished requests from the in-process collector to the writer.
fn drain_collector(shared: &Shared, mut finished: CollectorQueue) {
    let handover = finished.handover();
    let mut lost_log = FailureLog::default();
    loop {
        let stopping = shared.is_stopping();
        let wait = if stopping { Duration::ZERO } else { COLLECTOR_WAIT };
        let batch = finished.next_batch(COLLECTOR_BATCH, wait);
        if batch.is_empty() {
            if stopping {
                return;
            }
            continue;
        }
        submit_finished(shared, batch, &handover, &mut lost_log);
    }
}

fn submit_finished(
    shared: &Shared,
    batch: Vec<FinishedRequest>,
    handover: &Handover,
    lost_log: &mut FailureLog,
) {
    let count = batch.len();
    let mut records: Vec<RequestRecord> = Vec::with_capacity(count);
    for request in batch {
        match request.into_record(&Pseudonyms(&shared.pseudonymizer)) {
            Ok(record) => records.push(record),
            Err(error) => {
                shared.collector_lost.fetch_add(1, Ordering::Relaxed);
                if let Some(failures) = lost_log.failed(shared.clock.monotonic_us()) {
                    tracing::warn!(%error, failures, "a request from the collector was dropped");
                }
            }
        }
    }
    store_with_retry(shared, &records, lost_log);
    handover.acknowledge(count);
}

/// Stores records with retries while the file is locked or the disk is full. Meanwhile the
/// collector's own queue fills up, and drops and counts further requests. At shutdown there is one
/// last attempt.
fn store_with_retry(shared: &Shared, records: &[RequestRecord], lost_log: &mut FailureLog) {
    let mut has_failed = false;
    loop {
        let is_last = shared.is_stopping();
        let Err(error) = store(shared, records.to_vec()) else { return };
        let wait = match error {
            // The writer is busy; the queue will have room soon.
            Error::Overloaded { .. } => RETRY_WAIT,
            error if error.is_retryable() && !is_last => {
                if !std::mem::replace(&mut has_failed, true) {
                    tracing::warn!(%error, "storing requests from the collector failed; retrying");
                }
                FAILED_WAIT
            }
            error => {
                let lost = u64::try_from(records.len()).unwrap_or(u64::MAX);
                shared.collector_lost.fetch_add(lost, Ordering::Relaxed);
                if let Some(failures) = lost_log.failed(shared.clock.monotonic_us()) {
                    tracing::error!(%error, failures, lost, "storing requests from the collector failed; they were dropped");
                }
                return;
            }
        };
        if shared.wait(wait) {
            std::thread::sleep(RETRY_WAIT);
        }
    }
}

/// Queues records for the writer and waits until they are on disk.
fn store(shared: &Shared, records: Vec<RequestRecord>) -> Result<()> {
    let (sender, stored) = channel();
    // The receiver below waits for the outcome.
    shared.queue.submit(records, Box::new(move |outcome| drop(sender.send(outcome))))?;
    let report = stored.recv().map_err(|_| Error::Closed)??;
    if !report.after_retention.is_empty() {
        tracing::warn!(
            requests = report.after_retention.len(),
            "requests from the collector were rejected: {}",
            AppendReport::AFTER_RETENTION
        );
    }
    Ok(())
}

/// Rolls up all stored rows, then updates the hot cache.
pub(super) fn compact(shared: &Shared) -> Result<()> {
    let mut compactor = shared.compactor.lock().unwrap_or_else(PoisonError::into_inner);
    compactor.begin(shared.clock.monotonic_us());
    let arrived_by = shared.trusted.read().latest;
    let rolled_up = compactor.run(&shared.queue, arrived_by, &mut |compactor, step| {
        shared.compacted.fetch_add(u64::from(step.rows), Ordering::Relaxed);
        let load = SenderLoad {
            records: shared.queue.taken_records(),
            commit_us: shared.queue.commit_total_us(),
        };
        !shared.wait(compactor.adapt(step, shared.clock.monotonic_us(), load))
    });
    drop(compactor);
    rolled_up?;
    shared.engine.catch_up(shared.steady_now())
}

/// Like [`compact`], on its own thread, while this thread reports the remaining rows to `watch`.
pub(super) fn compact_watched(shared: &Shared, watch: &mut dyn FnMut(u64)) -> Result<()> {
    let left = || {
        shared.store.read(|reader| {
            Ok(u64::try_from(reader.last_seq()? - reader.watermark_seq()?).unwrap_or(0))
        })
    };
    std::thread::scope(|scope| {
        // The channel carries no values; the end of the thread, even by a panic, closes it.
        let (done, is_done) = channel::<()>();
        let compaction = scope.spawn(move || {
            let _done = done;
            compact(shared)
        });
        watch(left()?);
        while is_done.recv_timeout(PROGRESS_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            watch(left()?);
        }
        compaction.join().map_err(|_| Error::Closed)?
    })
}

fn compaction_loop(shared: &Shared) {
    let interval = shared.config.compactor.interval;
    let mut log = FailureLog::default();
    let mut wait = interval;
    loop {
        match compact(shared) {
            Ok(()) => {
                wait = interval;
                if let Some(ended) = log.succeeded(shared.clock.monotonic_us()) {
                    tracing::info!(seconds = ended.lasted_s, "compaction succeeds again");
                }
            }
            Err(error) => {
                shared.failed_compactions.fetch_add(1, Ordering::Relaxed);
                if let Some(failures) = log.failed(shared.clock.monotonic_us()) {
                    tracing::error!(%error, failures, "compaction failed; retrying");
                }
                wait = (wait * 2).min(interval.max(MAX_COMPACTION_BACKOFF));
            }
        }
        if shared.wait(wait) {
            return;
        }
    }
}

fn checkpoint_loop(shared: &Shared, checkpointer: &Checkpointer) {
    let mut log = FailureLog::default();
    while !shared.wait(CHECKPOINT_INTERVAL) {
        // Skip after a failed flush or if the file was truncated: the WAL may be the only good
        // copy.
        let health = shared.store.health();
        if health.fatal().is_some() || health.cut().is_some() {
            continue;
        }
        match checkpointer.run(&shared.queue) {
            Ok(()) => drop(log.succeeded(shared.clock.monotonic_us())),
            Err(error) => {
                if let Some(failures) = log.failed(shared.clock.monotonic_us()) {
                    tracing::warn!(%error, failures, "WAL checkpoint failed; retrying");
                }
            }
        }
    }
}

fn retention_loop(shared: &Shared) {
    let interval = shared.config.retention.interval;
    let mut since_last = interval;
    let (mut log, mut alerts_log) = (FailureLog::every(interval), FailureLog::every(interval));
    loop {
        shared.watch_clock();
        if since_last >= interval {
            since_last = Duration::ZERO;
            prune(shared, &mut log);
            shared.prune_alerts(&mut alerts_log);
        }
        if shared.wait(SWEEP_INTERVAL.min(interval)) {
            return;
        }
        since_last += SWEEP_INTERVAL.min(interval);
        shared.collector.sweep_abandoned();
    }
}

/// Prunes everything beyond its retention and logs the result.
fn prune(shared: &Shared, log: &mut FailureLog) {
    let pruned = shared.prune();
    let now_us = shared.clock.monotonic_us();
    match pruned {
        Ok(report) => {
            if let Some(ended) = log.succeeded(now_us) {
                let (failures, seconds) = (ended.failures, ended.lasted_s);
                tracing::info!(failures, seconds, "retention succeeds again");
            }
            if report.raw_rows + report.rollup_rows > 0 {
                tracing::info!(
                    raw_rows = report.raw_rows,
                    rollup_rows = report.rollup_rows,
                    freed_bytes = report.freed_bytes,
                    "old rows deleted"
                );
            }
        }
        Err(error) => {
            if let Some(failures) = log.failed(now_us) {
                tracing::error!(%error, failures, "retention failed; retrying at the next interval");
            }
        }
    }
}
