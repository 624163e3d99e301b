//! Integration tests: one binary, one link of the bundled SQLite.

mod alerts;
mod chat;
mod cli;
mod client;
mod collector;
mod crash;
mod dashboard;
mod docs;
mod edge;
mod files;
mod gateway;
mod harness;
mod heavy;
mod http;
mod identity;
mod meddling;
mod notify;
mod oracle;
mod otlp;
mod properties;
mod retention;
mod slow_bodies;
mod stages;
mod store_harness;
mod tidy;
