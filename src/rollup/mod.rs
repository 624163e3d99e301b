//! Rollups: raw rows after the watermark are rolled up; old rows and rollups are deleted.
//!
//! Rollups are a pure function of the raw rows up to the watermark. Late rows, imports of old data
//! and restarts need no special case: each row is added once, to the buckets of its own start, in
//! the transaction that moves the watermark past it.

mod aggregate;
mod check;
mod compactor;
mod pace;
mod rebuild;
mod recompute;
mod retention;
mod salvage;

pub(crate) use check::CheckPlan;
pub use check::{CheckMode, CheckReport, check};
pub use compactor::Compactor;
pub(crate) use pace::SenderLoad;
pub use pace::StepDone;
pub use rebuild::{RebuildReport, rebuild};
pub use retention::{Retention, RetentionReport};
pub use salvage::{SalvageStep, salvage};
