//! Memory settings of the GNU C library's allocator.
//!
//! glibc gives each thread its own arena, up to eight per core, and memory used by a burst of
//! records stays in these arenas: with a single arena, a server with ten million requests takes two
//! thirds of the memory. glibc also raises its mmap threshold whenever a large block is freed and
//! then keeps such blocks; a fixed threshold returns them to the system. glibc reads these settings
//! only at program start, so the program re-executes itself, with the same process id.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// One arena; blocks of 128 KiB or more are mapped separately; at most as much unused memory is
/// kept.
const SETTINGS: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];
/// Another variable that can hold allocator settings.
const OTHER_VARIABLE: &str = "GLIBC_TUNABLES";

/// Re-executes the program with these settings, unless the environment already contains any.
///
/// Returns if there is nothing to do or the program cannot be re-executed; it also works without.
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
    tracing::debug!(%error, "re-executing with allocator settings failed; continuing without");
}
