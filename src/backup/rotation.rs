//! Scheduled backups in a directory: their names, and which of them are kept.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::NaiveDateTime;

use super::names::key_beside;
use super::staging::{remove_file, remove_unfinished};
use crate::error::{Error, Result};
use crate::model::Timestamp;
use crate::privacy::holds_key;
use crate::store::{
    ExaminedFile, InUse, StoreFigures, StoreState, beside, io_error, is_locked, sync_directory,
};

/// The format of the date in a file name: UTC, to the second.
const DATE: &str = "%Y%m%dT%H%M%SZ";

/// The scheduled backups of one database in one directory: `<name of the
/// database>-20261201T030000Z.db`.
#[derive(Clone, Debug)]
pub struct DatedBackups {
    directory: PathBuf,
    stem: String,
}

/// A file named like a scheduled backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatedBackup {
    /// The file.
    pub path: PathBuf,
    /// The date in its name: the time of its snapshot.
    pub at: Timestamp,
    /// Its size in bytes.
    pub bytes: u64,
}

impl DatedBackups {
    /// The backups of `database` in `directory`.
    pub fn new(directory: &Path, database: &Path) -> Self {
        let stem = database.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Self { directory: directory.to_owned(), stem: stem.unwrap_or_else(|| "chatgauge".into()) }
    }

    /// The path of a backup made at `at`.
    pub fn path(&self, at: Timestamp) -> PathBuf {
        self.directory.join(format!("{}-{}.db", self.stem, at.to_utc().format(DATE)))
    }

    /// All files with such a name, whatever they contain, latest date first.
    fn list(&self) -> Result<Vec<DatedBackup>> {
        let failed = io_error(&self.directory);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(&failed)? {
            let entry = entry.map_err(&failed)?;
            let Some(at) = entry.file_name().to_str().and_then(|name| self.date(name)) else {
                continue;
            };
            // Does not follow symbolic links: the program never creates one.
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
        // Accept only names that `path` generates.
        (at.to_utc().format(DATE).to_string() == date).then_some(at)
    }

    /// Removes the unfinished copies that killed processes left of scheduled backups of the
    /// database with this id.
    pub fn remove_unfinished(&self, store_id: &[u8]) -> Result<()> {
        remove_unfinished(&self.directory, store_id, |target| self.date(target).is_some())
    }

    /// The newest backup of the database with this id that is dated at or before `until`, and all
    /// later ones, newest first.
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

    /// Deletes the backups beyond the `keep` newest, and their keys. Must be called only once the
    /// last backup of `made`, the backups of this server process, is verified.
    ///
    /// The backups in `made` count as the newest, the last one first, whatever their dates. Others
    /// that are dated after `now` are neither counted nor deleted, because their dates do not tell
    /// their age. Files of other databases, unreadable files, and files beside a backup that are
    /// not its key are never deleted.
    pub fn prune(
        &self,
        made: &[PathBuf],
        store_id: &[u8],
        keep: usize,
        now: Timestamp,
    ) -> Result<PrunedBackups> {
        let position = |backup: &DatedBackup| made.iter().position(|path| *path == backup.path);
        let mut own: Vec<_> = self
            .list()?
            .into_iter()
            .filter(|backup| backup.at <= now || position(backup).is_some())
            .filter_map(|backup| own_state(&backup, store_id).map(|state| (backup, state)))
            .filter(|(backup, _)| made.last() != Some(&backup.path))
            .collect();
        // The sort is stable: the others keep the order of `list`, newest first.
        own.sort_by_key(|(backup, _)| std::cmp::Reverse(position(backup)));
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

/// The backups of one database in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundBackups {
    /// The newest backup up to the given time.
    pub newest: Option<DatedBackup>,
    /// Backups with later dates, newest first.
    pub later: Vec<DatedBackup>,
}

/// The result of deleting old backups.
#[derive(Debug, Default)]
pub struct PrunedBackups {
    /// The deleted backups.
    pub deleted: Vec<PathBuf>,
    /// Files named like the key of a deleted backup that are not that key; they are kept.
    pub unknown_keys: Vec<PathBuf>,
    /// The error of the last file that could not be deleted.
    pub failed: Option<Error>,
}

impl PrunedBackups {
    /// Deletes a backup and then its key. The check value in the backup identifies the key.
    fn delete(&mut self, path: PathBuf, key_check: Option<&[u8]>) {
        let key = key_beside(&path);
        if !self.try_remove(&path) {
            return;
        }
        self.deleted.push(path);
        if key_check.is_some_and(|check| holds_key(&key, check)) {
            self.try_remove(&key);
        } else if key.symlink_metadata().is_ok() {
            self.unknown_keys.push(key);
        }
    }

    fn try_remove(&mut self, path: &Path) -> bool {
        let removed = remove_file(path).map_err(io_error(path));
        let is_removed = removed.is_ok();
        self.failed = removed.err().or(self.failed.take());
        is_removed
    }
}

/// The state stored in the file, if it is a complete backup of the database with this id: closed,
/// without a write-ahead log, and of the right size. `None` for any other file.
fn own_state(backup: &DatedBackup, store_id: &[u8]) -> Option<StoreState> {
    let path = &backup.path;
    let has_beside = |suffix: &str| beside(path, suffix).symlink_metadata().is_ok();
    // Checked before opening: to open and close a file that this process serves under another name
    // would release SQLite's locks.
    if is_locked(path) || ["-wal", "-journal"].iter().any(|suffix| has_beside(suffix)) {
        return None;
    }
    let mut file = ExaminedFile::open(path).ok()?;
    let StoreFigures { state, bytes, .. } = file.read(|reader| reader.figures()).ok()?;
    let is_ours = state.store_id == store_id && state.in_use == InUse::Closed;
    (is_ours && bytes == backup.bytes).then_some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_database_with_a_date_are_scheduled_backups() {
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
