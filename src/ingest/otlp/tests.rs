//! Bodies in both encodings: malformed input never panics, and unknown attributes are never kept.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::OtlpConfig;

/// A small one, to be cut off everywhere.
const SMALL: [(TraceFormat, &[u8]); 2] = [
    (
        TraceFormat::Protobuf,
        include_bytes!("../../../tests/fixtures/otlp/anthropic_genai.traces.01.bin"),
    ),
    (
        TraceFormat::Json,
        include_bytes!("../../../tests/fixtures/otlp/json/anthropic_genai.traces.01.otlp.json"),
    ),
];
const PROTOBUF: &[u8] = include_bytes!("../../../tests/fixtures/otlp/openinference.traces.01.bin");
const JSON: &[u8] =
    include_bytes!("../../../tests/fixtures/otlp/json/vercel_ai5_json.traces.01.otlp.json");

fn read(format: TraceFormat, body: impl Read) -> Result<SpanBatch, DecodeProblem> {
    let rules = Rules::new(&OtlpConfig::default());
    read_traces(body, format, &rules, &mut |_| Ok(()))
}

fn whole(format: TraceFormat) -> &'static [u8] {
    match format {
        TraceFormat::Protobuf => PROTOBUF,
        TraceFormat::Json => JSON,
    }
}

/// Gives its bytes in pieces of a few bytes.
struct Dribble<'b>(&'b [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.1);
        self.0.read(&mut buffer[..most])
    }
}

#[test]
fn a_body_cut_off_anywhere_is_malformed_or_a_shorter_body() {
    let rules = Rules::new(&OtlpConfig::default());
    for (format, body) in SMALL {
        let read = |body: &[u8]| read_traces(body, format, &rules, &mut |_| Ok(()));
        let all = read(body).unwrap().spans;
        assert!(all >= 6, "{format:?}");
        for length in 0..body.len() {
            match read(&body[..length]) {
                Ok(batch) => assert!(batch.spans <= all, "{format:?} {length}"),
                Err(DecodeProblem::Malformed(reason)) => assert!(!reason.contains("SECRET")),
                Err(other) => panic!("{format:?} {length}: {other}"),
            }
        }
    }
}

#[test]
fn pieces_of_any_size_are_the_same_body() {
    for format in [TraceFormat::Protobuf, TraceFormat::Json] {
        let calls = |batch: SpanBatch| format!("{:?}", batch.calls);
        let expected = calls(read(format, whole(format)).unwrap());
        for size in [1, 2, 3, 7, 100, 4_096] {
            let found = calls(read(format, Dribble(whole(format), size)).unwrap());
            assert_eq!(found, expected, "{format:?} {size}");
        }
        assert!(!expected.contains("SECRET"), "{format:?}");
    }
}

#[test]
fn empty_requests_are_requests() {
    for (format, body) in [
        (TraceFormat::Protobuf, &b""[..]),
        (TraceFormat::Json, b""),
        (TraceFormat::Json, b" {} "),
        (TraceFormat::Json, b"{\"resourceSpans\":[]}"),
        (TraceFormat::Json, b"{\"resourceSpans\":null,\"unknown\":{\"a\":[1]}}"),
    ] {
        assert_eq!(read(format, body).unwrap().spans, 0, "{body:?}");
    }
}

