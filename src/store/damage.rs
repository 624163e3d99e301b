//! Damage that reads and writes meet: what was seen last, for whoever tells how the program is doing, and what to do about it.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::{Error, StorageError};
use crate::model::{Clock, Timestamp};

/// What a person does about a damaged file.
pub(super) const REMEDY: &str = "Restore a backup, or run `chatgauge salvage FILE --into NEW`; `chatgauge check` says what is damaged";

/// Damage that a read or a write met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenDamage {
    /// What was attempted.
    pub operation: &'static str,
    /// What SQLite said.
    pub message: String,
    /// When it was met last; `None` when the store was given no clock.
    pub at: Option<Timestamp>,
    /// Reads and writes that met damage since the start.
    pub times: u64,
}

/// The damage that a store has met since the start, shared by its clones.
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
    /// Says from now on when damage was met; the first clock that is given stays.
    pub fn stamp_with(&self, clock: Arc<dyn Clock>) {
        self.clock.get_or_init(|| clock);
    }

    /// The damage that was met last; `None` as long as there was none.
    pub fn last(&self) -> Option<SeenDamage> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes an error when it is damage; it then names the file and what to do.
    pub(super) fn note(&self, path: &Path, error: Error) -> Error {
        self.note_write(&error);
        named(path, error)
    }

    /// Notes the error of a write when it is damage.
    pub(super) fn note_write(&self, error: &Error) {
        let Error::Storage { operation, source } = error else { return };
        if !error.is_damage() {
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

/// An error of damage with the file and the remedy; any other error as it is.
pub(super) fn named(path: &Path, error: Error) -> Error {
    match error {
        Error::Storage { operation, source } if !source.message.contains("chatgauge salvage") => {
            let is_damage = source.kind == crate::error::StorageErrorKind::Damaged;
            let message = if is_damage {
                format!("{}: the file is damaged ({}). {REMEDY}", path.display(), source.message)
            } else {
                source.message
            };
            Error::Storage { operation, source: StorageError { kind: source.kind, message } }
        }
        other => other,
    }
}
