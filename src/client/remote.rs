//! A collector that sends its finished requests to a server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Client, Record};
use crate::collector::{CollectorQueue, TelemetryCollector};
use crate::config::IngestConfig;
use crate::error::{Error, Result};
use crate::system_clock::SystemClock;

/// Maximum number of requests in one batch.
const MAX_BATCH: usize = 500;
/// Interval at which the sender thread checks whether to stop.
const STOP_POLL: Duration = Duration::from_millis(50);
/// Wait before the first retry of a batch; it doubles with each retry.
const RETRY_MIN: Duration = Duration::from_millis(200);
/// Maximum wait before a retry of a batch.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Sends the requests of a collector to a server, on its own thread.
///
/// While the server is unreachable, batches are retried; beyond `collector_queue_max_records`
/// queued requests, new ones are dropped and counted. Every request has its own id, so retries
/// store nothing twice.
///
/// # Example
/// ```no_run
/// use std::time::Duration;
/// use chatgauge::client::{Client, RemoteCollector};
/// use chatgauge::{RequestInfo, Usage};
///
/// let remote = RemoteCollector::start(Client::new("http://127.0.0.1:8089", "token"))?;
/// let mut request = remote.collector().start_request(RequestInfo::chat("gpt-5").user("alice"));
/// request.usage(Usage::new(1_200, 85));
/// request.complete();
/// assert!(remote.shutdown(Duration::from_secs(5)));
/// # Ok::<(), chatgauge::Error>(())
/// ```
#[derive(Debug)]
pub struct RemoteCollector {
    collector: TelemetryCollector,
    stopping: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl RemoteCollector {
    /// Starts a collector with the default queue size.
    pub fn start(client: Client) -> Result<Self> {
        Self::start_with(client, &crate::Config::default().ingest)
    }

    /// Starts a collector with the queue size of `config`.
    pub fn start_with(client: Client, config: &IngestConfig) -> Result<Self> {
        let (collector, queue) = TelemetryCollector::new(config, Arc::new(SystemClock::new()));
        let stopping = Arc::new(AtomicBool::new(false));
        let (sweeper, is_stopping) = (collector.clone(), Arc::clone(&stopping));
        let thread = std::thread::Builder::new()
            .name("chatgauge-sender".to_owned())
            .spawn(move || send_loop(&client, &sweeper, queue, &is_stopping))
            .map_err(|source| Error::Io { path: "the sender thread".into(), source })?;
        Ok(Self { collector, stopping, thread: Mutex::new(Some(thread)) })
    }

    /// The collector to record with; clones share all state.
    pub fn collector(&self) -> TelemetryCollector {
        self.collector.clone()
    }

    /// Waits up to `timeout` until every request that ended before is stored by the server, then
    /// stops; `false` if requests were left.
    pub fn shutdown(&self, timeout: Duration) -> bool {
        let is_sent = self.collector.flush(timeout);
        self.stop();
        is_sent
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the sender thread panicked");
        }
    }
}

impl Drop for RemoteCollector {
    fn drop(&mut self) {
        self.stop();
    }
}

fn send_loop(
    client: &Client,
    collector: &TelemetryCollector,
    mut queue: CollectorQueue,
    stopping: &AtomicBool,
) {
    let handover = queue.handover();
    while !stopping.load(Ordering::Acquire) {
        let batch = queue.next_batch(MAX_BATCH, STOP_POLL);
        collector.sweep_abandoned();
        let count = batch.len();
        if count == 0 {
            continue;
        }
        let records: Vec<Record> =
            batch.into_iter().filter_map(|request| Record::of(request).ok()).collect();
        if send_with_retry(client, &records, stopping) {
            handover.acknowledge(count);
        }
    }
}

/// Sends a batch with retries until it is stored or fails for good; `false` if it is time to stop.
fn send_with_retry(client: &Client, records: &[Record], stopping: &AtomicBool) -> bool {
    let mut wait = RETRY_MIN;
    loop {
        match client.send(records) {
            Ok(report) => {
                if let Some(first) = report.rejected.first() {
                    tracing::warn!(
                        rejected = report.rejected.len(),
                        field = first.field,
                        reason = first.reason,
                        "the server rejected records; they are dropped"
                    );
                }
                return true;
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, records = records.len(), "sending records failed; retrying with backoff");
            }
            Err(error) => {
                tracing::error!(%error, records = records.len(), "sending records failed; they are dropped");
                return true;
            }
        }
        let mut left = wait;
        while !left.is_zero() {
            if stopping.load(Ordering::Acquire) {
                return false;
            }
            let pause = left.min(STOP_POLL);
            std::thread::sleep(pause);
            left -= pause;
        }
        wait = (wait * 2).min(RETRY_MAX);
    }
}
