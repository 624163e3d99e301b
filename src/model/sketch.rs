//! A mergeable quantile sketch with a bounded relative error.
//!
//! It uses the logarithmic bins of `DDSketch` (Masson, Rim, Lee: "DDSketch: a fast and
//! fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019, section 2): bin `i`
//! holds the values in `(γ^(i-1), γ^i]` with `γ = (1 + α) / (1 - α)`, and its estimate `2γ^i / (γ +
//! 1)` is within `α` of every value in the bin. Bins are sparse, because most rollup rows hold few
//! requests; the encoding (`sketch_code.rs`) takes a few bits per bin.

use super::bin::{BINS, Bin};
use super::sketch_code;

/// Relative error of a quantile: 1 %.
pub const RELATIVE_ERROR: f64 = 0.01;

const GAMMA: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);
/// `1 / ln(GAMMA)`; `ln` is not a const function.
const INVERSE_LN_GAMMA: f64 = 49.998_333_288_886_78;
/// Number of pending values at which they are sorted into the bins.
const PENDING_LIMIT: usize = 256;

/// Number of values from which a counting sort is faster (measured: 48 to 64).
const COUNTING_SORT_MIN: usize = 48;

/// A sketch of durations in microseconds.
///
/// Takes about 10 bytes per distinct bin; values from 1 µs to one day use at most 1,260 bins.
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
    /// Sorted by index; no count is 0.
    bins: Vec<Bin>,
    /// Number of values in the bins.
    folded: u64,
    pending: Vec<u16>,
}

fn value_of(bin: u16) -> f64 {
    if bin == 0 { 0.0 } else { 2.0 * GAMMA.powi(i32::from(bin) - 1) / (GAMMA + 1.0) }
}

/// Sorts at most [`PENDING_LIMIT`] values into bins in ascending order, with exact capacity; may
/// reorder `values`.
fn folded(values: &mut [u16]) -> Vec<Bin> {
    if values.len() >= COUNTING_SORT_MIN && values.iter().all(|bin| *bin < BINS) {
        return counted(values);
    }
    values.sort_unstable();
    let distinct = 1 + values.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let mut bins = Vec::with_capacity(distinct);
    bins.extend(values.chunk_by(|a, b| a == b).map(|run| Bin::new(run[0], run.len() as u64)));
    bins
}

/// Sorts values with a counting sort, which is several times faster for enough values.
fn counted(values: &[u16]) -> Vec<Bin> {
    let mut counts = [0_u16; BINS as usize];
    let (mut low, mut high, mut distinct) = (usize::MAX, 0, 0);
    for place in values.iter().map(|bin| usize::from(*bin)) {
        distinct += usize::from(counts[place] == 0);
        counts[place] += 1;
        (low, high) = (low.min(place), high.max(place));
    }
    let mut bins = Vec::with_capacity(distinct);
    let in_range = (0_u16..).zip(counts).take(high + 1).skip(low).filter(|(_, count)| *count > 0);
    bins.extend(in_range.map(|(bin, count)| Bin::new(bin, u64::from(count))));
    bins
}

/// Bounds of the values in a bin, in microseconds: `(low, high]`.
pub fn bin_bounds_us(bin: u16) -> (f64, f64) {
    match bin {
        0 => (0.0, 0.0),
        _ => (GAMMA.powi(i32::from(bin) - 2), GAMMA.powi(i32::from(bin) - 1)),
    }
}

impl Sketch {
    /// Index of the bin of a value in microseconds.
    pub fn bin_of(value_us: u64) -> u16 {
        if value_us == 0 {
            return 0;
        }
        #[expect(
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

    /// Whether the sketch has no values.
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty() && self.pending.is_empty()
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.folded.saturating_add(self.pending.len() as u64)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.bins.capacity() * size_of::<Bin>() + self.pending.capacity() * 2
    }

    /// Merges `other`.
    pub fn merge(&mut self, other: &Self) {
        other.pending.iter().for_each(|bin| self.add_bin(*bin));
        self.merge_sorted(&other.bins);
    }

    fn fold(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let folded = folded(&mut self.pending);
        self.pending.clear();
        if self.bins.is_empty() {
            self.folded = self.folded.saturating_add(values_in(&folded));
            self.bins = folded;
        } else {
            self.merge_sorted(&folded);
        }
    }

    /// Merges bins in ascending order.
    fn merge_sorted(&mut self, theirs: &[Bin]) {
        if self.bins.is_empty() {
            self.bins = theirs.to_vec();
        } else if !theirs.is_empty() {
            self.bins = merged(&self.bins, theirs);
        }
        self.folded = self.folded.saturating_add(values_in(theirs));
    }

