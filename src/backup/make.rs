//! Making a backup: the checks before, the copy of one snapshot, the check of the copy, its name.

use std::path::{Path, PathBuf};

use super::CopyWatch;
use super::copy::{copy_snapshot, finish_copy};
use super::flow::{Flusher, Room};
use super::keys::{Key, check_key, require_key};
use super::names::{append, check_target, directory_of, key_beside};
use super::staging::{Staging, sync_directory};
use crate::error::{Error, Result};
use crate::privacy::{install_key, load_key};
use crate::store::{Reader, StoreFigures, resolved};

/// What is verified of a backup before it gets its name.
pub const VERIFIED: [&str; 4] = [
    "SQLite's structural check of every page of the copy, read back from the disk, finds nothing (quick_check)",
    "the copy is a chatgauge database of the same schema and size",
    "its last row, watermark and number of requests are those of the snapshot",
    "it is one file without a write-ahead log and is marked as in use by nobody",
];

/// What is to be backed up, and where to.
#[derive(Clone, Debug)]
pub struct BackupRequest {
    /// The database.
    pub database: PathBuf,
    /// The file of the key of the pseudonyms.
    pub key: PathBuf,
    /// The file of the backup.
    pub target: PathBuf,
    /// Whether the key is copied to `<target>.key`.
    pub with_key: bool,
    /// Whether a file of that name is replaced, once the new backup is verified.
    pub overwrite: bool,
    /// Bytes copied a second at most; `None`: as fast as it goes.
    pub max_bytes_per_s: Option<u64>,
    /// Whether a server had the database open when it died, and the write-ahead log is gone.
    pub wal_is_missing: bool,
}

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct BackupReport {
    /// The file.
    pub file: PathBuf,
    /// Its copy of the key.
    pub key: Option<PathBuf>,
    /// What is in it.
    pub figures: StoreFigures,
    /// Whether the database's write-ahead log was missing, and its latest records with it.
    pub is_incomplete: bool,
    /// Time of copying, in microseconds.
    pub copying_us: u64,
    /// Time of flushing and checking, in microseconds.
    pub verifying_us: u64,
    /// Size of the database's write-ahead log when the copy was complete, in bytes: until then nothing of it that came
    /// after the snapshot could be moved into the database.
    pub wal_bytes: u64,
}

/// A backup under way.
#[derive(Debug)]
pub struct BackupJob {
    request: BackupRequest,
    staging: Staging,
}

/// A backup of which the pages are copied; the snapshot is no longer needed.
#[derive(Debug)]
pub struct CopiedBackup {
    job: BackupJob,
    figures: StoreFigures,
    flusher: Flusher,
    copying_us: u64,
    wal_bytes: u64,
}

impl BackupJob {
    /// Checks the names and makes the place for the copy, after removing what killed backups of this name left.
    ///
    /// # Errors
    /// When the target cannot be used or exists, when another backup of this name is under way, and when the key that
    /// is to be copied is missing or another one lies beside the target.
    pub fn begin(request: BackupRequest) -> Result<Self> {
        check_target(&request.target, &request.database, &request.key, request.overwrite)?;
        if request.with_key {
            check_key_beside(&request.target, &require_key(&request.key)?)?;
        }
        let staging = Staging::create(&request.target)?;
        Ok(Self { request, staging })
    }

    /// Copies the snapshot of `reader`.
    ///
    /// # Errors
    /// When there is not enough space, or a file cannot be read or written; [`Error::Closed`] when it was stopped.
    pub fn copy(self, reader: &Reader<'_>, watch: &mut CopyWatch<'_>) -> Result<CopiedBackup> {
        let started_us = watch.clock.monotonic_us();
        let source = resolved(&self.request.database);
        let figures = reader.figures()?;
        if self.request.with_key {
            let path = &self.request.key;
            check_key(path, &require_key(path)?, &self.request.database, &figures)?;
        }
        let room = Room::new(&self.request.target, Some(&source));
        room.require(figures.bytes)?;
        if let Some(state) = &figures.state {
            self.staging.mark(&state.store_id)?;
        }
        let limit = self.request.max_bytes_per_s;
        let flusher = copy_snapshot(&self.staging, reader, &source, &room, limit, watch)?;
        let wal_bytes = append(&source, "-wal").metadata().map_or(0, |metadata| metadata.len());
        let copying_us = watch.clock.monotonic_us() - started_us;
        Ok(CopiedBackup { job: self, figures, flusher, copying_us, wal_bytes })
    }
}

impl CopiedBackup {
    /// Flushes the copy, checks it and gives it its name; the key gets its name first.
    ///
    /// # Errors
    /// When the copy is damaged, or a file cannot be written; [`Error::Closed`] when it was stopped. There is no file
    /// of the backup's name then, or the one that was there before.
    pub fn finish(self, watch: &mut CopyWatch<'_>) -> Result<BackupReport> {
        let started_us = watch.clock.monotonic_us();
        let BackupJob { request, staging } = self.job;
        let figures = finish_copy(
            &staging,
            &request.database,
            &self.figures,
            self.flusher,
            request.max_bytes_per_s,
            request.wal_is_missing,
            watch,
        )?;
        let key = request.with_key.then(|| key_beside(&request.target));
        if let Some(path) = &key {
            install_key(path, &require_key(&request.key)?)?;
            sync_directory(&directory_of(path))?;
        }
        staging.publish(&request.target, request.overwrite)?;
        Ok(BackupReport {
            is_incomplete: request.wal_is_missing,
            file: request.target,
            key,
            figures,
            copying_us: self.copying_us,
            verifying_us: watch.clock.monotonic_us() - started_us,
            wal_bytes: self.wal_bytes,
        })
    }
}

/// Refuses to put a key beside a backup when another one is there.
fn check_key_beside(target: &Path, key: &Key) -> Result<()> {
    let path = key_beside(target);
    if load_key(&path)?.is_some_and(|other| other != *key) {
        return Err(Error::database(
            path,
            "is another key, and a key is never replaced; move it away",
        ));
    }
    Ok(())
}
