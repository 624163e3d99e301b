//! Spans made up for one rule each, sent in both encodings.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::encode::protobuf_of;
use crate::harness::TestServer;

const MS: u64 = 1_000_000;
const CHAT: (&str, &str) = ("gen_ai.operation.name", "chat");
const RETRIEVAL: (&str, &str) = ("gen_ai.operation.name", "retrieval");
const AGENT: (&str, &str) = ("gen_ai.operation.name", "invoke_agent");

/// A span that is being made up.
#[derive(Clone)]
struct Span(Value);

/// A span of `[start_ms, end_ms)` of a minute ago, with attributes.
fn span(id: u8, parent: u8, start_ms: u64, end_ms: u64, attributes: &[(&str, &str)]) -> Span {
    let minute_ago = minute_ago_ns();
    let time = |ms: u64| (minute_ago + ms * MS).to_string();
    let attributes: Vec<Value> = attributes
        .iter()
        .map(|(key, text)| {
            let value = match text.parse::<i64>() {
                Ok(number) => json!({"intValue": number}),
                Err(_) => json!({"stringValue": text}),
            };
            json!({"key": key, "value": value})
        })
        .collect();
    let mut span = json!({
        "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": format!("{id:016x}"), "name": "SECRET", "kind": 1,
        "startTimeUnixNano": time(start_ms), "endTimeUnixNano": time(end_ms), "attributes": attributes,
    });
    if parent > 0 {
        span["parentSpanId"] = json!(format!("{parent:016x}"));
    }
    Span(span)
}

impl Span {
    fn server(mut self) -> Self {
        self.0["kind"] = json!(2);
        self
    }

    fn failed(mut self, message: &str) -> Self {
        self.0["status"] = json!({"code": 2, "message": message});
        self
    }

    fn in_trace(mut self, trace: u8) -> Self {
        self.0["traceId"] = json!(format!("{trace:032x}"));
        self
    }
}

/// One instant for all spans of a test run, so that a span sent twice is the same span.
fn minute_ago_ns() -> u64 {
    static INSTANT: AtomicU64 = AtomicU64::new(0);
    let now_ms = chatgauge::model::Clock::now(&chatgauge::SystemClock::default()).as_unix_ms();
    let minute_ago = u64::try_from(now_ms - 60_000).unwrap() * MS;
    match INSTANT.compare_exchange(0, minute_ago, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => minute_ago,
        Err(earlier) => earlier,
    }
}

fn request(scope: &str, spans: &[Span]) -> Value {
    let spans: Vec<&Value> = spans.iter().map(|span| &span.0).collect();
    json!({"resourceSpans": [{"resource": {"attributes": []},
        "scopeSpans": [{"scope": {"name": scope}, "spans": spans}]}]})
}

fn send(server: &TestServer, request: &Value, is_json: bool) {
    let (content_type, body) = if is_json {
        ("application/json", serde_json::to_vec(request).unwrap())
    } else {
        ("application/x-protobuf", protobuf_of(request))
    };
    let answer = server.post("/v1/traces", &[("Content-Type", content_type)], &body);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

/// What is stored of requests that are sent one after the other, by span.
fn stored_of(requests: &[Value], check: impl Fn(&[(u64, Value)])) {
    for is_json in [false, true] {
        let server = TestServer::start();
        for request in requests {
            send(&server, request, is_json);
        }
        let mut rows: Vec<(u64, Value)> = server.get("/api/requests").json()["requests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let id = row["request_id"].as_str().unwrap().rsplit(':').next().unwrap();
                (u64::from_str_radix(id, 16).unwrap(), row.clone())
            })
            .collect();
        rows.sort_by_key(|(id, _)| *id);
        check(&rows);
    }
}

fn ids(rows: &[(u64, Value)]) -> Vec<u64> {
    rows.iter().map(|(id, _)| *id).collect()
}

