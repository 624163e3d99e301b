//! Unary gRPC calls, as far as OTLP needs them: one message in, one message and trailers out.

use std::io::{Read, Take};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64_NOPAD;
use http_body_util::{BodyExt, Full};

use super::response::{GrpcCode, OtlpFailure};
use crate::http::problem::Problem;
use crate::ingest::wire::ContentEncoding;

/// The compression of the messages of a client.
pub(super) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const CONTENT_TYPE: (HeaderName, &str) = (header::CONTENT_TYPE, "application/grpc");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// Retry delay for the Python exporters, which do not read the details.
const RETRY_INFO: HeaderName = HeaderName::from_static("google.rpc.retryinfo-bin");

/// Whether the request is a gRPC call.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence == "application/grpc" || essence == "application/grpc+proto"
    })
}

/// Reads the head of the only message of a call: its compression and its length.
///
/// # Errors
/// If there is no message, or its head is incomplete, invalid or announces more than `max_bytes`.
pub(super) fn head(
    reader: &mut impl Read,
    encoding: ContentEncoding,
    max_bytes: u64,
) -> Result<(ContentEncoding, u64), OtlpFailure> {
    let mut head = Vec::with_capacity(5);
    // A read error leaves the head incomplete; the reader of the body reports the cause.
    drop(reader.take(5).read_to_end(&mut head));
    let [is_compressed, length @ ..] = match <[u8; 5]>::try_from(head) {
        Ok(head) => head,
        Err(head) if head.is_empty() => {
            return Err(failing(GrpcCode::Unimplemented, "the call has no message"));
        }
        Err(_) => return Err(failing(GrpcCode::Internal, "the head of the message is cut off")),
    };
    let length = u64::from(u32::from_be_bytes(length));
    if length > max_bytes {
        return Err(crate::http::intake::too_large(max_bytes).into());
    }
    match (is_compressed, encoding) {
        (0, _) => Ok((ContentEncoding::Identity, length)),
        (1, ContentEncoding::Identity) => {
            Err(failing(GrpcCode::Internal, "the message is compressed and does not say how"))
        }
        (1, encoding) => Ok((encoding, length)),
        _ => Err(failing(GrpcCode::Internal, "it is not a message of gRPC")),
    }
}

/// Checks the rest of a message after decoding; `inflating` is the failure to decompress it, if any.
///
/// # Errors
/// If the message is too large, cannot be decompressed, is incomplete or is followed by another one.
pub(super) fn check(
    message: &mut Take<impl Read>,
    inflating: Option<Problem>,
) -> Result<(), OtlpFailure> {
    let is_too_large = |problem: &&Problem| problem.status() == StatusCode::PAYLOAD_TOO_LARGE;
    if let Some(problem) = inflating.as_ref().filter(is_too_large) {
        return Err(failing(GrpcCode::ResourceExhausted, &problem.detail));
    }
    let mut byte = [0];
    if message.limit() > 0 {
        // If the message is complete, decompression has failed.
        if !matches!(message.read(&mut byte), Ok(1)) {
            return Err(failing(GrpcCode::Internal, "the message is shorter than its head says"));
        }
    } else if matches!(message.get_mut().read(&mut byte), Ok(1)) {
        let message = "something follows the only message of the call";
        return Err(failing(GrpcCode::Unimplemented, message));
    }
    match inflating {
        Some(problem) => Err(failing(GrpcCode::Internal, &problem.detail)),
        None => Ok(()),
    }
}

fn failing(code: GrpcCode, message: impl Into<String>) -> OtlpFailure {
    OtlpFailure::new(code, StatusCode::BAD_REQUEST, message)
}

/// A success with this message.
pub(super) fn success(message: &[u8]) -> Response {
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    framed.extend_from_slice(message);
    let trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from(framed)).with_trailers(std::future::ready(Some(Ok(trailers))));
    ([CONTENT_TYPE], Body::new(body)).into_response()
}

/// A failure, in headers alone.
pub(super) fn failure(failure: &OtlpFailure) -> Response {
    let encoded = |bytes: &[u8]| BASE64_NOPAD.encode(bytes);
    let headers = [
        (STATUS, (failure.code as u16).to_string()),
        (MESSAGE, percent_encoded(&failure.message)),
        (DETAILS, encoded(&failure.status_message())),
        (ACCEPT_ENCODING, "gzip".to_owned()),
    ];
    let retry_info = failure.retry_info().map(|info| [(RETRY_INFO, encoded(&info))]);
    ([CONTENT_TYPE], headers, retry_info, ()).into_response()
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
        assert_eq!(of(&[1, 0, 0, 0, 9], plain), Err(GrpcCode::Internal));
        assert_eq!(of(&[0, 0, 0, 1, 0], plain), Err(GrpcCode::ResourceExhausted));
        assert_eq!(of(&[0, 0, 0], plain), Err(GrpcCode::Internal));
        assert_eq!(of(&[7, 0, 0, 0, 0], plain), Err(GrpcCode::Internal));
        assert_eq!(of(&[], plain), Err(GrpcCode::Unimplemented));
    }

    #[test]
    fn a_message_is_as_long_as_its_head_says() {
        let of = |read: usize, length: u64, body: &[u8]| {
            let mut message = body.take(length);
            message.read_exact(&mut vec![0; read]).unwrap();
            check(&mut message, None).err().map(|failure| failure.code)
        };
        assert_eq!(of(3, 3, b"abc"), None);
        assert_eq!(of(3, 4, b"abc"), Some(GrpcCode::Internal));
        assert_eq!(of(3, 3, b"abcd"), Some(GrpcCode::Unimplemented));
        assert_eq!(of(2, 3, b"abc"), None);
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encoded("a b%é\n"), "a b%25%C3%A9%0A");
    }
}
