//! Recording over HTTP from another Rust program, without the server's dependencies.
//!
//! ```toml
//! chatgauge = { version = "0.1", default-features = false }
//! ```
//!
//! [`Client`] sends records that the program builds itself. [`RemoteCollector`] is the in-process
//! [`TelemetryCollector`](crate::TelemetryCollector) with a server as its destination: the
//! program's own calls never block, and records stay queued while the server is unreachable, as
//! long as the queue has room.

mod record;
mod remote;

use std::time::Duration;

use serde::Deserialize;
use ureq::Agent;

pub use record::Record;
pub use remote::RemoteCollector;

/// Timeout of one batch, from connect to the end of the response.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum length of a response body quoted in an error, in bytes.
const DETAIL_BYTES: usize = 300;

/// Sends records to a server; blocking. Clones share connections.
///
/// # Example
/// ```no_run
/// use chatgauge::client::{Client, Record};
/// let client = Client::new("http://127.0.0.1:8089", "token");
/// let record = Record { user: Some("alice".into()), prompt_tokens: Some(900), ..Record::default() };
/// let report = client.send(&[record])?;
/// assert_eq!(report.accepted, 1);
/// # Ok::<(), chatgauge::client::ClientError>(())
/// ```
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    url: String,
    authorization: String,
}

debug_fields!(Client { url });

/// Result of sending a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Report {
    /// Number of records now stored on disk.
    pub accepted: u64,
    /// Number of records that were already stored.
    pub duplicates: u64,
    /// Rejected records.
    pub rejected: Vec<Rejected>,
}

/// One rejected record.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Rejected {
    /// Its position in the batch, from 0.
    pub index: u64,
    /// The invalid field.
    pub field: String,
    /// What is wrong and what is expected.
    pub reason: String,
}

/// Why a batch was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server is unreachable or did not respond in time.
    #[error("{url} is unreachable: {reason}")]
    Unreachable {
        /// URL of the request.
        url: String,
        /// Cause of the failure.
        reason: String,
    },
    /// The server rejected the batch.
    #[error("the server returned HTTP {status}: {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Start of the response body.
        detail: String,
    },
}

impl ClientError {
    /// Whether a retry may succeed. Retries never store a record twice.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(*status, 408 | 429 | 500..),
        }
    }
}

impl Client {
    /// A client of the server at `url`, such as `http://127.0.0.1:8089`, with a token that may
    /// ingest records.
    pub fn new(url: &str, token: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .build();
        Self {
            agent: config.new_agent(),
            url: format!("{}/api/requests", url.trim_end_matches('/')),
            authorization: format!("Bearer {token}"),
        }
    }

    /// Sends a batch and waits until it is stored on disk. Invalid records are rejected one by one
    /// and listed in the report.
    ///
    /// # Errors
    /// If nothing of the batch was stored.
    pub fn send(&self, records: &[Record]) -> Result<Report, ClientError> {
        let unreachable =
            |reason: String| ClientError::Unreachable { url: self.url.clone(), reason };
        let body = serde_json::to_vec(records).map_err(|error| unreachable(error.to_string()))?;
        let sent = self
            .agent
            .post(&self.url)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .send(body);
        let mut response = sent.map_err(|error| unreachable(error.to_string()))?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string();
        let mut text = text.map_err(|error| unreachable(error.to_string()))?;
        if matches!(status, 200 | 422)
            && let Ok(report) = serde_json::from_str(&text)
        {
            return Ok(report);
        }
        text.truncate(text.floor_char_boundary(DETAIL_BYTES));
        Err(ClientError::Refused { status, detail: text })
    }
}
