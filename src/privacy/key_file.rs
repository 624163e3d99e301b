//! The file that holds the key of the pseudonyms.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use rand::TryRng;
use rand::rngs::SysRng;

use super::Pseudonymizer;
use crate::error::{Error, Result};

/// Bytes of the key.
const KEY_BYTES: usize = 32;
/// Characters of the key in the file, without the line end.
const KEY_CHARS: usize = 2 * KEY_BYTES;
/// Most bytes read of a file that may be something else entirely.
const READ_BYTES: u64 = 4_096;

/// Reads the key at `path`; `None` when there is no such file.
///
/// # Errors
/// As [`load_or_create_key`].
pub fn load_key(path: &Path) -> Result<Option<[u8; KEY_BYTES]>> {
    match File::open(path) {
        Ok(file) => read_key(path, file).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(path)(error)),
    }
}

/// Reads the key at `path`, or makes one there when the file does not exist.
///
/// The file is 64 hexadecimal digits and a line end, readable by its owner only. Several processes
/// may start at once: all get the same key.
///
/// A database keeps a [check value](super::Pseudonymizer::key_check) of its key and is refused with another one. To rotate
/// the key, replace or delete the file and open with a new key (`OpenOptions::new_key`, `--new-key`):
/// pseudonyms made with the old key stay in the database but no longer join with new ones, so the same person counts
/// once more.
///
/// # Errors
/// When the file can be read by others, does not hold a key, or cannot be read or made.
pub fn load_or_create_key(path: &Path) -> Result<[u8; KEY_BYTES]> {
    match load_key(path)? {
        Some(key) => Ok(key),
        None => create_key(path),
    }
}

/// Writes a key to `path`, readable by its owner only; a key that is there is never replaced.
///
/// # Errors
/// When another key is there, or the file cannot be written.
pub fn install_key(path: &Path, key: &[u8; KEY_BYTES]) -> Result<()> {
    if write_new(path, key)? || load_key(path)? == Some(*key) {
        return Ok(());
    }
    Err(unusable(path, "is another key, and a key is never replaced; move it away"))
}

/// Whether the file at `path` holds the key with this [check value](Pseudonymizer::key_check), whoever may read it; a
/// symbolic link is no such file.
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
        ErrorKind::InvalidData => unusable(path, "is not a key file: it is not text"),
        _ => io_error(path)(error),
    })?;
    let text = text.trim_ascii();
    if text.len() != KEY_CHARS {
        let reason =
            format!("a key has {KEY_CHARS} hexadecimal digits, this file has {} bytes", text.len());
        return Err(unusable(path, reason));
    }
    let bytes = HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map_err(|_| unusable(path, "a key has only hexadecimal digits, this file has others"))?;
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
    let reason = format!("others may read this key; run: chmod 600 '{shown}'");
    Err(unusable(path, reason))
}

#[cfg(not(unix))]
fn check_private(_path: &Path, _file: &File) -> Result<()> {
    Ok(())
}

/// Makes a new key, writes it beside `path` and links it there, which fails when somebody else was faster:
/// nobody ever sees half a key, and no key is overwritten.
fn create_key(path: &Path) -> Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    fill_random(path, &mut key)?;
    if write_new(path, &key)? {
        return Ok(key);
    }
    // Somebody else was faster.
    read_key(path, File::open(path).map_err(io_error(path))?)
}

/// `false` when there is a file already.
fn write_new(path: &Path, key: &[u8; KEY_BYTES]) -> Result<bool> {
    let temporary = temporary_path(path)?;
    let made = write_private(&temporary, key)
        .map_err(io_error(&temporary))
        .and_then(|()| publish(&temporary, path, key).map_err(io_error(path)));
    // The link keeps the content; a leftover would only be clutter, so a failure here is no error.
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

/// `false` when the file exists already.
fn publish(temporary: &Path, path: &Path, key: &[u8]) -> std::io::Result<bool> {
    let made = match fs::hard_link(temporary, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            // Some file systems have no hard links; there the exclusive creation must do.
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

/// Makes the new directory entry survive a power cut.
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
    fn a_key_is_made_once_and_read_back() {
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
    fn the_file_is_private_and_one_that_is_not_is_refused_with_the_remedy() {
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
    fn a_file_that_is_no_key_says_why_without_showing_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_private(&path, &[1; 31]).unwrap();
        assert!(message(load_or_create_key(&path)).contains("64 hexadecimal digits"));
        fs::write(&path, "g".repeat(64)).unwrap();
        let text = message(load_or_create_key(&path));
        assert!(text.contains("only hexadecimal digits") && !text.contains("ggg"), "{text}");
        fs::write(&path, [0xff; 64]).unwrap();
        assert!(message(load_or_create_key(&path)).contains("not text"));
    }

    #[test]
    fn a_key_is_recognised_by_its_check_value_and_nothing_else_is() {
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
    fn starting_at_once_gives_everybody_the_same_key() {
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
