//! The database file as one server holds it: locked by its inode, recognised by device and inode, never opened twice.
//!
//! Closing any descriptor of a file releases all POSIX locks that the process has on it, those of SQLite included. So a
//! process has one descriptor beside SQLite's, from before SQLite opens the file until after SQLite has closed it;
//! everything else uses `stat`.

use std::collections::BTreeSet;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use rustix::fs::OFlags;

use super::error::unreadable;
use super::file_lock::lock;
use super::health::locked;
use super::paths::{FileIdentity, beside, identity, io_error, require_directory, resolved};
use super::set_aside::{InterruptedRestore, interrupted_restore};
use crate::error::{Error, Result};

/// The first bytes of every SQLite file.
pub(super) const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Permissions of a new database before the umask: those that SQLite itself uses.
const DATABASE_MODE: u32 = 0o644;

/// The files that this process holds: a second descriptor of one of them must not even be opened.
static HELD: Mutex<BTreeSet<FileIdentity>> = Mutex::new(BTreeSet::new());

fn held() -> MutexGuard<'static, BTreeSet<FileIdentity>> {
    locked(&HELD)
}

/// Bytes of the open files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OpenSizes {
    pub(super) database: u64,
    pub(super) wal: u64,
}

/// A database file that no other server can open. Dropped after everything that has the file open.
#[derive(Debug)]
pub(super) struct HeldFile {
    /// As configured; may be a link.
    pub(super) path: PathBuf,
    identity: FileIdentity,
    /// The write-ahead log and its index, once SQLite has created them.
    companions: OnceLock<[(PathBuf, FileIdentity); 2]>,
    is_new: bool,
    is_new_lock: bool,
    database: File,
    /// The last correct sizes.
    pub(super) seen_sizes: Mutex<OpenSizes>,
    _lock: File,
}

impl HeldFile {
    /// Locks the file, which is created empty when it is missing.
    ///
    /// # Errors
    /// [`Error::Database`] when it cannot be held: it is not an SQLite file, is held by another server, has a second
    /// name, is a mount point of its own, or is not writable.
    pub(super) fn take(path: &Path) -> Result<Arc<Self>> {
        require_directory(path)?;
        require_database_or_nothing(path)?;
        let (lock, is_new_lock) = take_lock_file(path)?;
        let taken = Self::take_inode(path, lock, is_new_lock);
        if taken.is_err() && is_new_lock {
            discard(&beside(&resolved(path), ".lock"));
        }
        taken.map(Arc::new)
    }

    /// Removes the files that [`take`](Self::take) created, when the database cannot be used after all.
    pub(super) fn discard_if_new(&self) {
        if self.is_new {
            discard(&self.path);
        }
        if self.is_new_lock {
            discard(&beside(&resolved(&self.path), ".lock"));
        }
    }

    fn take_inode(path: &Path, lock: File, is_new_lock: bool) -> Result<Self> {
        let is_new = !path.exists();
        let database = open_database(path)?;
        let metadata = database.metadata().map_err(io_error(path))?;
        let taken = require_sqlite(path, &database)
            .and_then(|()| require_own_name(path, &metadata))
            .and_then(|()| lock_inode(path, &database));
        if let Err(error) = taken {
            if is_new {
                discard(path);
            }
            return Err(error);
        }
        let identity = identity(&metadata);
        held().insert(identity);
        Ok(Self {
            path: path.to_owned(),
            identity,
            companions: OnceLock::new(),
            is_new,
            is_new_lock,
            database,
            seen_sizes: Mutex::default(),
            _lock: lock,
        })
    }

    /// Remembers the write-ahead log and its index, which exist once something was written.
    ///
    /// # Errors
    /// When one of them is not there.
    pub(super) fn remember_companions(&self) -> Result<()> {
        let path = resolved(&self.path);
        let identified = |suffix| -> Result<(PathBuf, FileIdentity)> {
            let path = beside(&path, suffix);
            let metadata = path.metadata().map_err(io_error(&path))?;
            Ok((path, identity(&metadata)))
        };
        // Set once, at the start.
        drop(self.companions.set([identified("-wal")?, identified("-shm")?]));
        Ok(())
    }

