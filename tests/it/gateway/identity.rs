//! Who asked, whatever vocabulary says so; and one record for one call.

use chatgauge::model::{Name, RequestRecord, Source};

use super::harness::TestGateway;
use super::upstream::{Upstream, json};

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"id":"chatcmpl-77","usage":{"prompt_tokens":1,"completion_tokens":2}}"#;

#[test]
fn identity_headers_and_body_fields_give_the_same_person() {
    let upstream = Upstream::always(json(200, ANSWER));
    let gateway = TestGateway::before(&upstream);
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[("x-chatgauge-user", "alice"), ("x-chatgauge-session", "c1")], "{}"),
        (&[("Helicone-User-Id", "alice"), ("Helicone-Session-Id", "c1")], "{}"),
        (&[("x-litellm-end-user-id", "alice"), ("x-litellm-session-id", "c1")], "{}"),
        (&[("cf-aig-metadata", r#"{"user":"alice","session":"c1"}"#)], "{}"),
        (&[("x-portkey-metadata", r#"{"_user":"alice"}"#), ("x-portkey-trace-id", "c1")], "{}"),
        (&[], r#"{"safety_identifier":"alice","user":"bob","metadata":{"session_id":"c1"}}"#),
        (&[], r#"{"metadata":{"user_id":"alice_session_c1"}}"#),
    ];
    for (headers, body) in &cases {
        gateway.post(CHAT, headers, body);
    }
    let records = gateway.records(cases.len() as u64);
    let alice = gateway.service.pseudonymizer().user("alice");
    let session = gateway.service.pseudonymizer().session("c1");
    for (record, (headers, body)) in records.iter().zip(&cases) {
        assert_eq!(record.user.as_ref(), Some(&alice), "{headers:?} {body}");
        assert_eq!(record.session, Some(session), "{headers:?} {body}");
    }
}

#[test]
fn tags_and_cache_hits_come_with_headers() {
    let upstream = Upstream::always(json(200, ANSWER));
    let gateway = TestGateway::before(&upstream);
    let headers = [
        ("x-chatgauge-tags", "tier=pro"),
        ("Helicone-Property-Feature", "search"),
        ("x-chatgauge-cache-hit", "true"),
    ];
    gateway.post(CHAT, &headers, "{}");
    let record = gateway.record();
    assert_eq!(record.tags.as_deref(), Some(r#"{"feature":"search","tier":"pro"}"#));
    assert!(record.cache_hit);
    assert_eq!(upstream.last().header("helicone-property-feature"), Some("search"));
    assert_eq!(upstream.last().header("x-chatgauge-tags"), None);
}

/// (17): the same call reported by another route as well is one record.
#[test]
fn one_call_by_two_routes_is_one_record() {
    let upstream = Upstream::always(json(200, ANSWER));
    let gateway = TestGateway::before(&upstream);
    gateway.post(CHAT, &[], "{}");
    let record = gateway.record();
    let twin = RequestRecord {
        source: Source::Litellm,
        request_id: chatgauge::model::RequestId::Text(Name::new("litellm-1")),
        ..record
    };
    let report = gateway.service.record(vec![twin]).unwrap();
    assert_eq!((report.accepted, report.duplicates.len()), (0, 1));
    assert_eq!(gateway.records(1).len(), 1);
}
