//! A mergeable quantile sketch with a stated relative error.
//!
//! The logarithmic bins of `DDSketch` (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable
//! quantile sketch with relative-error guarantees", VLDB 2019, section 2): bin `i` holds the values in
//! `(γ^(i-1), γ^i]` with `γ = (1 + α) / (1 - α)`, and answers with `2γ^i / (γ + 1)`, which is within
//! `α` of every value in the bin. Bins are kept sparse, because most rollup rows hold few requests;
//! the encoding (`sketch_code.rs`) is a few bits a bin.

use super::sketch_code;

/// The relative error of a quantile: 1 %.
pub const RELATIVE_ERROR: f64 = 0.01;

const GAMMA: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);
/// `1 / ln(GAMMA)`; `ln` is not a const function.
const INVERSE_LN_GAMMA: f64 = 49.998_333_288_886_78;
/// Unsorted indices are folded into the bins once there are this many.
const PENDING_LIMIT: usize = 256;

/// A sketch of durations in microseconds.
///
/// Takes about 16 bytes a distinct bin; values from 1 µs to one day fall in at most 1,260 bins.
///
/// # Example
/// ```
/// use chatgauge::model::Sketch;
/// let mut sketch = Sketch::default();
/// (1..=1000).for_each(|ms| sketch.add(ms * 1_000));
/// let p95 = sketch.quantile(0.95).unwrap();
/// assert!((p95 / 950_000.0 - 1.0).abs() <= 0.01);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    /// Sorted by index; counts are not 0.
    bins: Vec<(u16, u64)>,
    pending: Vec<u16>,
}

/// Bins that values fall in: 2^64 µs falls in the last.
const BINS: usize = 2_221;

fn value_of(bin: u16) -> f64 {
    if bin == 0 { 0.0 } else { 2.0 * GAMMA.powi(i32::from(bin) - 1) / (GAMMA + 1.0) }
}

/// The smallest bounds, in microseconds, of the values that a bin index stands for: `(low, high]`.
pub fn bin_bounds_us(bin: u16) -> (f64, f64) {
    match bin {
        0 => (0.0, 0.0),
        _ => (GAMMA.powi(i32::from(bin) - 2), GAMMA.powi(i32::from(bin) - 1)),
    }
}

impl Sketch {
    /// The index of the bin that a value in microseconds falls in.
    pub fn bin_of(value_us: u64) -> u16 {
        if value_us == 0 {
            return 0;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float-to-int cast saturates, and 2^64 µs falls in bin 2,219"
        )]
        let index = ((value_us as f64).ln() * INVERSE_LN_GAMMA).ceil() as u16;
        index + 1
    }

    /// Adds one value, in microseconds.
    pub fn add(&mut self, value_us: u64) {
        self.add_bin(Self::bin_of(value_us));
    }

    /// Adds one value by its [bin](Self::bin_of).
    pub fn add_bin(&mut self, bin: u16) {
        self.pending.push(bin);
        if self.pending.len() >= PENDING_LIMIT {
            self.fold();
        }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty() && self.pending.is_empty()
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        let pending = u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
        self.bins.iter().map(|(_, count)| count).sum::<u64>() + pending
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.bins.capacity() * size_of::<(u16, u64)>() + self.pending.capacity() * 2
    }

    /// Adds all values of `other`.
    pub fn merge(&mut self, other: &Self) {
        for bin in &other.pending {
            self.pending.push(*bin);
        }
        self.fold();
        self.merge_sorted(other.bins.iter().copied());
    }

    fn fold(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_unstable();
        self.merge_sorted(pending.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64)));
        pending.clear();
        self.pending = pending;
    }

    /// Merges bins that come in ascending order.
    fn merge_sorted(&mut self, other: impl Iterator<Item = (u16, u64)>) {
        let mut other = other.peekable();
        if other.peek().is_none() {
            return;
        }
        let mine = std::mem::take(&mut self.bins);
        let mut merged = Vec::with_capacity(mine.len() + other.size_hint().0);
        let mut mine = mine.into_iter().peekable();
        loop {
            match (mine.peek().copied(), other.peek().copied()) {
                (Some(a), Some(b)) if a.0 == b.0 => {
                    merged.push((a.0, a.1 + b.1));
                    mine.next();
                    other.next();
                }
                (Some(a), Some(b)) if a.0 < b.0 => {
                    merged.push(a);
                    mine.next();
                }
                (_, Some(b)) => {
                    merged.push(b);
                    other.next();
                }
                (Some(a), None) => {
                    merged.push(a);
                    mine.next();
                }
                (None, None) => break,
            }
        }
        self.bins = merged;
    }

    /// The bins in ascending order with their counts.
    pub fn bins(&mut self) -> &[(u16, u64)] {
        self.fold();
        &self.bins
    }

    /// All values of several sketches: each bin is looked at once, which merging one after the other does not do.
    pub fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut counts = vec![0_u64; BINS];
        let mut add = |bin: u16, count: u64| {
            let place = usize::from(bin);
            if place >= counts.len() {
                counts.resize(place + 1, 0);
            }
            counts[place] = counts[place].saturating_add(count);
        };
        for part in parts {
            part.bins.iter().for_each(|(bin, count)| add(*bin, *count));
            part.pending.iter().for_each(|bin| add(*bin, 1));
        }
        let bins = (0..).zip(counts).filter(|(_, count)| *count > 0);
        Self::from_bins(bins.collect())
    }

    /// The value at quantile `q` in `0..=1` by nearest rank, in microseconds, within
    /// [`RELATIVE_ERROR`]; `None` when empty.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if !self.pending.is_empty() {
            let mut folded = self.clone();
            folded.fold();
            return folded.quantile(q);
        }
        let rank = super::stats::nearest_rank(self.count(), q)?;
        let mut seen = 0;
        for (bin, count) in &self.bins {
            seen += count;
            if seen > rank {
                return Some(value_of(*bin));
            }
        }
        None
    }

    /// The sketch as bytes: a few bits for each bin.
    pub fn encode(&mut self) -> Vec<u8> {
        self.fold();
        sketch_code::encode(&self.bins)
    }

    /// Adds the values of an encoded sketch; `None`, and nothing added, when the bytes are not one.
    pub fn merge_encoded(&mut self, bytes: &[u8]) -> Option<()> {
        self.fold();
        let bins = sketch_code::decode(bytes)?;
        if self.bins.is_empty() {
            self.bins = bins;
        } else {
            self.merge_sorted(bins.into_iter());
        }
        Some(())
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self { bins: sketch_code::decode(bytes)?, pending: Vec::new() })
    }

    /// A sketch of these bins, which ascend and have counts above 0.
    pub(crate) const fn from_bins(bins: Vec<(u16, u64)>) -> Self {
        Self { bins, pending: Vec::new() }
    }
}

