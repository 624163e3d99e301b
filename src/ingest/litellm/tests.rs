//! Payloads and rows as LiteLLM writes them.

use serde_json::{Value, json};

use super::*;
use crate::ingest::wire::RecordContext;
use crate::model::{CostSource, LatencyKind, Outcome, RequestRecord, Source, Timestamp};
use crate::privacy::Pseudonymizer;

const START_S: f64 = 1_795_401_661.25;

fn context() -> RecordContext {
    let now = Timestamp::from_unix_ms(1_795_402_000_000);
    RecordContext::new(now, Source::Litellm, Pseudonymizer::from_key([0; 32]))
}

fn payload() -> Value {
    json!({
        "id": "chatcmpl-1", "litellm_call_id": "call-1", "trace_id": "trace-1",
        "call_type": "acompletion", "status": "success", "stream": true,
        "startTime": START_S, "completionStartTime": START_S + 0.125, "endTime": START_S + 0.5,
        "response_time": 0.125, "response_cost": 0.0000402, "total_tokens": 165, "prompt_tokens": 120,
        "completion_tokens": 45, "model": "gpt-4o-mini", "model_group": "fast", "custom_llm_provider": "openai",
        "end_user": "user-42", "session_id": "sess-1", "cache_hit": null,
        "request_tags": ["team-a", "User-Agent: SECRET"],
        "messages": [{"role": "user", "content": "SECRET"}], "response": {"choices": ["SECRET"]},
        "error_str": null, "error_information": {"error_code": "", "error_class": "", "error_message": ""},
        "metadata": {"user_api_key_team_id": "team-1", "requester_ip_address": "SECRET", "usage_object": {
            "prompt_tokens_details": {"cached_tokens": 64}, "completion_tokens_details": {"reasoning_tokens": 20}}},
        "hidden_params": {"api_base": "SECRET"},
    })
}

fn events(body: &[u8]) -> Vec<LitellmEvent> {
    let mut events = Vec::new();
    read_events(body, &mut |event| {
        events.push(event.unwrap());
        true
    })
    .unwrap();
    events
}

fn record(payload: &Value) -> RequestRecord {
    let body = payload.to_string();
    events(body.as_bytes())[0].to_record(&context()).unwrap()
}

#[test]
fn a_payload_becomes_a_record() {
    let record = record(&payload());
    assert_eq!(record.request_id.to_string(), "call-1");
    assert_eq!(record.started_at.as_unix_ms(), 1_795_401_661_250);
    assert_eq!(record.provider_response_id.as_deref(), Some("chatcmpl-1"));
    assert_eq!(record.operation.as_deref(), Some("chat"));
    assert_eq!(record.model.as_deref(), Some("gpt-4o-mini"));
    assert_eq!(record.provider.as_deref(), Some("openai"));
    assert_eq!(record.space.as_deref(), Some("team-1"));
    assert_eq!(record.user, Some(context().pseudonymizer.user("user-42")));
    assert!(record.session.is_some());
    assert_eq!(record.latency(LatencyKind::Total), Some(500_000));
    assert_eq!(record.latency(LatencyKind::TimeToFirstToken), Some(125_000));
    assert_eq!((record.prompt_tokens, record.completion_tokens), (Some(120), Some(45)));
    assert_eq!((record.cached_prompt_tokens, record.reasoning_tokens), (Some(64), Some(20)));
    assert_eq!(record.cost_nano_usd, Some(40_200));
    assert_eq!(record.cost_source, Some(CostSource::Provider));
    assert_eq!((record.streamed, record.outcome), (Some(true), Outcome::Success));
    assert_eq!(record.tags.as_deref(), Some("[\"team-a\"]"));
    assert!(!format!("{record:?}").contains("SECRET"));
}

#[test]
fn all_formats_of_the_webhook_are_read() {
    let one = payload().to_string();
    let array = format!(" [{one},{one}]");
    let lines = format!("{one}\n{one}\n");
    assert_eq!(events(array.as_bytes()).len(), 2);
    assert_eq!(events(lines.as_bytes()).len(), 2);
    assert_eq!(events(one.as_bytes()).len(), 1);
    assert_eq!(events(b" [] ").len(), 0);
    assert_eq!(events(b"").len(), 0);
}

#[test]
fn what_cannot_be_read_is_not_repeated() {
    let one = payload().to_string();
    let mut taken = 0;
    let half = one.get(..one.len() / 2).unwrap();
    let cut = format!("[{one},{half}");
    let problem = read_events(cut.as_bytes(), &mut |_| {
        taken += 1;
        true
    })
    .unwrap_err();
    assert_eq!(taken, 1);
    assert!(!problem.to_string().contains("SECRET"), "{problem}");
    for body in ["SECRET", "[SECRET]", "{SECRET}", "[1, \"SECRET\"] x", "{}\nSECRET\n{\"SECRET"] {
        let mut told = Vec::new();
        let read = read_events(body.as_bytes(), &mut |event| {
            told.extend(event.err().map(|problem| problem.to_string()));
            true
        });
        told.extend(read.err().map(|problem| problem.to_string()));
        assert!(!told.is_empty() && !told.concat().contains("SECRET"), "{body}: {told:?}");
    }
}

