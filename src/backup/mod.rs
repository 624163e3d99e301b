//! Backups: a consistent copy of the database beside a running server, its way back, and dated copies by schedule.
//!
//! A copy is made in a directory of its own beside its target, finished, flushed and verified there, and
//! gets its name by one rename: whatever ends the process, a file with the name of a backup is a whole one.

mod copy;
mod flow;
mod keys;
mod make;
mod names;
mod restore;
mod rotation;
mod schedule;
mod staging;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use make::{BackupJob, BackupReport, BackupRequest, CopiedBackup, VERIFIED};
pub use names::key_beside;
pub use restore::{RestoreReport, RestoreRequest, restore};
pub use rotation::{DatedBackup, DatedBackups, FoundBackups, PrunedBackups};
pub use schedule::next_due;

use crate::error::{Error, Result};
use crate::model::Clock;

/// How far a backup or a restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyStage {
    /// Pages are being copied.
    Copying {
        /// Bytes copied so far.
        copied_bytes: u64,
        /// Bytes of the whole database.
        total_bytes: u64,
    },
    /// The copy is read back from the disk, and then checked.
    Verifying {
        /// Bytes read back so far.
        read_bytes: u64,
        /// Bytes of the copy.
        total_bytes: u64,
    },
}

/// What a long copy needs of its caller: the time, rests, the wish to stop, and an eye for its progress.
pub struct CopyWatch<'a> {
    /// Measures the rate.
    pub clock: &'a dyn Clock,
    /// Waits for a duration, or shorter when the copy is to stop.
    pub wait: &'a mut dyn FnMut(Duration),
    /// Ends the copy when it becomes true.
    pub stop: Arc<AtomicBool>,
    /// Is told after each step.
    pub progress: &'a mut dyn FnMut(CopyStage),
}

impl std::fmt::Debug for CopyWatch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyWatch").field("stop", &self.stop).finish_non_exhaustive()
    }
}

impl CopyWatch<'_> {
    fn check(&self) -> Result<()> {
        if self.stop.load(Ordering::SeqCst) { Err(Error::Closed) } else { Ok(()) }
    }

    fn rest(&mut self, duration: Duration) -> Result<()> {
        if !duration.is_zero() {
            (self.wait)(duration);
        }
        self.check()
    }
}
