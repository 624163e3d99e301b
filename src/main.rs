//! The `chatgauge` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    chatgauge::cli::main()
}
