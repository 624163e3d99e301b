//! File names: the files beside a database, and the valid targets of a backup.

use std::path::{Path, PathBuf};

use super::staging::exists;
use crate::error::{Error, Result};
use crate::store::{beside, directory_of, is_locked, is_same_file, require_directory, resolved};

/// Suffixes of the files that SQLite keeps beside a database.
pub(super) const SQLITE_SUFFIXES: [&str; 3] = ["-wal", "-shm", "-journal"];
/// Suffixes of the files that this program keeps beside a database.
const OWN_SUFFIXES: [&str; 3] = [".lock", ".key", ".token"];

/// The path of a backup's key: the backup's path with `.key` appended.
pub fn key_beside(backup: &Path) -> PathBuf {
    beside(backup, ".key")
}

/// Rejects a target that a backup of `database` cannot have.
pub(super) fn check_target(
    target: &Path,
    database: &Path,
    key: &Path,
    overwrite: bool,
) -> Result<()> {
    let refuse = |reason: String| Err(Error::database(target, reason));
    if target.file_name().is_none() || target.is_dir() {
        let example = target.join("chatgauge-backup.db");
        return refuse(format!("is a directory; name a file, e.g. {}", example.display()));
    }
    require_directory(target)?;
    if is_same_file(target, database) {
        return refuse("is the database itself; name another file".into());
    }
    if belongs_to(target, database, key) {
        let database = database.display();
        return refuse(format!("belongs to the database {database}; name another file"));
    }
    let logs = ["-wal", "-journal"].map(|suffix| beside(target, suffix));
    if let Some(log) = logs.iter().find(|log| log.symlink_metadata().is_ok()) {
        let log = log.display();
        return refuse(format!(
            "SQLite would read {log} as part of the backup; move that file away"
        ));
    }
    let Ok(found) = target.symlink_metadata() else { return Ok(()) };
    if found.is_symlink() {
        return refuse("is a symbolic link; name the file itself".into());
    }
    if !found.is_file() {
        return refuse("is not a file; name another one".into());
    }
    if !overwrite {
        return Err(exists(target));
    }
    if is_locked(target) {
        return refuse("is the database of a running server; name another file".into());
    }
    Ok(())
}

/// Whether `target` is one of the files beside the database, or its key.
fn belongs_to(target: &Path, database: &Path, key: &Path) -> bool {
    let full = |path: &Path| -> Option<PathBuf> {
        let directory = std::fs::canonicalize(directory_of(path)).ok()?;
        Some(directory.join(path.file_name()?))
    };
    let Some(target) = full(target) else { return false };
    let database = resolved(database);
    let own = SQLITE_SUFFIXES.iter().chain(&OWN_SUFFIXES);
    let mut taken = own.map(|suffix| beside(&database, suffix)).chain([key.to_owned()]);
    taken.any(|path| full(&path).as_ref() == Some(&target))
}
