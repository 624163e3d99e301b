//! Unary calls of gRPC, as far as OTLP needs them: one frame in, one frame and trailers out.

use std::io::{Read, Take};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64_NOPAD;
use http_body_util::{BodyExt, Full};

use super::answer::{Code, Failure};
use crate::http::problem::Problem;
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

/// Reads the head of the only message of a call: how the message is compressed, and its length.
///
/// # Errors
/// When there is no message, or its head is cut off or says that it is too large.
pub(super) fn head(
    reader: &mut impl Read,
    encoding: ContentEncoding,
    max_bytes: u64,
) -> Result<(ContentEncoding, u64), Failure> {
    let mut head = Vec::with_capacity(5);
    // What cannot be read is missing, and whoever reads the body knows why.
    drop(reader.take(5).read_to_end(&mut head));
    let [is_compressed, length @ ..] = match <[u8; 5]>::try_from(head) {
        Ok(head) => head,
        Err(head) if head.is_empty() => {
            return Err(failing(Code::Unimplemented, "the call has no message"));
        }
        Err(_) => return Err(failing(Code::Internal, "the head of the message is cut off")),
    };
    let length = u64::from(u32::from_be_bytes(length));
    if length > max_bytes {
        return Err(crate::http::intake::too_large(max_bytes).into());
    }
    match (is_compressed, encoding) {
        (0, _) => Ok((ContentEncoding::Identity, length)),
        (1, ContentEncoding::Identity) => {
            Err(failing(Code::Internal, "the message is compressed and does not say how"))
        }
        (1, encoding) => Ok((encoding, length)),
        _ => Err(failing(Code::Internal, "it is not a message of gRPC")),
    }
}

/// Checks a message of which all was read that is wanted; `inflating` is what failed in that.
///
/// # Errors
/// When it is too large or cannot be decompressed, is cut off, or is not alone.
pub(super) fn check(
    message: &mut Take<impl Read>,
    inflating: Option<Problem>,
) -> Result<(), Failure> {
    let is_too_large = |problem: &&Problem| problem.status() == StatusCode::PAYLOAD_TOO_LARGE;
    if let Some(problem) = inflating.as_ref().filter(is_too_large) {
        return Err(failing(Code::ResourceExhausted, problem.public_words()));
    }
    let mut byte = [0];
    if message.limit() > 0 {
        // When it does not end too early, something else was wrong with it.
        if !matches!(message.read(&mut byte), Ok(1)) {
            return Err(failing(Code::Internal, "the message is shorter than its head says"));
        }
    } else if matches!(message.get_mut().read(&mut byte), Ok(1)) {
        return Err(failing(Code::Unimplemented, "something follows the only message of the call"));
    }
    match inflating {
        Some(problem) => Err(failing(Code::Internal, problem.public_words())),
        None => Ok(()),
    }
}

fn failing(code: Code, message: impl Into<String>) -> Failure {
    Failure::new(code, StatusCode::BAD_REQUEST, message)
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
        let of = |bytes: &[u8], encoding| {
            head(&mut { bytes }, encoding, 100).map_err(|failure| failure.code)
        };
        let (plain, gzip) = (ContentEncoding::Identity, ContentEncoding::Gzip);
        assert_eq!(of(&[0, 0, 0, 0, 9], gzip), Ok((plain, 9)));
        assert_eq!(of(&[1, 0, 0, 0, 9], gzip), Ok((gzip, 9)));
        assert_eq!(of(&[1, 0, 0, 0, 9], plain), Err(Code::Internal));
        assert_eq!(of(&[0, 0, 0, 1, 0], plain), Err(Code::ResourceExhausted));
        assert_eq!(of(&[0, 0, 0], plain), Err(Code::Internal));
        assert_eq!(of(&[7, 0, 0, 0, 0], plain), Err(Code::Internal));
        assert_eq!(of(&[], plain), Err(Code::Unimplemented));
    }

    #[test]
    fn a_message_is_as_long_as_its_head_says() {
        let of = |read: usize, length: u64, body: &[u8]| {
            let mut message = body.take(length);
            message.read_exact(&mut vec![0; read]).unwrap();
            check(&mut message, None).err().map(|failure| failure.code)
        };
        assert_eq!(of(3, 3, b"abc"), None);
        assert_eq!(of(3, 4, b"abc"), Some(Code::Internal));
        assert_eq!(of(3, 3, b"abcd"), Some(Code::Unimplemented));
        assert_eq!(of(2, 3, b"abc"), None);
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encoded("a b%é\n"), "a b%25%C3%A9%0A");
    }
}
