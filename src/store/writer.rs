//! The one connection that writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::checkpoint::checkpoint;
use super::dedup::RecentResponses;
use super::error::storage;
use super::intern::{DimensionCaps, Interner};
use crate::config::StoreConfig;
use crate::error::{Error, Result};
use crate::model::Clock;

/// The one connection that writes, with what it remembers of what it wrote.
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    interner: Interner,
    recent: RecentResponses,
    /// See [`Store::changes`](super::Store::changes).
    changes: Arc<AtomicU64>,
}

/// A piece of work for the thread that owns the [`Writer`], which may look at that thread's clock.
pub type WriteJob = Box<dyn FnOnce(&mut Writer, &dyn Clock) + Send>;

/// The way to the thread that owns the [`Writer`].
pub trait WriteGate: Send + Sync {
    /// Hands over a job; it runs between two commits of records.
    ///
    /// # Errors
    /// [`Error::Closed`] once the service is shutting down.
    fn hand_over(&self, job: WriteJob) -> Result<()>;
}

impl dyn WriteGate + '_ {
    /// Runs `work` on the writing thread and waits for its result.
    ///
    /// # Errors
    /// [`Error::Closed`] once the service is shutting down, and whatever `work` returns.
    pub fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.start(work)?.wait()
    }

    /// Like `write`, with the microseconds that the work kept the writing thread.
    ///
    /// # Errors
    /// As `write`.
    pub fn write_timed<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T> + Send + 'static,
    ) -> Result<(T, u64)> {
        self.start(work)?.wait_timed()
    }

    /// Hands over `work` and does not wait.
    ///
    /// # Errors
    /// [`Error::Closed`] once the service is shutting down.
    pub fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T> + Send + 'static,
    ) -> Result<Writing<T>> {
        let (sender, outcome) = sync_channel(1);
        self.hand_over(Box::new(move |writer, clock| {
            let started_us = clock.monotonic_us();
            let result = work(writer);
            // Whoever started it waits for the result; when it is gone there is nobody to tell.
            drop(sender.send((result, clock.monotonic_us() - started_us)));
        }))?;
        Ok(Writing { outcome })
    }
}

/// Work under way on the writing thread.
#[derive(Debug)]
pub struct Writing<T> {
    outcome: Receiver<(Result<T>, u64)>,
}

impl<T> Writing<T> {
    /// Waits for the result.
    ///
    /// # Errors
    /// [`Error::Closed`] when the writing thread died, and whatever the work returned.
    pub fn wait(self) -> Result<T> {
        Ok(self.wait_timed()?.0)
    }

    /// Waits for the result and the microseconds that the work kept the writing thread.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timed(self) -> Result<(T, u64)> {
        let (result, took_us) = self.outcome.recv().map_err(|_| Error::Closed)?;
        Ok((result?, took_us))
    }
}

/// Begins a transaction that writes.
pub(super) fn begin(connection: &mut Connection) -> Result<Transaction<'_>> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(storage("beginning to write"))
}

impl Writer {
    pub(super) fn new(connection: Connection, config: &StoreConfig) -> Result<Self> {
        let mut writer = Self {
            interner: Interner::new(config),
            recent: RecentResponses::default(),
            changes: Arc::default(),
            connection,
        };
        writer.forget_uncommitted()?;
        Ok(writer)
    }

    pub(super) const fn parts(&mut self) -> (&mut Connection, &mut Interner, &mut RecentResponses) {
        (&mut self.connection, &mut self.interner, &mut self.recent)
    }

    /// Reads back what is remembered, after a transaction that did not commit.
    pub(super) fn forget_uncommitted(&mut self) -> Result<()> {
        self.interner.reload(&self.connection)?;
        self.recent.reload(&self.connection)
    }

    /// Runs `work` in one transaction: all of it is on disk afterwards, or nothing.
    ///
    /// # Errors
    /// Whatever `work` returns, and when the commit fails.
    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let transaction = begin(&mut self.connection)?;
        let result = work(&transaction)?;
        transaction.commit().map_err(storage("committing"))?;
        // Afterwards: whoever reads what was written and not yet counted has only counted too little.
        self.changes.fetch_add(1, Ordering::SeqCst);
        Ok(result)
    }

    pub(super) const fn changes(&self) -> &Arc<AtomicU64> {
        &self.changes
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Distinct values of users, spaces, models and labels against their caps.
    pub fn dimension_caps(&self) -> [(&'static str, DimensionCaps); 4] {
        self.interner.caps()
    }

    /// Proves that the file can be written, without changing it.
    ///
    /// # Errors
    /// When it cannot.
    pub fn probe(&mut self) -> Result<()> {
        begin(&mut self.connection)?.rollback().map_err(storage("probing the file"))
    }

    /// Moves as much of the write-ahead log into the database file as nobody reads, without waiting for anybody;
    /// `false`, and nothing is moved, when that is more than `most_pages`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn checkpoint(&self, most_pages: i64) -> Result<bool> {
        if checkpoint(&self.connection, "noop")? > most_pages {
            return Ok(false);
        }
        checkpoint(&self.connection, "passive")?;
        Ok(true)
    }
}
