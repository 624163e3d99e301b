//! The health of the store: the outcome of the latest write, and the reasons that forbid further writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::damage::DamageLog;
use crate::error::{Error, Result, StorageError, StorageErrorKind};

/// The health of an open file, shared by the clones of its [`Store`](super::Store) and its writer.
#[derive(Debug, Default)]
pub struct StoreHealth {
    /// The failed flush that has ended all writes.
    fatal: OnceLock<StorageError>,
    /// How the paths and the open files differ; `None` while they do not.
    misplaced: Mutex<Option<String>>,
    /// How the open file or its log was truncated: pages are lost, so writes and checkpoints have ended.
    cut: OnceLock<String>,
    /// Why the latest write failed; `None` when it succeeded.
    failing: Mutex<Option<StorageError>>,
    writes: AtomicU64,
    failed_writes: AtomicU64,
    /// Damage that reads and writes have met since the start.
    pub(super) damage: DamageLog,
}

impl StoreHealth {
    /// Fails while writes are forbidden: forever after a failed flush or a truncation, until it is back for a misplaced
    /// file.
    ///
    /// # Errors
    /// [`SyncFailed`](StorageErrorKind::SyncFailed), [`Damaged`](StorageErrorKind::Damaged) and
    /// [`Misplaced`](StorageErrorKind::Misplaced).
    pub fn may_write(&self) -> Result<()> {
        self.is_whole("writing")?;
        let Some(message) = self.misplaced() else { return Ok(()) };
        let source = StorageError { kind: StorageErrorKind::Misplaced, message };
        Err(Error::Storage { operation: "writing", source })
    }

    /// Fails after a failed flush or a truncation, which forbid writes and checkpoints forever: these could recycle or
    /// overwrite the only good copy.
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

    /// How the file or its log was truncated while it was open, if it was.
    pub fn cut(&self) -> Option<&str> {
        self.cut.get().map(String::as_str)
    }

    /// Notes that the file or its log was truncated.
    pub(super) fn set_cut(&self, cut: String) {
        // The first one stays.
        drop(self.cut.set(cut));
    }

    /// The failed flush that has ended all writes, if there was one.
    pub fn fatal(&self) -> Option<StorageError> {
        self.fatal.get().cloned()
    }

    /// How the paths and the open files differ; `None` while they do not.
    pub fn misplaced(&self) -> Option<String> {
        locked(&self.misplaced).clone()
    }

    /// Why the latest write failed; `None` when it succeeded, or when there was none yet.
    pub fn failing(&self) -> Option<StorageError> {
        locked(&self.failing).clone()
    }

    /// Writes that succeeded since the start.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Writes that failed since the start.
    pub fn failed_writes(&self) -> u64 {
        self.failed_writes.load(Ordering::Relaxed)
    }

    /// Whether closing the file could destroy records that only the write-ahead log has: SQLite checkpoints at the last
    /// close, and deletes any file that has the log's name.
    pub(super) fn must_stay_open(&self) -> bool {
        self.fatal.get().is_some() || self.cut().is_some() || locked(&self.misplaced).is_some()
    }

    pub(super) fn set_misplaced(&self, difference: Option<String>) {
        *locked(&self.misplaced) = difference;
    }

    /// Notes the outcome of storing records, and returns it.
    pub(super) fn note_append<T>(&self, outcome: Result<T>) -> Result<T> {
        if outcome.is_ok() {
            *locked(&self.failing) = None;
        }
        self.note(outcome)
    }

    /// Notes the outcome of a write of other tables, and returns it. Damage there does not prevent storing records.
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

    /// Notes the outcome of a write of the file's own state, which a commit of records may contain, and returns it.
    pub(super) fn note<T>(&self, outcome: Result<T>) -> Result<T> {
        match &outcome {
            Ok(_) => {
                self.writes.fetch_add(1, Ordering::Relaxed);
                // A write elsewhere in the file proves nothing about the damage that records met.
                locked(&self.failing).take_if(|source| source.kind != StorageErrorKind::Damaged);
            }
            Err(Error::Storage { source, .. }) => self.note_failure(source),
            Err(_) => {}
        }
        outcome
    }

    /// Notes the outcome of a checkpoint, if a flush failed, and returns it.
    pub(super) fn note_checkpoint<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(Error::Storage { source, .. }) = &outcome
            && source.kind == StorageErrorKind::SyncFailed
        {
            self.note_failure(source);
        }
        outcome
    }

    fn note_failure(&self, source: &StorageError) {
        // An invalid or interrupted statement proves nothing about the file.
        if matches!(source.kind, StorageErrorKind::Statement | StorageErrorKind::Interrupted) {
            return;
        }
        self.failed_writes.fetch_add(1, Ordering::Relaxed);
        *locked(&self.failing) = Some(source.clone());
        if source.kind == StorageErrorKind::SyncFailed && self.fatal.set(source.clone()).is_ok() {
            tracing::error!(
                error = %source,
                "a flush to the disk failed: unwritten pages may be lost, so the server stops writing; the next start \
                 recovers all acknowledged records from the write-ahead log"
            );
        }
    }
}

/// Locks a mutex, also after a panic of another holder.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
        assert!(health.failing().is_none(), "a failed checkpoint is retried");
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
