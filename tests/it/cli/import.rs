//! `chatgauge import`.

use std::io::Write as _;

use chatgauge::cli::import::ImportSummary;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{Place, has};

/// First rows of the "Azure LLM inference trace 2023", `AzurePublicDataset`, CC-BY 4.0; Patel et al.,
/// "Splitwise: Efficient generative LLM inference using phase splitting", ISCA 2024; the last row
/// once more.
const TRACE: &str = "\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2224670,879,55
2023-11-16 18:15:51.2224670,879,55
";
const MAP: &str =
    "--map=started_at=TIMESTAMP,prompt_tokens=ContextTokens,completion_tokens=GeneratedTokens";

fn summary(place: &Place, args: &[&str]) -> Value {
    place.run(&[&["import", "--json"], args].concat()).json()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_trace_is_imported_by_a_column_map_and_twice_is_once() {
    let place = Place::new();
    place.write("trace.csv", TRACE);
    let first = summary(&place, &["trace.csv", MAP, "--set", "model=gpt-4"]);
    assert_eq!((&first["accepted"], &first["duplicates"]), (&json!(4), &json!(0)));
    let again = summary(&place, &["trace.csv", MAP, "--set", "model=gpt-4"]);
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(4)));
    // Identical rows are different requests, and everything is rolled up at the end.
    assert_eq!(place.number("select count(*) from request_log where model = 'gpt-4'"), 4);
    assert_eq!(place.number("select sum(requests) from usage_minute"), 4);
    assert_eq!(place.number("select sum(prompt_tokens) from usage_daily"), 374 + 396 + 2 * 879);
    assert_eq!(place.number("select sum(completion_tokens) from usage_daily"), 44 + 109 + 2 * 55);
    let salted = summary(&place, &["trace.csv", MAP, "--id-salt", "another"]);
    assert_eq!(salted["accepted"], 4);
}

#[test]
fn lines_are_imported_and_what_is_left_out_is_told() {
    let place = Place::new();
    let lines = [
        json!({"request_id": "r1", "started_at": 1_780_272_000_000_i64, "space": "a", "color": "red"}),
        json!({"started_at": "2026-06-01T00:00:01Z", "messages": [{"content": "canary"}]}),
    ];
    place.write("a.ndjson.gz", gzip(format!("{}\n{}\n", lines[0], lines[1]).as_bytes()));
    let told = place.run(&["import", "a.ndjson.gz"]).ok();
    has(&told, "2 rows read, 2 stored\n");
    has(&told, "ignored fields: color (1)\n");
    has(&told, "fields that may hold content, dropped unread: messages (1)\n");
    has(&place.run(&["import", "a.ndjson.gz"]).ok(), "0 stored, 2 already stored");
    let file = std::fs::read(place.database()).unwrap();
    assert!(memchr::memmem::find(&file, b"canary").is_none());
}

#[test]
fn rejected_rows_are_counted_by_reason_and_only_all_of_them_are_a_failure() {
    let place = Place::new();
    let bad = "{\"prompt_tokens\":-1}\n{\"prompt_tokens\":\"many\"}\nnonsense\n";
    place.write("some.ndjson", format!("{bad}{{\"request_id\":\"r1\"}}\n"));
    let told = summary(&place, &["some.ndjson"]);
    assert_eq!((&told["accepted"], &told["rejected"]), (&json!(1), &json!(3)));
    let reasons = told["rejections"].as_array().unwrap();
    assert_eq!(reasons.iter().map(|reason| reason["rows"].as_u64().unwrap()).sum::<u64>(), 3);
    assert!(reasons.iter().any(|reason| reason["field"] == "prompt_tokens"), "{told}");
    place.write("bad.ndjson", bad);
    let ran = place.run(&["import", "bad.ndjson"]);
    assert_eq!(ran.code, 1);
    has(&ran.out, "3 rows read, 0 stored, 3 rejected");
    has(&place.run(&["import", "none.csv"]).fails(1), "none.csv: No such file");
}

#[test]
fn a_dry_run_leaves_nothing_behind() {
    let place = Place::new();
    place.write("trace.csv", TRACE);
    has(
        &place.run(&["import", "trace.csv", MAP, "--dry-run"]).ok(),
        "4 valid (nothing was stored)",
    );
    assert_eq!(std::fs::read_dir(place.directory.path()).unwrap().count(), 1);
}

