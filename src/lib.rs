//! Telemetry and usage analytics for AI chat, in one binary and one SQLite file.

pub mod config;
pub mod error;
pub mod model;
pub mod query;
pub mod rollup;
pub mod service;
pub mod store;

pub use config::Config;
pub use error::{Error, Result};
