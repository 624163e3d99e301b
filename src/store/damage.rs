//! Damage that reads and writes meet: the latest occurrence, for status reports, and the remedy.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::{Error, StorageErrorKind};
use crate::model::{Clock, Timestamp};

/// The remedy for a damaged file, in an error.
pub(super) const REMEDY: &str = "Restore a backup, or run `chatgauge salvage FILE --into NEW`; `chatgauge check` says what is damaged";

/// Damage that a read or a write met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenDamage {
    /// The operation.
    pub operation: &'static str,
    /// SQLite's message.
    pub message: String,
    /// Time of the latest occurrence; `None` when the store was given no clock.
    pub at: Option<Timestamp>,
    /// Reads and writes that met damage since the start.
    pub times: u64,
}

/// The damage that a store has met since the start.
#[derive(Default)]
pub struct DamageLog {
    clock: OnceLock<Arc<dyn Clock>>,
    last: Mutex<Option<SeenDamage>>,
}

impl std::fmt::Debug for DamageLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DamageLog").field("last", &self.last).finish_non_exhaustive()
    }
}

impl DamageLog {
    /// Sets the clock for later occurrences; only the first call has an effect.
    pub fn stamp_with(&self, clock: Arc<dyn Clock>) {
        self.clock.get_or_init(|| clock);
    }

    /// The latest damage; `None` as long as there was none.
    pub fn last(&self) -> Option<SeenDamage> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes an error of damage, and adds the file and the remedy to it.
    pub(super) fn note(&self, path: &Path, error: Error) -> Error {
        self.note_write(&error);
        named(path, error)
    }

    /// Notes an error of damage.
    pub(super) fn note_write(&self, error: &Error) {
        let Error::Storage { operation, source } = error else { return };
        if source.kind != StorageErrorKind::Damaged {
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(SeenDamage {
            operation,
            message: source.message.clone(),
            at: self.clock.get().map(|clock| clock.now()),
            times: last.as_ref().map_or(0, |last| last.times) + 1,
        });
    }
}

/// Adds the file and the remedy to an error of damage; returns any other error unchanged.
pub(super) fn named(path: &Path, mut error: Error) -> Error {
    if let Error::Storage { source, .. } = &mut error
        && source.kind == StorageErrorKind::Damaged
        && !source.message.contains("chatgauge salvage")
    {
        let path = path.display();
        source.message = format!("{path}: the file is damaged ({}). {REMEDY}", source.message);
    }
    error
}
