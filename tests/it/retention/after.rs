//! Records that come, or come again, after retention has deleted the raw rows of their day: rejected by name on every route,
//! and counted never again.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use chatgauge::client::{Client, Record};
use chatgauge::generate::Workload;
use chatgauge::model::{Clock as _, RequestId, RequestRecord, Source, TimeRange, Timestamp};
use chatgauge::query::Query;
use chatgauge::store::Store;
use chatgauge::{Chatgauge, RequestInfo};
use serde_json::{Value, json};

use crate::harness::store::{Pipeline, TestService, at, database_in, quiet_config};
use crate::harness::{ADMIN_TOKEN, TestServer};
use crate::otlp::encode::protobuf_of;
use crate::otlp::grpc::{EXPORT, call, framed};

const DAY_MS: i64 = 86_400_000;
const JSON: (&str, &str) = ("Content-Type", "application/json");
const OLD: &str = "2026-03-01T12:00:00Z";

fn three_days() -> TimeRange {
    TimeRange::new(at("2026-03-01T00:00:00Z"), at("2026-03-04T00:00:00Z"))
}

fn requests(pipeline: &Pipeline) -> i64 {
    let all = Query::total(TimeRange::new(at("2000-01-01T00:00:00Z"), at("2030-01-01T00:00:00Z")));
    pipeline.engine.query(&all).unwrap().into_total().requests()
}

fn record(id: &str, started_at: Timestamp) -> RequestRecord {
    RequestRecord::new(RequestId::parse(id), started_at, Source::Rest)
}

#[test]
fn what_is_sent_again_after_its_raw_row_went_is_rejected_and_counts_once() {
    let mut pipeline = Pipeline::with(|config| config.retention.raw_days = 1);
    let records: Vec<_> = Workload::new(3, three_days(), 1_000).records().collect();
    assert_eq!(pipeline.append(&records, three_days().end).accepted, 1_000);
    pipeline.compact(three_days().end);
    let later = three_days().end.plus_ms(2 * DAY_MS);
    assert_eq!(pipeline.prune(later).raw_rows, 1_000);
    let all: Vec<usize> = (0..1_000).collect();
    for _ in 0..2 {
        let again = pipeline.append(&records, later);
        assert_eq!((again.accepted, again.duplicates.len()), (0, 0));
        assert_eq!(again.after_retention, all);
        pipeline.compact(later);
        assert_eq!(requests(&pipeline), 1_000);
        // The writer knows the days from the file.
        pipeline = pipeline.restart();
    }
    // So is a new record of such a day; the days beside them are as before.
    let (start, end) = (three_days().start, three_days().end);
    let beside = [
        record("a", start.plus_ms(-1)),
        record("b", start),
        record("c", end.plus_ms(-1)),
        record("d", end),
    ];
    let appended = pipeline.append(&beside, later);
    assert_eq!((appended.accepted, appended.after_retention), (2, vec![1, 2]));
    assert_eq!(pipeline.mismatches(), Vec::<String>::new());
}

#[test]
fn a_day_that_is_being_pruned_takes_no_new_record_and_knows_those_that_are_left() {
    let directory = tempfile::tempdir().unwrap();
    let config = quiet_config(&database_in(directory.path()));
    let day = TimeRange::new(three_days().start, three_days().start.plus_ms(DAY_MS));
    let records: Vec<_> = Workload::new(4, day, 100).records().collect();
    let service = Chatgauge::open(config.clone()).unwrap();
    service.record(records.clone()).unwrap();
    service.compact().unwrap();
    service.shutdown().unwrap();
    drop(service);
    // Between two steps of retention, in the transaction that stores.
    let (_store, mut writer) = Store::open(&config.store).unwrap();
    assert_eq!(writer.append(&[&records[..1]], day.end).unwrap()[0].duplicates, [0]);
    assert_eq!(writer.prune_raw(day.start.as_unix_ms(), 40).unwrap(), 40);
    let new = record("new", day.start.plus_ms(5));
    let appended = writer.append(&[&records, &[new]], day.end).unwrap();
    assert_eq!((appended[0].accepted, appended[1].accepted), (0, 0));
    assert_eq!(appended[0].after_retention.len(), 40);
    assert_eq!(appended[0].duplicates.len(), 60, "their raw rows are kept");
    assert_eq!(appended[1].after_retention, [0]);
}

