//! What the store knows of its own health: the outcome of the latest write, and what forbids any further one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::damage::DamageLog;
use crate::error::{Error, Result, StorageError, StorageErrorKind};

/// Shared by everybody who has the same file open through one [`Store`](super::Store).
#[derive(Debug, Default)]
pub struct StoreHealth {
    /// The failed flush after which nothing is written any more.
    fatal: OnceLock<StorageError>,
    /// How the path and the open files differ, while they do.
    misplaced: Mutex<Option<String>>,
    /// How the open file or its log was cut: pages are lost, so nothing is written or moved any more.
    cut: OnceLock<String>,
    /// Why the latest write failed; `None` when it succeeded.
    failing: Mutex<Option<StorageError>>,
    writes: AtomicU64,
    failed_writes: AtomicU64,
    damage: Arc<DamageLog>,
}

impl StoreHealth {
    /// The health of a file whose damage is noted in `damage`.
    pub(super) fn new(damage: Arc<DamageLog>) -> Self {
        Self { damage, ..Self::default() }
    }

    /// What forbids to write: a failed flush and a cut file for good, a misplaced file until it is back.
    ///
    /// # Errors
    /// [`SyncFailed`](StorageErrorKind::SyncFailed), [`Damaged`](StorageErrorKind::Damaged) and
    /// [`Misplaced`](StorageErrorKind::Misplaced).
    pub fn may_write(&self) -> Result<()> {
        let refuse = |source| Err(Error::Storage { operation: "writing", source });
        self.is_whole("writing")?;
        match self.misplaced() {
            Some(message) => refuse(StorageError { kind: StorageErrorKind::Misplaced, message }),
            None => Ok(()),
        }
    }

    /// What forbids to write and to move the write-ahead log, for good: it could recycle, or overwrite, the only good copy.
    ///
    /// # Errors
    /// [`SyncFailed`](StorageErrorKind::SyncFailed) and [`Damaged`](StorageErrorKind::Damaged).
    pub(super) fn is_whole(&self, operation: &'static str) -> Result<()> {
        let cut = || {
            let message = self.cut()?.to_owned();
            Some(StorageError { kind: StorageErrorKind::Damaged, message })
        };
        match self.fatal().or_else(cut) {
            Some(source) => Err(Error::Storage { operation, source }),
            None => Ok(()),
        }
    }

    /// How the file or its log was cut while it was open, if it was.
    pub fn cut(&self) -> Option<&str> {
        self.cut.get().map(String::as_str)
    }

    /// Notes that the file or its log was cut.
    pub(super) fn set_cut(&self, cut: String) {
        // The first one stays.
        drop(self.cut.set(cut));
    }

    /// The failed flush after which nothing is written any more, if there was one.
    pub fn fatal(&self) -> Option<StorageError> {
        self.fatal.get().cloned()
    }

    /// How the path and the open files differ now.
    pub fn misplaced(&self) -> Option<String> {
        lock(&self.misplaced).clone()
    }

    /// Why the latest write failed; `None` when it succeeded, or when there was none yet.
    pub fn failing(&self) -> Option<StorageError> {
        lock(&self.failing).clone()
    }

    /// Writes that succeeded since the start.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Writes that failed since the start.
    pub fn failed_writes(&self) -> u64 {
        self.failed_writes.load(Ordering::Relaxed)
    }

    /// Whether closing the file could destroy what only the write-ahead log has: SQLite checkpoints at the last close,
    /// and deletes whatever has the log's name.
    pub(super) fn must_stay_open(&self) -> bool {
        self.fatal.get().is_some() || self.cut().is_some() || lock(&self.misplaced).is_some()
    }

    pub(super) fn set_misplaced(&self, difference: Option<String>) {
        *lock(&self.misplaced) = difference;
    }

    /// Notes the outcome of storing records, and hands it on.
    pub(super) fn note_append<T>(&self, outcome: Result<T>) -> Result<T> {
        if outcome.is_ok() {
            *lock(&self.failing) = None;
        }
        self.note(outcome)
    }

