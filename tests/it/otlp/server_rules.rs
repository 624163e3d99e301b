//! What a receiver of OTLP must do: the answers, the limits, the tokens.

use std::io::Write as _;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::{ADMIN_TOKEN, Answer, TestServer};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");

/// A span of a chat with 5 prompt tokens, in the trace of this number.
fn chat(trace: u64, attributes: &Value) -> Value {
    let now_ms = chatgauge::model::Clock::now(&chatgauge::SystemClock::default()).as_unix_ms();
    let mut all = vec![
        json!({"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}),
        json!({"key": "gen_ai.usage.input_tokens", "value": {"intValue": "5"}}),
    ];
    all.extend(attributes.as_array().unwrap().iter().cloned());
    json!({"traceId": format!("{trace:032x}"), "spanId": "00000000000000a1", "attributes": all,
        "startTimeUnixNano": format!("{}000000", now_ms - 1_000), "endTimeUnixNano": format!("{now_ms}000000")})
}

fn body(spans: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})).unwrap()
}

fn one(trace: u64) -> Vec<u8> {
    body(&[chat(trace, &json!([]))])
}

fn count(server: &TestServer) -> usize {
    server.get("/api/requests?limit=1000").json()["requests"].as_array().unwrap().len()
}

#[test]
fn any_path_with_the_ending_takes_traces_and_others_do_not() {
    let server = TestServer::start();
    let paths = ["/v1/traces", "/v1/traces/", "/api/public/otel/v1/traces", "/otel/v1/traces"];
    for (trace, path) in paths.iter().enumerate() {
        assert_eq!(server.post(path, &[JSON], &one(trace as u64 + 1)).status, 200, "{path}");
    }
    assert_eq!(count(&server), paths.len());
    assert_eq!(server.post("/v1/tracing", &[JSON], &one(9)).status, 404);
    for path in ["/v1/metrics", "/v1/logs", "/x/v1/metrics", "/v1development/profiles"] {
        let answer = server.post(path, &[PROTOBUF], b"anything");
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
    }
    assert_eq!(server.get("/v1/traces").status, 405);
    assert_eq!(server.get("/x/v1/traces").status, 405);
}

#[test]
fn every_encoding_is_read() {
    let server = TestServer::start();
    let gzip = |body: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    };
    let deflate = |body: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    };
    for (encoding, body) in [
        ("gzip", gzip(&one(1))),
        ("deflate", deflate(&one(2))),
        ("zstd", zstd::encode_all(one(3).as_slice(), 1).unwrap()),
        ("identity", one(4)),
    ] {
        let answer = server.post("/v1/traces", &[JSON, ("Content-Encoding", encoding)], &body);
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"{}".as_slice()), "{encoding}");
        let cut = &body[..body.len() - 5];
        let answer = server.post("/v1/traces", &[JSON, ("Content-Encoding", encoding)], cut);
        assert_eq!(answer.status, 400, "{encoding}");
    }
    assert_eq!(count(&server), 4);
}

