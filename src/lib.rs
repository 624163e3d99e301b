//! Telemetry and usage analytics for AI chat, in one binary and one SQLite file.

#[cfg(feature = "server")]
pub mod alert;
#[cfg(feature = "server")]
pub mod backup;
pub mod chat;
#[cfg(feature = "server")]
pub mod cli;
pub mod client;
pub mod collector;
pub mod config;
#[cfg(feature = "server")]
mod csv_file;
pub mod error;
#[cfg(feature = "server")]
pub mod gateway;
#[cfg(feature = "server")]
pub mod generate;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod ingest;
pub mod model;
pub mod privacy;
pub mod provider;
#[cfg(feature = "server")]
pub mod query;
#[cfg(feature = "server")]
pub mod rollup;
#[cfg(feature = "server")]
pub mod service;
#[cfg(feature = "server")]
pub mod store;
pub mod system_clock;

pub use collector::{RequestGuard, RequestInfo, TelemetryCollector, Usage};
pub use config::Config;
pub use error::{Error, Result};
#[cfg(feature = "server")]
pub use service::{AlertMonitor, Chatgauge, OpenOptions};
pub use system_clock::SystemClock;
