//! Detects a database file or write-ahead log that was truncated while it is open, or overwritten by a shorter file.
//!
//! A smaller size alone proves nothing: SQLite truncates the log when it restarts, and the database file after a vacuum,
//! also on behalf of other programs. So the files are compared with SQLite's own figures: every frame that the index of
//! the log counts must be in the log, and every page of the database must be in the file, in a frame that is not
//! checkpointed yet, or free. Any other page is lost.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rusqlite::Connection;
use rustc_hash::FxHashSet;

use super::columns::unsigned;
use super::health::locked;
use super::held_file::{HeldFile, OpenSizes};

/// SQLite's smallest page size, in bytes: a database file that is not empty is never shorter.
const SMALLEST_PAGE: u64 = 512;
/// Bytes of the header of a write-ahead log.
const WAL_HEADER: u64 = 32;
/// Bytes of the header of a frame; it begins with the number of the page.
const FRAME_HEADER: u64 = 24;
/// Pages that SQLite never writes, because its locks lie in them.
const LOCK_PAGES: u64 = 1;

/// SQLite's figures of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileFigures {
    /// Changes with every commit of another connection.
    data_version: u64,
    page_size: u64,
    pages: u64,
    free_pages: u64,
    /// Frames of the write-ahead log.
    frames: u64,
    /// Frames that are checkpointed.
    moved: u64,
}

impl FileFigures {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let number = |name: &str| -> rusqlite::Result<u64> {
            Ok(unsigned(connection.pragma_query_value(None, name, |row| row.get(0))?))
        };
        let (mut frames, mut moved) = (0, 0);
        connection.pragma_update_and_check(None, "wal_checkpoint", "noop", |row| {
            // -1 stands for a file without a log.
            (frames, moved) = (unsigned(row.get(1)?), unsigned(row.get(2)?));
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

/// Compares the sizes of the open files with the last correct ones, and with SQLite's figures when one of them has shrunk.
///
/// Returns how a file was truncated; `None` when neither was, or when that is not certain. `connection` must not be in a
/// transaction.
pub(super) fn find_cut(held: &HeldFile, connection: &Connection) -> Option<String> {
    let (sizes, seen) = (held.open_sizes()?, *locked(&held.seen_sizes));
    if sizes.database >= seen.database && sizes.wal >= seen.wal {
        *locked(&held.seen_sizes) = sizes;
        return None;
    }
    if sizes.database < SMALLEST_PAGE && seen.database >= SMALLEST_PAGE {
        return Some(truncated_database(held, sizes));
    }
    // If SQLite has no figures, or something was committed in between, the next call compares again.
    let figures = FileFigures::of(connection).ok()?;
    let sizes = held.open_sizes()?;
    let beyond = pages_in_wal(held, &figures, sizes)?;
    if FileFigures::of(connection).ok()? != figures {
        return None;
    }
    let (bytes, due) = (sizes.wal, wal_bytes(&figures));
    if bytes < due {
        let path = held.wal_path()?.display();
        return Some(format!(
            "the write-ahead log {path} was cut while it is open: it has {bytes} bytes of at least {due}"
        ));
    }
    if is_database_cut(&figures, sizes, beyond) {
        return Some(truncated_database(held, sizes));
    }
    *locked(&held.seen_sizes) = sizes;
    None
}

fn truncated_database(held: &HeldFile, sizes: OpenSizes) -> String {
    let (path, bytes) = (held.path.display(), sizes.database);
    format!(
        "the database file {path} was cut while it is open: it has {bytes} bytes, and pages are missing"
    )
}

/// Minimum size of the write-ahead log, in bytes.
const fn wal_bytes(figures: &FileFigures) -> u64 {
    match figures.frames {
        0 => 0,
        frames => WAL_HEADER + frames * (FRAME_HEADER + figures.page_size),
    }
}

/// Whether the database file lacks a page; `in_wal` is the number of pages beyond its end that have a frame.
const fn is_database_cut(figures: &FileFigures, sizes: OpenSizes, in_wal: u64) -> bool {
    let missing = figures.pages.saturating_sub(sizes.database / figures.page_size);
    // A complete checkpoint sets the size of the file. Before it, pages that were always free are nowhere.
    let is_complete = figures.frames == figures.moved;
    let accounted = if is_complete { 0 } else { in_wal + figures.free_pages + LOCK_PAGES };
    missing > accounted
}

/// Pages beyond the end of the database file that have a frame in the write-ahead log; `None` when it cannot be read.
/// SQLite holds no locks on the log, so it may be opened and closed.
fn pages_in_wal(held: &HeldFile, figures: &FileFigures, sizes: OpenSizes) -> Option<u64> {
    let in_file = sizes.database / figures.page_size;
    if figures.pages <= in_file || sizes.wal < wal_bytes(figures) {
        return Some(0);
    }
    let wal = File::open(held.wal_path()?).ok()?;
    let mut beyond = FxHashSet::default();
    for frame in figures.moved..figures.frames {
        let mut number = [0; 4];
        let offset = WAL_HEADER + frame * (FRAME_HEADER + figures.page_size);
        wal.read_exact_at(&mut number, offset).ok()?;
        let page = u64::from(u32::from_be_bytes(number));
        if page > in_file && page <= figures.pages {
            beyond.insert(page);
        }
    }
    u64::try_from(beyond.len()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: FileFigures = FileFigures {
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
        assert!(!is_database_cut(&FIGURES, sizes(100), 0));
        assert!(!is_database_cut(&FIGURES, sizes(120), 0));
        assert!(!is_database_cut(&FIGURES, sizes(69), 20));
        assert!(is_database_cut(&FIGURES, sizes(68), 20));
        let complete = FileFigures { moved: 50, ..FIGURES };
        assert!(!is_database_cut(&complete, sizes(100), 0));
        assert!(is_database_cut(&complete, sizes(99), 0));
    }

    #[test]
    fn a_log_has_every_frame_that_its_index_counts() {
        assert_eq!(wal_bytes(&FIGURES), 32 + 50 * 4_120);
        assert_eq!(wal_bytes(&FileFigures { frames: 0, moved: 0, ..FIGURES }), 0);
    }
}
