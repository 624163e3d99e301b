//! Whether the database file or its write-ahead log was cut while it is open: truncated in place, or overwritten by a shorter
//! file.
//!
//! Sizes that shrink prove nothing: SQLite truncates the log when it restarts, and the database file after a vacuum; other
//! programs may make both happen. So what SQLite itself relies on is compared with the files: every frame of the log that
//! its index counts is in the log, and every page of the database is in the file, in a frame that is not moved yet, or
//! free. A page that is in none of them is lost.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use rustc_hash::FxHashSet;

use super::held_file::HeldFile;

/// The smallest page that SQLite knows: a database file is never shorter once it had something in it.
const SMALLEST_PAGE: u64 = 512;
/// Bytes of the header of a write-ahead log.
const WAL_HEADER: u64 = 32;
/// Bytes of the header of a frame; it begins with the number of the page.
const FRAME_HEADER: u64 = 24;
/// SQLite leaves out the page in which its locks lie.
const LOCK_PAGES: u64 = 1;

/// Bytes of the files that are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OpenSizes {
    pub(super) database: u64,
    pub(super) wal: u64,
}

/// The sizes that were last found right.
#[derive(Debug, Default)]
pub(super) struct SeenSizes {
    last: Mutex<OpenSizes>,
}

impl SeenSizes {
    fn last(&self) -> OpenSizes {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, sizes: OpenSizes) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = sizes;
    }
}

/// What SQLite knows of its files at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    /// Changes with every commit of another connection.
    data_version: u64,
    page_size: u64,
    pages: u64,
    free_pages: u64,
    /// Frames of the write-ahead log, and those of them that are moved into the database file.
    frames: u64,
    moved: u64,
}

impl Moment {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let number = |name: &str| -> rusqlite::Result<u64> {
            let value: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
            Ok(unsigned(value))
        };
        let (mut frames, mut moved) = (0, 0);
        connection.pragma_update_and_check(None, "wal_checkpoint", "noop", |row| {
            let found: (i64, i64) = (row.get(1)?, row.get(2)?);
            // -1 stands for a file without a log.
            (frames, moved) = (unsigned(found.0), unsigned(found.1));
            Ok(())
        })?;
        Ok(Self {
            data_version: number("data_version")?,
            page_size: number("page_size")?,
            pages: number("page_count")?,
            free_pages: number("freelist_count")?,
            frames,
            moved,
        })
    }
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Compares the sizes of the open files with those that were last found right, and asks SQLite when one of them shrank.
///
/// Says how a file was cut; `None` when neither was, or when that is not certain. `connection` is in no transaction.
pub(super) fn find_cut(held: &HeldFile, connection: &Connection) -> Option<String> {
    let (sizes, seen) = (held.open_sizes()?, held.seen_sizes().last());
    if sizes.database >= seen.database && sizes.wal >= seen.wal {
        held.seen_sizes().note(sizes);
        return None;
    }
    if sizes.database < SMALLEST_PAGE && seen.database >= SMALLEST_PAGE {
        return Some(database_words(held, sizes));
    }
    // Where SQLite cannot tell, or something was committed meanwhile, the next look compares again.
    let before = Moment::of(connection).ok()?;
    let sizes = held.open_sizes()?;
    let beyond = pages_in_wal(held, &before, sizes)?;
    if Moment::of(connection).ok()? != before {
        return None;
    }
    if sizes.wal < wal_bytes(&before) {
        let path = held.wal_path()?.display();
        let (bytes, due) = (sizes.wal, wal_bytes(&before));
        return Some(format!(
            "the write-ahead log {path} was cut while it is open: it has {bytes} bytes of at least {due}"
        ));
    }
    if is_database_cut(&before, sizes, beyond) {
        return Some(database_words(held, sizes));
    }
    held.seen_sizes().note(sizes);
    None
}

fn database_words(held: &HeldFile, sizes: OpenSizes) -> String {
    let (path, bytes) = (held.path().display(), sizes.database);
    format!(
        "the database file {path} was cut while it is open: it has {bytes} bytes, and pages are missing"
    )
}

/// Least size of the write-ahead log.
const fn wal_bytes(moment: &Moment) -> u64 {
    match moment.frames {
        0 => 0,
        frames => WAL_HEADER + frames * (FRAME_HEADER + moment.page_size),
    }
}

/// Whether the database file lacks a page; `in_wal` is the number of pages beyond its end that have a frame.
const fn is_database_cut(moment: &Moment, sizes: OpenSizes, in_wal: u64) -> bool {
    let missing = moment.pages.saturating_sub(sizes.database / moment.page_size);
    // A checkpoint that moves everything sets the size of the file. Before, pages that were free from the beginning are
    // nowhere.
    let is_complete = moment.frames == moment.moved;
    let accounted = if is_complete { 0 } else { in_wal + moment.free_pages + LOCK_PAGES };
    missing > accounted
}

/// Pages beyond the end of the database file that have a frame in the write-ahead log; `None` when it cannot be read. The
/// log carries no locks of SQLite, so it may be opened and closed.
fn pages_in_wal(held: &HeldFile, moment: &Moment, sizes: OpenSizes) -> Option<u64> {
    let in_file = sizes.database / moment.page_size;
    if moment.pages <= in_file || sizes.wal < wal_bytes(moment) {
        return Some(0);
    }
    let wal = File::open(held.wal_path()?).ok()?;
    let mut beyond = FxHashSet::default();
    for frame in moment.moved..moment.frames {
        let mut number = [0; 4];
        let offset = WAL_HEADER + frame * (FRAME_HEADER + moment.page_size);
        wal.read_exact_at(&mut number, offset).ok()?;
        let page = u64::from(u32::from_be_bytes(number));
        if page > in_file && page <= moment.pages {
            beyond.insert(page);
        }
    }
    u64::try_from(beyond.len()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Moment = Moment {
        data_version: 1,
        page_size: 4_096,
        pages: 100,
        free_pages: 10,
        frames: 50,
        moved: 20,
    };

    const fn sizes(pages: u64) -> OpenSizes {
        OpenSizes { database: pages * 4_096, wal: 0 }
    }

    #[test]
    fn pages_that_are_in_a_frame_or_free_may_lie_beyond_the_end_of_the_file() {
        assert!(!is_database_cut(&MOMENT, sizes(100), 0));
        assert!(!is_database_cut(&MOMENT, sizes(120), 0));
        assert!(!is_database_cut(&MOMENT, sizes(69), 20));
        assert!(is_database_cut(&MOMENT, sizes(68), 20));
        let complete = Moment { moved: 50, ..MOMENT };
        assert!(!is_database_cut(&complete, sizes(100), 0));
        assert!(is_database_cut(&complete, sizes(99), 0));
    }

    #[test]
    fn a_log_has_every_frame_that_its_index_counts() {
        assert_eq!(wal_bytes(&MOMENT), 32 + 50 * 4_120);
        assert_eq!(wal_bytes(&Moment { frames: 0, moved: 0, ..MOMENT }), 0);
    }
}
