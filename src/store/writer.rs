//! The one connection that writes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use rusqlite::{Connection, Params, Transaction, TransactionBehavior};

use super::checkpoint::{CHECKPOINT, WalPages, checkpoint};
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
use super::wal_identity::{WalFinding, WalPresence};
use crate::config::StoreConfig;
use crate::error::{Error, Result};
use crate::model::{Clock, TrustedClock};

/// Pages of the write-ahead log at which the writer checkpoints it: 4 MiB, SQLite's own threshold.
const CHECKPOINT_PAGES: i64 = 1_000;
/// Small commits between two checks of the size of the write-ahead log.
const COMMITS_PER_LOOK: u32 = 8;
/// Minimum number of records of a large commit; the write-ahead log is checked after each.
const LARGE_BATCH: usize = 100;

/// The one connection that writes, with its cache of the file's contents.
#[derive(Debug)]
pub struct Writer {
    /// `None` only after `drop` has leaked it.
    connection: Option<Connection>,
    pub(super) memory: WriterMemory,
    pub(super) clock: StoredClock,
    /// See [`Store::changes`](super::Store::changes).
    pub(super) changes: Arc<AtomicU64>,
    pub(super) health: Arc<StoreHealth>,
    /// Pages of the write-ahead log at which this connection checkpoints it.
    pub(super) checkpoint_pages: i64,
    commits_since_look: u32,
    /// The write-ahead log may restart with the next transaction. That transaction must then contain the session, by
    /// which a log is recognised as the file's own.
    wal_restarts: bool,
    /// `None` beside a server.
    session: Option<ServerSession>,
}

/// What a writer knows of the file without reading it.
#[derive(Debug)]
pub(super) struct WriterMemory {
    pub(super) interner: Interner,
    pub(super) recent: RecentResponses,
    pub(super) pruned: PrunedDays,
    /// A transaction was rolled back since this was read.
    is_stale: bool,
}

/// The time that a server has the file open.
#[derive(Debug)]
struct ServerSession {
    /// Whether a checkpoint has moved its mark into the database file.
    is_in_file: bool,
    held: Arc<HeldFile>,
}

/// A job for the thread that owns the [`Writer`]; it gets that thread's clock too.
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
    /// Runs `work` on the writer thread and waits for its result.
    ///
    /// # Errors
    /// [`Error::Closed`] once the service is shutting down, and whatever `work` returns.
    pub fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.start(work)?.wait()
    }

    /// Like `write`, with the microseconds that the work kept the writer thread.
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
            // Fails when the caller does not wait for the result.
            drop(sender.send((result, clock.monotonic_us() - started_us)));
        }))?;
        Ok(Writing { outcome })
    }
}

/// Work in flight on the writer thread.
#[derive(Debug)]
pub struct Writing<T> {
    outcome: Receiver<(Result<T>, u64)>,
}

impl<T> Writing<T> {
    /// Whether the work is done, or never will be. Consumes the result: call it only when that does not matter.
    pub fn is_done(&self) -> bool {
        !matches!(self.outcome.try_recv(), Err(TryRecvError::Empty))
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// [`Error::Closed`] when the writer thread died, and whatever the work returned.
    pub fn wait(self) -> Result<T> {
        Ok(self.wait_timed()?.0)
    }

    /// Waits for the result and the microseconds that the work kept the writer thread.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timed(self) -> Result<(T, u64)> {
        let (result, took_us) = self.outcome.recv().map_err(|_| Error::Closed)?;
        Ok((result?, took_us))
    }
}

impl Writer {
    /// The writer of the server that holds the file; notes in the file that it is in use.
    pub(super) fn open(
        connection: Connection,
        config: &StoreConfig,
        held: &Arc<HeldFile>,
        found: &WalFinding,
    ) -> Result<Self> {
        let mut writer = Self::beside(connection, config)?;
        writer.session = Some(ServerSession { is_in_file: false, held: Arc::clone(held) });
        let wal_is_missing = found.wal == WalPresence::Missing;
        writer.write("noting that the file is in use", |transaction| {
            state::mark_opening(transaction, found.session.as_deref(), wal_is_missing)
        })?;
        writer.checkpoint(i64::MAX)?;
        held.remember_companions()?;
        Ok(writer)
    }

