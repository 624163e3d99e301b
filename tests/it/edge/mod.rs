//! What comes in from outside: no input panics, every bad one gets a clear answer, and nothing that
//! people wrote comes through.

#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test may panic")]

use std::io::Write;

use chatgauge::ingest::wire::{
    BatchParser, BatchReport, BodyProblem, ContentEncoding, FieldCounts, Framing, Inflater,
    MAX_RECORD_BYTES, RecordContext, parse_record, write_json,
};
use chatgauge::model::{RequestId, RequestRecord, Source, Timestamp};
use chatgauge::privacy::{Pseudonymizer, is_content_field};
use proptest::prelude::*;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

mod records;

use records::record;

const NOW_MS: i64 = 1_760_000_000_000;
const INFLATED_MAX_BYTES: u64 = 32 << 20;
/// Stands in every text value: no answer may repeat it.
const SECRET: &str = "hunter2";

const VALID: &str = r#"{"request_id":"hunter2-1","started_at":1759999999000,"user":"hunter2","space":"hunter2 team","session":"hunter2","provider":"openai","model":"gpt-4o","operation":"chat","total_latency_ms":900.5,"context_latency_ms":100,"llm_latency_ms":800,"time_to_first_token_ms":120.25,"prompt_tokens":100,"completion_tokens":50,"cached_prompt_tokens":10,"reasoning_tokens":5,"cost_usd":0.0123,"cache_hit":false,"http_status":200,"finish_reason":"stop","attempt":0,"streamed":true,"tags":{"env":"prod"}}"#;

fn to_json(record: &RequestRecord) -> String {
    let mut json = Vec::new();
    write_json(record, &mut json);
    String::from_utf8(json).unwrap()
}

fn context() -> RecordContext {
    let now = Timestamp::from_unix_ms(NOW_MS);
    RecordContext::new(now, Source::Rest, Pseudonymizer::from_key([5; 32]))
}

fn parse(
    body: &[u8],
    encoding: ContentEncoding,
    framing: Framing,
    step: usize,
) -> Result<BatchReport, BodyProblem> {
    let mut parser = BatchParser::new(context(), framing);
    let mut inflater = Inflater::new(encoding, INFLATED_MAX_BYTES)?;
    for chunk in body.chunks(step.max(1)) {
        inflater.push(chunk, &mut |bytes| parser.push(bytes))?;
    }
    inflater.finish(&mut |bytes| parser.push(bytes))?;
    parser.finish()
}

fn parse_plain(body: &[u8]) -> Result<BatchReport, BodyProblem> {
    parse(body, ContentEncoding::Identity, Framing::Auto, 16 << 10)
}

fn compress(encoding: ContentEncoding, bytes: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    match encoding {
        ContentEncoding::Identity => bytes.to_vec(),
        ContentEncoding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        ContentEncoding::Deflate => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        ContentEncoding::Zstd => zstd::encode_all(bytes, 1).unwrap(),
    }
}

/// The reasons given for a body, of which there must be at least one, clear and without the secret.
fn assert_clear_problem(body: &[u8], result: &Result<BatchReport, BodyProblem>) {
    let reasons: Vec<String> = match result {
        Ok(report) => report
            .rejections
            .listed()
            .iter()
            .map(|r| format!("{}: {}", r.field, r.reason))
            .collect(),
        Err(problem) => vec![problem.to_string()],
    };
    let shown = String::from_utf8_lossy(&body[..body.len().min(800)]);
    assert!(!reasons.is_empty(), "accepted: {shown}");
    for reason in reasons {
        assert!((12..400).contains(&reason.len()), "{reason}: {shown}");
        assert!(!reason.contains(SECRET), "{reason}");
        assert!(reason.is_ascii(), "{reason}");
    }
}

fn with_field(field: &str, value: &str) -> String {
    // The last value of a name counts.
    format!("{},\"{field}\":{value}}}", VALID.strip_suffix('}').unwrap())
}

const NUMBERS: [&str; 13] = [
    "total_latency_ms",
    "context_latency_ms",
    "llm_latency_ms",
    "time_to_first_token_ms",
    "prompt_tokens",
    "completion_tokens",
    "cached_prompt_tokens",
    "cache_write_prompt_tokens",
    "cache_write_1h_prompt_tokens",
    "reasoning_tokens",
    "cost_usd",
    "http_status",
    "attempt",
];
const TEXTS: [&str; 8] =
    ["request_id", "user", "space", "session", "provider", "model", "operation", "finish_reason"];

