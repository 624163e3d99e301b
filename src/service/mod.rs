//! `Chatgauge`: open, record, query, shut down. Owns the threads and the clock.

mod alert_health;
mod alert_monitor;
mod alerts;
mod audit;
mod backups;
mod check;
mod clock;
mod delivery;
mod gateway_counters;
mod keys;
mod open_options;
mod pseudonym_key;
mod queries;
mod silences;
mod status;
mod threads;
mod watch;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::collector::TelemetryCollector;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::generate::Workload;
use crate::ingest::Queue;
pub use crate::ingest::{AppendReport, OnCommitted};
use crate::model::failure_log::FailureLog;
use crate::model::time::MINUTE_MS;
use crate::model::{Clock, RequestRecord, SimulateRequest, TimeRange, Timestamp, TrustedClock};
use crate::privacy::Pseudonymizer;
use crate::query::{Engine, MetricsAggregator};
use crate::rollup::{Compactor, Retention};
use crate::store::Store;
pub use alert_health::AlertHealth;
pub use alert_monitor::AlertMonitor;
pub use alerts::AlertCounts;
pub(crate) use alerts::identified;
pub use check::{check, check_threads};
pub use delivery::{ChannelReport, ChannelState, ChannelTest, find_channel, try_channel};
pub use gateway_counters::GatewayCounters;
pub use keys::{make_key, random_text};
pub use open_options::OpenOptions;
pub use pseudonym_key::{key_path, new_pseudonymizer, stored_pseudonymizer};

/// The service: one database file, its writer, compactor and readers. Clones share it.
///
/// When the last clone goes, the queues are drained and the threads end, as by
/// [`shutdown`](Self::shutdown).
#[derive(Clone, Debug)]
pub struct Chatgauge {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<(&'static str, JoinHandle<()>)>>,
}

/// What the threads and the callers share.
struct Shared {
    config: Config,
    clock: Arc<dyn Clock>,
    trusted: Arc<TrustedClock>,
    /// The clock deviated when it was looked at last.
    is_clock_wrong: AtomicBool,
    store: Store,
    queue: Queue,
    engine: Arc<Engine>,
    collector: TelemetryCollector,
    gateway: GatewayCounters,
    pseudonymizer: Pseudonymizer,
    compactor: Mutex<Compactor>,
    retention: Retention,
    keys: keys::KeyCache,
    /// Uses of keys that could not be noted.
    key_use_log: Arc<Mutex<FailureLog>>,
    /// Lines of the audit trail that could not be written.
    audit_log: Arc<Mutex<FailureLog>>,
    monitor: crate::alert::Monitor,
    /// Whether evaluations by the clock wait.
    alerts_held: AtomicBool,
    backtesting: Mutex<()>,
    delivery: delivery::Delivery,
    backups: backups::Backups,
    started_at: Timestamp,
    /// The start and the last evaluation of alerts (0: none), in monotonic microseconds.
    started_us: u64,
    alerts_evaluated_us: AtomicU64,
    compacted: AtomicU64,
    failed_compactions: AtomicU64,
    rejected: AtomicU64,
    /// Requests that the collector handed over and that could not be stored.
    collector_lost: AtomicU64,
    trouble: watch::RecentTrouble,
    dropped_content_fields: AtomicU64,
    stopping: Mutex<bool>,
    stopping_changed: Condvar,
    closed: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Chatgauge {
    /// Opens the database and starts the threads, with the system's clock.
    ///
    /// # Errors
    /// When the file cannot be used; [`PseudonymKey`](Error::PseudonymKey) when its key is missing or another one.
    pub fn open(config: Config) -> Result<Self> {
        Self::open_with(config, OpenOptions::default())
    }

    /// Like [`open`](Self::open), with a clock of the caller's.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_clock(config: Config, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_with(config, OpenOptions { clock, ..OpenOptions::default() })
    }

