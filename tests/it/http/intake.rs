//! Bodies that are small as sent and large in what they hold, in every format and over every route.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write as _;

use serde_json::{Value, json};

use crate::harness::{ADMIN_TOKEN, Answer, TestServer};
use crate::otlp::encode::protobuf_of;
use crate::otlp::grpc::{EXPORT, call, framed};

/// Bodies up to this size are decoded where they arrive.
const SMALL_BYTES: usize = 64 << 10;
/// More than a batch of spans holds.
const EMPTY_SPANS: usize = 4_200;
/// Tries: whether the task runs on the thread that accepts the connection is a matter of chance.
const TRIES: usize = 8;

fn now_ms() -> i64 {
    chatgauge::model::Clock::now(&chatgauge::SystemClock::default()).as_unix_ms()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One call of a model.
fn model_call(number: usize) -> Value {
    let end_ms = now_ms();
    json!({"traceId": format!("{:032x}", number + 1), "spanId": format!("{:016x}", number + 1),
        "startTimeUnixNano": format!("{}000000", end_ms - 1_000), "endTimeUnixNano": format!("{end_ms}000000"),
        "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]})
}

fn request_of(spans: &[Value]) -> Value {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
}

/// A call after more spans that say nothing than fit in a batch, which are three bytes each.
fn json_body(number: usize) -> Vec<u8> {
    let mut spans = vec![json!({}); EMPTY_SPANS];
    spans.push(model_call(number));
    request_of(&spans).to_string().into_bytes()
}

/// The same with two bytes each: messages of protobuf are merged by putting one after the other.
fn protobuf_body(number: usize) -> Vec<u8> {
    let field = |tag: u8, bytes: &[u8]| {
        let mut message = vec![tag];
        let mut length = bytes.len();
        while length >= 0x80 {
            message.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        message.push(u8::try_from(length).unwrap());
        message.extend_from_slice(bytes);
        message
    };
    let empty_spans = [0x12, 0].repeat(EMPTY_SPANS);
    let mut body = field(0x0a, &field(0x12, &empty_spans));
    body.extend(protobuf_of(&request_of(&[model_call(number)])));
    body
}

fn stored(server: &TestServer) -> usize {
    server.get("/api/requests?limit=1000").json()["requests"].as_array().unwrap().len()
}

#[test]
fn a_full_batch_of_spans_in_a_small_body_is_stored_by_every_transport() {
    for compressed in [false, true] {
        let server = TestServer::start();
        for number in 0..TRIES {
            let (content_type, body) = match number % 2 {
                0 => ("application/x-protobuf", protobuf_body(number)),
                _ => ("application/json", json_body(number)),
            };
            assert!(body.len() < SMALL_BYTES, "{}", body.len());
            let body = if compressed { gzip(&body) } else { body };
            let encoding = if compressed { "gzip" } else { "identity" };
            let headers = [("Content-Type", content_type), ("Content-Encoding", encoding)];
            let answer = server.post("/v1/traces", &headers, &body);
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
            assert_eq!(stored(&server), number + 1);
        }
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let message = protobuf_body(TRIES);
        let message = if compressed { gzip(&message) } else { message };
        let encoding = if compressed { "gzip" } else { "identity" };
        let headers = [("authorization", bearer.as_str()), ("grpc-encoding", encoding)];
        let called = call(&server, EXPORT, &headers, framed(compressed, &message));
        assert_eq!(called.status(), "0");
        assert_eq!(stored(&server), TRIES + 1);
    }
}

#[test]
fn a_full_batch_of_records_in_a_small_body_is_stored_by_every_route() {
    let server = TestServer::start();
    let accepted = |answer: Answer| {
        let report = answer.json();
        assert_eq!(answer.status, 200, "{report}");
        assert!(report.get("unread_from").is_none(), "{report}");
        report["accepted"].as_u64().unwrap()
    };
    let lines = "{}\n".repeat(12_000);
    let array = format!("[{}]", vec!["{}"; 12_000].join(","));
    for (body, content_type) in [
        (&lines, "application/x-ndjson"),
        (&lines, "application/json"),
        (&array, "application/json"),
    ] {
        assert!(body.len() < SMALL_BYTES);
        let answer =
            server.post("/api/requests", &[("Content-Type", content_type)], body.as_bytes());
        assert_eq!(accepted(answer), 12_000);
    }
    let events: Vec<Value> =
        (0..2_500).map(|number| json!({"id": format!("call-{number}")})).collect();
    let body = Value::Array(events).to_string();
    assert!(body.len() < SMALL_BYTES);
    let headers = [("Content-Type", "application/json")];
    assert_eq!(accepted(server.post("/ingest/litellm", &headers, body.as_bytes())), 2_500);
}

#[test]
fn nonsense_is_read_only_so_far_by_every_route_and_what_came_before_is_stored() {
    let server = TestServer::start();
    for (path, first) in [("/api/requests", "{}"), ("/ingest/litellm", "{\"id\":\"one\"}")] {
        let mut body = format!("[{first}").into_bytes();
        body.extend(b",1".repeat(5_000_000));
        body.push(b']');
        let headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
        let answer = server.post(path, &headers, &gzip(&body));
        let report = answer.json();
        assert_eq!((answer.status, &report["accepted"]), (200, &json!(1)), "{path}");
        assert_eq!(report["unread_from"], 10_001, "{path}");
        assert_eq!(report["rejected"].as_array().unwrap().len(), 1_000, "{path}");
        assert_eq!(report["rejected_total"], 10_000, "{path}");
    }
    // Calls without a time, as many as there is room for.
    let call = json!({"traceId": format!("{:032x}", 1), "spanId": format!("{:016x}", 1),
        "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]});
    let body = request_of(&vec![call; 100_000]).to_string();
    let headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    let answer = server.post("/v1/traces", &headers, &gzip(body.as_bytes()));
    let partial = &answer.json()["partialSuccess"];
    let rejected: u64 = partial["rejectedSpans"].as_str().unwrap().parse().unwrap();
    assert!((10_000..50_000).contains(&rejected), "{partial}");
    assert!(partial["errorMessage"].as_str().unwrap().contains("stopped before span"), "{partial}");
}

#[test]
fn a_line_of_very_many_objects_is_not_read_to_its_end() {
    let server = TestServer::start();
    let body = gzip(format!("{}\n{{}}\n", "{}".repeat(500_000)).as_bytes());
    assert!(body.len() < 2_000);
    let headers = [("Content-Type", "application/x-ndjson"), ("Content-Encoding", "gzip")];
    let report = server.post("/api/requests", &headers, &body).json();
    assert_eq!(report["accepted"], 1_001);
    let reason = report["rejected"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("more than 1000 objects"), "{report}");
}
