//! OTLP over gRPC, by hand on HTTP/2.

use std::io::Write as _;

use axum::body::Bytes;
use axum::http::{HeaderMap, Request};
use serde_json::{Value, json};

use super::encode::protobuf_of;
use crate::harness::{ADMIN_TOKEN, TestServer};

pub(crate) const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) data: Vec<u8>,
    /// Headers and trailers together: a failure has all in the headers.
    end: HeaderMap,
}

impl Called {
    pub(crate) fn status(&self) -> &str {
        self.end["grpc-status"].to_str().unwrap()
    }
}

/// One message, framed.
pub(crate) fn framed(is_compressed: bool, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![u8::from(is_compressed)];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

pub(crate) fn call(
    server: &TestServer,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Called {
    let url = server.url(path);
    let address = url.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let mut request =
        Request::post(url).header("content-type", "application/grpc").header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let (response, mut sending) = client.send_request(request, false).unwrap();
        sending.send_data(Bytes::from(body), true).unwrap();
        let (head, mut body) = response.await.unwrap().into_parts();
        assert_eq!(head.status, 200);
        assert_eq!(head.headers["content-type"], "application/grpc");
        let (mut data, mut end) = (Vec::new(), head.headers);
        while let Some(bytes) = body.data().await {
            data.extend_from_slice(&bytes.unwrap());
        }
        end.extend(body.trailers().await.unwrap().unwrap_or_default());
        connection.abort();
        Called { data, end }
    })
}

fn one_span() -> Vec<u8> {
    let now_ms = chatgauge::model::Clock::now(&chatgauge::SystemClock::default()).as_unix_ms();
    let span = json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "00000000000000a1",
        "startTimeUnixNano": format!("{}000000", now_ms - 1_000), "endTimeUnixNano": format!("{now_ms}000000"),
        "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]});
    protobuf_of(&json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))
}

fn stored(server: &TestServer) -> Vec<Value> {
    server.get("/api/requests").json()["requests"].as_array().unwrap().clone()
}

#[test]
fn spans_come_over_grpc_plain_and_compressed() {
    let server = TestServer::start();
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let authorization = ("authorization", bearer.as_str());
    let called = call(&server, EXPORT, &[authorization], framed(false, &one_span()));
    assert_eq!((called.status(), called.data.as_slice()), ("0", [0, 0, 0, 0, 0].as_slice()));
    assert_eq!(stored(&server).len(), 1);

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&one_span()).unwrap();
    let body = framed(true, &gzip.finish().unwrap());
    let called = call(&server, EXPORT, &[authorization, ("grpc-encoding", "gzip")], body);
    assert_eq!(called.status(), "0");
    for service in ["metrics.v1.MetricsService", "logs.v1.LogsService"] {
        let path = format!("/opentelemetry.proto.collector.{service}/Export");
        assert_eq!(call(&server, &path, &[authorization], framed(false, b"x")).status(), "0");
    }
}

#[test]
fn a_message_over_the_limit_is_not_sent_again() {
    let server = TestServer::with(|config| config.otlp.body_max_bytes = 2_000);
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("grpc-encoding", "gzip")];
    // As sent, and as decompressed.
    let long = vec![0x0a; 2_001];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // An unknown field of 4,000 bytes.
    gzip.write_all(&[&[0x7a, 0xa0, 0x1f], [b'x'; 4_000].as_slice()].concat()).unwrap();
    for body in [framed(false, &long), framed(true, &gzip.finish().unwrap())] {
        let called = call(&server, EXPORT, &headers, body);
        assert_eq!(called.status(), "8", "{called:?}");
        assert!(!called.end.contains_key("google.rpc.retryinfo-bin"), "{called:?}");
    }
}

#[test]
fn failures_have_codes_that_tell_whether_to_send_again() {
    let server = TestServer::start();
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let authorization = ("authorization", bearer.as_str());
    for (path, headers, body, status) in [
        (EXPORT, vec![], framed(false, &one_span()), "16"),
        (EXPORT, vec![authorization], framed(false, b"\x0a\x05abc"), "3"),
        (EXPORT, vec![authorization], vec![0, 0, 0], "13"),
        (EXPORT, vec![authorization], vec![], "12"),
        // Compressed, it says, and not how.
        (EXPORT, vec![authorization], framed(true, &one_span()), "13"),
        (EXPORT, vec![authorization, ("grpc-encoding", "gzip")], framed(true, b"no gzip"), "13"),
        // Shorter and longer than their heads say.
        (EXPORT, vec![authorization], [&[0, 0, 0, 1, 0], one_span().as_slice()].concat(), "13"),
        (EXPORT, vec![authorization], [framed(false, &one_span()), vec![0]].concat(), "12"),
        (EXPORT, vec![authorization], framed(false, &one_span()).repeat(2), "12"),
        (EXPORT, vec![authorization], vec![0, 0xff, 0xff, 0xff, 0xff], "8"),
        (EXPORT, vec![authorization, ("grpc-encoding", "snappy")], framed(true, b"x"), "12"),
        (
            "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
            vec![authorization],
            framed(false, b""),
            "12",
        ),
    ] {
        let called = call(&server, path, &headers, body);
        assert_eq!(called.status(), status, "{called:?}");
        assert!(called.end.contains_key("grpc-message"), "{called:?}");
        assert!(!called.end.contains_key("google.rpc.retryinfo-bin"), "{called:?}");
    }
    assert_eq!(stored(&server).len(), 0);

    server.service.shutdown().unwrap();
    let called = call(&server, EXPORT, &[authorization], framed(false, &one_span()));
    assert_eq!(called.status(), "14");
    assert!(called.end.contains_key("google.rpc.retryinfo-bin"), "{called:?}");
    assert!(called.end.contains_key("grpc-status-details-bin"), "{called:?}");
}
