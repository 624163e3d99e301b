//! Opening a file: what it must be, the lock, the pragmas of each role, the migrations.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use r2d2::Pool;
use r2d2_sqlite::SqliteConnectionManager;
use refinery::{Migration, Target};
use rusqlite::{Connection, OpenFlags};

use super::error::{pool, storage};
use super::read::Reader;
use super::writer::Writer;
use crate::config::{StoreConfig, Synchronous};
use crate::error::{Error, Result};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// `CHGA` in ASCII: marks a file as this program's (`pragma application_id`).
const APPLICATION_ID: i64 = 0x4348_4741;
/// The first bytes of every SQLite file.
const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// How long a reader waits for another process that holds the file, e.g. while it recovers the WAL.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a query waits for a free reading connection.
const POOL_TIMEOUT: Duration = Duration::from_secs(10);
/// The WAL is cut back to this size after a checkpoint.
const WAL_LIMIT_BYTES: i64 = 64 << 20;

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
    readers: Pool<SqliteConnectionManager>,
    stop: Option<StopFactory>,
    changes: Arc<AtomicU64>,
    log_pages_left: Arc<AtomicI64>,
    _lock: Option<Arc<File>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
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

impl Store {
    /// Opens, and when missing creates, the file for writing; nobody else may write while it is open.
    ///
    /// # Errors
    /// [`Error::Database`] says why the file cannot be used: not a database of this program, newer
    /// than this program, locked by another process, damaged, not writable.
    pub fn open(config: &StoreConfig) -> Result<(Self, Writer)> {
        let path = &config.path;
        inspect(path)?;
        let lock = Lock::take(path)?;
        let opened = Connection::open_with_flags(path, write_flags())
            .map_err(|source| unusable(path, &source))
            // Before any pragma writes to the file.
            .and_then(|connection| check_contents(path, &connection).map(|()| connection));
        let mut connection = match opened {
            Ok(connection) => connection,
            Err(error) => {
                lock.discard();
                return Err(error);
            }
        };
        prepare_writer(&mut connection, config).map_err(|source| unusable(path, &source))?;
        migrate(path, &mut connection)?;
        let writer = Writer::new(connection, config)?;
        let store = Self {
            path: path.clone(),
            readers: open_readers(config, write_flags() & !OpenFlags::SQLITE_OPEN_CREATE)?,
            stop: None,
            changes: Arc::clone(writer.changes()),
            log_pages_left: Arc::default(),
            _lock: Some(Arc::new(lock.file)),
        };
        Ok((store, writer))
    }

    /// Opens an existing file for reading only, also while a server writes to it.
    ///
    /// # Errors
    /// As [`Self::open`]; a missing file is an error.
    pub fn open_read_only(config: &StoreConfig) -> Result<Self> {
        let path = &config.path;
        if !path.exists() {
            return Err(Error::database(path, "no such file; `chatgauge serve` creates it"));
        }
        inspect(path)?;
        let readers = open_readers(config, write_flags() & !OpenFlags::SQLITE_OPEN_CREATE)?;
        let store = Self {
            path: path.clone(),
            readers,
            stop: None,
            changes: Arc::default(),
            log_pages_left: Arc::default(),
            _lock: None,
        };
        let connection = store.readers.get().map_err(|source| pool(&source))?;
        check_version(path, &connection)?;
        drop(connection);
        Ok(store)
    }

    /// Opens an existing file beside a server that may hold it, for a few small writes.
    ///
    /// # Errors
    /// As [`Self::open_read_only`].
    pub fn open_beside(config: &StoreConfig) -> Result<(Self, Writer)> {
        let store = Self::open_read_only(config)?;
        let flags = write_flags() & !OpenFlags::SQLITE_OPEN_CREATE;
        let unusable = |source: rusqlite::Error| unusable(&config.path, &source);
        let mut connection = Connection::open_with_flags(&config.path, flags).map_err(unusable)?;
        prepare_writer(&mut connection, config).map_err(unusable)?;
        Ok((store, Writer::new(connection, config)?))
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

    /// Transactions of the writer so far, those that store requests aside; asked before a snapshot, it says later
    /// whether all but requests is still as it was there.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Pages of the log that were not in the database file yet when the checkpointer looked last; the greatest number while it
    /// moves them, 0 without one.
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
        let result = read_in_transaction(&mut connection, read);
        if self.stop.is_some() {
            limit(&connection, None)?;
        }
        result
    }