    /// A writer beside a server that may hold the file.
    pub(super) fn beside(connection: Connection, config: &StoreConfig) -> Result<Self> {
        let mut writer = Self {
            memory: WriterMemory {
                interner: Interner::new(config),
                recent: RecentResponses::default(),
                pruned: PrunedDays::default(),
                is_stale: true,
            },
            clock: StoredClock::default(),
            changes: Arc::default(),
            health: Arc::default(),
            checkpoint_pages: CHECKPOINT_PAGES,
            commits_since_look: 0,
            wal_restarts: false,
            session: None,
            connection: Some(connection),
        };
        writer.reload_memory()?;
        Ok(writer)
    }

    /// Stores records in one transaction.
    pub(super) fn append_transaction<T>(
        &mut self,
        records: usize,
        work: impl FnOnce(&Transaction<'_>, &mut WriterMemory) -> Result<T>,
    ) -> Result<T> {
        self.may_write()?;
        if self.memory.is_stale {
            self.reload_memory()?;
        }
        let outcome = self.run(StoreHealth::note_append, work);
        if outcome.is_ok() {
            self.committed(records >= LARGE_BATCH);
            return outcome;
        }
        self.memory.is_stale = true;
        if let Err(error) = self.reload_memory() {
            // The next commit tries again, and rejects its records with the error when that fails too.
            tracing::debug!(%error, "reading the dictionaries back failed; retrying before the next commit");
        }
        outcome
    }

    /// Reads the file again, after a transaction that was rolled back.
    pub(super) fn reload_memory(&mut self) -> Result<()> {
        let connection = self.connection.as_ref().ok_or(Error::Closed)?;
        self.memory.pruned.forget();
        self.memory.interner.reload(connection).map_err(storage("reading the dictionaries"))?;
        self.memory.recent.reload(connection)?;
        self.memory.is_stale = false;
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

    /// Runs `work` in one transaction; an error of SQLite names `operation`.
    pub(super) fn write<T>(
        &mut self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        self.transaction(|transaction| work(transaction).map_err(storage(operation)))
    }

    /// Runs one statement in a transaction; the number of changed rows.
    pub(super) fn execute(
        &mut self,
        operation: &'static str,
        sql: &str,
        values: impl Params,
    ) -> Result<usize> {
        self.write(operation, |transaction| transaction.prepare_cached(sql)?.execute(values))
    }

    fn transaction_noted<T>(
        &mut self,
        note: impl FnOnce(&StoreHealth, Result<T>) -> Result<T>,
        work: impl FnOnce(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        self.may_write()?;
        let done = self.run(note, |transaction, _| work(transaction))?;
        // After the commit: a reader that counts before it only finds its snapshot newer than its count.
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.committed(true);
        Ok(done)
    }

    /// Runs `work` in a transaction and hands the outcome to `note`; an error of damage names the file and the remedy.
    fn run<T>(
        &mut self,
        note: impl FnOnce(&StoreHealth, Result<T>) -> Result<T>,
        work: impl FnOnce(&Transaction<'_>, &mut WriterMemory) -> Result<T>,
    ) -> Result<T> {
        let clock = self.clock.due();
        let connection = self.connection.as_mut().ok_or(Error::Closed)?;
        let outcome = transact(connection, self.wal_restarts, clock, |transaction| {
            work(transaction, &mut self.memory)
        });
        let outcome = outcome
            .map_err(|error| named(Path::new(connection.path().unwrap_or_default()), error))
            .and_then(|done| self.look_for_cut().map(|()| done));
        let done = note(&self.health, outcome)?;
        self.clock.committed(clock);
        Ok(done)
    }

    /// Runs a statement that is a transaction by itself.
    pub(super) fn autocommit(
        &mut self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<()> {
        self.may_write()?;
        self.health.note_other(work(self.connected()?).map_err(storage(operation)))?;
        self.committed(true);
        Ok(())
    }

    fn may_write(&self) -> Result<()> {
        self.look_for_cut()?;
        self.health.may_write()
    }

    /// Refuses to go on when the file or its write-ahead log was truncated. Called before a transaction, which would fill
    /// the gap, and after it, because its own pages may be lost too.
    fn look_for_cut(&self) -> Result<()> {
        if let (Some(session), Some(connection)) = (&self.session, &self.connection)
            && let Some(cut) = find_cut(&session.held, connection)
        {
            self.health.set_cut(cut);
        }
        self.health.is_whole("writing")
    }

    /// Checkpoints the write-ahead log when it has grown too long. A failure does not endanger committed transactions.
    fn committed(&mut self, is_large: bool) {
        self.wal_restarts = false;
        self.commits_since_look += 1;
        let is_due = is_large || self.commits_since_look >= COMMITS_PER_LOOK;
        if !is_due || self.session.is_none() {
            return;
        }
        self.commits_since_look = 0;
        // The length, not the backlog, as SQLite's automatic checkpoints do: while another connection checkpoints, commits
        // lengthen the log, and only a checkpoint right after a commit is complete.
        if self.wal_pages("noop").is_ok_and(|pages| pages.log < self.checkpoint_pages) {
            return;
        }
        match self.wal_pages("passive") {
            Ok(left) => self.wal_restarts = left.backlog == 0,
            Err(error) => {
                tracing::debug!(%error, "WAL checkpoint failed; retrying after the next commits");
            }
        }
    }

    /// The WAL after a checkpoint in the mode.
    fn wal_pages(&self, mode: &str) -> Result<WalPages> {
        self.health.is_whole(CHECKPOINT)?;
        self.health.note_checkpoint(checkpoint(self.connected()?, mode))
    }

    /// The connection itself, for work in transactions of its own.
    ///
    /// # Errors
    /// [`Error::Closed`] after a failed close.
    pub(super) fn connected(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or(Error::Closed)
    }

    /// Sets the clock to store with transactions, at most once a second.
    pub fn set_clock(&mut self, clock: Arc<TrustedClock>) {
        self.clock.clock = Some(clock);
    }

    /// Stores the clock unless that was done within `age`, so that it does not fall behind while nothing is committed.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn keep_clock(&mut self, age: Duration) -> Result<()> {
        let Some(due) = self.clock.due_after(age) else { return Ok(()) };
        self.write("storing the clock", |transaction| due.put(transaction))?;
        self.clock.committed(Some(due));
        Ok(())
    }

    /// Distinct values of users, spaces, models and labels against their cardinality limits.
    pub fn dimension_caps(&self) -> [(&'static str, DimensionCaps); 4] {
        self.memory.interner.caps()
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

    /// Checkpoints as much of the write-ahead log as no reader needs, without waiting for readers. When that is more than
    /// `max_pages`, nothing is done and the result is `false`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn checkpoint(&mut self, max_pages: i64) -> Result<bool> {
        if self.wal_pages("noop")?.backlog > max_pages {
            return Ok(false);
        }
        if self.wal_pages("passive")?.backlog == 0 {
            self.wal_restarts = true;
            self.note_session_in_file()?;
        }
        Ok(true)
    }

    fn note_session_in_file(&mut self) -> Result<()> {
        if self.session.as_ref().is_none_or(|session| session.is_in_file) {
            return Ok(());
        }
        self.write("noting that the file is in use", state::mark_open)?;
        if let Some(session) = &mut self.session {
            session.is_in_file = true;
        }
        self.wal_restarts = self.wal_pages("passive")?.backlog == 0;
        Ok(())
    }

    /// Notes a clean close and checkpoints the write-ahead log, which SQLite deletes with the last connection.
    fn close(&mut self) -> Result<()> {
        self.write("noting that the file is closed", state::mark_closed)?;
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
            // The last frames go to the file that is open, wherever it is now; refused after a failed flush.
            drop(self.wal_pages("passive"));
            // While this connection is open, no other one is the last, which would checkpoint and delete the log.
            std::mem::forget(self.connection.take());
            std::mem::forget(session.held);
            return;
        }
        // Before the held file: closing its descriptor drops SQLite's locks, and lets another server in.
        drop(self.connection.take());
    }
}

/// Runs `work` in one transaction, which also stores the session when the write-ahead log may restart, and the clock when
/// that is due.
fn transact<T>(
    connection: &mut Connection,
    wal_restarts: bool,
    clock: Option<ClockToStore>,
    work: impl FnOnce(&Transaction<'_>) -> Result<T>,
) -> Result<T> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(storage("beginning to write"))?;
    let done = work(&transaction)?;
    if wal_restarts {
        state::touch(&transaction).map_err(storage("noting the session in the write-ahead log"))?;
    }
    if let Some(clock) = clock {
        clock.put(&transaction).map_err(storage("storing the clock"))?;
    }
    transaction.commit().map_err(storage("committing"))?;
    Ok(done)
}
