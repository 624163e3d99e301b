//! The bytes of a body as they arrive, with limits of size and pace.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::http::problem::{Problem, ProblemKind};
use crate::model::Clock;

/// Minimum average pace of a body, in bytes per second: a trickle must not hold its permit for ever.
const BYTES_PER_SECOND_MIN: u64 = 4 << 10;

/// The bytes of a body.
#[derive(Debug)]
pub(crate) struct BodyBytes {
    body: Body,
    left_bytes: u64,
    max_bytes: u64,
    /// Maximum wait for the next bytes.
    silence: Duration,
    /// All waits so far, in microseconds.
    waited_us: u64,
    clock: Arc<dyn Clock>,
}

impl BodyBytes {
    /// A body of at most `max_bytes` that may be silent for `silence`.
    pub(crate) fn new(
        body: Body,
        max_bytes: u64,
        silence: Duration,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let clock = Arc::clone(clock);
        Self { body, left_bytes: max_bytes, max_bytes, silence, waited_us: 0, clock }
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// If the body is too large, too slow or incomplete.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let pace = (self.max_bytes - self.left_bytes) / BYTES_PER_SECOND_MIN;
            let waited = Duration::from_micros(self.waited_us);
            let left = (self.silence + Duration::from_secs(pace)).saturating_sub(waited);
            let since_us = self.clock.monotonic_us();
            let next = timeout(self.silence.min(left), self.body.frame()).await;
            self.waited_us += self.clock.monotonic_us().saturating_sub(since_us);
            let next = next.map_err(|_| {
                Problem::new(ProblemKind::BodyTimeout, "timed out reading the body")
            })?;
            let Some(frame) = next else { return Ok(None) };
            let frame = frame
                .map_err(|_| Problem::new(ProblemKind::InvalidBody, "the body is incomplete"))?;
            // Trailers are ignored.
            let Ok(bytes) = frame.into_data() else { continue };
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let left = self.left_bytes.checked_sub(length);
            self.left_bytes = left.ok_or_else(|| too_large(self.max_bytes))?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}

/// A body over the limit as it was sent.
pub(crate) fn too_large(max_bytes: u64) -> Problem {
    let detail = format!("at most {max_bytes} bytes as sent; send smaller batches");
    Problem::new(ProblemKind::BodyTooLarge, detail)
}
