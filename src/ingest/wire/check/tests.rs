//! Every rule of the contract, kept and broken.

use super::*;
use crate::ingest::wire::parse_record;

const NOW_MS: i64 = 1_760_000_000_000;
const UUID_V7: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn check(json: &str) -> (Result<RequestRecord, RecordProblem>, FieldCounts) {
    let now = Timestamp::from_unix_ms(NOW_MS);
    let context = RecordContext::new(now, Source::Rest, Pseudonymizer::from_key([3; 32]));
    let mut counts = FieldCounts::default();
    let draft = parse_record(json.as_bytes(), &mut counts).unwrap();
    (draft.check(&context, &mut counts), counts)
}

fn accepted(json: &str) -> RequestRecord {
    check(json).0.unwrap_or_else(|problem| panic!("{json}: {problem}"))
}

fn assert_rejected(json: &str, field: &str, part: &str) {
    let problem = check(json).0.expect_err(json);
    assert_eq!(problem.field, field, "{json}: {problem}");
    assert!(problem.reason.contains(part), "{json}: {problem}");
}

#[test]
fn an_empty_record_is_dated_on_arrival_with_a_fresh_identity() {
    let record = accepted("{}");
    assert_eq!(record.started_at.as_unix_ms(), NOW_MS);
    assert_eq!(record.request_id.uuid_v7_time(), Some(record.started_at));
    let expected = RequestRecord::new(record.request_id.clone(), record.started_at, Source::Rest);
    assert_eq!(record, expected);
    assert_ne!(accepted("{}").request_id, record.request_id);
    let nulls: Vec<_> = Field::ALL.iter().map(|f| format!("\"{}\":null", f.as_str())).collect();
    let record = accepted(&format!("{{{},\"tags\":null}}", nulls.join(",")));
    assert_eq!(record.started_at.as_unix_ms(), NOW_MS);
}

