//! The staging directory of a copy, and the steps of renaming the copy to its target.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use crate::error::{Error, Result};
use crate::store::{beside, directory_of, identity, io_error, sync_directory};

/// Suffix of a staging directory; its name is the target's name, a dot, 16 hexadecimal digits, and
/// this.
const SUFFIX: &str = ".partial";
/// Random bytes in the directory's name.
const RANDOM_BYTES: usize = 8;
/// File name of the copy.
const DATA: &str = "data";
/// File name of the lock, which is held while the process works in the directory; it contains the
/// id of the copied database.
const LOCK: &str = "lock";
/// All files that may be in the directory: the copy, the files that SQLite temporarily keeps beside
/// it, and the lock, which is removed last.
const FILES: [&str; 5] = [DATA, "data-journal", "data-wal", "data-shm", LOCK];
/// Maximum number of bytes read from a lock file; an id has 32 characters.
const OWNER_BYTES: u64 = 256;
/// Attempts to create a directory: another process may remove it as a leftover before it is locked.
const ATTEMPTS: usize = 3;

/// A directory beside the target in which a copy is made. Dropping this removes the directory and
/// its contents.
#[derive(Debug)]
pub(super) struct Staging {
    directory: PathBuf,
    lock: File,
}

impl Staging {
    /// Creates the directory beside `target`, after removing those that killed processes left for
    /// the same target.
    ///
    /// # Errors
    /// [`Error::Busy`] while another process makes a copy to the same target; also when the
    /// directory cannot be created.
    pub(super) fn create(target: &Path) -> Result<Self> {
        remove_leftovers(target)?;
        let mut failed = None;
        for _ in 0..ATTEMPTS {
            let random = HEXLOWER.encode(&rand::random::<[u8; RANDOM_BYTES]>());
            let directory = beside(target, &format!(".{random}{SUFFIX}"));
            let made = DirBuilder::new().mode(0o700).create(&directory);
            made.map_err(io_error(directory_of(target)))?;
            match lock_new(&directory.join(LOCK)) {
                Ok(lock) => return Ok(Self { directory, lock }),
                Err(source) => {
                    // It is empty, or already removed.
                    drop(fs::remove_dir(&directory));
                    failed = Some(io_error(&directory)(source));
                }
            }
        }
        Err(failed.unwrap_or(Error::Busy { what: "backup" }))
    }

    /// Writes the id of the copied database to the lock file before any data is copied, so that
    /// [`remove_unfinished`] recognises the directory if this process is killed.
    pub(super) fn mark(&self, store_id: &[u8]) -> Result<()> {
        let text = HEXLOWER.encode(store_id);
        let written = (&self.lock).write_all(text.as_bytes()).and_then(|()| self.lock.sync_all());
        written.map_err(io_error(&self.directory.join(LOCK)))
    }

    /// The path of the copy.
    pub(super) fn data(&self) -> PathBuf {
        self.directory.join(DATA)
    }

    /// Creates the empty file of the copy with the permissions of `like`, plus read and write for
    /// its owner.
    pub(super) fn create_data(&self, like: &Path) -> Result<File> {
        let mode = fs::metadata(like).map_or(0o600, |metadata| metadata.permissions().mode());
        let path = self.data();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(mode & 0o666 | 0o600);
        options.open(&path).map_err(io_error(&path))
    }

    /// Renames the copy to its target and makes the rename durable. Without `replace`, an existing
    /// file is kept.
    ///
    /// # Errors
    /// When a file with that name exists, or the directory cannot be written.
    pub(super) fn publish(self, target: &Path, replace: bool) -> Result<()> {
        let from = self.data();
        let renamed = if replace { fs::rename(&from, target) } else { rename_new(&from, target) };
        renamed.map_err(|source| match source.kind() {
            ErrorKind::AlreadyExists => exists(target),
            _ => io_error(target)(source),
        })?;
        sync_directory(directory_of(target))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.directory) {
            let path = self.directory.display();
            tracing::warn!(%path, %error, "cannot remove the directory of an unfinished copy");
        }
    }
}

/// The error for a target that already exists.
pub(super) fn exists(target: &Path) -> Error {
    Error::database(target, "exists already; choose another name, or replace it with --overwrite")
}