    pub(super) fn open_for_checkpoints(&self) -> rusqlite::Result<Connection> {
        let flags = write_flags() & !OpenFlags::SQLITE_OPEN_CREATE;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        prepare_any(&connection, 0)?;
        Ok(connection)
    }

    /// Bytes on disk now.
    pub fn file_sizes(&self) -> FileSizes {
        let size = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
        FileSizes { database_bytes: size(&self.path), wal_bytes: size(&beside(&self.path, "-wal")) }
    }
}

fn read_in_transaction<T>(
    connection: &mut Connection,
    read: impl FnOnce(&Reader<'_>) -> Result<T>,
) -> Result<T> {
    let transaction = connection.transaction().map_err(storage("beginning to read"))?;
    read(&Reader::new(&transaction))
}

/// The file that a path leads to through links, so that what lies beside it is found by every name.
pub fn resolved(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The path with `suffix` appended to its file name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn write_flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// Refuses what is not an SQLite file before SQLite touches it.
fn inspect(path: &Path) -> Result<()> {
    let mut head = Vec::new();
    match File::open(path) {
        Ok(file) => {
            let read = file.take(SQLITE_MAGIC.len() as u64).read_to_end(&mut head);
            read.map_err(|source| Error::Io { path: path.to_owned(), source })?;
        }
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            return require_directory(path);
        }
        Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
    }
    if head.is_empty() || head == SQLITE_MAGIC {
        return Ok(());
    }
    Err(Error::database(path, "not a chatgauge file (it is no SQLite database); name another file"))
}

fn require_directory(path: &Path) -> Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if directory.is_dir() {
        return Ok(());
    }
    Err(Error::database(
        path,
        format!("the directory {} does not exist; create it first", directory.display()),
    ))
}

/// The lock that keeps a second writing process away; it ends with the process.
struct Lock {
    file: File,
    path: PathBuf,
    is_new: bool,
}

impl Lock {
    fn take(path: &Path) -> Result<Self> {
        let lock_path = beside(&resolved(path), ".lock");
        let is_new = !lock_path.exists();
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|source| not_writable(&lock_path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path: lock_path, is_new }),
            Err(TryLockError::WouldBlock) => Err(Error::database(
                path,
                "the file is locked by another server; stop that one, or send records to it over HTTP",
            )),
            Err(TryLockError::Error(source)) => Err(Error::Io { path: lock_path, source }),
        }
    }

    /// Leaves nothing beside a file that is somebody else's.
    fn discard(self) {
        if self.is_new
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the lock file stays");
        }
    }
}

fn not_writable(path: &Path, source: std::io::Error) -> Error {
    if source.kind() == std::io::ErrorKind::PermissionDenied
        || source.kind() == std::io::ErrorKind::ReadOnlyFilesystem
    {
        return Error::database(
            path,
            "cannot be written; the directory of the database must be writable for this user",
        );
    }
    Error::Io { path: path.to_owned(), source }
}

/// The pragmas of the connection that writes. Their reasons are in `ARCHITECTURE.md`.
fn prepare_writer(connection: &mut Connection, config: &StoreConfig) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Takes effect only in an empty file, before the first table.
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    let synchronous = match config.synchronous {
        Synchronous::Full => "full",
        Synchronous::Normal => "normal",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_LIMIT_BYTES, |_| Ok(()))?;
    prepare_any(connection, config.writer_page_cache_bytes)
}

pub(super) fn prepare_reader(
    connection: &mut Connection,
    page_cache_bytes: u64,
) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    prepare_any(connection, page_cache_bytes)?;
    connection.pragma_update(None, "query_only", true)
}

fn prepare_any(connection: &Connection, page_cache_bytes: u64) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    let kib = i64::try_from(page_cache_bytes / 1_024).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -kib)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "foreign_keys", false)
}

