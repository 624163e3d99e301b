//! Dated backups in a directory: their names, and which of them are kept.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::NaiveDateTime;

use super::names::key_beside;
use super::staging::sync_directory;
use crate::error::{Error, Result};
use crate::model::Timestamp;
use crate::store::{ExaminedFile, is_locked};

/// The date in a name: UTC, to the second.
const DATE: &str = "%Y%m%dT%H%M%SZ";

/// The dated backups of one database in one directory: `<name of the database>-20261201T030000Z.db`.
#[derive(Clone, Debug)]
pub struct DatedBackups {
    directory: PathBuf,
    stem: String,
}

/// One file of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatedBackup {
    /// The file.
    pub path: PathBuf,
    /// The date in its name: when its snapshot was taken.
    pub at: Timestamp,
    /// Its size.
    pub bytes: u64,
}

impl DatedBackups {
    /// Those of `database` in `directory`.
    pub fn new(directory: &Path, database: &Path) -> Self {
        let stem = database.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Self { directory: directory.to_owned(), stem: stem.unwrap_or_else(|| "chatgauge".into()) }
    }

    /// The file of a backup that is made at `at`.
    pub fn path(&self, at: Timestamp) -> PathBuf {
        self.directory.join(format!("{}-{}.db", self.stem, at.to_utc().format(DATE)))
    }

    /// All of them, the newest first. Files with other names are not looked at.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<Vec<DatedBackup>> {
        let failed = |source| Error::Io { path: self.directory.clone(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(at) = entry.file_name().to_str().and_then(|name| self.date(name)) else {
                continue;
            };
            // The metadata of the entry itself: a symbolic link is not one of ours.
            if let Some(metadata) = entry.metadata().ok().filter(fs::Metadata::is_file) {
                found.push(DatedBackup { path: entry.path(), at, bytes: metadata.len() });
            }
        }
        found.sort_by_key(|backup| std::cmp::Reverse(backup.at));
        Ok(found)
    }

    fn date(&self, name: &str) -> Option<Timestamp> {
        let date = name.strip_prefix(&self.stem)?.strip_prefix('-')?.strip_suffix(".db")?;
        let at = NaiveDateTime::parse_from_str(date, DATE).ok()?;
        let at = Timestamp::from_unix_ms(at.and_utc().timestamp_millis());
        // Only the spelling that `path` writes.
        (at.to_utc().format(DATE).to_string() == date).then_some(at)
    }

    /// Deletes the backups beyond the `keep` newest, and their keys; gives the names that are gone. To be called once
    /// `newest` is verified: it counts as the newest whatever the dates say.
    ///
    /// A file of another database, whatever its name, is neither counted nor deleted, nor is one that cannot be read.
    ///
    /// # Errors
    /// When the directory cannot be read, or a file cannot be deleted; the others are deleted all the same.
    pub fn prune(
        &self,
        newest: &Path,
        store_id: Option<&[u8]>,
        keep: usize,
    ) -> Result<Vec<PathBuf>> {
        let mut older = self.list()?;
        older.retain(|backup| backup.path != newest && is_of(&backup.path, store_id));
        let mut failed = None;
        let mut deleted = Vec::new();
        for DatedBackup { path, .. } in older.into_iter().skip(keep.saturating_sub(1)) {
            match delete(&path) {
                Ok(()) => deleted.push(path),
                Err(error) => failed = Some(error),
            }
        }
        if !deleted.is_empty() {
            sync_directory(&self.directory)?;
        }
        failed.map_or(Ok(deleted), Err)
    }
}

/// Whether the file is a backup of the database with this id, which nobody serves.
fn is_of(path: &Path, store_id: Option<&[u8]>) -> bool {
    let figures =
        ExaminedFile::open(path).and_then(|mut file| file.read(|reader| reader.figures()));
    let found = figures.ok().and_then(|figures| figures.state).map(|state| state.store_id);
    found.is_some() && found.as_deref() == store_id && !is_locked(path)
}

/// Deletes a backup and then its key.
fn delete(path: &Path) -> Result<()> {
    for path in [path.to_owned(), key_beside(path)] {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(Error::Io { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_database_and_the_moment_and_other_names_are_not_ours() {
        let backups = DatedBackups::new(Path::new("/b"), Path::new("/data/chat.db"));
        let at = Timestamp::parse_rfc3339("2026-12-01T03:04:05.678Z").unwrap();
        let path = backups.path(at);
        assert_eq!(path, Path::new("/b/chat-20261201T030405Z.db"));
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(backups.date(name), Some(at.floor_to(1_000)));
        for other in [
            "chat.db",
            "chat-20261201T030405Z.db.key",
            "chat-20261201T030405Z.db-wal",
            "chat-20261301T030405Z.db",
            "chat-2026-12-01.db",
            "chat-20261201T030405Z.db.0123456789abcdef.partial",
            "chat-old-20261201T030405Z.db",
            "mychat-20261201T030405Z.db",
            "chat-+20261201T030405Z.db",
        ] {
            assert_eq!(backups.date(other), None, "{other}");
        }
    }
}