#[test]
fn one_odd_value_never_costs_the_batch() {
    let span = |rest: &str| {
        format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"5B8EFFF798038103D269B633813FC60C",
            "spanId":"eee19b7ec3c1b174","startTimeUnixNano":"1795401661000000000","endTimeUnixNano":1795401662000000000,
            "attributes":[{{"key":"gen_ai.operation.name","value":{{"stringValue":"chat"}}}},{rest}]}}]}}]}}]}}"#
        )
    };
    let deep = format!(
        r#"{{"key":"gen_ai.response.finish_reasons","value":{}{{}}{}}}"#,
        r#"{"arrayValue":{"values":["#.repeat(300),
        "]}}".repeat(300)
    );
    for odd in [
        deep.as_str(),
        r#"{"key":"gen_ai.request.model","value":{"stringValue":"a\ud83d"}}"#,
        r#"{"key":"gen_ai.usage.input_tokens","value":{"doubleValue":NaN}}"#,
        r#"{"key":"gen_ai.usage.input_tokens","value":{"intValue":1e400}}"#,
        r#"{"key":"a","value":{"doubleValue":-Infinity}}"#,
        r#"{"key":"a"}"#,
        r#"{"key":"gen_ai.request.model","value":{}}"#,
        r#"{"key":"gen_ai.request.model","value":null}"#,
        r#"{"key":"gen_ai.request.model","value":{"arrayValue":{}}}"#,
        r#"{"key":"gen_ai.request.model","value":{"kvlistValue":{"values":[{"key":"x"}]}}}"#,
        r#"{"key":"gen_ai.usage.input_tokens","value":{"doubleValue":null}}"#,
        r#"{"key":"gen_ai.usage.input_tokens","value":{"doubleValue":"NaN"}}"#,
        r#"{"key":"gen_ai.usage.input_tokens","value":{"intValue":"-5"}}"#,
        r#"{"key":"gen_ai.usage.input_tokens","value":{"bytesValue":"AAAA"}}"#,
        r#"{"key":5,"value":5}"#,
        r#"{"key":"user.id","value":{"stringValue":"\ud83d\ude00"}}"#,
        "null",
        "7",
    ] {
        let batch = read(TraceFormat::Json, span(odd).as_bytes());
        let batch = batch.unwrap_or_else(|error| panic!("{odd}: {error}"));
        assert_eq!((batch.calls.len(), batch.invalid), (1, 0), "{odd}");
        assert_eq!(batch.calls[0].prompt_tokens, None, "{odd}");
    }
}

#[test]
fn calls_without_identity_or_time_are_counted_as_invalid() {
    let span = r#"{"spanId":"eee19b7ec3c1b174","attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}}]}"#;
    let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span},{{}}]}}]}}]}}"#);
    let batch = read(TraceFormat::Json, body.as_bytes()).unwrap();
    assert_eq!((batch.spans, batch.calls.len(), batch.invalid), (2, 0, 1));
}

#[test]
fn many_spans_come_in_batches() {
    let one = read(TraceFormat::Protobuf, PROTOBUF).unwrap();
    let times = 1_000;
    let body = PROTOBUF.repeat(times);
    let rules = Rules::new(&OtlpConfig::default());
    let (mut spans, mut most) = (0, 0);
    let last = read_traces(body.as_slice(), TraceFormat::Protobuf, &rules, &mut |batch| {
        spans += batch.spans;
        most = most.max(batch.spans);
        Ok(())
    })
    .unwrap();
    assert_eq!(spans + last.spans, one.spans * times);
    assert!(most <= 4_096, "{most}");
    let stopped = read_traces(body.as_slice(), TraceFormat::Protobuf, &rules, &mut |_| {
        Err(DecodeProblem::Stopped)
    });
    assert!(matches!(stopped, Err(DecodeProblem::Stopped)));
}

/// A body whose one attribute is as long as wanted, made while it is read.
#[test]
fn a_long_attribute_is_passed_over_whatever_its_length_says() {
    // A request, a resource, a scope and a span that say they are as long as can be.
    let mut body = Vec::new();
    for tag in [0x0a, 0x12, 0x12, 0x4a] {
        body.extend_from_slice(&[tag, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    }
    let body = body.as_slice().chain(io::repeat(b'x').take(8 << 20));
    assert!(matches!(read(TraceFormat::Protobuf, body), Err(DecodeProblem::Malformed(_))));
}

/// A call of a model as one instrumentation saw it: its own number and that of the span around it.
fn chats(spans: &[(u8, u8)]) -> SpanBatch {
    let spans: Vec<String> = spans
        .iter()
        .map(|(id, parent)| {
            format!(
                r#"{{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"{id:016x}","parentSpanId":"{parent:016x}",
                "startTimeUnixNano":"1795401661000000000","endTimeUnixNano":"1795401662000000000",
                "attributes":[{{"key":"gen_ai.operation.name","value":{{"stringValue":"chat"}}}}]}}"#
            )
        })
        .collect();
    let body =
        format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, spans.join(","));
    read(TraceFormat::Json, body.as_bytes()).unwrap()
}

