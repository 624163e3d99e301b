//! Opening a file, by role: for the one server, for reading, beside a server.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use r2d2::{Pool, PooledConnection};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};

use super::cut_file::find_cut;
use super::damage::{DamageLog, named};
use super::error::{is_out_of_shared_memory, pool, storage, unusable};
use super::health::StoreHealth;
use super::held_file::{HeldFile, is_held};
use super::migrate::{check_contents, check_version, migrate};
use super::paths::{beside, resolved};
use super::pragmas::{keep_wal_at_close, prepare_checkpointer, prepare_reader, prepare_writer};
use super::read::Reader;
use super::wal_identity::{WalFound, find_wal, immutable_uri};
use super::writer::Writer;
use crate::config::StoreConfig;
use crate::error::{Error, Result, StorageError, StorageErrorKind};

/// How long a query waits for a free reading connection.
const POOL_TIMEOUT: Duration = Duration::from_secs(10);

/// Asked now and then while a statement runs; `true` stops it.
pub type Stop = Box<dyn FnMut() -> bool + Send>;
/// Makes a [`Stop`] for each read.
pub type StopFactory = Arc<dyn Fn() -> Stop + Send + Sync>;

/// Steps of SQLite's machine between two questions whether to stop.
pub(super) const STEPS_PER_CHECK: i32 = 4_000;

/// An open database file: the pool of readers and, for the process that may write, the lock.
#[derive(Clone)]
pub struct Store {
    path: PathBuf,
    place: Place,
    // Before the held file: its descriptor is closed last.
    readers: Pool<SqliteConnectionManager>,
    stop: Option<StopFactory>,
    changes: Arc<AtomicU64>,
    log_pages_left: Arc<AtomicI64>,
    damage: Arc<DamageLog>,
    health: Arc<StoreHealth>,
    wal_missing: bool,
    held: Option<Arc<HeldFile>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens, and when missing creates, the file for writing; nobody else may write while it is open.
    ///
    /// # Errors
    /// [`Error::Database`] says why the file cannot be used: not a database of this program, newer
    /// than this program, held by another server, damaged, not writable, with a write-ahead log that is not its own.
    pub fn open(config: &StoreConfig) -> Result<(Self, Writer)> {
        let path = &config.path;
        let held = HeldFile::take(path)?;
        let found = find_wal(path).inspect_err(|_| held.discard_if_new())?;
        let connect = Place::File.connect(path);
        let mut connection = connect.map_err(|source| unusable(path, &source))?;
        if let Err(error) = check_contents(path, &connection) {
            // Somebody else's file stays as it is, its log included.
            keep_wal_at_close(&connection).map_err(storage("closing the file"))?;
            drop(connection);
            held.discard_if_new();
            return Err(error);
        }
        prepare_writer(&mut connection, config).map_err(|source| unusable(path, &source))?;
        migrate(path, &mut connection)?;
        super::rebuild::tell_unfinished(path, &connection);
        let damage = Arc::<DamageLog>::default();
        let health = Arc::new(StoreHealth::new(Arc::clone(&damage)));
        let writer = Writer::open(connection, config, Arc::clone(&health), &held, &found)
            .map_err(|error| named(path, error))?;
        let store = Self {
            path: path.clone(),
            place: Place::File,
            readers: open_readers(config, Place::File, None)?,
            stop: None,
            changes: Arc::clone(writer.changes()),
            log_pages_left: Arc::default(),
            damage,
            health,
            wal_missing: found.wal == WalFound::Missing,
            held: Some(held),
        };
        Ok((store, writer))
    }

    /// Opens an existing file for reading only, also while a server writes to it, and on read-only media.
    ///
    /// # Errors
    /// As [`Self::open`]; a missing file is an error.
    pub fn open_read_only(config: &StoreConfig) -> Result<Self> {
        let path = &config.path;
        if !path.exists() {
            return Err(Error::database(path, "no such file; `chatgauge serve` creates it"));
        }
        // What this process has open itself was looked at before.
        let wal = if is_held(path) { WalFound::Own } else { find_wal(path)?.wal };
        let place = place_for_reading(path, wal)?;
        Ok(Self {
            path: path.clone(),
            place,
            readers: open_readers(config, place, Some(1))?,
            stop: None,
            changes: Arc::default(),
            log_pages_left: Arc::default(),
            damage: Arc::default(),
            health: Arc::default(),
            wal_missing: wal == WalFound::Missing,
            held: None,
        })
    }

    /// Opens an existing file beside a server that may hold it, for a few small writes.
    ///
    /// # Errors
    /// As [`Self::open_read_only`].
    pub fn open_beside(config: &StoreConfig) -> Result<(Self, Writer)> {
        let store = Self::open_read_only(config)?;
        let unusable = |source: rusqlite::Error| unusable(&config.path, &source);
        let mut connection = Place::BesideWal.connect(&config.path).map_err(unusable)?;
        prepare_writer(&mut connection, config).map_err(unusable)?;
        let writer = Writer::beside(connection, config)?;
        Ok((store, writer))
    }

