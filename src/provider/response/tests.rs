//! Tests of the response reader.

use super::super::{CacheShare, Stripper, classify};
use super::*;
use crate::collector::Usage;
use crate::model::ErrorType;
use bytes::Bytes;

fn read(dialect: Dialect, framing: Framing, body: &str) -> ResponseReader {
    let mut answer = ResponseReader::new(dialect, framing);
    answer.push(body.as_bytes());
    answer.finish();
    answer
}

fn stream(dialect: Dialect, body: &str) -> ResponseReader {
    read(dialect, Framing::Events, body)
}

const CHAT: &str = "\
data: {\"id\":\"chatcmpl-1\",\"model\":\"gpt-4o-2024\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}

: OPENROUTER PROCESSING

data: {\"id\":\"chatcmpl-1\",\"model\":\"gpt-4o-2024\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Grüße 日本 SECRET \\\"usage\\\":{\"}}]}

data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}

data: {\"id\":\"chatcmpl-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":120,\"completion_tokens\":45,\"prompt_tokens_details\":{\"cached_tokens\":64},\"completion_tokens_details\":{\"reasoning_tokens\":20}}}

data: [DONE]

";

fn summary(answer: &ResponseReader) -> String {
    format!(
        "{:?} {:?} {:?} {:?} token {} over {} error {:?}",
        answer.id(),
        answer.model(),
        answer.finish_reason(),
        answer.tokens(),
        answer.has_token(),
        answer.is_over(),
        answer.error()
    )
}

/// (1), (2), (3): server-sent events split at every byte, with every line ending, characters of several
/// bytes included.
#[test]
fn a_stream_split_at_any_byte_reads_the_same() {
    for ending in ["\n", "\r\n", "\r"] {
        let body = CHAT.replace('\n', ending);
        let whole = stream(Dialect::Chat, &body);
        let usage = whole.tokens().unwrap().usage(CacheShare::Included);
        let expected = Usage {
            cached_prompt_tokens: Some(64),
            reasoning_tokens: Some(20),
            ..Usage::new(120, 45)
        };
        assert_eq!(usage, expected);
        assert!(whole.is_over() && whole.has_token() && whole.error().is_none());
        assert_eq!(whole.finish_reason(), Some("stop"));
        for at in 0..=body.len() {
            let (a, b) = body.as_bytes().split_at(at);
            let mut answer = ResponseReader::new(Dialect::Chat, Framing::Events);
            answer.push(a);
            answer.push(b);
            answer.finish();
            assert_eq!(summary(&answer), summary(&whole), "{ending:?} split at {at}");
        }
    }
}

#[test]
fn the_first_token_is_the_first_non_empty_delta() {
    let first_token = |body: &str| {
        let mut answer = ResponseReader::new(Dialect::Chat, Framing::Events);
        body.split_inclusive("\n\n").position(|event| {
            answer.push(event.as_bytes());
            answer.has_token()
        })
    };
    assert_eq!(first_token(CHAT), Some(2), "the opening frame with empty content is none");
    for delta in [
        r#"{"reasoning_content":"x"}"#,
        r#"{"reasoning":"x"}"#,
        r#"{"refusal":"x"}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#,
        r#"{"audio":{"data":"AAAA"}}"#,
    ] {
        let body = format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
        assert_eq!(first_token(&body), Some(0), "{delta}");
    }
    let empty = "data: {\"choices\":[{\"delta\":{\"content\":null,\"tool_calls\":[]}}]}\n\n";
    assert_eq!(first_token(empty), None);
}

/// (4): usage after `finish_reason`, with and without choices, and repeated.
#[test]
fn the_last_usage_wins_at_any_position() {
    let chunk = |choices: &str, usage: &str| {
        format!("data: {{\"choices\":{choices},\"usage\":{usage}}}\n\n")
    };
    let finish = chunk(r#"[{"finish_reason":"stop"}]"#, "null");
    let usage = r#"{"prompt_tokens":7,"completion_tokens":3}"#;
    for choices in ["[]", r#"[{"index":0,"delta":{}}]"#] {
        let body = [&finish, &chunk(choices, usage), "data: [DONE]\n\n"].concat();
        let answer = stream(Dialect::Chat, &body);
        assert_eq!(answer.tokens().unwrap().usage(CacheShare::Included), Usage::new(7, 3));
    }
    let repeated: String = (1..4)
        .map(|n| chunk("[{}]", &format!(r#"{{"prompt_tokens":7,"completion_tokens":{n}}}"#)))
        .collect();
    let answer = stream(Dialect::Chat, &[&repeated, "data: {\"usage\":null}\n\n"].concat());
    assert_eq!(answer.tokens().unwrap().usage(CacheShare::Included), Usage::new(7, 3));
    let none = stream(Dialect::Chat, "data: {\"choices\":[],\"usage\":null}\n\ndata: [DONE]\n\n");
    assert_eq!(none.tokens(), None, "unknown is not zero");
}

fn anthropic(start: &str, last: &str) -> ResponseReader {
    stream(
        Dialect::Messages,
        &format!(
            "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_1\",\"model\":\"claude\",\"usage\":{start}}}}}\n\n\
             event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"delta\":{{\"type\":\"text_delta\",\"text\":\"hi\"}}}}\n\n\
             event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}},\"usage\":{last}}}\n\n\
             event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
        ),
    )
}

/// (5): the four shapes of usage in streams of Anthropic and its relays: the input of the last report
/// counts as a whole, or else that of the first; nothing is added and no maximum is taken.
#[test]
fn the_four_shapes_of_anthropic_usage() {
    for (start, last, prompt, completion) in [
        // The last report repeats the first, cumulatively.
        (
            r#"{"input_tokens":10,"output_tokens":1}"#,
            r#"{"input_tokens":10,"output_tokens":20}"#,
            10,
            20,
        ),
        // The last report has only the output.
        (
            r#"{"input_tokens":3,"cache_read_input_tokens":4739,"cache_creation_input_tokens":0,"output_tokens":1}"#,
            r#"{"output_tokens":9}"#,
            4_742,
            9,
        ),
        // The first report counts as input what the last one splits into input and cache.
        (
            r#"{"input_tokens":8834,"output_tokens":0}"#,
            r#"{"input_tokens":18,"cache_read_input_tokens":8831,"cache_creation_input_tokens":0,"output_tokens":5}"#,
            8_849,
            5,
        ),
        // A relay whose last report sends zeros.
        (
            r#"{"input_tokens":417,"output_tokens":1}"#,
            r#"{"input_tokens":0,"cache_read_input_tokens":0,"output_tokens":6}"#,
            417,
            6,
        ),
    ] {
        let answer = anthropic(start, last);
        let usage = answer.tokens().unwrap().usage(CacheShare::Apart);
        assert_eq!(
            (usage.prompt_tokens, usage.completion_tokens),
            (Some(prompt), Some(completion))
        );
        assert!(answer.is_over() && answer.has_token());
        assert_eq!(answer.finish_reason(), Some("stop"));
        assert_eq!(answer.id(), Some("msg_1"));
    }
    let included =
        anthropic(r#"{"input_tokens":50,"cache_read_input_tokens":40}"#, r#"{"output_tokens":1}"#);
    let usage = included.tokens().unwrap().usage(CacheShare::Included);
    assert_eq!(usage.prompt_tokens, Some(50), "upstreams that count the cache in");
}

#[test]
fn a_whole_message_of_anthropic() {
    let answer = read(
        Dialect::Messages,
        Framing::Whole,
        r#"{"id":"msg_1","type":"message","model":"claude-x","content":[{"type":"text","text":"SECRET"}],"stop_reason":"refusal","usage":{"input_tokens":56,"cache_read_input_tokens":64,"cache_creation_input_tokens":10,"output_tokens":45}}"#,
    );
    let usage = answer.tokens().unwrap().usage(CacheShare::Apart);
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (Some(130), Some(45)));
    assert_eq!(usage.cached_prompt_tokens, Some(64));
    assert_eq!(answer.finish_reason(), Some("content_filter"));
    assert!(answer.is_over() && answer.error().is_none());
}

/// (6): the last event of a response repeats everything, megabytes of it; its usage is found and memory
/// stays small.
#[test]
fn three_megabytes_of_completed_response() {
    let text = "SECRET \\\" ".repeat(300_000);
    let body = format!(
        "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{{\"id\":\"resp_1\",\"status\":\"in_progress\",\"usage\":null}}}}\n\n\
         event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"delta\":\"x\"}}\n\n\
         event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{{\"id\":\"resp_1\",\"status\":\"completed\",\"model\":\"gpt-5\",\"error\":null,\"instructions\":\"{text}\",\"output\":[{{\"content\":[{{\"text\":\"{text}\"}}]}}],\"usage\":{{\"input_tokens\":12,\"input_tokens_details\":{{\"cached_tokens\":4}},\"output_tokens\":5,\"output_tokens_details\":{{\"reasoning_tokens\":2}}}},\"user\":\"{}\"}}}}\n\n",
        "u".repeat(8_000),
    );
    assert!(body.len() > 3 << 20);
    let mut answer = ResponseReader::new(Dialect::Responses, Framing::Events);
    for piece in body.as_bytes().chunks(16 << 10) {
        answer.push(piece);
        assert!(!format!("{answer:?}").contains("SECRET"));
    }
    let usage = answer.tokens().unwrap().usage(CacheShare::Included);
    let expected =
        Usage { cached_prompt_tokens: Some(4), reasoning_tokens: Some(2), ..Usage::new(12, 5) };
    assert_eq!(usage, expected);
    assert_eq!((answer.id(), answer.model()), (Some("resp_1"), Some("gpt-5")));
    assert!(answer.is_over() && answer.has_token());
    assert_eq!(answer.finish_reason(), Some("stop"));
}

#[test]
fn responses_that_end_early() {
    let body = |kind: &str, rest: &str| {
        format!("data: {{\"type\":\"{kind}\",\"response\":{{\"id\":\"r\",{rest}}}}}\n\n")
    };
    let cut = stream(
        Dialect::Responses,
        &body(
            "response.incomplete",
            r#""status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}"#,
        ),
    );
    assert_eq!(cut.finish_reason(), Some("length"));
    assert!(cut.is_over() && cut.error().is_none());
    let failed = stream(
        Dialect::Responses,
        &body(
            "response.failed",
            r#""status":"failed","error":{"code":"rate_limit_exceeded","message":"SECRET"}"#,
        ),
    );
    assert_eq!(classify(Some(200), failed.error().unwrap()), ErrorType::RateLimit);
    assert!(!format!("{failed:?}").contains("SECRET"));
    let error = stream(
        Dialect::Responses,
        "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"SECRET\"}\n\n",
    );
    assert_eq!(classify(Some(200), error.error().unwrap()), ErrorType::Server);
    assert!(error.is_over());
}

/// (7): an error inside a stream that began well.
#[test]
fn an_error_event_under_a_good_status() {
    let chat = stream(
        Dialect::Chat,
        "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: {\"error\":{\"message\":\"SECRET\",\"type\":\"server_error\",\"code\":null}}\n\n",
    );
    assert_eq!(classify(Some(200), chat.error().unwrap()), ErrorType::Server);
    let anthropic = stream(
        Dialect::Messages,
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"SECRET\"}}\n\n",
    );
    assert_eq!(classify(Some(200), anthropic.error().unwrap()), ErrorType::Server);
    assert_eq!(anthropic.error().unwrap().error_code(), Some("overloaded_error"));
    let relay = stream(Dialect::Chat, "data: {\"error\":\"SECRET words\"}\n\n");
    assert_eq!(relay.error(), Some(&ErrorCodes::default()));
}

/// (8): the end of the bytes is not the end of the answer.
#[test]
fn a_stream_without_its_terminator_is_not_over() {
    for (dialect, body) in [
        (Dialect::Chat, CHAT.replace("data: [DONE]\n\n", "")),
        (Dialect::Chat, CHAT.replace("[DONE]", "[DONE")),
        (Dialect::Messages, "data: {\"type\":\"message_delta\"}\n\n".to_owned()),
        (Dialect::Responses, "data: {\"type\":\"response.output_item.done\"}\n\n".to_owned()),
    ] {
        assert!(!stream(dialect, &body).is_over(), "{body}");
    }
    let without_blank_line = CHAT.trim_end();
    assert!(stream(Dialect::Chat, without_blank_line).is_over());
    assert!(!read(Dialect::Chat, Framing::Whole, "{\"id\":\"x\"").is_over());
}

#[test]
fn embeddings_have_input_only() {
    let answer = read(
        Dialect::Embeddings,
        Framing::Whole,
        r#"{"object":"list","model":"text-embedding-3-small","data":[{"embedding":[0.1,-2e-5]}],"usage":{"prompt_tokens":9,"total_tokens":9}}"#,
    );
    let usage = answer.tokens().unwrap().usage(CacheShare::Included);
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (Some(9), None));
    assert!(answer.is_over());
}

#[test]
fn the_price_a_provider_names_is_read() {
    let answer = read(
        Dialect::Chat,
        Framing::Whole,
        r#"{"choices":[{"finish_reason":"content_filter"},{"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"cost":0.00095}}"#,
    );
    assert_eq!(answer.tokens().unwrap().cost_usd, Some(0.000_95));
    assert_eq!(answer.finish_reason(), Some("content_filter"));
}

/// The body without the events that go, in the pieces that the cuts make.
fn stripped(pieces: &[&[u8]]) -> Vec<u8> {
    let mut answer = ResponseReader::new(Dialect::Chat, Framing::Events);
    let (mut stripper, mut out) = (Stripper::default(), Vec::new());
    let mut pass = |bytes: Bytes| out.extend_from_slice(&bytes);
    for piece in pieces {
        let mut ends = Vec::new();
        answer.push_with_events(piece, &mut |end, goes| ends.push((end, goes)));
        stripper.push(&Bytes::copy_from_slice(piece), &ends, &mut pass);
    }
    stripper.finish(&mut pass);
    out
}

#[test]
fn only_the_usage_chunk_is_stripped_at_any_split() {
    for ending in ["\n", "\r\n", "\r"] {
        let with = CHAT.replace('\n', ending);
        let chunk = with.split(&ending.repeat(2)).find(|event| event.contains("120")).unwrap();
        let without = with.replace(&format!("{chunk}{}", ending.repeat(2)), "");
        assert!(without.len() < with.len());
        for at in 0..=with.len() {
            let (a, b) = with.as_bytes().split_at(at);
            assert_eq!(stripped(&[a, b]), without.as_bytes(), "{ending:?} cut at {at}");
        }
        let bytes: Vec<&[u8]> = with.as_bytes().chunks(1).collect();
        assert_eq!(stripped(&bytes), without.as_bytes(), "{ending:?}");
        assert_eq!(stripped(&[without.as_bytes()]), without.as_bytes());
    }
}

#[test]
fn usage_beside_choices_and_truncated_streams_are_unchanged() {
    let beside = CHAT.replace("\"choices\":[],", "\"choices\":[{\"index\":0}],");
    let endless = format!("data: {}", "x".repeat(200_000));
    for body in [beside.as_str(), endless.as_str(), "data: {\"choices\":[],\"usage\":{\"prompt_tok"]
    {
        for size in [1, 7, 100_000] {
            let pieces: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
            assert_eq!(stripped(&pieces), body.as_bytes());
        }
    }
}
