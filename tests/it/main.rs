//! Integration tests: one binary, one link of the bundled SQLite.

mod cli;
mod edge;
mod harness;
mod http;
