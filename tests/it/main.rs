//! Integration tests: one binary, one link of the bundled SQLite.

mod alerts;
mod api;
mod cli;
mod collector;
mod correctness;
mod edge;
mod gateway;
mod harness;
mod http;
mod library;
mod notify;
mod oracle;
mod otlp;
mod privacy;
mod project;
mod retention;
mod salvage;
mod storage;