    /// How the files at the paths differ from the open ones; `None` when they are the same.
    pub(super) fn difference(&self) -> Option<String> {
        let database = different(&self.path, self.identity, "the database file");
        let companions = self.companions.get().into_iter().flatten();
        database.or_else(|| {
            let names = ["the write-ahead log", "the index of the write-ahead log"];
            companions
                .zip(names)
                .find_map(|((path, identity), name)| different(path, *identity, name))
        })
    }

    /// The write-ahead log, once SQLite has created it.
    pub(super) fn wal_path(&self) -> Option<&Path> {
        let [(path, _), _] = self.companions.get()?;
        Some(path)
    }

    /// Sizes of the open files; `None` when one of them cannot be examined, or its path leads to another file.
    pub(super) fn open_sizes(&self) -> Option<OpenSizes> {
        let [(path, known), _] = self.companions.get()?;
        let wal = path.metadata().ok().filter(|found| identity(found) == *known)?;
        // By the descriptor, wherever the path leads: the file must not be opened again.
        Some(OpenSizes { database: self.database.metadata().ok()?.len(), wal: wal.len() })
    }

    /// Names of the file besides its own (hard links); 0 when it cannot be examined.
    pub(super) fn other_names(&self) -> u64 {
        self.path.metadata().map_or(0, |metadata| metadata.nlink().saturating_sub(1))
    }
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        held().remove(&self.identity);
    }
}

/// The locks of a database that is to be replaced: no server has it open, and none can open it meanwhile. Unlike
/// `HeldFile` it accepts any file, also a damaged or a missing one.
#[derive(Debug)]
pub struct ReplaceLock {
    lock_path: PathBuf,
    is_new_lock: bool,
    _lock: File,
    _database: Option<File>,
}

impl ReplaceLock {
    /// Takes the locks of the database at `path`, whether that exists or not.
    ///
    /// # Errors
    /// When a server has it, or the directory cannot be written.
    pub fn take(path: &Path) -> Result<Self> {
        if is_held(path) {
            return Err(in_use(path));
        }
        let (lock, is_new_lock) = take_lock_file(path)?;
        let lock_path = beside(&resolved(path), ".lock");
        let database = File::open(path).ok();
        if let Some(Err(error)) = database.as_ref().map(|file| lock_inode(path, file)) {
            if is_new_lock {
                discard(&lock_path);
            }
            return Err(error);
        }
        Ok(Self { lock_path, is_new_lock, _lock: lock, _database: database })
    }

    /// Removes a new lock file when the database was not replaced after all.
    pub fn discard(self) {
        if self.is_new_lock {
            discard(&self.lock_path);
        }
    }
}

/// Whether a server, of this process or another, has the database at `path` open; creates no file.
pub fn is_locked(path: &Path) -> bool {
    let is_taken = |path: &Path| {
        let file = File::open(path).ok();
        file.is_some_and(|file| {
            has_two_kinds_of_locks(&file)
                && matches!(file.try_lock(), Err(TryLockError::WouldBlock))
        })
    };
    is_held(path) || is_taken(&beside(&resolved(path), ".lock")) || is_taken(path)
}

/// Whether this process has the file open for writing.
pub(super) fn is_held(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| held().contains(&identity(&metadata)))
}

fn different(path: &Path, known: FileIdentity, name: &str) -> Option<String> {
    let shown = path.display();
    match path.metadata() {
        Ok(metadata) if identity(&metadata) == known => None,
        Ok(_) => Some(format!("{name} {shown} was replaced by another file")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Some(format!("{name} {shown} was deleted or moved away"))
        }
        Err(error) => Some(format!("{name} {shown} cannot be examined: {error}")),
    }
}