#[test]
fn an_event_that_cannot_be_read_does_not_cost_the_others() {
    let of = |id: &str, more: &str| {
        format!(r#"{{"id":"{id}","startTime":{START_S},"endTime":{START_S},"model":"m"{more}}}"#)
    };
    let odd = [
        (r#","response":{"logprobs":[-Infinity,NaN,1e999],"text":"\ud83d"}"#.to_owned(), None),
        (r#","end_user":"u\ud83d""#.to_owned(), None),
        (format!(r#","request_tags":{}{}"#, "[".repeat(500), "]".repeat(500)), None),
        (format!(r#","metadata":{}1{}"#, r#"{"a":"#.repeat(500), "}".repeat(500)), None),
        (r#","prompt_tokens":NaN"#.to_owned(), Some("prompt_tokens")),
        (r#","response_cost":1e400"#.to_owned(), Some("cost_usd")),
        (r#","completion_tokens":1,"#.to_owned(), Some("(record)")),
        (r#","stream":tru"#.to_owned(), Some("(record)")),
    ];
    for (more, field) in odd {
        let (first, odd, last) = (of("1", ""), of("2", &more), of("3", ""));
        for body in [format!("[{first},{odd},{last}]"), format!("{first}\n{odd}\n{last}\n")] {
            let mut problems = Vec::new();
            read_events(body.as_bytes(), &mut |event| {
                problems.push(event.and_then(|event| event.to_record(&context())).err());
                true
            })
            .unwrap();
            let fields: Vec<_> = problems.iter().map(|p| p.as_ref().map(|p| p.field)).collect();
            assert_eq!(fields, [None, field, None], "{body}");
        }
    }
}

#[test]
fn a_failure_has_one_type_and_no_made_up_zeros() {
    let mut failure = payload();
    failure["status"] = json!("failure");
    failure["prompt_tokens"] = json!(0);
    failure["completion_tokens"] = json!(0);
    failure["response_cost"] = json!(0.0);
    failure["error_str"] = json!("SECRET");
    failure["error_information"] =
        json!({"error_code": "429", "error_class": "RateLimitError", "error_message": "SECRET"});
    let record = record(&failure);
    assert_eq!(record.outcome.error_type().unwrap().as_str(), "rate_limit");
    assert_eq!(
        (record.error_code.as_deref(), record.http_status),
        (Some("RateLimitError"), Some(429))
    );
    assert_eq!((record.prompt_tokens, record.completion_tokens), (None, None));
    assert_eq!((record.cost_nano_usd, record.provider_response_id), (None, None));
}

#[test]
fn a_cost_of_nothing_counts_only_when_it_is_known() {
    let cost = |change: &dyn Fn(&mut Value)| {
        let mut payload = payload();
        payload["response_cost"] = json!(0.0);
        change(&mut payload);
        record(&payload).cost_nano_usd
    };
    assert_eq!(cost(&|_| {}), Some(0));
    let unknown = json!({"error_type": "unmapped"});
    assert_eq!(
        cost(&|payload| payload["response_cost_failure_debug_info"] = unknown.clone()),
        None
    );
    assert_eq!(cost(&|payload| payload["response_cost"] = json!(null)), None);
}

#[test]
fn a_first_token_at_the_end_is_none() {
    let mut whole = payload();
    whole["stream"] = json!(false);
    whole["completionStartTime"] = whole["endTime"].clone();
    let record = record(&whole);
    assert_eq!(record.latency(LatencyKind::TimeToFirstToken), None);
    assert_eq!(record.streamed, Some(false));
}

#[test]
fn rows_of_the_spend_logs_are_the_same_call() {
    let mut event = LitellmEvent::default();
    for (column, cell) in [
        ("request_id", "chatcmpl-1"),
        ("call_type", "acompletion"),
        ("spend", "4.02e-05"),
        ("prompt_tokens", "120"),
        ("completion_tokens", "45"),
        ("startTime", "2026-11-23 02:41:01.25"),
        ("endTime", "2026-11-23 02:41:01.75+00"),
        ("completionStartTime", "2026-11-23T02:41:01.375Z"),
        ("model", "gpt-4o-mini"),
        ("custom_llm_provider", "openai"),
        ("end_user", "user-42"),
        ("team_id", "team-1"),
        ("cache_hit", "False"),
        ("request_tags", "[\"team-a\"]"),
        (
            "metadata",
            r#"{"attempted_retries": 1, "usage_object": {"prompt_tokens_details": {"cached_tokens": 64}}}"#,
        ),
        ("messages", "SECRET"),
        ("status", "success"),
    ] {
        event.set_column(column, cell);
    }
    let mut json = Vec::new();
    event.write_json(&mut json);
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["total_latency_ms"], 500.0);
    assert_eq!(json["time_to_first_token_ms"], 125.0);
    assert_eq!((&json["request_id"], &json["attempt"]), (&json!("chatcmpl-1"), &json!(1.0)));
    assert_eq!(json["cached_prompt_tokens"], 64.0);
    assert_eq!(json["tags"], json!(["team-a"]));
    assert!(!json.to_string().contains("SECRET"));
    let record = event.to_record(&context()).unwrap();
    assert_eq!(record.space.as_deref(), Some("team-1"));
    assert!(!LitellmEvent::has_column("messages") && LitellmEvent::has_column("metadata"));
}
