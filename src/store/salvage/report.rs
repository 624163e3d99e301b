//! What a salvage read, and what is missing.

/// What a salvage read of a damaged file, and what is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SalvageReport {
    /// Pages of the file, those missing at its end included.
    pub pages: u64,
    /// Frames of the write-ahead log that were read with it.
    pub wal_frames: u64,
    /// What was read of each table, in the order of their names.
    pub tables: Vec<SalvagedTable>,
    /// Days that have fewer requests than the damaged file said, in order.
    pub days: Vec<SalvagedDay>,
    /// Days whose rollups were recomputed from their requests.
    pub days_recomputed: usize,
    /// Days whose rollups were copied, because their requests are pruned or lost.
    pub days_copied: usize,
    /// Of the requests that no rollup had yet, those that are missing, at most.
    pub tail_lost: u64,
    /// Names that are missing, by dictionary; what they name shows as `(lost 17)`.
    pub lost_names: Vec<(&'static str, u64)>,
    /// What else a person should know.
    pub notes: Vec<String>,
}

/// What was read of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SalvagedTable {
    /// Its name.
    pub name: String,
    /// Rows in the new file.
    pub rows: u64,
    /// Pages that were unreadable.
    pub damaged_pages: u64,
    /// Rows that were unreadable on readable pages.
    pub damaged_rows: u64,
    /// Whether nothing told where the table is, so that nothing of it was read.
    pub is_missing: bool,
}

/// A UTC day that has lost requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SalvagedDay {
    /// Start of the day, in Unix milliseconds.
    pub day_ms: i64,
    /// Requests that the damaged file said.
    pub expected: i64,
    /// Requests in the new file.
    pub found: i64,
}

impl SalvageReport {
    /// Requests of whole days that are missing, the tail's at most.
    pub fn requests_lost(&self) -> u64 {
        let lost = |day: &SalvagedDay| u64::try_from(day.expected - day.found).unwrap_or(0);
        self.days.iter().map(lost).sum::<u64>() + self.tail_lost
    }

    /// Whether something of the file is missing.
    pub fn has_losses(&self) -> bool {
        self.requests_lost() > 0
            || !self.lost_names.is_empty()
            || self
                .tables
                .iter()
                .any(|table| table.damaged_pages > 0 || table.damaged_rows > 0 || table.is_missing)
    }
}
