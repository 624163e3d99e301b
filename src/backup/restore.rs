//! Restoring a backup: checks, a verified copy beside the target, setting the previous files aside,
//! renaming the copy.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::CopyWatch;
use super::copy::{copy_snapshot, finish_copy};
use super::flow::FreeSpace;
use super::keys::{Key, check_key};
use super::names::{SQLITE_SUFFIXES, key_beside};
use super::staging::{Staging, remove_file, rename_new};
use crate::error::{Error, Result};
use crate::model::Timestamp;
use crate::privacy::{install_key, load_key};
use crate::store::{
    ExaminedFile, ReplaceLock, StoreFigures, beside, directory_of, interrupted_restore, io_error,
    is_same_file, require_directory, resolved, set_aside_name, sync_directory,
};

/// The parameters of a restore.
#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// The file of the backup.
    pub backup: PathBuf,
    /// The database to create.
    pub database: PathBuf,
    /// The path of the database's pseudonym key.
    pub key: PathBuf,
    /// Whether an existing database is set aside.
    pub replace: bool,
    /// Whether a missing key beside the backup is an error.
    pub with_key: bool,
    /// Whether a copy made without its write-ahead log is restored anyway.
    pub allow_incomplete: bool,
}

/// The result of a restore.
#[derive(Clone, Debug)]
pub struct RestoreReport {
    /// The database.
    pub database: PathBuf,
    /// The figures of the database.
    pub figures: StoreFigures,
    /// The new names of the previous files.
    pub set_aside: Vec<PathBuf>,
    /// The database's key, if there is one.
    pub key: Option<PathBuf>,
    /// Whether the key was restored from beside the backup.
    pub is_key_restored: bool,
    /// Whether the backup is a copy of a database in use without its write-ahead log.
    pub is_incomplete: bool,
}

/// Restores a backup at `now`; an existing database gets a name with that date.
///
/// # Errors
/// When a server uses the database, the database exists and `replace` is not set, the backup is
/// damaged, newer than this program or not a chatgauge database, its key differs from the
/// database's, or a file cannot be written. After a failure before the last step, the database and
/// its key are unchanged.
pub fn restore(
    request: &RestoreRequest,
    now: Timestamp,
    watch: &mut CopyWatch<'_>,
) -> Result<RestoreReport> {
    let database = resolved(&request.database);
    check_target(request, &database)?;
    let lock = ReplaceLock::take(&database)?;
    restore_locked(request, &database, now, watch).inspect_err(|_| lock.discard())
}

fn restore_locked(
    request: &RestoreRequest,
    database: &Path,
    now: Timestamp,
    watch: &mut CopyWatch<'_>,
) -> Result<RestoreReport> {
    let backup = &request.backup;
    let mut source = ExaminedFile::open(backup)?;
    let figures = source.read(|reader| reader.figures())?;
    let is_incomplete = source.wal_is_missing;
    if is_incomplete && !request.allow_incomplete {
        let reason = "was copied from a database in use without its write-ahead log (FILE-wal): records \
                      acknowledged just before may be missing. Put the log beside it, or restore what is there \
                      with --allow-incomplete";
        return Err(Error::database(backup, reason));
    }
    let key = check_keys(request, &figures)?;
    let staging = Staging::create(database)?;
    let free_space = FreeSpace::new(database, None);
    free_space.require(figures.bytes)?;
    // Reads the figures again in the copied snapshot, because a server may be writing to the file.
    let (figures, flusher) = source.read(|reader| {
        let figures = reader.figures()?;
        Ok((figures, copy_snapshot(&staging, reader, backup, &free_space, None, watch)?))
    })?;
    drop(source);
    let finished = finish_copy(&staging, backup, &figures, flusher, None, is_incomplete, watch);
    let figures = finished.map_err(|error| {
        let Error::Database { reason, .. } = error else { return error };
        let reason =
            format!("cannot be restored, and nothing was changed: {reason}; use an older backup");
        Error::database(backup, reason)
    })?;
    if let Some(key) = &key {
        install_key(&request.key, key)?;
    }
    let set_aside = set_aside(database, now)?;
    staging.publish(database, true)?;
    Ok(RestoreReport {
        database: database.to_owned(),
        figures,
        set_aside,
        key: request.key.exists().then(|| request.key.clone()),
        is_key_restored: key.is_some(),
        is_incomplete,
    })
}

