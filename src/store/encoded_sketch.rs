//! A sketch as it is stored: its bytes, and percentiles as plain numbers.

use crate::model::{LatencyKind, Sketch};

/// The percentiles that rows contain as plain numbers, with the suffixes of their columns.
pub(super) const PERCENTILES: [(&str, f64); 3] =
    [("p50_us", 0.50), ("p95_us", 0.95), ("p99_us", 0.99)];

/// A sketch as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedSketch {
    pub(super) percentiles_us: [i64; 3],
    bytes: Vec<u8>,
}

impl EncodedSketch {
    /// The stored form of a sketch; `None` when it is empty.
    pub fn of(sketch: &mut Sketch) -> Option<Self> {
        if sketch.is_empty() {
            return None;
        }
        // First, because it sorts the values, which each percentile would otherwise do again.
        let bytes = sketch.encode();
        let percentiles_us = PERCENTILES.map(|(_, q)| rounded(sketch.quantile(q)));
        Some(Self { percentiles_us, bytes })
    }

    /// The encoded sketch.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// This sketch merged with a stored one; `None` when one of them is damaged.
    pub(super) fn merged_with(&self, stored: &[u8]) -> Option<Self> {
        let mut sketch = Sketch::decode(&self.bytes)?;
        sketch.merge_encoded(stored)?;
        Self::of(&mut sketch)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a sketch's value is far below 2^63 µs")]
fn rounded(quantile_us: Option<f64>) -> i64 {
    quantile_us.unwrap_or(0.0).round() as i64
}

/// The name of the column of a latency's sketch.
pub(super) fn sketch_column(kind: LatencyKind) -> String {
    format!("{}_sketch", kind.as_str())
}
