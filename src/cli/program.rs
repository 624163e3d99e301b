//! The program as a process: its commands, its log, its errors and its exit code.

#![expect(clippy::print_stderr, reason = "the place where errors are shown")]

use std::error::Error as _;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use super::{
    EXIT_STORE_FAILED, alert, backup, config, export, import, keys, report, salvage, serve, sql,
    upkeep,
};
use crate::error::{Error, Result, StorageErrorKind};

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
#[derive(Debug, Parser)]
#[command(name = "chatgauge", version, long_version = LONG_VERSION.as_str(), after_help = EXAMPLES)]
pub(super) struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// All commands; each is described where it is defined.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Serve(serve::ServeCommand),
    Demo(serve::DemoCommand),
    Import(Box<import::ImportCommand>),
    Export(export::ExportCommand),
    Sql(sql::SqlCommand),
    Report(report::ReportCommand),
    Check(upkeep::CheckCommand),
    Rebuild(upkeep::RebuildCommand),
    Salvage(salvage::SalvageCommand),
    Backup(backup::BackupCommand),
    Restore(backup::RestoreCommand),
    #[command(subcommand)]
    Key(keys::KeyCommand),
    Pseudonym(keys::PseudonymCommand),
    #[command(subcommand)]
    Alert(alert::AlertCommand),
    #[command(subcommand)]
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
        Command::Salvage(command) => command.run(out)?,
        Command::Backup(command) => command.run(out)?,
        Command::Restore(command) => command.run(out)?,
        Command::Key(command) => command.run(out)?,
        Command::Pseudonym(command) => command.run(out)?,
        Command::Alert(command) => return command.run(out),
        Command::Config(command) => command.run(out)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the program with the arguments of the process; prints why it failed and gives the exit code.
pub fn main() -> ExitCode {
    start_log();
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("chatgauge: {error}");
            let mut cause = error.source();
            while let Some(next) = cause {
                // A message that repeats its cause has said it already.
                if !error.to_string().ends_with(&next.to_string()) {
                    eprintln!("  caused by: {next}");
                }
                cause = next.source();
            }
            ExitCode::from(match error.storage_kind() {
                Some(StorageErrorKind::SyncFailed) => EXIT_STORE_FAILED,
                _ if error.is_invalid_input() => 2,
                _ => 1,
            })
        }
    }
}

fn start_log() {
    let filter = EnvFilter::try_from_env(crate::config::LOG_VARIABLE)
        .unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
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
