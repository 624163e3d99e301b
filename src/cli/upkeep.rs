//! `chatgauge check` and `chatgauge rebuild`.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::config::ConfigArgs;
use super::{open, print};
use crate::error::{Error, Result};
use crate::model::Timestamp;
use crate::rollup::{CheckMode, CheckReport, RebuildReport, rebuild};
use crate::service::{check, check_threads};
use crate::store::Store;

const CHECK_EXAMPLES: &str = "\
Examples:
  chatgauge check --db chatgauge.db
  chatgauge check --quick --db chatgauge.db
  chatgauge check --json || echo 'something is wrong'

--full, the default, recomputes the rollups of every day whose raw rows are not pruned, compares the rows with their
indexes, and reads the rows after the watermark. --quick checks the structure of the file and compares totals.
The exit code is 1 if something differs or is damaged.";

/// Verify the rollups against the raw rows
#[derive(Clone, Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct CheckCommand {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Check only the file structure and totals
    #[arg(long, conflicts_with = "full")]
    pub quick: bool,
    /// Recompute and compare everything (default)
    #[arg(long)]
    pub full: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl CheckCommand {
    /// Checks the file, even while a server is running; returns a failure exit code if something
    /// differs.
    ///
    /// # Errors
    /// If the file cannot be opened or is busy.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode> {
        let mut config = self.config.load()?;
        let threads = check_threads();
        config.store.readers = config.store.readers.max(threads);
        let store = Store::open_read_only(&config.store)?;
        let mode = if self.quick { CheckMode::Quick } else { CheckMode::Full };
        let bar = open::progress_of_requests("checking");
        let report = check(&store, mode, threads, &mut |read, of| {
            bar.set_length(of);
            bar.set_position(read);
        })?;
        bar.finish_and_clear();
        let wal = MissingWal::of(&store);
        let printed = if self.json { json_of(&report, &wal) } else { text_of(&report, &wal) };
        print(out, &printed)?;
        let is_ok = report.is_ok() && !wal.is_missing;
        Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Records lost with a missing write-ahead log.
struct MissingWal {
    /// The last server did not close the file, and its write-ahead log is missing.
    is_missing: bool,
    /// A server once started without the previous server's WAL; records after this instant may be
    /// missing.
    once_after: Option<Timestamp>,
}

impl MissingWal {
    fn of(store: &Store) -> Self {
        // A damaged row leaves only the look at the files.
        let state = store.read(|reader| reader.store_state()).ok();
        let once_after = state.and_then(|state| state.wal_missing_after_ms);
        Self {
            is_missing: store.wal_is_missing(),
            once_after: once_after.map(Timestamp::from_unix_ms),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if self.is_missing {
            text.push_str(
                "the last server did not close the file and the write-ahead log is missing: the latest requests are \
                 missing, unless another tool closed the file; put the log back beside the file before a server starts\n",
            );
        }
        if let Some(after) = self.once_after {
            text.push_str(&format!(
                "a server once started without the previous server's write-ahead log: requests that arrived after \
                 {after} may be missing\n"
            ));
        }
        text
    }
}

fn json_of(report: &CheckReport, wal: &MissingWal) -> String {
    let value = json!({
        "ok": report.is_ok() && !wal.is_missing,
        "wal_missing": wal.is_missing,
        "wal_was_missing_after": wal.once_after.map(|after| after.to_string()),
        "mode": report.mode.as_str(),
        "days": report.days,
        "skipped_days": report.skipped_days,
        "requests": report.rows,
        "rollup_rows": report.rollup_rows,
        "index_entries": report.index_entries,
        "tail": { "requests": report.tail_rows, "looked_at": report.tail_check() },
        "mismatches": report.mismatches,
        "damage": report.damage,
    });
    format!("{value}\n")
}

fn text_of(report: &CheckReport, wal: &MissingWal) -> String {
    let (rollups, days, requests) = (report.rollup_rows, report.days, report.rows);
    let mut text = match report.mode {
        CheckMode::Full => format!(
            "compared {rollups} rollup rows of {days} days with {requests} requests, and the requests with {} index \
             entries\n",
            report.index_entries
        ),
        CheckMode::Quick => format!(
            "checked the structure of the file, and {rollups} totals of {days} days with {requests} requests\n"
        ),
    };
    if report.skipped_days > 0 {
        let days = report.skipped_days;
        text.push_str(&format!("{days} days have pruned requests: only totals were compared\n"));
    }
    let (tail, method) = (report.tail_rows, report.tail_check());
    text.push_str(&format!("{tail} requests are not rolled up yet; they were {method}\n"));
    for line in &report.damage {
        text.push_str(&format!("the file is damaged: {line}\n"));
    }
    for line in &report.mismatches {
        text.push_str(&format!("differs: {line}\n"));
    }
    text.push_str(&wal.text());
    if wal.is_missing && report.is_ok() {
        return text + "no other problems found\n";
    }
    text + verdict(report)
}

fn verdict(report: &CheckReport) -> &'static str {
    match (report.damage.is_empty(), report.mismatches.is_empty()) {
        (true, true) => "no problems found\n",
        (true, false) => "run `chatgauge rebuild` to recompute the rollups\n",
        (false, _) => {
            "restore a backup, or run `chatgauge salvage FILE --into NEW`; where only rollups are damaged, \
             `chatgauge rebuild` rebuilds them\n"
        }
    }
}

const REBUILD_EXAMPLES: &str = "\
Examples:
  chatgauge rebuild --db chatgauge.db

The rollups are built in new tables, which replace the old ones in one transaction: an interrupted rebuild changes
nothing. Rollups of pruned requests are kept if readable. The exit code is 1 if something is lost.";

/// Rebuild the rollups from the raw rows
#[derive(Clone, Debug, Args)]
#[command(after_help = REBUILD_EXAMPLES)]
pub struct RebuildCommand {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl RebuildCommand {
    /// Rebuilds the rollups; no server may have the file open. Returns a failure exit code if
    /// something is lost.
    ///
    /// # Errors
    /// If the file is in use, or cannot be read or written.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode> {
        let config = self.config.load()?;
        let path = &config.store.path;
        if !path.exists() {
            return Err(Error::database(path, "no such file; `chatgauge serve` creates it"));
        }
        let (store, mut writer) = Store::open(&config.store)?;
        let bar = open::progress(0, "rebuilding");
        let report = rebuild(&store, &mut writer, open::now(), &mut |day, days| {
            bar.set_length(days as u64);
            bar.set_position(day as u64);
        })?;
        bar.finish_and_clear();
        print(out, &if self.json { rebuild_json(&report) } else { rebuild_text(&report) })?;
        Ok(if report.lost.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn rebuild_json(report: &RebuildReport) -> String {
    let value = json!({
        "days": report.days,
        "kept_days": report.kept_days,
        "had_unfinished": report.had_unfinished,
        "vacuumed": report.is_vacuumed,
        "corrected": report.corrected,
        "lost": report.lost,
    });
    format!("{value}\n")
}

fn rebuild_text(report: &RebuildReport) -> String {
    let mut text = String::new();
    if report.had_unfinished {
        text.push_str("removed the leftovers of an interrupted rebuild\n");
    }
    text.push_str(&format!("rebuilt the rollups of {} days\n", report.days));
    if report.kept_days > 0 {
        text.push_str(&format!("kept the rollups of {} days unchanged\n", report.kept_days));
    }
    if report.is_vacuumed {
        text.push_str("rewrote the file without its damaged pages (vacuum)\n");
    }
    for line in &report.corrected {
        text.push_str(&format!("corrected: {line}\n"));
    }
    for line in &report.lost {
        text.push_str(&format!("lost: {line}\n"));
    }
    text
}
