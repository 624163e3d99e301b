//! The dashboard's page: files built by `web/build.mjs`, committed, and part of the program.
//!
//! All addresses of the page have the same file, which chooses the view by the address.

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::frame;

/// One file of the page.
struct Asset {
    /// Its path, without the slash.
    path: &'static str,
    content_type: &'static str,
    /// The hash of its contents.
    hash: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
    brotli: &'static [u8],
}

// `ASSETS`, and `INDEX`, the path of the page itself.
include!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/dist/assets.rs"));

/// The addresses of the page.
const PAGES: [&str; 9] =
    ["/", "/overview", "/requests", "/users", "/spaces", "/models", "/alerts", "/status", "/sql"];

/// The content security policy of the page: it loads only its own files and calls only this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'";
/// The name of a file changes with its contents.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// The page itself has a fixed name and refers to the current files.
const REVALIDATE: &str = "no-cache";

/// A file of the page, or 404.
pub(crate) async fn page_or_not_found(request: Request) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path();
    let wanted = if PAGES.contains(&path) { INDEX } else { path.trim_start_matches('/') };
    match ASSETS.iter().find(|asset| asset.path == wanted && is_read) {
        Some(asset) => respond(asset, request.headers()),
        None => frame::not_found().await.into_response(),
    }
}

fn respond(asset: &'static Asset, headers: &HeaderMap) -> Response {
    // The smallest form that the client accepts.
    let (encoding, bytes) = if accepts(headers, "br") {
        (Some("br"), asset.brotli)
    } else if accepts(headers, "gzip") {
        (Some("gzip"), asset.gzip)
    } else {
        (None, asset.plain)
    };
    // One tag for each form, because a cache must not mix them up.
    let tag = format!("\"{}-{}\"", asset.hash, encoding.unwrap_or("plain"));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_known = known.is_some_and(|known| known.contains(&tag));
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, if asset.path == INDEX { REVALIDATE } else { FOR_EVER }),
        (header::VARY, "Accept-Encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::ETAG, tag.as_str()),
    ];
    if is_known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let encoding = encoding.map(|encoding| [(header::CONTENT_ENCODING, encoding)]);
    (headers, encoding, Bytes::from_static(bytes)).into_response()
}

/// Whether `Accept-Encoding` lists this encoding with a weight above 0.
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).into_iter();
    lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(',')).any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let weight = weight.trim().trim_start_matches("q=").trim();
        name.trim().eq_ignore_ascii_case(encoding) && weight.parse() != Ok(0.0)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::http::HeaderValue;

    use super::*;

    fn sent(asset: &'static Asset, name: header::HeaderName, value: &str) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        respond(asset, &headers)
    }

    #[test]
    fn the_whole_page_takes_at_most_100_kb() {
        let bytes: usize = ASSETS.iter().map(|asset| asset.gzip.len()).sum();
        assert!(bytes <= 100_000, "{bytes} bytes");
    }

    #[test]
    fn every_form_of_a_file_has_the_same_contents() {
        for asset in ASSETS {
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(asset.gzip).read_to_end(&mut text).unwrap();
            assert!(text == asset.plain, "{}", asset.path);
            assert!(!asset.brotli.is_empty());
        }
    }

    #[test]
    fn files_are_compressed_as_the_reader_likes_and_known_ones_are_not_sent_again() {
        let asset = ASSETS.iter().find(|asset| asset.path != INDEX).unwrap();
        for (accepted, expected) in
            [("br, gzip", Some("br")), ("gzip;q=0.5", Some("gzip")), ("br;q=0", None), ("", None)]
        {
            let response = sent(asset, header::ACCEPT_ENCODING, accepted);
            let encoding = response.headers().get(header::CONTENT_ENCODING);
            assert_eq!(encoding.map(|value| value.to_str().unwrap()), expected, "{accepted}");
            assert_eq!(response.headers()[header::CACHE_CONTROL], FOR_EVER);
        }
        let tag = sent(asset, header::ACCEPT, "*/*").headers()[header::ETAG].clone();
        let again = sent(asset, header::IF_NONE_MATCH, tag.to_str().unwrap());
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn the_page_names_only_files_that_are_there_and_nothing_of_another_host() {
        let index = ASSETS.iter().find(|asset| asset.path == INDEX).unwrap();
        let text = std::str::from_utf8(index.plain).unwrap();
        let mut named = 0;
        for attribute in [" src=\"", " href=\""] {
            for rest in text.split(attribute).skip(1) {
                let path = rest.split('"').next().unwrap();
                named += 1;
                assert!(ASSETS.iter().any(|asset| asset.path == path), "{path}");
            }
        }
        assert!(named >= 2, "{text}");
        assert!(!text.contains("style=") && !text.contains("<script>"), "{text}");
    }

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
