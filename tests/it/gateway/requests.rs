//! Questions pass unchanged, but for the one edit.

use std::io::Write as _;
use std::time::Duration;

use chatgauge::model::{LatencyKind, Outcome, Source};

use super::answers::{ASK_STREAM, DONE, STREAM, USAGE};
use super::harness::{TestGateway, inject};
use super::upstream::{Act, Message, Upstream, chunk, json, post, stream};

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"id":"chatcmpl-2","model":"gpt-4o-2024","choices":[{"finish_reason":"stop","message":{"content":"SECRET"}}],"usage":{"prompt_tokens":120,"completion_tokens":45}}"#;

/// A provider that sends usage when it is asked for it.
fn obliging() -> Upstream {
    Upstream::start(|request: &Message| {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let asks = body["stream_options"]["include_usage"] == true;
        let usage = if asks { USAGE } else { "" };
        match body["stream"] == true {
            true => stream(&[STREAM.as_bytes(), usage.as_bytes(), DONE.as_bytes()]),
            false => json(200, ANSWER),
        }
    })
}

#[test]
fn a_stream_is_asked_for_its_usage_and_the_client_sees_nothing_of_it() {
    let upstream = obliging();
    let gateway = TestGateway::injecting(&upstream);
    let direct = post(upstream.address, CHAT, &[], ASK_STREAM.as_bytes());
    assert_eq!(gateway.chat(ASK_STREAM).body, direct.body);
    let asked = upstream.last().text();
    let expected = ASK_STREAM.replace("]}", r#"],"stream_options":{"include_usage":true}}"#);
    assert_eq!(asked, expected);
    let own = ASK_STREAM.replace("]}", r#"],"stream_options":{"include_usage":true}}"#);
    let answer = gateway.chat(&own);
    assert_eq!(answer.text(), [STREAM, USAGE, DONE].concat(), "who asks for usage gets it");
    let declined = own.replace(":true}}", ":false}}");
    assert_eq!(gateway.chat(&declined).text(), [STREAM, DONE].concat());
    assert_eq!(upstream.last().text(), declined, "who declines it is left alone");
    let tokens: Vec<_> = gateway.records(3).iter().map(|record| record.prompt_tokens).collect();
    assert_eq!(tokens, [Some(120), Some(120), None]);
}

/// (13): no edit where no stream is asked for.
#[test]
fn no_injection_without_a_stream() {
    let upstream = obliging();
    let gateway = TestGateway::injecting(&upstream);
    for body in [r#"{"model":"m","stream":false}"#, r#"{"model":"m"}"#, "no json", ""] {
        assert_eq!(gateway.chat(body).text(), ANSWER);
        assert_eq!(upstream.last().text(), body);
    }
    let records = gateway.records(4);
    assert!(records.iter().all(|record| record.streamed == Some(false)));
    assert!(records.iter().all(|record| record.completion_tokens == Some(45)));
}

#[test]
fn unknown_hosts_are_not_asked_for_usage_unless_told_so() {
    let upstream = obliging();
    let gateway = TestGateway::before(&upstream);
    gateway.chat(ASK_STREAM);
    assert_eq!(upstream.last().text(), ASK_STREAM);
    let record = gateway.record();
    assert_eq!((record.outcome, record.prompt_tokens), (Outcome::Success, None));
}

/// (12): an upstream that refuses the edit is asked again without it, and never again with it.
#[test]
fn upstream_that_refuses_stream_options() {
    let upstream = Upstream::start(|request: &Message| {
        if request.text().contains("stream_options") {
            let refusal =
                r#"{"error":{"message":"Unrecognized request argument: stream_options"}}"#;
            return json(400, refusal);
        }
        stream(&[STREAM.as_bytes(), DONE.as_bytes()])
    });
    let gateway = TestGateway::injecting(&upstream);
    for _ in 0..2 {
        assert_eq!(gateway.chat(ASK_STREAM).text(), [STREAM, DONE].concat());
    }
    let asked: Vec<bool> =
        upstream.seen.lock().unwrap().iter().map(|m| m.text().contains("stream_options")).collect();
    assert_eq!(asked, [true, false, false]);
    for record in gateway.records(2) {
        assert_eq!((record.outcome, record.attempt), (Outcome::Success, 0));
    }
}

#[test]
fn another_refusal_is_the_clients() {
    let refusal = format!(r#"{{"error":{{"message":"{}","code":"x"}}}}"#, "long ".repeat(40_000));
    let upstream = Upstream::always(json(400, &refusal));
    let gateway = TestGateway::injecting(&upstream);
    let answer = gateway.chat(ASK_STREAM);
    assert_eq!((answer.status(), answer.text()), (400, refusal));
    assert_eq!(upstream.seen.lock().unwrap().len(), 1);
    assert_eq!(gateway.record().error_code.as_deref(), Some("x"));
}

/// An upstream that may have refused the edit is looked at, and its answer passes as it came: with its break,
/// and no later than it stalls.
#[test]
fn a_refusal_that_breaks_off_or_stalls_does_so_for_the_client() {
    let half = |head: &str, rest: Act| {
        let head = format!("HTTP/1.1 422 X\r\ncontent-type: application/json\r\n{head}\r\n\r\n");
        vec![Act::Send(head.into_bytes()), rest]
    };
    let (length, chunks) = ("content-length: 500", "transfer-encoding: chunked");
    let begin = || Act::Send(b"{\"error\":{\"co".to_vec());
    for (acts, ends) in [
        (half(length, begin()), Act::Close),
        (half(chunks, chunk(b"{\"error\":{\"co")), Act::Close),
        (half(length, begin()), Act::AwaitClose),
        (half(chunks, chunk(b"{\"error\":{\"co")), Act::AwaitClose),
    ] {
        let is_stalled = matches!(ends, Act::AwaitClose);
        let upstream = Upstream::always([acts, vec![ends]].concat());
        let gateway = TestGateway::with(upstream.address, |config| {
            inject(config);
            config.gateway.idle_timeout =
                Duration::from_millis(if is_stalled { 50 } else { 20_000 });
        });
        let answer = gateway.chat(ASK_STREAM);
        assert_eq!(answer.status(), 422);
        assert!(!answer.is_whole, "{}", answer.text());
        assert!(answer.text().starts_with("{\"error\":{\"co"), "{}", answer.text());
        assert_eq!(upstream.seen.lock().unwrap().len(), 1);
        let record = gateway.record();
        assert_eq!(record.http_status, Some(422));
    }
}

#[test]
fn a_question_that_is_no_json_passes_as_it_is() {
    let upstream = Upstream::always(json(400, "{}"));
    let gateway = TestGateway::injecting(&upstream);
    for body in [r#"{"stream":true,"temperature":NaN}"#, r#"{"stream":true,"messages":[}"#] {
        assert_eq!(gateway.chat(body).status(), 400);
        assert_eq!(upstream.last().text(), body);
    }
}

/// (10): compressed questions are understood; they pass as they are, or uncompressed with the edit.
#[test]
fn gzip_and_zstd_request_bodies() {
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(ASK_STREAM.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = zstd::encode_all(ASK_STREAM.as_bytes(), 1).unwrap();
    for (encoding, body) in [("gzip", gzip), ("zstd", zstd)] {
        let headers = [("content-encoding", encoding)];
        let upstream = obliging();
        let gateway = TestGateway::before(&upstream);
        post(gateway.address, CHAT, &headers, &body);
        let asked = upstream.last();
        assert_eq!((asked.header("content-encoding"), &asked.body), (Some(encoding), &body));
        assert_eq!(gateway.record().streamed, Some(true), "{encoding}");

        let gateway = TestGateway::injecting(&upstream);
        let answer = post(gateway.address, CHAT, &headers, &body);
        assert_eq!(answer.text(), [STREAM, DONE].concat(), "{encoding}");
        let asked = upstream.last();
        assert_eq!(asked.header("content-encoding"), None);
        assert!(asked.text().ends_with(r#","stream_options":{"include_usage":true}}"#));
        assert_eq!(gateway.record().prompt_tokens, Some(120), "{encoding}");
    }
    let upstream = obliging();
    let gateway = TestGateway::with(upstream.address, inject);
    let damaged = b"\x1f\x8b\x08SECRET";
    post(gateway.address, CHAT, &[("content-encoding", "gzip")], damaged);
    assert_eq!(upstream.last().body, damaged, "what is not understood passes all the same");
    assert_eq!(gateway.record().model.as_deref(), Some("gpt-4o-2024"), "known from the answer");
}

#[test]
fn a_question_too_long_to_be_held_passes_as_it_comes() {
    let upstream = obliging();
    let gateway = TestGateway::injecting(&upstream);
    let long = "x".repeat(9 << 20);
    let body = format!(r#"{{"messages":["{long}"],"user":"u","model":"gpt-4o","stream":true}}"#);
    assert_eq!(gateway.chat(&body).text(), [STREAM, DONE].concat());
    assert!(upstream.last().body == body.as_bytes());
    assert_eq!(upstream.last().header("content-length").unwrap(), body.len().to_string());
    let record = gateway.record();
    assert_eq!(record.streamed, Some(true));
    assert!(record.user.is_some());
    assert_eq!(gateway.service.config().gateway.body_max_bytes, 64 << 20);
}

/// (14): a client's library tells its retries; one operation is one request with attempt 0.
#[test]
fn retries_of_a_client_library_are_attempts_of_one_operation() {
    let upstream = Upstream::always(json(500, "{}"));
    let gateway = TestGateway::before(&upstream);
    for retry in ["0", "1", "2"] {
        gateway.post(CHAT, &[("x-stainless-retry-count", retry)], "{}");
        assert_eq!(upstream.last().header("x-stainless-retry-count"), Some(retry));
    }
    let attempts: Vec<u32> = gateway.records(3).iter().map(|record| record.attempt).collect();
    assert_eq!(attempts, [0, 1, 2]);
    assert_eq!(attempts.iter().filter(|attempt| **attempt == 0).count(), 1);
}

#[test]
fn where_a_request_goes_is_in_its_path_and_nowhere_else() {
    let upstream = obliging();
    let gateway = TestGateway::before(&upstream);
    gateway.post("/s/sales%20eu/openai/v1/chat/completions?api-version=2", &[], "{}");
    assert_eq!(upstream.last().first, "POST /v1/chat/completions?api-version=2 HTTP/1.1");
    let record = gateway.record();
    assert_eq!(record.space.as_deref(), Some("sales eu"));
    assert_eq!(record.source, Source::Gateway);
    let elsewhere = [("helicone-target-url", "http://127.0.0.1:9")];
    assert_eq!(gateway.post("/elsewhere/v1/chat/completions", &elsewhere, "{}").status(), 404);
    assert_eq!(gateway.post("/v1/embeddings", &elsewhere, "{}").status(), 200);
    let websocket = [("connection", "upgrade"), ("upgrade", "websocket")];
    assert_eq!(gateway.post("/v1/responses", &websocket, "").status(), 501);
    let other =
        [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "")];
    assert_eq!(gateway.post("/v1/models", &other, "").status(), 200, "an offer may be left alone");
    let headers = upstream.last().headers;
    assert!(!headers.iter().any(|(name, _)| name == "upgrade" || name == "http2-settings"));
    assert_eq!(gateway.records(2).len(), 2);
    let status = gateway.service.status().unwrap().gateway;
    assert_eq!((status.recorded_total, status.refused_total), (2, 2));
}

#[test]
fn too_many_and_too_large_requests_are_refused_at_once() {
    let upstream = obliging();
    let gateway = TestGateway::with(upstream.address, |config| {
        config.gateway.body_max_bytes = 1_024;
        config.gateway.max_concurrent_requests = 1;
    });
    let long = "x".repeat(1_025);
    assert_eq!(gateway.chat(&long).status(), 413);
    // A question whose body does not end keeps its place.
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n");
    let mut slow = std::net::TcpStream::connect(gateway.address).unwrap();
    slow.write_all(head.as_bytes()).unwrap();
    super::harness::wait_until(|| gateway.service.collector().stats().in_flight == 1);
    let busy = gateway.chat("{}");
    assert_eq!((busy.status(), busy.header("retry-after")), (503, Some("1")));
    drop(slow);
    let record = gateway.record();
    assert_eq!((record.outcome, record.http_status), (Outcome::Cancelled, Some(499)));
}

#[test]
fn our_own_time_and_the_upstreams_are_in_the_answer() {
    let upstream = obliging();
    let gateway = TestGateway::before(&upstream);
    let headers = [("x-chatgauge-context-ms", "250")];
    let answer = gateway.post(CHAT, &headers, r#"{"model":"gpt-4o"}"#);
    let timing = answer.header("server-timing").unwrap();
    assert!(timing.starts_with("gateway;dur=") && timing.contains(", upstream;dur="), "{timing}");
    let record = gateway.record();
    assert_eq!(answer.header("x-chatgauge-request-id"), Some(&*record.request_id.to_string()));
    assert_eq!(record.latency(LatencyKind::Context), Some(250_000));
    let llm = record.latency(LatencyKind::Llm).unwrap();
    assert!(record.latency(LatencyKind::Total).unwrap() >= 250_000 + llm);
    assert_eq!(record.model.as_deref(), Some("gpt-4o"), "as it was asked for");
    assert_eq!(record.finish_reason.as_deref(), Some("stop"));
    let status = gateway.service.status().unwrap().gateway;
    assert_eq!((status.first_bytes_total, status.responses_total), (1, 1));
}