/// A body that no receiver may accept in full.
fn malformed(rng: &mut Pcg64, kind: usize) -> Vec<u8> {
    let pick = |rng: &mut Pcg64, from: &[&str]| (*from.choose(rng).unwrap()).to_owned();
    let text = match kind {
        0 => VALID[..rng.random_range(1..VALID.len())].to_owned(),
        1 => with_field(
            &pick(rng, &NUMBERS),
            &pick(
                rng,
                &["\"hunter2\"", "\"12\"", "true", "[1]", "{}", "-1", "-0.5", "[{\"hunter2\":1}]"],
            ),
        ),
        2 => with_field(
            &pick(rng, &TEXTS),
            &pick(rng, &["1", "1.5", "true", "[\"hunter2\"]", "{\"hunter2\":{}}", "-7"]),
        ),
        3 => with_field(
            &pick(rng, &NUMBERS),
            &pick(
                rng,
                &[
                    "1e18",
                    "1e308",
                    "1e999",
                    "99999999999999999999999999",
                    "18446744073709551615",
                    "9223372036854775807",
                ],
            ),
        ),
        4 => with_field(
            &pick(rng, &NUMBERS),
            &pick(
                rng,
                &[
                    "NaN",
                    "Infinity",
                    "-Infinity",
                    "nan",
                    "0x10",
                    "01",
                    ".5",
                    "+1",
                    "1.",
                    "--1",
                    "hunter2",
                    "'hunter2'",
                    "",
                ],
            ),
        ),
        5 => {
            let seconds: i64 = rng.random_range(0..946_684_800_000);
            let future: i64 = rng.random_range(NOW_MS + 300_001..i64::MAX);
            let values = [
                seconds.to_string(),
                future.to_string(),
                format!("-{future}"),
                "\"hunter2\"".to_owned(),
                "\"9999-12-31T23:59:59Z\"".to_owned(),
                "\"1970-01-01T00:00:00Z\"".to_owned(),
                format!("\"{seconds}\""),
                "1.5".to_owned(),
                "false".to_owned(),
            ];
            with_field("started_at", values.choose(rng).unwrap())
        }
        6 => with_field(
            &pick(rng, &["cache_hit", "streamed", "cancelled", "error_type"]),
            &pick(rng, &["0", "1", "\"hunter2\"", "[]", "{}"]),
        ),
        7 => {
            let depth = if rng.random_ratio(1, 200) { 100_000 } else { rng.random_range(1..300) };
            let (open, close) = if rng.random() { ("[", "]") } else { ("{\"hunter2\":", "}") };
            let value = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            with_field(&pick(rng, &NUMBERS), &value)
        }
        8 => {
            let broken = pick(
                rng,
                &[
                    "{\"model\":\"hunter2",
                    "hunter2",
                    "{\"model\":}",
                    "}{",
                    "[1]",
                    "{\"a\":1}}",
                    "{'hunter2':1}",
                ],
            );
            format!("{VALID}\n{VALID}\r\n{broken}\n\n{VALID}\n")
        }
        9 => {
            let element = pick(
                rng,
                &["1", "null", "\"hunter2\"", "[{}]", "{\"model\":1}", "", "{]}", "hunter2"],
            );
            format!("[{VALID},{element},{VALID}]")
        }
        10 => {
            let len = rng.random_range(0..60);
            let noise = (0..len).map(|_| char::from(rng.random_range(32_u8..127)));
            format!("hunter2{}", noise.collect::<String>())
        }
        11 => with_field(
            &pick(rng, &TEXTS[..6]),
            &format!("\"{}\"", SECRET.repeat(rng.random_range(80..400))),
        ),
        _ => {
            let mut body = VALID.as_bytes().to_vec();
            let at = rng.random_range(1..body.len());
            let bytes: &[&[u8]] = &[b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80"];
            body.splice(at..at, bytes.choose(rng).unwrap().iter().copied());
            return body;
        }
    };
    text.into_bytes()
}

#[test]
fn ten_thousand_malformed_bodies_each_get_a_clear_answer() {
    let mut rng = Pcg64::seed_from_u64(20_240_601);
    for round in 0..10_400 {
        let body = malformed(&mut rng, round % 13);
        let step = rng.random_range(1..=body.len());
        let result = parse(&body, ContentEncoding::Identity, Framing::Auto, step);
        assert_clear_problem(&body, &result);
        if round % 13 == 8 {
            let report = result.unwrap();
            assert_eq!(report.parsed.records.len(), 3, "good lines beside a bad one are kept");
        }
        let result = parse(&body, ContentEncoding::Identity, Framing::Lines, step);
        if !matches!(body.first(), Some(b'[')) {
            assert_clear_problem(&body, &result);
        }
    }
}

#[test]
fn damaged_compression_never_panics_and_is_never_taken_for_the_whole() {
    let mut rng = Pcg64::seed_from_u64(7);
    let plain = [VALID; 50].join("\n");
    for encoding in [ContentEncoding::Gzip, ContentEncoding::Zstd, ContentEncoding::Deflate] {
        let good = compress(encoding, plain.as_bytes());
        assert_eq!(parse(&good, encoding, Framing::Auto, 100).unwrap().parsed.records.len(), 50);
        for _ in 0..500 {
            let cut = &good[..rng.random_range(0..good.len())];
            let step = rng.random_range(1..=good.len());
            assert_clear_problem(cut, &parse(cut, encoding, Framing::Auto, step));
            let mut flipped = good.clone();
            flipped[rng.random_range(0..good.len())] ^= 1 << rng.random_range(0..8);
            // Some bits carry nothing, and zstd writes no checksum here: only a panic is wrong.
            drop(parse(&flipped, encoding, Framing::Auto, step));
        }
    }
}

#[test]
fn bombs_meet_the_limit() {
    let zeros = vec![b' '; 200 << 20];
    for encoding in [ContentEncoding::Gzip, ContentEncoding::Zstd, ContentEncoding::Deflate] {
        let body = compress(encoding, &zeros);
        let problem = parse(&body, encoding, Framing::Auto, body.len()).unwrap_err();
        assert!(problem.is_too_large(), "{problem}");
    }
}

#[test]
fn a_value_of_ten_megabytes_costs_only_its_record() {
    let long = "x".repeat(10 << 20);
    for field in ["messages", "model", "unknown"] {
        let body = format!("[{VALID},{{\"{field}\":\"{long}\"}},{VALID}]");
        let report = parse_plain(body.as_bytes()).unwrap();
        assert_eq!(report.parsed.indexes, [0, 2]);
        assert_eq!(report.rejections.listed().len(), 1);
        assert!(report.rejections.listed()[0].reason.contains(&MAX_RECORD_BYTES.to_string()));
        let body = format!("{VALID}\n{{\"{field}\":\"{long}\"}}\n{VALID}");
        assert_eq!(parse_plain(body.as_bytes()).unwrap().parsed.indexes, [0, 2]);
    }
}

#[test]
fn rejections_are_described_a_thousand_times_and_counted_beyond() {
    let body = format!("[{}]", vec!["{\"attempt\":-1}"; 5_000].join(","));
    let report = parse_plain(body.as_bytes()).unwrap();
    assert_eq!((report.rejections.listed().len(), report.rejections.total()), (1_000, 5_000));
    assert_eq!(report.rejections.listed()[999].index, 999);
    let many_on_a_line = format!("{{}}\n{}\n", "{}".repeat(200_000));
    let report = parse_plain(many_on_a_line.as_bytes()).unwrap();
    assert_eq!((report.parsed.records.len(), report.rejections.total()), (1_001, 1));
    assert_eq!(report.parsed.indexes.last(), Some(&1_000));
    assert_eq!(report.rejections.listed()[0].index, 1_001);
}

#[test]
fn records_can_be_taken_while_the_body_arrives() {
    let body = vec![VALID; 1_000].join("\n");
    let mut parser = BatchParser::new(context(), Framing::Lines);
    let mut indexes = Vec::new();
    for chunk in body.as_bytes().chunks(10_000) {
        parser.push(chunk).unwrap();
        if parser.waiting_records() > 30 {
            indexes.extend(parser.take_records().indexes);
        }
    }
    let report = parser.finish().unwrap();
    indexes.extend(report.parsed.indexes);
    assert_eq!(indexes, (0..1_000).collect::<Vec<_>>());
}

#[test]
fn nothing_in_a_content_like_field_comes_through() {
    const CANARY: &str = "CANARY-7f3a";
    let fields = [
        "messages",
        "prompt",
        "input",
        "output",
        "response",
        "completion",
        "content",
        "text",
        "error_message",
        "error",
        "message",
        "error.message",
        "exception.message",
        "exception.stacktrace",
        "system",
        "system_prompt",
        "instructions",
        "query",
        "question",
        "answer",
        "tools",
        "tool_calls",
        "arguments",
        "stack_trace",
        "status_message",
        "choices",
        "Messages",
        "PROMPT",
        "errorMessage",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.prompt.0.content",
        "gen_ai.completion.0.content",
        "gen_ai.tool.call.arguments",
        "llm.input_messages.0.message.content",
        "input.value",
        "output.value",
        "ai.prompt.messages",
        "ai.response.text",
        "traceloop.entity.input",
        "langfuse.observation.output",
        "retrieval.documents.0.document.content",
    ];
    let mut body = String::new();
    for value in [
        format!("\"{CANARY}\""),
        format!("[{{\"role\":\"user\",\"content\":\"{CANARY}\"}}]"),
        format!("{{\"{CANARY}\":[[\"{CANARY}\"]]}}"),
    ] {
        let entries: Vec<_> = fields.iter().map(|field| format!("\"{field}\":{value}")).collect();
        let sentence = format!("I am {CANARY}");
        body.push_str(&format!(
            "{{\"model\":\"m\",\"operation\":\"{sentence}\",\"error_code\":\"{sentence}\",
              \"finish_reason\":\"{sentence}\",\"user\":\"{CANARY}\",\"session\":\"{CANARY}\",
              \"tags\":{{\"prompt\":\"{CANARY}\",\"text\":\"{CANARY}\",\"a\":\"{sentence}\",\"ok\":1}},
              \"I am {CANARY}\":1,{}}}\n",
            entries.join(",")
        ));
    }
    let report = parse_plain(body.as_bytes()).unwrap();
    assert_eq!(report.parsed.records.len(), 3, "{:?}", report.rejections.listed());
    for field in fields {
        assert!(is_content_field(field));
        assert_eq!(report.fields.dropped_content.get(field), Some(&3), "{field}");
    }
    assert_eq!(report.fields.dropped_content["tags"], 9);
    let json: String = report.parsed.records.iter().map(to_json).collect();
    for shown in [json, format!("{report:?}")] {
        assert!(!shown.contains(CANARY) && !shown.contains("7f3a"), "{shown}");
    }
}

fn read_back(json: &str) -> RequestRecord {
    let mut counts = FieldCounts::default();
    let draft = parse_record(json.as_bytes(), &mut counts).unwrap();
    let record = draft.check(&context(), &mut counts).unwrap_or_else(|p| panic!("{json}: {p}"));
    assert_eq!(counts, FieldCounts::default(), "{json}");
    record
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_record_written_and_read_again_is_equal(record in record()) {
        let json = to_json(&record);
        prop_assert!(!json.contains('\n'));
        let again = read_back(&json);
        prop_assert_eq!(&again, &record, "{}", json);
        prop_assert_eq!(to_json(&again), json);
    }

    #[test]
    fn how_a_body_is_cut_and_compressed_never_matters(
        records in proptest::collection::vec(record(), 0..12),
        bad in proptest::collection::vec(("[{}\\[\\]\":a1,\\\\ ]{0,20}", 0_usize..12), 0..3),
        separator in prop_oneof![Just("\n"), Just("\r\n"), Just("\n\n")],
        steps in proptest::collection::vec(1_usize..400, 3),
    ) {
        let mut lines: Vec<String> = records.iter().map(to_json).collect();
        for (line, at) in bad {
            lines.insert(at.min(lines.len()), line);
        }
        let body = lines.join(separator);
        let whole = parse_plain(body.as_bytes());
        for step in steps {
            for encoding in [ContentEncoding::Identity, ContentEncoding::Gzip, ContentEncoding::Zstd] {
                let bytes = compress(encoding, body.as_bytes());
                let cut = parse(&bytes, encoding, Framing::Auto, step);
                prop_assert_eq!(without_ids(&cut), without_ids(&whole), "{}", body);
            }
        }
    }

    #[test]
    fn every_framing_carries_the_same_records(records in proptest::collection::vec(record(), 1..8)) {
        let lines: Vec<String> = records.iter().map(to_json).collect();
        let pretty = |json: &String| {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            serde_json::to_string_pretty(&value).unwrap()
        };
        let pretty: Vec<String> = lines.iter().map(pretty).collect();
        for body in [
            lines.join("\n"), lines.join(""), format!("[{}]", lines.join(",")),
            pretty.join("\n"), format!("[\n{}\n]\n", pretty.join(",\n")),
        ] {
            let report = parse_plain(body.as_bytes()).unwrap();
            prop_assert_eq!(&report.parsed.records, &records, "{}", body);
        }
    }

    #[test]
    fn any_bytes_get_an_answer(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        encoding in 0_usize..4,
        step in 1_usize..50,
    ) {
        let encodings = [
            ContentEncoding::Identity, ContentEncoding::Gzip, ContentEncoding::Zstd,
            ContentEncoding::Deflate,
        ];
        for framing in [Framing::Auto, Framing::Lines] {
            if let Err(problem) = parse(&body, encodings[encoding], framing, step) {
                prop_assert!(!problem.to_string().is_empty());
            }
        }
    }
}

/// Fresh ids differ each time; everything else must be equal.
fn without_ids(result: &Result<BatchReport, BodyProblem>) -> Result<BatchReport, BodyProblem> {
    let mut result = result.clone();
    if let Ok(report) = &mut result {
        for record in &mut report.parsed.records {
            if record.started_at.as_unix_ms() == NOW_MS {
                record.request_id = RequestId::Uuid([0; 16]);
            }
        }
    }
    result
}
