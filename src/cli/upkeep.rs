//! `chatgauge check` and `chatgauge rebuild`.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::config::CommonArgs;
use super::open;
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
pub(super) struct CheckCommand {
    #[command(flatten)]
    common: CommonArgs,
    /// Check only the file structure and totals
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Recompute and compare everything (default)
    #[arg(long)]
    full: bool,
}

impl CheckCommand {
    /// Checks the file, even while a server is running; returns a failure exit code if something
    /// differs.
    ///
    /// # Errors
    /// If the file cannot be opened or is busy.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<ExitCode> {
        let mut config = self.common.config.load()?;
        let threads = check_threads();
        config.store.readers = config.store.readers.max(threads);
        let store = Store::open_read_only(&config.store)?;
        let mode = if self.quick { CheckMode::Quick } else { CheckMode::Full };
        let template =
            "checking {wide_bar} {human_pos}/{human_len} requests, {per_sec}, {eta} left";
        let bar = open::bar(Some(0), template);
        let report = check(&store, mode, threads, &mut |read, of| open::advance(&bar, read, of))?;
        bar.finish_and_clear();
        let wal = MissingWal::of(&store);
        self.common.print(out, || json_of(&report, &wal), || text_of(&report, &wal))?;
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
        // If the row is damaged, only the files can tell.
        let state = store.read(|reader| reader.store_state()).ok();
        let once_after = state.and_then(|state| state.wal_missing_after_ms);
        let once_after = once_after.map(Timestamp::from_unix_ms);
        Self { is_missing: store.wal_is_missing(), once_after }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if self.is_missing {
            text += "the last server did not close the file and the write-ahead log is missing: the latest requests are \
                     missing, unless another tool closed the file; put the log back beside the file before a server starts\n";
        }
        if let Some(after) = self.once_after {
            text += &format!(
                "a server once started without the previous server's write-ahead log: requests that arrived after \
                 {after} may be missing\n"
            );
        }
        text
    }
}

fn json_of(report: &CheckReport, wal: &MissingWal) -> Value {
    json!({
        "ok": report.is_ok() && !wal.is_missing,
        "wal_missing": wal.is_missing,
        "wal_was_missing_after": wal.once_after,
        "mode": report.mode.as_str(),
        "days": report.days,
        "skipped_days": report.skipped_days,
        "requests": report.rows,
        "rollup_rows": report.rollup_rows,
        "index_entries": report.index_entries,
        "tail": { "requests": report.tail_rows, "looked_at": report.tail_check() },
        "mismatches": report.mismatches,
        "damage": report.damage,
    })
}

fn text_of(report: &CheckReport, wal: &MissingWal) -> String {
    let CheckReport { days, rows, rollup_rows, index_entries, skipped_days, .. } = report;
    let mut text = match report.mode {
        CheckMode::Full => format!(
            "compared {rollup_rows} rollup rows of {days} days with {rows} requests, and the requests with \
             {index_entries} index entries\n"
        ),
        CheckMode::Quick => format!(
            "checked the structure of the file, and {rollup_rows} totals of {days} days with {rows} requests\n"
        ),
    };
    if *skipped_days > 0 {
        text += &format!("{skipped_days} days have pruned requests: only totals were compared\n");
    }
    let (tail, method) = (report.tail_rows, report.tail_check());
    text += &format!("{tail} requests are not rolled up yet; they were {method}\n");
    text += &lines("the file is damaged", &report.damage);
    text += &lines("differs", &report.mismatches);
    text += &wal.text();
    text + match (report.damage.is_empty(), report.mismatches.is_empty()) {
        (true, true) if wal.is_missing => "no other problems found\n",
        (true, true) => "no problems found\n",
        (true, false) => "run `chatgauge rebuild` to recompute the rollups\n",
        (false, _) => {
            "restore a backup, or run `chatgauge salvage FILE --into NEW`; where only rollups are damaged, \
             `chatgauge rebuild` rebuilds them\n"
        }
    }
}

/// One line for each finding.
fn lines(label: &str, findings: &[String]) -> String {
    findings.iter().map(|finding| format!("{label}: {finding}\n")).collect()
}

const REBUILD_EXAMPLES: &str = "\
Examples:
  chatgauge rebuild --db chatgauge.db

The rollups are built in new tables, which replace the old ones in one transaction: an interrupted rebuild changes
nothing. Rollups of pruned requests are kept if readable. The exit code is 1 if something is lost.";

/// Rebuild the rollups from the raw rows
#[derive(Clone, Debug, Args)]
#[command(after_help = REBUILD_EXAMPLES)]
pub(super) struct RebuildCommand {
    #[command(flatten)]
    common: CommonArgs,
}

impl RebuildCommand {
    /// Rebuilds the rollups; no server may have the file open. Returns a failure exit code if
    /// something is lost.
    ///
    /// # Errors
    /// If the file is in use, or cannot be read or written.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<ExitCode> {
        let config = self.common.config.load()?;
        let path = &config.store.path;
        if !path.exists() {
            return Err(Error::database(path, "no such file; `chatgauge serve` creates it"));
        }
        let (store, mut writer) = Store::open(&config.store)?;
        let bar = open::progress(0, "rebuilding");
        let report = rebuild(&store, &mut writer, open::now(), &mut |day, days| {
            open::advance(&bar, day as u64, days as u64);
        })?;
        bar.finish_and_clear();
        self.common.print(out, || rebuild_json(&report), || rebuild_text(&report))?;
        Ok(if report.lost.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn rebuild_json(report: &RebuildReport) -> Value {
    json!({
        "days": report.days,
        "kept_days": report.kept_days,
        "had_unfinished": report.had_unfinished,
        "vacuumed": report.is_vacuumed,
        "corrected": report.corrected,
        "lost": report.lost,
    })
}

fn rebuild_text(report: &RebuildReport) -> String {
    let RebuildReport { days, kept_days, .. } = report;
    let mut text = String::new();
    if report.had_unfinished {
        text += "removed the leftovers of an interrupted rebuild\n";
    }
    text += &format!("rebuilt the rollups of {days} days\n");
    if *kept_days > 0 {
        text += &format!("kept the rollups of {kept_days} days unchanged\n");
    }
    if report.is_vacuumed {
        text += "rewrote the file without its damaged pages (vacuum)\n";
    }
    text + &lines("corrected", &report.corrected) + &lines("lost", &report.lost)
}
