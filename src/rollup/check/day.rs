//! Checks one day within one snapshot: its requests against their indexes and its rollups.

use std::sync::atomic::{AtomicU64, Ordering};

use super::super::aggregate::Aggregate;
use super::super::recompute::{find_day, kept_parts, range_of};
use super::compare::compare_part;
use super::{CheckReport, check_rollup_totals};
use crate::error::Result;
use crate::model::Timestamp;
use crate::store::{EntrySet, IndexEntry, Reader, pruned_flag};

/// Index entries buffered before their requests are read; each takes 24 bytes.
const ENTRIES_PER_BATCH: usize = 1 << 18;
/// Largest gap between wanted `seq`s that is read through instead of starting a new look-up, in
/// rows: a look-up costs about as much as reading ten rows in file order.
const SCAN_GAP: i64 = 10;

/// Compares one day; adds the number of requests read to `rows_read`.
pub(super) fn check_day(
    reader: &Reader<'_>,
    day_ms: i64,
    rows_read: &AtomicU64,
    report: &mut CheckReport,
) -> Result<()> {
    let Some(day) = find_day(reader, day_ms)? else { return Ok(()) };
    if day.pruned & pruned_flag(None) != 0 {
        report.skipped_days += 1;
        return check_rollup_totals(reader, &day, report);
    }
    report.days += 1;
    let mut requests = RequestCheck {
        reader,
        watermark_seq: reader.watermark_seq()?,
        report,
        rows_read,
        entries: Vec::new(),
        aggregate: Aggregate::default(),
        users: EntrySet::default(),
        rolled_up: 0,
        index_entries: 0,
    };
    let mut last = IndexEntry::default();
    let mut in_order = true;
    let mut failed = None;
    reader.time_index(range_of(day_ms), |entry| {
        in_order &= entry.started_at_ms >= last.started_at_ms;
        last = entry;
        if failed.is_none() {
            failed = requests.push(entry).err();
        }
    })?;
    failed.map_or(Ok(()), Err)?;
    requests.read()?;
    let RequestCheck { report, aggregate, users, rolled_up, index_entries, .. } = requests;
    report.rows += rolled_up;
    report.index_entries += index_entries;
    let at = Timestamp::from_unix_ms(day_ms);
    if !in_order {
        report.differs(format_args!("requests__started_at_ms {at}: entries are not in order"));
    }
    check_users(reader, day_ms, &users, report)?;
    let stated = day.requests;
    if i64::try_from(rolled_up) != Ok(stated) {
        report.differs(format_args!(
            "days {at}: {stated} requests, but there are {rolled_up} raw rows"
        ));
    }
    let parts = kept_parts(&day, aggregate.finish());
    parts.iter().try_for_each(|part| compare_part(reader, day_ms, part, report))
}

/// Compares the index of users with the requests, as sets.
fn check_users(
    reader: &Reader<'_>,
    day_ms: i64,
    expected: &EntrySet,
    report: &mut CheckReport,
) -> Result<()> {
    // The user index rounds time steps towards 1970, so the steps next to the epoch hold requests
    // of two days.
    if day_ms <= 0 {
        return Ok(());
    }
    let found = reader.user_index(day_ms)?;
    report.index_entries += found.entries;
    if found != *expected {
        report.differs(format_args!(
            "requests__started_at_ms_user_id {}: its {} entries are not those of the {} requests",
            Timestamp::from_unix_ms(day_ms),
            found.entries,
            expected.entries
        ));
    }
    Ok(())
}

/// The requests that index entries point to, read in file order.
struct RequestCheck<'a, 'r> {
    reader: &'a Reader<'a>,
    watermark_seq: i64,
    report: &'r mut CheckReport,
    rows_read: &'r AtomicU64,
    entries: Vec<IndexEntry>,
    aggregate: Aggregate,
    users: EntrySet,
    rolled_up: u64,
    index_entries: u64,
}

impl RequestCheck<'_, '_> {
    fn push(&mut self, entry: IndexEntry) -> Result<()> {
        self.entries.push(entry);
        if self.entries.len() < ENTRIES_PER_BATCH {
            return Ok(());
        }
        self.read()
    }

    /// Reads the requests of the buffered entries, one run at a time.
    fn read(&mut self) -> Result<()> {
        let mut entries = std::mem::take(&mut self.entries);
        // Requests arrive roughly in the order of their starts, so the stable sort mostly merges
        // long sorted runs.
        entries.sort_by_key(|entry| entry.seq);
        let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        self.index_entries += count;
        for run in entries.chunk_by(|a, b| b.seq - a.seq <= SCAN_GAP) {
            self.read_run(run)?;
        }
        self.rows_read.fetch_add(count, Ordering::Relaxed);
        entries.clear();
        self.entries = entries;
        Ok(())
    }

    fn read_run(&mut self, run: &[IndexEntry]) -> Result<()> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        let mut wanted = run.iter().peekable();
        let Self { reader, watermark_seq, report, aggregate, users, rolled_up, .. } = self;
        let missing = |report: &mut CheckReport, entry: &IndexEntry| {
            let seq = entry.seq;
            report.differs(format_args!(
                "requests__started_at_ms: names request {seq}, which is not there"
            ));
        };
        reader.rows_between((first.seq, last.seq), |row, entry| {
            while let Some(absent) = wanted.next_if(|wanted| wanted.seq < row.seq) {
                missing(report, absent);
            }
            // A request of another day between two of this day.
            let Some(named) = wanted.next_if(|wanted| wanted.seq == row.seq) else { return };
            if *named != entry {
                let seq = entry.seq;
                report.differs(format_args!(
                    "requests__started_at_ms: its entry of request {seq} differs"
                ));
            }
            users.add_user(row.started_at_ms, row.user_id, row.seq);
            if row.seq <= *watermark_seq {
                aggregate.add(row);
                *rolled_up += 1;
            }
        })?;
        wanted.for_each(|absent| missing(report, absent));
        Ok(())
    }
}
