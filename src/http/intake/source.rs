//! The bytes of a body as they arrive, with their limits.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::http::problem::{Kind, Problem};
use crate::model::Clock;

/// Slowest pace of a body in the long run: a trickle must not keep its place for ever.
const BYTES_PER_SECOND_MIN: u64 = 4 << 10;

/// The bytes of a body.
#[derive(Debug)]
pub(crate) struct Source {
    body: Body,
    left_bytes: u64,
    max_bytes: u64,
    /// Longest wait for the next bytes.
    silence: Duration,
    /// All waits so far, in microseconds.
    waited_us: u64,
    clock: Arc<dyn Clock>,
}

impl Source {
    /// A body of which at most `max_bytes` are read, and which may be silent for `silence`.
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
    /// When the body is too large or too slow, or breaks off.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let pace = (self.max_bytes - self.left_bytes) / BYTES_PER_SECOND_MIN;
            let waited = Duration::from_micros(self.waited_us);
            let most = (self.silence + Duration::from_secs(pace)).saturating_sub(waited);
            let since_us = self.clock.monotonic_us();
            let next = timeout(self.silence.min(most), self.body.frame()).await;
            self.waited_us += self.clock.monotonic_us().saturating_sub(since_us);
            let frame = match next {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => {
                    return Err(Problem::new(Kind::InvalidBody, "the body broke off"));
                }
                Ok(None) => return Ok(None),
                Err(_) => {
                    let detail = "the body came too slowly, or not at all any more";
                    return Err(Problem::new(Kind::BodyTimeout, detail));
                }
            };
            // Trailers carry nothing that is wanted.
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
    Problem::new(Kind::BodyTooLarge, detail)
}
