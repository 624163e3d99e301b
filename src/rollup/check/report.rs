//! What a check found.

/// How much a check looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckMode {
    /// The structure of the file, and totals that must agree: days, rollups, requests, the watermark.
    Quick,
    /// Everything: rollups are recomputed from the requests and compared, requests are compared with their indexes.
    #[default]
    Full,
}

impl CheckMode {
    /// As the command line calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// How much was looked at.
    pub mode: CheckMode,
    /// Days compared.
    pub days: usize,
    /// Days whose raw rows are gone, so that nothing is left to compare with.
    pub skipped_days: usize,
    /// Raw rows read, or in a quick check counted, that the rollups include.
    pub rows: u64,
    /// Rollup rows compared, or in a quick check totals of rollups.
    pub rollup_rows: u64,
    /// Entries of indexes of requests compared with the requests.
    pub index_entries: u64,
    /// Requests after the watermark: no rollup has them yet.
    pub tail_rows: u64,
    /// Differences, one line each: the first hundred.
    pub mismatches: Vec<String>,
    /// What is damaged in the file itself, one line each.
    pub damage: Vec<String>,
}

/// Differences listed before the rest is only counted by its absence.
const LISTED: usize = 100;

impl CheckReport {
    /// Whether nothing is wrong.
    pub const fn is_well(&self) -> bool {
        self.mismatches.is_empty() && self.damage.is_empty()
    }

    /// How the requests after the watermark were looked at.
    pub const fn tail_look(&self) -> &'static str {
        match self.mode {
            CheckMode::Quick => "counted",
            CheckMode::Full => "read and compared with the indexes",
        }
    }

    /// Adds a difference, while there is room for it.
    pub(super) fn differs(&mut self, line: impl FnOnce() -> String) {
        if self.mismatches.len() < LISTED {
            self.mismatches.push(line());
        }
    }

    /// Adds what another part of the check found.
    pub fn add(&mut self, part: Self) {
        self.days += part.days;
        self.skipped_days += part.skipped_days;
        self.rows += part.rows;
        self.rollup_rows += part.rollup_rows;
        self.index_entries += part.index_entries;
        self.tail_rows += part.tail_rows;
        self.damage.extend(part.damage);
        self.mismatches.extend(part.mismatches);
        self.mismatches.truncate(LISTED);
    }
}
