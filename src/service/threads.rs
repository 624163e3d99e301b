//! The threads: writer, collector, compactor, retention, backups, delivery of alerts.

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

/// The name of the writer's thread, the last to end.
pub(super) const WRITER: &str = "writer";
/// Longest wait of the collector's thread before it looks whether to stop.
const COLLECTOR_WAIT: Duration = Duration::from_millis(50);
/// Most requests that the collector's thread hands over at once.
const COLLECTOR_BATCH: usize = 2_000;
/// Wait before records of the collector are offered again to a full queue.
const RETRY_WAIT: Duration = Duration::from_millis(20);
/// Wait before they are offered again to a store that did not take them.
const FAILED_WAIT: Duration = Duration::from_millis(500);
/// Time between two looks at how many rows are left to roll up.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Longest wait before compaction is retried after failures.
const MAX_COMPACTION_BACKOFF: Duration = Duration::from_secs(5);
/// Time between two looks at the write-ahead log.
const LOG_INTERVAL: Duration = Duration::from_millis(100);
/// Time between two looks for abandoned requests.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);

type Threads = Vec<(&'static str, JoinHandle<()>)>;

/// Starts the threads; they are listed in the order in which they are to be stopped.
pub(super) fn start(
    shared: &Arc<Shared>,
    mut writer: Writer,
    consumer: QueueConsumer,
    finished: CollectorQueue,
) -> Result<Threads> {
    let checkpointer = Checkpointer::new(&shared.store, &mut writer)?;
    let spawn = |name: &'static str, run: Box<dyn FnOnce() + Send>| -> Result<_> {
        let thread = Builder::new().name(format!("chatgauge-{name}")).spawn(run);
        let thread = thread.map_err(|source| Error::Io { path: name.into(), source })?;
        Ok((name, thread))
    };
    let (a, b, c, d) =
        (Arc::clone(shared), Arc::clone(shared), Arc::clone(shared), Arc::clone(shared));
    let (e, f, g) = (Arc::clone(shared), Arc::clone(shared), Arc::clone(shared));
    let (h, i) = (Arc::clone(shared), Arc::clone(shared));
    let write = move || {
        consumer.run(&mut writer, d.clock.as_ref());
        // The next start begins with it.
        if let Err(error) = writer.keep_clock(Duration::ZERO) {
            tracing::warn!(%error, "the clock could not be stored at the end");
        }
    };
    Ok(vec![
        spawn("collector", Box::new(move || drain_collector(&a, finished)))?,
        spawn("retention", Box::new(move || retain(&b)))?,
        spawn("backups", Box::new(move || super::backups::keep_backing_up(&i)))?,
        spawn("alerts", Box::new(move || super::alerts::watch(&f)))?,
        spawn("delivery", Box::new(move || deliver(&e, Box::new(rand::random))))?,
        spawn("compactor", Box::new(move || keep_compacting(&c)))?,
        spawn("watch", Box::new(move || super::watch::watch(&h)))?,
        spawn("checkpoints", Box::new(move || keep_the_log_short(&g, &checkpointer)))?,
        spawn(WRITER, Box::new(write))?,
    ])
}

impl Shared {
    /// Waits for `interval` or the end; `true` at the end.
    pub(super) fn wait(&self, interval: Duration) -> bool {
        let stopping = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.stopping_changed.wait_timeout_while(stopping, interval, |stop| !*stop);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The collector knows only what it needs of the pseudonymizer.
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

/// Hands finished requests of the in-process collector to the writer.
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
                    tracing::warn!(%error, failures, "a collected request could not be kept");
                }
            }
        }
    }
    store_patiently(shared, &records, lost_log);
    handover.acknowledge(count);
}

/// Stores records, however long another program holds the file or the disk is full; meanwhile the
/// collector's own queue fills, and drops and counts what does not fit. At the end of the service there is one
/// more attempt.
fn store_patiently(shared: &Shared, records: &[RequestRecord], lost_log: &mut FailureLog) {
    let mut has_failed = false;
    loop {
        let is_last = shared.is_stopping();
        let Err(error) = store(shared, records.to_vec()) else { return };
        let wait = match error {
            // The writer is at work: it is only a matter of time.
            Error::Overloaded { .. } => RETRY_WAIT,
            error if error.is_retryable() && !is_last => {
                if !std::mem::replace(&mut has_failed, true) {
                    tracing::warn!(%error, "collected requests cannot be stored yet; retrying");
                }
                FAILED_WAIT
            }
            error => {
                let lost = u64::try_from(records.len()).unwrap_or(u64::MAX);
                shared.collector_lost.fetch_add(lost, Ordering::Relaxed);
                if let Some(failures) = lost_log.failed(shared.clock.monotonic_us()) {
                    tracing::error!(%error, failures, lost, "collected requests could not be stored and were dropped");
                }
                return;
            }
        };
        if shared.wait(wait) {
            std::thread::sleep(RETRY_WAIT);
        }
    }
}

/// Hands records to the writer and waits until they are on disk.
fn store(shared: &Shared, records: Vec<RequestRecord>) -> Result<()> {
    let (sender, stored) = channel();
    // The receiver below waits for it.
    shared.queue.submit(records, Box::new(move |outcome| drop(sender.send(outcome))))?;
    let report = stored.recv().map_err(|_| Error::Closed)??;
    if !report.after_retention.is_empty() {
        tracing::warn!(
            requests = report.after_retention.len(),
            "collected requests were rejected: {}",
            AppendReport::AFTER_RETENTION
        );
    }
    Ok(())
}

/// Rolls up until nothing is left, then brings the hot cache up to date.
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

/// Like [`compact`], on a thread of its own while this one tells `watch` how many rows are left.
pub(super) fn compact_watched(shared: &Shared, watch: &mut dyn FnMut(u64)) -> Result<()> {
    let left = || {
        shared.store.read(|reader| {
            Ok(u64::try_from(reader.last_seq()? - reader.watermark_seq()?).unwrap_or(0))
        })
    };
    std::thread::scope(|scope| {
        // Nothing is sent: the end of the thread, a panic too, closes the channel.
        let (done, is_done) = channel::<()>();
        let compaction = scope.spawn(move || {
            let _done = done;
            compact(shared)
        });
        watch(left()?);
        while is_done.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            watch(left()?);
        }
        compaction.join().map_err(|_| Error::Closed)?
    })
}

fn keep_compacting(shared: &Shared) {
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

fn keep_the_log_short(shared: &Shared, checkpointer: &Checkpointer) {
    let mut log = FailureLog::default();
    while !shared.wait(LOG_INTERVAL) {
        // After a failed flush, or when the file was cut, there is none any more.
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

fn retain(shared: &Shared) {
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

/// Deletes what has outlived its time, and logs what came of it.
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
                    "old rows were deleted"
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
