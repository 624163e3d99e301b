//! A new file out of a damaged one: what can be read is copied, rollups are recomputed where their requests are there.

use std::path::Path;

use super::recompute::{aggregate_day, kept_levels};
use crate::config::{StoreConfig, Synchronous};
use crate::error::Result;
use crate::model::Timestamp;
use crate::store::{SalvageReport, SalvageSource, SalvageTarget, Store};

/// What a salvage is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SalvageStep {
    /// Reads pages of the damaged file.
    Reading,
    /// Recomputes the rollups of days.
    Recomputing,
}

/// Reads what can be read of a damaged file into `new`, which has its name only when it is whole.
///
/// The damaged file is only read, and SQLite never opens it. `progress` hears of pages read and days recomputed: how
/// many, and of how many.
///
/// # Errors
/// When `new` exists, a server has the damaged file open, that has nothing to read or is newer than this program, or one
/// of the two cannot be opened or written; nothing is left of the new file then.
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

/// Fills the new file at `partial`, and closes it.
fn fill(
    source: &SalvageSource,
    partial: &Path,
    config: &StoreConfig,
    now: Timestamp,
    progress: &mut dyn FnMut(SalvageStep, u64, u64),
) -> Result<SalvageReport> {
    let mut config = config.clone();
    partial.clone_into(&mut config.path);
    // A crash meanwhile costs a file that does not have its name yet.
    config.synchronous = Synchronous::Normal;
    let (store, mut writer) = Store::open(&config)?;
    let mut salvaged = writer
        .salvage_from(source, now, &mut |read, of| progress(SalvageStep::Reading, read, of))?;
    let days = u64::try_from(salvaged.recompute.len()).unwrap_or(u64::MAX);
    for (done, day) in (0..).zip(&salvaged.recompute) {
        progress(SalvageStep::Recomputing, done, days);
        let levels = kept_levels(day);
        let delta = store.read(|reader| {
            let watermark_seq = reader.watermark_seq()?;
            aggregate_day(reader, day.day_ms, watermark_seq)
        })?;
        let parts = delta.parts.into_iter().filter(|part| levels.contains(&part.level));
        writer.replace_rollups(day.day_ms, &levels, parts.collect())?;
    }
    store.read(|reader| reader.count_rows(&mut salvaged.report))?;
    // The writer notes a clean close and is the last one, so that no write-ahead log is left.
    drop(store);
    drop(writer);
    Ok(salvaged.report)
}
