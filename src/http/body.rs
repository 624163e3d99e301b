//! Small JSON bodies of administrative requests.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};

/// Largest body of a request that is not ingest, in bytes.
const SMALL_BODY_BYTES_MAX: usize = 64 * 1024;

/// A body of at most 64 KiB.
#[derive(Debug)]
pub(crate) struct SmallBody(pub(crate) Bytes);

impl<S: Sync> FromRequest<S> for SmallBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        match axum::body::to_bytes(request.into_body(), SMALL_BODY_BYTES_MAX).await {
            Ok(bytes) => Ok(Self(bytes)),
            // Either too long or broken off, and then nobody is there to read the answer.
            Err(_) => {
                let detail = format!("at most {SMALL_BODY_BYTES_MAX} bytes");
                Err(Problem::new(Kind::BodyTooLarge, detail))
            }
        }
    }
}

/// Reads a small JSON object.
///
/// # Errors
/// 400 with the place of the mistake.
pub(crate) fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // An array would be taken for the fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(Kind::InvalidBody, "send a JSON object"));
    }
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(Kind::InvalidBody, format!("not the JSON expected: {error}")))
}
