//! Backups: a consistent copy of the database of a running server, its restore, and scheduled
//! backups.
//!
//! A copy is made in a staging directory beside its target, flushed and verified there, and then
//! renamed. However the process ends, a file with the name of a backup is complete.

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

/// The progress of a backup or a restore.
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

/// What a long copy needs from its caller.
pub struct CopyWatch<'a> {
    /// The clock for the rate limit.
    pub clock: &'a dyn Clock,
    /// Waits for a duration, or until the copy is cancelled.
    pub wait: &'a mut dyn FnMut(Duration),
    /// Cancels the copy when it becomes true.
    pub stop: Arc<AtomicBool>,
    /// Called after each step.
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
