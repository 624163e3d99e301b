//! LiteLLM's webhook and its table of spend logs.

use serde_json::{Value, json};

use crate::harness::TestServer;

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn payload(number: u32) -> Value {
    let now_s =
        chatgauge::model::Clock::now(&chatgauge::SystemClock::default()).as_unix_ms() / 1_000 - 60;
    json!({"id": format!("chatcmpl-{number}"), "litellm_call_id": format!("call-{number}"), "call_type": "acompletion",
        "status": "success", "startTime": now_s, "endTime": now_s + 1, "prompt_tokens": 120, "completion_tokens": 45,
        "model": "gpt-4o-mini", "custom_llm_provider": "openai", "end_user": "user-42", "response_cost": 0.001,
        "metadata": {"user_api_key_team_id": "team-1"},
        "messages": [{"role": "user", "content": "SECRET".repeat(10_000)}], "response": {"x": "SECRET"}})
}

fn stored(server: &TestServer) -> Vec<Value> {
    server.get("/api/requests?limit=1000").json()["requests"].as_array().unwrap().clone()
}

#[test]
fn all_formats_of_the_webhook_are_stored_once() {
    let server = TestServer::start();
    let payloads: Vec<Value> = (0..30).map(payload).collect();
    let array = serde_json::to_vec(&payloads).unwrap();
    assert!(array.len() > 1 << 20, "larger than what is read as a whole");
    let lines: Vec<u8> = payloads.iter().flat_map(|one| format!("{one}\n").into_bytes()).collect();
    let single = payloads[0].to_string().into_bytes();
    for (body, accepted, duplicates) in [(&array, 30, 0), (&lines, 0, 30), (&single, 0, 1)] {
        let answer = server.post("/ingest/litellm", &[JSON], body);
        let report = answer.json();
        assert_eq!(answer.status, 200, "{report}");
        assert_eq!(
            (&report["accepted"], &report["duplicates"]),
            (&json!(accepted), &json!(duplicates))
        );
    }
    let rows = stored(&server);
    assert_eq!(rows.len(), 30);
    for row in &rows {
        assert_eq!((&row["source"], &row["space"]), (&json!("litellm"), &json!("team-1")));
        assert_eq!(
            (&row["cost_source"], &row["total_latency_ms"]),
            (&json!("provider"), &json!(1000.0))
        );
    }
    let folder = server.service.config().store.path.parent().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"SECRET"));
    }
}

#[test]
fn one_bad_payload_never_costs_the_others() {
    let server = TestServer::start();
    let mut future = payload(2);
    future["startTime"] = json!(4_795_401_661_u64);
    let batch = json!([payload(1), future, null, 5, payload(3)]);
    let answer = server.post("/ingest/litellm", &[JSON], &serde_json::to_vec(&batch).unwrap());
    let report = answer.json();
    assert_eq!((answer.status, &report["rejected"][0]["index"]), (200, &json!(1)), "{report}");
    assert!(stored(&server).iter().any(|row| row["request_id"] == "call-3"));
    let cut = format!("[{},{{\"id\": \"SECRET", payload(4));
    let answer = server.post("/ingest/litellm", &[JSON], cut.as_bytes());
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["stored"]["accepted"], 1);
    assert!(!String::from_utf8(answer.body).unwrap().contains("SECRET"));
}

#[test]
fn a_broken_line_is_named_and_the_others_are_stored() {
    let server = TestServer::start();
    let lines = [
        payload(1).to_string(),
        payload(2).to_string().replace("\"prompt_tokens\":120", "\"prompt_tokens\":NaN"),
        "{\"id\": \"SECRET".to_owned(),
        payload(3).to_string(),
        "SECRET".to_owned(),
        payload(4).to_string().replace("SECRETSECRET", "SECRET\\ud83d"),
    ];
    let body = lines.join("\n");
    let answer = server.post("/ingest/litellm", &[JSON], body.as_bytes());
    let report = answer.json();
    assert_eq!((answer.status, &report["accepted"]), (200, &json!(3)), "{report}");
    let named: Vec<_> = report["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rejection| (&rejection["index"], &rejection["field"]))
        .collect();
    assert_eq!(
        named,
        [
            (&json!(1), &json!("prompt_tokens")),
            (&json!(2), &json!("(record)")),
            (&json!(4), &json!("(record)"))
        ]
    );
    assert!(!String::from_utf8(answer.body).unwrap().contains("SECRET"));
    let ids: Vec<_> = stored(&server).iter().map(|row| row["request_id"].clone()).collect();
    assert_eq!(ids.len(), 3);
    assert!(["call-1", "call-3", "call-4"].iter().all(|id| ids.contains(&json!(id))), "{ids:?}");
}

#[test]
fn a_call_seen_by_the_webhook_and_by_opentelemetry_is_one() {
    let server = TestServer::start();
    let one = payload(7);
    server.post("/ingest/litellm", &[JSON], one.to_string().as_bytes());
    let start_ns = format!("{}000000000", one["startTime"]);
    let end_ns = format!("{}000000000", one["endTime"]);
    let span = json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "00000000000000a1",
        "startTimeUnixNano": start_ns, "endTimeUnixNano": end_ns,
        "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                       {"key": "gen_ai.response.id", "value": {"stringValue": "chatcmpl-7"}}]});
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
    assert_eq!(server.post("/v1/traces", &[JSON], body.to_string().as_bytes()).status, 200);
    assert_eq!(stored(&server).len(), 1);
}
