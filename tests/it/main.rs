//! Integration tests: one binary, one link of the bundled SQLite.

mod alerts;
mod cli;
mod collector;
mod crash;
mod edge;
mod files;
mod harness;
mod heavy;
mod http;
mod identity;
mod notify;
mod oracle;
mod properties;
mod retention;
mod stages;
mod store_harness;
mod tidy;
