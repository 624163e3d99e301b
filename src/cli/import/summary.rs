//! The summary of an import.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::Serialize;

use super::sink::ROW;
use crate::cli::table::{Cell, Table};
use crate::ingest::wire::RecordProblem;
use crate::model::Timestamp;

/// Maximum number of distinct rejection reasons to count separately.
const MAX_REASONS: usize = 100;

/// Counts of rows by result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportSummary {
    /// Whether nothing was stored.
    pub(super) dry_run: bool,
    /// Rows read, in all files.
    pub(super) rows: u64,
    /// Rows stored; in a dry run, valid rows, including duplicates.
    pub(super) accepted: u64,
    /// Duplicate rows.
    pub(super) duplicates: u64,
    /// Rows skipped because an interrupted import stored them.
    pub(super) resumed: u64,
    /// Invalid rows.
    pub(super) rejected: u64,
    /// Rejection reasons, the most frequent first after [`finish`](Self::finish).
    rejections: Vec<RejectedRows>,
    /// Rows stored in days with pruned raw requests, by the start of the UTC day. A row counts
    /// twice if it had been stored before.
    pub(super) in_pruned_days: BTreeMap<Timestamp, u64>,
    /// Columns that are ignored; `(other)` stands for names that must not be shown.
    pub(super) ignored_columns: Vec<String>,
    /// Ignored fields of NDJSON records, with the number of records that had them.
    pub(super) ignored_fields: BTreeMap<String, u64>,
    /// Fields that may hold content, dropped unread, with the number of records that had them.
    pub(super) dropped_content_fields: BTreeMap<String, u64>,
    /// Earliest start of a valid row.
    first_started_at: Option<Timestamp>,
    /// Latest start of a valid row.
    last_started_at: Option<Timestamp>,
}

/// Rows rejected for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct RejectedRows {
    /// The field.
    field: &'static str,
    /// What is wrong with it.
    reason: String,
    /// Number of rows.
    rows: u64,
    /// The first of these rows; row 1 follows the header.
    first_row: u64,
}

impl RejectedRows {
    fn is_like(&self, problem: &RecordProblem) -> bool {
        self.field == problem.field && self.reason == problem.reason
    }
}

impl ImportSummary {
    /// Counts the start of a valid row.
    pub(super) fn add_start(&mut self, at: Timestamp) {
        self.first_started_at = Some(self.first_started_at.map_or(at, |first| first.min(at)));
        self.last_started_at = self.last_started_at.max(Some(at));
    }

    /// Counts a rejected row.
    pub(super) fn reject(&mut self, row: u64, mut problem: RecordProblem) {
        self.rejected += 1;
        let is_limited = self.rejections.len() >= MAX_REASONS;
        if is_limited && !self.rejections.iter().any(|known| known.is_like(&problem)) {
            problem = RecordProblem::new(ROW, "other reasons");
        }
        match self.rejections.iter_mut().find(|known| known.is_like(&problem)) {
            Some(known) => known.rows += 1,
            None => {
                let RecordProblem { field, reason } = problem;
                self.rejections.push(RejectedRows { field, reason, rows: 1, first_row: row });
            }
        }
    }

    /// Orders the rejection reasons.
    pub(super) fn finish(&mut self) {
        self.rejections
            .sort_by(|a, b| (b.rows, a.field, &a.reason).cmp(&(a.rows, b.field, &b.reason)));
    }

    /// The summary as text.
    pub(super) fn to_text(&self) -> String {
        let verb = if self.dry_run { "valid (nothing was stored)" } else { "stored" };
        let mut text = format!("{} rows read, {} {verb}", self.rows, self.accepted);
        for (rows, what) in [
            (self.duplicates, "already stored"),
            (self.resumed, "skipped (stored by an earlier import)"),
            (self.rejected, "rejected"),
        ] {
            if rows > 0 {
                text += &format!(", {rows} {what}");
            }
        }
        text.push('\n');
        if let (Some(first), Some(last)) = (self.first_started_at, self.last_started_at) {
            text += &format!("started between {first} and {last}\n");
        }
        if !self.in_pruned_days.is_empty() {
            let rows: u64 = self.in_pruned_days.values().sum();
            let days =
                self.in_pruned_days.iter().map(|(day, rows)| (day.to_utc().date_naive(), rows));
            text += &format!(
                "may count twice: {rows} rows of days with pruned requests, if they were stored before: {}\n",
                with_counts(days)
            );
        }
        if !self.ignored_columns.is_empty() {
            text += &format!("ignored columns: {}\n", self.ignored_columns.join(", "));
        }
        for (what, fields) in [
            ("ignored fields", &self.ignored_fields),
            ("fields that may hold content, dropped unread", &self.dropped_content_fields),
        ] {
            if !fields.is_empty() {
                text += &format!("{what}: {}\n", with_counts(fields));
            }
        }
        if !self.rejections.is_empty() {
            let mut table = Table::new(["rejected", "first row", "field", "reason"]);
            for RejectedRows { field, reason, rows, first_row } in &self.rejections {
                let (rows, first_row) = (Cell::number(rows), Cell::number(first_row));
                table.push([rows, first_row, Cell::text(field), Cell::text(reason)]);
            }
            text += &format!("\n{}", table.to_text());
        }
        text
    }
}

/// A list such as `color (3), size (1)`.
fn with_counts<'c>(counts: impl IntoIterator<Item = (impl Display, &'c u64)>) -> String {
    let items = counts.into_iter().map(|(name, count)| format!("{name} ({count})"));
    items.collect::<Vec<_>>().join(", ")
}
