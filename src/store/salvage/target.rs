//! The new file: it has its name only when it is whole.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, StorageError, StorageErrorKind};
use crate::store::held_file::is_held;
use crate::store::paths::{beside, resolved};

/// What lies beside a database that is open or was killed.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", ".lock"];

/// The place of a salvage's new file.
#[derive(Debug)]
pub struct SalvageTarget {
    source: PathBuf,
    path: PathBuf,
    partial: PathBuf,
    /// Keeps a server away from the damaged file meanwhile.
    _source_lock: Option<File>,
}

impl SalvageTarget {
    /// Prepares the place; what a killed salvage left there is removed.
    ///
    /// # Errors
    /// When `path` exists already, its directory does not, or a server has `source` open.
    pub fn prepare(source: &Path, path: &Path) -> Result<Self> {
        if !source.is_file() {
            return Err(Error::database(source, "no such file; name the damaged database"));
        }
        if let Some(taken) =
            BESIDE[..3].iter().map(|end| beside(path, end)).find(|path| path.exists())
        {
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
            tracing::info!(path = %partial.display(), "removing what a killed salvage left");
        }
        remove_with_companions(&partial)?;
        Ok(Self {
            source: source.to_owned(),
            path: path.to_owned(),
            partial,
            _source_lock: source_lock,
        })
    }

    /// Where the file is written until it is whole.
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives the closed file its name when it was `filled`, durably, and removes it when not.
    ///
    /// # Errors
    /// Why it was not filled, or when the file system refuses; nothing is left of the new file then.
    pub fn finish<T>(self, filled: Result<T>) -> Result<T> {
        let finished = filled.and_then(|report| self.rename().map(|()| report));
        finished.map_err(|error| {
            if let Err(error) = remove_with_companions(&self.partial) {
                tracing::warn!(%error, "the unfinished file was not removed; remove it, or salvage again");
            }
            self.in_words(error)
        })
    }

    /// An error of SQLite with the file that it was about, which is always the new one, and what to do.
    fn in_words(&self, error: Error) -> Error {
        let (operation, source) = match error {
            Error::Storage { operation, source } => (operation, source),
            Error::Database { path, reason } if path == self.partial => {
                let reason = format!(
                    "{reason}. The unfinished file was removed; --into can name a file on another disk"
                );
                return Error::Database { path, reason };
            }
            other => return other,
        };
        let partial = self.partial.display();
        let message = if source.kind == StorageErrorKind::DiskFull {
            let mib = self.source.metadata().map_or(0, |metadata| metadata.len()).div_ceil(1 << 20);
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
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { path, source }
        };
        File::open(&self.partial)
            .and_then(|file| file.sync_all())
            .map_err(failed(&self.partial))?;
        let wal = beside(&self.partial, "-wal");
        if wal.metadata().is_ok_and(|metadata| metadata.len() > 0) {
            return Err(Error::database(wal, "somebody has the new file open; salvage again"));
        }
        for left in
            BESIDE[1..].iter().map(|end| beside(&self.partial, end)).filter(|path| path.exists())
        {
            std::fs::remove_file(&left).map_err(failed(&left))?;
        }
        std::fs::rename(&self.partial, &self.path).map_err(failed(&self.path))?;
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed(directory))
    }
}

fn remove_with_companions(path: &Path) -> Result<()> {
    for left in BESIDE.iter().map(|end| beside(path, end)).filter(|path| path.exists()) {
        std::fs::remove_file(&left).map_err(|source| Error::Io { path: left, source })?;
    }
    Ok(())
}

fn in_use(path: &Path) -> Error {
    Error::database(path, "the file is locked by another process; stop the server that has it open")
}

/// The lock of a database, where it has a file for one.
fn lock(path: &Path) -> Result<Option<File>> {
    let lock_path = beside(&resolved(path), ".lock");
    let Ok(file) = File::open(&lock_path) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(in_use(path)),
        Err(TryLockError::Error(source)) => Err(Error::Io { path: lock_path, source }),
    }
}
