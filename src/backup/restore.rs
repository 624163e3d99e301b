//! Restoring a backup: checks, a verified copy beside the target, what was there set aside, the name.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::CopyWatch;
use super::copy::{copy_snapshot, finish_copy};
use super::flow::Room;
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

/// What is to be restored, and where to.
#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// The file of the backup.
    pub backup: PathBuf,
    /// The database to be.
    pub database: PathBuf,
    /// Where the database's key of the pseudonyms belongs.
    pub key: PathBuf,
    /// Whether a database that is there is set aside.
    pub replace: bool,
    /// Whether it is an error when no key lies beside the backup.
    pub with_key: bool,
    /// Whether a copy that was made without its write-ahead log is restored as it is.
    pub allow_incomplete: bool,
}

/// A database that was restored.
#[derive(Clone, Debug)]
pub struct RestoreReport {
    /// The database.
    pub database: PathBuf,
    /// What is in it.
    pub figures: StoreFigures,
    /// The new names of the files that were there before.
    pub set_aside: Vec<PathBuf>,
    /// The database's key; `None` when there is none.
    pub key: Option<PathBuf>,
    /// Whether the key came from beside the backup.
    pub is_key_restored: bool,
    /// Whether the backup was a copy of a database in use without its write-ahead log.
    pub is_incomplete: bool,
}

/// Restores a backup at `now`; the database that was there gets a name with that date.
///
/// # Errors
/// When a server has the database, when there is one and it is not to be replaced, when the backup is damaged, newer
/// than this program or not of this program, when its key is not the database's, and when a file cannot be written.
/// Whatever goes wrong before the last step, the database and its key are as before.
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
    let room = Room::new(database, None);
    room.require(figures.bytes)?;
    // The figures once more: what is restored may be the database of a server that goes on.
    let (figures, flusher) = source.read(|reader| {
        let figures = reader.figures()?;
        Ok((figures, copy_snapshot(&staging, reader, backup, &room, None, watch)?))
    })?;
    drop(source);
    let figures = finish_copy(&staging, backup, &figures, flusher, None, is_incomplete, watch)
        .map_err(|error| match error {
            Error::Database { reason, .. } => Error::database(
                backup,
                format!(
                    "cannot be restored, and nothing was changed: {reason}; take an older backup"
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

/// The key beside the backup, when it is to be put in place; that key and the database's must be the backup's.
fn check_keys(request: &RestoreRequest, figures: &StoreFigures) -> Result<Option<Key>> {
    let beside = key_beside(&request.backup);
    let there = load_key(&request.key)?;
    let Some(key) = load_key(&beside)? else {
        if request.with_key {
            let reason = "no such file; put the key there, or leave --with-key out";
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
            "is another key than {}, and a key is never replaced; move it away, or the one beside the backup",
            beside.display()
        );
        return Err(Error::database(&request.key, reason));
    }
    Ok(Some(key))
}

/// Gives the database and what SQLite keeps beside it names with the date, so that the restored file meets no
/// write-ahead log of another one. The database keeps its name too, until the restored file takes it.
///
/// First every file gets its second name, then the old ones go: a crash in between leaves the set complete. The next
/// restore goes on with the names that the interrupted one gave.
fn set_aside(database: &Path, now: Timestamp) -> Result<Vec<PathBuf>> {
    let dated = earlier_name(database).unwrap_or_else(|| set_aside_name(database, now));
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
        second_name(path, name).map_err(failed(name))?;
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

/// The name that an interrupted restore gave the database, unless a file that lies beside the database now would need a
/// name that another file has there.
fn earlier_name(database: &Path) -> Option<PathBuf> {
    let earlier = interrupted_restore(database)?.set_aside;
    let is_free = |suffix: &&str| {
        let (path, name) = (append(database, suffix), append(&earlier, suffix));
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        !is_there(&path) || !is_there(&name) || is_same_file(&path, &name)
    };
    SQLITE_SUFFIXES.iter().all(is_free).then_some(earlier)
}

/// Gives a file a second name, unless it has that already; where the file system has no hard links, another one.
fn second_name(path: &Path, name: &Path) -> io::Result<()> {
    if is_same_file(path, name) {
        return Ok(());
    }
    match fs::hard_link(path, name) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => rename_new(path, name),
        linked => linked,
    }
}
