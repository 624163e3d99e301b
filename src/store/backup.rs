//! Copying a database: the pages of a snapshot, the figures of a copy, and its check.

use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::columns::unsigned;
use super::error::{storage, unusable};
use super::migrate::check_version;
use super::open::{STEPS_PER_CHECK, Stop, Store, read_in};
use super::pragmas::{prepare_reader, set_page_cache};
use super::read::{Reader, without_ok};
use super::state::StoreState;
use super::wal_identity::{WalPresence, find_wal_of_examined, open_examined};
use crate::error::{Error, Result};

/// Pages copied between two looks at the clock: 256 KiB, 1 ms of a copy at 256 MB/s.
const STEP_PAGES: i32 = 64;
/// Page cache of the connection that writes the copy, in bytes: it spills as it is filled.
const COPY_CACHE_BYTES: u64 = 2 << 20;
/// Maximum number of findings of SQLite's own check.
const DAMAGE_LINES: i32 = 10;

/// Figures by which two states of a database are compared; cheap to read at any size.
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
    /// Requests ever rolled up, including those whose raw rows retention has deleted.
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
    /// Runs `read` in one read transaction of a connection of its own, so that a long read does not occupy the pool.
    ///
    /// # Errors
    /// When the file cannot be opened or was moved, and whatever `read` returns.
    pub fn read_apart<T>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.connect_to_read()?;
        let prepared = prepare_reader(&mut connection, COPY_CACHE_BYTES);
        prepared.map_err(storage("opening a reading connection"))?;
        read_in(&mut connection, read)
    }
}

impl Reader<'_> {
    /// The figures of this snapshot.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn figures(&self) -> Result<StoreFigures> {
        let number = |sql| self.value::<i64>("reading the figures of the file", sql, []);
        let pages = number("select * from pragma_page_count")?;
        let page_size = number("select * from pragma_page_size")?;
        Ok(StoreFigures {
            schema_version: number("select max(version) from refinery_schema_history")?,
            bytes: unsigned(pages.saturating_mul(page_size)),
            last_seq: self.last_seq()?,
            watermark_seq: self.watermark_seq()?,
            rolled_up: number("select coalesce(sum(requests), 0) from _days")?,
            state: self.store_state()?,
        })
    }

    /// Copies every page of this snapshot into the file at `target`, which must be new or empty.
    ///
    /// SQLite's backup API starts over whenever another connection commits, but not while the source is in a read
    /// transaction, as it is here: the copy is of one snapshot however long it takes, and the write-ahead log grows
    /// meanwhile. Nothing is flushed to the disk. `on_step` is called after every 64 pages with the bytes copied so far and
    /// those of all pages, and may wait.
    ///
    /// # Errors
    /// When a page cannot be read or written, and whatever `on_step` returns; the target is then incomplete.
    pub fn copy_to(
        &self,
        target: &Path,
        on_step: &mut dyn FnMut(u64, u64) -> Result<()>,
    ) -> Result<()> {
        // The first statement that reads a table opens the snapshot.
        let sql = "select page_size from pragma_page_size, (select count(*) from sqlite_schema)";
        let page_bytes = unsigned(self.value("reading the page size", sql, [])?);
        let mut copy = open_copy(target).map_err(storage("making the copy"))?;
        let backup =
            Backup::new(self.connection(), &mut copy).map_err(storage("beginning to copy"))?;
        loop {
            let step = backup.step(STEP_PAGES).map_err(storage("copying pages"))?;
            let progress = backup.progress();
            let bytes = |pages: i32| unsigned(pages.into()) * page_bytes;
            let copied = progress.pagecount - progress.remaining;
            on_step(bytes(copied), bytes(progress.pagecount))?;
            match step {
                StepResult::Done => return Ok(()),
                StepResult::More => {}
                // No other program should have the copy open, and a reader never waits for locks.
                _ => return Err(Error::database(target, "is locked by another program")),
            }
        }
    }
}

/// The connection that writes a copy, without a journal: after a crash the copy is deleted.
fn open_copy(target: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(target, flags)?;
    connection.pragma_update(None, "locking_mode", "exclusive")?;
    connection.pragma_update_and_check(None, "journal_mode", "off", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "off")?;
    set_page_cache(&connection, COPY_CACHE_BYTES)?;
    Ok(connection)
}

/// Makes a copy self-contained: without a write-ahead log, readable from read-only media, and marked as closed.
///
/// When the log of the original was missing, the copy notes from when on records may be missing.
///
/// # Errors
/// When the file cannot be written.
pub fn seal_copy(path: &Path, wal_is_missing: bool) -> Result<()> {
    let seal = || -> rusqlite::Result<()> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        // With one connection, the write-ahead log needs no shared memory.
        connection.pragma_update(None, "locking_mode", "exclusive")?;
        connection.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
        let close = "update _store_state set in_use = 0,
                         wal_missing_after_ms = iif(?1, clock_ms, wal_missing_after_ms)";
        connection.execute(close, [wal_is_missing])?;
        connection.close().map_err(|(_, error)| error)
    };
    seal().map_err(storage("finishing the copy"))
}

/// A database file that no program writes, opened to be examined.
#[derive(Debug)]
pub struct ExaminedFile {
    connection: Connection,
    /// Whether a server had the file open when it was copied, and its write-ahead log is missing.
    pub(crate) wal_is_missing: bool,
}

impl ExaminedFile {
    /// Opens the file at `path` for reading only. Nothing in it is changed and no file is created beside it, so that it
    /// can be on read-only media.
    ///
    /// # Errors
    /// When it is not a database of this program, is newer than this program, has a write-ahead log that is not its own,
    /// or cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let unusable = |source: rusqlite::Error| unusable(path, &source);
        let wal_is_missing = find_wal_of_examined(path)?.wal == WalPresence::Missing;
        let mut connection = open_examined(path).map_err(unusable)?;
        prepare_reader(&mut connection, COPY_CACHE_BYTES).map_err(unusable)?;
        check_version(path, &connection)?;
        Ok(Self { connection, wal_is_missing })
    }

    /// Runs `read` in one read transaction.
    ///
    /// # Errors
    /// Whatever `read` returns.
    pub fn read<T>(&mut self, read: impl FnOnce(&Reader<'_>) -> Result<T>) -> Result<T> {
        read_in(&mut self.connection, read)
    }

    /// Problems that SQLite's structural check (`pragma quick_check`) finds; it reads every page.
    ///
    /// # Errors
    /// When the file cannot be read; [`Error::Closed`] when `stop` ended it.
    pub fn damage(&self, stop: impl FnMut() -> bool + Send + 'static) -> Result<Vec<String>> {
        let stop: Stop = Box::new(stop);
        let read = || -> rusqlite::Result<Vec<String>> {
            self.connection.progress_handler(STEPS_PER_CHECK, Some(stop))?;
            let mut check =
                self.connection.prepare(&format!("pragma quick_check({DAMAGE_LINES})"))?;
            let lines = check.query_map([], |row| row.get(0))?.collect();
            self.connection.progress_handler(STEPS_PER_CHECK, None::<Stop>)?;
            lines
        };
        read().map(without_ok).or_else(|error| match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => Err(Error::Closed),
            // Too damaged to be checked to the end.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Ok(vec![error.to_string()])
            }
            _ => Err(storage("checking the file")(error)),
        })
    }
}