fn check_target(request: &RestoreRequest, database: &Path) -> Result<()> {
    let backup = &request.backup;
    if !fs::metadata(backup).map_err(io_error(backup))?.is_file() {
        return Err(Error::database(backup, "is not a file; name a backup"));
    }
    if is_same_file(backup, database) {
        return Err(Error::database(backup, "is the database itself; name a backup of it"));
    }
    require_directory(database)?;
    let refuse = |reason: &str| Err(Error::database(database, reason));
    match database.symlink_metadata() {
        Ok(found) if !found.is_file() => refuse("is not a file; name another one with --db"),
        Ok(_) if !request.replace => refuse(
            "exists already; stop its server and add --replace, which keeps it under a name with the date, or name \
             another file with --db",
        ),
        _ => Ok(()),
    }
}

/// The key beside the backup if it must be restored. That key and the database's must be the ones
/// that the backup was written with.
fn check_keys(request: &RestoreRequest, figures: &StoreFigures) -> Result<Option<Key>> {
    let path = key_beside(&request.backup);
    let current = load_key(&request.key)?;
    let Some(key) = load_key(&path)? else {
        if request.with_key {
            let reason = "no such file; put the key there, or omit --with-key";
            return Err(Error::database(path, reason));
        }
        if let Some(current) = &current {
            check_key(&request.key, current, &request.backup, figures)?;
        }
        return Ok(None);
    };
    check_key(&path, &key, &request.backup, figures)?;
    if current.is_some_and(|current| current != key) {
        let path = path.display();
        let reason =
            format!("differs from {path}; keys are never replaced, so move one of them away");
        return Err(Error::database(&request.key, reason));
    }
    Ok(Some(key))
}

/// Gives the database and SQLite's files beside it names with the date, so that SQLite does not
/// apply an old write-ahead log to the restored file. The database also keeps its name until the
/// restored file replaces it.
///
/// Every file gets its second name before any old name is removed, so that a crash in between
/// leaves a complete set. The next restore continues with the names of the interrupted one.
fn set_aside(database: &Path, now: Timestamp) -> Result<Vec<PathBuf>> {
    let dated = interrupted_name(database).unwrap_or_else(|| set_aside_name(database, now));
    let mut files =
        Vec::from(SQLITE_SUFFIXES.map(|end| (beside(database, end), beside(&dated, end))));
    files.push((database.to_owned(), dated.clone()));
    files.retain(|(path, _)| path.symlink_metadata().is_ok());
    for (path, name) in &files {
        link_or_rename(path, name).map_err(io_error(name))?;
    }
    sync_directory(directory_of(database))?;
    for (path, _) in files.iter().filter(|(path, _)| path != database) {
        remove_file(path).map_err(io_error(path))?;
    }
    sync_directory(directory_of(database))?;
    let mut names = Vec::from(SQLITE_SUFFIXES.map(|suffix| beside(&dated, suffix)));
    names.insert(0, dated);
    names.retain(|name| name.symlink_metadata().is_ok());
    Ok(names)
}

/// The name that an interrupted restore gave the database, unless one of the current files would
/// need a name that a different file has.
fn interrupted_name(database: &Path) -> Option<PathBuf> {
    let earlier = interrupted_restore(database)?.set_aside;
    let is_free = |suffix: &&str| {
        let (path, name) = (beside(database, suffix), beside(&earlier, suffix));
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        !is_there(&path) || !is_there(&name) || is_same_file(&path, &name)
    };
    SQLITE_SUFFIXES.iter().all(is_free).then_some(earlier)
}

/// Gives a file a second name, unless it has it already; renames the file if the file system has no
/// hard links.
fn link_or_rename(path: &Path, name: &Path) -> io::Result<()> {
    if is_same_file(path, name) {
        return Ok(());
    }
    match fs::hard_link(path, name) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => rename_new(path, name),
        linked => linked,
    }
}
