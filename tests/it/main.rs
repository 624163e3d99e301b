//! Integration tests: one binary, one link of the bundled SQLite.

mod collector;
mod edge;
mod harness;
mod oracle;
mod stages;
