//! `Chatgauge`: open, record, query, shut down. Owns the threads and the clock.

use std::sync::Arc;

use crate::collector::TelemetryCollector;
use crate::config::Config;
use crate::error::Result;
use crate::model::{
    AuditEntry, Clock, CreatedKey, Dimension, Filter, KeyGrant, KeyInfo, NewKey, RequestRecord,
    SimulateRequest, TimeWindow, Timestamp,
};
use crate::privacy::Pseudonymizer;
use crate::query::{
    Answer, Breakdown, BreakdownQuery, CurrentMetrics, DimensionValue, Heatmap, HeatmapQuery,
    ModelTotals, Query, RequestsPage, RequestsQuery, SqlAnswer, Status,
};

/// What became of a batch of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendReport {
    /// Records stored.
    pub accepted: usize,
    /// Positions, in the batch, of records that were stored before.
    pub duplicates: Vec<usize>,
}

/// Called once with the outcome of a batch, on the writer's thread: it must be short.
pub type OnCommitted = Box<dyn FnOnce(Result<AppendReport>) + Send>;

/// The service: one database file, its writer, compactor and readers. Clones share it.
#[derive(Clone, Debug)]
pub struct Chatgauge {}

impl Chatgauge {
    /// Opens the database and starts the threads, with the system's clock.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn open(config: Config) -> Result<Self> {
        unimplemented!("{config:?}")
    }

    /// Like [`open`](Self::open), with a clock of the caller's.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn open_with_clock(config: Config, clock: Arc<dyn Clock>) -> Result<Self> {
        unimplemented!("{config:?} {clock:?}")
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        unimplemented!()
    }

    /// The current instant.
    pub fn now(&self) -> Timestamp {
        unimplemented!()
    }

    /// The collector that records requests of this process.
    pub fn collector(&self) -> TelemetryCollector {
        unimplemented!()
    }

    /// Hands a batch to the writer without waiting; `on_committed` hears when it is on disk.
    ///
    /// # Errors
    /// [`Overloaded`](crate::Error::Overloaded) when the queue is full, [`Closed`](crate::Error::Closed)
    /// while shutting down; the callback is dropped uncalled then, and nothing was taken.
    pub fn submit(&self, batch: Vec<RequestRecord>, on_committed: OnCommitted) -> Result<()> {
        drop(on_committed);
        unimplemented!("{batch:?}")
    }

    /// Stores a batch and waits until it is on disk.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), and when the write failed; nothing was stored then.
    pub fn record(&self, batch: Vec<RequestRecord>) -> Result<AppendReport> {
        unimplemented!("{batch:?}")
    }

    /// Answers a query from one snapshot.
    ///
    /// # Errors
    /// When the query asks for too much or the file cannot be read.
    pub fn query(&self, query: &Query) -> Result<Answer> {
        unimplemented!("{query:?}")
    }

    /// The leading groups of a dimension.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub fn breakdown(&self, query: &BreakdownQuery) -> Result<Breakdown> {
        unimplemented!("{query:?}")
    }

    /// The numbers of this moment.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub fn current(&self, filter: &Filter, window: TimeWindow) -> Result<CurrentMetrics> {
        unimplemented!("{filter:?} {window:?}")
    }

    /// A page of stored requests, newest first.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub fn requests(&self, query: &RequestsQuery) -> Result<RequestsPage> {
        unimplemented!("{query:?}")
    }

    /// Values of a dimension that start with `prefix`, busiest first.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub fn dimension_values(
        &self,
        dimension: Dimension,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<DimensionValue>> {
        unimplemented!("{dimension:?} {prefix} {limit}")
    }

    /// What stands for users and personal-looking identifiers.
    pub fn pseudonymizer(&self) -> &Pseudonymizer {
        unimplemented!()
    }

    /// Counts of requests by latency over time.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub fn heatmap(&self, query: &HeatmapQuery) -> Result<Heatmap> {
        unimplemented!("{query:?}")
    }

    /// Microseconds since an arbitrary fixed point; never goes back.
    pub fn monotonic_us(&self) -> u64 {
        unimplemented!()
    }

    /// Requests that the in-process collector saw start and not end; an atomic read.
    pub fn in_flight(&self) -> u64 {
        unimplemented!()
    }

    /// Runs one read-only statement, within the limits of time and rows of the configuration.
    ///
    /// # Errors
    /// [`InvalidQuery`](crate::Error::InvalidQuery) of the parameter `sql` when the statement is not
    /// acceptable, with the database's own words.
    pub fn sql(&self, statement: &str) -> Result<SqlAnswer> {
        unimplemented!("{statement}")
    }

    /// How every part is doing.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn status(&self) -> Result<Status> {
        unimplemented!()
    }

    /// Whether records can be stored and questions answered right now; quick.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn ready(&self) -> Result<()> {
        unimplemented!()
    }

    /// Everything ever stored, by provider and model.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub fn prometheus_totals(&self) -> Result<Vec<ModelTotals>> {
        unimplemented!()
    }

    /// Counts what was turned away at the edge, for [`status`](Self::status).
    pub fn note_rejected(&self, records: u64, dropped_content_fields: u64) {
        unimplemented!("{records} {dropped_content_fields}")
    }

    /// Makes up traffic and stores it.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn simulate(&self, request: SimulateRequest) -> Result<AppendReport> {
        unimplemented!("{request:?}")
    }

    /// What the key `cg_<id>_<secret>` allows; `None` when it is unknown, expired or revoked. Called for
    /// every request on the server's own threads: a read of memory, at worst of one indexed row.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn authenticate_key(&self, token: &str) -> Result<Option<KeyGrant>> {
        unimplemented!("{}", token.len())
    }

    /// Every key, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn keys(&self) -> Result<Vec<KeyInfo>> {
        unimplemented!()
    }

    /// Makes a key; only a hash of its secret is kept.
    ///
    /// # Errors
    /// When the write failed.
    pub fn create_key(&self, key: &NewKey) -> Result<CreatedKey> {
        unimplemented!("{key:?}")
    }

    /// Revokes a key at once; `None` when there is no such key.
    ///
    /// # Errors
    /// When the write failed.
    pub fn revoke_key(&self, key_id: &str) -> Result<Option<KeyInfo>> {
        unimplemented!("{key_id}")
    }

    /// Notes a line in the audit trail without waiting for the disk.
    pub fn audit(&self, entry: AuditEntry) {
        unimplemented!("{entry:?}")
    }

    /// Lines of the audit trail, newest first: at most `limit` before the line `before`, each with
    /// its id.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn audit_trail(&self, before: Option<i64>, limit: usize) -> Result<Vec<(i64, AuditEntry)>> {
        unimplemented!("{before:?} {limit}")
    }

    /// Drains the queues, commits and stops the threads.
    ///
    /// # Errors
    /// When the last commit failed.
    pub fn shutdown(&self) -> Result<()> {
        unimplemented!()
    }
}
