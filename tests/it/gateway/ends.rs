//! However a request ends, it is recorded once and as what it was.

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::time::Duration;

use chatgauge::config::OnDisconnect;
use chatgauge::model::{ErrorType, LatencyKind, Outcome, RequestRecord};

use super::answers::{ASK_STREAM, DONE, STREAM, USAGE};
use super::harness::{TestGateway, wait_until};
use super::upstream::{Act, Upstream, chunk, json, last_chunk, send, stream_head};

const CHAT: &str = "/v1/chat/completions";

/// Sends a question, reads until `until` has come, and hangs up.
fn hang_up(gateway: &TestGateway, headers: &[(&str, &str)], until: &str) {
    let mut reader = send(gateway.address, CHAT, headers, ASK_STREAM.as_bytes());
    let mut seen = String::new();
    while !seen.contains(until) {
        let bytes = reader.fill_buf().unwrap();
        assert!(!bytes.is_empty(), "{seen}");
        seen.push_str(&String::from_utf8_lossy(bytes));
        let length = bytes.len();
        reader.consume(length);
    }
}

fn assert_cancelled(record: &RequestRecord) {
    assert_eq!(record.outcome, Outcome::Cancelled);
    assert_eq!(record.http_status, Some(499));
    assert!(record.latency(LatencyKind::Total).is_some());
}

/// (9): before the head.
#[test]
fn drop_before_headers() {
    let upstream = Upstream::always(vec![Act::AwaitClose]);
    let gateway = TestGateway::before(&upstream);
    let reader = send(gateway.address, CHAT, &[], ASK_STREAM.as_bytes());
    wait_until(|| !upstream.seen.lock().unwrap().is_empty());
    drop(reader);
    upstream.await_close();
    let record = gateway.record();
    assert_cancelled(&record);
    assert_eq!(record.model.as_deref(), Some("gpt-4o"));
    assert_eq!((record.error_code, record.prompt_tokens), (None, None));
}

/// (9): after the head, before anything else.
#[test]
fn drop_after_headers() {
    let upstream = Upstream::always(vec![stream_head(), Act::AwaitClose]);
    let gateway = TestGateway::before(&upstream);
    hang_up(&gateway, &[], "content-type");
    upstream.await_close();
    let record = gateway.record();
    assert_cancelled(&record);
    assert_eq!(record.latency(LatencyKind::TimeToFirstToken), None);
}

/// (9): in the middle; what was known by then is kept, and the upstream is told to stop.
#[test]
fn drop_mid_stream() {
    let upstream = Upstream::always(vec![
        stream_head(),
        chunk(STREAM.as_bytes()),
        chunk(USAGE.as_bytes()),
        Act::AwaitClose,
    ]);
    let gateway = TestGateway::before(&upstream);
    hang_up(&gateway, &[], "prompt_tokens");
    upstream.await_close();
    let record = gateway.record();
    assert_cancelled(&record);
    assert_eq!((record.prompt_tokens, record.completion_tokens), (Some(120), Some(45)));
    assert_eq!(record.provider_response_id.as_deref(), Some("chatcmpl-1"));
    assert!(record.latency(LatencyKind::TimeToFirstToken).is_some());
}

