//! The program as a process: its log, its errors and its exit code.

#![expect(clippy::print_stderr, reason = "the place where errors are shown")]

use std::error::Error as _;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use super::{EXIT_STORE_FAILED, run};
use crate::error::StorageErrorKind;

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
