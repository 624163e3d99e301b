//! Bodies that real clients sent, and the calls that were made: in both encodings, sent once and twice,
//! and nothing of what was written is anywhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chatgauge::privacy::session_name;
use serde_json::{Value, json};

use super::encode::protobuf_of;
use crate::harness::TestServer;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
/// In every prompt, answer, tool, document and key of the samples.
const MARKER: &[u8] = b"SECRET";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/otlp")
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The labels of the samples.
fn labels() -> Vec<String> {
    let names = names_in(&fixtures().join("expected"));
    let labels: Vec<String> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".events.json"))
        .map(str::to_owned)
        .collect();
    assert_eq!(labels.len(), 18);
    labels
}

/// The bodies of a sample as JSON.
fn json_bodies(label: &str) -> Vec<Vec<u8>> {
    let folder = fixtures().join("json");
    let is_of = |name: &String| name.starts_with(&format!("{label}.traces."));
    let bodies = names_in(&folder).into_iter().filter(is_of);
    bodies.map(|name| std::fs::read(folder.join(name)).unwrap()).collect()
}

/// The bodies of a sample as protobuf: as they were captured, else made of the JSON.
fn protobuf_bodies(label: &str) -> Vec<Vec<u8>> {
    let is_of =
        |name: &String| name.starts_with(&format!("{label}.traces.")) && name.ends_with(".bin");
    let captured: Vec<Vec<u8>> = names_in(&fixtures())
        .into_iter()
        .filter(is_of)
        .map(|name| std::fs::read(fixtures().join(name)).unwrap())
        .collect();
    if !captured.is_empty() {
        return captured;
    }
    let of_json = |body: Vec<u8>| protobuf_of(&serde_json::from_slice(&body).unwrap());
    json_bodies(label).into_iter().map(of_json).collect()
}

fn send(server: &TestServer, content_type: &str, bodies: &[Vec<u8>]) {
    for body in bodies {
        let answer = server.post("/v1/traces", &[("Content-Type", content_type)], body);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.header("content-type"), Some(content_type));
        let expected: &[u8] = if content_type == JSON { b"{}" } else { b"" };
        assert_eq!(answer.body, expected, "no span is refused");
    }
}

/// The stored requests by id.
fn stored(server: &TestServer) -> BTreeMap<String, Value> {
    let page = server.get("/api/requests?limit=1000").json();
    let requests = page["requests"].as_array().unwrap().iter();
    requests.map(|row| (row["request_id"].as_str().unwrap().to_owned(), row.clone())).collect()
}

/// What the workload did, of the kinds that are requests.
fn expected(label: &str) -> Vec<Value> {
    let path = fixtures().join("expected").join(format!("{label}.events.json"));
    let events: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let is_request = |event: &Value| event["kind"] == "llm" || event["kind"] == "embedding";
    events.into_iter().filter(is_request).collect()
}

fn error_type(class: &Value) -> Value {
    match class.as_str() {
        Some("connection") => json!("network"),
        Some("permission") => json!("auth"),
        Some("not_found" | "context_length" | "invalid_request") => json!("validation"),
        _ => class.clone(),
    }
}

fn assert_near(row: &Value, field: &str, expected: &Value, tolerance: f64, label: &str) {
    match (row[field].as_f64(), expected.as_f64()) {
        (None, None) => {}
        (Some(found), Some(expected)) if (found - expected).abs() <= tolerance => {}
        (found, expected) => panic!("{label}: {field} is {found:?}, not {expected:?}: {row}"),
    }
}

fn assert_matches(server: &TestServer, row: &Value, event: &Value, label: &str) {
    let pseudonymizer = server.service.pseudonymizer();
    let user = event["user"].as_str().map(|user| pseudonymizer.user(user).to_string());
    let session = event["session"].as_str().map(|id| session_name(pseudonymizer.session(id)));
    let service = event["service"].as_str().filter(|name| !name.starts_with("unknown_service"));
    let space = event["space"].as_str().or(service);
    let outcome = if event["status"] == "ok" { "success" } else { "error" };
    for (field, expected) in [
        ("operation", event["op"].clone()),
        ("provider", event["provider"].clone()),
        ("model", event["req_model"].clone()),
        ("provider_response_id", event["resp_id"].clone()),
        ("user", json!(user)),
        ("session", json!(session)),
        ("space", json!(space)),
        ("prompt_tokens", event["in_tok"].clone()),
        ("completion_tokens", event["out_tok"].clone()),
        ("cached_prompt_tokens", event["cache_read"].clone()),
        ("reasoning_tokens", event["reasoning"].clone()),
        ("streamed", event["stream"].clone()),
        ("outcome", json!(outcome)),
        ("error_type", error_type(&event["error_class"])),
        ("http_status", event["http_status"].clone()),
        ("finish_reason", event["finish"].clone()),
        ("cache_hit", json!(event["cache_hit"].as_bool().unwrap_or(false))),
        ("source", json!("otlp")),
    ] {
        assert_eq!(row[field], expected, "{label}: {field} of {row}");
    }
    let error = event["error_type"].as_str().map(|name| name.rsplit('.').next().unwrap());
    assert_eq!(row["error_code"], json!(error), "{label}");
    assert_near(row, "llm_latency_ms", &event["dur_ms"], 0.002, label);
    assert_near(row, "time_to_first_token_ms", &event["ttft_ms"], 0.11, label);
    // A cost of 0 that comes with an error says nothing.
    let cost = if outcome == "error" { &Value::Null } else { &event["cost_usd"] };
    assert_near(row, "cost_usd", cost, 1e-9, label);
}

