//! The hot cache: the last two hours by minute, in bounded memory.
//!
//! It holds only committed rows, which it reads back from the file after each run of the compactor. A restart loses
//! nothing: the cache is rebuilt from the file.

mod buffer;
mod minute;
mod slice;
mod store;

pub use buffer::TimeSeriesBuffer;
pub(super) use slice::HotSlice;
pub(super) use store::MetricsStore;