#[test]
fn of_a_call_inside_a_call_the_outer_stays_and_learns_from_the_inner() {
    let outer = span(1, 0, 0, 100, &[CHAT, ("user.id", "u"), ("gen_ai.request.model", "m")]);
    let tokens = [CHAT, ("gen_ai.usage.input_tokens", "7"), ("http.response.status_code", "200")];
    let inner = span(2, 1, 1, 99, &tokens);
    for order in [[outer.clone(), inner.clone()], [inner.clone(), outer.clone()]] {
        stored_of(&[request("a", &order)], |rows| {
            assert_eq!(ids(rows), [1]);
            assert_eq!(
                (&rows[0].1["prompt_tokens"], &rows[0].1["http_status"]),
                (&json!(7), &json!(200))
            );
            assert!(rows[0].1["user"].is_string());
        });
    }
    // In different requests the first one stays, whichever it is.
    let (outer, inner) = (request("a", &[outer]), request("b", &[inner]));
    stored_of(&[outer.clone(), inner.clone(), outer.clone()], |rows| assert_eq!(ids(rows), [1]));
    stored_of(&[inner.clone(), outer, inner], |rows| assert_eq!(ids(rows), [2]));
}

/// Innermost first, as spans end: what is left out is around a call all the same.
#[test]
fn calls_nested_deeply_are_one_in_however_many_requests_they_come() {
    let (outer, middle, inner) =
        (span(1, 0, 0, 100, &[CHAT]), span(2, 1, 1, 99, &[CHAT]), span(3, 2, 2, 98, &[CHAT]));
    let alone = |span: &Span| request("a", std::slice::from_ref(span));
    let apart = [alone(&inner), alone(&middle), alone(&outer)];
    stored_of(&apart, |rows| assert_eq!(ids(rows), [3]));
    let pair = request("a", &[inner, middle]);
    stored_of(&[pair, alone(&outer)], |rows| assert_eq!(ids(rows), [2]));
}

#[test]
fn a_call_around_several_others_is_not_counted_when_it_comes_between_them() {
    let outer = request("a", &[span(1, 9, 0, 100, &[CHAT])]);
    let inner = |id, start| request("a", &[span(id, 1, start, start + 30, &[CHAT])]);
    let outermost = request("a", &[span(9, 0, 0, 100, &[CHAT])]);
    let requests = [inner(2, 0), inner(3, 31), outer, inner(4, 62), outermost];
    stored_of(&requests, |rows| assert_eq!(ids(rows), [2, 3, 4]));
}

/// Nonsense, but none of it is lost, in whatever order and company it comes.
#[test]
fn spans_inside_each_other_are_inside_nothing() {
    let two = |id, parent| span(id, parent, 0, 100, &[CHAT]);
    let pair = [request("a", &[two(1, 2)]), request("a", &[two(2, 1)])];
    stored_of(&pair, |rows| assert_eq!(ids(rows), [1, 2]));
    let spans = [two(1, 2), two(2, 3), two(3, 1)];
    let [one, other, third] = &spans;
    for order in [[one, other, third], [one, third, other], [other, one, third]] {
        let requests = order.map(|span| request("a", std::slice::from_ref(span)));
        stored_of(&requests, |rows| assert_eq!(ids(rows), [1, 2, 3]));
        let again = [&requests[..], &requests[..]].concat();
        stored_of(&again, |rows| assert_eq!(ids(rows), [1, 2, 3]));
    }
    let apart = [request("a", &spans[..1]), request("a", &spans[1..])];
    stored_of(&apart, |rows| assert_eq!(ids(rows), [1, 2, 3]));
    stored_of(&[request("a", &spans)], |rows| assert_eq!(ids(rows), [1, 2, 3]));
}

#[test]
fn a_retry_that_comes_with_the_call_around_it_is_not_lost() {
    let outer = span(1, 0, 0, 100, &[CHAT]);
    let first = span(2, 1, 1, 40, &[CHAT, ("error.type", "RateLimitError")]);
    let second = span(3, 1, 50, 99, &[CHAT]);
    let rest = request("a", &[second, outer]);
    stored_of(&[request("a", &[first]), rest.clone(), rest], |rows| assert_eq!(ids(rows), [2, 3]));
}

#[test]
fn a_call_that_only_adds_up_several_others_is_dropped() {
    let outer = span(1, 0, 0, 100, &[CHAT, ("gen_ai.usage.input_tokens", "14")]);
    let inner =
        |id, start, end| span(id, 1, start, end, &[CHAT, ("gen_ai.usage.input_tokens", "7")]);
    let spans = [outer, inner(2, 0, 40), inner(3, 50, 90)];
    stored_of(&[request("a", &spans), request("a", &spans)], |rows| assert_eq!(ids(rows), [2, 3]));
}

