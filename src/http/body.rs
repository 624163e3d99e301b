//! Small JSON bodies of administrative requests.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};

/// Maximum size of a body of a request that is not ingest, in bytes.
const SMALL_BODY_BYTES_MAX: usize = 64 * 1024;

/// A JSON object of at most 64 KiB.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        parse_json(&read(request).await?).map(Self)
    }
}

/// A JSON object of at most 64 KiB; no body and `null` stand for an object without members.
#[derive(Debug)]
pub(crate) struct OptionalJsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let body = read(request).await?;
        let is_left_out = matches!(body.trim_ascii(), b"" | b"null");
        parse_json(if is_left_out { b"{}" } else { &body }).map(Self)
    }
}

async fn read(request: Request) -> Result<axum::body::Bytes, Problem> {
    axum::body::to_bytes(request.into_body(), SMALL_BODY_BYTES_MAX).await.map_err(|_| {
        // Either too long or broken off, and then nobody is there to read the answer.
        Problem::new(Kind::BodyTooLarge, format!("at most {SMALL_BODY_BYTES_MAX} bytes"))
    })
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
