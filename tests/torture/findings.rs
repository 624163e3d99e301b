//! Findings: broken promises by kind.

use std::collections::BTreeMap;
use std::fmt;

/// A kind of broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wrong {
    /// An acknowledged record is not there.
    Lost,
    /// A record is there more than once.
    Doubled,
    /// Part of a batch is there.
    HalfBatch,
    /// Figures differ from the rows, or `check` finds a difference.
    Mismatch,
    /// The file is damaged, or the server does not start on it.
    Unreadable,
    /// A row within the configured retention was deleted.
    DeletedEarly,
    /// The server does not behave as promised while something is wrong.
    Contract,
}

impl Wrong {
    /// Every kind.
    pub(crate) const ALL: [Self; 7] = [
        Self::Lost,
        Self::Doubled,
        Self::HalfBatch,
        Self::Mismatch,
        Self::Unreadable,
        Self::DeletedEarly,
        Self::Contract,
    ];

    /// The heading of its column.
    pub(crate) const fn heading(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::HalfBatch => "half batches",
            Self::Mismatch => "mismatches",
            Self::Unreadable => "unreadable",
            Self::DeletedEarly => "deleted early",
            Self::Contract => "contract",
        }
    }
}

/// All findings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    found: Vec<(Wrong, String)>,
}

impl Findings {
    /// Adds a finding.
    pub(crate) fn add(&mut self, wrong: Wrong, what: impl Into<String>) {
        self.found.push((wrong, what.into()));
    }

    /// Adds those of `other`, prefixed with where they were found.
    pub(crate) fn extend(&mut self, other: Self, place: &str) {
        self.found.extend(
            other.found.into_iter().map(|(wrong, what)| (wrong, format!("{place}: {what}"))),
        );
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn has(&self, wrong: Wrong) -> bool {
        self.count(wrong) > 0
    }

    pub(crate) fn count(&self, wrong: Wrong) -> usize {
        self.found.iter().filter(|(kind, _)| *kind == wrong).count()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Findings of one kind that are printed; more are only counted.
        const LISTED: usize = 12;
        let mut listed: BTreeMap<Wrong, usize> = BTreeMap::new();
        for (wrong, what) in &self.found {
            let number = listed.entry(*wrong).or_default();
            *number += 1;
            if *number <= LISTED {
                writeln!(f, "{}: {what}", wrong.heading())?;
            }
        }
        for (wrong, number) in listed.iter().filter(|(_, number)| **number > LISTED) {
            writeln!(f, "{}: {number} in all", wrong.heading())?;
        }
        Ok(())
    }
}
