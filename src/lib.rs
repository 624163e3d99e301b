//! Telemetry and usage analytics for AI chat, in one binary and one SQLite file.

pub mod collector;
pub mod config;
pub mod error;
pub mod model;
pub mod query;
pub mod service;
pub mod system_clock;

pub use collector::{RequestGuard, RequestInfo, TelemetryCollector, Usage};
pub use config::Config;
pub use error::{Error, Result};
pub use system_clock::SystemClock;
