//! Making a backup: checks, copying a snapshot, verifying the copy, renaming it.

use std::path::{Path, PathBuf};

use super::CopyWatch;
use super::copy::{copy_snapshot, finish_copy};
use super::flow::{Flusher, FreeSpace};
use super::keys::{Key, check_key, require_key};
use super::names::{check_target, key_beside};
use super::staging::Staging;
use crate::error::{Error, Result};
use crate::privacy::{install_key, load_key};
use crate::store::{
    Reader, StoreFigures, beside, directory_of, file_bytes, resolved, sync_directory,
};

/// What is verified before a backup gets its name.
pub const VERIFIED: [&str; 4] = [
    "SQLite's structural check of every page of the copy, read back from the disk, finds nothing (quick_check)",
    "the copy is a chatgauge database of the same schema and size",
    "its last row, watermark and number of requests are those of the snapshot",
    "it is one file without a write-ahead log and is marked as in use by nobody",
];

/// The parameters of a backup.
#[derive(Clone, Debug)]
pub struct BackupRequest {
    /// The database.
    pub database: PathBuf,
    /// The file of the pseudonym key.
    pub key: PathBuf,
    /// The file of the backup.
    pub target: PathBuf,
    /// Whether the key is copied to `<target>.key`.
    pub with_key: bool,
    /// Whether an existing file is replaced once the new backup is verified.
    pub overwrite: bool,
    /// Rate limit of the copy in bytes per second; `None` means no limit.
    pub max_bytes_per_s: Option<u64>,
    /// Whether a server that had the database open died, and the write-ahead log is missing.
    pub wal_is_missing: bool,
}

/// The result of a backup.
#[derive(Clone, Debug)]
pub struct BackupReport {
    /// The file.
    pub file: PathBuf,
    /// The copy of the key, if made.
    pub key: Option<PathBuf>,
    /// The figures of the backup.
    pub figures: StoreFigures,
    /// Whether the database's write-ahead log was missing, and with it possibly the latest records.
    pub is_incomplete: bool,
    /// Duration of the copy, in microseconds.
    pub copying_us: u64,
    /// Duration of flushing and verifying, in microseconds.
    pub verifying_us: u64,
    /// Size of the database's write-ahead log at the end of the copy, in bytes. It grows during the
    /// copy because frames after the snapshot cannot be checkpointed.
    pub wal_bytes: u64,
}

/// A backup in progress.
#[derive(Debug)]
pub struct BackupJob {
    request: BackupRequest,
    staging: Staging,
}

/// A backup whose pages are copied; it no longer needs the snapshot.
#[derive(Debug)]
pub struct CopiedBackup {
    job: BackupJob,
    figures: StoreFigures,
    flusher: Flusher,
    copying_us: u64,
    wal_bytes: u64,
}

impl BackupJob {
    /// Checks the paths and creates the staging directory, after removing those of killed backups
    /// with the same name.
    ///
    /// # Errors
    /// When the target is not usable or exists, another backup with this name is running, the key
    /// to copy is missing, or a different key is beside the target.
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
    /// When there is not enough space, or a file cannot be read or written; [`Error::Closed`] when
    /// it is cancelled.
    pub fn copy(self, reader: &Reader<'_>, watch: &mut CopyWatch<'_>) -> Result<CopiedBackup> {
        let started_us = watch.clock.monotonic_us();
        let source = resolved(&self.request.database);
        let figures = reader.figures()?;
        if self.request.with_key {
            let path = &self.request.key;
            check_key(path, &require_key(path)?, &self.request.database, &figures)?;
        }
        let free_space = FreeSpace::new(&self.request.target, Some(&source));
        free_space.require(figures.bytes)?;
        self.staging.mark(&figures.state.store_id)?;
        let limit = self.request.max_bytes_per_s;
        let flusher = copy_snapshot(&self.staging, reader, &source, &free_space, limit, watch)?;
        let wal_bytes = file_bytes(&beside(&source, "-wal"));
        let copying_us = watch.clock.monotonic_us() - started_us;
        Ok(CopiedBackup { job: self, figures, flusher, copying_us, wal_bytes })
    }
}

impl CopiedBackup {
    /// Flushes and verifies the copy, then gives the key and the copy their names, in this order.
    ///
    /// # Errors
    /// When the copy is damaged, or a file cannot be written; [`Error::Closed`] when it is
    /// cancelled. The backup's name is then free, or still has its previous file.
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
            sync_directory(directory_of(path))?;
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

/// Rejects a backup with a key when a different key is beside the target.
fn check_key_beside(target: &Path, key: &Key) -> Result<()> {
    let path = key_beside(target);
    if load_key(&path)?.is_some_and(|other| other != *key) {
        let reason = "is a different key; keys are never replaced, so move it away";
        return Err(Error::database(path, reason));
    }
    Ok(())
}
