//! Integration tests: one binary, one link of the bundled SQLite.

mod harness;
mod http;
