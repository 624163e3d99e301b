//! The one connection that writes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::checkpoint::{CHECKPOINT, checkpoint};
use super::cut_file::find_cut;
use super::damage::named;
use super::dedup::RecentResponses;
use super::error::storage;
use super::health::StoreHealth;
use super::held_file::HeldFile;
use super::intern::{DimensionCaps, Interner};
use super::pruned_days::PrunedDays;
use super::state;
use super::stored_clock::{ClockToStore, StoredClock};
use super::wal_identity::{Found, WalFound};
use crate::config::StoreConfig;
use crate::error::{Error, Result};
use crate::model::Clock;

/// Pages of the write-ahead log at which the writer moves it into the database file: 4 MiB, SQLite's own threshold.
const CHECKPOINT_PAGES: i64 = 1_000;
/// Small commits between two looks at the size of the write-ahead log.
const COMMITS_PER_LOOK: u32 = 8;
/// Records from which a commit is not small.
const LARGE_BATCH: usize = 100;

/// The one connection that writes, with what it remembers of what it wrote.
#[derive(Debug)]
pub struct Writer {
    /// `None` only once it was given away for good, see `drop`.
    connection: Option<Connection>,
    interner: Interner,
    recent: RecentResponses,
    pruned: PrunedDays,
    /// What is remembered of a transaction that was rolled back could not be read back yet.
    is_stale: bool,
    stored_clock: StoredClock,
    /// See [`Store::changes`](super::Store::changes).
    changes: Arc<AtomicU64>,
    health: Arc<StoreHealth>,
    checkpoint_pages: i64,
    commits_since_look: u32,
    /// The write-ahead log may restart with the next transaction, which then has to carry the session: whoever finds the
    /// log tells by it which file it belongs to.
    wal_restarts: bool,
    /// `None` beside a server.
    session: Option<Session>,
}

/// What a writer remembers of the file, for a transaction that stores records.
pub(super) struct WriterMemory<'w> {
    pub(super) interner: &'w mut Interner,
    pub(super) recent: &'w mut RecentResponses,
    pub(super) pruned: &'w mut PrunedDays,
}

/// The time that a server has the file open.
#[derive(Debug)]
struct Session {
    /// Whether a checkpoint has moved its mark into the database file.
    is_in_file: bool,
    held: Arc<HeldFile>,
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

/// Work in flight on the writing thread.
#[derive(Debug)]
pub struct Writing<T> {
    outcome: Receiver<(Result<T>, u64)>,
}

impl<T> Writing<T> {
    /// Whether the work is done, or never will be. Takes the result: ask only when it does not matter.
    pub fn is_done(&self) -> bool {
        !matches!(self.outcome.try_recv(), Err(TryRecvError::Empty))
    }

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
fn begin(connection: &mut Connection) -> Result<Transaction<'_>> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(storage("beginning to write"))
}

impl Writer {
    /// The writer of the server that holds the file; notes in the file that it is in use.
    pub(super) fn open(
        connection: Connection,
        config: &StoreConfig,
        health: Arc<StoreHealth>,
        held: &Arc<HeldFile>,
        found: &Found,
    ) -> Result<Self> {
        let mut writer = Self::beside(connection, config)?;
        writer.health = health;
        writer.session = Some(Session { is_in_file: false, held: Arc::clone(held) });
        let wal_is_missing = found.wal == WalFound::Missing;
        writer.transaction(|transaction| {
            state::mark_opening(transaction, &found.session, wal_is_missing)
                .map_err(storage("noting that the file is in use"))
        })?;
        writer.checkpoint(i64::MAX)?;
        held.remember_companions()?;
        Ok(writer)
    }

    /// A writer beside a server that may hold the file.
    pub(super) fn beside(connection: Connection, config: &StoreConfig) -> Result<Self> {
        let mut writer = Self {
            interner: Interner::new(config),
            recent: RecentResponses::default(),
            pruned: PrunedDays::default(),
            is_stale: true,
            stored_clock: StoredClock::default(),
            changes: Arc::default(),
            health: Arc::default(),
            checkpoint_pages: CHECKPOINT_PAGES,
            commits_since_look: 0,
            wal_restarts: false,
            session: None,
            connection: Some(connection),
        };
        writer.forget_uncommitted()?;
        Ok(writer)
    }

    /// Leaves the write-ahead log to another connection, unless it grows beyond `pages`.
    pub(super) const fn leave_checkpoints_until(&mut self, pages: i64) {
        self.checkpoint_pages = pages;
    }