#[test]
fn history_older_than_retention_is_taken_until_it_was_pruned_itself() {
    let mut pipeline = Pipeline::with(|config| config.retention.raw_days = 5);
    let now = at("2026-06-01T00:00:00Z");
    let records: Vec<_> = Workload::new(5, three_days(), 300).records().collect();
    for part in records.chunks(100) {
        assert_eq!(pipeline.append(part, now).accepted, 100);
        pipeline.compact(now);
        pipeline.prune(now);
    }
    let later = now.plus_ms(5 * DAY_MS);
    assert_eq!(pipeline.append(&records, later).duplicates.len(), 300);
    assert_eq!(pipeline.prune(later).raw_rows, 300);
    assert_eq!(pipeline.append(&records, later).after_retention.len(), 300);
    assert_eq!(requests(&pipeline), 300);
}

#[test]
fn a_rejected_record_is_not_remembered_as_if_it_were_stored() {
    let mut pipeline = Pipeline::with(|config| config.retention.raw_days = 1);
    let (old, now) = (at(OLD), at("2026-03-05T00:00:00Z"));
    pipeline.append(&[record("first", old)], old);
    pipeline.compact(old);
    assert_eq!(pipeline.prune(now).raw_rows, 1);
    let mut rejected = record("r-1", old);
    rejected.provider_response_id = Some("resp-1".into());
    assert_eq!(pipeline.append(&[rejected.clone()], now).after_retention, [0]);
    // The same call by another route, told to be stored: nothing was stored of it before.
    let other = RequestRecord { source: Source::Import, allow_pruned_day: true, ..rejected };
    assert_eq!(pipeline.append(&[other], now).accepted, 1);
}

/// A server that has pruned the day of [`OLD`].
fn pruned_server() -> TestServer {
    let server = TestServer::with(|config| config.retention.max_bytes = Some(1));
    server.ingest(&json!([{"request_id": "r-1", "started_at": OLD}]));
    server.service.compact().unwrap();
    assert_eq!(server.service.prune().unwrap().raw_rows, 1);
    server
}

/// Status and metrics count these records as rejected, by reason.
fn assert_counted(server: &TestServer, invalid: u64, after_retention: u64) {
    let ingest = server.get("/api/status").json()["ingest"].clone();
    assert_eq!(ingest["rejected_after_retention_total"], after_retention, "{ingest}");
    assert_eq!(ingest["rejected_total"], invalid + after_retention, "{ingest}");
    let metrics = String::from_utf8(server.get("/metrics").body).unwrap();
    for (reason, records) in [("invalid", invalid), ("after_retention", after_retention)] {
        let line = format!("chatgauge_records_rejected_total{{reason=\"{reason}\"}} {records}\n");
        assert!(metrics.contains(&line), "{line}");
    }
}

fn assert_rejected(rejected: &Value, index: usize) {
    assert_eq!((&rejected["index"], &rejected["field"]), (&json!(index), &json!("started_at")));
    let reason = rejected["reason"].as_str().unwrap();
    assert!(reason.starts_with("after_retention: "), "{reason}");
}

#[test]
fn rest_names_each_record_by_its_place_in_the_body() {
    let server = pruned_server();
    let body = json!([
        {"total_latency_ms": -5},
        {"request_id": "r-1", "started_at": OLD},
        {"request_id": "new"},
        {"request_id": "r-2", "started_at": OLD},
    ]);
    let answer = server.post_json("/api/requests", &body);
    let report = answer.json();
    assert_eq!((answer.status, &report["accepted"]), (200, &json!(1)), "{report}");
    assert_eq!(report["rejected"][0]["field"], "total_latency_ms");
    assert_rejected(&report["rejected"][1], 1);
    assert_rejected(&report["rejected"][2], 3);
    assert_counted(&server, 1, 2);
    // Lines, all of which are rejected.
    let line = json!({"request_id": "r-1", "started_at": OLD}).to_string();
    let answer = server.post(
        "/api/requests",
        &[("Content-Type", "application/x-ndjson")],
        format!("{line}\n{line}\n").as_bytes(),
    );
    assert_eq!(answer.status, 422);
    assert_rejected(&answer.json()["rejected"][1], 1);
    assert_counted(&server, 1, 4);
    // A body of several batches; the first thousand are listed.
    let many: Vec<_> = (0..12_000)
        .map(|number| match number {
            0..10_500 => json!({"request_id": format!("n-{number}"), "tags": {}}),
            _ => json!({"request_id": format!("o-{number}"), "started_at": OLD}),
        })
        .collect();
    let report = server.post_json("/api/requests", &json!(many)).json();
    assert_eq!((&report["accepted"], &report["rejected_total"]), (&json!(10_500), &json!(1_500)));
    assert_rejected(&report["rejected"][0], 10_500);
    assert_rejected(&report["rejected"][999], 11_499);
    assert_counted(&server, 1, 1_504);
}