#[test]
fn an_interrupted_import_goes_on_where_it_was() {
    let place = Place::new();
    let row = |row: u32| {
        format!(
            "{{\"request_id\":\"r{row}\",\"started_at\":{}}}\n",
            1_780_272_000_000_i64 + i64::from(row)
        )
    };
    let whole = gzip((0..20_000).map(row).collect::<String>().as_bytes());
    place.write("a.ndjson.gz", &whole[..whole.len() / 2]);
    let cut = place.run(&["import", "a.ndjson.gz", "--batch", "500", "--json"]);
    let stored: Value = serde_json::from_str(&cut.out).unwrap();
    has(&cut.fails(1), "a.ndjson.gz");
    let stored = stored["accepted"].as_u64().unwrap();
    assert!((500..20_000).contains(&stored), "{stored}");
    place.write("a.ndjson.gz", &whole);
    let rest = summary(&place, &["a.ndjson.gz", "--resume"]);
    assert_eq!(rest["resumed"], stored);
    assert_eq!(rest["accepted"], 20_000 - stored);
    assert_eq!(place.number("select count(*) from requests"), 20_000);
    assert_eq!(summary(&place, &["a.ndjson.gz", "--resume"])["duplicates"], 20_000);
}

#[test]
fn what_is_exported_and_imported_is_the_same() {
    let (from, via) = (Place::new(), Place::new());
    from.seed(3_000);
    let strip = |text: String| -> Vec<Value> {
        let parse = |line: &str| {
            let mut record: Value = serde_json::from_str(line).unwrap();
            // The one thing that an import changes.
            assert!(record.as_object_mut().unwrap().remove("source").is_some());
            record
        };
        text.lines().map(parse).collect()
    };
    let exported = from.run(&["export"]).ok();
    let original = strip(exported.clone());
    assert_eq!(original.len(), 3_000);
    via.write("all.ndjson", &exported);
    assert_eq!(summary(&via, &["all.ndjson"])["accepted"], 3_000);
    assert!(strip(via.run(&["export"]).ok()) == original, "NDJSON there and back differs");
    let csv = Place::new();
    let path = csv.path("all.csv").display().to_string();
    from.run(&["export", "--format", "csv", "--output", &path]).ok();
    assert_eq!(summary(&csv, &["all.csv"])["accepted"], 3_000);
    assert!(strip(csv.run(&["export"]).ok()) == original, "CSV there and back differs");
}

#[test]
fn names_that_look_like_formulas_are_exported_safely_and_read_back() {
    let (from, via) = (Place::new(), Place::new());
    let names = [
        "=1+1",
        "+1",
        "-1",
        "@x",
        "'=1",
        "''@",
        "'tis",
        "＝1",
        "＋1",
        "－1",
        "＠x",
        "null",
        "NULL",
        "'null",
        "\\\\N",
        "(truncated after 1 rows)",
        "a,b",
        "\\\"q\\\"",
    ];
    let row = |(number, name): (usize, &&str)| {
        let id = ["=", "-", "@", "'", "("][number % 5];
        let at = format!("2026-06-01T00:00:{number:02}Z");
        format!(
            "{{\"request_id\":\"{id}{number}\",\"started_at\":\"{at}\",\"space\":\"{name}\",\"model\":\"{name}\",\
             \"error_type\":\"other\",\"error_code\":\"-{number}\",\"tags\":{{\"k\":\"{name}\"}}}}\n"
        )
    };
    from.write("names.ndjson", names.iter().enumerate().map(row).collect::<String>());
    assert_eq!(summary(&from, &["names.ndjson"])["accepted"], names.len());
    let original = from.run(&["export"]).ok().replace("\"import\"", "");
    for bom in [false, true] {
        let place = Place::new();
        let mut args = vec!["export", "--format", "csv"];
        args.extend(bom.then_some("--bom"));
        let csv = from.run(&args).ok();
        for cell in csv.lines().skip(1).flat_map(|line| line.split(',')) {
            let starts = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
            assert!(!cell.trim_start_matches('"').starts_with(starts), "{cell}");
        }
        place.write("all.csv", &csv);
        assert_eq!(summary(&place, &["all.csv"])["accepted"], names.len());
        let back = place.run(&["export"]).ok().replace("\"import\"", "");
        assert_eq!(back, original);
    }
    // A page of the server's CSV reads back too, without the note that it lacks requests.
    let page = "request_id,started_at,space\nr1,2026-06-01T00:00:00Z,'=1\n\"(truncated after 1 rows: ask)\",,\n";
    via.write("page.csv", page);
    let ran = via.run(&["import", "page.csv", "--json"]);
    has(&ran.err, "requests are missing");
    let counts: Value = serde_json::from_str(&ran.ok()).unwrap();
    assert_eq!((&counts["rows"], &counts["accepted"]), (&1.into(), &1.into()));
    has(&via.run(&["export"]).ok(), "\"space\":\"=1\"");
}

