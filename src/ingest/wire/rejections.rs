//! The rejected elements of a body, and the limit after which the rest is not read.

use serde::Serialize;

/// One rejected element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// Position in the body, from 0.
    pub index: usize,
    /// Name of the field, or `(record)`.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub reason: String,
}

/// The rejections of one body: all are counted, the first ones listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    listed: Vec<Rejection>,
    total: usize,
    in_a_row: usize,
}

impl Rejections {
    /// Maximum number of listed rejections.
    pub const LISTED_MAX: usize = 1_000;
    /// Number of rejected elements in a row after which the rest is not read, so that a few kilobytes of compressed
    /// nonsense cannot keep a core busy. A batch of real records that all have one mistake is smaller.
    pub const IN_A_ROW_MAX: usize = 10_000;

    /// Notes an element that was accepted.
    pub const fn accept(&mut self) {
        self.in_a_row = 0;
    }

    /// Notes an element that was rejected.
    pub fn add(&mut self, rejection: Rejection) {
        self.count(1);
        if self.listed.len() < Self::LISTED_MAX {
            self.listed.push(rejection);
        }
    }

    /// Counts rejected elements without listing them.
    pub const fn count(&mut self, elements: usize) {
        self.total += elements;
        self.in_a_row += elements;
    }

    /// Whether too many elements in a row were rejected, so that the rest is not read.
    pub const fn is_hopeless(&self) -> bool {
        self.in_a_row >= Self::IN_A_ROW_MAX
    }

    /// All rejected elements.
    pub const fn total(&self) -> usize {
        self.total
    }

    /// The first rejections, at most [`LISTED_MAX`](Self::LISTED_MAX).
    pub fn listed(&self) -> &[Rejection] {
        &self.listed
    }

    /// These and others of the same body, in the order of the body.
    #[must_use]
    pub fn merged(mut self, others: Self) -> Self {
        self.total += others.total;
        self.listed.extend(others.listed);
        self.listed.sort_by_key(|rejection| rejection.index);
        self.listed.truncate(Self::LISTED_MAX);
        self
    }

    /// The listed rejections.
    pub fn into_listed(self) -> Vec<Rejection> {
        self.listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(index: usize) -> Rejection {
        Rejection { index, field: "(record)", reason: "no".into() }
    }

    #[test]
    fn the_first_are_listed_in_the_order_of_the_body_and_all_are_counted() {
        let (mut odd, mut even) = (Rejections::default(), Rejections::default());
        for index in 0..1_500 {
            odd.add(rejection(2 * index + 1));
            even.add(rejection(2 * index));
        }
        let merged = odd.merged(even);
        assert_eq!(merged.total(), 3_000);
        let indexes: Vec<usize> = merged.listed().iter().map(|one| one.index).collect();
        assert_eq!(indexes, (0..1_000).collect::<Vec<_>>());
    }

    #[test]
    fn only_rejections_in_a_row_are_hopeless() {
        let mut rejections = Rejections::default();
        rejections.count(Rejections::IN_A_ROW_MAX - 1);
        rejections.accept();
        rejections.count(Rejections::IN_A_ROW_MAX - 1);
        assert!(!rejections.is_hopeless());
        rejections.add(rejection(0));
        assert!(rejections.is_hopeless());
    }
}
