//! Header rules of the gateway, in both directions.

use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::identity::OWN_PREFIX;

/// Headers that apply to a single connection.
const HOP_BY_HOP: [&HeaderName; 7] = [
    &CONNECTION,
    &PROXY_AUTHENTICATE,
    &PROXY_AUTHORIZATION,
    &TE,
    &TRAILER,
    &TRANSFER_ENCODING,
    &UPGRADE,
];
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Request headers for the upstream: all except connection headers, our own, cookies and trace ids.
/// Asks for uncompressed responses.
pub(super) fn to_upstream(mut headers: HeaderMap) -> HeaderMap {
    remove_hop_by_hop(&mut headers);
    for name in [&HOST, &COOKIE, &EXPECT, &TRACEPARENT, &TRACESTATE] {
        headers.remove(name);
    }
    let own: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(OWN_PREFIX)).cloned().collect();
    for name in own {
        headers.remove(name);
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

/// Prepares response headers for the client; `is_edited` if the length may change.
pub(super) fn to_client(headers: &mut HeaderMap, is_edited: bool) {
    remove_hop_by_hop(headers);
    if is_edited {
        headers.remove(CONTENT_LENGTH);
    }
    if is_event_stream(headers) {
        headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    }
}

/// Whether the body is an event stream.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        value.as_bytes().get(..EVENTS.len()).is_some_and(|start| start.eq_ignore_ascii_case(EVENTS))
    })
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        // `Content-Length` is invalid beside `Transfer-Encoding`; a peer that used it would cut the
        // body.
        headers.remove(CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(HOP_BY_HOP).chain([&KEEP_ALIVE]) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn request_headers_lose_only_hop_by_hop_and_gateway_headers() {
        let headers = to_upstream(map(&[
            ("authorization", "Bearer sk"),
            ("x-api-key", "k"),
            ("anthropic-version", "2023-06-01"),
            ("x-stainless-retry-count", "1"),
            ("openai-organization", "o"),
            ("content-length", "5"),
            ("accept-encoding", "gzip, br"),
            ("connection", "close, x-private"),
            ("x-private", "1"),
            ("keep-alive", "5"),
            ("host", "gateway"),
            ("cookie", "c"),
            ("x-chatgauge-user", "alice"),
            ("traceparent", "00"),
            ("te", "trailers"),
        ]));
        assert_eq!(
            headers,
            map(&[
                ("authorization", "Bearer sk"),
                ("x-api-key", "k"),
                ("anthropic-version", "2023-06-01"),
                ("x-stainless-retry-count", "1"),
                ("openai-organization", "o"),
                ("content-length", "5"),
                ("accept-encoding", "identity"),
            ])
        );
    }

    #[test]
    fn response_headers_keep_ids_and_limits_and_disable_buffering() {
        let mut headers = map(&[
            ("content-type", "Text/Event-Stream; charset=utf-8"),
            ("x-request-id", "req_1"),
            ("x-ratelimit-remaining-requests", "9"),
            ("retry-after-ms", "5"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
        ]);
        to_client(&mut headers, true);
        assert_eq!(
            headers,
            map(&[
                ("content-type", "Text/Event-Stream; charset=utf-8"),
                ("x-request-id", "req_1"),
                ("x-ratelimit-remaining-requests", "9"),
                ("retry-after-ms", "5"),
                ("x-accel-buffering", "no"),
                ("cache-control", "no-cache"),
            ])
        );
    }
}