#[test]
fn rows_of_pruned_days_are_rejected_unless_they_are_allowed() {
    let place = Place::new();
    let line = |day: u32, number: u32| {
        let started_at = format!("2026-06-{day:02}T12:00:00Z");
        json!({"request_id": format!("r{day}-{number}"), "started_at": started_at}).to_string()
    };
    let lines: Vec<String> =
        (0..5).map(|number| line(1, number)).chain([line(2, 0), line(3, 0)]).collect();
    place.write("a.ndjson", lines.join("\n"));
    assert_eq!(summary(&place, &["a.ndjson"])["accepted"], 7);
    let prune = "delete from requests where started_at_ms < 1780444800000;
                 update _days set pruned = pruned | 1 where day_ms < 1780444800000";
    place.connection().execute_batch(prune).unwrap();

    let again = summary(&place, &["a.ndjson"]);
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(1)), "{again}");
    let rejected = &again["rejections"][0];
    assert_eq!((&rejected["field"], &rejected["rows"]), (&json!("started_at"), &json!(6)));
    assert_eq!(rejected["first_row"], 1);
    let reason = rejected["reason"].as_str().unwrap();
    assert!(reason.starts_with("after_retention: "), "{reason}");
    has(reason, "--allow-pruned-days");
    assert_eq!(place.number("select sum(requests) from usage_daily"), 7);

    let text = place.run(&["import", "a.ndjson", "--allow-pruned-days"]).ok();
    has(&text, "7 rows read, 6 stored, 1 already stored");
    has(&text, "may count twice: 6 rows of days");
    has(&text, "2026-06-01 (5), 2026-06-02 (1)");
    assert_eq!(place.number("select sum(requests) from usage_daily"), 13);
    // Now their raw rows are there.
    let third = summary(&place, &["a.ndjson", "--allow-pruned-days"]);
    assert_eq!((&third["duplicates"], &third["in_pruned_days"]), (&json!(7), &json!({})));
}

#[test]
fn a_summary_has_every_count() {
    let value = serde_json::to_value(ImportSummary::default()).unwrap();
    for name in ["rows", "accepted", "duplicates", "resumed", "rejected", "dropped_content_fields"]
    {
        assert!(value.get(name).is_some(), "{name}");
    }
}

#[test]
fn spend_logs_of_litellm_are_imported_as_csv_and_as_lines_and_once() {
    let place = Place::new();
    let header = "request_id,call_type,spend,prompt_tokens,completion_tokens,startTime,endTime,completionStartTime,\
                  model,custom_llm_provider,end_user,team_id,cache_hit,status,metadata,messages,response";
    let row = "chatcmpl-1,acompletion,0.0012,120,45,2026-06-01 10:00:00.25,2026-06-01 10:00:01.25,\
               2026-06-01 10:00:00.5,gpt-4o-mini,openai,alice,team-1,False,success,\"{\"\"attempted_retries\"\": 1}\",\
               SECRET,SECRET";
    place.write("logs.csv", format!("{header}\n{row}\n"));
    let import =
        |file: &str| place.run(&["import", file, "--format", "litellm-spendlogs", "--json"]).json();
    let summary = import("logs.csv");
    assert_eq!((&summary["accepted"], &summary["rejected"]), (&1.into(), &0.into()), "{summary}");
    has(&summary["ignored_columns"].to_string(), "messages");
    let line = serde_json::json!({"request_id": "chatcmpl-1", "call_type": "acompletion", "startTime": "2026-06-01T10:00:00.25",
        "endTime": "2026-06-01T10:00:01.25", "model": "gpt-4o-mini", "status": "success", "messages": ["SECRET"]});
    place.write("logs.ndjson", format!("{line}\n"));
    let again = import("logs.ndjson");
    assert_eq!((&again["accepted"], &again["duplicates"]), (&0.into(), &1.into()), "{again}");
    let sql = "select count(*) from requests where attempt = 1 and total_latency_us = 1000000
               and time_to_first_token_us = 250000 and cost_nano_usd = 1200000 and prompt_tokens = 120";
    assert_eq!(place.number(sql), 1);
    let bytes = std::fs::read(place.database()).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"SECRET"));
    let refused =
        place.run(&["import", "logs.csv", "--format", "litellm-spendlogs", "--set", "model=x"]);
    has(&refused.err, "spend logs");
    place.write("times.csv", "request_id,startTime\nchatcmpl-2,\nchatcmpl-3,yesterday\n");
    let timeless = place.run(&["import", "times.csv", "--format", "litellm-spendlogs"]);
    has(&timeless.out, "0 stored, 2 rejected");
}