fn lock_new(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        // Without file locks, other processes cannot tell that this one is alive, but they do not
        // remove its directory either.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
        Err(error) => return Err(error.into()),
    }
    // Between creating and locking the file, another process may have removed the directory as a
    // leftover.
    let is_locked = identity(&file.metadata()?) == identity(&path.symlink_metadata()?);
    if is_locked { Ok(file) } else { Err(ErrorKind::NotFound.into()) }
}

/// The target of the staging directory called `name`; `None` for any other name.
fn target_of(name: &str) -> Option<&str> {
    let (target, digits) = name.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    let is_random = digits.len() == 2 * RANDOM_BYTES
        && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_random.then_some(target)
}

/// The staging directories in `directory` whose target `is_wanted` accepts.
fn staging_directories(directory: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).map_err(io_error(directory))?;
    let is_staging = |entry: &fs::DirEntry| {
        entry.file_name().to_str().and_then(target_of).is_some_and(&is_wanted)
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
    };
    Ok(entries.flatten().filter(is_staging).map(|entry| entry.path()).collect())
}

/// Removes the staging directories that killed processes left for this target.
///
/// # Errors
/// [`Error::Busy`] when a running process uses one.
fn remove_leftovers(target: &Path) -> Result<()> {
    let Some(name) = target.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
    for directory in staging_directories(directory_of(target), |found| found == name)? {
        remove_leftover(&directory, |_| true)?;
    }
    Ok(())
}

/// Removes the staging directories that killed processes left in `directory` for the database with
/// this id and the targets that `is_wanted` accepts. Keeps directories that a running process uses,
/// and those of an unknown database.
pub(super) fn remove_unfinished(
    directory: &Path,
    store_id: &[u8],
    is_wanted: impl Fn(&str) -> bool,
) -> Result<()> {
    let own = HEXLOWER.encode(store_id);
    for found in staging_directories(directory, is_wanted)? {
        let path = found.display();
        // Without an id, the process was killed before it copied anything.
        let is_own = |owner: &str| {
            owner == own || owner.is_empty() && found.join(DATA).symlink_metadata().is_err()
        };
        match remove_leftover(&found, is_own) {
            Ok(()) => {}
            Err(Error::Busy { .. }) => tracing::debug!(%path, "another process is making a copy"),
            Err(error) => tracing::warn!(%path, %error, "cannot remove an unfinished copy"),
        }
    }
    Ok(())
}

/// Removes a staging directory that no process uses, if `is_own` accepts the id in its lock file.
///
/// # Errors
/// [`Error::Busy`] when a running process uses it.
fn remove_leftover(directory: &Path, is_own: impl Fn(&str) -> bool) -> Result<()> {
    let lock = match File::options().read(true).write(true).open(directory.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Its process was killed, or is about to create the lock and retries if this removes
            // the directory. Removing a directory that is not empty fails; it is not a staging
            // directory.
            drop(fs::remove_dir(directory));
            return Ok(());
        }
        Err(source) => return Err(io_error(directory)(source)),
    };
    let path = directory.display();
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Error::Busy { what: "copy to this file" }),
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%path, %error, "keeping an unfinished copy, because it may be in use");
            return Ok(());
        }
    }
    let mut owner = String::new();
    let read = (&lock).take(OWNER_BYTES).read_to_string(&mut owner);
    if read.is_err() || !is_own(&owner) {
        tracing::warn!(%path, "keeping an unfinished copy of another or an unknown database; remove it if nobody needs it");
        return Ok(());
    }
    match remove(directory) {
        Ok(()) => tracing::info!(%path, "removed the unfinished copy of a process that was killed"),
        Err(error) => tracing::warn!(%path, %error, "cannot remove an unfinished copy"),
    }
    Ok(())
}

/// Removes the program's files from a staging directory, and then the directory unless other files
/// are in it.
fn remove(directory: &Path) -> io::Result<()> {
    FILES.iter().try_for_each(|name| remove_file(&directory.join(name)))?;
    fs::remove_dir(directory)
}

