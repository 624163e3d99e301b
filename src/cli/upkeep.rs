//! `chatgauge check` and `chatgauge rebuild`.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::config::ConfigArgs;
use super::{open, print};
use crate::error::Result;
use crate::rollup::{CheckReport, check, rebuild};
use crate::store::Store;

const CHECK_EXAMPLES: &str = "\
Examples:
  chatgauge check --db chatgauge.db
  chatgauge check --json || echo 'something is wrong'

Exits with 1 when a rollup differs from what its raw rows add up to.";

/// Recomputes the rollups from the raw rows and compares.
#[derive(Clone, Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct CheckCommand {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl CheckCommand {
    /// Compares, beside a running server too; a failure exit code when something differs.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode> {
        let config = self.config.load()?;
        let store = Store::open_read_only(&config.store)?;
        let damage = store.read(|reader| reader.damage())?;
        let bar = open::progress(0, "checking");
        let report = check(&store, &mut |day, days| {
            bar.set_length(days as u64);
            bar.set_position(day as u64);
        })?;
        bar.finish_and_clear();
        print(out, &if self.json { json_of(&report, &damage) } else { text_of(&report, &damage) })?;
        let is_well = report.mismatches.is_empty() && damage.is_empty();
        Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn json_of(report: &CheckReport, damage: &[String]) -> String {
    let value = json!({
        "ok": report.mismatches.is_empty() && damage.is_empty(),
        "days": report.days,
        "skipped_days": report.skipped_days,
        "requests": report.rows,
        "rollup_rows": report.rollup_rows,
        "mismatches": report.mismatches,
        "damage": damage,
    });
    format!("{value}\n")
}

fn text_of(report: &CheckReport, damage: &[String]) -> String {
    let mut text = format!(
        "compared {} rollup rows of {} days with {} requests\n",
        report.rollup_rows, report.days, report.rows
    );
    if report.skipped_days > 0 {
        let days = report.skipped_days;
        text.push_str(&format!("{days} days have outlived their requests and were not compared\n"));
    }
    for line in damage {
        text.push_str(&format!("the file is damaged: {line}\n"));
    }
    for line in &report.mismatches {
        text.push_str(&format!("differs: {line}\n"));
    }
    let verdict = match (damage.is_empty(), report.mismatches.is_empty()) {
        (true, true) => "all is well\n",
        (true, false) => "run `chatgauge rebuild` to build the rollups anew\n",
        (false, _) => "restore a backup, or salvage the file with `sqlite3 FILE .recover`\n",
    };
    text + verdict
}

const REBUILD_EXAMPLES: &str = "\
Examples:
  chatgauge rebuild --db chatgauge.db

Rollups whose raw rows are gone stay as they are.";

/// Builds the rollups anew from the raw rows.
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
    /// Builds the rollups anew; no server may have the file.
    ///
    /// # Errors
    /// When the file is in use, or cannot be read or written.
    pub fn run(&self, out: &mut dyn Write) -> Result<()> {
        let config = self.config.load()?;
        let (store, mut writer) = Store::open(&config.store)?;
        let bar = open::progress(0, "rebuilding");
        let days = rebuild(&store, &mut writer, &mut |day, days| {
            bar.set_length(days as u64);
            bar.set_position(day as u64);
        })?;
        bar.finish_and_clear();
        let text = if self.json {
            format!("{}\n", json!({ "days": days }))
        } else {
            format!("rebuilt the rollups of {days} days\n")
        };
        print(out, &text)
    }
}
