//! Nothing that people wrote and no key is kept; and no record is worth an answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use chatgauge::model::Outcome;

use super::answers::{ASK_STREAM, DONE, STREAM, USAGE};
use super::harness::TestGateway;
use super::upstream::{Act, Upstream, chunk, json, stream, stream_head};

const MARK: &str = "SECRET";

/// (16): the mark stands in prompts, answers, arguments, errors, metadata and keys; it is in no file.
#[test]
fn canary_is_nowhere_in_the_files() {
    let answers = [
        stream(&[STREAM.as_bytes(), USAGE.as_bytes(), DONE.as_bytes()]),
        json(
            200,
            r#"{"id":"SECRET words","choices":[{"finish_reason":"SECRET words","message":{"content":"SECRET","tool_calls":[{"function":{"name":"SECRET","arguments":"SECRET"}}]}}],"usage":{"prompt_tokens":1}}"#,
        ),
        json(
            400,
            r#"{"error":{"message":"SECRET","type":"SECRET words","code":"no SECRET here","param":"SECRET"}}"#,
        ),
        json(401, r#"{"error":"key sk-SECRETKEY is wrong"}"#),
        json(500, "SECRET"),
        vec![
            stream_head(),
            chunk(b"data: {\"error\":{\"message\":\"SECRET\",\"code\":\"SECRET x\"}}\n\n"),
            Act::Close,
        ],
    ];
    let count = answers.len() as u64 * 4;
    let next = AtomicUsize::new(0);
    let upstream = Upstream::start(move |_| {
        answers[next.fetch_add(1, Ordering::SeqCst) % answers.len()].clone()
    });
    let gateway = TestGateway::injecting(&upstream);
    let body = r#"{"model":"gpt-4o","stream":true,"user":"alice-SECRET","input":"SECRET","system":"SECRET","metadata":{"note":"SECRET","user_id":"SECRET"},"messages":[{"content":"SECRET"}]}"#;
    let headers = [
        ("x-api-key", "SECRETKEY"),
        ("x-chatgauge-tags", "note=SECRET words"),
        ("x-chatgauge-session", "c-SECRET"),
        ("Helicone-Property-Prompt", "SECRET"),
        ("cookie", "SECRET"),
    ];
    for path in ["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/messages"] {
        for _ in 0..count / 4 {
            gateway.post(path, &headers, body);
        }
    }
    let records = gateway.records(count);
    assert!(!format!("{records:?}").contains(MARK), "{records:?}");
    gateway.service.compact().unwrap();
    for file in gateway.files() {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes());
        assert!(!found, "{}", file.display());
    }
    let status = serde_json::to_string(&gateway.service.status().unwrap().gateway).unwrap();
    assert!(!status.contains(MARK));
}

/// (18): with a queue that is full, or a store that is gone, the traffic is what it was.
#[test]
fn recording_queue_full_or_store_gone_changes_nothing_for_the_client() {
    let upstream =
        Upstream::always(stream(&[STREAM.as_bytes(), USAGE.as_bytes(), DONE.as_bytes()]));
    let gateway = TestGateway::with(upstream.address, |config| {
        super::harness::inject(config);
        config.ingest.collector_queue_max_records = 1;
        config.ingest.queue_max_records = 1;
    });
    // The writer is kept busy: nothing leaves the queues meanwhile.
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let blocked = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_blocked = std::sync::Arc::clone(&blocked);
    let record = chatgauge::model::RequestRecord::new(
        chatgauge::model::RequestId::parse("blocker"),
        gateway.service.now(),
        chatgauge::model::Source::Rest,
    );
    gateway
        .service
        .submit(
            vec![record],
            Box::new(move |_| {
                is_blocked.store(true, Ordering::SeqCst);
                let _gone = held.recv();
            }),
        )
        .unwrap();
    super::harness::wait_until(|| blocked.load(Ordering::SeqCst));
    let expected = [STREAM, DONE].concat();
    let collector = gateway.service.collector();
    let mut asked = 0;
    while collector.stats().dropped == 0 {
        assert_eq!(gateway.chat(ASK_STREAM).text(), expected);
        asked += 1;
        assert!(asked < 5_000, "the queue never was full");
    }
    drop(hold);
    gateway.service.shutdown().unwrap();
    for _ in 0..5 {
        let answer = gateway.chat(ASK_STREAM);
        assert_eq!((answer.status(), answer.text()), (200, expected.clone()));
    }
    let stats = collector.stats();
    super::harness::wait_until(|| collector.stats().in_flight == 0);
    assert!(stats.dropped >= 5, "what is lost is counted: {stats:?}");
}

#[test]
fn a_damaged_answer_is_still_an_answer() {
    let upstream = Upstream::always(json(200, "{\"choices\":[{\"SECRET"));
    let gateway = TestGateway::before(&upstream);
    assert_eq!(gateway.chat("{").text(), "{\"choices\":[{\"SECRET");
    assert_eq!(gateway.record().outcome, Outcome::Success);
}