#[test]
fn an_object_with_fields_but_none_of_a_record_is_rejected() {
    for json in [r#"{"requests":[{"model":"m"}]}"#, r#"{"data":{}}"#, r#"{"a":1,"b":null}"#] {
        assert_rejected(json, "(record)", "send one record as an object, several as an array");
    }
    let (_, counts) = check(r#"{"requests":[{"model":"m"}]}"#);
    assert_eq!(counts.ignored, [("requests".to_owned(), 1)].into());
    for known in ["model", "tags", "source", "outcome", "api_key", "messages"] {
        accepted(&format!(r#"{{"requests":[],"{known}":null}}"#));
    }
}

#[test]
fn the_start_is_sent_or_in_the_id_or_the_arrival() {
    let ms = |json: &str| {
        let record = accepted(json);
        (record.started_at.as_unix_ms(), record.dated_on_arrival)
    };
    assert_eq!(ms(r#"{"started_at":1700000000123}"#), (1_700_000_000_123, false));
    assert_eq!(ms(r#"{"started_at":1.7e12,"request_id":"r"}"#), (1_700_000_000_000, false));
    assert_eq!(ms(r#"{"started_at":" 2023-11-14T22:13:20.5Z "}"#), (1_700_000_000_500, false));
    assert_eq!(ms(r#"{"started_at":"2023-11-14T23:13:20+01:00"}"#), (1_700_000_000_000, false));
    assert_eq!(ms(&format!(r#"{{"request_id":"{UUID_V7}"}}"#)), (0x0189_0a5d_ac96, false));
    assert_eq!(ms(r#"{"request_id":"r1"}"#), (NOW_MS, true));
    assert_eq!(ms(r#"{"started_at":""}"#), (NOW_MS, false));
    assert_eq!(ms(r#"{"started_at":1760172800000}"#), (NOW_MS + 172_800_000, false));
    let record = accepted(r#"{"started_at":1700000000123}"#);
    assert_eq!(record.request_id.uuid_v7_time(), Some(record.started_at));
}

#[test]
fn times_out_of_range_say_what_they_look_like() {
    for (value, part) in [
        ("1760000000", "looks like seconds"),
        ("946684799999", "looks like seconds"),
        ("0", "looks like seconds"),
        ("-1", "before 2000"),
        ("1760000000000000", "microseconds"),
        ("1760000000000000000", "microseconds"),
        ("1760172800001", "48 hours ahead"),
        ("1e300", "in range"),
        ("1.5", "whole number"),
        ("\"1760000000000\"", "as a number"),
        ("\"1999-12-31T23:59:59Z\"", "before 2000"),
        ("\"2999-01-01T00:00:00Z\"", "48 hours ahead"),
        ("\"yesterday\"", "RFC 3339"),
        ("\"2024-01-01\"", "RFC 3339"),
        ("true", "RFC 3339"),
        ("{}", "RFC 3339"),
    ] {
        assert_rejected(&format!("{{\"started_at\":{value}}}"), "started_at", part);
    }
    for id in ["ffffffff-ffff-7fff-bfff-ffffffffffff", "00000000-0000-7000-8000-000000000000"] {
        assert_rejected(&format!(r#"{{"request_id":"{id}"}}"#), "request_id", "started_at");
    }
}

#[test]
fn latencies_fit_into_each_other() {
    let us = |json: &str| accepted(json).latency_us;
    assert_eq!(
        us(r#"{"total_latency_ms":100,"context_latency_ms":10.5,"llm_latency_ms":80,
            "time_to_first_token_ms":20.0004}"#),
        [Some(100_000), Some(10_500), Some(80_000), Some(20_000)]
    );
    assert_eq!(
        us(r#"{"total_latency_ms":100,"context_latency_ms":20,"llm_latency_ms":81}"#),
        [Some(100_000), Some(20_000), Some(80_000), None]
    );
    assert_eq!(
        us(r#"{"total_latency_ms":100,"context_latency_ms":100.9,"llm_latency_ms":0.1,
            "time_to_first_token_ms":1}"#),
        [Some(100_000), Some(100_000), Some(0), Some(0)]
    );
    assert_eq!(us(r#"{"context_latency_ms":9,"llm_latency_ms":1}"#)[1], Some(9_000));
    assert_eq!(us(r#"{"total_latency_ms":5,"time_to_first_token_ms":6}"#)[3], Some(5_000));
    let too_little = r#"{"total_latency_ms":100,"context_latency_ms":20,"llm_latency_ms":81.1}"#;
    assert_rejected(too_little, "total_latency_ms", "llm_latency_ms");
    assert_rejected(r#"{"total_latency_ms":1,"llm_latency_ms":3}"#, "total_latency_ms", "less");
    let first = "time_to_first_token_ms";
    assert_rejected(&format!(r#"{{"llm_latency_ms":1,"{first}":2.1}}"#), first, "llm_latency_ms");
    assert_rejected(&format!(r#"{{"total_latency_ms":1,"{first}":3}}"#), first, "total_latency_ms");
}

#[test]
fn numbers_out_of_range_are_rejected() {
    for (field, value, part) in [
        ("total_latency_ms", "-1", "negative"),
        ("llm_latency_ms", "86400001", "at most 86400000"),
        ("context_latency_ms", "\"5\"", "number"),
        ("time_to_first_token_ms", "[]", "number"),
        ("prompt_tokens", "1.5", "whole"),
        ("completion_tokens", "-3", "negative"),
        ("cached_prompt_tokens", "1000000001", "at most"),
        ("reasoning_tokens", "123456789012345678901234567890", "at most"),
        ("cost_usd", "-0.01", "negative"),
        ("cost_usd", "1000001", "at most 1000000"),
        ("cost_usd", "\"0.1\"", "number"),
        ("http_status", "99", "from 100 to 599"),
        ("http_status", "600", "at most 599"),
        ("http_status", "\"200\"", "number"),
        ("attempt", "1001", "at most 1000"),
        ("attempt", "-1", "negative"),
        ("cache_hit", "1", "true or false"),
        ("streamed", "\"true\"", "true or false"),
        ("cancelled", "0", "true or false"),
    ] {
        assert_rejected(&format!("{{\"{field}\":{value}}}"), field, part);
    }
    let cached = r#"{"prompt_tokens":1,"cached_prompt_tokens":2}"#;
    assert_rejected(cached, "cached_prompt_tokens", "prompt_tokens");
    let reasoning = r#"{"completion_tokens":1,"reasoning_tokens":2}"#;
    assert_rejected(reasoning, "reasoning_tokens", "completion_tokens");
    assert_eq!(accepted(r#"{"cached_prompt_tokens":2}"#).cached_prompt_tokens, Some(2));
}

#[test]
fn cost_is_kept_in_nano_dollars_with_its_source() {
    let record = accepted(r#"{"cost_usd":0.000123456}"#);
    assert_eq!(
        (record.cost_nano_usd, record.cost_source),
        (Some(123_456), Some(CostSource::Client))
    );
    assert_eq!(accepted(r#"{"cost_usd":1000000}"#).cost_nano_usd, Some(1_000_000_000_000_000));
    assert_eq!(accepted(r#"{"cost_usd":0}"#).cost_source, Some(CostSource::Client));
}

#[test]
fn texts_are_trimmed_limited_and_free_of_control_characters() {
    let record = accepted(r#"{"space":" a b ","model":"(none)","provider":"","user":"  "}"#);
    assert_eq!(record.space.as_deref(), Some("a b"));
    assert_eq!((record.model, record.provider, record.user), (None, None, None));
    for (field, limit) in [
        ("request_id", 128),
        ("user", 512),
        ("space", 128),
        ("session", 512),
        ("provider", 128),
        ("model", 128),
        ("provider_response_id", 128),
    ] {
        let json = |text: &str| format!("{{\"{field}\":\"{text}\"}}");
        accepted(&json(&"x".repeat(limit)));
        assert_rejected(&json(&"x".repeat(limit + 1)), field, "at most");
        assert_rejected(&json("a\\u0000b"), field, "control");
        for value in ["1", "true", "[]", "{}"] {
            assert_rejected(&format!("{{\"{field}\":{value}}}"), field, "must be a string");
        }
    }
}

#[test]
fn identities_become_pseudonyms_and_personal_identifiers_hashes() {
    let record = accepted(
        r#"{"user":"alice","session":"s1","space":"bob@example.com","model":"+49 170 1234567",
            "request_id":"carol@example.com","finish_reason":"555-123-4567"}"#,
    );
    assert!(crate::privacy::is_pseudonym(record.user.as_deref().unwrap_or_default()));
    for name in [record.space, record.model, record.finish_reason] {
        assert!(name.unwrap().starts_with("h_"));
    }
    assert!(record.request_id.to_string().starts_with("h_"));
    assert!(record.session.is_some());
}

#[test]
fn what_is_no_code_is_dropped_and_counted() {
    for field in ["operation", "error_code", "finish_reason"] {
        for value in ["two words", &"x".repeat(65), "é", "a\\nb", "alice@example.com"] {
            let (record, counts) = check(&format!("{{\"{field}\":\"{value}\"}}"));
            let record = record.unwrap();
            assert_eq!(
                (record.operation, record.error_code, record.finish_reason),
                (None, None, None)
            );
            assert_eq!(counts.dropped_content, [(field.to_owned(), 1)].into());
        }
        assert_rejected(&format!("{{\"{field}\":429}}"), field, "must be a string");
    }
    let record = accepted(r#"{"error_code":"context_length_exceeded"}"#);
    assert_eq!(record.error_code.as_deref(), Some("context_length_exceeded"));
}

#[test]
fn an_outcome_is_success_one_error_or_cancelled() {
    assert_eq!(accepted(r#"{"cancelled":false}"#).outcome, Outcome::Success);
    assert_eq!(accepted(r#"{"cancelled":true}"#).outcome, Outcome::Cancelled);
    for kind in ErrorType::ALL {
        let record = accepted(&format!(r#"{{"error_type":"{kind}","cancelled":false}}"#));
        assert_eq!(record.outcome, Outcome::Error(kind));
    }
    let unknown = r#"{"error_type":"Bad secret"}"#;
    assert_rejected(unknown, "error_type", "network, timeout, rate_limit, server, validation");
    assert!(!check(unknown).0.unwrap_err().reason.contains("secret"));
    assert_rejected(r#"{"error_type":"auth","cancelled":true}"#, "cancelled", "either");
}
