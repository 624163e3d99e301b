//! The one connection that writes.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::dedup::RecentResponses;
use super::error::storage;
use super::intern::{DimensionCaps, Interner};
use crate::config::StoreConfig;
use crate::error::{Error, Result};

/// The one connection that writes, with what it remembers of what it wrote.
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    interner: Interner,
    recent: RecentResponses,
}

/// A piece of work for the thread that owns the [`Writer`].
pub type WriteJob = Box<dyn FnOnce(&mut Writer) + Send>;

/// The way to the thread that owns the [`Writer`].
pub trait WriteGate: Send + Sync {
    /// Hands over a job; it runs between two commits of records.
    ///
    /// # Errors
    /// [`Error::Closed`] once the service is shutting down.
    fn hand_over(&self, job: WriteJob) -> Result<()>;

    /// Hands over a job that [`last_job_us`](Self::last_job_us) passes over: its time tells nothing about the next one.
    ///
    /// # Errors
    /// As [`hand_over`](Self::hand_over).
    fn hand_over_aside(&self, job: WriteJob) -> Result<()> {
        self.hand_over(job)
    }

    /// How long the last job kept the writing thread, in microseconds; 0 where nobody measures it.
    fn last_job_us(&self) -> u64 {
        0
    }
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
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.hand_over(Box::new(move |writer| {
            // The caller waits for the result; when it is gone there is nobody to tell.
            drop(sender.send(work(writer)));
        }))?;
        receiver.recv().map_err(|_| Error::Closed)?
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
        Ok(result)
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

    /// Moves as much of the write-ahead log into the database file as nobody reads, without waiting for anybody.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn checkpoint(&self) -> Result<()> {
        self.connection
            .pragma_update_and_check(None, "wal_checkpoint", "passive", |_| Ok(()))
            .map_err(storage("moving the log into the database"))
    }
}