    /// The same store with reads that are stopped when `stop` says so.
    #[must_use]
    pub fn with_stop(&self, stop: StopFactory) -> Self {
        Self { stop: Some(stop), ..self.clone() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is known of the health of the file.
    pub fn health(&self) -> &StoreHealth {
        &self.health
    }

    /// Whether a server had the file open when it ended, and its write-ahead log was gone when this one opened it: the
    /// latest records are missing, unless another tool moved the log into the file or made a consistent copy.
    pub const fn wal_is_missing(&self) -> bool {
        self.wal_missing
    }

    /// Compares the files that are open with what their paths lead to, and forbids to write while they differ; looks too
    /// whether they were cut, and forbids to write from then on.
    ///
    /// Returns how they differ, or were cut.
    pub fn look_at_place(&self) -> Option<String> {
        let difference = self.held.as_ref().and_then(|held| held.difference());
        self.health.set_misplaced(difference.clone());
        // Without an idle connection the next look is soon enough: the writer looks at each commit.
        if let Some(connection) = self.readers.try_get() {
            self.look_for_cut(&connection);
        }
        self.health.cut().map(str::to_owned).or(difference)
    }

    /// Looks whether the file or its write-ahead log was cut, and forbids to write from then on. `connection` is in no
    /// transaction.
    pub(super) fn look_for_cut(&self, connection: &Connection) {
        let cut = self.held.as_ref().and_then(|held| find_cut(held, connection));
        if let Some(cut) = cut {
            self.health.set_cut(cut);
        }
    }

    /// Names of the file besides its own (hard links).
    pub fn other_names(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.other_names())
    }

    /// Transactions of the writer so far, those that store requests aside; asked before a snapshot, it says later
    /// whether all but requests is still as it was there.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Pages of the write-ahead log that were not in the database file yet when the checkpointer looked last; the greatest
    /// number while it moves them, 0 without one.
    pub(crate) fn log_pages_left(&self) -> i64 {
        self.log_pages_left.load(Ordering::Relaxed)
    }

    pub(super) fn tell_log_pages_left(&self, pages: i64) {
        self.log_pages_left.store(pages, Ordering::Relaxed);
    }

    /// Runs `read` inside one read transaction: everything it sees is one snapshot.
    ///
    /// # Errors
    /// When no connection is free, and whatever `read` returns.
    pub fn read<T>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.readers.get().map_err(|source| pool(&source))?;
        let limit = |connection: &Connection, stop: Option<Stop>| {
            connection
                .progress_handler(STEPS_PER_CHECK, stop)
                .map_err(storage("limiting the time of a read"))
        };
        if let Some(stop) = &self.stop {
            limit(&connection, Some(stop()))?;
        }
        let result = read_in_transaction(&mut connection, read)
            .map_err(|error| self.damage.note(&self.path, error));
        if self.stop.is_some() {
            limit(&connection, None)?;
        }
        result
    }

    /// A connection of its own for reading.
    ///
    /// # Errors
    /// When the file cannot be opened, or is no longer where it was: the path would lead to another one.
    pub(super) fn connect_to_read(&self) -> Result<OwnConnection> {
        if let Some(message) = self.look_at_place() {
            let source = StorageError { kind: StorageErrorKind::Misplaced, message };
            return Err(Error::Storage { operation: "opening a reading connection", source });
        }
        if self.place.max_readers().is_some() {
            return Ok(OwnConnection::Pooled(self.readers.get().map_err(|source| pool(&source))?));
        }
        let connection = self.place.connect(&self.path);
        Ok(OwnConnection::New(connection.map_err(storage("opening a reading connection"))?))
    }

    /// Connections that can read at once.
    pub fn max_readers(&self) -> u32 {
        self.readers.max_size()
    }

    pub(super) fn open_for_checkpoints(&self) -> Result<Connection> {
        let open = || {
            let connection = Place::File.connect(&self.path)?;
            prepare_checkpointer(&connection)?;
            Ok(connection)
        };
        open().map_err(storage("opening the file"))
    }

    /// Damage that reads have met since the start.
    pub fn damage_seen(&self) -> &DamageLog {
        &self.damage
    }

    /// Bytes on disk now.
    pub fn file_sizes(&self) -> FileSizes {
        let size = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
        FileSizes {
            database_bytes: size(&self.path),
            wal_bytes: size(&beside(&resolved(&self.path), "-wal")),
        }
    }
}

/// A connection for one long read.
pub(super) enum OwnConnection {
    /// Beside the pool.
    New(Connection),
    /// The only one that there can be.
    Pooled(PooledConnection<SqliteConnectionManager>),
}

impl Deref for OwnConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match self {
            Self::New(connection) => connection,
            Self::Pooled(connection) => connection,
        }
    }
}

