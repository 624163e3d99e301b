//! A bin of a sketch: where its values are, and how many.

/// Bins that values fall in: 2^64 µs falls in the last.
pub(super) const BINS: u16 = 2_221;

/// An index and a count, which is not 0, in ten bytes: sketches are most of what answers hold.
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
