//! Opening a file, by role: for the one server, for reading, beside a server.

use std::ops::DerefMut;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use r2d2::Pool;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};

use super::cut_file::find_cut;
use super::damage::{DamageLog, named};
use super::error::{is_out_of_shared_memory, pool, storage, unusable};
use super::health::StoreHealth;
use super::held_file::{HeldFile, is_held};
use super::migrate::{check_contents, check_version, count_tables, migrate};
use super::paths::{beside, file_bytes, resolved};
use super::pragmas::{keep_wal_at_close, prepare_checkpointer, prepare_reader, prepare_writer};
use super::read::Reader;
use super::state::StoreState;
use super::wal_identity::{READ_FLAGS, WalPresence, find_wal, find_wal_by, immutable_uri};
use super::writer::Writer;
use crate::config::StoreConfig;
use crate::error::{Error, Result, StorageError, StorageErrorKind};

/// Maximum time that a query waits for a free reading connection.
const POOL_TIMEOUT: Duration = Duration::from_secs(10);

/// Called now and then while a statement runs; `true` stops it.
pub type Stop = Box<dyn FnMut() -> bool + Send>;
/// Makes a [`Stop`] for each read.
pub type StopFactory = Arc<dyn Fn() -> Stop + Send + Sync>;

/// Steps of SQLite's virtual machine between two calls of a [`Stop`].
pub(super) const STEPS_PER_CHECK: i32 = 4_000;

