//! The directory in which a copy is made before it gets its name, and the steps of that renaming.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::names::{append, directory_of};
use crate::error::{Error, Result};

/// End of the name of a staging directory; before it stand the target's name and 16 hexadecimal digits.
const SUFFIX: &str = ".partial";
/// Random bytes in the name.
const RANDOM_BYTES: usize = 8;
/// The copy.
const DATA: &str = "data";
/// Locked for as long as the process works in the directory; holds the id of the database that is copied.
const LOCK: &str = "lock";
/// Every file that may be in the directory besides the lock: the copy, and what SQLite keeps beside it for a moment.
const FILES: [&str; 4] = [DATA, "data-journal", "data-wal", "data-shm"];
/// Bytes read of a lock file at most: an id has 32 characters.
const OWNER_BYTES: u64 = 256;
/// Attempts to make a directory, should another process clean it up between two steps.
const ATTEMPTS: usize = 3;

/// A directory beside the target in which a copy is made; it is removed with everything in it when this is dropped.
#[derive(Debug)]
pub(super) struct Staging {
    directory: PathBuf,
    lock: File,
}

impl Staging {
    /// Makes the directory beside `target`, after removing those that killed processes left there for the same name.
    ///
    /// # Errors
    /// [`Error::Busy`] while another process makes a copy of the same name, and when the directory cannot be made.
    pub(super) fn create(target: &Path) -> Result<Self> {
        remove_leftovers(target)?;
        let mut failed = None;
        for _ in 0..ATTEMPTS {
            let random = HEXLOWER.encode(&rand::random::<[u8; RANDOM_BYTES]>());
            let directory = append(target, &format!(".{random}{SUFFIX}"));
            let made = DirBuilder::new().mode(0o700).create(&directory);
            made.map_err(|source| Error::Io { path: directory_of(target), source })?;
            match lock_new(&directory.join(LOCK)) {
                Ok(lock) => return Ok(Self { directory, lock }),
                Err(source) => {
                    // Empty, or gone already.
                    drop(fs::remove_dir(&directory));
                    failed = Some(Error::Io { path: directory, source });
                }
            }
        }
        Err(failed.unwrap_or(Error::Busy { what: "backup" }))
    }

    /// Notes in the lock file which database is copied, before there is anything of the copy: when this process is killed,
    /// [`remove_unfinished`] recognises what it left.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn mark(&self, store_id: &[u8]) -> Result<()> {
        let path = || self.directory.join(LOCK);
        let text = HEXLOWER.encode(store_id);
        let written = (&self.lock).write_all(text.as_bytes()).and_then(|()| self.lock.sync_all());
        written.map_err(|source| Error::Io { path: path(), source })
    }

    /// Where the copy is made.
    pub(super) fn data(&self) -> PathBuf {
        self.directory.join(DATA)
    }

    /// Makes the empty file of the copy, with the permissions of `like` and readable and writable for its owner.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn create_data(&self, like: &Path) -> Result<File> {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(like).map_or(0o600, |metadata| metadata.permissions().mode());
        let path = self.data();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(mode & 0o666 | 0o600);
        options.open(&path).map_err(|source| Error::Io { path, source })
    }

    /// Gives the copy its name and makes that survive a power cut. Without `replace`, a file that has the name stays.
    ///
    /// # Errors
    /// When a file has that name, or the directory cannot be written.
    pub(super) fn publish(self, target: &Path, replace: bool) -> Result<()> {
        let from = self.data();
        let renamed = if replace { fs::rename(&from, target) } else { rename_new(&from, target) };
        renamed.map_err(|source| match source.kind() {
            ErrorKind::AlreadyExists => exists(target),
            _ => Error::Io { path: target.to_owned(), source },
        })?;
        sync_directory(&directory_of(target))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.directory) {
            let path = self.directory.display();
            tracing::warn!(%path, %error, "the directory of an unfinished copy could not be removed");
        }
    }
}

/// A file has the name already.
pub(super) fn exists(target: &Path) -> Error {
    Error::database(target, "exists already; choose another name, or replace it with --overwrite")
}

fn lock_new(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        // Without locks nobody can tell whether this process lives, and nobody cleans up after it.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
        Err(error) => return Err(error.into()),
    }
    // Between the two steps another process may have taken the directory for a leftover and removed it.
    let (locked, found) = (file.metadata()?, path.symlink_metadata()?);
    if (locked.dev(), locked.ino()) == (found.dev(), found.ino()) {
        Ok(file)
    } else {
        Err(ErrorKind::NotFound.into())
    }
}

