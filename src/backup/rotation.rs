//! Dated backups in a directory: their names, and which of them are kept.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::NaiveDateTime;

use super::names::{append, key_beside};
use super::staging::{remove_unfinished, sync_directory};
use crate::error::{Error, Result};
use crate::model::Timestamp;
use crate::privacy::holds_key;
use crate::store::{ExaminedFile, InUse, StoreState, is_locked};

/// The date in a name: UTC, to the second.
const DATE: &str = "%Y%m%dT%H%M%SZ";

/// The dated backups of one database in one directory: `<name of the database>-20261201T030000Z.db`.
#[derive(Clone, Debug)]
pub struct DatedBackups {
    directory: PathBuf,
    stem: String,
}

/// A file with the name of a dated backup.
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

    /// Every file with such a name, whosever it is, the latest date first. Files with other names are not looked at.
    ///
    /// # Errors
    /// When the directory cannot be read.
    fn list(&self) -> Result<Vec<DatedBackup>> {
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

    /// Removes what killed processes left of dated backups of the database with this id.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn remove_unfinished(&self, store_id: &[u8]) -> Result<()> {
        remove_unfinished(&self.directory, store_id, |target| self.date(target).is_some())
    }

    /// The newest backup of the database with this id that is dated `until` at the latest, and those that are dated
    /// later, the newest first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn newest(&self, store_id: &[u8], until: Timestamp) -> Result<FoundBackups> {
        let mut found = FoundBackups::default();
        for backup in self.list()? {
            if own_state(&backup, store_id).is_none() {
                continue;
            }
            if backup.at <= until {
                found.newest = Some(backup);
                break;
            }
            found.later.push(backup);
        }
        Ok(found)
    }

    /// Deletes the backups beyond the `keep` newest, and their keys. To be called once the last of `made`, the backups
    /// that this run of the server made, is verified.
    ///
    /// Those of `made` are the newest, the last one first, whatever their dates say. Others that are dated after `now`
    /// are neither counted nor deleted: their dates say nothing about their age. Nor is a file of another database,
    /// whatever its name, or one that cannot be read, or a file beside a backup that is not its key.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn prune(
        &self,
        made: &[PathBuf],
        store_id: &[u8],
        keep: usize,
        now: Timestamp,
    ) -> Result<PrunedBackups> {
        let turn = |backup: &DatedBackup| made.iter().position(|path| *path == backup.path);
        let mut own: Vec<_> = self
            .list()?
            .into_iter()
            .filter(|backup| backup.at <= now || turn(backup).is_some())
            .filter_map(|backup| own_state(&backup, store_id).map(|state| (backup, state)))
            .filter(|(backup, _)| made.last() != Some(&backup.path))
            .collect();
        // A stable sort: the others stay as `list` has them, the newest first.
        own.sort_by_key(|(backup, _)| std::cmp::Reverse(turn(backup)));
        let mut pruned = PrunedBackups::default();
        for (backup, state) in own.into_iter().skip(keep.saturating_sub(1)) {
            pruned.delete(backup.path, state.pseudonym_key_check.as_deref());
        }
        if !pruned.deleted.is_empty() {
            sync_directory(&self.directory)?;
        }
        Ok(pruned)
    }
}

/// Backups of one database in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundBackups {
    /// The newest up to some moment.
    pub newest: Option<DatedBackup>,
    /// Those that are dated later, the newest first.
    pub later: Vec<DatedBackup>,
}

/// Backups that were deleted because newer ones are there.
#[derive(Debug, Default)]
pub struct PrunedBackups {
    /// Their files.
    pub deleted: Vec<PathBuf>,
    /// Files that have the name of a deleted backup's key and are not that key; they stay.
    pub no_keys: Vec<PathBuf>,
    /// The last file that could not be deleted.
    pub failed: Option<Error>,
}

impl PrunedBackups {
    /// Deletes a backup and then its key, which is recognised by the check value that the backup holds.
    fn delete(&mut self, path: PathBuf, key_check: Option<&[u8]>) {
        let key = key_beside(&path);
        if !self.has_removed(&path) {
            return;
        }
        self.deleted.push(path);
        if key_check.is_some_and(|check| holds_key(&key, check)) {
            self.has_removed(&key);
        } else if key.symlink_metadata().is_ok() {
            self.no_keys.push(key);
        }
    }

    fn has_removed(&mut self, path: &Path) -> bool {
        match fs::remove_file(path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                self.failed = Some(Error::Io { path: path.to_owned(), source });
                false
            }
            _ => true,
        }
    }
}

/// What the file says of itself if it is a backup of the database with this id: closed, without a write-ahead log, as
/// long as it should be. `None` for any other file.
fn own_state(backup: &DatedBackup, store_id: &[u8]) -> Option<StoreState> {
    let path = &backup.path;
    let has_beside = |suffix: &str| append(path, suffix).symlink_metadata().is_ok();
    // First of all: opening and closing a file that this process serves, by another name, drops the locks of SQLite.
    if is_locked(path) || ["-wal", "-journal"].iter().any(|suffix| has_beside(suffix)) {
        return None;
    }
    let mut file = ExaminedFile::open(path).ok()?;
    let figures = file.read(|reader| reader.figures()).ok()?;
    let is_whole = figures.bytes == backup.bytes;
    let state = figures.state.filter(|_| is_whole)?;
    (state.store_id == store_id && state.in_use == InUse::Closed).then_some(state)
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
