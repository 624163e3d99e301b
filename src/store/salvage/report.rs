//! The result of a salvage: the data that was read and the losses.

use serde::Serialize;

/// The data that a salvage read of a damaged file, and the losses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SalvageReport {
    /// Pages of the file, including those that are missing at its end.
    pub pages: u64,
    /// Pages that are missing at the end of the file; `None` when its header is unreadable and its former size unknown.
    pub pages_missing: Option<u64>,
    /// Unreadable pages of the schema; the tables on them were searched where a new file has them.
    pub schema_pages_damaged: u64,
    /// Whether the write-ahead log was read.
    pub wal: SalvagedWal,
    /// Frames of the write-ahead log that were read.
    pub wal_frames: u64,
    /// Records that arrived after this instant, in Unix milliseconds, may be missing, because a write-ahead log is missing,
    /// or was when a server started earlier. The new file contains this instant too.
    pub wal_missing_after_ms: Option<i64>,
    /// The tables, by name.
    pub tables: Vec<SalvagedTable>,
    /// Days with fewer requests than the damaged file states, in order.
    pub days: Vec<SalvagedDay>,
    /// Days whose rollups were recomputed from their requests.
    pub days_recomputed: usize,
    /// Days whose rollups were copied, because their requests are pruned or lost.
    pub days_copied: usize,
    /// Maximum number of missing requests among those that no rollup included yet.
    pub tail_lost: u64,
    /// Missing names by dictionary; a missing name is replaced by `(lost 17)`, for example.
    pub lost_names: Vec<(&'static str, u64)>,
    /// Further losses, one sentence each.
    pub other_losses: Vec<String>,
}

/// Whether the write-ahead log of a damaged file was read; serialized as programs know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SalvagedWal {
    /// There is none, and none is needed.
    #[default]
    NotNeeded,
    /// It was read to its last commit.
    Read,
    /// A server did not close the file, and its log is missing.
    Missing,
    /// It is beside the file and was ignored on request.
    LeftOut,
    /// No committed transaction in it is readable.
    Unreadable,
    /// A frame is damaged; the transactions from it on are unreadable.
    Damaged,
}

impl SalvagedWal {
    /// Whether the latest records may be missing.
    pub const fn is_lossy(self) -> bool {
        !matches!(self, Self::NotNeeded | Self::Read)
    }
}

/// The result for one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SalvagedTable {
    /// Its name.
    pub name: String,
    /// Rows in the new file.
    pub rows: u64,
    /// Unreadable pages.
    pub damaged_pages: u64,
    /// Unreadable rows on readable pages.
    pub damaged_rows: u64,
    /// Whether the table was not found.
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
    /// Requests that the damaged file states.
    pub expected: i64,
    /// Requests in the new file.
    pub found: i64,
}

/// Tables with the number of requests.
const COUNTING: [&str; 3] = ["_days", "_rollup_state", "sqlite_sequence"];

impl SalvageReport {
    /// Maximum number of missing requests; `None` when their former number is lost too.
    pub fn requests_lost(&self) -> Option<u64> {
        let lost = |day: &SalvagedDay| u64::try_from(day.expected - day.found).unwrap_or(0);
        self.counts_are_known()
            .then(|| self.days.iter().map(lost).sum::<u64>().saturating_add(self.tail_lost))
    }

    /// Maximum number of missing requests that no rollup included yet; `None` when it is unknown.
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
