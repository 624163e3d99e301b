//! The hot cache: the last two hours at 1-minute resolution, in bounded memory.
//!
//! It is fed only with committed rows, read back from the file after each of the compactor's runs, and
//! rebuilt from the file at start: losing it costs nothing but time.

mod buffer;
mod slice;
mod slot;
mod store;

pub use buffer::TimeSeriesBuffer;
pub(super) use slice::HotSlice;
pub use store::MetricsStore;
