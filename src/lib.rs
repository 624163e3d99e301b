//! Telemetry and usage analytics for AI chat, in one binary and one SQLite file.
//!
//! An application records one small [`RequestRecord`](model::RequestRecord) for each AI request: latencies, tokens, cost,
//! outcome, and who asked. chatgauge stores the records durably, keeps rollups of them, and answers queries over any window,
//! filter and time zone. It never stores message content. The `chatgauge` program serves all of this over HTTP; this crate
//! is the same thing as a library, without HTTP and without an async runtime:
//!
//! ```
//! # #[cfg(feature = "server")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use chatgauge::model::{Filter, TimeWindow};
//! use chatgauge::{Chatgauge, Config, RequestInfo, Usage};
//!
//! # let directory = tempfile::tempdir()?;
//! let mut config = Config::default();
//! config.store.path = "chat.db".into();
//! # config.store.path = directory.path().join("chat.db");
//! let service = Chatgauge::open(config)?;
//! let telemetry = service.collector();
//!
//! let info = RequestInfo::chat("gpt-5").provider("openai").user("alice").space("sales");
//! let mut request = telemetry.start_request(info);
//! request.context_assembled(); // after retrieval and history
//! let mut llm = request.llm_call("openai", "gpt-5"); // once for each attempt
//! llm.first_token();
//! llm.usage(Usage::new(900, 150));
//! llm.ok();
//! request.complete(); // or `record_error`; a guard that is dropped counts as cancelled
//!
//! assert!(telemetry.flush(Duration::from_secs(5)), "the record is on disk");
//! let current = service.current(&Filter::default(), TimeWindow::Hour)?;
//! assert_eq!(current.window.requests(), 1);
//! assert_eq!(current.window.total_tokens(), 1_050);
//! service.shutdown()?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "server"))]
//! # fn main() {}
//! ```
//!
//! `examples/embedded.rs` shows every stage of a request, `examples/remote.rs` records to a server elsewhere.
//!
//! # Layout
//!
//! Recording, in every build:
//!
//! - [`collector`]: guards that follow a request, and a bounded queue that never blocks the application.
//! - [`client`]: the same guards with a server elsewhere, and a client that posts records.
//! - [`chat`]: a resilient chat flow (cache, retries with backoff, circuit breaker, fallback) that records itself.
//! - [`model`]: plain values: records, time and time zones, measures, sketches, filters, alert rules.
//! - [`config`], [`privacy`], [`error`]: the configuration, pseudonyms, the one public error.
//!
//! The server, with the feature `server` (on by default):
//!
//! - [`service`]: [`Chatgauge`], which owns the threads and the clock. Embedding programs start here.
//! - [`query`]: queries and their results.
//! - [`rollup`], [`backup`]: the results of maintenance: checks, rebuilds, retention, backups.
//! - [`generate`]: seeded, realistic traffic for demos, tests and benchmarks.
//!
//! The modules `alert`, `cli`, `gateway`, `http`, `ingest`, `provider` and `store` are public for the program and its tests
//! only. `ARCHITECTURE.md` has the data flow, the invariants and the decisions behind them.

#[macro_use]
mod debug_fields;

#[cfg(feature = "server")]
#[doc(hidden)]
pub mod alert;
#[cfg(feature = "server")]
pub mod backup;
pub mod chat;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod cli;
pub mod client;
pub mod collector;
pub mod config;
#[cfg(feature = "server")]
mod csv_file;
pub mod error;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod gateway;
#[cfg(feature = "server")]
pub mod generate;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod http;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod ingest;
pub mod model;
pub mod privacy;
#[doc(hidden)]
pub mod provider;
#[cfg(feature = "server")]
pub mod query;
#[cfg(feature = "server")]
pub mod rollup;
#[cfg(feature = "server")]
pub mod service;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod store;
mod system_clock;

pub use collector::{RequestGuard, RequestInfo, TelemetryCollector, Usage};
pub use config::Config;
pub use error::{Error, Result};
#[cfg(feature = "server")]
pub use service::{AlertMonitor, Chatgauge, OpenOptions};
pub use system_clock::SystemClock;
