//! The threads: writer, checkpoints, collector, compactor, retention, backups, alerts and delivery.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::ServiceCore;
use crate::alert::delivery::DeliveryContext;
use crate::collector::{CollectorQueue, FinishedRequest, Identify};
use crate::error::{Error, Result};
use crate::model::failure_log::{FailureLog, report};
use crate::model::{Name, RequestRecord};
use crate::privacy::Pseudonymizer;
use crate::rollup::SenderLoad;
use crate::store::{AppendReport, Checkpointer, QueueConsumer, Writer};

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
    shared: &Arc<ServiceCore>,
    mut writer: Writer,
    consumer: QueueConsumer,
    finished: CollectorQueue,
) -> Result<Threads> {
    let checkpointer = Checkpointer::new(&shared.store, &mut writer)?;
    let spawn = |name: &'static str, run: Box<dyn FnOnce(&ServiceCore) + Send>| -> Result<_> {
        let shared = Arc::clone(shared);
        let thread = Builder::new().name(format!("chatgauge-{name}")).spawn(move || run(&shared));
        let thread = thread.map_err(|source| Error::Io { path: name.into(), source })?;
        Ok((name, thread))
    };
    let collect = move |shared: &ServiceCore| drain_collector(shared, finished);
    let checkpoint = move |shared: &ServiceCore| checkpoint_loop(shared, &checkpointer);
    let write = move |shared: &ServiceCore| {
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
        spawn("delivery", Box::new(delivery_loop))?,
        spawn("compactor", Box::new(compaction_loop))?,
        spawn("watch", Box::new(super::watch::watch_loop))?,
        spawn("checkpoints", Box::new(checkpoint))?,
        spawn(WRITER, Box::new(write))?,
    ])
}

impl ServiceCore {
    /// Waits for `interval`, or less at shutdown; returns `true` at shutdown.
    pub(super) fn wait(&self, interval: Duration) -> bool {
        let stopping = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.stopping_changed.wait_timeout_while(stopping, interval, |stop| !*stop);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Queues records for the writer and waits until they are on disk.
    pub(super) fn record(&self, batch: Vec<RequestRecord>) -> Result<AppendReport> {
        let (sender, stored) = channel();
        // The receiver below waits, unless its thread is gone.
        self.queue.submit(batch, Box::new(move |outcome| drop(sender.send(outcome))))?;
        stored.recv().map_err(|_| Error::Closed)?
    }
}

impl Identify for Pseudonymizer {
    fn user(&self, id: &str) -> Name {
        self.user(id)
    }

    fn session(&self, id: &str) -> i64 {
        self.session(id)
    }

    fn identifier(&self, text: &str) -> Name {
        self.identifier(text)
    }
}

/// Delivers the messages of alerts.
fn delivery_loop(shared: &ServiceCore) {
    let context = DeliveryContext {
        alerting: &shared.config.alerting,
        store: &shared.store,
        gate: &shared.queue,
        monitor: &shared.monitor,
        channels: &shared.channels,
        clock: &shared.clock,
        trusted: &shared.trusted,
    };
    context.deliver(spawn_detached, &|| shared.is_stopping());
}

fn spawn_detached(name: String, run: Box<dyn FnOnce() + Send>) -> std::io::Result<()> {
    Builder::new().name(name).spawn(run).map(drop)
}

/// Passes finished requests from the in-process collector to the writer.
fn drain_collector(shared: &ServiceCore, mut finished: CollectorQueue) {
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
        let count = batch.len();
        let record = |request: FinishedRequest| to_record(shared, request, &mut lost_log);
        let records: Vec<RequestRecord> = batch.into_iter().filter_map(record).collect();
        if !records.is_empty() {
            store_with_retry(shared, &records, &mut lost_log);
        }
        handover.acknowledge(count);
    }
}

