//! Bit encoding of sketch bins in rollup rows.
//!
//! Three bits contain the order `k`, twelve bits the first bin. For each bin follow its distance
//! from the previous one, minus one, in an exponential Golomb code of order `k`, and its count in
//! the Elias gamma code (Elias, "Universal codeword sets and representations of the integers",
//! 1975; Teuhola, "A compression method for clustered bit-vectors", 1978). Adjacent bins with one
//! request each take two bits, a sketch of one request two bytes. Bits fill bytes from the lowest;
//! the rest of the last byte is zero.

use super::bin::{BINS, Bin};

/// Bits of `k`, which is at most 7.
const ORDER_BITS: u32 = 3;
/// Bits of the first bin; the maximum is 2,220.
const FIRST_BITS: u32 = 12;
/// Maximum number of bits of a count; larger counts saturate.
const COUNT_BITS: u32 = 56;

/// Encodes bins in ascending order with counts above 0; empty without bins.
pub(super) fn encode(bins: &[Bin]) -> Vec<u8> {
    let (Some(first), Some(last)) = (bins.first(), bins.last()) else {
        return Vec::new();
    };
    let (first, last) = (first.index, last.index);
    let mut bits = BitWriter { bytes: Vec::with_capacity(bins.len() + 4), held: 0, length: 0 };
    let order = order(bins.len(), first, last);
    bits.put(u64::from(order), ORDER_BITS);
    bits.put(u64::from(first), FIRST_BITS);
    let mut previous = None;
    for bin in bins {
        let Bin { index, count } = *bin;
        if let Some(previous) = previous {
            let step = u64::from(index - previous) - 1;
            bits.gamma((step >> order) + 1);
            bits.put(step & ((1 << order) - 1), order);
        }
        bits.gamma(count.min((1 << COUNT_BITS) - 1));
        previous = Some(index);
    }
    bits.finish()
}

/// The best order for the mean step.
fn order(bins: usize, first: u16, last: u16) -> u32 {
    let steps = (bins as u64).saturating_sub(1);
    let mean = u64::from(last - first).checked_div(steps).unwrap_or(1);
    mean.max(1).ilog2().min(7)
}

/// Decodes bins; `None` if the bytes are invalid.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Bin>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let mut bins = Vec::with_capacity(bytes.len() * 2);
    let mut bits = BitReader { bytes, held: 0, length: 0 };
    let order = u32::try_from(bits.take(ORDER_BITS)?).ok()?;
    let mut index = u16::try_from(bits.take(FIRST_BITS)?).ok()?;
    bins.push(Bin::new(index, bits.gamma()?));
    while !bits.is_padding()? {
        let (step, count) = match bits.short_step(order) {
            Some(short) => short,
            None => bits.step(order)?,
        };
        index = index.checked_add(u16::try_from(step).ok()?)?;
        bins.push(Bin::new(index, count));
    }
    if index >= BINS {
        return None;
    }
    bins.shrink_to_fit();
    Some(bins)
}

struct BitWriter {
    bytes: Vec<u8>,
    held: u64,
    length: u32,
}

impl BitWriter {
    /// Appends the lowest `length` bits of `value`, at most 56; higher bits must be zero.
    fn put(&mut self, value: u64, length: u32) {
        self.held |= value << self.length;
        self.length += length;
        while self.length >= 8 {
            self.bytes.push((self.held & 0xff) as u8);
            self.held >>= 8;
            self.length -= 8;
        }
    }

    /// Appends a value above 0 in gamma code: as many zeros as there are bits after the highest
    /// one, a one, then these bits.
    fn gamma(&mut self, value: u64) {
        let low = value.ilog2();
        self.put(0, low);
        self.put(1, 1);
        self.put(value & ((1 << low) - 1), low);
    }

    fn finish(mut self) -> Vec<u8> {
        if self.length > 0 {
            self.bytes.push((self.held & 0xff) as u8);
        }
        self.bytes
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    held: u64,
    length: u32,
}

impl BitReader<'_> {
    /// Buffers at least 57 bits, or all remaining ones.
    fn refill(&mut self) {
        if let Some(next) = self.bytes.first_chunk() {
            // The next refill reads the bits above `length` again.
            self.held |= u64::from_le_bytes(*next) << self.length;
            let whole = (63 - self.length) / 8;
            self.bytes = &self.bytes[whole as usize..];
            self.length += whole * 8;
            return;
        }
        while self.length <= 56 {
            let Some((first, rest)) = self.bytes.split_first() else { return };
            self.held |= u64::from(*first) << self.length;
            self.length += 8;
            self.bytes = rest;
        }
    }

    /// The next `length` bits, at most 56.
    fn take(&mut self, length: u32) -> Option<u64> {
        if self.length < length {
            self.refill();
        }
        if self.length < length {
            return None;
        }
        let value = self.held & ((1 << length) - 1);
        self.skip(length);
        Some(value)
    }

