//! The in-process collector whose requests end at a server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Client, Record};
use crate::collector::{CollectorQueue, TelemetryCollector};
use crate::config::IngestConfig;
use crate::error::{Error, Result};
use crate::system_clock::SystemClock;

/// Most requests in one batch.
const BATCH: usize = 500;
/// Longest wait before it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(50);
/// First wait before a batch is sent again; it doubles.
const RETRY_MIN: Duration = Duration::from_millis(200);
/// Longest wait before a batch is sent again.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Sends what a collector records to a server, on a thread of its own.
///
/// A server that is away costs the program nothing: batches are sent again until they are taken, and
/// beyond `collector_queue_max_records` waiting requests are dropped and counted. Requests have ids of
/// their own, so that nothing is stored twice.
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
    /// A collector with the default size of its queue.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(client: Client) -> Result<Self> {
        Self::start_with(client, &crate::Config::default().ingest)
    }

    /// A collector with a queue of another size.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start_with(client: Client, config: &IngestConfig) -> Result<Self> {
        let (collector, queue) = TelemetryCollector::new(config, Arc::new(SystemClock::new()));
        let stopping = Arc::new(AtomicBool::new(false));
        let (sweeper, is_stopping) = (collector.clone(), Arc::clone(&stopping));
        let thread = std::thread::Builder::new()
            .name("chatgauge-sender".to_owned())
            .spawn(move || keep_sending(&client, &sweeper, queue, &is_stopping))
            .map_err(|source| Error::Io { path: "the sender's thread".into(), source })?;
        Ok(Self { collector, stopping, thread: Mutex::new(Some(thread)) })
    }

    /// What the program records with; clones share everything.
    pub fn collector(&self) -> TelemetryCollector {
        self.collector.clone()
    }

    /// Waits until everything that ended before is on the server's disk, for at most `timeout`, and
    /// stops; `false` when something was left.
    pub fn shutdown(&self, timeout: Duration) -> bool {
        let is_sent = self.collector.flush(timeout);
        self.stop();
        is_sent
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that sends records had died");
        }
    }
}

impl Drop for RemoteCollector {
    fn drop(&mut self) {
        self.stop();
    }
}

fn keep_sending(
    client: &Client,
    collector: &TelemetryCollector,
    mut queue: CollectorQueue,
    stopping: &AtomicBool,
) {
    let handover = queue.handover();
    while !stopping.load(Ordering::Acquire) {
        let batch = queue.next_batch(BATCH, LOOK);
        collector.sweep_abandoned();
        let count = batch.len();
        if count == 0 {
            continue;
        }
        let records: Vec<Record> =
            batch.into_iter().filter_map(|request| Record::of(request).ok()).collect();
        if send(client, &records, stopping) {
            handover.acknowledge(count);
        }
    }
}

/// Sends a batch until it is taken or will never be; `false` when it is time to stop.
fn send(client: &Client, records: &[Record], stopping: &AtomicBool) -> bool {
    let mut wait = RETRY_MIN;
    loop {
        match client.send(records) {
            Ok(report) => {
                if let Some(first) = report.rejected.first() {
                    tracing::warn!(
                        rejected = report.rejected.len(),
                        field = first.field,
                        reason = first.reason,
                        "the server rejected records"
                    );
                }
                return true;
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, records = records.len(), "records wait for the server");
            }
            Err(error) => {
                tracing::error!(%error, records = records.len(), "records were lost");
                return true;
            }
        }
        let mut left = wait;
        while !left.is_zero() {
            if stopping.load(Ordering::Acquire) {
                return false;
            }
            let pause = left.min(LOOK);
            std::thread::sleep(pause);
            left -= pause;
        }
        wait = (wait * 2).min(RETRY_MAX);
    }
}
