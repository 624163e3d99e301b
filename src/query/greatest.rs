//! The greatest few of many that come one after the other.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A number that is ordered by [`f64::total_cmp`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Total(pub(super) f64);

impl PartialEq for Total {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Total {}

impl PartialOrd for Total {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Total {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// An item by its rank alone.
#[derive(Debug)]
struct Ranked<R, T> {
    rank: R,
    item: T,
}

impl<R: Ord, T> PartialEq for Ranked<R, T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl<R: Ord, T> Eq for Ranked<R, T> {}

impl<R: Ord, T> PartialOrd for Ranked<R, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Ord, T> Ord for Ranked<R, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

/// What became of an item that was offered.
#[derive(Debug)]
pub(super) enum Offered<T> {
    /// It is among the greatest; another is no longer.
    Kept(Option<T>),
    /// There are enough that are greater.
    Refused,
}

/// The greatest of what is offered, at most so many.
#[derive(Debug)]
pub(super) struct Greatest<R, T> {
    most: usize,
    least_first: BinaryHeap<Reverse<Ranked<R, T>>>,
}

impl<R: Ord, T> Greatest<R, T> {
    /// Keeps at most `most`.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, least_first: BinaryHeap::new() }
    }

    /// Offers an item, which is made only when it is kept.
    pub(super) fn offer(&mut self, rank: R, item: impl FnOnce() -> T) -> Offered<T> {
        if self.least_first.len() < self.most {
            self.least_first.push(Reverse(Ranked { rank, item: item() }));
            return Offered::Kept(None);
        }
        match self.least_first.peek_mut() {
            Some(mut least) if least.0.rank < rank => {
                let kept = Reverse(Ranked { rank, item: item() });
                Offered::Kept(Some(std::mem::replace(&mut *least, kept).0.item))
            }
            _ => Offered::Refused,
        }
    }

    /// The greatest first.
    pub(super) fn into_sorted(self) -> impl Iterator<Item = T> {
        self.least_first.into_sorted_vec().into_iter().map(|Reverse(ranked)| ranked.item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_greatest_stay_and_the_others_come_back(
            numbers in prop::collection::vec(any::<f64>(), 0..100),
            most in 0..20_usize,
        ) {
            let mut greatest = Greatest::new(most);
            let mut left = Vec::new();
            for number in &numbers {
                match greatest.offer(Total(*number), || *number) {
                    Offered::Kept(pushed_out) => left.extend(pushed_out),
                    Offered::Refused => left.push(*number),
                }
            }
            let mut sorted = numbers;
            sorted.sort_unstable_by(|a, b| b.total_cmp(a));
            let kept: Vec<f64> = greatest.into_sorted().collect();
            left.sort_unstable_by(|a, b| b.total_cmp(a));
            let bits = |numbers: &[f64]| numbers.iter().map(|one| one.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&[kept, left].concat()), bits(&sorted));
        }
    }
}
