//! How the system's allocator keeps memory.
//!
//! The GNU C library gives each thread an arena of its own, up to eight for each core, and what a burst of records
//! took stays there: with one arena a server of ten million requests takes two thirds of the memory. It also learns
//! from each large block that is freed to keep the next one of that size; told a size, it gives them back. The
//! library reads all this when a program starts, so the program starts once more, as the same process.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What the library reads: one arena; blocks from 128 KiB on by themselves; as much unused memory at the end at most.
const SETTINGS: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];
/// What it reads as well, and what may say something else.
const OTHER_VARIABLE: &str = "GLIBC_TUNABLES";

/// Starts the program anew with these settings, unless its environment says something about them.
///
/// Returns when there is nothing to do, or when the program cannot be started again: it runs as well without.
pub(super) fn limit_arenas() {
    let is_gnu = cfg!(all(target_os = "linux", target_env = "gnu"));
    let mut names = SETTINGS.iter().map(|(name, _)| *name).chain([OTHER_VARIABLE]);
    let is_set = names.any(|name| std::env::var_os(name).is_some());
    if !is_gnu || is_set {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| program.clone().into());
    let error = Command::new(program).arg0(name).args(arguments).envs(SETTINGS).exec();
    tracing::debug!(%error, "the program goes on with the allocator as it is");
}
