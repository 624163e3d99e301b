//! A bin of a sketch: index and count.

/// Number of bins; 2^64 µs falls into the last one.
pub(super) const BINS: u16 = 2_221;

/// Index and count (never 0) in ten bytes, because sketches are the largest part of query results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed)]
pub(super) struct Bin {
    pub(super) index: u16,
    pub(super) count: u64,
}

impl Bin {
    pub(super) const fn new(index: u16, count: u64) -> Self {
        Self { index, count }
    }
}