/// (9): after the last byte, whether or not the upstream has closed its side.
#[test]
fn drop_after_last_byte() {
    let open =
        vec![stream_head(), chunk(STREAM.as_bytes()), chunk(DONE.as_bytes()), Act::AwaitClose];
    let upstream = Upstream::always(open);
    let gateway = TestGateway::before(&upstream);
    hang_up(&gateway, &[], "[DONE]");
    upstream.await_close();
    assert_eq!(gateway.record().outcome, Outcome::Success);
    let upstream = Upstream::always(json(200, r#"{"usage":{"prompt_tokens":3}}"#));
    let gateway = TestGateway::before(&upstream);
    hang_up(&gateway, &[], "prompt_tokens");
    let record = gateway.record();
    assert_eq!((record.outcome, record.prompt_tokens), (Outcome::Success, Some(3)));
}

#[test]
fn an_answer_may_be_drained_for_its_usage() {
    let upstream = Upstream::always(vec![
        stream_head(),
        chunk(STREAM.as_bytes()),
        Act::AwaitWord,
        chunk(USAGE.as_bytes()),
        chunk(DONE.as_bytes()),
        last_chunk(),
    ]);
    let gateway = TestGateway::with(upstream.address, |config| {
        for upstream in config.gateway.upstreams.values_mut() {
            upstream.on_disconnect = OnDisconnect::Drain;
        }
    });
    let mut reader = send(gateway.address, CHAT, &[], ASK_STREAM.as_bytes());
    let mut seen = String::new();
    while !seen.contains("SECRET") {
        assert!(reader.read_line(&mut seen).unwrap() > 0);
    }
    drop(reader);
    upstream.word.send(()).unwrap();
    let record = gateway.record();
    assert_cancelled(&record);
    assert_eq!(record.completion_tokens, Some(45));
}

#[test]
fn a_client_library_that_stops_waiting_is_no_person() {
    let upstream = Upstream::always(vec![stream_head(), Act::AwaitClose]);
    let gateway = TestGateway::before(&upstream);
    hang_up(&gateway, &[("x-stainless-read-timeout", "0.000001")], "content-type");
    upstream.await_close();
    let record = gateway.record();
    assert_cancelled(&record);
    assert_eq!(record.error_code.as_deref(), Some("client_timeout"));
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn an_upstream_that_is_not_there() {
    let gateway = TestGateway::with(nobody(), |_| {});
    let answer = gateway.chat(ASK_STREAM);
    assert_eq!(answer.status(), 502);
    let error: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(error["error"]["code"], "upstream_unreachable");
    let record = gateway.record();
    assert_eq!(record.outcome, Outcome::Error(ErrorType::Network));
    assert_eq!(record.error_code.as_deref(), Some("connect_failed"));
    let anthropic = gateway.post("/v1/messages", &[], "{}");
    let error: serde_json::Value = serde_json::from_slice(&anthropic.body).unwrap();
    assert_eq!((&error["type"], &error["error"]["type"]), (&"error".into(), &"api_error".into()));
}

#[test]
fn an_upstream_that_hangs_up_instead_of_answering() {
    let upstream = Upstream::always(vec![Act::Close]);
    let gateway = TestGateway::before(&upstream);
    assert_eq!(gateway.chat(ASK_STREAM).status(), 502);
    assert_eq!(gateway.record().outcome, Outcome::Error(ErrorType::Network));
}

#[test]
fn an_upstream_that_is_silent_for_too_long() {
    let silent = |config: &mut chatgauge::Config| {
        config.gateway.first_byte_timeout = Duration::from_millis(50);
        config.gateway.idle_timeout = Duration::from_millis(50);
    };
    let upstream = Upstream::always(vec![Act::AwaitClose]);
    let gateway = TestGateway::with(upstream.address, silent);
    assert_eq!(gateway.chat(ASK_STREAM).status(), 504);
    let record = gateway.record();
    assert_eq!(record.outcome, Outcome::Error(ErrorType::Timeout));
    assert_eq!(record.error_code.as_deref(), Some("first_byte_timeout"));
    let half = vec![stream_head(), chunk(STREAM.as_bytes()), Act::AwaitClose];
    let upstream = Upstream::always(half);
    let gateway = TestGateway::with(upstream.address, silent);
    assert!(!gateway.chat(ASK_STREAM).is_whole);
    let record = gateway.record();
    assert_eq!(record.outcome, Outcome::Error(ErrorType::Timeout));
    assert_eq!(record.error_code.as_deref(), Some("idle_timeout"));
}

#[test]
fn errors_of_providers_have_one_type_and_a_code() {
    for (status, body, kind, code) in [
        (
            429,
            r#"{"error":{"type":"rate_limit_error","code":"rate_limit_exceeded"}}"#,
            ErrorType::RateLimit,
            Some("rate_limit_exceeded"),
        ),
        (
            429,
            r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#,
            ErrorType::RateLimit,
            Some("insufficient_quota"),
        ),
        (
            400,
            r#"{"error":{"type":"invalid_request_error","code":"context_length_exceeded"}}"#,
            ErrorType::Validation,
            Some("context_length_exceeded"),
        ),
        (401, r#"{"error":{"message":"Incorrect key: sk-SECRET"}}"#, ErrorType::Auth, None),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
            ErrorType::Server,
            Some("overloaded_error"),
        ),
        (503, "<html>SECRET</html>", ErrorType::Server, None),
        (504, "", ErrorType::Timeout, None),
    ] {
        let upstream = Upstream::always(json(status, body));
        let gateway = TestGateway::before(&upstream);
        assert_eq!(gateway.chat("{}").status(), status);
        let record = gateway.record();
        assert_eq!(record.outcome, Outcome::Error(kind), "{status} {body}");
        assert_eq!(record.error_code.as_deref(), code, "{status} {body}");
        assert_eq!(record.http_status, Some(status));
    }
}
