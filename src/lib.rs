//! Telemetry and usage analytics for AI chat, in one binary and one SQLite file.

pub mod alert;
pub mod cli;
pub mod collector;
pub mod config;
pub mod error;
pub mod generate;
pub mod http;
pub mod ingest;
pub mod model;
pub mod privacy;
pub mod query;
pub mod rollup;
pub mod service;
pub mod store;
pub mod system_clock;

pub use collector::{RequestGuard, RequestInfo, TelemetryCollector, Usage};
pub use config::Config;
pub use error::{Error, Result};
pub use service::{AlertMonitor, Chatgauge};
pub use system_clock::SystemClock;
