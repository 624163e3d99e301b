//! What became of the rows of an import.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Rejection;
use crate::cli::table::{Cell, Table};
use crate::ingest::wire::FieldCounts;
use crate::model::Timestamp;

/// Most different reasons that are kept apart.
const MOST_REASONS: usize = 100;

/// Counts of rows by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportSummary {
    /// Nothing was stored.
    pub dry_run: bool,
    /// Rows read, over all files.
    pub rows: u64,
    /// Rows stored; in a dry run, rows that would be unless they are duplicates.
    pub accepted: u64,
    /// Rows that were stored before.
    pub duplicates: u64,
    /// Rows that an earlier, interrupted import had stored.
    pub resumed: u64,
    /// Rows that are not acceptable.
    pub rejected: u64,
    /// Why, the most frequent reason first.
    pub rejections: Vec<RejectedRows>,
    /// Rows stored in days whose single requests retention has deleted, by the start of the UTC day: each of them counts twice
    /// if it had been stored before.
    pub in_pruned_days: BTreeMap<Timestamp, u64>,
    /// Columns that are not looked at.
    pub ignored_columns: Vec<String>,
    /// Fields of NDJSON records that are not looked at, with how many records had them.
    pub ignored_fields: BTreeMap<String, u64>,
    /// Fields that may hold what people wrote, dropped unread, with how many records had them.
    pub dropped_content_fields: BTreeMap<String, u64>,
    /// Earliest start of an acceptable row.
    pub first_started_at: Option<Timestamp>,
    /// Latest start of an acceptable row.
    pub last_started_at: Option<Timestamp>,
    /// What the parser of records left out; [`finish`](Self::finish) spreads it.
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
    /// How many rows.
    pub rows: u64,
    /// The first of them; 1 is the first row after the header.
    pub first_row: u64,
}

impl ImportSummary {
    /// Counts an acceptable row's start.
    pub fn note_start(&mut self, at: Timestamp) {
        self.first_started_at = Some(self.first_started_at.map_or(at, |first| first.min(at)));
        self.last_started_at = Some(self.last_started_at.map_or(at, |last| last.max(at)));
    }

    /// Counts a row that is not acceptable.
    pub fn reject(&mut self, row: u64, rejection: Rejection) {
        self.rejected += 1;
        let mut key = (rejection.field.into_owned(), rejection.reason.into_owned());
        if self.reasons.len() >= MOST_REASONS && !self.reasons.contains_key(&key) {
            key = (Rejection::ROW.to_owned(), "other reasons".to_owned());
        }
        self.reasons.entry(key).or_insert((0, row)).0 += 1;
    }

    /// Fills in what is only known at the end.
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

    /// A few lines for people.
    pub fn to_text(&self) -> String {
        let verb = if self.dry_run { "acceptable (nothing was stored)" } else { "stored" };
        let mut text = format!("{} rows read, {} {verb}", self.rows, self.accepted);
        let more = [
            (self.duplicates, "stored before"),
            (self.resumed, "skipped, an earlier import had stored them"),
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
                "may count twice: {} rows of days whose single requests retention has deleted, if they were stored \
                 before: {}\n",
                self.in_pruned_days.values().sum::<u64>(),
                days.join(", ")
            );
        }
        if !self.ignored_columns.is_empty() {
            text += &format!("columns not used: {}\n", self.ignored_columns.join(", "));
        }
        let left_out = [
            ("fields not used", &self.ignored_fields),
            ("fields that may hold content, dropped unread", &self.dropped_content_fields),
        ];
        for (what, fields) in left_out.into_iter().filter(|(_, fields)| !fields.is_empty()) {
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
