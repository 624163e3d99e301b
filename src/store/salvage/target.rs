//! The new file, which gets its name only when it is complete.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, StorageError, StorageErrorKind};
use crate::store::held_file::is_held;
use crate::store::paths::{beside, directory_of, file_bytes, io_error, resolved, sync_directory};

/// Suffixes of a database and of the files beside it that a killed server leaves.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", ".lock"];

/// The new file of a salvage.
#[derive(Debug)]
pub struct SalvageTarget {
    source: PathBuf,
    path: PathBuf,
    partial: PathBuf,
    /// Keeps servers from opening the damaged file.
    _source_lock: Option<File>,
}

impl SalvageTarget {
    /// Checks the paths, and removes the unfinished file of a killed salvage.
    ///
    /// # Errors
    /// When `path` exists already, its directory does not, or a server has `source` open.
    pub fn prepare(source: &Path, path: &Path) -> Result<Self> {
        if !source.is_file() {
            return Err(Error::database(source, "no such file; name the damaged database"));
        }
        if let Some(taken) = existing(path, &BESIDE[..3]).next() {
            return Err(Error::database(
                taken,
                "exists already; --into names a file that does not",
            ));
        }
        if is_held(source) {
            return Err(in_use(source));
        }
        let source_lock = lock(source)?;
        let partial = beside(path, ".partial");
        if lock(&partial)?.is_some() {
            tracing::info!(path = %partial.display(), "removing the unfinished file of a killed salvage");
        }
        remove(&partial, &BESIDE)?;
        let (source, path) = (source.to_owned(), path.to_owned());
        Ok(Self { source, path, partial, _source_lock: source_lock })
    }

    /// The path of the file until it is complete.
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives the closed file its name, durably; removes it if `filled` is an error.
    ///
    /// # Errors
    /// The error of `filled`, or of the file system; the new file is then removed.
    pub fn finish<T>(self, filled: Result<T>) -> Result<T> {
        let finished = filled.and_then(|report| self.rename().map(|()| report));
        finished.map_err(|error| {
            if let Err(error) = remove(&self.partial, &BESIDE) {
                tracing::warn!(%error, "removing the unfinished file failed; remove it, or salvage again");
            }
            self.in_words(error)
        })
    }

    /// Adds the new file, to which every error of SQLite refers, and the remedy to an error.
    fn in_words(&self, error: Error) -> Error {
        let (operation, source) = match error {
            Error::Storage { operation, source } => (operation, source),
            Error::Database { path, reason } if path == self.partial => {
                return Error::database(
                    path,
                    format!(
                        "{reason}. The unfinished file was removed; --into can name a file on another disk"
                    ),
                );
            }
            other => return other,
        };
        let partial = self.partial.display();
        let message = if source.kind == StorageErrorKind::DiskFull {
            let mib = file_bytes(&self.source).div_ceil(1 << 20);
            format!(
                "{partial}: no space is left on the disk for the new file, which needs up to the size of the damaged one \
                 ({mib} MiB) and as much again for a moment; free some, or name a file on another disk with --into. The \
                 unfinished file was removed ({operation}: {})",
                source.message
            )
        } else {
            format!(
                "{partial}: {operation}: {}; name a file on another disk with --into, or look at the system's log \
                 (dmesg). The unfinished file was removed",
                source.message
            )
        };
        let source = StorageError { kind: source.kind, message };
        Error::Storage { operation: "writing the new file", source }
    }

    fn rename(&self) -> Result<()> {
        let synced = File::open(&self.partial).and_then(|file| file.sync_all());
        synced.map_err(io_error(&self.partial))?;
        let wal = beside(&self.partial, "-wal");
        if file_bytes(&wal) > 0 {
            return Err(Error::database(
                wal,
                "another program has the new file open; salvage again",
            ));
        }
        remove(&self.partial, &BESIDE[1..])?;
        std::fs::rename(&self.partial, &self.path).map_err(io_error(&self.path))?;
        sync_directory(directory_of(&self.path))
    }
}

/// The existing files with these suffixes.
fn existing(path: &Path, suffixes: &[&str]) -> impl Iterator<Item = PathBuf> {
    suffixes.iter().map(move |suffix| beside(path, suffix)).filter(|path| path.exists())
}

fn remove(path: &Path, suffixes: &[&str]) -> Result<()> {
    for file in existing(path, suffixes) {
        std::fs::remove_file(&file).map_err(io_error(&file))?;
    }
    Ok(())
}

fn in_use(path: &Path) -> Error {
    Error::database(path, "the file is locked by another process; stop the server that has it open")
}

/// The lock of a database; `None` if it has no lock file.
fn lock(path: &Path) -> Result<Option<File>> {
    let lock_path = beside(&resolved(path), ".lock");
    let Ok(file) = File::open(&lock_path) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(in_use(path)),
        Err(TryLockError::Error(source)) => Err(io_error(&lock_path)(source)),
    }
}