#[test]
fn every_sample_gives_the_calls_that_were_made_in_both_encodings_once_and_twice() {
    for label in labels() {
        let expected = expected(&label);
        for (content_type, bodies) in
            [(PROTOBUF, protobuf_bodies(&label)), (JSON, json_bodies(&label))]
        {
            assert!(!bodies.is_empty(), "{label}");
            let server = TestServer::start();
            for time in ["once", "twice"] {
                send(&server, content_type, &bodies);
                let stored = stored(&server);
                let text = format!("{label} as {content_type}, {time}");
                for event in &expected {
                    let row = stored.get(event["id"].as_str().unwrap());
                    let row = row.unwrap_or_else(|| panic!("{text}: {event} is missing"));
                    assert_matches(&server, row, event, &text);
                }
                assert_eq!(stored.len(), expected.len(), "{text}: only these");
            }
        }
    }
}

#[test]
fn the_workload_of_nine_calls_is_nine_calls_in_every_dialect_that_sees_them_all() {
    for label in [
        "otel_genai_default",
        "otel_genai_content",
        "openinference",
        "openinference_hidden",
        "traceloop_062",
        "traceloop_062_nocontent",
        "langfuse",
        "logfire",
    ] {
        let server = TestServer::start();
        send(&server, PROTOBUF, &protobuf_bodies(label));
        let rows = stored(&server);
        let calls: Vec<&Value> =
            rows.values().filter(|row| row["operation"] != "embeddings").collect();
        assert_eq!(calls.len(), 9, "{label}");
        let mut errors: Vec<&str> =
            calls.iter().filter_map(|row| row["error_type"].as_str()).collect();
        errors.sort_unstable();
        assert_eq!(errors, ["network", "rate_limit", "server"], "{label}");
        let sum = |field: &str| calls.iter().filter_map(|row| row[field].as_u64()).sum::<u64>();
        assert_eq!((sum("prompt_tokens"), sum("completion_tokens")), (600, 225), "{label}");
    }
}

#[test]
fn the_time_to_assemble_the_context_is_found_in_the_trace() {
    let server = TestServer::start();
    send(&server, PROTOBUF, &protobuf_bodies("langchain_openinference"));
    let rows = stored(&server);
    let of_chain = rows.values().find(|row| row["context_latency_ms"].is_number()).unwrap();
    assert_near(of_chain, "context_latency_ms", &json!(60.0), 1.0, "the retriever took 60 ms");
    let (total, llm) = (&of_chain["total_latency_ms"], &of_chain["llm_latency_ms"]);
    assert!(total.as_f64().unwrap() >= llm.as_f64().unwrap() + 59.0, "{of_chain}");
}

/// Every file beside the database.
fn assert_nowhere(folder: &Path) {
    for name in names_in(folder) {
        let bytes = std::fs::read(folder.join(&name)).unwrap();
        let found = bytes.windows(MARKER.len()).any(|window| window == MARKER);
        assert!(!found, "{name} has something that was written");
    }
}

#[test]
fn what_was_written_is_in_no_file_and_no_answer() {
    let server = TestServer::start();
    for label in labels() {
        send(&server, PROTOBUF, &protobuf_bodies(&label));
        send(&server, JSON, &json_bodies(&label));
    }
    for (path, sample) in [
        ("/v1/metrics", "otel_genai_content.metrics.01.bin"),
        ("/v1/metrics", "traceloop_062.metrics.01.bin"),
        ("/v1/logs", "otel_genai_content.logs.01.bin"),
    ] {
        let body = std::fs::read(fixtures().join(sample)).unwrap();
        let answer = server.post(path, &[("Content-Type", PROTOBUF)], &body);
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"".as_slice()), "{path}");
    }
    let folder = server.service.config().store.path.parent().unwrap().to_owned();
    assert_nowhere(&folder);
    for path in ["/api/requests?limit=1000", "/api/status", "/metrics", "/api/audit"] {
        let body = server.get(path).body;
        assert!(!body.windows(MARKER.len()).any(|window| window == MARKER), "{path}");
    }
    server.service.compact().unwrap();
    assert_nowhere(&folder);
}

#[test]
fn what_cannot_be_read_is_not_repeated() {
    let server = TestServer::start();
    for label in ["openinference", "vercel_ai5_json"] {
        for (content_type, bodies) in
            [(PROTOBUF, protobuf_bodies(label)), (JSON, json_bodies(label))]
        {
            let whole = &bodies[0];
            for part in [whole.len() / 3, whole.len() / 2, whole.len() - 1] {
                let answer =
                    server.post("/v1/traces", &[("Content-Type", content_type)], &whole[..part]);
                assert_eq!(answer.status, 400, "{label}");
                assert!(!answer.body.windows(MARKER.len()).any(|window| window == MARKER));
            }
        }
    }
}
