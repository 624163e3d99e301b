//! Answers pass unchanged and are read on the way.

use chatgauge::model::{ErrorType, LatencyKind, Outcome};

use super::harness::TestGateway;
use super::upstream::{Act, Upstream, chunk, json, last_chunk, post, stream, stream_head, whole};

pub(super) const STREAM: &str = "\
data: {\"id\":\"chatcmpl-1\",\"model\":\"gpt-4o-2024\",\"choices\":[{\"delta\":{\"content\":\"\"}}]}

: comment

data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"content\":\"Zażółć 日本 SECRET\"}}]}

data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}

";
pub(super) const USAGE: &str = "\
data: {\"id\":\"chatcmpl-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":120,\"completion_tokens\":45,\"prompt_tokens_details\":{\"cached_tokens\":64},\"completion_tokens_details\":{\"reasoning_tokens\":20}}}

";
pub(super) const DONE: &str = "data: [DONE]\n\n";
pub(super) const ASK_STREAM: &str =
    r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"SECRET"}]}"#;

/// (1) and (15): a stream cut at every byte offset arrives as it was sent, without the chunk that was
/// asked for on the client's behalf, and its usage is recorded.
#[test]
fn sse_split_at_every_byte_offset() {
    let body = [STREAM, USAGE, DONE].concat();
    let at = std::sync::atomic::AtomicUsize::new(0);
    let sent = body.clone();
    let upstream = Upstream::start(move |_| {
        let at = at.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let (a, b) = sent.as_bytes().split_at(at.min(sent.len()));
        stream(&[a, b])
    });
    let gateway = TestGateway::injecting(&upstream);
    let expected = [STREAM, DONE].concat();
    for at in 0..=body.len() {
        let answer = gateway.chat(ASK_STREAM);
        assert!(answer.is_whole && answer.body == expected.as_bytes(), "cut at {at}");
    }
    let records = gateway.records(body.len() as u64 + 1);
    for record in records {
        assert_eq!(record.outcome, Outcome::Success);
        assert_eq!((record.prompt_tokens, record.completion_tokens), (Some(120), Some(45)));
        assert_eq!((record.cached_prompt_tokens, record.reasoning_tokens), (Some(64), Some(20)));
        assert_eq!(record.streamed, Some(true));
        assert!(record.latency(LatencyKind::TimeToFirstToken).is_some());
        assert!(record.latency(LatencyKind::Llm) <= record.latency(LatencyKind::Total));
    }
}

/// (2) and (3): other line endings, and characters cut in the middle.
#[test]
fn crlf_and_bare_cr_and_multibyte_characters() {
    for ending in ["\r\n", "\r"] {
        let ended = |text: &str| text.replace('\n', ending);
        let body = ended(&[STREAM, USAGE, DONE].concat());
        let sent = body.clone();
        let upstream = Upstream::start(move |_| {
            let bytes: Vec<&[u8]> = sent.as_bytes().chunks(1).collect();
            stream(&bytes)
        });
        let gateway = TestGateway::injecting(&upstream);
        let answer = gateway.chat(ASK_STREAM);
        assert_eq!(answer.text(), ended(&[STREAM, DONE].concat()), "{ending:?}");
        let record = gateway.record();
        assert_eq!(record.prompt_tokens, Some(120));
        assert_eq!(record.outcome, Outcome::Success);
    }
}

/// (4): usage comes after the reason to stop; beside choices it is the client's too.
#[test]
fn usage_after_finish_reason_with_and_without_choices() {
    let beside = USAGE.replace("\"choices\":[]", "\"choices\":[{\"index\":0,\"delta\":{}}]");
    for (usage, passes) in [(USAGE, false), (beside.as_str(), true)] {
        let upstream =
            Upstream::always(stream(&[STREAM.as_bytes(), usage.as_bytes(), DONE.as_bytes()]));
        let gateway = TestGateway::injecting(&upstream);
        let answer = gateway.chat(ASK_STREAM);
        assert_eq!(answer.text(), [STREAM, if passes { usage } else { "" }, DONE].concat());
        assert_eq!(gateway.record().completion_tokens, Some(45));
    }
}

