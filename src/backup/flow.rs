//! The flow of bytes to the disk: how fast, how often flushed, how much room is left.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::names::directory_of;
use crate::error::{Error, Result, StorageErrorKind};

/// Bytes written between two flushes: a flush of more would keep the flushes of the server's commits waiting.
const FLUSH_BYTES: u64 = 4 << 20;
/// Bytes left free on the file system that the database is on, for the write-ahead log that grows meanwhile.
const HEADROOM_BYTES: u64 = 128 << 20;
/// A copy that was kept waiting makes up for at most this time, so that it never writes in a burst.
const CATCH_UP_US: u64 = 50_000;

/// Spreads the bytes of a copy over time.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_s: Option<u64>,
    /// When the bytes so far were due, on the monotonic clock.
    due_us: u64,
    paced_bytes: u64,
}

impl Pace {
    /// A pace of at most `bytes_per_s`; `None`: as fast as it goes.
    pub(super) const fn new(bytes_per_s: Option<u64>, now_us: u64) -> Self {
        Self { bytes_per_s, due_us: now_us, paced_bytes: 0 }
    }

    /// How long to rest after `copied_bytes` in all.
    pub(super) fn rest(&mut self, copied_bytes: u64, now_us: u64) -> Duration {
        let Some(bytes_per_s) = self.bytes_per_s else { return Duration::ZERO };
        let bytes = copied_bytes.saturating_sub(self.paced_bytes);
        self.paced_bytes = copied_bytes;
        let took_us = bytes.saturating_mul(1_000_000) / bytes_per_s.max(1);
        self.due_us = self.due_us.max(now_us.saturating_sub(CATCH_UP_US)).saturating_add(took_us);
        Duration::from_micros(self.due_us.saturating_sub(now_us))
    }

    /// How long to rest after a flush: as long as it took, so that on a slow disk half of the time is the server's.
    pub(super) const fn rest_after_flush(&self, took_us: u64) -> Duration {
        if self.bytes_per_s.is_some() { Duration::from_micros(took_us) } else { Duration::ZERO }
    }
}

/// The file of a copy, flushed as it grows and not kept in the system's page cache, which the server needs.
#[derive(Debug)]
pub(super) struct Flusher {
    file: File,
    path: PathBuf,
    flushed_bytes: u64,
}

impl Flusher {
    /// For the copy at `path`. The descriptor stays open until this is dropped: closing it would take SQLite's locks.
    pub(super) const fn new(file: File, path: PathBuf) -> Self {
        Self { file, path, flushed_bytes: 0 }
    }

    /// Flushes when enough was written; whether it did.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn grown_to(&mut self, bytes: u64) -> Result<bool> {
        if bytes < self.flushed_bytes + FLUSH_BYTES {
            return Ok(false);
        }
        self.flushed_bytes = bytes;
        self.synced(self.file.sync_data())?;
        Ok(true)
    }

    /// Flushes everything.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn flush(&self) -> Result<()> {
        self.synced(self.file.sync_all())
    }

    fn synced(&self, synced: std::io::Result<()>) -> Result<()> {
        synced.map_err(|source| Error::Io { path: self.path.clone(), source })?;
        // Only advice: what is read back for the check comes from the disk then.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed) {
            tracing::debug!(%error, "the copy stays in the page cache");
        }
        Ok(())
    }
}

/// The room that a copy has.
#[derive(Debug)]
pub(super) struct Room {
    directory: PathBuf,
    headroom_bytes: u64,
}

impl Room {
    /// The room for a copy at `target`, beside what the server of the database `served` needs, if there is one.
    pub(super) fn new(target: &Path, served: Option<&Path>) -> Self {
        let directory = directory_of(target);
        let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
        let is_shared = served.is_some_and(|served| device(&directory) == device(served));
        let headroom_bytes = if is_shared { HEADROOM_BYTES } else { 0 };
        Self { directory, headroom_bytes }
    }

    /// Whether `bytes` more fit and leave the server its room.
    ///
    /// # Errors
    /// When they do not; a file system that does not tell is believed to have room.
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

    /// The error of a failed copy, with the directory when its file system is full.
    pub(super) fn named(&self, error: Error) -> Error {
        if error.storage_kind() == Some(StorageErrorKind::DiskFull) {
            return Error::database(&self.directory, format!("no space is left: {error}"));
        }
        error
    }
}

/// Bytes that this user may still write to the file system of a directory.
fn free_bytes(directory: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(directory).ok()?;
    // Some network file systems tell nothing.
    (found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_spread_over_time_without_bursts_after_a_stall() {
        let mut pace = Pace::new(Some(1_000_000), 0);
        assert_eq!(pace.rest(100_000, 0), Duration::from_millis(100));
        // Half of the rest was spent on the step itself.
        assert_eq!(pace.rest(200_000, 150_000), Duration::from_millis(50));
        // A stall of ten seconds is not made up for.
        assert_eq!(pace.rest(300_000, 10_000_000), Duration::from_millis(50));
        assert_eq!(pace.rest_after_flush(7_000), Duration::from_millis(7));
        let mut unlimited = Pace::new(None, 0);
        assert_eq!(unlimited.rest(1 << 40, 0), Duration::ZERO);
        assert_eq!(unlimited.rest_after_flush(7_000), Duration::ZERO);
    }

    #[test]
    fn a_copy_that_does_not_fit_is_refused_with_the_figures() {
        let place = tempfile::tempdir().unwrap();
        let room = Room::new(&place.path().join("a.db"), Some(place.path()));
        room.require(0).unwrap();
        let refused = room.require(u64::MAX / 2).unwrap_err().to_string();
        assert!(
            refused.contains("not enough space") && refused.contains("135 MB more"),
            "{refused}"
        );
    }
}
