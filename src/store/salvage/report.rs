//! What a salvage read, and what is missing.

/// What a salvage read of a damaged file, and what is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SalvageReport {
    /// Pages of the file, those missing at its end included.
    pub pages: u64,
    /// Pages that the file should have and that are beyond its end; `None` when its header is unreadable and nothing
    /// else says how long the file was.
    pub pages_missing: Option<u64>,
    /// Unreadable pages of the schema: the tables on them were found by their places in a new file.
    pub schema_pages_damaged: u64,
    /// What became of the write-ahead log.
    pub wal: SalvagedWal,
    /// Frames of the write-ahead log that were read with it.
    pub wal_frames: u64,
    /// Records that arrived after this instant, in Unix milliseconds, may be missing, because a write-ahead log was
    /// missing now or when a server started earlier; the new file says so too.
    pub wal_missing_after_ms: Option<i64>,
    /// What was read of each table, in the order of their names.
    pub tables: Vec<SalvagedTable>,
    /// Days that have fewer requests than the damaged file said, in order.
    pub days: Vec<SalvagedDay>,
    /// Days whose rollups were recomputed from their requests.
    pub days_recomputed: usize,
    /// Days whose rollups were copied, because their requests are pruned or lost.
    pub days_copied: usize,
    /// Of the requests that no rollup had yet, those that are missing, at most, as far as the file says.
    pub tail_lost: u64,
    /// Names that are missing, by dictionary; what they name shows as `(lost 17)`.
    pub lost_names: Vec<(&'static str, u64)>,
    /// Further losses that have no number, one sentence each.
    pub other_losses: Vec<String>,
}

/// What became of the write-ahead log of a damaged file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SalvagedWal {
    /// There is none, and none is needed.
    #[default]
    NotNeeded,
    /// It was read to its last commit.
    Read,
    /// A server had the file open when it ended, and its log is not beside the file.
    Missing,
    /// It is beside the file and was left out on request.
    LeftOut,
    /// No committed transaction in it can be read.
    Unreadable,
    /// A frame is damaged: the transactions from it on cannot be read.
    Damaged,
}

impl SalvagedWal {
    /// The name that programs know it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotNeeded => "not_needed",
            Self::Read => "read",
            Self::Missing => "missing",
            Self::LeftOut => "left_out",
            Self::Unreadable => "unreadable",
            Self::Damaged => "damaged",
        }
    }

    /// Whether the latest records may be missing.
    pub const fn is_lossy(self) -> bool {
        !matches!(self, Self::NotNeeded | Self::Read)
    }
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

impl SalvagedTable {
    fn has_losses(&self) -> bool {
        self.damaged_pages > 0 || self.damaged_rows > 0 || self.is_missing
    }
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

/// Tables that say how many requests there were.
const COUNTING: [&str; 3] = ["_days", "_rollup_state", "sqlite_sequence"];

impl SalvageReport {
    /// Requests of whole days that are missing, and at most so many after the watermark; `None` when what says how many
    /// there were is lost itself.
    pub fn requests_lost(&self) -> Option<u64> {
        let lost = |day: &SalvagedDay| u64::try_from(day.expected - day.found).unwrap_or(0);
        self.counts_are_known()
            .then(|| self.days.iter().map(lost).sum::<u64>().saturating_add(self.tail_lost))
    }

    /// Requests that no rollup had yet and that are missing, at most; `None` when that is unknown.
    pub fn tail_lost_at_most(&self) -> Option<u64> {
        self.counts_are_known().then_some(self.tail_lost)
    }

    fn counts_are_known(&self) -> bool {
        let is_whole =
            |name: &str| self.tables.iter().any(|table| table.name == name && !table.has_losses());
        !self.wal.is_lossy() && COUNTING.iter().all(|name| is_whole(name))
    }

    /// Whether something of the file is missing, or may be.
    pub fn has_losses(&self) -> bool {
        self.requests_lost() != Some(0)
            || self.pages_missing != Some(0)
            || self.schema_pages_damaged > 0
            || !self.lost_names.is_empty()
            || !self.other_losses.is_empty()
            || self.tables.iter().any(SalvagedTable::has_losses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> SalvageReport {
        let table = |name: &str| SalvagedTable { name: name.to_owned(), ..Default::default() };
        SalvageReport {
            pages_missing: Some(0),
            tables: COUNTING.iter().map(|name| table(name)).collect(),
            ..SalvageReport::default()
        }
    }

    #[test]
    fn a_report_is_complete_only_when_everything_is_known_to_be_there() {
        assert!(!whole().has_losses());
        assert_eq!(whole().requests_lost(), Some(0));
        let lossy = [SalvagedWal::Missing, SalvagedWal::LeftOut, SalvagedWal::Damaged];
        for wal in lossy.into_iter().chain([SalvagedWal::Unreadable]) {
            let report = SalvageReport { wal, ..whole() };
            assert!(report.has_losses() && report.requests_lost().is_none(), "{wal:?}");
        }
        for pages_missing in [None, Some(1)] {
            assert!(SalvageReport { pages_missing, ..whole() }.has_losses());
        }
        assert!(SalvageReport { schema_pages_damaged: 1, ..whole() }.has_losses());
        assert!(SalvageReport { other_losses: vec![String::new()], ..whole() }.has_losses());
        for at in 0..COUNTING.len() {
            let mut report = whole();
            report.tables[at].damaged_pages = 1;
            assert_eq!((report.requests_lost(), report.tail_lost_at_most()), (None, None));
            report.tables.remove(at);
            assert_eq!(report.requests_lost(), None);
            assert!(report.has_losses());
        }
    }
}