/// Two sketches are equal when they hold the same bins, whatever is not folded yet.
impl PartialEq for Sketch {
    fn eq(&self, other: &Self) -> bool {
        self.clone().bins() == other.clone().bins()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_inverse_logarithm_is_that_of_gamma() {
        assert!((INVERSE_LN_GAMMA - 1.0 / GAMMA.ln()).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn a_sum_is_what_merging_gives(parts in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..30), 0..6)) {
            let sketches: Vec<Sketch> = parts
                .iter()
                .zip(0..)
                .map(|(values, nth)| {
                    let mut sketch = Sketch::default();
                    values.iter().for_each(|value| sketch.add(*value));
                    // Some are folded, some are not.
                    if nth % 2 == 0 {
                        sketch.fold();
                    }
                    sketch
                })
                .collect();
            let mut merged = Sketch::default();
            sketches.iter().for_each(|sketch| merged.merge(sketch));
            prop_assert_eq!(Sketch::sum(&sketches), merged);
        }
    }

    #[test]
    fn bytes_that_are_no_sketch_are_refused() {
        assert_eq!(Sketch::decode(&[0x80]), None);
        assert_eq!(Sketch::decode(&[0x00; 12]), None);
        assert_eq!(Sketch::decode(&[]), Some(Sketch::default()));
    }

    proptest! {
        #[test]
        fn quantiles_are_within_the_stated_error(
            mut values in prop::collection::vec(0u64..200_000_000, 1..600), q in 0.0f64..=1.0,
        ) {
            let mut sketch = Sketch::default();
            values.iter().for_each(|value| sketch.add(*value));
            values.sort_unstable();
            let rank = super::super::stats::nearest_rank(values.len() as u64, q).unwrap();
            let exact = values[usize::try_from(rank).unwrap()] as f64;
            let answer = sketch.quantile(q).unwrap();
            prop_assert!((answer - exact).abs() <= exact * RELATIVE_ERROR * 1.000_001, "{answer} {exact}");
        }

        #[test]
        fn merging_in_any_split_equals_adding_all(
            values in prop::collection::vec(any::<u64>(), 0..900), cut in 0usize..900,
        ) {
            let cut = cut.min(values.len());
            let (mut all, mut left, mut right) =
                (Sketch::default(), Sketch::default(), Sketch::default());
            values.iter().for_each(|value| all.add(*value));
            values[..cut].iter().for_each(|value| left.add(*value));
            values[cut..].iter().for_each(|value| right.add(*value));
            let mut through_bytes = Sketch::decode(&left.encode()).unwrap();
            through_bytes.merge_encoded(&right.encode()).unwrap();
            left.merge(&right);
            prop_assert_eq!(&left, &all);
            prop_assert_eq!(&through_bytes, &all);
            prop_assert_eq!(all.count(), values.len() as u64);
        }
    }
}
