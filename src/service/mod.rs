//! `Chatgauge`: open, record, query, shut down. Owns the threads and the clock.

mod alert_health;
mod alert_monitor;
mod alerts;
mod audit;
mod backups;
mod check;
mod clock;
mod gateway_counters;
mod keys;
mod pseudonym_key;
mod queries;
mod silences;
mod status;
mod threads;
mod watch;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::alert::Monitor;
use crate::alert::delivery::ChannelReports;
use crate::collector::TelemetryCollector;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::generate::Workload;
use crate::model::failure_log::FailureLog;
use crate::model::time::MINUTE_MS;
use crate::model::{
    Clock, Name, RequestRecord, SimulateRequest, TimeRange, Timestamp, TrustedClock,
};
use crate::privacy::Pseudonymizer;
use crate::query::{Engine, MetricsAggregator};
use crate::rollup::{Compactor, Retention};
pub use crate::store::{AppendReport, OnCommitted};
use crate::store::{Queue, Store, WriteGate};
use crate::system_clock::SystemClock;
pub use alert_health::AlertHealth;
pub use alert_monitor::AlertMonitor;
pub(crate) use alerts::{identified, typed_names};
pub use check::{check, check_threads};
pub use gateway_counters::GatewayCounters;
pub use keys::{make_key, random_text};
pub use pseudonym_key::{key_path, new_pseudonymizer, stored_pseudonymizer};

/// Options for opening a database, in addition to its configuration.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Accept a missing or different pseudonym key and use the key file, or a new one, from now on:
    /// every user then gets a new pseudonym.
    pub new_key: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock::default()), new_key: false }
    }
}

/// The service: one database file with its writer, compactor and readers. Clones share it.
///
/// Dropping the last clone drains the queues and stops the threads, as [`shutdown`](Self::shutdown)
/// does.
#[derive(Clone, Debug)]
pub struct Chatgauge {
    inner: Arc<ServiceInner>,
}

#[derive(Debug)]
struct ServiceInner {
    shared: Arc<ServiceCore>,
    threads: Mutex<Vec<(&'static str, JoinHandle<()>)>>,
}

/// State shared by the threads and the callers.
struct ServiceCore {
    config: Config,
    clock: Arc<dyn Clock>,
    trusted: Arc<TrustedClock>,
    /// Whether the clock deviated at the last check.
    is_clock_wrong: AtomicBool,
    store: Store,
    queue: Queue,
    engine: Arc<Engine>,
    collector: TelemetryCollector,
    gateway: GatewayCounters,
    pseudonymizer: Pseudonymizer,
    compactor: Mutex<Compactor>,
    retention: Retention,
    /// Recently used keys by their public part.
    keys: Mutex<HashMap<Name, keys::CachedKey>>,
    /// Throttles log lines about key uses that could not be recorded.
    key_use_log: Arc<Mutex<FailureLog>>,
    /// Throttles log lines about audit entries that could not be written.
    audit_log: Arc<Mutex<FailureLog>>,
    monitor: Monitor,
    /// Whether periodic evaluation is paused.
    alerts_paused: AtomicBool,
    backtesting: Mutex<()>,
    channels: ChannelReports,
    backups: backups::Backups,
    started_at: Timestamp,
    /// Time of startup, in monotonic microseconds.
    started_us: u64,
    compacted: AtomicU64,
    failed_compactions: AtomicU64,
    rejected: AtomicU64,
    /// Requests from the collector that could not be stored.
    collector_lost: AtomicU64,
    /// Drops of the collector, and values grouped as `(other)`.
    recent_growth: Mutex<[watch::RecentGrowth; 2]>,
    dropped_content_fields: AtomicU64,
    stopping: Mutex<bool>,
    stopping_changed: Condvar,
    closed: AtomicBool,
}

impl std::fmt::Debug for ServiceCore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceCore").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Chatgauge {
    /// Opens the database with the system clock and starts the threads.
    ///
    /// # Errors
    /// If the file cannot be used; [`PseudonymKey`](Error::PseudonymKey) if its key is missing or
    /// different.
    pub fn open(config: Config) -> Result<Self> {
        Self::open_with(config, OpenOptions::default())
    }

