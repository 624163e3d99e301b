//! The distribution of a latency: exact values from raw rows, or a sketch from rollups.

use super::Sketch;
use super::quantile::exact_quantile;

/// Values for quantiles.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Every value, in microseconds.
    Exact(Vec<u64>),
    /// Within [`RELATIVE_ERROR`](super::sketch::RELATIVE_ERROR).
    Sketch(Sketch),
}

impl Distribution {
    /// An empty sketch.
    pub fn sketch() -> Self {
        Self::Sketch(Sketch::default())
    }

    /// An empty distribution that keeps exact values.
    pub const fn exact() -> Self {
        Self::Exact(Vec::new())
    }

    /// Adds one value, in microseconds.
    pub fn add(&mut self, value_us: u64) {
        match self {
            Self::Exact(values) => values.push(value_us),
            Self::Sketch(sketch) => sketch.add(value_us),
        }
    }

    /// Merges `other`; exact values merged with a sketch become a sketch.
    pub fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Exact(mine), Self::Exact(theirs)) => mine.extend_from_slice(theirs),
            (Self::Sketch(mine), Self::Sketch(theirs)) => mine.merge(theirs),
            (Self::Sketch(mine), Self::Exact(theirs)) => {
                theirs.iter().for_each(|value| mine.add(*value));
            }
            (Self::Exact(_), Self::Sketch(_)) => {
                self.as_sketch_mut();
                self.merge(other);
            }
        }
    }

    /// This distribution as a sketch; exact values are converted.
    pub fn as_sketch_mut(&mut self) -> &mut Sketch {
        if let Self::Exact(values) = self {
            let mut sketch = Sketch::default();
            values.iter().for_each(|value| sketch.add(*value));
            *self = Self::Sketch(sketch);
        }
        match self {
            Self::Sketch(sketch) => sketch,
            Self::Exact(_) => unreachable!("just converted"),
        }
    }

    /// Merges several distributions; exact values merged with a sketch become a sketch.
    pub fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let (mut sum, mut sketches) = (Self::exact(), Vec::new());
        for part in parts {
            match part {
                Self::Exact(_) => sum.merge(part),
                Self::Sketch(sketch) => sketches.push(sketch),
            }
        }
        if sketches.is_empty() {
            return sum;
        }
        let exact = std::mem::take(sum.as_sketch_mut());
        Self::Sketch(Sketch::sum(sketches.into_iter().chain([&exact])))
    }

    /// The value at quantile `q` by nearest rank, in microseconds; `None` when empty.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        match self {
            Self::Exact(values) => exact_quantile(&mut values.clone(), q).map(|value| value as f64),
            Self::Sketch(sketch) => sketch.quantile(q),
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Exact(values) => values.capacity() * 8,
            Self::Sketch(sketch) => sketch.heap_bytes(),
        }
    }
}
