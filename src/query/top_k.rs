//! The top k of many items that come one after the other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A number that orders like the float, by [`f64::total_cmp`].
pub(super) const fn rank_of(value: f64) -> i64 {
    let bits = value.to_bits().cast_signed();
    // Of negative floats, those with larger bits are smaller.
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

/// What became of an item that was offered.
#[derive(Debug)]
pub(super) enum Offered<T> {
    /// It is among the top k, possibly in the place of another item.
    Kept(Option<T>),
    /// It is not.
    Refused,
}

/// The `k` items with the highest ranks so far.
#[derive(Debug)]
pub(super) struct TopK<R, T> {
    k: usize,
    items: Vec<T>,
    /// Ranks with the positions of their items.
    lowest_first: BinaryHeap<Reverse<(R, usize)>>,
}

impl<R: Ord, T> TopK<R, T> {
    pub(super) const fn new(k: usize) -> Self {
        Self { k, items: Vec::new(), lowest_first: BinaryHeap::new() }
    }

    /// Offers an item, which is made only if it is kept.
    pub(super) fn offer(&mut self, rank: R, item: impl FnOnce() -> T) -> Offered<T> {
        if self.items.len() < self.k {
            self.lowest_first.push(Reverse((rank, self.items.len())));
            self.items.push(item());
            return Offered::Kept(None);
        }
        match self.lowest_first.peek_mut() {
            Some(mut lowest) if lowest.0.0 < rank => {
                lowest.0.0 = rank;
                Offered::Kept(Some(std::mem::replace(&mut self.items[lowest.0.1], item())))
            }
            _ => Offered::Refused,
        }
    }

    /// The items, highest rank first.
    pub(super) fn into_sorted(self) -> impl Iterator<Item = T> {
        let mut items: Vec<Option<T>> = self.items.into_iter().map(Some).collect();
        let sorted = self.lowest_first.into_sorted_vec().into_iter();
        sorted.filter_map(move |Reverse((_, position))| items[position].take())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_top_k_stay_and_the_others_come_back(
            numbers in prop::collection::vec(any::<f64>(), 0..100),
            k in 0..20_usize,
        ) {
            let mut top = TopK::new(k);
            let mut left = Vec::new();
            for number in &numbers {
                match top.offer(rank_of(*number), || *number) {
                    Offered::Kept(replaced) => left.extend(replaced),
                    Offered::Refused => left.push(*number),
                }
            }
            let mut sorted = numbers;
            sorted.sort_unstable_by(|a, b| b.total_cmp(a));
            let kept: Vec<f64> = top.into_sorted().collect();
            left.sort_unstable_by(|a, b| b.total_cmp(a));
            let bits = |numbers: &[f64]| numbers.iter().map(|one| one.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&[kept, left].concat()), bits(&sorted));
        }
    }
}
