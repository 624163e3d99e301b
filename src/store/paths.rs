//! File names beside a database, and the identity of files.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The file that a path leads to through links, so that the files beside it are found by every name.
pub fn resolved(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The path with `suffix` appended to its file name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The directory of a file.
pub(crate) fn directory_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or_else(|| Path::new("."))
}

/// Rejects a file whose directory does not exist.
pub(crate) fn require_directory(path: &Path) -> Result<()> {
    let directory = directory_of(path);
    if directory.is_dir() {
        return Ok(());
    }
    let reason = format!("the directory {} does not exist; create it first", directory.display());
    Err(Error::database(path, reason))
}

/// Makes added and removed names of a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory).and_then(|opened| opened.sync_all()).map_err(io_error(directory))
}

/// Size of a file; 0 if it is missing.
pub(crate) fn file_bytes(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

/// Device and inode: the identity of a file under all its names.
pub(crate) type FileIdentity = (u64, u64);

pub(crate) fn identity(metadata: &Metadata) -> FileIdentity {
    (metadata.dev(), metadata.ino())
}

/// Whether both paths, through links, lead to the same file.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    let of = |path: &Path| path.metadata().map(|found| identity(&found)).ok();
    of(one).is_some_and(|found| of(other) == Some(found))
}

/// Names the file that an operation failed on.
pub(crate) fn io_error(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    |source| Error::Io { path: path.to_owned(), source }
}