/// At any depth, whatever else is inside.
#[test]
fn all_calls_around_several_others_are_dropped() {
    let (outer, middle) = (span(1, 0, 0, 100, &[CHAT]), span(2, 1, 0, 90, &[CHAT]));
    let inner = [span(3, 2, 0, 40, &[CHAT]), span(4, 2, 50, 90, &[CHAT])];
    let beside = span(5, 1, 91, 99, &[CHAT]);
    let spans = [&[outer, middle], &inner[..]].concat();
    stored_of(&[request("a", &spans)], |rows| assert_eq!(ids(rows), [3, 4]));
    stored_of(&[request("a", &[spans, vec![beside]].concat())], |rows| {
        assert_eq!(ids(rows), [3, 4, 5]);
    });
}

#[test]
fn spans_that_repeat_tokens_of_others_are_never_counted() {
    let usage = ("gen_ai.usage.input_tokens", "240");
    let spans = [
        span(1, 0, 0, 100, &[AGENT, usage]),
        span(2, 1, 0, 50, &[("ai.operationId", "ai.generateText"), ("ai.usage.inputTokens", "9")]),
        span(3, 1, 0, 50, &[("openinference.span.kind", "CHAIN"), ("llm.token_count.prompt", "9")]),
        span(4, 1, 0, 50, &[("langfuse.observation.type", "agent")]),
        span(5, 1, 0, 50, &[("langsmith.span.kind", "prompt"), CHAT]),
        span(6, 1, 0, 50, &[("traceloop.span.kind", "workflow")]),
        span(7, 1, 0, 50, &[("http.request.method", "POST")]),
        span(8, 1, 0, 50, &[("gen_ai.operation.name", "something_new"), usage]),
        span(9, 1, 0, 50, &[("gen_ai.operation.name", "execute_tool")]),
    ];
    stored_of(&[request("a", &spans)], |rows| assert_eq!(ids(rows), [0; 0]));
}

#[test]
fn two_instrumentations_of_one_answer_are_one_call() {
    let call = |id, trace, start, end| {
        let answer = ("gen_ai.response.id", "resp-1");
        span(id, 0, start, end, &[CHAT, answer, ("gen_ai.system", "openai")]).in_trace(trace)
    };
    let (first, second) = (request("a", &[call(1, 1, 0, 100)]), request("b", &[call(2, 2, 5, 95)]));
    stored_of(&[first.clone(), second.clone(), first, second], |rows| assert_eq!(ids(rows), [1]));
    // The same id proves nothing at another time, or from the same instrumentation.
    let later = request("b", &[call(3, 3, 500, 600)]);
    let same = request("a", &[call(4, 4, 5, 95)]);
    stored_of(&[request("a", &[call(1, 1, 0, 100)]), later, same], |rows| {
        assert_eq!(ids(rows), [1, 3, 4]);
    });
}

#[test]
fn the_context_is_the_union_of_what_came_before_the_call() {
    let agent = span(1, 0, 0, 1_000, &[AGENT]);
    let spans = [
        span(2, 1, 10, 60, &[RETRIEVAL]),
        // Inside the one before: counted once.
        span(3, 2, 20, 50, &[("gen_ai.operation.name", "embeddings")]),
        span(4, 1, 70, 90, &[("openinference.span.kind", "RERANKER")]),
        span(5, 1, 100, 200, &[CHAT]),
        // The next turn has only its own.
        span(6, 1, 210, 240, &[RETRIEVAL]),
        span(7, 1, 250, 300, &[CHAT]),
        span(8, 1, 310, 330, &[CHAT]),
    ];
    let check = |rows: &[(u64, Value)]| {
        assert_eq!(ids(rows), [3, 5, 7, 8]);
        let of = |row: usize, field: &str| rows[row].1[field].clone();
        assert_eq!(of(1, "context_latency_ms"), 70.0);
        assert_eq!(
            (of(1, "llm_latency_ms"), of(1, "total_latency_ms")),
            (json!(100.0), json!(190.0))
        );
        assert_eq!(
            (of(2, "context_latency_ms"), of(2, "total_latency_ms")),
            (json!(30.0), json!(90.0))
        );
        assert_eq!(
            (of(3, "context_latency_ms"), of(3, "total_latency_ms")),
            (Value::Null, json!(20.0))
        );
    };
    stored_of(&[request("a", &spans)], check);
    // Exporters send a span when it ends, so the context may come in an earlier request.
    let (before, after) = spans.split_at(3);
    stored_of(&[request("a", before), request("a", after), request("a", &[agent])], check);
}

