//! Copying a database: the pages of one snapshot, what a copy holds, and the check of it.

use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::{storage, unusable};
use super::migrate::check_version;
use super::open::{STEPS_PER_CHECK, Stop, Store};
use super::pragmas::prepare_reader;
use super::read::Reader;
use super::state::StoreState;
use super::wal_identity::{WalFound, find_wal_of_examined, open_examined};
use crate::error::{Error, Result};

/// Pages copied between two looks at the clock: 256 KiB, 1 ms of a copy at 256 MB/s.
const STEP_PAGES: i32 = 64;
/// Page cache of the connection that writes the copy, in bytes: it spills as it is filled.
const COPY_CACHE_BYTES: u64 = 2 << 20;
/// Most lines of SQLite's own check that are shown.
const DAMAGE_LINES: i32 = 10;

/// How far a copy is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyProgress {
    /// Bytes of the pages copied so far.
    pub copied_bytes: u64,
    /// Bytes of all pages of the snapshot.
    pub total_bytes: u64,
}

/// What tells one state of a database from another, cheap to read at any size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFigures {
    /// Version of the schema.
    pub schema_version: i64,
    /// Size of the file without its write-ahead log, in bytes.
    pub bytes: u64,
    /// The last raw row ever stored.
    pub last_seq: i64,
    /// The last raw row that the rollups include.
    pub watermark_seq: i64,
    /// Requests ever rolled up, those included whose raw rows retention deleted.
    pub rolled_up: i64,
    /// The row of `_store_state`.
    pub state: StoreState,
}

impl StoreFigures {
    /// Requests ever stored: those rolled up, and those after the watermark.
    pub const fn requests(&self) -> i64 {
        self.rolled_up.saturating_add(self.last_seq.saturating_sub(self.watermark_seq))
    }
}

impl Store {
    /// Runs `read` inside one read transaction of a connection of its own, so that a long read leaves the pool to
    /// short ones.
    ///
    /// # Errors
    /// When the file cannot be opened or is no longer where it was, and whatever `read` returns.
    pub fn read_apart<T>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.connect_to_read()?;
        let prepared = prepare_reader(&mut connection, COPY_CACHE_BYTES);
        prepared.map_err(storage("opening a reading connection"))?;
        let transaction = connection.transaction().map_err(storage("beginning to read"))?;
        read(&Reader::new(&transaction))
    }
}

impl Reader<'_> {
    /// The figures of this snapshot.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn figures(&self) -> Result<StoreFigures> {
        let number = |sql: &str| self.connection().query_row(sql, [], |row| row.get::<_, i64>(0));
        let read = || -> rusqlite::Result<StoreFigures> {
            let pages = number("select * from pragma_page_count")?;
            let page_size = number("select * from pragma_page_size")?;
            Ok(StoreFigures {
                schema_version: number("select max(version) from refinery_schema_history")?,
                bytes: u64::try_from(pages.saturating_mul(page_size)).unwrap_or(0),
                last_seq: number(
                    "select max(coalesce((select max(seq) from requests), 0), watermark_seq)
                     from _rollup_state",
                )?,
                watermark_seq: number("select watermark_seq from _rollup_state")?,
                rolled_up: number("select coalesce(sum(requests), 0) from _days")?,
                state: StoreState::read(self.connection())?,
            })
        };
        read().map_err(storage("reading the figures of the file"))
    }

    /// Copies every page of this snapshot into the file at `target`, which must be new or empty.
    ///
    /// SQLite's backup API begins anew whenever another connection commits, but not while the source is inside a
    /// read transaction, as it is here: the copy is of one moment however long it takes, and the write-ahead log
    /// grows meanwhile. Nothing is flushed to the disk. `on_step` is called after every 64 pages and may wait.
    ///
    /// # Errors
    /// When a page cannot be read or written, and whatever `on_step` returns; what was written is of no use then.
    pub fn copy_to(
        &self,
        target: &Path,
        on_step: &mut dyn FnMut(CopyProgress) -> Result<()>,
    ) -> Result<()> {
        // The first statement opens the snapshot.
        let page_bytes = u64::try_from(self.page_size()?).unwrap_or(0);
        let mut copy = open_copy(target).map_err(storage("making the copy"))?;
        let backup =
            Backup::new(self.connection(), &mut copy).map_err(storage("beginning to copy"))?;
        loop {
            let step = backup.step(STEP_PAGES).map_err(storage("copying pages"))?;
            let progress = backup.progress();
            let bytes = |pages: i32| u64::try_from(pages).unwrap_or(0) * page_bytes;
            on_step(CopyProgress {
                copied_bytes: bytes(progress.pagecount - progress.remaining),
                total_bytes: bytes(progress.pagecount),
            })?;
            match step {
                StepResult::Done => return Ok(()),
                StepResult::More => {}
                // Nobody else has the copy, and a reader waits for nobody.
                _ => return Err(Error::database(target, "is locked by another program")),
            }
        }
    }

    fn page_size(&self) -> Result<i64> {
        self.connection()
            .query_row(
                "select page_size from pragma_page_size, (select count(*) from sqlite_schema)",
                [],
                |row| row.get(0),
            )
            .map_err(storage("reading the page size"))
    }
}

