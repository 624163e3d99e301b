//! The command line: one struct per command.
//!
//! Results go to standard output, everything else to standard error. Every command prints JSON with
//! `--json`. Exit codes: 0 success, 1 failure, 2 invalid usage, 74 disk failure (`EX_IOERR` of
//! `sysexits.h`).

mod alert;
mod arenas;
mod backup;
mod config;
mod demo_alerts;
mod export;
pub mod import;
mod keys;
mod open;
mod program;
mod report;
mod run_server;
mod salvage;
mod serve;
mod sql;
mod table;
mod token;
mod upkeep;
mod window;

use std::io::{self, Write};

use crate::error::{Error, Result};
pub use program::main;

/// Exit code after a flush to the disk failed; a restart recovers from the write-ahead log.
const EXIT_STORE_FAILED: u8 = 74;

/// Prints text; a closed pipe (`| head`) is not an error.
fn print(out: &mut dyn Write, text: &str) -> Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::Io { path: "standard output".into(), source: error })
        }
        _ => Ok(()),
    }
}
