//! Answers in gzip for those who take it: figures, tables and descriptions. Files of the page are kept
//! compressed, and streams are not compressed at all: their events must not wait for each other.

use std::io::Write as _;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt as _;

/// Below this a packet is sent anyway, and compressing saves nothing.
const BYTES_MIN: u64 = 1_024;
/// Above this other answers would wait: it is done on a thread that may block.
const BYTES_INLINE: usize = 64 * 1_024;
/// What is worth compressing.
const TYPES: [&str; 3] = ["application/json", "text/csv", "text/plain"];

/// Compresses the answer when its reader says that it may.
pub(crate) async fn compress(request: Request, next: Next) -> Response {
    let takes_gzip = accepts(request.headers(), "gzip");
    let mut response = next.run(request).await;
    if !is_compressible(&response) {
        return response;
    }
    add_vary(response.headers_mut());
    if !takes_gzip || response.body().size_hint().exact().is_none_or(|bytes| bytes < BYTES_MIN) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        // Bodies made in memory do not fail.
        return Response::from_parts(head, Body::empty());
    };
    let plain = body.to_bytes();
    match gzip(plain.clone()).await {
        Some(packed) => {
            head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(packed.len()));
            head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Response::from_parts(head, Body::from(packed))
        }
        None => Response::from_parts(head, Body::from(plain)),
    }
}

/// Whether `Accept-Encoding` names this encoding and does not refuse it.
pub(crate) fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).into_iter();
    lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(',')).any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let weight = weight.trim().trim_start_matches("q=").trim();
        name.trim().eq_ignore_ascii_case(encoding) && weight.parse() != Ok(0.0)
    })
}

fn is_compressible(response: &Response) -> bool {
    let headers = response.headers();
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_worth_it = content_type.is_some_and(|of| TYPES.iter().any(|one| of.starts_with(one)));
    is_worth_it && !headers.contains_key(header::CONTENT_ENCODING)
}

fn add_vary(headers: &mut HeaderMap) {
    let given = headers.get(header::VARY).and_then(|value| value.to_str().ok());
    let vary =
        given.map_or("Accept-Encoding".to_owned(), |given| format!("{given}, Accept-Encoding"));
    if let Ok(vary) = HeaderValue::from_str(&vary) {
        headers.insert(header::VARY, vary);
    }
}

async fn gzip(plain: Bytes) -> Option<Vec<u8>> {
    if plain.len() <= BYTES_INLINE {
        return pack(&plain);
    }
    tokio::task::spawn_blocking(move || pack(&plain)).await.ok().flatten()
}

/// `None` where it would not become smaller.
fn pack(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().filter(|packed| packed.len() < plain.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_taken_when_it_is_named_and_not_refused() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
            accepts(&headers, "gzip")
        };
        for value in ["gzip", "br, gzip", "deflate, GZIP;q=0.5", "gzip ; q=1"] {
            assert!(of(value), "{value}");
        }
        for value in ["", "br", "gzip;q=0", "gzip; q=0.0", "x-gzip"] {
            assert!(!of(value), "{value}");
        }
    }
}
