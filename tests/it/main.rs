//! Integration tests: one binary, one link of the bundled SQLite.

mod edge;
mod harness;
mod http;
