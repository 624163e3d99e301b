//! The flow of bytes to the disk: rate limit, flushes, and free space.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result, StorageErrorKind};
use crate::store::{directory_of, io_error};

/// Bytes written between two flushes. Larger flushes would delay the flushes of the server's
/// commits.
const FLUSH_BYTES: u64 = 4 << 20;
/// Bytes to leave free on the database's file system, for the write-ahead log that grows during the
/// copy.
const HEADROOM_BYTES: u64 = 128 << 20;
/// Time that a delayed copy may catch up for, in microseconds, so that it never writes in a burst.
const CATCH_UP_US: u64 = 50_000;

/// Limits the rate of a copy.
#[derive(Debug)]
pub(super) struct RateLimit {
    bytes_per_s: Option<u64>,
    /// When the bytes so far are due, on the monotonic clock.
    due_us: u64,
    paced_bytes: u64,
}

impl RateLimit {
    /// A limit of `bytes_per_s`; `None` means no limit.
    pub(super) const fn new(bytes_per_s: Option<u64>, now_us: u64) -> Self {
        Self { bytes_per_s, due_us: now_us, paced_bytes: 0 }
    }

    /// How long to rest after `copied_bytes` in total.
    pub(super) fn rest(&mut self, copied_bytes: u64, now_us: u64) -> Duration {
        let Some(bytes_per_s) = self.bytes_per_s else { return Duration::ZERO };
        let bytes = copied_bytes.saturating_sub(self.paced_bytes);
        self.paced_bytes = copied_bytes;
        let took_us = bytes.saturating_mul(1_000_000) / bytes_per_s.max(1);
        self.due_us = self.due_us.max(now_us.saturating_sub(CATCH_UP_US)).saturating_add(took_us);
        Duration::from_micros(self.due_us.saturating_sub(now_us))
    }

    /// How long to rest after a flush: as long as it took, so that the server gets half of a slow
    /// disk's time.
    pub(super) const fn rest_after_flush(&self, took_us: u64) -> Duration {
        if self.bytes_per_s.is_some() { Duration::from_micros(took_us) } else { Duration::ZERO }
    }
}

/// The file of a copy. It is flushed as it grows and dropped from the page cache, which the server
/// needs.
#[derive(Debug)]
pub(super) struct Flusher {
    file: File,
    path: PathBuf,
    flushed_bytes: u64,
}

impl Flusher {
    /// Creates a flusher for the copy at `path`. The descriptor stays open until drop: closing it
    /// earlier would release SQLite's locks.
    pub(super) const fn new(file: File, path: PathBuf) -> Self {
        Self { file, path, flushed_bytes: 0 }
    }

    /// Flushes when enough bytes were written; returns whether it did.
    pub(super) fn flush_if_due(&mut self, bytes: u64) -> Result<bool> {
        if bytes < self.flushed_bytes + FLUSH_BYTES {
            return Ok(false);
        }
        self.flushed_bytes = bytes;
        self.after_sync(self.file.sync_data())?;
        Ok(true)
    }

    /// Flushes everything.
    pub(super) fn flush(&self) -> Result<()> {
        self.after_sync(self.file.sync_all())
    }

    fn after_sync(&self, synced: std::io::Result<()>) -> Result<()> {
        synced.map_err(io_error(&self.path))?;
        // This is only advice; afterwards the check reads from the disk.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed) {
            tracing::debug!(%error, "cannot drop the copy from the page cache");
        }
        Ok(())
    }
}

/// The free space for a copy.
#[derive(Debug)]
pub(super) struct FreeSpace {
    directory: PathBuf,
    headroom_bytes: u64,
}

impl FreeSpace {
    /// The free space for a copy at `target`. If the database `served` is on the same file system,
    /// its server needs some of it.
    pub(super) fn new(target: &Path, served: Option<&Path>) -> Self {
        let directory = directory_of(target).to_owned();
        let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
        let is_shared = served.is_some_and(|served| device(&directory) == device(served));
        let headroom_bytes = if is_shared { HEADROOM_BYTES } else { 0 };
        Self { directory, headroom_bytes }
    }

    /// Requires that `bytes` more fit beside the headroom of the server.
    ///
    /// # Errors
    /// When they do not fit. A file system that does not report its free space passes.
    pub(super) fn require(&self, bytes: u64) -> Result<()> {
        let Some(free) = free_bytes(&self.directory) else { return Ok(()) };
        if free >= bytes.saturating_add(self.headroom_bytes) {
            return Ok(());
        }
        let mb = |bytes: u64| bytes.div_ceil(1_000_000);
        let mut reason =
            format!("not enough space: {} MB are free, {} MB are needed", mb(free), mb(bytes));
        if self.headroom_bytes > 0 {
            let headroom = mb(self.headroom_bytes);
            reason += &format!(", and {headroom} MB more for the database on the same file system");
        }
        Err(Error::database(&self.directory, reason))
    }

    /// Adds the directory to the error of a copy that failed because the file system is full.
    pub(super) fn with_directory(&self, error: Error) -> Error {
        if error.storage_kind() == Some(StorageErrorKind::DiskFull) {
            return Error::database(&self.directory, format!("no space is left: {error}"));
        }
        error
    }
}

/// Bytes that this user can still write to the file system of a directory.
fn free_bytes(directory: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(directory).ok()?;
    // Some network file systems report nothing.
    (found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_limited_without_bursts_after_a_stall() {
        let mut limit = RateLimit::new(Some(1_000_000), 0);
        assert_eq!(limit.rest(100_000, 0), Duration::from_millis(100));
        // Half of the rest was spent on the step itself.
        assert_eq!(limit.rest(200_000, 150_000), Duration::from_millis(50));
        // The copy does not catch up for a stall of ten seconds.
        assert_eq!(limit.rest(300_000, 10_000_000), Duration::from_millis(50));
        assert_eq!(limit.rest_after_flush(7_000), Duration::from_millis(7));
        let mut unlimited = RateLimit::new(None, 0);
        assert_eq!(unlimited.rest(1 << 40, 0), Duration::ZERO);
        assert_eq!(unlimited.rest_after_flush(7_000), Duration::ZERO);
    }

    #[test]
    fn a_copy_that_does_not_fit_is_refused_with_the_figures() {
        let place = tempfile::tempdir().unwrap();
        let free_space = FreeSpace::new(&place.path().join("a.db"), Some(place.path()));
        free_space.require(0).unwrap();
        let refused = free_space.require(u64::MAX / 2).unwrap_err().to_string();
        assert!(
            refused.contains("not enough space") && refused.contains("135 MB more"),
            "{refused}"
        );
    }
}