fn to_record(
    shared: &ServiceCore,
    request: FinishedRequest,
    lost_log: &mut FailureLog,
) -> Option<RequestRecord> {
    let record = request.into_record(&shared.pseudonymizer).inspect_err(|error| {
        shared.collector_lost.fetch_add(1, Ordering::Relaxed);
        if let Some(failures) = lost_log.failed(shared.clock.monotonic_us()) {
            tracing::warn!(%error, failures, "a request from the collector was dropped");
        }
    });
    record.ok()
}

/// Stores records with retries while the file is locked or the disk is full. Meanwhile the
/// collector's own queue fills up, and drops and counts further requests. At shutdown there is one
/// last attempt.
fn store_with_retry(shared: &ServiceCore, records: &[RequestRecord], lost_log: &mut FailureLog) {
    let mut has_failed = false;
    loop {
        let is_last = shared.is_stopping();
        let wait = match shared.record(records.to_vec()) {
            Ok(report) => {
                let requests = report.after_retention.len();
                if requests > 0 {
                    let reason = AppendReport::AFTER_RETENTION;
                    tracing::warn!(requests, "requests from the collector were rejected: {reason}");
                }
                return;
            }
            // The writer is busy; the queue will have room soon.
            Err(Error::Overloaded { .. }) => RETRY_WAIT,
            Err(error) if error.is_retryable() && !is_last => {
                if !std::mem::replace(&mut has_failed, true) {
                    tracing::warn!(%error, "storing requests from the collector failed; retrying");
                }
                FAILED_WAIT
            }
            Err(error) => {
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

/// Rolls up all stored rows, then updates the hot cache.
pub(super) fn compact(shared: &ServiceCore) -> Result<()> {
    let mut compactor = shared.compactor.lock().unwrap_or_else(PoisonError::into_inner);
    compactor.begin(shared.clock.monotonic_us());
    let arrived_by = shared.trusted.read().latest;
    let rolled_up = compactor.run(&shared.queue, arrived_by, &mut |compactor, step| {
        shared.compacted.fetch_add(u64::from(step.rows), Ordering::Relaxed);
        let stats = shared.queue.stats();
        let load = SenderLoad {
            records: stats.accepted + stats.duplicates,
            commit_us: stats.commit_total_us,
        };
        !shared.wait(compactor.adapt(step, shared.clock.monotonic_us(), load))
    });
    drop(compactor);
    rolled_up?;
    shared.engine.catch_up(shared.steady_now())
}

/// Like [`compact`], on its own thread, while this thread reports the remaining rows to `watch`.
pub(super) fn compact_watched(shared: &ServiceCore, watch: &mut dyn FnMut(u64)) -> Result<()> {
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

fn compaction_loop(shared: &ServiceCore) {
    let interval = shared.config.compactor.interval;
    let mut log = FailureLog::default();
    let mut wait = interval;
    loop {
        let compacted = compact(shared);
        report!(
            log, shared.clock.monotonic_us(), &compacted,
            error: "compaction failed; retrying", "compaction succeeds again"
        );
        if compacted.is_ok() {
            wait = interval;
        } else {
            shared.failed_compactions.fetch_add(1, Ordering::Relaxed);
            wait = (wait * 2).min(interval.max(MAX_COMPACTION_BACKOFF));
        }
        if shared.wait(wait) {
            return;
        }
    }
}

fn checkpoint_loop(shared: &ServiceCore, checkpointer: &Checkpointer) {
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

fn retention_loop(shared: &ServiceCore) {
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
fn prune(shared: &ServiceCore, log: &mut FailureLog) {
    let pruned = shared.prune();
    report!(
        log, shared.clock.monotonic_us(), &pruned,
        error: "retention failed; retrying at the next interval", "retention succeeds again"
    );
    let Ok(report) = pruned else { return };
    if report.raw_rows + report.rollup_rows > 0 {
        tracing::info!(
            raw_rows = report.raw_rows,
            rollup_rows = report.rollup_rows,
            freed_bytes = report.freed_bytes,
            "old rows deleted"
        );
    }
}