#[test]
fn the_outermost_span_of_a_single_call_is_the_whole_request() {
    let server_span = span(1, 0, 0, 400, &[("http.request.method", "POST")]).server();
    let spans = [
        span(2, 3, 20, 80, &[RETRIEVAL]),
        span(4, 3, 100, 300, &[CHAT]),
        span(3, 1, 10, 350, &[AGENT]),
        server_span,
    ];
    stored_of(&[request("a", &spans)], |rows| {
        assert_eq!(ids(rows), [4]);
        let row = &rows[0].1;
        assert_eq!(
            (&row["total_latency_ms"], &row["context_latency_ms"]),
            (&json!(400.0), &json!(60.0))
        );
    });
}

#[test]
fn an_app_can_say_it_all_itself() {
    let own = [
        CHAT,
        ("chatgauge.user", "u"),
        ("user.id", "other"),
        ("chatgauge.space", "acme"),
        ("chatgauge.session", "s"),
        ("chatgauge.context_ms", "12"),
        ("chatgauge.cache_hit", "true"),
    ];
    stored_of(&[request("a", &[span(1, 0, 0, 100, &own)])], |rows| {
        let row = &rows[0].1;
        assert_eq!((&row["space"], &row["cache_hit"]), (&json!("acme"), &json!(true)));
        assert_eq!(
            (&row["context_latency_ms"], &row["total_latency_ms"]),
            (&json!(12.0), &json!(112.0))
        );
    });
}

#[test]
fn messages_of_errors_tell_their_type_and_are_not_kept() {
    let failed = span(1, 0, 0, 10, &[CHAT]).failed("Error code: 429 - {'error': 'SECRET'}");
    let named = span(2, 0, 0, 10, &[CHAT]).failed("APITimeoutError: SECRET");
    stored_of(&[request("a", &[failed, named])], |rows| {
        assert_eq!(
            (&rows[0].1["error_type"], &rows[0].1["http_status"]),
            (&json!("rate_limit"), &json!(429))
        );
        assert_eq!(
            (&rows[1].1["error_type"], &rows[1].1["error_code"]),
            (&json!("timeout"), &json!("APITimeoutError"))
        );
        assert!(!format!("{rows:?}").contains("SECRET"));
    });
}

#[test]
fn the_request_inside_a_failed_call_tells_how_it_was_answered() {
    let failed = |id| span(id, 0, 0, 10, &[("ai.operationId", "ai.generateText.doGenerate")]);
    let inside = |id, parent| span(id, parent, 1, 9, &[("http.response.status_code", "429")]);
    let refused = failed(3).failed("Cannot connect to API: connect ECONNREFUSED SECRET");
    let spans = [failed(1).failed("SECRET"), inside(2, 1), refused, failed(4).failed("SECRET")];
    stored_of(&[request("ai", &spans)], |rows| {
        let types: Vec<&Value> = rows.iter().map(|(_, row)| &row["error_type"]).collect();
        assert_eq!(types, ["rate_limit", "network", "other"]);
        assert_eq!(rows[0].1["http_status"], 429);
    });
}

#[test]
fn cached_tokens_that_were_left_out_are_added() {
    let exclusive = [
        CHAT,
        ("gen_ai.usage.input_tokens", "10"),
        ("gen_ai.usage.cache_read_input_tokens", "64"),
        ("gen_ai.usage.cache_creation_input_tokens", "6"),
    ];
    stored_of(&[request("a", &[span(1, 0, 0, 10, &exclusive)])], |rows| {
        assert_eq!(
            (&rows[0].1["prompt_tokens"], &rows[0].1["cached_prompt_tokens"]),
            (&json!(80), &json!(64))
        );
    });
}

#[test]
fn instrumentations_can_be_left_out_and_spaces_named() {
    let server = TestServer::with(|config| {
        config.otlp.ignore_scopes = vec!["noisy".into()];
        config.otlp.space_attributes = vec!["tenant".into()];
    });
    send(&server, &request("noisy", &[span(1, 0, 0, 10, &[CHAT])]), false);
    let tenant = span(2, 0, 0, 10, &[CHAT, ("tenant", "t1"), ("app.space", "other")]);
    send(&server, &request("a", &[tenant]), false);
    let rows = server.get("/api/requests").json();
    assert_eq!(rows["requests"].as_array().unwrap().len(), 1);
    assert_eq!(rows["requests"][0]["space"], "t1");
}