fn open_readers(config: &StoreConfig, flags: OpenFlags) -> Result<Pool<SqliteConnectionManager>> {
    let page_cache_bytes = config.page_cache_bytes;
    let manager = SqliteConnectionManager::file(&config.path)
        .with_flags(flags)
        .with_init(move |connection| prepare_reader(connection, page_cache_bytes));
    Pool::builder()
        .max_size(config.readers)
        .min_idle(Some(1))
        .connection_timeout(POOL_TIMEOUT)
        .test_on_check_out(false)
        .build(manager)
        .map_err(|source| {
            Error::database(&config.path, format!("cannot be opened for reading: {source}"))
        })
}

/// Refuses a file with tables that are not this program's, or too new; only reads.
fn check_contents(path: &Path, connection: &Connection) -> Result<()> {
    let unusable = |source: rusqlite::Error| unusable(path, &source);
    connection.busy_timeout(BUSY_TIMEOUT).map_err(unusable)?;
    let tables: i64 = connection
        .query_row("select count(*) from sqlite_schema", [], |row| row.get(0))
        .map_err(unusable)?;
    if tables > 0 { check_version(path, connection) } else { Ok(()) }
}

fn migrate(path: &Path, connection: &mut Connection) -> Result<()> {
    let unusable = |source: rusqlite::Error| unusable(path, &source);
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(unusable)?;
    super::recode::register(connection).map_err(unusable)?;
    // An index over a hundred million rows is sorted in files.
    connection.pragma_update(None, "temp_store", "file").map_err(unusable)?;
    let mut versions: Vec<_> =
        embedded::migrations::runner().get_migrations().iter().map(Migration::version).collect();
    versions.sort_unstable();
    for version in versions {
        // A group of one: the migration and the note that it was made are one transaction.
        let target = Target::Version(version);
        let runner = embedded::migrations::runner().set_target(target).set_grouped(true);
        let report = runner.run(connection).map_err(|source| {
            Error::database(path, format!("the schema cannot be brought up to date: {source}"))
        })?;
        for migration in report.applied_migrations() {
            tracing::debug!(version = migration.version(), name = migration.name(), "migrated");
        }
    }
    connection.pragma_update(None, "temp_store", "memory").map_err(unusable)
}

/// The newest schema that this program knows.
pub fn schema_version() -> u32 {
    u32::try_from(supported_version()).unwrap_or(0)
}

fn supported_version() -> i64 {
    let runner = embedded::migrations::runner();
    runner
        .get_migrations()
        .iter()
        .map(|migration| i64::from(migration.version()))
        .max()
        .unwrap_or(0)
}

fn check_version(path: &Path, connection: &Connection) -> Result<()> {
    let unusable = |source: rusqlite::Error| unusable(path, &source);
    let application_id: i64 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(unusable)?;
    if application_id != APPLICATION_ID {
        return Err(Error::database(
            path,
            "not a chatgauge file (it is another program's SQLite database); name another file",
        ));
    }
    let found: i64 = connection
        .query_row("select coalesce(max(version), 0) from refinery_schema_history", [], |row| {
            row.get(0)
        })
        .map_err(unusable)?;
    let supported = supported_version();
    if found > supported {
        return Err(Error::database(
            path,
            format!(
                "the file is newer than this program (its schema is version {found}, this program \
                 knows {supported}); run a newer chatgauge"
            ),
        ));
    }
    Ok(())
}

fn unusable(path: &Path, source: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let reason = match source.sqlite_error_code() {
        Some(Code::NotADatabase) => "not a chatgauge file (it is no SQLite database)".to_owned(),
        Some(Code::DatabaseCorrupt) => format!(
            "the file is damaged ({source}); nothing was changed. Restore a backup, or salvage it \
             with `sqlite3 FILE .recover`"
        ),
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
            "the file is locked by another program; close that program".to_owned()
        }
        Some(Code::ReadOnly | Code::CannotOpen | Code::PermissionDenied) => format!(
            "cannot be written ({source}); the file and its directory must be writable for this user"
        ),
        Some(Code::DiskFull) => {
            "no space is left on the disk; free some and start again".to_owned()
        }
        _ => source.to_string(),
    };
    Error::database(path, reason)
}

#[cfg(test)]
mod tests;
