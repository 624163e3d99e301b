//! `chatgauge salvage`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::config::ConfigArgs;
use super::{open, print};
use crate::error::Result;
use crate::model::Timestamp;
use crate::rollup::{SalvageStep, salvage};
use crate::store::{SalvageReport, SalvageSource, SalvagedTable, SalvagedWal};

const EXAMPLES: &str = "\
Examples:
  chatgauge salvage chatgauge.db --into whole.db
  chatgauge salvage chatgauge.db --into whole.db --json
  chatgauge salvage chatgauge.db --into whole.db --without-wal    its write-ahead log belongs to another file

FILE and the write-ahead log beside it are only read; no server may have FILE open. NEW receives everything that is
readable, with recomputed rollups; a lost name is replaced by (lost 17), for example. Copy the pseudonym key FILE.key
to NEW.key yourself. The exit code is 0 if NEW was written, whatever is missing, and 1 if not, because FILE contains
nothing readable or was written by a newer version.";

/// Recover readable data of a damaged database into a new one
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SalvageCommand {
    /// Damaged database
    pub file: PathBuf,
    /// New database; it must not exist
    #[arg(long, value_name = "NEW")]
    pub into: PathBuf,
    /// Ignore the write-ahead log beside FILE
    #[arg(long)]
    pub without_wal: bool,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl SalvageCommand {
    /// Salvages a file.
    ///
    /// # Errors
    /// If the new file exists, a server has the damaged one open, or one of them cannot be
    /// opened or written.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode> {
        let config = self.config.load()?;
        let mut source = SalvageSource::beside(&self.file);
        if self.without_wal {
            source.wal_path = None;
        }
        let bar = open::progress(0, "reading pages");
        let step = &mut |step, done, of| {
            bar.set_message(match step {
                SalvageStep::Reading => "reading pages",
                SalvageStep::Recomputing => "recomputing days",
            });
            bar.set_length(of);
            bar.set_position(done);
        };
        let report = salvage(&source, &self.into, &config.store, open::now(), step)?;
        bar.finish_and_clear();
        print(out, &if self.json { json_of(&report) } else { self.text_of(&report) })?;
        Ok(ExitCode::SUCCESS)
    }

    fn text_of(&self, report: &SalvageReport) -> String {
        let mut text = format!(
            "read {} pages and {} frames of the write-ahead log\n",
            report.pages.saturating_sub(report.pages_missing.unwrap_or(0)),
            report.wal_frames
        );
        text.push_str(&format!(
            "recomputed the rollups of {} days, copied those of {}\n",
            report.days_recomputed, report.days_copied
        ));
        for table in &report.tables {
            text.push_str(&format!(
                "{:<24} {:>12} rows{}\n",
                table.name,
                table.rows,
                lost_of(table)
            ));
        }
        text.push_str(&losses_of_file(report));
        for day in &report.days {
            let at = Timestamp::from_unix_ms(day.day_ms);
            let (lost, expected) = (day.expected - day.found, day.expected);
            text.push_str(&format!("missing: {lost} of {expected} requests of {at}\n"));
        }
        match report.tail_lost_at_most() {
            Some(0) => {}
            Some(tail) => text.push_str(&format!(
                "missing: up to {tail} of the latest requests, which were not rolled up yet\n"
            )),
            None => text.push_str("the number of missing requests is unknown\n"),
        }
        for (dictionary, names) in &report.lost_names {
            text.push_str(&format!("missing: {names} names of {dictionary}, shown as (lost N)\n"));
        }
        for loss in &report.other_losses {
            text.push_str(&format!("{loss}\n"));
        }
        let (file, new) = (self.file.display(), self.into.display());
        text.push_str(&if report.has_losses() { String::new() } else { complete(report) });
        text.push_str(&format!("wrote {new}; copy {file}.key to {new}.key before serving it\n"));
        text
    }
}

/// Summary of a file that was read completely; earlier losses are still reported.
fn complete(report: &SalvageReport) -> String {
    match report.wal_missing_after_ms.map(Timestamp::from_unix_ms) {
        None => "nothing is missing\n".to_owned(),
        Some(after) => format!(
            "nothing else is missing; a server once started without the previous server's write-ahead log: requests that \
             arrived after {after} may be missing\n"
        ),
    }
}

/// Losses of the file as a whole and their causes.
fn losses_of_file(report: &SalvageReport) -> String {
    let mut text = String::new();
    match report.pages_missing {
        Some(0) => {}
        Some(missing) => text.push_str(&format!(
            "missing: the last {missing} of {} pages, which are beyond the end of the file\n",
            report.pages
        )),
        None => {
            text.push_str("the header is unreadable: pages may be missing at the end of the file\n")
        }
    }
    if report.schema_pages_damaged > 0 {
        let pages = report.schema_pages_damaged;
        text.push_str(&format!(
            "the schema has {pages} unreadable pages: tables on them were searched where a new file has them\n"
        ));
    }
    let why = match report.wal {
        SalvagedWal::NotNeeded | SalvagedWal::Read => return text,
        SalvagedWal::Missing => {
            "the last server did not close the file and its write-ahead log is missing; put the log back beside the \
             file and salvage again"
        }
        SalvagedWal::LeftOut => "the write-ahead log was ignored",
        SalvagedWal::Unreadable => "no transaction in the write-ahead log is readable",
        SalvagedWal::Damaged => {
            "the write-ahead log is damaged; only the part before the damage was read"
        }
    };
    text.push_str(&format!("the latest records may be missing: {why}\n"));
    text
}

fn lost_of(table: &SalvagedTable) -> String {
    let mut losses = Vec::new();
    if table.is_missing {
        losses.push("not found in the file".to_owned());
    }
    if table.damaged_pages > 0 {
        losses.push(format!("{} pages unreadable", table.damaged_pages));
    }
    if table.damaged_rows > 0 {
        losses.push(format!("{} rows unreadable", table.damaged_rows));
    }
    if losses.is_empty() { String::new() } else { format!("; {}", losses.join(", ")) }
}

fn json_of(report: &SalvageReport) -> String {
    let tables: Vec<Value> = report
        .tables
        .iter()
        .map(|table| {
            json!({
                "table": table.name,
                "rows": table.rows,
                "damaged_pages": table.damaged_pages,
                "damaged_rows": table.damaged_rows,
                "not_found": table.is_missing,
            })
        })
        .collect();
    let days: Vec<Value> = report
        .days
        .iter()
        .map(|day| {
            let at = Timestamp::from_unix_ms(day.day_ms).to_string();
            json!({ "day": at, "expected": day.expected, "found": day.found })
        })
        .collect();
    let lost_names: serde_json::Map<String, Value> =
        report.lost_names.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
    let after = report.wal_missing_after_ms.map(Timestamp::from_unix_ms);
    let wal_was_missing_after = after.map(|after| after.to_string());
    let value = json!({
        "complete": !report.has_losses(),
        "pages": report.pages,
        "pages_missing": report.pages_missing,
        "schema_pages_damaged": report.schema_pages_damaged,
        "wal": report.wal.as_str(),
        "wal_frames": report.wal_frames,
        "wal_was_missing_after": wal_was_missing_after,
        "requests_lost": report.requests_lost(),
        "tail_lost_at_most": report.tail_lost_at_most(),
        "days_recomputed": report.days_recomputed,
        "days_copied": report.days_copied,
        "days_with_missing_requests": days,
        "lost_names": lost_names,
        "tables": tables,
        "other_losses": report.other_losses,
    });
    format!("{value}\n")
}
