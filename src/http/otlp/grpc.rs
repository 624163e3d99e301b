//! Unary calls of gRPC, as far as OTLP needs them: one frame in, one frame and trailers out.

use std::io::Read;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64_NOPAD;
use http_body_util::{BodyExt, Full};

use super::answer::Failure;
use crate::http::problem::{Kind, Problem};
use crate::ingest::wire::ContentEncoding;

/// Where a client says how it compresses messages.
pub(super) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// What the exporters of Python read instead of the details.
const RETRY_INFO: HeaderName = HeaderName::from_static("google.rpc.retryinfo-bin");

/// Whether the request is one of gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence == "application/grpc" || essence == "application/grpc+proto"
    })
}

/// Reads the head of the only message of a call, and how the message is compressed.
///
/// # Errors
/// When the head is cut off or says that the message is too large.
pub(super) fn frame(
    reader: &mut impl Read,
    encoding: ContentEncoding,
    max_bytes: u64,
) -> Result<ContentEncoding, Problem> {
    let mut head = [0; 5];
    reader
        .read_exact(&mut head)
        .map_err(|_| Problem::new(Kind::InvalidBody, "the message is cut off"))?;
    let [is_compressed, length @ ..] = head;
    if u64::from(u32::from_be_bytes(length)) > max_bytes {
        return Err(crate::http::upload::too_large(max_bytes));
    }
    match (is_compressed, encoding) {
        (0, _) => Ok(ContentEncoding::Identity),
        (1, ContentEncoding::Identity) => {
            Err(Problem::new(Kind::InvalidBody, "the message is compressed and does not say how"))
        }
        (1, encoding) => Ok(encoding),
        _ => Err(Problem::new(Kind::InvalidBody, "it is not a message of gRPC")),
    }
}

/// A success with this message.
pub(super) fn success(message: &[u8]) -> Response {
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    framed.extend_from_slice(message);
    let trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from(framed)).with_trailers(std::future::ready(Some(Ok(trailers))));
    (StatusCode::OK, [content_type()], Body::new(body)).into_response()
}

/// A failure, in headers alone.
pub(super) fn failure(failure: &Failure) -> Response {
    let mut response = (StatusCode::OK, [content_type()]).into_response();
    let headers = response.headers_mut();
    headers.insert(STATUS, HeaderValue::from(failure.code as u16));
    let encoded = |bytes: &[u8]| HeaderValue::from_str(&BASE64_NOPAD.encode(bytes));
    for (name, value) in [
        (MESSAGE, HeaderValue::from_str(&percent_encoded(&failure.message))),
        (DETAILS, encoded(&failure.status_message())),
        (ACCEPT_ENCODING, Ok(HeaderValue::from_static("gzip"))),
    ] {
        if let Ok(value) = value {
            headers.insert(name, value);
        }
    }
    if let Some(Ok(value)) = failure.retry_info().map(|info| encoded(&info)) {
        headers.insert(RETRY_INFO, value);
    }
    response
}

fn content_type() -> (HeaderName, HeaderValue) {
    (header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | 0..=0x1f | 0x7f.. => encoded.push_str(&format!("%{byte:02X}")),
            _ => encoded.push(char::from(byte)),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_message_is_read() {
        let of = |head: &[u8], encoding| {
            frame(&mut { head }, encoding, 100).map_err(|problem| problem.status().as_u16())
        };
        let (plain, gzip) = (ContentEncoding::Identity, ContentEncoding::Gzip);
        assert_eq!(of(&[0, 0, 0, 0, 9], gzip), Ok(plain));
        assert_eq!(of(&[1, 0, 0, 0, 9], gzip), Ok(gzip));
        assert_eq!(of(&[1, 0, 0, 0, 9], plain), Err(400));
        assert_eq!(of(&[0, 0, 0, 1, 0], plain), Err(413));
        assert_eq!(of(&[0, 0, 0], plain), Err(400));
        assert_eq!(of(&[7, 0, 0, 0, 0], plain), Err(400));
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encoded("a b%é\n"), "a b%25%C3%A9%0A");
    }
}