/// The connection that writes a copy: what a crash leaves of it is thrown away, so there is no journal.
fn open_copy(target: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(target, flags)?;
    connection.pragma_update(None, "locking_mode", "exclusive")?;
    connection.pragma_update_and_check(None, "journal_mode", "off", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "off")?;
    let kib = i64::try_from(COPY_CACHE_BYTES / 1_024).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -kib)?;
    Ok(connection)
}

/// Makes a copy a file of its own: without a write-ahead log, readable from read-only media, and in use by nobody.
///
/// When the log of the original was missing, the copy says from when on records may be missing.
///
/// # Errors
/// When the file cannot be written.
pub fn seal_copy(path: &Path, wal_is_missing: bool) -> Result<()> {
    let seal = || -> rusqlite::Result<()> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        // Nobody else opens it: its write-ahead log needs no shared memory.
        connection.pragma_update(None, "locking_mode", "exclusive")?;
        connection.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
        let close = "update _store_state set in_use = 0,
                         wal_missing_after_ms = iif(?1, clock_ms, wal_missing_after_ms)";
        connection.execute(close, [wal_is_missing])?;
        connection.close().map_err(|(_, error)| error)
    };
    seal().map_err(storage("finishing the copy"))
}

/// A database file that nobody writes, opened to be examined.
#[derive(Debug)]
pub struct ExaminedFile {
    connection: Connection,
    wal_is_missing: bool,
}

impl ExaminedFile {
    /// Opens the file at `path` for reading only; changes nothing in it and makes no file beside it, so that it is read
    /// from read-only media too.
    ///
    /// # Errors
    /// When it is not a database of this program, is newer than this program, has a write-ahead log that is not its own,
    /// or cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let unusable = |source: rusqlite::Error| unusable(path, &source);
        let wal_is_missing = find_wal_of_examined(path)?.wal == WalFound::Missing;
        let mut connection = open_examined(path).map_err(unusable)?;
        prepare_reader(&mut connection, COPY_CACHE_BYTES).map_err(unusable)?;
        check_version(path, &connection)?;
        Ok(Self { connection, wal_is_missing })
    }

    /// Whether a server had the file open when it was copied, and its write-ahead log is not here.
    pub const fn wal_is_missing(&self) -> bool {
        self.wal_is_missing
    }

    /// Runs `read` inside one read transaction.
    ///
    /// # Errors
    /// Whatever `read` returns.
    pub fn read<T>(&mut self, read: impl FnOnce(&Reader<'_>) -> Result<T>) -> Result<T> {
        let transaction = self.connection.transaction().map_err(storage("beginning to read"))?;
        read(&Reader::new(&transaction))
    }

    /// What SQLite's structural check finds wrong (`pragma quick_check`): it reads every page; empty when all is well.
    ///
    /// # Errors
    /// When the file cannot be read; [`Error::Closed`] when `stop` ended it.
    pub fn damage(&self, stop: impl FnMut() -> bool + Send + 'static) -> Result<Vec<String>> {
        let stop: Stop = Box::new(stop);
        let read = || -> rusqlite::Result<Vec<String>> {
            self.connection.progress_handler(STEPS_PER_CHECK, Some(stop))?;
            let mut statement =
                self.connection.prepare(&format!("pragma quick_check({DAMAGE_LINES})"))?;
            let lines = statement.query_map([], |row| row.get(0))?.collect();
            self.connection.progress_handler(STEPS_PER_CHECK, None::<Stop>)?;
            lines
        };
        match read() {
            Ok(lines) => Ok(lines.into_iter().filter(|line: &String| line != "ok").collect()),
            Err(error) => match error.sqlite_error_code() {
                Some(ErrorCode::OperationInterrupted) => Err(Error::Closed),
                // Too damaged to be checked to the end.
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    Ok(vec![error.to_string()])
                }
                _ => Err(storage("checking the file")(error)),
            },
        }
    }
}