    /// Like [`open`](Self::open), with another clock.
    pub fn open_with_clock(config: Config, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_with(config, OpenOptions { clock, ..OpenOptions::default() })
    }

    /// Like [`open`](Self::open), with options.
    pub fn open_with(config: Config, options: OpenOptions) -> Result<Self> {
        let OpenOptions { clock, new_key } = options;
        let (store, mut writer) = Store::open(&config.store)?;
        if store.wal_is_missing() {
            tracing::error!(
                database = %store.path().display(),
                "the last server did not close the database and its write-ahead log is missing: unless another \
                 tool closed the file, records that were only in the log are lost"
            );
        }
        store.damage_seen().stamp_with(Arc::clone(&clock));
        let file = (&store, &mut writer);
        let pseudonymizer = pseudonym_key::open_pseudonymizer(&config, file, new_key, clock.now())?;
        let stored = store.read(|reader| reader.last_clock())?;
        let trusted = Arc::new(TrustedClock::new(Arc::clone(&clock), stored));
        writer.set_clock(Arc::clone(&trusted));
        let (queue, consumer) = Queue::new(&config.ingest);
        let (collector, finished) = TelemetryCollector::new(&config.ingest, Arc::clone(&clock));
        let timed = store.with_stop(queries::deadline(&config, &clock));
        let engine = Arc::new(Engine::new(timed, &config.query));
        let rules = config.alerting.rules.iter().cloned();
        let rules = rules.map(|rule| identified(rule, &pseudonymizer)).collect();
        let monitor = Monitor::new(
            (store.clone(), Arc::new(queue.clone())),
            Arc::clone(&engine),
            Arc::clone(&trusted),
            &config.alerting,
            rules,
        );
        let shared = Arc::new(ServiceCore {
            engine,
            monitor,
            backtesting: Mutex::new(()),
            compactor: Mutex::new(Compactor::new(store.clone(), &config.compactor)),
            retention: Retention::new(store.clone(), config.retention.clone()),
            keys: Mutex::default(),
            key_use_log: Arc::default(),
            audit_log: Arc::default(),
            channels: ChannelReports::new(&config.alerting),
            backups: backups::Backups::default(),
            started_at: clock.now(),
            started_us: clock.monotonic_us(),
            compacted: AtomicU64::new(0),
            failed_compactions: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            collector_lost: AtomicU64::new(0),
            recent_growth: Mutex::default(),
            dropped_content_fields: AtomicU64::new(0),
            stopping: Mutex::new(false),
            stopping_changed: Condvar::new(),
            alerts_paused: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            config,
            clock,
            trusted,
            is_clock_wrong: AtomicBool::new(false),
            store,
            queue,
            collector,
            gateway: GatewayCounters::default(),
            pseudonymizer,
        });
        let threads = threads::start(&shared, writer, consumer, finished)?;
        Ok(Self { inner: Arc::new(ServiceInner { shared, threads: Mutex::new(threads) }) })
    }

    fn shared(&self) -> &ServiceCore {
        &self.inner.shared
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.shared().config
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.shared().clock.now()
    }

    /// Microseconds since an arbitrary fixed point; never decreases.
    pub fn monotonic_us(&self) -> u64 {
        self.shared().clock.monotonic_us()
    }

