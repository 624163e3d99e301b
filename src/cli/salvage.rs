//! `chatgauge salvage`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::config::CommonArgs;
use super::open;
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
pub(super) struct SalvageCommand {
    /// Damaged database
    file: PathBuf,
    /// New database; it must not exist
    #[arg(long, value_name = "NEW")]
    into: PathBuf,
    /// Ignore the write-ahead log beside FILE
    #[arg(long)]
    without_wal: bool,
    #[command(flatten)]
    common: CommonArgs,
}

impl SalvageCommand {
    /// Salvages a file.
    ///
    /// # Errors
    /// If the new file exists, a server has the damaged one open, or one of them cannot be
    /// opened or written.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<()> {
        let config = self.common.config.load()?;
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
            open::advance(&bar, done, of);
        };
        let report = salvage(&source, &self.into, &config.store, open::now(), step)?;
        bar.finish_and_clear();
        self.common.print(out, || json_of(&report), || self.text_of(&report))
    }

    fn text_of(&self, report: &SalvageReport) -> String {
        let pages = report.pages.saturating_sub(report.pages_missing.unwrap_or(0));
        let SalvageReport { wal_frames, days_recomputed, days_copied, .. } = report;
        let mut text = format!(
            "read {pages} pages and {wal_frames} frames of the write-ahead log\n\
             recomputed the rollups of {days_recomputed} days, copied those of {days_copied}\n"
        );
        for table in &report.tables {
            let (name, rows, losses) = (&table.name, table.rows, losses_of_table(table));
            text += &format!("{name:<24} {rows:>12} rows{losses}\n");
        }
        text += &losses_of_file(report);
        text += &losses_of_requests(report);
        text.extend(report.other_losses.iter().map(|loss| format!("{loss}\n")));
        if !report.has_losses() {
            text += &complete(report);
        }
        let (file, new) = (self.file.display(), self.into.display());
        text + &format!("wrote {new}; copy {file}.key to {new}.key before serving it\n")
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
    let mut text = match report.pages_missing {
        Some(0) => String::new(),
        Some(missing) => format!(
            "missing: the last {missing} of {} pages, which are beyond the end of the file\n",
            report.pages
        ),
        None => {
            "the header is unreadable: pages may be missing at the end of the file\n".to_owned()
        }
    };
    if report.schema_pages_damaged > 0 {
        text += &format!(
            "the schema has {} unreadable pages: tables on them were searched where a new file has them\n",
            report.schema_pages_damaged
        );
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
    text + &format!("the latest records may be missing: {why}\n")
}

/// Missing requests and names.
fn losses_of_requests(report: &SalvageReport) -> String {
    let mut text = String::new();
    for day in &report.days {
        let at = Timestamp::from_unix_ms(day.day_ms);
        let (lost, expected) = (day.expected - day.found, day.expected);
        text += &format!("missing: {lost} of {expected} requests of {at}\n");
    }
    text += &match report.tail_lost_at_most() {
        Some(0) => String::new(),
        Some(tail) => {
            format!("missing: up to {tail} of the latest requests, which were not rolled up yet\n")
        }
        None => "the number of missing requests is unknown\n".to_owned(),
    };
    for (dictionary, names) in &report.lost_names {
        text += &format!("missing: {names} names of {dictionary}, shown as (lost N)\n");
    }
    text
}

fn losses_of_table(table: &SalvagedTable) -> String {
    let (pages, rows) = (table.damaged_pages, table.damaged_rows);
    let losses = [
        table.is_missing.then(|| "not found in the file".to_owned()),
        (pages > 0).then(|| format!("{pages} pages unreadable")),
        (rows > 0).then(|| format!("{rows} rows unreadable")),
    ];
    let losses: Vec<String> = losses.into_iter().flatten().collect();
    if losses.is_empty() { String::new() } else { format!("; {}", losses.join(", ")) }
}

fn json_of(report: &SalvageReport) -> Value {
    let table = |table: &SalvagedTable| {
        json!({
            "table": table.name,
            "rows": table.rows,
            "damaged_pages": table.damaged_pages,
            "damaged_rows": table.damaged_rows,
            "not_found": table.is_missing,
        })
    };
    let days = report.days.iter().map(|day| {
        let at = Timestamp::from_unix_ms(day.day_ms);
        json!({ "day": at, "expected": day.expected, "found": day.found })
    });
    let lost_names = report.lost_names.iter();
    let lost_names = lost_names.map(|(name, count)| ((*name).to_owned(), json!(count)));
    json!({
        "complete": !report.has_losses(),
        "pages": report.pages,
        "pages_missing": report.pages_missing,
        "schema_pages_damaged": report.schema_pages_damaged,
        "wal": report.wal,
        "wal_frames": report.wal_frames,
        "wal_was_missing_after": report.wal_missing_after_ms.map(Timestamp::from_unix_ms),
        "requests_lost": report.requests_lost(),
        "tail_lost_at_most": report.tail_lost_at_most(),
        "days_recomputed": report.days_recomputed,
        "days_copied": report.days_copied,
        "days_with_missing_requests": days.collect::<Vec<Value>>(),
        "lost_names": lost_names.collect::<Map<String, Value>>(),
        "tables": report.tables.iter().map(table).collect::<Vec<Value>>(),
        "other_losses": report.other_losses,
    })
}
