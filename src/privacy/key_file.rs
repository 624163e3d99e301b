//! The file that holds the key of the pseudonyms.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use rand::TryRng;
use rand::rngs::SysRng;

use super::pseudonym::Pseudonymizer;
use crate::error::{Error, Result};

/// Length of the key in bytes.
const KEY_BYTES: usize = 32;
/// Length of the key in the file, in hexadecimal digits.
const KEY_CHARS: usize = 2 * KEY_BYTES;
/// Maximum number of bytes to read, because the file may be something else entirely.
const READ_BYTES: u64 = 4_096;

/// Reads the key at `path`; `None` if the file does not exist.
pub fn load_key(path: &Path) -> Result<Option<[u8; KEY_BYTES]>> {
    match File::open(path) {
        Ok(file) => read_key(path, file).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(path)(error)),
    }
}

/// Reads the key at `path`, or creates the file with a random key.
///
/// The file consists of 64 hexadecimal digits and a newline, readable only by its owner. Processes
/// that start at the same time all get the same key.
///
/// A database stores a [check value](super::Pseudonymizer::key_check) of its key and is not opened
/// with another key. To rotate the key, replace or delete the file and open the database with a new
/// key (`OpenOptions::new_key`, `--new-key`). Old pseudonyms stay in the database but do not match
/// new ones, so the same person counts as another user from then on.
///
/// # Errors
/// If others can read the file, it does not hold a key, or it cannot be read or created.
pub fn load_or_create_key(path: &Path) -> Result<[u8; KEY_BYTES]> {
    load_key(path)?.map_or_else(|| create_key(path), Ok)
}

/// Writes a key to `path`, readable only by its owner; an existing key is never replaced.
///
/// # Errors
/// If the file holds another key or cannot be written.
pub fn install_key(path: &Path, key: &[u8; KEY_BYTES]) -> Result<()> {
    if write_new(path, key)? || load_key(path)? == Some(*key) {
        return Ok(());
    }
    Err(unusable(path, "holds another key, which is never replaced; move the file away"))
}

/// Whether the file at `path` holds the key with this [check value](Pseudonymizer::key_check),
/// whatever its permissions; `false` for a symbolic link.
pub fn holds_key(path: &Path, check: &[u8]) -> bool {
    let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    let key = is_file.then(|| File::open(path).ok()).flatten();
    let key = key.and_then(|file| parse_key(path, file).ok());
    key.is_some_and(|key| Pseudonymizer::from_key(key).key_check() == check)
}

fn io_error(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    |source| Error::Io { path: path.to_path_buf(), source }
}

fn unusable(path: &Path, reason: impl Into<String>) -> Error {
    Error::invalid_config(path.display().to_string(), reason)
}

fn read_key(path: &Path, file: File) -> Result<[u8; KEY_BYTES]> {
    check_private(path, &file)?;
    parse_key(path, file)
}

fn parse_key(path: &Path, file: File) -> Result<[u8; KEY_BYTES]> {
    let mut text = String::new();
    file.take(READ_BYTES).read_to_string(&mut text).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => unusable(path, "is not a key file: not UTF-8 text"),
        _ => io_error(path)(error),
    })?;
    let text = text.trim_ascii();
    if text.len() != KEY_CHARS {
        let reason = format!("expected {KEY_CHARS} hexadecimal digits, found {} bytes", text.len());
        return Err(unusable(path, reason));
    }
    let bytes = HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map_err(|_| unusable(path, "expected only hexadecimal digits"))?;
    <[u8; KEY_BYTES]>::try_from(bytes).map_err(|_| unusable(path, "does not hold a key"))
}

#[cfg(unix)]
fn check_private(path: &Path, file: &File) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mode = file.metadata().map_err(io_error(path))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let shown = path.display();
    let reason = format!("other users can read this key; run: chmod 600 '{shown}'");
    Err(unusable(path, reason))
}

#[cfg(not(unix))]
fn check_private(_path: &Path, _file: &File) -> Result<()> {
    Ok(())
}