impl DerefMut for OwnConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        match self {
            Self::New(connection) => connection,
            Self::Pooled(connection) => connection,
        }
    }
}

/// Bytes on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileSizes {
    /// The database file.
    pub database_bytes: u64,
    /// Its write-ahead log.
    pub wal_bytes: u64,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// With its write-ahead log.
    File,
    /// The same, by somebody who must leave the log as it is.
    BesideWal,
    /// Where nothing can be written: the file alone, of which nobody can change anything.
    ReadOnlyMedia,
    /// Where there is no room for the shared index of the write-ahead log: by one connection with the index in its
    /// memory, which keeps everybody else out.
    FullDisk {
        /// The write-ahead log has something in it and stays as it is.
        has_wal: bool,
    },
}

impl Place {
    fn name_and_flags(self, path: &Path) -> (PathBuf, OpenFlags) {
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match self {
            Self::File | Self::BesideWal | Self::FullDisk { .. } => {
                (path.to_owned(), flags | OpenFlags::SQLITE_OPEN_READ_WRITE)
            }
            Self::ReadOnlyMedia => {
                let read = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                (immutable_uri(path).into(), flags | read)
            }
        }
    }

    fn prepare(self, connection: &Connection) -> rusqlite::Result<()> {
        if matches!(self, Self::BesideWal | Self::FullDisk { has_wal: true }) {
            keep_wal_at_close(connection)?;
        }
        if matches!(self, Self::FullDisk { .. }) {
            // Before the first read: SQLite then makes no file of shared memory.
            connection.pragma_update_and_check(None, "locking_mode", "exclusive", |_| Ok(()))?;
        }
        Ok(())
    }

    /// Connections that may read at once; `None`: as many as are configured.
    const fn max_readers(self) -> Option<u32> {
        match self {
            Self::FullDisk { .. } => Some(1),
            Self::File | Self::BesideWal | Self::ReadOnlyMedia => None,
        }
    }

    fn connect(self, path: &Path) -> rusqlite::Result<Connection> {
        let (name, flags) = self.name_and_flags(path);
        let connection = Connection::open_with_flags(name, flags)?;
        self.prepare(&connection)?;
        Ok(connection)
    }
}

/// How the file can be read.
fn place_for_reading(path: &Path, wal: WalFound) -> Result<Place> {
    use rusqlite::ErrorCode::{CannotOpen, PermissionDenied, ReadOnly};
    let place = if wal == WalFound::Own { Place::BesideWal } else { Place::File };
    let connection = place.connect(path).map_err(|source| unusable(path, &source))?;
    match count_tables(&connection) {
        Err(error) if is_out_of_shared_memory(&error) => {
            drop(connection);
            let place = Place::FullDisk { has_wal: wal == WalFound::Own };
            let unusable = |source: rusqlite::Error| unusable(path, &source);
            let connection = place.connect(path).map_err(unusable)?;
            count_tables(&connection).map_err(unusable)?;
            check_version(path, &connection)?;
            Ok(place)
        }
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(CannotOpen | PermissionDenied | ReadOnly)
            ) =>
        {
            if wal == WalFound::Own {
                let reason = "cannot be read where nothing can be written, because its latest records are in a \
                              write-ahead log; copy the file and its -wal to a writable directory";
                return Err(Error::database(path, reason));
            }
            let alone = Place::ReadOnlyMedia.connect(path);
            let alone = alone.map_err(|source| unusable(path, &source))?;
            check_version(path, &alone)?;
            Ok(Place::ReadOnlyMedia)
        }
        _ => {
            check_version(path, &connection)?;
            Ok(place)
        }
    }
}

fn count_tables(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))
}

/// Opens readers, all of them at the start or `at_start`; none is ever closed and opened again, because the path may lead to
/// another file by then.
fn open_readers(
    config: &StoreConfig,
    place: Place,
    at_start: Option<u32>,
) -> Result<Pool<SqliteConnectionManager>> {
    let page_cache_bytes = config.page_cache_bytes;
    let (name, flags) = place.name_and_flags(&config.path);
    let manager =
        SqliteConnectionManager::file(name).with_flags(flags).with_init(move |connection| {
            place.prepare(connection)?;
            prepare_reader(connection, page_cache_bytes)
        });
    Pool::builder()
        .max_size(place.max_readers().unwrap_or(config.readers))
        .min_idle(at_start)
        .idle_timeout(None)
        .max_lifetime(None)
        .connection_timeout(POOL_TIMEOUT)
        .test_on_check_out(false)
        .build(manager)
        .map_err(|source| {
            Error::database(&config.path, format!("cannot be opened for reading: {source}"))
        })
}

fn read_in_transaction<T>(
    connection: &mut Connection,
    read: impl FnOnce(&Reader<'_>) -> Result<T>,
) -> Result<T> {
    let transaction = connection.transaction().map_err(storage("beginning to read"))?;
    read(&Reader::new(&transaction))
}

#[cfg(test)]
mod tests;