#[test]
fn times_are_read_however_json_writes_a_whole_number() {
    let expected = 1_700_000_000_000_000_000;
    for (time, start_ns) in [
        ("\"1700000000000000000\"", Some(expected)),
        ("1700000000000000000", Some(expected)),
        ("1700000000000000000.0", Some(expected)),
        ("1.7e18", Some(expected)),
        ("\"1.7e18\"", Some(expected)),
        ("\"17e+17\"", Some(expected)),
        ("0.5", None),
        ("-1.7e18", None),
        ("1e400", None),
        ("NaN", None),
        ("\"NaN\"", None),
        ("\"soon\"", None),
    ] {
        let body = format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"5B8EFFF798038103D269B633813FC60C",
            "spanId":"eee19b7ec3c1b174","kind":2.0,"startTimeUnixNano":{time},"endTimeUnixNano":{time},
            "attributes":[{{"key":"gen_ai.operation.name","value":{{"stringValue":"chat"}}}}]}}]}}]}}]}}"#
        );
        let batch = read(TraceFormat::Json, body.as_bytes()).unwrap();
        assert_eq!(batch.calls.first().map(|call| call.start_ns), start_ns, "{time}");
        assert_eq!(batch.invalid, usize::from(start_ns.is_none()), "{time}");
        assert!(batch.nodes[0].is_server);
    }
}

#[test]
fn a_call_is_seen_when_it_is_kept_and_not_before() {
    let recent = Arc::<RecentSpans>::default();
    let (outer, inner) = (chats(&[(1, 0)]), chats(&[(2, 1)]));
    let resolved = |sender: &str, batch: &SpanBatch| recent.resolve(sender, batch.clone());
    // Of a batch that failed nothing is known.
    drop(resolved("a", &outer).unwrap());
    let (calls, pending) = resolved("a", &inner).unwrap();
    assert_eq!(calls.len(), 1);
    drop(pending);
    // Nobody can say before the other batch is on disk, but another sender need not ask.
    let (calls, pending) = resolved("a", &outer).unwrap();
    assert_eq!(calls.len(), 1);
    let awaited = resolved("a", &inner).unwrap_err();
    assert!(!recent.wait(awaited, Duration::from_millis(1)));
    assert_eq!(resolved("b", &inner).unwrap().0.len(), 1);
    pending.keep();
    assert!(recent.wait(awaited, Duration::from_millis(1)));
    assert_eq!(resolved("a", &inner).unwrap().0.len(), 0, "it is inside the other one");
    assert_eq!(resolved("b", &inner).unwrap().0.len(), 1);
}

#[test]
fn calls_inside_each_other_are_inside_nothing() {
    for (spans, stay) in [
        (&[(1, 2), (2, 1)][..], 2),
        (&[(1, 1)], 1),
        (&[(1, 2), (2, 3), (3, 1), (4, 3)], 3),
        (&[(4, 3), (3, 2), (2, 3)], 2),
        (&[(1, 0), (2, 1), (3, 2)], 1),
    ] {
        let recent = Arc::<RecentSpans>::default();
        let (calls, pending) = recent.resolve("a", chats(spans)).unwrap();
        assert_eq!(calls.len(), stay, "{spans:?}");
        pending.keep();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn changed_bytes_never_panic(
        is_json: bool,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let format = if is_json { TraceFormat::Json } else { TraceFormat::Protobuf };
        let mut body = whole(format).to_vec();
        for (index, byte) in changes {
            let at = index.index(body.len());
            body[at] = byte;
        }
        if let Ok(batch) = read(format, body.as_slice()) {
            // Whatever was read can be resolved.
            let (calls, _) = Arc::<RecentSpans>::default().resolve("a", batch).unwrap();
            prop_assert!(calls.len() <= 16);
        }
    }

    #[test]
    fn random_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for format in [TraceFormat::Protobuf, TraceFormat::Json] {
            drop(read(format, body.as_slice()));
        }
    }
}
