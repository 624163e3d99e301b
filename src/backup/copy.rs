//! Steps shared by backup and restore: copying a snapshot to disk, and verifying the copy.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::flow::{Flusher, FreeSpace, RateLimit};
use super::staging::Staging;
use super::{CopyStage, CopyWatch};
use crate::error::{Error, Result, StorageErrorKind};
use crate::store::{ExaminedFile, InUse, Reader, StoreFigures, io_error, seal_copy};

/// Size of the buffer for reading a copy back, in bytes.
const READ_BYTES: usize = 256 << 10;

/// Copies the snapshot of `reader`, which reads the file `source`, at most `max_bytes_per_s` fast.
///
/// # Errors
/// When there is not enough space, or a file cannot be read or written; [`Error::Closed`] when the
/// copy is cancelled.
pub(super) fn copy_snapshot(
    staging: &Staging,
    reader: &Reader<'_>,
    source: &Path,
    free_space: &FreeSpace,
    max_bytes_per_s: Option<u64>,
    watch: &mut CopyWatch<'_>,
) -> Result<Flusher> {
    let mut flusher = Flusher::new(staging.create_data(source)?, staging.data());
    let mut limit = RateLimit::new(max_bytes_per_s, watch.clock.monotonic_us());
    let copied = reader.copy_to(&staging.data(), &mut |copied_bytes, total_bytes| {
        (watch.progress)(CopyStage::Copying { copied_bytes, total_bytes });
        let before_us = watch.clock.monotonic_us();
        let has_flushed = flusher.flush_if_due(copied_bytes)?;
        let now_us = watch.clock.monotonic_us();
        let mut rest = limit.rest(copied_bytes, now_us);
        if has_flushed {
            free_space.require(total_bytes.saturating_sub(copied_bytes))?;
            rest = rest.max(limit.rest_after_flush(now_us - before_us));
        }
        watch.rest(rest)
    });
    copied.map_err(|error| free_space.with_directory(error))?;
    Ok(flusher)
}

/// Makes the copy of `source` self-contained, flushes it, verifies it against the figures of the
/// snapshot, and returns its figures. Reads it back at most `max_bytes_per_s` fast. With
/// `wal_is_missing`, the copy is marked as possibly missing records.
///
/// # Errors
/// When the copy is damaged, for example because `source` is, or differs from the snapshot;
/// [`Error::Closed`] when it is cancelled.
pub(super) fn finish_copy(
    staging: &Staging,
    source: &Path,
    snapshot: &StoreFigures,
    flusher: Flusher,
    max_bytes_per_s: Option<u64>,
    wal_is_missing: bool,
    watch: &mut CopyWatch<'_>,
) -> Result<StoreFigures> {
    let copy = staging.data();
    let sealed = seal_copy(&copy, wal_is_missing).and_then(|()| {
        flusher.flush()?;
        // All connections to it are closed.
        drop(flusher);
        read_back(&copy, max_bytes_per_s, watch)?;
        verify(&copy, &sealed_figures(snapshot, wal_is_missing), watch)
    });
    sealed.map_err(|error| match error {
        Error::Database { reason, .. } => Error::database(source, reason),
        Error::Storage { source: cause, .. } if cause.kind == StorageErrorKind::Damaged => {
            Error::database(source, format!("a copy of it is damaged: {cause}"))
        }
        other => other,
    })
}

/// Reads the file from disk sequentially before the check, which follows the B-trees and would take
/// three times as long with one disk read per page.
fn read_back(path: &Path, max_bytes_per_s: Option<u64>, watch: &mut CopyWatch<'_>) -> Result<()> {
    let failed = io_error(path);
    let mut file = File::open(path).map_err(&failed)?;
    let total_bytes = file.metadata().map_err(&failed)?.len();
    let mut limit = RateLimit::new(max_bytes_per_s, watch.clock.monotonic_us());
    let mut buffer = vec![0; READ_BYTES];
    let mut read_bytes = 0;
    loop {
        let read = file.read(&mut buffer).map_err(&failed)?;
        if read == 0 {
            return Ok(());
        }
        read_bytes += u64::try_from(read).unwrap_or(0);
        (watch.progress)(CopyStage::Verifying { read_bytes, total_bytes });
        watch.rest(limit.rest(read_bytes, watch.clock.monotonic_us()))?;
    }
}

fn verify(path: &Path, expected: &StoreFigures, watch: &CopyWatch<'_>) -> Result<StoreFigures> {
    let mut copy = ExaminedFile::open(path)?;
    let stop = Arc::clone(&watch.stop);
    let damage = copy.damage(move || stop.load(Ordering::SeqCst))?;
    if let Some(first) = damage.first() {
        return Err(Error::database(path, format!("a copy of it is damaged: {first}")));
    }
    let found = copy.read(|reader| reader.figures())?;
    if found != *expected {
        let reason = format!("a copy of it differs: {found:?}, not {expected:?}");
        return Err(Error::database(path, reason));
    }
    watch.check()?;
    Ok(found)
}

/// The figures that the finished copy of a snapshot must have.
fn sealed_figures(snapshot: &StoreFigures, wal_is_missing: bool) -> StoreFigures {
    let mut figures = snapshot.clone();
    figures.state.in_use = InUse::Closed;
    if wal_is_missing {
        figures.state.wal_missing_after_ms = Some(figures.state.clock_ms);
    }
    figures
}