/// (5): the four shapes of usage of Anthropic and its relays.
#[test]
fn four_shapes_of_anthropic_usage() {
    for (start, last, prompt, completion) in [
        (
            r#"{"input_tokens":10,"output_tokens":1}"#,
            r#"{"input_tokens":10,"output_tokens":20}"#,
            10,
            20,
        ),
        (
            r#"{"input_tokens":3,"cache_read_input_tokens":4739}"#,
            r#"{"output_tokens":9}"#,
            4_742,
            9,
        ),
        (
            r#"{"input_tokens":8834}"#,
            r#"{"input_tokens":18,"cache_read_input_tokens":8831,"output_tokens":5}"#,
            8_849,
            5,
        ),
        (r#"{"input_tokens":417}"#, r#"{"input_tokens":0,"output_tokens":6}"#, 417, 6),
    ] {
        let body = format!(
            "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_1\",\"model\":\"claude-x\",\"usage\":{start}}}}}\n\n\
             event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"delta\":{{\"thinking\":\"SECRET\"}}}}\n\n\
             event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"max_tokens\"}},\"usage\":{last}}}\n\n\
             event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
        );
        let upstream = Upstream::always(stream(&[body.as_bytes()]));
        let gateway = TestGateway::before(&upstream);
        let ask = r#"{"model":"claude-x","stream":true,"max_tokens":5}"#;
        assert_eq!(gateway.post("/v1/messages", &[], ask).text(), body);
        assert_eq!(upstream.last().text(), ask, "nothing is asked of Anthropic");
        let record = gateway.record();
        assert_eq!(
            (record.prompt_tokens, record.completion_tokens),
            (Some(prompt), Some(completion))
        );
        assert_eq!(record.provider.as_deref(), Some("anthropic"));
        assert_eq!(record.finish_reason.as_deref(), Some("length"));
        assert_eq!(record.provider_response_id.as_deref(), Some("msg_1"));
        assert!(record.latency(LatencyKind::TimeToFirstToken).is_some());
    }
}

/// (6): the event that ends a response repeats all of it.
#[test]
fn three_megabytes_of_response_completed() {
    let text = "SECRET ".repeat(450_000);
    let body = format!(
        "data: {{\"type\":\"response.output_text.delta\",\"delta\":\"x\"}}\n\n\
         data: {{\"type\":\"response.completed\",\"response\":{{\"id\":\"resp_1\",\"status\":\"completed\",\"model\":\"gpt-5\",\"output\":[{{\"text\":\"{text}\"}}],\"usage\":{{\"input_tokens\":12,\"output_tokens\":5}}}}}}\n\n"
    );
    assert!(body.len() > 3 << 20);
    let sent = body.clone();
    let upstream = Upstream::start(move |_| {
        let pieces: Vec<&[u8]> = sent.as_bytes().chunks(60_000).collect();
        stream(&pieces)
    });
    let gateway = TestGateway::before(&upstream);
    let answer =
        gateway.post("/v1/responses", &[], r#"{"model":"gpt-5","stream":true,"input":"x"}"#);
    assert!(answer.is_whole && answer.body == body.as_bytes());
    let record = gateway.record();
    assert_eq!((record.prompt_tokens, record.completion_tokens), (Some(12), Some(5)));
    assert_eq!(record.operation.as_deref(), Some("responses"));
    assert_eq!(record.outcome, Outcome::Success);
}

/// (7): an error in a stream that began well.
#[test]
fn error_event_under_200() {
    let error =
        "data: {\"error\":{\"message\":\"SECRET\",\"type\":\"server_error\",\"code\":null}}\n\n";
    let upstream = Upstream::always(stream(&[STREAM.as_bytes(), error.as_bytes()]));
    let gateway = TestGateway::before(&upstream);
    assert_eq!(gateway.chat(ASK_STREAM).text(), [STREAM, error].concat());
    let record = gateway.record();
    assert_eq!(record.outcome, Outcome::Error(ErrorType::Server));
    assert_eq!(record.error_code.as_deref(), Some("server_error"));
    assert_eq!(record.http_status, Some(200));
}

/// (8): a stream that ends without its terminator, politely or not.
#[test]
fn eof_without_terminator() {
    let polite = stream(&[STREAM.as_bytes()]);
    let rude = vec![stream_head(), chunk(STREAM.as_bytes()), Act::Close];
    for (acts, code, is_whole) in
        [(polite, "incomplete_stream", true), (rude, "connection_lost", false)]
    {
        let upstream = Upstream::always(acts);
        let gateway = TestGateway::before(&upstream);
        let answer = gateway.chat(ASK_STREAM);
        assert_eq!((answer.text().as_str(), answer.is_whole), (STREAM, is_whole));
        let record = gateway.record();
        assert_eq!(record.outcome, Outcome::Error(ErrorType::Network));
        assert_eq!(record.error_code.as_deref(), Some(code));
    }
}

/// (11): an upstream that compresses although it was asked not to: the bytes pass, usage is unknown.
#[test]
fn upstream_that_ignores_identity() {
    let body = b"\x1f\x8b\x08not really gzip, and nobody looks";
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let upstream = Upstream::always(vec![Act::Send([head.as_bytes(), body].concat())]);
    let gateway = TestGateway::before(&upstream);
    let answer = gateway.chat(r#"{"model":"gpt-4o"}"#);
    assert_eq!(upstream.last().header("accept-encoding"), Some("identity"));
    assert_eq!(
        (answer.body.as_slice(), answer.header("content-encoding")),
        (&body[..], Some("gzip"))
    );
    let record = gateway.record();
    assert_eq!((record.outcome, record.prompt_tokens), (Outcome::Success, None));
    assert_eq!(record.model.as_deref(), Some("gpt-4o"), "the model is known from the question");
}

/// (15): answers are those of a direct call, byte for byte, whatever they are.
#[test]
fn bodies_are_those_of_a_direct_call() {
    let binary: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let answers = [
        json(200, r#"{"id":"x", "choices" : [ ], "n":1.50, "usage":{"prompt_tokens":1}}  "#),
        json(429, r#"{"error":{"message":"SECRET","type":"rate_limit_error"}}"#),
        json(200, "no json at all"),
        json(200, ""),
        whole(500, "text/html", b"<html>SECRET</html>"),
        whole(200, "application/octet-stream", &binary),
        vec![Act::Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())],
        stream(&[&binary]),
        stream(&[STREAM.as_bytes(), USAGE.as_bytes(), DONE.as_bytes()]),
        vec![stream_head(), last_chunk()],
    ];
    for (index, acts) in answers.into_iter().enumerate() {
        let upstream = Upstream::always(acts);
        let gateway = TestGateway::before(&upstream);
        for path in
            ["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/messages", "/v1/files"]
        {
            let direct = post(upstream.address, path, &[], ASK_STREAM.as_bytes());
            let passed = gateway.post(path, &[], ASK_STREAM);
            let label = format!("answer {index} of {path}");
            assert_eq!(passed.status(), direct.status(), "{label}");
            assert!(passed.body == direct.body && passed.is_whole, "{label}");
            assert_eq!(passed.header("content-type"), direct.header("content-type"), "{label}");
            assert_eq!(passed.header("x-request-id"), direct.header("x-request-id"), "{label}");
            let seen = upstream.seen.lock().unwrap();
            let [.., asked_directly, asked] = seen.as_slice() else { panic!() };
            assert_eq!((&asked.first, &asked.body), (&asked_directly.first, &asked_directly.body));
            assert_eq!(asked.header("authorization"), Some("Bearer sk-SECRETKEY"), "{label}");
        }
        assert_eq!(gateway.records(4).len(), 4, "files are passed on and not recorded");
    }
}

#[test]
fn an_answer_passes_while_it_is_being_made() {
    use std::io::BufRead as _;
    let upstream = Upstream::always(vec![
        stream_head(),
        chunk(STREAM.as_bytes()),
        Act::AwaitWord,
        chunk(DONE.as_bytes()),
        last_chunk(),
    ]);
    for inject in [false, true] {
        let gateway =
            if inject { TestGateway::injecting(&upstream) } else { TestGateway::before(&upstream) };
        let path = "/v1/chat/completions";
        let mut reader = super::upstream::send(gateway.address, path, &[], ASK_STREAM.as_bytes());
        let mut seen = String::new();
        // The last bytes that were sent come through before anything more is sent.
        while !seen.ends_with("\"finish_reason\":\"stop\"}]}\n\n") {
            assert!(reader.read_line(&mut seen).unwrap() > 0, "{seen}");
            seen = seen.replace("\r\n", "\n");
        }
        assert!(seen.contains("x-accel-buffering: no"));
        upstream.word.send(()).unwrap();
        while !seen.ends_with("data: [DONE]\n") {
            assert!(reader.read_line(&mut seen).unwrap() > 0, "{seen}");
        }
        assert_eq!(gateway.record().outcome, Outcome::Success);
    }
}

#[test]
fn a_length_beside_chunks_is_not_believed() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let acts = vec![Act::Send(head.into()), chunk(b"{\"id\":"), chunk(b"\"long\"}"), last_chunk()];
    let upstream = Upstream::always(acts);
    let gateway = TestGateway::before(&upstream);
    for _ in 0..2 {
        let answer = gateway.chat("{}");
        assert_eq!((answer.text().as_str(), answer.is_whole), ("{\"id\":\"long\"}", true));
        assert_eq!(answer.header("content-length"), None);
    }
    assert_eq!(gateway.records(2)[0].outcome, chatgauge::model::Outcome::Success);
}

#[test]
fn hundreds_of_headers_pass() {
    let headers: String = (0..600).map(|number| format!("x-header-{number}: v\r\n")).collect();
    let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: 2\r\n\r\n{{}}");
    let upstream = Upstream::always(vec![Act::Send(head.into_bytes())]);
    let answer = TestGateway::before(&upstream).chat("{}");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "{}"));
    let passed = answer.headers.iter().filter(|(name, _)| name.starts_with("x-header-")).count();
    assert_eq!(passed, 600);
}
