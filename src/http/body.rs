//! Small JSON bodies of administrative requests.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::problem::{Problem, ProblemKind};

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

/// A JSON object of at most 64 KiB; an empty body and `null` mean an empty object.
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
        // The body is too long, or the client has disconnected and does not read the response.
        Problem::new(ProblemKind::BodyTooLarge, format!("at most {SMALL_BODY_BYTES_MAX} bytes"))
    })
}

/// Reads a small JSON object.
///
/// # Errors
/// 400 with the field, or else the position, of the mistake.
pub(crate) fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // serde would read an array as the fields in order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(ProblemKind::InvalidBody, "send a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, error) = (error.path().to_string(), error.into_inner());
        match path.as_str() {
            "." | "?" => unexpected(&error),
            _ => Problem::field(path, error.to_string()),
        }
    })?;
    json.end().map_err(|error| unexpected(&error))?;
    Ok(value)
}

fn unexpected(error: &serde_json::Error) -> Problem {
    Problem::new(ProblemKind::InvalidBody, format!("not the JSON expected: {error}"))
}
