//! The command line: one struct a command.
//!
//! Results go to standard output, everything else to standard error. Every command prints JSON with
//! `--json`. Exit codes: 0 done, 1 failed, 2 not understood, 74 the disk failed (`EX_IOERR` of `sysexits.h`).

pub mod alert;
mod arenas;
pub mod backup;
pub mod config;
mod demo_alerts;
pub mod export;
pub mod import;
pub mod keys;
mod open;
mod reload;
pub mod report;
mod run_server;
pub mod salvage;
pub mod select;
pub mod serve;
pub mod table;
mod token;
pub mod upkeep;
pub mod window;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};

use crate::error::{Error, Result};

/// A flush to the disk failed: start again to recover from the write-ahead log.
pub const EXIT_STORE_FAILED: u8 = 74;

const EXAMPLES: &str = "\
Examples:
  chatgauge demo                                 see it with a month of made-up history
  chatgauge serve --db chatgauge.db              take records in and answer, on 127.0.0.1:8089
  chatgauge report day                           a summary of the last 24 hours
  chatgauge import requests.ndjson.gz            store history from a file

CHATGAUGE_* variables set any key of the configuration; CHATGAUGE_LOG=debug shows more.";

/// The version of the program, and below it that of the time zones.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    format!("{}\ntime zones: {}", env!("CARGO_PKG_VERSION"), crate::model::Tz::data())
});

/// Telemetry and usage analytics for AI chat, in one binary and one SQLite file.
#[derive(Clone, Debug, Parser)]
#[command(name = "chatgauge", version, long_version = LONG_VERSION.as_str(), after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Take records in and answer over HTTP
    Serve(serve::ServeCommand),
    /// Seed a month of history, keep simulated traffic flowing and serve it
    Demo(serve::DemoCommand),
    /// Store requests from NDJSON and CSV files
    Import(Box<import::ImportCommand>),
    /// Write stored requests as NDJSON or CSV
    Export(export::ExportCommand),
    /// Answer one read-only SQL statement
    Sql(select::SqlCommand),
    /// Print a summary of a window
    Report(report::ReportCommand),
    /// Recompute the rollups from the raw rows and compare
    Check(upkeep::CheckCommand),
    /// Recompute the rollups from the raw rows and replace them
    Rebuild(upkeep::RebuildCommand),
    /// Read what can be read of a damaged database into a new one
    Salvage(salvage::SalvageCommand),
    /// Copy the database to a file, also beside a running server
    Backup(backup::BackupCommand),
    /// Make a database from a backup
    Restore(backup::RestoreCommand),
    /// Create, list and revoke API keys
    Key(keys::KeyCommand),
    /// Print what a user is stored as
    Pseudonym(keys::PseudonymCommand),
    /// Look at alerts and tend them
    Alert(alert::AlertCommand),
    /// Check or print the configuration
    Config(config::ConfigCommand),
}

/// Runs the program with the arguments of the process.
///
/// # Errors
/// When the command failed.
pub fn run() -> Result<ExitCode> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and version are "errors" for clap, with exit code 0.
            drop(usage.print());
            return Ok(u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from));
        }
    };
    let mut out = io::stdout().lock();
    match dispatch(&cli.command, &mut out) {
        // A reader that went away (`| head`) has seen enough.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        outcome => outcome,
    }
}

fn dispatch(command: &Command, out: &mut dyn Write) -> Result<ExitCode> {
    match command {
        Command::Serve(command) => command.run(out)?,
        Command::Demo(command) => command.run(out)?,
        Command::Import(command) => return command.import(out),
        Command::Export(command) => return command.run(out),
        Command::Sql(command) => command.run(out)?,
        Command::Report(command) => command.run(out)?,
        Command::Check(command) => return command.run(out),
        Command::Rebuild(command) => return command.run(out),
        Command::Salvage(command) => return command.run(out),
        Command::Backup(command) => command.run(out)?,
        Command::Restore(command) => command.run(out)?,
        Command::Key(command) => command.run(out)?,
        Command::Pseudonym(command) => command.run(out)?,
        Command::Alert(command) => return command.run(out),
        Command::Config(command) => command.run(out)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints text; a reader that went away (`| head`) is no error.
///
/// # Errors
/// When it cannot be written.
pub fn print(out: &mut dyn Write, text: &str) -> Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::Io { path: "standard output".into(), source: error })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("chatgauge "), "{} has no example", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