fn require_database_or_nothing(path: &Path) -> Result<()> {
    let refuse = |reason: &str| Err(Error::database(path, reason));
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => refuse("is a directory; name a file in it"),
        Ok(metadata) if !metadata.is_file() => refuse("is no regular file; name another file"),
        Ok(_) if is_held(path) => Err(in_use(path)),
        _ => Ok(()),
    }
}

fn in_use(path: &Path) -> Error {
    let reason =
        "the file is locked by another server; stop that one, or send records to it over HTTP";
    Error::database(path, reason)
}

/// Opens and locks the lock file beside the database; also returns whether it is new. Symbolic links are not followed,
/// because anybody who can write to the directory could make the server create or lock any file.
fn take_lock_file(path: &Path) -> Result<(File, bool)> {
    let lock_path = beside(&resolved(path), ".lock");
    let is_new = !lock_path.exists();
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .custom_flags(no_follow)
        .open(&lock_path);
    let file = match opened {
        Err(_) if lock_path.is_symlink() => {
            return Err(Error::database(lock_path, "is a symbolic link; remove it"));
        }
        opened => opened.map_err(|source| not_writable(&lock_path, source))?,
    };
    if is_held(path) {
        return Err(in_use(path));
    }
    match lock(&file) {
        Ok(()) => Ok((file, is_new)),
        Err(TryLockError::WouldBlock) => Err(in_use(path)),
        Err(TryLockError::Error(source)) => Err(io_error(&lock_path)(source)),
    }
}

fn open_database(path: &Path) -> Result<File> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(DATABASE_MODE)
        .open(path);
    opened.map_err(|source| not_writable(path, source))
}

/// Rejects a file that is not an SQLite database before SQLite opens it.
fn require_sqlite(path: &Path, file: &File) -> Result<()> {
    let mut head = [0; SQLITE_MAGIC.len()];
    let read = file.read_at(&mut head, 0).map_err(|source| unreadable(path, &source))?;
    if read == 0 || head == *SQLITE_MAGIC {
        return Ok(());
    }
    let reason = format!(
        "not a chatgauge file (it is no SQLite database); name another file, or if it was one before, save the readable \
         data: chatgauge salvage '{}' --into NEW",
        path.display()
    );
    Err(Error::database(path, reason))
}

/// Rejects a file with a second name. That name would have a write-ahead log of its own, and a program that opens the
/// file by it would miss, and then destroy, the contents of the first log.
fn require_own_name(path: &Path, metadata: &Metadata) -> Result<()> {
    let names = metadata.nlink();
    if names > 1 {
        if let Some(interrupted) = interrupted_restore(path) {
            return Err(Error::database(path, unfinished(&interrupted)));
        }
        let reason = format!(
            "the file has {names} names (hard links), and each would have a write-ahead log of its own; remove the \
             others, or copy the file"
        );
        return Err(Error::database(path, reason));
    }
    if is_mount_point(&resolved(path)) {
        let reason = "the file is mounted by itself, so its write-ahead log would lie outside of the mount and be lost \
                      with the container; mount its directory instead";
        return Err(Error::database(path, reason));
    }
    Ok(())
}

/// The remedy for an interrupted restore. Removing one of the names would separate the database from its log.
fn unfinished(interrupted: &InterruptedRestore) -> String {
    let InterruptedRestore { database, set_aside } = interrupted;
    let (database, set_aside) = (database.display(), set_aside.display());
    format!(
        "a restore was interrupted after it gave the file a second name, {set_aside}; remove neither name, because the \
         write-ahead log may be called {set_aside}-wal, and run the restore again, which completes it: chatgauge \
         restore BACKUP --db '{database}' --replace"
    )
}

