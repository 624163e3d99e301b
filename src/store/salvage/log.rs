//! Whether the write-ahead log that a damaged file needs was read.
//!
//! As when a server opens the file, this compares the row of `_store_state` in the file alone with the row as it is read
//! through the log. If the row is damaged, only the log itself is examined.

use std::path::Path;

use rusqlite::Connection;

use super::pages::Pages;
use super::report::SalvagedWal;
use super::rows::{ColumnPositions, read_state};
use super::schema::find_tables;
use super::source::DamagedFile;
use super::{STORE_STATE, SalvageSource};
use crate::error::{Error, Result};
use crate::store::error::storage;
use crate::store::paths::file_bytes;
use crate::store::state::{InUse, StoreState};

/// The row of `_store_state`.
pub(super) fn stored_state(pages: Pages, new: &Connection) -> Result<Option<StoreState>> {
    let progress = &mut |_, _| {};
    let mut source = DamagedFile::new(pages, progress);
    let tables = find_tables(&mut source, new).map_err(storage("reading the schema"))?;
    let Some(table) = tables.iter().find(|table| table.name == STORE_STATE) else {
        return Ok(None);
    };
    let (Some(root), positions) = (table.root, ColumnPositions::of(table)) else { return Ok(None) };
    let mut state = None;
    source.walk(table.id, table.layout.has_rowid, root, &mut |rowid, values| {
        state = read_state(&positions, rowid, values);
        Ok(())
    })?;
    Ok(state)
}

/// Whether the log was read; `alone` is the state of the file without it.
///
/// # Errors
/// When a log cannot be opened.
pub(super) fn judge(
    source: &SalvageSource,
    pages: &Pages,
    alone: Option<&StoreState>,
    new: &Connection,
) -> Result<SalvagedWal> {
    let in_use = alone.map(|state| state.in_use);
    let (was_open, is_closed) = (in_use == Some(InUse::Open), in_use == Some(InUse::Closed));
    let beside = SalvageSource::beside(&source.path).wal_path.filter(|path| file_bytes(path) > 0);
    let is_left_out = source.wal_path.is_none() && beside.is_some();
    Ok(match (&source.wal_path, &beside) {
        (Some(_), _) if pages.wal.frames > 0 && pages.wal.is_damaged => SalvagedWal::Damaged,
        (Some(_), _) if pages.wal.frames > 0 => SalvagedWal::Read,
        (Some(wal_path), _) if file_bytes(wal_path) > 0 && !is_closed => SalvagedWal::Unreadable,
        (None, Some(wal_path)) if has_own_frames(&source.path, wal_path, alone, new)? => {
            SalvagedWal::LeftOut
        }
        _ if was_open && is_left_out => SalvagedWal::LeftOut,
        _ if was_open => SalvagedWal::Missing,
        _ => SalvagedWal::NotNeeded,
    })
}

/// Whether an ignored write-ahead log has transactions of the file, as far as is known.
fn has_own_frames(
    path: &Path,
    wal_path: &Path,
    alone: Option<&StoreState>,
    new: &Connection,
) -> Result<bool> {
    let pages = Pages::open(path, Some(wal_path))?;
    if pages.wal.frames == 0 || pages.wal_is_foreign {
        return Ok(false);
    }
    let through_wal = stored_state(pages, new)?;
    Ok(!alone.zip(through_wal.as_ref()).is_some_and(|(alone, state)| is_foreign(alone, state)))
}

/// Whether the log that gives a file the state `state` belongs to another file than the one with the state `alone`.
pub(super) fn is_foreign(alone: &StoreState, state: &StoreState) -> bool {
    state.store_id != alone.store_id || !state.continues(alone)
}

/// The error for a log that would mix another database into the new file.
pub(super) fn foreign(source: &SalvageSource) -> Error {
    let path = source.wal_path.as_ref().unwrap_or(&source.path);
    let reason = format!(
        "this write-ahead log does not belong to {}; put the right one beside the file, or leave it out: --without-wal. \
         Nothing was written",
        source.path.display()
    );
    Error::database(path, reason)
}