    /// The clock.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared().clock
    }

    /// The pseudonymizer for users, sessions and identifiers that look personal.
    pub fn pseudonymizer(&self) -> &Pseudonymizer {
        &self.shared().pseudonymizer
    }

    /// The collector of this process.
    pub fn collector(&self) -> TelemetryCollector {
        self.shared().collector.clone()
    }

    /// The counters of the pass-through gateway.
    pub fn gateway(&self) -> &GatewayCounters {
        &self.shared().gateway
    }

    /// The aggregator, which answers the most common queries.
    pub fn aggregator(&self) -> MetricsAggregator {
        let shared = self.shared();
        MetricsAggregator::new(
            Arc::clone(&shared.engine),
            Arc::clone(&shared.clock),
            shared.config.time_zone,
        )
    }

    /// The query engine; its reads end at the configured timeout.
    pub fn engine(&self) -> &Engine {
        &self.shared().engine
    }

    /// The alert monitor: rules with their states, and counters of evaluations.
    pub fn monitor(&self) -> &Monitor {
        &self.shared().monitor
    }

    /// The database file, for reading.
    pub fn store(&self) -> &Store {
        &self.shared().store
    }

    /// Counts records rejected and fields dropped before they reached the service.
    pub fn note_refused(&self, rejected_records: u64, dropped_content_fields: u64) {
        let shared = self.shared();
        shared.rejected.fetch_add(rejected_records, Ordering::Relaxed);
        shared.dropped_content_fields.fetch_add(dropped_content_fields, Ordering::Relaxed);
    }

    /// Queues a batch for the writer without waiting; `on_committed` is called once it is on disk.
    ///
    /// # Errors
    /// [`Overloaded`](crate::Error::Overloaded) if the queue is full,
    /// [`Closed`](crate::Error::Closed) during shutdown. The callback is then dropped without a
    /// call, and nothing is queued.
    pub fn submit(&self, batch: Vec<RequestRecord>, on_committed: OnCommitted) -> Result<()> {
        self.shared().queue.submit(batch, on_committed)
    }

    /// Whether the queue has room for `records` more records.
    pub fn has_room(&self, records: usize) -> bool {
        let queued = self.shared().queue.queued_records();
        queued == 0 || queued + records <= self.config().ingest.queue_max_records
    }

    /// Stores a batch and waits until it is on disk.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), and if the write failed; nothing is stored then.
    pub fn record(&self, batch: Vec<RequestRecord>) -> Result<AppendReport> {
        self.shared().record(batch)
    }

    /// Rolls up all stored rows.
    pub fn compact(&self) -> Result<()> {
        threads::compact(self.shared())
    }

    /// Like [`compact`](Self::compact); `watch` periodically receives the number of remaining rows.
    pub fn compact_watched(&self, watch: &mut dyn FnMut(u64)) -> Result<()> {
        threads::compact_watched(self.shared(), watch)
    }

    /// Prunes everything beyond its retention now, by the [trusted clock](TrustedClock).
    pub fn prune(&self) -> Result<crate::rollup::RetentionReport> {
        self.shared().prune()
    }

    /// Generates traffic and stores it.
    pub fn simulate(&self, request: SimulateRequest) -> Result<AppendReport> {
        let end = self.now();
        let start = end.plus_ms(-i64::from(request.minutes.max(1)) * MINUTE_MS);
        let range = TimeRange::new(start, end);
        let workload = Workload::new(u64::from(request.seed), range, u64::from(request.requests));
        let size = self.config().ingest.commit_max_records.max(1);
        let mut records = workload.records();
        let mut report = AppendReport::default();
        for offset in (0..).step_by(size) {
            let batch: Vec<RequestRecord> = records.by_ref().take(size).collect();
            if batch.is_empty() {
                break;
            }
            let stored = self.record(batch)?;
            let position = |in_batch: &usize| in_batch + offset;
            report.accepted += stored.accepted;
            report.duplicates.extend(stored.duplicates.iter().map(position));
            report.after_retention.extend(stored.after_retention.iter().map(position));
        }
        Ok(report)
    }

    /// Drains the queues, commits and stops the threads; further calls do nothing.
    ///
    /// # Errors
    /// If a thread panicked.
    pub fn shutdown(&self) -> Result<()> {
        self.inner.shutdown()
    }
}

impl ServiceInner {
    fn shutdown(&self) -> Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shared.closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.shared.stop();
        let mut panicked = Vec::new();
        // In start order; the writer's queue is closed after all its producers have ended.
        for (name, thread) in threads.drain(..) {
            if name == threads::WRITER {
                self.shared.queue.close();
            }
            if thread.join().is_err() {
                panicked.push(name);
            }
        }
        if panicked.is_empty() {
            return Ok(());
        }
        tracing::error!(threads = panicked.join(", "), "threads panicked");
        Err(Error::Closed)
    }
}

impl Drop for ServiceInner {
    fn drop(&mut self) {
        // The error is in the log.
        drop(self.shutdown());
    }
}

impl ServiceCore {
    /// The way to the writer.
    fn gate(&self) -> &dyn WriteGate {
        &self.queue
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stopping_changed.notify_all();
        self.backups.stop();
    }
}

/// The range of all requests.
pub(crate) fn all_time() -> TimeRange {
    TimeRange::from_unix_ms(0, i64::MAX / 2)
}