    /// Like [`open`](Self::open), with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(config: Config, options: OpenOptions) -> Result<Self> {
        let OpenOptions { clock, new_key } = options;
        let (store, mut writer) = Store::open(&config.store)?;
        if store.wal_is_missing() {
            tracing::error!(
                database = %store.path().display(),
                "a server had the database open when it ended, and its write-ahead log was gone at this start: unless another \
                 tool closed the file, records that only the log had are missing"
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
        let monitor = alerts::new_monitor(
            &config.alerting,
            store.clone(),
            Arc::clone(&engine),
            &pseudonymizer,
        );
        let shared = Arc::new(Shared {
            engine,
            monitor,
            backtesting: Mutex::new(()),
            compactor: Mutex::new(Compactor::new(store.clone(), &config.compactor)),
            retention: Retention::new(store.clone(), config.retention.clone()),
            keys: keys::KeyCache::default(),
            key_use_log: Arc::default(),
            audit_log: Arc::default(),
            delivery: delivery::Delivery::new(&config.alerting),
            backups: backups::Backups::default(),
            started_at: clock.now(),
            started_us: clock.monotonic_us(),
            alerts_evaluated_us: AtomicU64::new(0),
            compacted: AtomicU64::new(0),
            failed_compactions: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            collector_lost: AtomicU64::new(0),
            trouble: watch::RecentTrouble::default(),
            dropped_content_fields: AtomicU64::new(0),
            stopping: Mutex::new(false),
            stopping_changed: Condvar::new(),
            alerts_held: AtomicBool::new(false),
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
        Ok(Self { inner: Arc::new(Inner { shared, threads: Mutex::new(threads) }) })
    }

    fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.shared().config
    }

    /// The current instant.
    pub fn now(&self) -> Timestamp {
        self.shared().clock.now()
    }

    /// Microseconds since an arbitrary fixed point; never goes back.
    pub fn monotonic_us(&self) -> u64 {
        self.shared().clock.monotonic_us()
    }

    /// What tells the time.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared().clock
    }

    /// What stands for users and personal-looking identifiers.
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

    /// The questions that programs ask most.
    pub fn aggregator(&self) -> MetricsAggregator {
        let shared = self.shared();
        MetricsAggregator::new(
            Arc::clone(&shared.engine),
            Arc::clone(&shared.clock),
            shared.config.time_zone,
        )
    }

    /// The database file, for reading.
    pub fn store(&self) -> &Store {
        &self.shared().store
    }

    /// Requests that the in-process collector saw start and not end.
    pub fn in_flight(&self) -> u64 {
        self.shared().collector.stats().in_flight
    }

    /// Counts records and fields that an edge refused or dropped before they came here.
    pub fn note_refused(&self, rejected_records: u64, dropped_content_fields: u64) {
        let shared = self.shared();
        shared.rejected.fetch_add(rejected_records, Ordering::Relaxed);
        shared.dropped_content_fields.fetch_add(dropped_content_fields, Ordering::Relaxed);
    }

    /// Hands a batch to the writer without waiting; `on_committed` hears when it is on disk.
    ///
    /// # Errors
    /// [`Overloaded`](crate::Error::Overloaded) when the queue is full, [`Closed`](crate::Error::Closed)
    /// while shutting down; the callback is dropped uncalled then, and nothing was taken.
    pub fn submit(&self, batch: Vec<RequestRecord>, on_committed: OnCommitted) -> Result<()> {
        self.shared().queue.submit(batch, on_committed)
    }

    /// Whether the queue would take so many more records now.
    pub fn has_room(&self, records: usize) -> bool {
        let queued = self.shared().queue.queued_records();
        queued == 0 || queued + records <= self.config().ingest.queue_max_records
    }

    /// Stores a batch and waits until it is on disk.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), and when the write failed; nothing was stored then.
    pub fn record(&self, batch: Vec<RequestRecord>) -> Result<AppendReport> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        // The receiver below waits; if it is gone, its thread is too.
        let on_committed: OnCommitted = Box::new(move |outcome| drop(sender.send(outcome)));
        self.submit(batch, on_committed)?;
        receiver.recv().map_err(|_| Error::Closed)?
    }

    /// Rolls up until nothing is left to roll up.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn compact(&self) -> Result<()> {
        threads::compact(self.shared())
    }

    /// Like [`compact`](Self::compact); `watch` hears now and then how many rows are left.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub fn compact_watched(&self, watch: &mut dyn FnMut(u64)) -> Result<()> {
        threads::compact_watched(self.shared(), watch)
    }

    /// Deletes everything that has outlived its time, now; ages are counted by the [trusted clock](TrustedClock).
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn prune(&self) -> Result<crate::rollup::RetentionReport> {
        self.shared().prune()
    }

    /// Makes up traffic and stores it.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn simulate(&self, request: SimulateRequest) -> Result<AppendReport> {
        let end = self.now();
        let start = end.plus_ms(-i64::from(request.minutes.max(1)) * MINUTE_MS);
        let range = TimeRange::new(start, end);
        let workload = Workload::new(request.seed, range, u64::from(request.requests));
        let mut report = AppendReport::default();
        let mut records = workload.records();
        let mut offset = 0;
        loop {
            let batch: Vec<RequestRecord> =
                records.by_ref().take(self.config().ingest.commit_max_records).collect();
            if batch.is_empty() {
                return Ok(report);
            }
            let size = batch.len();
            let stored = self.record(batch)?;
            report.accepted += stored.accepted;
            report.duplicates.extend(stored.duplicates.iter().map(|position| position + offset));
            let rejected = stored.after_retention.iter().map(|position| position + offset);
            report.after_retention.extend(rejected);
            offset += size;
        }
    }

    /// Drains the queues, commits and stops the threads; a second call does nothing.
    ///
    /// # Errors
    /// When a thread had died.
    pub fn shutdown(&self) -> Result<()> {
        self.inner.shutdown()
    }
}

impl Inner {
    fn shutdown(&self) -> Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shared.closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.shared.stop();
        let mut died = Vec::new();
        // In the order they were started: the writer's queue is closed once all who feed it ended.
        for (name, thread) in threads.drain(..) {
            if name == threads::WRITER {
                self.shared.queue.close();
            }
            if thread.join().is_err() {
                died.push(name);
            }
        }
        if died.is_empty() {
            return Ok(());
        }
        tracing::error!(threads = died.join(", "), "threads had died");
        Err(Error::Closed)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // There is nobody to tell; what went wrong is in the log.
        drop(self.shutdown());
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stopping_changed.notify_all();
        self.backups.stop();
    }
}

/// A range that holds every request.
pub(crate) fn all_time() -> TimeRange {
    TimeRange::from_unix_ms(0, i64::MAX / 2)
}