/// Writes a new key to a temporary file beside `path` and hard-links it to `path`. The link fails
/// if the file exists, so no process sees a partial key and no key is overwritten.
fn create_key(path: &Path) -> Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    fill_random(path, &mut key)?;
    if write_new(path, &key)? {
        return Ok(key);
    }
    // Another process created the file first.
    read_key(path, File::open(path).map_err(io_error(path))?)
}

/// Writes the key to a new file; `false` if the file exists.
fn write_new(path: &Path, key: &[u8; KEY_BYTES]) -> Result<bool> {
    let temporary = temporary_path(path)?;
    let made = write_private(&temporary, key)
        .map_err(io_error(&temporary))
        .and_then(|()| publish(&temporary, path, key).map_err(io_error(path)));
    // Once linked, the temporary file is only clutter, so a failure to remove it is ignored.
    drop(fs::remove_file(&temporary));
    let is_new = made?;
    if is_new {
        sync_directory(path)?;
    }
    Ok(is_new)
}

fn fill_random(path: &Path, bytes: &mut [u8]) -> Result<()> {
    SysRng.try_fill_bytes(bytes).map_err(|error| io_error(path)(std::io::Error::other(error)))
}

fn temporary_path(path: &Path) -> Result<PathBuf> {
    let mut suffix = [0; 8];
    fill_random(path, &mut suffix)?;
    let mut name = path.as_os_str().to_os_string();
    name.push(format!(".{}.tmp", HEXLOWER.encode(&suffix)));
    Ok(PathBuf::from(name))
}

fn write_private(path: &Path, key: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(HEXLOWER.encode(key).as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Moves the key into place; `false` if the file exists.
fn publish(temporary: &Path, path: &Path, key: &[u8]) -> std::io::Result<bool> {
    let made = match fs::hard_link(temporary, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            // Without hard links, exclusive creation has to be enough.
            write_private(path, key)
        }
        linked => linked,
    };
    match made {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the new directory entry survive a power failure.
fn sync_directory(path: &Path) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if cfg!(unix) {
        File::open(parent).and_then(|directory| directory.sync_all()).map_err(io_error(parent))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<[u8; KEY_BYTES]>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_key_is_generated_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chatgauge.db.key");
        let key = load_or_create_key(&path).unwrap();
        assert_eq!(load_or_create_key(&path).unwrap(), key);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", HEXLOWER.encode(&key)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
        assert_ne!(load_or_create_key(&dir.path().join("other.key")).unwrap(), key);
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_with_open_permissions_is_rejected_with_the_remedy() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        load_or_create_key(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let message = message(load_or_create_key(&path));
        assert!(message.contains("chmod 600"), "{message}");
    }

    #[test]
    fn an_invalid_key_file_is_explained_without_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_private(&path, &[1; 31]).unwrap();
        assert!(message(load_or_create_key(&path)).contains("64 hexadecimal digits"));
        fs::write(&path, "g".repeat(64)).unwrap();
        let text = message(load_or_create_key(&path));
        assert!(text.contains("only hexadecimal digits") && !text.contains("ggg"), "{text}");
        fs::write(&path, [0xff; 64]).unwrap();
        assert!(message(load_or_create_key(&path)).contains("not UTF-8 text"));
    }

    #[test]
    fn only_the_same_key_has_the_check_value() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let check = Pseudonymizer::from_key(load_or_create_key(&path).unwrap()).key_check();
        assert!(holds_key(&path, &check));
        assert!(!holds_key(&path, &[7; 8]));
        assert!(!holds_key(&dir.path().join("none"), &check) && !holds_key(dir.path(), &check));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(!holds_key(&link, &check));
        fs::write(&path, "notes").unwrap();
        assert!(!holds_key(&path, &check));
    }

    #[test]
    fn concurrent_starts_get_the_same_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let start = || scope.spawn(|| load_or_create_key(&path).unwrap());
            let threads: Vec<_> = (0..8).map(|_| start()).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let text = message(load_or_create_key(&dir.path().join("none/key")));
        assert!(text.contains("none"), "{text}");
    }
}
