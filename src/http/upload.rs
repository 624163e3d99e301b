//! The bytes of a body as they arrive, with their limits.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;

use super::problem::{Kind, Problem};

/// How long the next bytes of a body may take.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// The bytes of a body.
#[derive(Debug)]
pub(crate) struct Source {
    body: Body,
    left_bytes: u64,
    max_bytes: u64,
}

impl Source {
    /// A body of which at most `max_bytes` are read.
    pub(crate) const fn new(body: Body, max_bytes: u64) -> Self {
        Self { body, left_bytes: max_bytes, max_bytes }
    }

    /// Lowers the limit of a body of which nothing was read.
    pub(crate) fn limit(&mut self, max_bytes: u64) {
        self.max_bytes = self.max_bytes.min(max_bytes);
        self.left_bytes = self.max_bytes;
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// When the body is too large or too slow, or breaks off.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let frame = match tokio::time::timeout(IDLE_LIMIT, self.body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => {
                    return Err(Problem::new(Kind::InvalidBody, "the body broke off"));
                }
                Ok(None) => return Ok(None),
                Err(_) => {
                    let detail = format!("nothing came for {} s", IDLE_LIMIT.as_secs());
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
