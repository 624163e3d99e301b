//! The command line: one struct per command.
//!
//! Results go to standard output, everything else to standard error. Every command prints JSON with
//! `--json`. Exit codes: 0 success, 1 failure, 2 invalid usage, 74 disk failure (`EX_IOERR` of
//! `sysexits.h`).

pub mod alert;
mod arenas;
pub mod backup;
pub mod config;
mod demo_alerts;
pub mod export;
pub mod import;
pub mod keys;
mod open;
mod program;
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

pub use self::program::main;
use crate::error::{Error, Result};

/// Exit code after a flush to the disk failed; a restart recovers from the write-ahead log.
pub const EXIT_STORE_FAILED: u8 = 74;

const EXAMPLES: &str = "\
Examples:
  chatgauge demo                                 try it with a month of generated history
  chatgauge serve --db chatgauge.db              receive records and serve queries on 127.0.0.1:8089
  chatgauge report day                           a summary of the last 24 hours
  chatgauge import requests.ndjson.gz            import history from a file

CHATGAUGE_* variables set any configuration key; CHATGAUGE_LOG=debug logs more.";

/// The versions of the program and of its time zone data.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    format!("{}\ntime zones: {}", env!("CARGO_PKG_VERSION"), crate::model::Tz::data())
});

/// Telemetry and usage analytics for AI chat, in one binary and one SQLite file.
#[derive(Clone, Debug, Parser)]
#[command(name = "chatgauge", version, long_version = LONG_VERSION.as_str(), after_help = EXAMPLES)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// All commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the server: receive records and serve queries over HTTP
    Serve(serve::ServeCommand),
    /// Serve a demo with a month of generated history and simulated traffic
    Demo(serve::DemoCommand),
    /// Import requests from NDJSON and CSV files
    Import(Box<import::ImportCommand>),
    /// Export requests as NDJSON or CSV
    Export(export::ExportCommand),
    /// Run a read-only SQL statement
    Sql(select::SqlCommand),
    /// Print a summary report of a time range
    Report(report::ReportCommand),
    /// Verify the rollups against the raw rows
    Check(upkeep::CheckCommand),
    /// Rebuild the rollups from the raw rows
    Rebuild(upkeep::RebuildCommand),
    /// Recover readable data of a damaged database into a new one
    Salvage(salvage::SalvageCommand),
    /// Back up the database to a file (the server may keep running)
    Backup(backup::BackupCommand),
    /// Restore a database from a backup
    Restore(backup::RestoreCommand),
    /// Create, list and revoke API keys
    Key(keys::KeyCommand),
    /// Print a user's pseudonym
    Pseudonym(keys::PseudonymCommand),
    /// Inspect and manage alerts
    Alert(alert::AlertCommand),
    /// Check or print the configuration
    Config(config::ConfigCommand),
}

/// Runs the command that the arguments of the process name.
fn run() -> Result<ExitCode> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // For clap, help and version are errors with exit code 0.
            drop(usage.print());
            return Ok(u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from));
        }
    };
    let mut out = io::stdout().lock();
    match dispatch(&cli.command, &mut out) {
        // A closed pipe (`| head`) is not an error.
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

/// Prints text; a closed pipe (`| head`) is not an error.
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