/// An open database file: the pool of readers and, for the process that may write, the lock.
#[derive(Clone)]
pub struct Store {
    path: PathBuf,
    mode: OpenMode,
    // Before the held file: its descriptor is closed last.
    readers: Pool<SqliteConnectionManager>,
    stop: Option<StopFactory>,
    changes: Arc<AtomicU64>,
    wal_backlog_pages: Arc<AtomicI64>,
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
    /// Opens the file for writing, and creates it if it is missing; no other process may write while it is open.
    ///
    /// # Errors
    /// [`Error::Database`] when the file cannot be used: it is not a database of this program, newer than this program,
    /// held by another server, damaged, not writable, or has a write-ahead log that is not its own.
    pub fn open(config: &StoreConfig) -> Result<(Self, Writer)> {
        let path = &config.path;
        let held = HeldFile::take(path)?;
        let unusable = |source: rusqlite::Error| unusable(path, &source);
        // Until the file and its log are known to be its own, closing leaves both as they are. The connection that examines
        // them stays: SQLite reads a whole log whenever the first connection opens it.
        let mut connection = OpenMode::KeepWal.connect(path).map_err(unusable)?;
        let found = find_wal_by(path, || StoreState::stored(&connection))
            .and_then(|found| check_contents(path, &connection).map(|()| found));
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                drop(connection);
                held.discard_if_new();
                return Err(error);
            }
        };
        keep_wal_at_close(&connection, false).map_err(unusable)?;
        prepare_writer(&mut connection, config).map_err(unusable)?;
        migrate(path, &mut connection)?;
        super::rebuild::warn_if_unfinished(path, &connection);
        let writer =
            Writer::open(connection, config, &held, &found).map_err(|error| named(path, error))?;
        let store = Self {
            path: path.clone(),
            mode: OpenMode::Normal,
            readers: open_readers(config, OpenMode::Normal, None)?,
            stop: None,
            changes: Arc::clone(&writer.changes),
            wal_backlog_pages: Arc::default(),
            health: Arc::clone(&writer.health),
            wal_missing: found.wal == WalPresence::Missing,
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
        // A file that this process holds was checked when it was opened.
        let wal = if is_held(path) { WalPresence::Own } else { find_wal(path)?.wal };
        let mode = mode_for_reading(path, wal)?;
        Ok(Self {
            path: path.clone(),
            mode,
            readers: open_readers(config, mode, Some(1))?,
            stop: None,
            changes: Arc::default(),
            wal_backlog_pages: Arc::default(),
            health: Arc::default(),
            wal_missing: wal == WalPresence::Missing,
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
        let mut connection = OpenMode::KeepWal.connect(&config.path).map_err(unusable)?;
        prepare_writer(&mut connection, config).map_err(unusable)?;
        let writer = Writer::beside(connection, config)?;
        Ok((store, writer))
    }

    /// The same store, with reads that the [`Stop`] from `stop` can stop.
    #[must_use]
    pub fn with_stop(&self, stop: StopFactory) -> Self {
        Self { stop: Some(stop), ..self.clone() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The health of the file.
    pub fn health(&self) -> &StoreHealth {
        &self.health
    }

    /// Whether the previous server did not close the file and its write-ahead log was missing when this one opened it.
    /// The latest records are then missing, unless another tool checkpointed the log or made a consistent copy.
    pub const fn wal_is_missing(&self) -> bool {
        self.wal_missing
    }

    /// Compares the open files with the files at their paths, and forbids writes while they differ; also forbids all
    /// further writes if one was truncated.
    ///
    /// Returns the difference or the truncation.
    pub fn look_at_place(&self) -> Option<String> {
        let difference = self.held.as_ref().and_then(|held| held.difference());
        self.health.set_misplaced(difference.clone());
        // Without an idle connection this is skipped: the writer looks at each commit.
        if let Some(connection) = self.readers.try_get() {
            self.look_for_cut(&connection);
        }
        self.health.cut().map(str::to_owned).or(difference)
    }

    /// Forbids all further writes if the file or its write-ahead log was truncated. `connection` must not be in a
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

    /// Number of the writer's transactions so far, except those that store requests. While it is the same as before a
    /// snapshot, only requests have changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// WAL backlog in pages when the checkpointer last ran; [`i64::MAX`] during a checkpoint, 0 without a checkpointer.
    pub(crate) fn wal_backlog_pages(&self) -> i64 {
        self.wal_backlog_pages.load(Ordering::Relaxed)
    }

    pub(super) fn set_wal_backlog_pages(&self, pages: i64) {
        self.wal_backlog_pages.store(pages, Ordering::Relaxed);
    }

    /// Runs `read` in one read transaction: all its queries see the same snapshot.
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
        let result = read_in(&mut connection, read);
        let result = result.map_err(|error| self.health.damage.note(&self.path, error));
        if self.stop.is_some() {
            limit(&connection, None)?;
        }
        result
    }

    /// A connection of its own for reading.
    ///
    /// # Errors
    /// When the file cannot be opened, or was moved: the path would lead to another one.
    pub(super) fn connect_to_read(&self) -> Result<Box<dyn DerefMut<Target = Connection>>> {
        if let Some(message) = self.look_at_place() {
            let source = StorageError { kind: StorageErrorKind::Misplaced, message };
            return Err(Error::Storage { operation: "opening a reading connection", source });
        }
        if self.mode.max_readers().is_some() {
            return Ok(Box::new(self.readers.get().map_err(|source| pool(&source))?));
        }
        let connection = self.mode.connect(&self.path);
        Ok(Box::new(Box::new(connection.map_err(storage("opening a reading connection"))?)))
    }

    /// Maximum number of concurrent readers.
    pub fn max_readers(&self) -> u32 {
        self.readers.max_size()
    }

    pub(super) fn open_for_checkpoints(&self) -> Result<Connection> {
        let open = || {
            let connection = OpenMode::Normal.connect(&self.path)?;
            prepare_checkpointer(&connection)?;
            Ok(connection)
        };
        open().map_err(storage("opening the file"))
    }

    /// Damage that reads and writes have met since the start.
    pub fn damage_seen(&self) -> &DamageLog {
        &self.health.damage
    }

    /// Bytes on disk now.
    pub fn file_sizes(&self) -> FileSizes {
        FileSizes {
            database_bytes: file_bytes(&self.path),
            wal_bytes: file_bytes(&beside(&resolved(&self.path), "-wal")),
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

/// How a connection opens the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenMode {
    /// With its write-ahead log.
    Normal,
    /// With its write-ahead log, which stays as it is when the connection is closed.
    KeepWal,
    /// Without a write-ahead log and without locks, on read-only media.
    ReadOnlyMedia,
    /// On a full disk without room for the shared index of the write-ahead log: the only connection keeps the index in
    /// its memory and locks the file.
    FullDisk {
        /// Whether there is a write-ahead log, which stays as it is.
        has_wal: bool,
    },
}

impl OpenMode {
    fn name_and_flags(self, path: &Path) -> (PathBuf, OpenFlags) {
        if self == Self::ReadOnlyMedia {
            return (immutable_uri(path).into(), READ_FLAGS);
        }
        (path.to_owned(), OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
    }

    fn prepare(self, connection: &Connection) -> rusqlite::Result<()> {
        if matches!(self, Self::KeepWal | Self::FullDisk { has_wal: true }) {
            keep_wal_at_close(connection, true)?;
        }
        if matches!(self, Self::FullDisk { .. }) {
            // Before the first read, so that SQLite creates no shared memory file.
            connection.pragma_update_and_check(None, "locking_mode", "exclusive", |_| Ok(()))?;
        }
        Ok(())
    }

    /// Maximum number of concurrent readers; `None`: as configured.
    const fn max_readers(self) -> Option<u32> {
        if matches!(self, Self::FullDisk { .. }) { Some(1) } else { None }
    }

    fn connect(self, path: &Path) -> rusqlite::Result<Connection> {
        let (name, flags) = self.name_and_flags(path);
        let connection = Connection::open_with_flags(name, flags)?;
        self.prepare(&connection)?;
        Ok(connection)
    }
}

/// The mode in which the file can be read.
fn mode_for_reading(path: &Path, wal: WalPresence) -> Result<OpenMode> {
    use rusqlite::ErrorCode::{CannotOpen, PermissionDenied, ReadOnly};
    let has_wal = wal == WalPresence::Own;
    let unusable = |source: rusqlite::Error| unusable(path, &source);
    let mode = if has_wal { OpenMode::KeepWal } else { OpenMode::Normal };
    let connection = mode.connect(path).map_err(unusable)?;
    let Err(error) = count_tables(&connection) else {
        return check_version(path, &connection).map(|()| mode);
    };
    let mode = match error.sqlite_error_code() {
        _ if is_out_of_shared_memory(&error) => OpenMode::FullDisk { has_wal },
        Some(CannotOpen | PermissionDenied | ReadOnly) if has_wal => {
            let reason = "cannot be read where nothing can be written, because its latest records are in a \
                          write-ahead log; copy the file and its -wal to a writable directory";
            return Err(Error::database(path, reason));
        }
        Some(CannotOpen | PermissionDenied | ReadOnly) => OpenMode::ReadOnlyMedia,
        _ => return check_version(path, &connection).map(|()| mode),
    };
    drop(connection);
    let connection = mode.connect(path).map_err(unusable)?;
    count_tables(&connection).map_err(unusable)?;
    check_version(path, &connection).map(|()| mode)
}

/// Opens the pool of readers, all of them at once or `at_start`. A connection is never closed and opened again, because
/// the path may lead to another file by then.
fn open_readers(
    config: &StoreConfig,
    mode: OpenMode,
    at_start: Option<u32>,
) -> Result<Pool<SqliteConnectionManager>> {
    let page_cache_bytes = config.page_cache_bytes;
    let (name, flags) = mode.name_and_flags(&config.path);
    let manager =
        SqliteConnectionManager::file(name).with_flags(flags).with_init(move |connection| {
            mode.prepare(connection)?;
            prepare_reader(connection, page_cache_bytes)
        });
    Pool::builder()
        .max_size(mode.max_readers().unwrap_or(config.readers))
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

/// Runs `read` in a read transaction of the connection.
pub(super) fn read_in<T>(
    connection: &mut Connection,
    read: impl FnOnce(&Reader<'_>) -> Result<T>,
) -> Result<T> {
    let transaction = connection.transaction().map_err(storage("beginning to read"))?;
    read(&Reader::new(&transaction))
}

#[cfg(test)]
mod tests;
