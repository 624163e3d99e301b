//! The program with one more migration: what an upgrade to the next version does to a file.

use std::process::ExitCode;

fn main() -> ExitCode {
    chatgauge::store::set_next_version(include_str!("next_version.sql"));
    chatgauge::cli::main()
}