/// Whether the kernel lists the path as a mount point; `false` if there is no such list.
fn is_mount_point(path: &Path) -> bool {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return false };
    let Some(path) = path.to_str() else { return false };
    // The path is the fifth field; spaces and the like are escaped as octal numbers.
    let escaped = path.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011");
    mounts.lines().any(|line| line.split(' ').nth(4) == Some(&escaped))
}

/// Keeps out a server that uses another name of the file, e.g. by a bind mount, with another lock file.
fn lock_inode(path: &Path, file: &File) -> Result<()> {
    if !has_two_kinds_of_locks(file) {
        return Ok(());
    }
    match lock(file) {
        Err(TryLockError::WouldBlock) => Err(in_use(path)),
        Err(TryLockError::Error(source)) if source.kind() != ErrorKind::Unsupported => {
            Err(io_error(path)(source))
        }
        _ => Ok(()),
    }
}

/// Whether a lock of the whole file (flock) is independent of SQLite's byte-range locks (fcntl).
#[cfg(target_os = "linux")]
fn has_two_kinds_of_locks(file: &File) -> bool {
    /// File system types of `statfs(2)`: NFS, SMB and SMB2 turn both kinds into byte-range locks of the server.
    const SHARED_TABLE: [u64; 3] = [0x6969, 0xfe53_4d42, 0xff53_4d42];
    rustix::fs::fstatfs(file).is_ok_and(|found| {
        u64::try_from(found.f_type).is_ok_and(|kind| !SHARED_TABLE.contains(&kind))
    })
}

#[cfg(not(target_os = "linux"))]
const fn has_two_kinds_of_locks(_file: &File) -> bool {
    false
}

fn not_writable(path: &Path, source: std::io::Error) -> Error {
    if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) {
        let reason =
            "cannot be written; the directory of the database must be writable for this user";
        return Error::database(path, reason);
    }
    io_error(path)(source)
}

/// Removes an empty file that this process has created.
fn discard(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "an empty file is left over");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_held_once_whatever_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat.db");
        let first = HeldFile::take(&path).unwrap();
        assert!(first.difference().is_none());
        let linked = directory.path().join("linked.db");
        std::os::unix::fs::symlink(&path, &linked).unwrap();
        for name in [&path, &linked] {
            let message = HeldFile::take(name).unwrap_err().to_string();
            assert!(message.contains("locked by another server"), "{message}");
        }
        drop(first);
        drop(HeldFile::take(&linked).unwrap());
    }

    #[test]
    fn a_hard_link_is_refused_at_the_start_and_noticed_later() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat.db");
        let second = directory.path().join("second.db");
        let file = HeldFile::take(&path).unwrap();
        std::fs::hard_link(&path, &second).unwrap();
        assert_eq!((file.other_names(), file.difference()), (1, None));
        let held = HeldFile::take(&second).unwrap_err().to_string();
        assert!(held.contains("locked by another server"), "{held}");
        drop(file);
        let message = HeldFile::take(&path).unwrap_err().to_string();
        assert!(message.contains("2 names (hard links)"), "{message}");
        assert!(second.exists());
    }

    #[test]
    fn a_file_that_is_moved_or_replaced_differs_until_it_is_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat.db");
        let away = directory.path().join("away.db");
        let file = HeldFile::take(&path).unwrap();
        std::fs::rename(&path, &away).unwrap();
        assert!(file.difference().unwrap().contains("deleted or moved away"));
        std::fs::write(&path, "another").unwrap();
        assert!(file.difference().unwrap().contains("replaced by another file"));
        std::fs::rename(&away, &path).unwrap();
        assert_eq!(file.difference(), None);
    }

    #[test]
    fn the_lock_file_follows_no_symbolic_link() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat.db");
        let target = directory.path().join("target");
        std::os::unix::fs::symlink(&target, directory.path().join("chat.db.lock")).unwrap();
        let message = HeldFile::take(&path).unwrap_err().to_string();
        assert!(message.contains("symbolic link"), "{message}");
        assert!(!target.exists() && !path.exists());
    }
}