/// The name of the target of a staging directory called `name`; `None` when that is no such name.
fn target_of(name: &str) -> Option<&str> {
    let (target, digits) = name.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    let is_random = digits.len() == 2 * RANDOM_BYTES
        && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_random.then_some(target)
}

/// The staging directories in `directory` of the targets that `is_wanted` accepts.
fn staging_directories(directory: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)
        .map_err(|source| Error::Io { path: directory.to_owned(), source })?;
    let is_staging = |entry: &fs::DirEntry| {
        entry.file_name().to_str().and_then(target_of).is_some_and(&is_wanted)
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
    };
    Ok(entries.flatten().filter(is_staging).map(|entry| entry.path()).collect())
}

/// Removes the staging directories that killed processes left for this target.
///
/// # Errors
/// [`Error::Busy`] when a living process has one.
fn remove_leftovers(target: &Path) -> Result<()> {
    let Some(name) = target.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
    for directory in staging_directories(&directory_of(target), |found| found == name)? {
        remove_leftover(&directory, |_| true)?;
    }
    Ok(())
}

/// Removes the staging directories that killed processes left in `directory`, for the targets that `is_wanted` accepts
/// and the database with this id. A directory in which a living process works stays, and so does one of which it is not
/// known whose it is.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn remove_unfinished(
    directory: &Path,
    store_id: &[u8],
    is_wanted: impl Fn(&str) -> bool,
) -> Result<()> {
    let own = HEXLOWER.encode(store_id);
    for found in staging_directories(directory, is_wanted)? {
        let path = found.display();
        // Killed before it had marked the directory, the process had copied nothing yet.
        let is_own = |owner: &str| {
            owner == own || owner.is_empty() && found.join(DATA).symlink_metadata().is_err()
        };
        match remove_leftover(&found, is_own) {
            Ok(()) => {}
            Err(Error::Busy { .. }) => tracing::debug!(%path, "another process makes a copy"),
            Err(error) => tracing::warn!(%path, %error, "an unfinished copy cannot be removed"),
        }
    }
    Ok(())
}

/// Removes a staging directory in which nobody works, if `is_own` accepts the id in its lock file.
///
/// # Errors
/// [`Error::Busy`] when a living process has it; when its lock file cannot be read.
fn remove_leftover(directory: &Path, is_own: impl Fn(&str) -> bool) -> Result<()> {
    let lock = match File::options().read(true).write(true).open(directory.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Its maker was killed, or is about to make the lock and begins again when this succeeds; it fails when
            // anything is in there, which is then not ours.
            drop(fs::remove_dir(directory));
            return Ok(());
        }
        Err(source) => return Err(Error::Io { path: directory.to_owned(), source }),
    };
    let path = directory.display();
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Error::Busy { what: "copy to this file" }),
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%path, %error, "an unfinished copy stays: it may be in use");
            return Ok(());
        }
    }
    let mut owner = String::new();
    let read = (&lock).take(OWNER_BYTES).read_to_string(&mut owner);
    if read.is_err() || !is_own(&owner) {
        tracing::warn!(%path, "an unfinished copy of another database, or of an unknown one, stays; remove it if nobody needs it");
        return Ok(());
    }
    match remove(directory) {
        Ok(()) => tracing::info!(%path, "removed the unfinished copy of a process that was killed"),
        Err(error) => tracing::warn!(%path, %error, "an unfinished copy could not be removed"),
    }
    Ok(())
}

/// Removes our files from a staging directory and then the directory; whatever else is in there stays, and it too.
fn remove(directory: &Path) -> io::Result<()> {
    for name in FILES.into_iter().chain([LOCK]) {
        match fs::remove_file(directory.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::remove_dir(directory)
}

/// Renames unless something has the name `to`; [`ErrorKind::AlreadyExists`] then.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // The file system knows no such rename.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            renamed => return renamed.map_err(io::Error::from),
        }
    }
    if to.symlink_metadata().is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

/// Makes new and removed names of a directory survive a power cut.
pub(super) fn sync_directory(directory: &Path) -> Result<()> {
    let synced = File::open(directory).and_then(|opened| opened.sync_all());
    synced.map_err(|source| Error::Io { path: directory.to_owned(), source })
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
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
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
        // Another target's, a shorter number, somebody's files, no lock.
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
    fn unfinished_copies_of_one_database_are_removed_unless_somebody_works_in_them() {
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
            // The lock ends as at a kill, and nothing is removed.
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
    fn a_living_process_keeps_its_directory_and_the_name_for_itself() {
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
    fn a_name_that_was_given_meanwhile_is_not_taken_over() {
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
