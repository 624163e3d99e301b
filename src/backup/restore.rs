//! Restoring a backup: checks, a verified copy beside the target, setting the previous files aside,
//! renaming the copy.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::CopyWatch;
use super::copy::{copy_snapshot, finish_copy};
use super::flow::FreeSpace;
use super::keys::{Key, check_key};
use super::names::{
    SQLITE_SUFFIXES, append, directory_of, is_same_file, key_beside, require_directory,
};
use super::staging::{Staging, rename_new, sync_directory};
use crate::error::{Error, Result};
use crate::model::Timestamp;
use crate::privacy::{install_key, load_key};
use crate::store::{
    ExaminedFile, ReplaceLock, StoreFigures, interrupted_restore, resolved, set_aside_name,
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
    match restore_locked(request, &database, now, watch) {
        Ok(report) => Ok(report),
        Err(error) => {
            lock.discard();
            Err(error)
        }
    }
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
    let is_incomplete = source.wal_is_missing();
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
    let figures = finish_copy(&staging, backup, &figures, flusher, None, is_incomplete, watch)
        .map_err(|error| match error {
            Error::Database { reason, .. } => Error::database(
                backup,
                format!(
                    "cannot be restored, and nothing was changed: {reason}; use an older backup"
                ),
            ),
            other => other,
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
    match fs::metadata(backup) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(Error::database(backup, "is not a file; name a backup")),
        Err(source) => return Err(Error::Io { path: backup.clone(), source }),
    }
    if is_same_file(backup, database) {
        return Err(Error::database(backup, "is the database itself; name a backup of it"));
    }
    require_directory(database)?;
    match database.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(found) if !found.is_file() => {
            Err(Error::database(database, "is not a file; name another one with --db"))
        }
        Ok(_) if request.replace => Ok(()),
        Ok(_) => Err(Error::database(
            database,
            "exists already; stop its server and add --replace, which keeps it under a name with the date, or name \
             another file with --db",
        )),
    }
}

/// The key beside the backup if it must be restored. That key and the database's must be the ones
/// that the backup was written with.
fn check_keys(request: &RestoreRequest, figures: &StoreFigures) -> Result<Option<Key>> {
    let beside = key_beside(&request.backup);
    let there = load_key(&request.key)?;
    let Some(key) = load_key(&beside)? else {
        if request.with_key {
            let reason = "no such file; put the key there, or omit --with-key";
            return Err(Error::database(beside, reason));
        }
        if let Some(there) = &there {
            check_key(&request.key, there, &request.backup, figures)?;
        }
        return Ok(None);
    };
    check_key(&beside, &key, &request.backup, figures)?;
    if there.is_some_and(|there| there != key) {
        let reason = format!(
            "differs from {}; keys are never replaced, so move one of them away",
            beside.display()
        );
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
    let beside = SQLITE_SUFFIXES.map(|suffix| (append(database, suffix), append(&dated, suffix)));
    let files: Vec<_> = beside
        .into_iter()
        .chain([(database.to_owned(), dated.clone())])
        .filter(|(path, _)| path.symlink_metadata().is_ok())
        .collect();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    for (path, name) in &files {
        link_or_rename(path, name).map_err(failed(name))?;
    }
    sync_directory(&directory_of(database))?;
    for (path, _) in files.iter().filter(|(path, _)| path != database) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(path)(error)),
            _ => {}
        }
    }
    sync_directory(&directory_of(database))?;
    let beside = SQLITE_SUFFIXES.map(|suffix| append(&dated, suffix));
    let names = std::iter::once(dated).chain(beside);
    Ok(names.filter(|name| name.symlink_metadata().is_ok()).collect())
}

/// The name that an interrupted restore gave the database, unless one of the current files would
/// need a name that a different file has.
fn interrupted_name(database: &Path) -> Option<PathBuf> {
    let earlier = interrupted_restore(database)?.set_aside;
    let is_free = |suffix: &&str| {
        let (path, name) = (append(database, suffix), append(&earlier, suffix));
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
