//! Integration tests: one binary, one link of the bundled SQLite.

mod cli;
mod collector;
mod crash;
mod edge;
mod harness;
mod http;
mod oracle;
mod stages;
mod store_harness;
mod tidy;
