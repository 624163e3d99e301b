//! The torture suite: nothing that was acknowledged is lost or doubled, whatever happens to the program or its disk.
//!
//! The real program is started, loaded over REST, OTLP and the gateway, and killed, starved of space, lied to by its
//! disk or cut off from power; truth is kept here, outside the process, and compared over the program's public faces.
//! `cargo test --test torture` runs the short form in minutes, `bench/torture` the long one. `RELIABILITY.md` says which
//! promise each part tests.

#![cfg(target_os = "linux")]
#![expect(clippy::print_stdout, reason = "tables and findings are what a run is for")]

mod backups;
mod campaign;
mod cuts;
mod disk;
mod faults;
mod findings;
mod full_disk;
mod kills;
mod layer;
mod load;
mod long;
mod old_schema;
mod place;
mod planted;
mod poison;
mod server;
mod short;
mod stage;
mod truth;
mod upstream;
mod verify;
mod write_log;
