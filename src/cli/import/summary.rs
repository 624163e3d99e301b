//! The summary of an import.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Rejection;
use crate::cli::table::{Cell, Table};
use crate::ingest::wire::FieldCounts;
use crate::model::Timestamp;

/// Maximum number of distinct rejection reasons to count separately.
const MAX_REASONS: usize = 100;

/// Counts of rows by result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportSummary {
    /// Whether nothing was stored.
    pub dry_run: bool,
    /// Rows read, in all files.
    pub rows: u64,
    /// Rows stored; in a dry run, valid rows, including duplicates.
    pub accepted: u64,
    /// Duplicate rows.
    pub duplicates: u64,
    /// Rows skipped because an interrupted import stored them.
    pub resumed: u64,
    /// Invalid rows.
    pub rejected: u64,
    /// Rejection reasons, the most frequent first.
    pub rejections: Vec<RejectedRows>,
    /// Rows stored in days with pruned raw requests, by the start of the UTC day. A row counts
    /// twice if it had been stored before.
    pub in_pruned_days: BTreeMap<Timestamp, u64>,
    /// Columns that are ignored; `(other)` stands for names that must not be shown.
    pub ignored_columns: Vec<String>,
    /// Ignored fields of NDJSON records, with the number of records that had them.
    pub ignored_fields: BTreeMap<String, u64>,
    /// Fields that may hold content, dropped unread, with the number of records that had them.
    pub dropped_content_fields: BTreeMap<String, u64>,
    /// Earliest start of a valid row.
    pub first_started_at: Option<Timestamp>,
    /// Latest start of a valid row.
    pub last_started_at: Option<Timestamp>,
    /// Fields that the record parser ignored or dropped; [`finish`](Self::finish) distributes them.
    #[serde(skip)]
    pub fields: FieldCounts,
    #[serde(skip)]
    reasons: BTreeMap<(String, String), (u64, u64)>,
}

/// Rows rejected for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedRows {
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
    /// Number of rows.
    pub rows: u64,
    /// The first of these rows; row 1 follows the header.
    pub first_row: u64,
}

impl ImportSummary {
    /// Counts the start of a valid row.
    pub fn add_start(&mut self, at: Timestamp) {
        self.first_started_at = Some(self.first_started_at.map_or(at, |first| first.min(at)));
        self.last_started_at = Some(self.last_started_at.map_or(at, |last| last.max(at)));
    }

    /// Counts a rejected row.
    pub fn reject(&mut self, row: u64, rejection: Rejection) {
        self.rejected += 1;
        let mut key = (rejection.field.into_owned(), rejection.reason.into_owned());
        if self.reasons.len() >= MAX_REASONS && !self.reasons.contains_key(&key) {
            key = (Rejection::ROW.to_owned(), "other reasons".to_owned());
        }
        self.reasons.entry(key).or_insert((0, row)).0 += 1;
    }

    /// Fills in the fields that are known only at the end.
    #[must_use]
    pub fn finish(mut self) -> Self {
        let FieldCounts { ignored, dropped_content } = std::mem::take(&mut self.fields);
        (self.ignored_fields, self.dropped_content_fields) = (ignored, dropped_content);
        self.rejections = std::mem::take(&mut self.reasons)
            .into_iter()
            .map(|((field, reason), (rows, first_row))| RejectedRows {
                field,
                reason,
                rows,
                first_row,
            })
            .collect();
        self.rejections.sort_by_key(|rejected| std::cmp::Reverse(rejected.rows));
        self
    }

    /// The summary as text.
    pub fn to_text(&self) -> String {
        let verb = if self.dry_run { "valid (nothing was stored)" } else { "stored" };
        let mut text = format!("{} rows read, {} {verb}", self.rows, self.accepted);
        let more = [
            (self.duplicates, "already stored"),
            (self.resumed, "skipped (stored by an earlier import)"),
            (self.rejected, "rejected"),
        ];
        for (rows, what) in more.into_iter().filter(|(rows, _)| *rows > 0) {
            text += &format!(", {rows} {what}");
        }
        text.push('\n');
        if let (Some(first), Some(last)) = (self.first_started_at, self.last_started_at) {
            text += &format!("started between {first} and {last}\n");
        }
        if !self.in_pruned_days.is_empty() {
            let days: Vec<String> = self
                .in_pruned_days
                .iter()
                .map(|(day, rows)| format!("{} ({rows})", day.to_utc().date_naive()))
                .collect();
            text += &format!(
                "may count twice: {} rows of days with pruned requests, if they were stored \
                 before: {}\n",
                self.in_pruned_days.values().sum::<u64>(),
                days.join(", ")
            );
        }
        if !self.ignored_columns.is_empty() {
            text += &format!("ignored columns: {}\n", self.ignored_columns.join(", "));
        }
        let ignored = [
            ("ignored fields", &self.ignored_fields),
            ("fields that may hold content, dropped unread", &self.dropped_content_fields),
        ];
        for (what, fields) in ignored.into_iter().filter(|(_, fields)| !fields.is_empty()) {
            let fields: Vec<String> =
                fields.iter().map(|(name, count)| format!("{name} ({count})")).collect();
            text += &format!("{what}: {}\n", fields.join(", "));
        }
        if !self.rejections.is_empty() {
            let mut table = Table::new(["rejected", "first row", "field", "reason"]);
            for rejected in &self.rejections {
                table.push([
                    Cell::number(rejected.rows),
                    Cell::number(rejected.first_row),
                    Cell::text(&rejected.field),
                    Cell::text(&rejected.reason),
                ]);
            }
            text.push('\n');
            text.push_str(&table.to_text());
        }
        text
    }
}