    /// Bins and their counts, in ascending order.
    pub fn bins(&mut self) -> impl ExactSizeIterator<Item = (u16, u64)> {
        self.fold();
        self.bins.iter().map(|bin| (bin.index, bin.count))
    }

    /// Merges several sketches in one pass over their bins.
    pub fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut counts = vec![0_u64; usize::from(BINS)];
        let mut add = |bin: u16, count: u64| {
            let place = usize::from(bin);
            if place >= counts.len() {
                counts.resize(place + 1, 0);
            }
            counts[place] = counts[place].saturating_add(count);
        };
        for part in parts {
            part.bins.iter().for_each(|bin| add(bin.index, bin.count));
            part.pending.iter().for_each(|bin| add(*bin, 1));
        }
        Self::from_bins((0..).zip(counts).filter(|(_, count)| *count > 0))
    }

    /// The value at quantile `q` in `0..=1` by nearest rank, in microseconds, within
    /// [`RELATIVE_ERROR`]; `None` if empty.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if !self.pending.is_empty() {
            let mut folded = self.clone();
            folded.fold();
            return folded.quantile(q);
        }
        let rank = super::quantile::nearest_rank(self.folded, q)?;
        let above = self.folded - 1 - rank;
        let bin = if above < rank {
            nth_value(self.bins.iter().rev(), above)
        } else {
            nth_value(self.bins.iter(), rank)
        };
        bin.map(value_of)
    }

    /// Encodes the sketch with a few bits per bin.
    pub fn encode(&mut self) -> Vec<u8> {
        self.fold();
        sketch_code::encode(&self.bins)
    }

    /// Merges an encoded sketch; `None`, without any change, if the bytes are invalid.
    pub fn merge_encoded(&mut self, bytes: &[u8]) -> Option<()> {
        self.fold();
        let bins = sketch_code::decode(bytes)?;
        if self.bins.is_empty() {
            *self = Self::of(bins);
        } else {
            self.merge_sorted(&bins);
        }
        Some(())
    }

    /// Decodes the output of [`Self::encode`].
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self::of(sketch_code::decode(bytes)?))
    }

    /// A sketch of bins in ascending order with counts above 0.
    pub(crate) fn from_bins(bins: impl IntoIterator<Item = (u16, u64)>) -> Self {
        Self::of(bins.into_iter().map(|(index, count)| Bin::new(index, count)).collect())
    }

    fn of(bins: Vec<Bin>) -> Self {
        Self { folded: values_in(&bins), bins, pending: Vec::new() }
    }
}

fn values_in(bins: &[Bin]) -> u64 {
    bins.iter().fold(0, |values, bin| values.saturating_add(bin.count))
}

/// Index of the bin that contains the value at position `nth`, counted in the order of `bins`.
fn nth_value<'a>(bins: impl Iterator<Item = &'a Bin>, nth: u64) -> Option<u16> {
    let mut seen = 0_u64;
    for bin in bins {
        seen = seen.saturating_add(bin.count);
        if seen > nth {
            return Some(bin.index);
        }
    }
    None
}

/// Merges the bins of two sketches, in ascending order.
fn merged(mine: &[Bin], theirs: &[Bin]) -> Vec<Bin> {
    let mut merged = Vec::with_capacity(mine.len() + theirs.len());
    let (mut mine, mut theirs) = (mine, theirs);
    while let ([a, mine_after @ ..], [b, theirs_after @ ..]) = (mine, theirs) {
        let is_mine = a.index <= b.index;
        let is_theirs = b.index <= a.index;
        let count_of = |is_there: bool, bin: &Bin| if is_there { bin.count } else { 0 };
        let count = count_of(is_mine, a).saturating_add(count_of(is_theirs, b));
        merged.push(Bin::new(a.index.min(b.index), count));
        mine = if is_mine { mine_after } else { mine };
        theirs = if is_theirs { theirs_after } else { theirs };
    }
    merged.extend_from_slice(mine);
    merged.extend_from_slice(theirs);
    // Most bins are in both, so the capacity was too large.
    merged.shrink_to_fit();
    merged
}

/// Sketches are equal if their bins are, whether or not values are still pending.
impl PartialEq for Sketch {
    fn eq(&self, other: &Self) -> bool {
        self.clone().bins().eq(other.clone().bins())
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
        fn a_sum_equals_a_merge(parts in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..30), 0..6)) {
            let sketches: Vec<Sketch> = parts
                .iter()
                .zip(0..)
                .map(|(values, nth)| {
                    let mut sketch = Sketch::default();
                    values.iter().for_each(|value| sketch.add(*value));
                    // Some sketches have pending values, others do not.
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
    fn invalid_sketches_are_rejected() {
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
            let rank = super::super::quantile::nearest_rank(values.len() as u64, q).unwrap();
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
