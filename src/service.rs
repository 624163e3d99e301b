//! `Chatgauge`: open, record, query, shut down. Owns the threads and the clock.

use std::sync::Arc;

use crate::collector::TelemetryCollector;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Clock, Dimension, Filter, RequestRecord, TimeWindow, Timestamp};
use crate::query::{
    Answer, Breakdown, BreakdownQuery, CurrentMetrics, DimensionValue, Query, RequestsPage,
    RequestsQuery,
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

    /// Drains the queues, commits and stops the threads.
    ///
    /// # Errors
    /// When the last commit failed.
    pub fn shutdown(&self) -> Result<()> {
        unimplemented!()
    }
}
