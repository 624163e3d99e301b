//! Telemetry and usage analytics for AI chat, in one binary and one SQLite file.

pub mod config;
pub mod error;
pub mod http;
pub mod ingest;
pub mod model;
pub mod privacy;
pub mod query;
pub mod service;

pub use config::Config;
pub use error::{Error, Result};