    /// Stores records in one transaction: `work` gets it with what the writer remembers.
    pub(super) fn append_transaction<T>(
        &mut self,
        records: usize,
        work: impl FnOnce(&Transaction<'_>, WriterMemory<'_>) -> Result<T>,
    ) -> Result<T> {
        self.may_write()?;
        if self.is_stale {
            self.forget_uncommitted()?;
        }
        let clock = self.stored_clock.due();
        let connection = self.connection.as_mut().ok_or(Error::Closed)?;
        let (interner, recent, pruned) = (&mut self.interner, &mut self.recent, &mut self.pruned);
        let memory = WriterMemory { interner, recent, pruned };
        let extra = Extra { wal_restarts: self.wal_restarts, clock };
        let outcome = in_transaction(connection, extra, |transaction| work(transaction, memory));
        let outcome = outcome.and_then(|stored| self.look_for_cut().map(|()| stored));
        let outcome = self.health.note_append(outcome);
        match &outcome {
            Ok(_) => {
                self.stored_clock.committed(clock);
                self.committed(records >= LARGE_BATCH);
            }
            Err(_) => {
                self.is_stale = true;
                if let Err(error) = self.forget_uncommitted() {
                    // The next commit tries again, and refuses its records with the error when that fails too.
                    tracing::debug!(%error, "reading the dictionaries back failed; retrying before the next commit");
                }
            }
        }
        outcome
    }

    pub(super) const fn pruned_days(&mut self) -> &mut PrunedDays {
        &mut self.pruned
    }

    /// Reads back what is remembered, after a transaction that did not commit.
    pub(super) fn forget_uncommitted(&mut self) -> Result<()> {
        self.pruned.forget();
        let connection = self.connection.as_ref().ok_or(Error::Closed)?;
        self.interner.reload(connection)?;
        self.recent.reload(connection)?;
        self.is_stale = false;
        Ok(())
    }

    /// Runs `work` in one transaction: all of it is on disk afterwards, or nothing.
    ///
    /// # Errors
    /// Whatever `work` returns, and when the commit fails.
    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        self.transaction_noted(StoreHealth::note_other, work)
    }

