//! Tests of whole imports.

use std::io::Cursor;

use clap::Parser as _;

use super::*;
use crate::cli::program::{Cli, Command};
use crate::model::{RequestId, Source, Timestamp};

/// First rows of the "Azure LLM inference trace 2023", `AzurePublicDataset`, CC-BY 4.0; Patel et al.,
/// "Splitwise: Efficient generative LLM inference using phase splitting", ISCA 2024.
const TRACE: &str = "\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2224670,879,55
";
const MAP: &str =
    "--map=started_at=TIMESTAMP,prompt_tokens=ContextTokens,completion_tokens=GeneratedTokens";

fn command(args: &[&str]) -> ImportCommand {
    let args = ["chatgauge", "import", "a.csv"].into_iter().chain(args.iter().copied());
    match Cli::try_parse_from(args).unwrap().command {
        Command::Import(command) => *command,
        other => panic!("{other:?}"),
    }
}

fn input(content: &str) -> InputFile {
    let bar = indicatif::ProgressBar::hidden();
    InputFile { reader: Box::new(Cursor::new(content.to_owned())), bar }
}

/// The rows as text.
fn read(args: &[&str], name: &str, content: &str) -> Vec<String> {
    let mut rows = match command(args).rows(Path::new(name), input(content)) {
        Ok(rows) => rows,
        Err(error) => return vec![error.to_string()],
    };
    let (mut json, mut texts) = (Vec::new(), Vec::new());
    while let Some(outcome) = rows.read_row(&mut json).unwrap() {
        texts.push(match outcome {
            Ok(()) => String::from_utf8(json.clone()).unwrap(),
            Err(rejection) => rejection.to_string(),
        });
    }
    texts
}