#[test]
fn refusals_are_statuses_in_the_encoding_of_the_request() {
    let server = TestServer::start();
    for (headers, body, status) in [
        (&[JSON][..], b"{\"resourceSpans\":".to_vec(), 400),
        (&[JSON], b"[]".to_vec(), 400),
        (&[JSON, ("Content-Encoding", "br")], one(1), 415),
        (&[("Content-Type", "text/plain")], one(1), 415),
        (&[JSON, ("Authorization", "Bearer nobody")], one(1), 401),
    ] {
        let answer = server.post("/v1/traces", headers, &body);
        assert_eq!(answer.status, status, "{headers:?}");
        if headers[0] == JSON {
            let message = answer.json();
            assert!(message["code"].is_number() && message["message"].is_string(), "{message}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
    }
    let answer = server.post("/v1/traces", &[PROTOBUF], b"\x0a\x05abc");
    assert_eq!((answer.status, answer.body[0], answer.body[1]), (400, 8, 3), "INVALID_ARGUMENT");
    assert_eq!(answer.header("content-type"), Some("application/x-protobuf"));
    let shouted = ("Content-Type", "APPLICATION/JSON; charset=utf-8");
    let answer = server.post("/v1/traces", &[shouted], b"[]");
    assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/json")));
    let asked = server.get("/v1/traces");
    assert_eq!((asked.status, asked.header("allow")), (405, Some("POST")));
    assert_eq!(count(&server), 0);
}

#[test]
fn a_span_that_cannot_be_stored_is_told_and_does_not_cost_the_others() {
    let server = TestServer::start();
    let mut future = chat(2, &json!([]));
    future["startTimeUnixNano"] = json!("4795401661000000000");
    future["endTimeUnixNano"] = json!("4795401662000000000");
    let mut nameless = chat(3, &json!([]));
    nameless["traceId"] = json!("xyz");
    let answer =
        server.post("/v1/traces", &[JSON], &body(&[chat(1, &json!([])), future, nameless]));
    assert_eq!(answer.status, 200);
    let partial = &answer.json()["partialSuccess"];
    assert_eq!(partial["rejectedSpans"], "2", "{partial}");
    let message = partial["errorMessage"].as_str().unwrap();
    assert!(message.starts_with("span 2 of the body"), "{message}");
    let mut future = chat(4, &json!([]));
    future["startTimeUnixNano"] = json!("4795401661000000000");
    let answer = server.post("/v1/traces", &[JSON], &body(&[future])).json();
    let message = answer["partialSuccess"]["errorMessage"].as_str().unwrap();
    assert!(message.starts_with(&format!("span {:032x}:00000000000000a1: ", 4)), "{message}");
    assert_eq!(count(&server), 1);
}

#[test]
fn the_limit_is_on_bytes_as_sent_and_as_decompressed() {
    let server = TestServer::with(|config| config.otlp.body_max_bytes = 100_000);
    let mut large = one(1);
    large.extend(std::iter::repeat_n(b' ', 100_000));
    let answer = server.post("/v1/traces", &[JSON], &large);
    assert_eq!((answer.status, answer.header("retry-after")), (413, None));
    for (encoding, small) in [
        ("zstd", zstd::encode_all(large.as_slice(), 1).unwrap()),
        ("zstd", zstd::encode_all(vec![b' '; 50 << 20].as_slice(), 1).unwrap()),
    ] {
        assert!(small.len() < 100_000);
        let answer = server.post("/v1/traces", &[JSON, ("Content-Encoding", encoding)], &small);
        assert_eq!((answer.status, answer.header("retry-after")), (413, None));
    }
    assert_eq!(count(&server), 0);
}

#[test]
fn large_bodies_are_read_while_they_arrive() {
    let server = TestServer::start();
    let content = "SECRET ".repeat(400_000);
    let prompt = json!([{"key": "gen_ai.input.messages", "value": {"stringValue": content}}]);
    let spans: Vec<Value> = (1..=8).map(|trace| chat(trace, &prompt)).collect();
    let body = body(&spans);
    assert!(body.len() > 20 << 20);
    assert_eq!(server.post("/v1/traces", &[JSON], &body).status, 200);
    assert_eq!(server.post("/v1/traces", &[JSON], &body[..body.len() - 9]).status, 400);
    assert_eq!(count(&server), 8);
}

#[test]
fn the_key_comes_as_each_client_sends_it() {
    let server = TestServer::start();
    let made = server.post_json("/api/keys", &json!({"name": "app", "scopes": ["ingest"]})).json();
    let key = made["token"].as_str().unwrap();
    let basic = |user: &str, password: &str| {
        format!("Basic {}", BASE64.encode(format!("{user}:{password}").as_bytes()))
    };
    let of_langfuse = basic("pk-lf-1", key);
    let bearer = format!("Bearer {key}");
    for (trace, header) in [
        ("authorization", bearer.as_str()),
        ("authorization", &of_langfuse),
        ("x-api-key", key),
        ("api_key", key),
    ]
    .iter()
    .enumerate()
    {
        // An empty one keeps the harness from sending the administrator's.
        let headers = [JSON, ("Authorization", ""), *header];
        let headers =
            if header.0 == "authorization" { vec![JSON, *header] } else { headers.to_vec() };
        let answer = server.post("/v1/traces", &headers, &one(trace as u64 + 1));
        assert_eq!(answer.status, 200, "{header:?}");
    }
    assert_eq!(count(&server), 4);
    let wrong = basic(key, "wrong");
    assert_eq!(server.post("/v1/traces", &[JSON, ("Authorization", &wrong)], &one(9)).status, 401);
}

#[test]
fn a_key_for_one_space_gives_it_to_spans_without_one() {
    let server = TestServer::start();
    let spaces = json!({"name": "app", "scopes": ["ingest"], "spaces": ["acme"]});
    let made = server.post_json("/api/keys", &spaces).json();
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    let headers = [JSON, ("Authorization", bearer.as_str())];
    let other = json!([{"key": "app.space", "value": {"stringValue": "other"}}]);
    let answer =
        server.post("/v1/traces", &headers, &body(&[chat(1, &json!([])), chat(2, &other)]));
    assert_eq!(answer.json()["partialSuccess"]["rejectedSpans"], "1");
    let rows = server.get("/api/requests").json();
    assert_eq!(rows["requests"][0]["space"], "acme");
    assert_eq!(count(&server), 1);
}

#[test]
fn a_span_that_was_refused_does_not_stand_for_one_that_is_accepted() {
    let server = TestServer::start();
    let key = |spaces: &Value| {
        let made = json!({"name": "app", "scopes": ["ingest"], "spaces": spaces});
        let made = server.post_json("/api/keys", &made).json();
        format!("Bearer {}", made["token"].as_str().unwrap())
    };
    let (acme, all) = (key(&json!(["acme"])), key(&Value::Null));
    let send = |key: &str, spans: &[Value]| {
        let answer = server.post("/v1/traces", &[JSON, ("Authorization", key)], &body(spans));
        assert_eq!(answer.status, 200);
        answer.json()["partialSuccess"]["rejectedSpans"].clone()
    };
    let space = |name: &str| json!([{"key": "app.space", "value": {"stringValue": name}}]);
    let inside = |mut span: Value| {
        span["spanId"] = json!("00000000000000b2");
        span["parentSpanId"] = json!("00000000000000a1");
        span
    };
    // The outer one is refused; the inner one comes later, and with another key.
    assert_eq!(send(&acme, &[chat(1, &space("other"))]), "1");
    assert_eq!(send(&acme, &[inside(chat(1, &space("acme")))]), Value::Null);
    assert_eq!(send(&acme, &[chat(2, &space("acme"))]), Value::Null);
    assert_eq!(send(&all, &[inside(chat(2, &space("other")))]), Value::Null);
    assert_eq!(count(&server), 3);
    // Both come together.
    let both = [chat(3, &space("other")), inside(chat(3, &space("acme")))];
    assert_eq!(send(&acme, &both), "1");
    assert_eq!(count(&server), 4);
}

/// While the outer call is on its way to the disk nobody can say whether the inner one is new.
#[test]
fn a_call_waits_for_the_one_around_it_that_is_being_stored() {
    let server = TestServer::with(|config| config.ingest.queue_max_records = 1);
    // The writer is kept busy until both are under way.
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let record = chatgauge::model::RequestRecord::new(
        chatgauge::model::RequestId::parse("blocker"),
        server.service.now(),
        chatgauge::model::Source::Rest,
    );
    let (tell_blocked, blocked) = std::sync::mpsc::channel();
    let wait = Box::new(move |_| {
        tell_blocked.send(()).unwrap();
        assert!(held.recv().is_err(), "the test lets it go");
    });
    server.service.submit(vec![record], wait).unwrap();
    blocked.recv().unwrap();
    let mut inner = chat(1, &json!([]));
    inner["spanId"] = json!("00000000000000b2");
    inner["parentSpanId"] = json!("00000000000000a1");
    let (outer, inner) = (one(1), body(&[inner]));
    std::thread::scope(|scope| {
        let post = |body: &[u8]| server.post("/v1/traces", &[JSON], body).status;
        let first = scope.spawn(move || post(&outer));
        // Until the first one is in the queue.
        while server.service.has_room(1) {
            std::thread::yield_now();
        }
        let second = scope.spawn(move || post(&inner));
        drop(hold);
        assert_eq!((first.join().unwrap(), second.join().unwrap()), (200, 200));
    });
    assert_eq!(count(&server), 2, "the blocker and the outer call");
}

#[test]
fn a_busy_server_asks_to_come_back_soon() {
    let server = TestServer::with(|config| config.http.ingest_per_minute = 1);
    assert_eq!(server.post("/v1/traces", &[JSON], &one(1)).status, 200);
    let busy = |answer: &Answer| {
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=2).contains(&wait), "clients give up after 10 s");
    };
    let answer = server.post("/v1/traces", &[JSON], &one(2));
    assert_eq!(answer.status, 429);
    busy(&answer);
    // Nothing can be stored any more: not an answer that makes a client drop the batch.
    let server = TestServer::start();
    server.service.shutdown().unwrap();
    let answer = server.post("/v1/traces", &[JSON], &one(3));
    assert_eq!(answer.status, 503);
    busy(&answer);
}

#[test]
fn the_admin_token_may_send_too() {
    let server = TestServer::start();
    let answer = server.post("/v1/traces", &[JSON, ("x-api-key", ADMIN_TOKEN)], b"{}");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"{}".as_slice()));
}