/// Removes a file, if it exists.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Renames a file unless `to` exists; [`ErrorKind::AlreadyExists`] then.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // The file system does not support this kind of rename.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            renamed => return renamed.map_err(io::Error::from),
        }
    }
    if to.symlink_metadata().is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn only_leftovers_of_killed_processes_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("a.db");
        let make = |name: &str, files: &[&str]| {
            let directory = place.path().join(name);
            fs::create_dir(&directory).unwrap();
            for file in files {
                fs::write(directory.join(file), "x").unwrap();
            }
        };
        make("a.db.0123456789abcdef.partial", &["data", "data-wal", "lock"]);
        make("a.db.0000000000000000.partial", &[]);
        // Another target, too few digits, foreign files, and no lock file.
        make("b.db.0123456789abcdef.partial", &["data", "lock"]);
        make("a.db.0123.partial", &["data", "lock"]);
        make("a.db.1111111111111111.partial", &["data", "lock", "diary"]);
        make("a.db.2222222222222222.partial", &["data"]);
        fs::write(place.path().join("a.db.3333333333333333.partial"), "a file").unwrap();
        let staging = Staging::create(&target).unwrap();
        let mut left = entries(place.path());
        let own = staging.directory.file_name().unwrap().to_str().unwrap();
        left.retain(|name| name != own);
        assert_eq!(
            left,
            [
                "a.db.0123.partial",
                "a.db.1111111111111111.partial",
                "a.db.2222222222222222.partial",
                "a.db.3333333333333333.partial",
                "b.db.0123456789abcdef.partial",
            ]
        );
        assert_eq!(entries(&place.path().join("a.db.1111111111111111.partial")), ["diary"]);
    }

    #[test]
    fn unfinished_copies_of_one_database_are_removed_unless_in_use() {
        let place = tempfile::tempdir().unwrap();
        let killed = |name: &str, id: &[u8], has_data: bool| {
            let staging = Staging::create(&place.path().join(name)).unwrap();
            if !id.is_empty() {
                staging.mark(id).unwrap();
            }
            if has_data {
                staging.create_data(place.path()).unwrap();
            }
            let name = staging.directory.file_name().unwrap().to_str().unwrap().to_owned();
            // Releases the lock, as a kill does, without removing anything.
            let mut staging = std::mem::ManuallyDrop::new(staging);
            staging.lock = File::open(place.path()).unwrap();
            name
        };
        killed("a-1.db", b"own", true);
        killed("a-2.db", b"own", false);
        killed("a-3.db", b"", false);
        let mut stay = vec![
            killed("a-4.db", b"another", true),
            killed("a-5.db", b"", true),
            killed("b-1.db", b"own", true),
        ];
        let living = Staging::create(&place.path().join("a-6.db")).unwrap();
        living.mark(b"own").unwrap();
        living.create_data(place.path()).unwrap();
        stay.push(living.directory.file_name().unwrap().to_str().unwrap().to_owned());
        stay.sort();
        remove_unfinished(place.path(), b"own", |target| target.starts_with("a-")).unwrap();
        assert_eq!(entries(place.path()), stay);
        assert_eq!(entries(&living.directory), ["data", "lock"]);
    }

    #[test]
    fn a_running_process_keeps_its_directory_and_its_target() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("a.db");
        let first = Staging::create(&target).unwrap();
        first.create_data(place.path()).unwrap();
        let refused = Staging::create(&target).unwrap_err().to_string();
        assert_eq!(refused, "another copy to this file is running; try again when it is done");
        drop(Staging::create(&place.path().join("b.db")).unwrap());
        first.publish(&target, false).unwrap();
        assert_eq!(entries(place.path()), ["a.db"]);
    }

    #[test]
    fn a_target_created_meanwhile_is_not_replaced() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("a.db");
        let staging = Staging::create(&target).unwrap();
        staging.create_data(place.path()).unwrap();
        fs::write(&target, "somebody's").unwrap();
        let refused = staging.publish(&target, false).unwrap_err().to_string();
        assert!(refused.contains("exists already"), "{refused}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "somebody's");
        assert_eq!(entries(place.path()), ["a.db"]);
        let staging = Staging::create(&target).unwrap();
        staging.create_data(place.path()).unwrap();
        staging.publish(&target, true).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "");
    }
}