#[test]
fn the_client_library_hears_of_it_and_does_not_try_again() {
    let server = pruned_server();
    let client = Client::new(&server.url(""), ADMIN_TOKEN);
    let old = Record {
        request_id: Some("r-1".to_owned()),
        started_at: Some(OLD.to_owned()),
        ..Record::default()
    };
    let report = client.send(&[old.clone(), Record::default()]).unwrap();
    assert_eq!((report.accepted, report.rejected[0].index), (1, 0));
    assert!(report.rejected[0].reason.starts_with("after_retention"), "{report:?}");
    assert_eq!(client.send(&[old]).unwrap().rejected.len(), 1, "an answer, not an error");
    assert_counted(&server, 0, 2);
}

/// One call of the day of [`OLD`].
fn traces() -> Value {
    let (start, end) = (at(OLD).as_unix_ms(), at(OLD).as_unix_ms() + 900);
    let span = json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "00000000000000a1",
        "startTimeUnixNano": format!("{start}000000"), "endTimeUnixNano": format!("{end}000000"),
        "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]});
    json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
}

#[test]
fn opentelemetry_hears_a_partial_success_each_time() {
    let server = pruned_server();
    for sent in 1..=2 {
        let answer = server.post_json("/v1/traces", &traces());
        let partial = &answer.json()["partialSuccess"];
        assert_eq!((answer.status, &partial["rejectedSpans"]), (200, &json!("1")), "{partial}");
        let message = partial["errorMessage"].as_str().unwrap();
        assert!(message.starts_with("started_at: after_retention: "), "{message}");
        assert_counted(&server, 0, sent);
    }
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let body = framed(false, &protobuf_of(&traces()));
    let called = call(&server, EXPORT, &[("authorization", &bearer)], body);
    assert_eq!(called.status(), "0");
    let message = String::from_utf8_lossy(&called.data);
    assert!(message.contains("after_retention"), "{message}");
    assert_counted(&server, 0, 3);
}

#[test]
fn litellm_payloads_are_rejected_by_their_place() {
    let server = pruned_server();
    let now_s = chatgauge::SystemClock::default().now().as_unix_ms() / 1_000 - 60;
    let payload = |id: &str, start_s: i64| {
        json!({"id": id, "call_type": "acompletion", "status": "success", "startTime": start_s,
            "endTime": start_s + 1, "model": "gpt-4o-mini"})
    };
    let old_s = at(OLD).as_unix_ms() / 1_000;
    let body = json!([{"model": "no id"}, payload("a", now_s), payload("b", old_s)]);
    let report = server.post("/ingest/litellm", &[JSON], body.to_string().as_bytes()).json();
    assert_eq!(report["accepted"], 1, "{report}");
    assert_eq!(report["rejected"][0]["index"], 0);
    assert_rejected(&report["rejected"][1], 2);
    assert_counted(&server, 1, 1);
}

#[test]
fn what_the_collector_saw_is_counted_as_rejected() {
    let service = TestService::start_with(at(OLD), |config| config.retention.max_bytes = Some(1));
    service.send(&[record("r-1", at(OLD))]);
    service.compact().unwrap();
    service.clock.advance_ms(2 * DAY_MS);
    assert_eq!(service.prune().unwrap().raw_rows, 1);
    // A clock that is set back: the only way for a request that ends now to be of such a day.
    service.clock.advance_ms(-2 * DAY_MS);
    service.collector().start_request(RequestInfo::chat("gpt-5")).complete();
    assert!(service.collector().flush(Duration::from_secs(10)));
    let status = service.status().unwrap();
    assert_eq!(status.ingest.rejected_after_retention_total, 1);
    assert_eq!(status.ingest.accepted_total, 1);
    let report = service.send(&[record("r-1", at(OLD))]);
    assert_eq!((report.accepted, report.after_retention), (0, vec![0]));
}
