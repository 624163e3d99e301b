//! Salvage: copies the readable data of a damaged file to a new file, and recomputes the rollups of
//! the days that have their requests.

use std::path::Path;

use super::recompute::{aggregate_day, kept_levels, kept_parts};
use crate::config::{StoreConfig, Synchronous};
use crate::error::Result;
use crate::model::Timestamp;
use crate::store::{SalvageReport, SalvageSource, SalvageTarget, Store};

/// The stage of a salvage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SalvageStep {
    /// Reading pages of the damaged file.
    Reading,
    /// Recomputing the rollups of days.
    Recomputing,
}

/// Copies the readable data of a damaged file to `new`, which gets its name only when it is
/// complete.
///
/// The damaged file is only read, and never opened with SQLite. `progress` is called with the
/// number of pages read or days recomputed, and the total.
///
/// # Errors
/// When `new` exists, a server has the damaged file open, the damaged file contains nothing
/// readable or is of a newer version, or one of the files cannot be opened or written. The new file
/// is then removed.
pub fn salvage(
    source: &SalvageSource,
    new: &Path,
    config: &StoreConfig,
    now: Timestamp,
    progress: &mut dyn FnMut(SalvageStep, u64, u64),
) -> Result<SalvageReport> {
    let target = SalvageTarget::prepare(&source.path, new)?;
    let report = fill(source, target.partial(), config, now, progress);
    target.finish(report)
}

/// Fills the new file at `partial` and closes it.
fn fill(
    source: &SalvageSource,
    partial: &Path,
    config: &StoreConfig,
    now: Timestamp,
    progress: &mut dyn FnMut(SalvageStep, u64, u64),
) -> Result<SalvageReport> {
    let mut config = config.clone();
    partial.clone_into(&mut config.path);
    // A crash costs only the unfinished file, so full durability is not needed.
    config.synchronous = Synchronous::Normal;
    let (store, mut writer) = Store::open(&config)?;
    let mut salvaged = writer
        .salvage_from(source, now, &mut |read, of| progress(SalvageStep::Reading, read, of))?;
    let days = u64::try_from(salvaged.recompute.len()).unwrap_or(u64::MAX);
    for (done, day) in (0..).zip(&salvaged.recompute) {
        progress(SalvageStep::Recomputing, done, days);
        let delta = store.read(|reader| aggregate_day(reader, day.day_ms))?;
        writer.replace_rollups(day.day_ms, &kept_levels(day), kept_parts(day, delta))?;
    }
    store.read(|reader| reader.count_rows(&mut salvaged.report))?;
    // Dropped last, the writer records a clean close and leaves no write-ahead log.
    drop(store);
    drop(writer);
    Ok(salvaged.report)
}
