//! The new file: it has its name only when it is whole.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::store::held_file::is_held;
use crate::store::paths::{beside, resolved};

/// What lies beside a database that is open or was killed.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", ".lock"];

/// The place of a salvage's new file.
#[derive(Debug)]
pub struct SalvageTarget {
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
        for left in BESIDE.iter().map(|end| beside(&partial, end)).filter(|path| path.exists()) {
            std::fs::remove_file(&left).map_err(|source| Error::Io { path: left, source })?;
        }
        Ok(Self { path: path.to_owned(), partial, _source_lock: source_lock })
    }

    /// Where the file is written until it is whole.
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives the closed file its name, durably.
    ///
    /// # Errors
    /// When the file system refuses; the file keeps its first name then.
    pub fn finish(self) -> Result<()> {
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
