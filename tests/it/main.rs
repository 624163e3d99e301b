//! Integration tests: one binary, one link of the bundled SQLite.

mod collector;
mod crash;
mod edge;
mod harness;
mod http;
mod oracle;
mod properties;
mod stages;
mod store_harness;
mod tidy;
