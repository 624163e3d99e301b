//! How many arenas the system's allocator keeps memory in.
//!
//! The GNU C library gives each thread an arena of its own, up to eight for each core, and what a burst of records
//! took stays there: with one arena a server of ten million requests takes two thirds of the memory. The library
//! reads its limit when a program starts, so the program starts once more, as the same process.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What the library reads.
const VARIABLE: &str = "MALLOC_ARENA_MAX";
/// What it reads as well, and what may say something else about arenas.
const OTHER_VARIABLE: &str = "GLIBC_TUNABLES";
const ARENAS: &str = "1";

/// Starts the program anew with few arenas, unless its environment says something about them.
///
/// Returns when there is nothing to do, or when the program cannot be started again: it runs as well with many.
pub(super) fn limit_arenas() {
    let is_gnu = cfg!(all(target_os = "linux", target_env = "gnu"));
    let is_set = [VARIABLE, OTHER_VARIABLE].iter().any(|name| std::env::var_os(name).is_some());
    if !is_gnu || is_set {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| program.clone().into());
    let error = Command::new(program).arg0(name).args(arguments).env(VARIABLE, ARENAS).exec();
    tracing::debug!(%error, "the program goes on with the allocator as it is");
}