    /// Notes the outcome of a write of other tables, and hands it on: damage there does not keep records out.
    pub(super) fn note_other<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(error @ Error::Storage { source, .. }) = &outcome
            && source.kind == StorageErrorKind::Damaged
        {
            self.failed_writes.fetch_add(1, Ordering::Relaxed);
            self.damage.note_write(error);
            return outcome;
        }
        self.note(outcome)
    }

    /// Notes the outcome of a write of the file's own state, which each commit of records may do, and hands it on.
    pub(super) fn note<T>(&self, outcome: Result<T>) -> Result<T> {
        match &outcome {
            Ok(_) => {
                self.writes.fetch_add(1, Ordering::Relaxed);
                // What went elsewhere in the file says nothing about the damage that records met.
                lock(&self.failing).take_if(|source| source.kind != StorageErrorKind::Damaged);
            }
            Err(Error::Storage { source, .. }) => self.note_failure(source),
            Err(_) => {}
        }
        outcome
    }

    /// Notes the outcome of a checkpoint, which only matters when a flush failed.
    pub(super) fn note_checkpoint<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(Error::Storage { source, .. }) = &outcome
            && source.kind == StorageErrorKind::SyncFailed
        {
            self.note_failure(source);
        }
        outcome
    }

    fn note_failure(&self, source: &StorageError) {
        // A statement that is not acceptable says nothing about the file.
        if matches!(source.kind, StorageErrorKind::Statement | StorageErrorKind::Interrupted) {
            return;
        }
        self.failed_writes.fetch_add(1, Ordering::Relaxed);
        *lock(&self.failing) = Some(source.clone());
        if source.kind == StorageErrorKind::SyncFailed && self.fatal.set(source.clone()).is_ok() {
            tracing::error!(
                error = %source,
                "a flush to the disk failed: what the system had not written may be gone, so nothing is written any \
                 more; the next start recovers all acknowledged records from the write-ahead log"
            );
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: StorageErrorKind) -> Result<()> {
        let source = StorageError { kind, message: "words".into() };
        Err(Error::Storage { operation: "committing", source })
    }

    #[test]
    fn a_failure_ends_with_the_next_success_but_a_failed_flush_never_does() {
        let health = StoreHealth::default();
        drop(health.note(failure(StorageErrorKind::DiskFull)));
        assert_eq!(health.failing().unwrap().kind, StorageErrorKind::DiskFull);
        health.may_write().unwrap();
        health.note(Ok(())).unwrap();
        assert!(health.failing().is_none());
        drop(health.note_append(failure(StorageErrorKind::Damaged)));
        health.note(Ok(())).unwrap();
        assert_eq!(health.failing().unwrap().kind, StorageErrorKind::Damaged);
        health.note_append(Ok(())).unwrap();
        assert!(health.failing().is_none());
        drop(health.note_other(failure(StorageErrorKind::Damaged)));
        assert!(health.failing().is_none(), "records go elsewhere");
        assert_eq!(health.damage.last().map(|seen| seen.times), Some(1));
        drop(health.note_other(failure(StorageErrorKind::DiskFull)));
        assert!(health.failing().is_some());
        health.note_other(Ok(())).unwrap();
        drop(health.note_checkpoint(failure(StorageErrorKind::Io)));
        assert!(health.failing().is_none(), "a checkpoint is tried again");
        drop(health.note_checkpoint(failure(StorageErrorKind::SyncFailed)));
        health.note(Ok(())).unwrap();
        let refused = health.may_write().unwrap_err();
        assert_eq!(refused.storage_kind(), Some(StorageErrorKind::SyncFailed));
        assert!(health.must_stay_open());
        assert_eq!((health.writes(), health.failed_writes()), (5, 5));
    }

    #[test]
    fn a_misplaced_file_forbids_writing_until_it_is_back() {
        let health = StoreHealth::default();
        health.set_misplaced(Some("the file was moved".into()));
        let refused = health.may_write().unwrap_err();
        assert!(refused.to_string().contains("the file was moved"), "{refused}");
        health.set_misplaced(None);
        health.may_write().unwrap();
    }
}