    /// The same with what is to be made of its outcome.
    fn transaction_noted<T>(
        &mut self,
        note: impl FnOnce(&StoreHealth, Result<T>) -> Result<T>,
        work: impl FnOnce(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        self.may_write()?;
        let clock = self.stored_clock.due();
        let connection = self.connection.as_mut().ok_or(Error::Closed)?;
        let extra = Extra { wal_restarts: self.wal_restarts, clock };
        let outcome = in_transaction(connection, extra, work);
        let outcome = outcome.and_then(|done| self.look_for_cut().map(|()| done));
        let outcome = note(&self.health, outcome)?;
        self.stored_clock.committed(clock);
        // Afterwards: whoever reads what was written and not yet counted has only counted too little.
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.committed(true);
        Ok(outcome)
    }

    /// Runs a statement that is a transaction by itself.
    pub(super) fn autocommit(
        &mut self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<()> {
        self.may_write()?;
        let connection = self.connection.as_ref().ok_or(Error::Closed)?;
        self.health.note_other(work(connection).map_err(storage(operation)))?;
        self.committed(true);
        Ok(())
    }

    fn may_write(&self) -> Result<()> {
        self.look_for_cut()?;
        self.health.may_write()
    }

    /// Refuses to go on when the file or its log was cut. Looked for before a transaction, which would fill the gap, and
    /// after it, because what it wrote may be cut off too.
    fn look_for_cut(&self) -> Result<()> {
        if let (Some(session), Some(connection)) = (&self.session, &self.connection)
            && let Some(cut) = find_cut(&session.held, connection)
        {
            self.health.set_cut(cut);
        }
        self.health.is_whole("writing")
    }

    /// Moves the write-ahead log when it has grown too long. What was committed is on disk whatever comes of this.
    fn committed(&mut self, is_large: bool) {
        self.wal_restarts = false;
        self.commits_since_look += 1;
        let is_due = is_large || self.commits_since_look >= COMMITS_PER_LOOK;
        if !is_due || self.session.is_none() {
            return;
        }
        self.commits_since_look = 0;
        let pages = self.wal_pages("noop");
        if pages.is_ok_and(|pages| pages < self.checkpoint_pages) {
            return;
        }
        match self.wal_pages("passive") {
            Ok(left) => self.wal_restarts = left == 0,
            Err(error) => {
                tracing::debug!(%error, "WAL checkpoint failed; retrying after the next commits");
            }
        }
    }

    /// Pages of the write-ahead log that are not in the database file after a checkpoint of the mode.
    fn wal_pages(&self, mode: &str) -> Result<i64> {
        let connection = self.connection.as_ref().ok_or(Error::Closed)?;
        self.health.is_whole(CHECKPOINT)?;
        self.health.note_checkpoint(checkpoint(connection, mode))
    }

    pub(super) const fn stored_clock_mut(&mut self) -> &mut StoredClock {
        &mut self.stored_clock
    }

    pub(super) const fn changes(&self) -> &Arc<AtomicU64> {
        &self.changes
    }

    /// The connection itself, for tests.
    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        self.connection.as_ref().unwrap()
    }

    /// The connection itself, for work in transactions of its own.
    ///
    /// # Errors
    /// [`Error::Closed`] after a failed close.
    pub(super) fn connected(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or(Error::Closed)
    }

    pub(super) const fn health(&self) -> &Arc<StoreHealth> {
        &self.health
    }

    /// Distinct values of users, spaces, models and labels against their caps.
    pub fn dimension_caps(&self) -> [(&'static str, DimensionCaps); 4] {
        self.interner.caps()
    }

    /// Proves that records can be committed, by a commit.
    ///
    /// # Errors
    /// When they cannot.
    pub fn probe(&mut self) -> Result<()> {
        self.transaction_noted(StoreHealth::note, |transaction| {
            state::touch(transaction).map_err(storage("probing the file"))
        })
    }

    /// Moves as much of the write-ahead log into the database file as nobody reads, without waiting for anybody;
    /// `false`, and nothing is moved, when that is more than `max_pages`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn checkpoint(&mut self, max_pages: i64) -> Result<bool> {
        if self.wal_pages("noop")? > max_pages {
            return Ok(false);
        }
        if self.wal_pages("passive")? == 0 {
            self.wal_restarts = true;
            self.note_session_in_file()?;
        }
        Ok(true)
    }

    fn note_session_in_file(&mut self) -> Result<()> {
        if self.session.as_ref().is_none_or(|session| session.is_in_file) {
            return Ok(());
        }
        self.transaction(|transaction| {
            state::mark_open(transaction).map_err(storage("noting that the file is in use"))
        })?;
        if let Some(session) = &mut self.session {
            session.is_in_file = true;
        }
        self.wal_restarts = self.wal_pages("passive")? == 0;
        Ok(())
    }

    /// Notes a clean close and moves the write-ahead log, which SQLite deletes with the last connection.
    fn close(&mut self) -> Result<()> {
        self.transaction(|transaction| {
            state::mark_closed(transaction).map_err(storage("noting that the file is closed"))
        })?;
        self.wal_pages("passive").map(|_| ())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if !self.health.must_stay_open()
            && let Err(error) = self.close()
        {
            tracing::warn!(%error, "closing the database failed; the next start recovers from the write-ahead log");
        }
        if self.health.must_stay_open() {
            // What only the log has goes to the file that is open, wherever that is now; not after a failed flush.
            drop(self.wal_pages("passive"));
            // While this one is open no other connection is the last one, which would move and delete the log.
            std::mem::forget(self.connection.take());
            std::mem::forget(session.held);
            return;
        }
        // Before the held file: closing its descriptor drops SQLite's locks, and lets another server in.
        drop(self.connection.take());
    }
}

/// What a transaction writes besides its work.
#[derive(Clone, Copy, Debug)]
struct Extra {
    /// The write-ahead log may restart with it, and then has to carry the session.
    wal_restarts: bool,
    clock: Option<ClockToStore>,
}

/// Runs `work` in one transaction; an error of damage names the file and the remedy.
fn in_transaction<T>(
    connection: &mut Connection,
    extra: Extra,
    work: impl FnOnce(&Transaction<'_>) -> Result<T>,
) -> Result<T> {
    transact(connection, extra, work)
        .map_err(|error| named(Path::new(connection.path().unwrap_or_default()), error))
}

fn transact<T>(
    connection: &mut Connection,
    Extra { wal_restarts, clock }: Extra,
    work: impl FnOnce(&Transaction<'_>) -> Result<T>,
) -> Result<T> {
    let transaction = begin(connection)?;
    let result = work(&transaction)?;
    if wal_restarts {
        state::touch(&transaction).map_err(storage("noting the session in the write-ahead log"))?;
    }
    if let Some(clock) = clock {
        clock.put(&transaction).map_err(storage("storing the clock"))?;
    }
    transaction.commit().map_err(storage("committing"))?;
    Ok(result)
}