/// Derived ids must never change: a file imported by an older version must still be recognised.
#[test]
fn a_real_trace_is_read_by_a_column_map() {
    let texts = read(&[MAP, "--set", "model=gpt-4"], "a.csv", TRACE);
    assert_eq!(
        texts[..2],
        [
            "{\"started_at\":1700158546680,\"prompt_tokens\":374,\"completion_tokens\":44,\
             \"request_id\":\"77036abc-11a6-8ecd-a841-cd46e1b987fe\",\"model\":\"gpt-4\"}",
            "{\"started_at\":1700158550995,\"prompt_tokens\":396,\"completion_tokens\":109,\
             \"request_id\":\"871e5294-43c3-8ad8-ad79-57fa6269064b\",\"model\":\"gpt-4\"}",
        ]
    );
    for text in texts {
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
}

#[test]
fn columns_named_like_fields_need_no_map_and_bad_rows_are_skipped() {
    let content = "request_id,started_at,space,prompt_tokens,note\n\
                   r1,2026-01-02T03:04:05Z,\"a, \"\"b\"\"\",7,x\n\
                   r2,tomorrow,a,7,x\n\
                   r3,1767323045,,many,x\n\
                   r4,1767323045,a\n\
                   r5,1767323045,,,\n";
    assert_eq!(
        read(&[], "-", content),
        [
            r#"{"request_id":"r1","started_at":1767323045000,"space":"a, \"b\"","prompt_tokens":7}"#,
            "started_at: is not a time in the expected format",
            "prompt_tokens: is not a number",
            "(row): has 3 columns, the header 5",
            r#"{"request_id":"r5","started_at":1767323045000}"#,
        ]
    );
}

#[test]
fn rules_that_do_not_fit_are_refused_with_the_flag() {
    let refusal = |args: &[&str]| read(args, "a.csv", "a,b\n1,2\n").remove(0);
    assert_eq!(
        refusal(&["--map", "user=c"]),
        r#"--map: no column "c"; the columns are ["a", "b"]"#
    );
    assert!(
        refusal(&["--map", "usr=a"])
            .starts_with("--map: \"usr\" is not a field; the fields are request_id,")
    );
    assert_eq!(refusal(&["--map", "user"]), r#"--map: "user" has no "="; write field=value"#);
    assert_eq!(refusal(&["--map", "user=a,user=b"]), "--map: user is set twice");
    assert_eq!(refusal(&["--map", "user=a", "--set", "user=x"]), "--map: user is set twice");
    assert_eq!(
        refusal(&["--map", "user=a", "--set", "prompt_tokens=x"]),
        "--set: prompt_tokens: is not a number"
    );
    assert_eq!(
        refusal(&["--map", "user=a", "--scale", "user=2"]),
        r#"--scale: "user=2": the field is not a number"#
    );
    assert!(refusal(&[]).starts_with(r#"--map: no column of ["a", "b"] is named like a field"#));
    let ndjson = read(&["--map", "user=a"], "a.ndjson", "{}\n");
    assert_eq!(ndjson, ["--map: only CSV files have columns"]);
}

#[test]
fn lines_of_ndjson_pass_through_and_get_an_identity_and_constants() {
    let long = format!("{{\"user\":\"{}\"}}", "x".repeat(2 << 20));
    let content =
        format!("{{\"request_id\":\"r1\",\"user\":\"a\"}}\r\n\n{{ }}\nnonsense\n{long}\n[1]");
    let texts = read(&["--set", "space=s"], "a.jsonl", &content);
    assert_eq!(texts[0], r#"{"request_id":"r1","user":"a","space":"s"}"#);
    let made: serde_json::Value = serde_json::from_str(&texts[1]).unwrap();
    assert_eq!(made["space"], "s");
    assert_eq!(made["request_id"].as_str().unwrap().len(), 36);
    assert_eq!(texts[2..], ["nonsense", "(row): is longer than 1048576 bytes", "[1]"]);
    let untouched = r#"{ "request_id": "r1" }"#;
    assert_eq!(read(&[], "a.jsonl", untouched), [untouched]);
}

#[derive(Default)]
struct TestSink {
    batches: Vec<(usize, u64)>,
}

impl RowSink for TestSink {
    fn parse(&mut self, json: &[u8]) -> Result<RequestRecord, RecordProblem> {
        let value: serde_json::Value = serde_json::from_slice(json).unwrap();
        let ms = value["started_at"].as_i64().unwrap();
        if value["prompt_tokens"] == 396 {
            return Err(RecordProblem::new("prompt_tokens", "is 396"));
        }
        let id = RequestId::parse(value["request_id"].as_str().unwrap());
        Ok(RequestRecord::new(id, Timestamp::from_unix_ms(ms), Source::Import))
    }

    fn store(&mut self, records: Vec<RequestRecord>, rows: u64) -> Result<AppendReport> {
        self.batches.push((records.len(), rows));
        Ok(AppendReport { accepted: records.len(), ..AppendReport::default() })
    }
}

fn import(args: &[&str], resumed: u64) -> (TestSink, ImportSummary) {
    let command = command(args);
    let (mut sink, mut summary) = (TestSink::default(), ImportSummary::default());
    let path = Path::new("a.csv");
    let mut rows = command.rows(path, input(TRACE)).unwrap();
    command.import_rows(path, &mut *rows, resumed, None, &mut sink, &mut summary).unwrap();
    summary.finish();
    (sink, summary)
}

#[test]
fn rows_are_stored_in_batches_and_counted_by_result() {
    let (sink, summary) = import(&[MAP, "--batch", "1"], 0);
    assert_eq!(sink.batches, [(1, 1), (1, 3)]);
    assert_eq!(
        summary.to_text(),
        "\
3 rows read, 2 stored, 1 rejected
started between 2023-11-16T18:15:46.680Z and 2023-11-16T18:15:51.222Z

rejected  first row  field          reason
       1          2  prompt_tokens  is 396
"
    );
    let (sink, summary) = import(&[MAP], 2);
    assert_eq!(sink.batches, [(1, 3)]);
    assert_eq!((summary.resumed, summary.accepted), (2, 1));
    let (sink, summary) = import(&["--dry-run", "--map=started_at=TIMESTAMP"], 0);
    assert!(sink.batches.is_empty());
    assert_eq!((summary.accepted, summary.dry_run), (3, true));
    assert_eq!(summary.ignored_columns, ["ContextTokens", "GeneratedTokens"]);
}

#[test]
fn the_checkpoint_is_removed_after_the_import() {
    let directory = tempfile::tempdir().unwrap();
    let (file, database) = (directory.path().join("a.csv"), directory.path().join("a.db"));
    std::fs::write(&file, TRACE).unwrap();
    let path = file.display().to_string();
    let args = ["chatgauge", "import", &path, MAP, "--resume", "--json", "--batch", "1"];
    let Command::Import(command) = Cli::try_parse_from(args).unwrap().command else { panic!() };
    let checkpoint = Checkpoint::new(&database, &file, &command.rules_text()).unwrap();
    checkpoint.save(1).unwrap();
    let (mut sink, mut out) = (TestSink::default(), Vec::new());
    command.run(&database, &mut sink, &mut out).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&summary["resumed"], &summary["accepted"]), (&1.into(), &1.into()));
    assert_eq!(sink.batches, [(1, 3)]);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "only the file is left");
}
