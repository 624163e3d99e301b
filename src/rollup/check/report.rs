//! The result of a check.

use std::fmt;

/// How thorough a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckMode {
    /// Checks the file structure and that the totals of days, rollups, requests and the watermark
    /// agree.
    Quick,
    /// Also recomputes the rollups from the requests, and compares the requests with their indexes.
    #[default]
    Full,
}

impl CheckMode {
    /// The name in the command-line output.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }
}

/// The result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// How thorough the check was.
    pub mode: CheckMode,
    /// Days compared.
    pub days: usize,
    /// Days whose raw rows are pruned, so that only totals could be compared.
    pub skipped_days: usize,
    /// Raw rows included in the rollups that were read (full) or counted (quick).
    pub rows: u64,
    /// Rollup rows (full) or rollup totals (quick) that were compared.
    pub rollup_rows: u64,
    /// Entries of the indexes on `requests` that were compared.
    pub index_entries: u64,
    /// Requests after the watermark, which no rollup includes yet.
    pub tail_rows: u64,
    /// Differences, one line each; at most 100.
    pub mismatches: Vec<String>,
    /// Damage of the file, one line each.
    pub damage: Vec<String>,
}

/// Maximum number of differences that are reported; further ones are dropped.
const MAX_MISMATCHES: usize = 100;

impl CheckReport {
    /// Whether the check found no problem.
    pub const fn is_ok(&self) -> bool {
        self.mismatches.is_empty() && self.damage.is_empty()
    }

    /// How the requests after the watermark were checked.
    pub(crate) const fn tail_check(&self) -> &'static str {
        match self.mode {
            CheckMode::Quick => "counted",
            CheckMode::Full => "read and compared with the indexes",
        }
    }

    /// Records a difference, unless the limit is reached.
    pub(super) fn differs(&mut self, line: fmt::Arguments<'_>) {
        if self.mismatches.len() < MAX_MISMATCHES {
            self.mismatches.push(line.to_string());
        }
    }

    /// Adds the result of another task.
    pub(crate) fn add(&mut self, part: Self) {
        self.days += part.days;
        self.skipped_days += part.skipped_days;
        self.rows += part.rows;
        self.rollup_rows += part.rollup_rows;
        self.index_entries += part.index_entries;
        self.tail_rows += part.tail_rows;
        self.damage.extend(part.damage);
        self.mismatches.extend(part.mismatches);
        self.mismatches.truncate(MAX_MISMATCHES);
    }
}
