//! The torture suite: no acknowledged record is lost or doubled when the program is killed, its disk fails or the power is
//! cut.
//!
//! The suite runs the unmodified program under mixed load (REST, OTLP, gateway), keeps the truth outside its process, and
//! compares over the program's public interfaces after each round.
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