    /// Skips buffered bits.
    const fn skip(&mut self, length: u32) {
        self.held >>= length;
        self.length -= length;
    }

    /// Like [`Self::step`], on buffered bits only; `None`, without reading, if the step is longer.
    #[inline]
    fn short_step(&mut self, order: u32) -> Option<(u64, u64)> {
        let (high, high_bits) = short_gamma(self.held)?;
        let rest = self.held >> high_bits;
        let (count, count_bits) = short_gamma(rest >> order)?;
        let whole = high_bits + order + count_bits;
        // A shift by 64 would overflow.
        if whole > self.length.min(u64::BITS - 1) {
            return None;
        }
        self.skip(whole);
        Some((((high - 1) << order) + (rest & ((1 << order) - 1)) + 1, count))
    }

    /// Distance to the next bin, and its count.
    fn step(&mut self, order: u32) -> Option<(u64, u64)> {
        let high = (self.gamma()? - 1).checked_mul(1 << order)?;
        let step = high.checked_add(self.take(order)?)?.checked_add(1)?;
        Some((step, self.gamma()?))
    }

    fn gamma(&mut self) -> Option<u64> {
        self.refill();
        let low = self.held.trailing_zeros();
        let whole = 2 * low + 1;
        if whole <= self.length {
            let value = 1 << low | (self.held >> (low + 1)) & ((1 << low) - 1);
            self.skip(whole);
            return Some(value);
        }
        if low >= self.length.min(COUNT_BITS) {
            return None;
        }
        self.take(low + 1)?;
        Some(1 << low | self.take(low)?)
    }

    /// Whether only padding is left; `None` if the padding is not zero or too long.
    fn is_padding(&mut self) -> Option<bool> {
        self.refill();
        if self.held != 0 {
            return Some(false);
        }
        (self.length < 8 && self.bytes.is_empty()).then_some(true)
    }
}

/// Decodes the gamma code at the start of `bits` and returns its value and length; `None` if it has
/// more than 49 bits.
#[inline]
const fn short_gamma(bits: u64) -> Option<(u64, u32)> {
    let low = bits.trailing_zeros();
    if low > 24 {
        return None;
    }
    Some((1 << low | (bits >> (low + 1)) & ((1 << low) - 1), 2 * low + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_and_neighbouring_values_take_few_bytes() {
        assert_eq!(encode(&[Bin::new(700, 1)]).len(), 2);
        let neighbours: Vec<Bin> = (600..800).map(|index| Bin::new(index, 1)).collect();
        assert_eq!(encode(&neighbours).len(), (15 + 1 + 199 * 2usize).div_ceil(8));
    }

    /// Some of these have exactly 64 bits where a word is full.
    #[test]
    fn a_step_with_a_count_of_a_word_is_decoded() {
        for (dense, step, bits) in (1..60).flat_map(|dense| {
            [130, 255, 600, 1_023, 1_200]
                .into_iter()
                .flat_map(move |step| (21..=24).map(move |bits| (dense, step, bits)))
        }) {
            for after in 0..8 {
                let far = 99 + dense + step;
                let many = std::iter::once(Bin::new(far, (1 << bits) + 12_345));
                let few = (100..100 + dense).map(|index| Bin::new(index, 1));
                let last = (far + 1..=far + after).map(|index| Bin::new(index, 1));
                let bins: Vec<Bin> = few.chain(many).chain(last).collect();
                assert_eq!(decode(&encode(&bins)), Some(bins));
            }
        }
    }

    #[test]
    fn bins_that_no_value_falls_in_are_refused() {
        assert_eq!(decode(&encode(&[Bin::new(2_220, 1)])), Some(vec![Bin::new(2_220, 1)]));
        assert_eq!(decode(&encode(&[Bin::new(2_221, 1)])), None);
        assert_eq!(decode(&encode(&[Bin::new(5, 1), Bin::new(65_535, 1)])), None);
    }

    proptest! {
        #[test]
        fn encoding_is_reversible(
            bins in prop::collection::btree_map(0u16..=2_220, 1u64..1 << 56, 0..200),
            small in prop::collection::btree_map(500u16..700, 1u64..20, 0..200),
        ) {
            for bins in [bins, small] {
                let bins: Vec<Bin> = bins.into_iter().map(|(index, count)| Bin::new(index, count)).collect();
                prop_assert_eq!(decode(&encode(&bins)), Some(bins));
            }
        }

        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(bins) = decode(&bytes) {
                prop_assert!(bins.is_sorted_by(|a, b| a.index < b.index));
                prop_assert!(bins.iter().all(|bin| bin.count > 0));
            }
        }
    }
}
