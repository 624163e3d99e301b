//! Which records are the same request, and which dimensions are the same value.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use chatgauge::ingest::wire::{BatchParser, Framing, RecordContext};
use chatgauge::model::{
    Dimension, LatencyKind, Name, RequestId, RequestRecord, Source, TimeRange, Timestamp,
};
use chatgauge::query::Query;
use serde_json::{Value, json};

use crate::harness::store::{TestService, at};

fn noon() -> Timestamp {
    at("2026-03-01T12:00:00Z")
}

fn record(id: &str, source: Source) -> RequestRecord {
    RequestRecord::new(RequestId::parse(id), noon(), source)
}

/// What comes of JSON records that are sent now.
fn sent(service: &TestService, records: &[Value]) -> Vec<RequestRecord> {
    let context = RecordContext::new(service.now(), Source::Rest, service.pseudonymizer().clone());
    let mut parser = BatchParser::new(context, Framing::Auto);
    for record in records {
        parser.push(format!("{record}\n").as_bytes()).unwrap();
    }
    let report = parser.finish().unwrap();
    assert!(report.rejections.listed().is_empty(), "{report:?}");
    report.parsed.records
}

fn requests(service: &TestService) -> i64 {
    let range = TimeRange::new(at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    service.engine().query(&Query::total(range)).unwrap().into_total().requests()
}

#[test]
fn a_batch_that_is_sent_twice_is_stored_once() {
    let mut service = TestService::start(noon());
    let batch: Vec<_> = (0..100).map(|n| record(&format!("r-{n}"), Source::Rest)).collect();
    assert_eq!(service.send(&batch).accepted, 100);
    let again = service.send(&batch);
    assert_eq!((again.accepted, again.duplicates), (0, (0..100).collect()));
    service.compact().unwrap();
    service.restart();
    assert_eq!(service.send(&batch).accepted, 0);
    // New ones beside known ones, and one that is in the batch twice.
    let mixed = [batch[3].clone(), record("new", Source::Rest), record("new", Source::Rest)];
    let report = service.send(&mixed);
    assert_eq!((report.accepted, report.duplicates), (1, vec![0, 2]));
    service.compact().unwrap();
    assert_eq!(requests(&service), 101);
}

#[test]
fn a_uuid_v7_without_a_start_is_dated_by_itself_and_stored_once() {
    let mut service = TestService::start(noon());
    let minute_ago = noon().plus_ms(-60_000);
    let seconds = u64::try_from(minute_ago.as_unix_ms() / 1_000).unwrap();
    let time = uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0);
    let body = json!({ "request_id": uuid::Uuid::new_v7(time).to_string() });
    let first = sent(&service, std::slice::from_ref(&body));
    assert_eq!(first[0].started_at, minute_ago);
    assert_eq!(service.send(&first).accepted, 1);
    service.restart();
    service.clock.advance_ms(3 * 86_400_000);
    let again = sent(&service, &[body]);
    assert_eq!(service.send(&again).accepted, 0, "days later too");
    assert_eq!(requests(&service), 1);
}

#[test]
fn an_id_without_a_time_is_recognised_after_a_restart() {
    let mut service = TestService::start(noon());
    let body = json!({ "request_id": "order-17", "prompt_tokens": 3 });
    assert_eq!(service.send(&sent(&service, std::slice::from_ref(&body))).accepted, 1);
    service.compact().unwrap();
    service.restart();
    service.clock.advance_ms(23 * 3_600_000);
    let again = service.send(&sent(&service, &[body, json!({ "request_id": "order-18" })]));
    assert_eq!((again.accepted, again.duplicates), (1, vec![0]));
    assert_eq!(requests(&service), 2);
}

#[test]
fn records_without_an_id_are_all_different() {
    let service = TestService::start(noon());
    let body = json!({ "prompt_tokens": 3 });
    let batch = sent(&service, &[body.clone(), body.clone(), body]);
    assert_eq!(service.send(&batch).accepted, 3);
}

/// A call of ten seconds that two routes may report.
fn call(id: &str, source: Source, start: Timestamp) -> RequestRecord {
    let mut record = record(id, source);
    record.started_at = start;
    record.latency_us[LatencyKind::Total.index()] = Some(10_000_000);
    record.provider_response_id = Some(Name::new("chatcmpl-1"));
    record
}

#[test]
fn one_call_seen_by_two_routes_at_once_is_one_request() {
    let mut service = TestService::start(noon());
    assert_eq!(service.send(&[call("a", Source::Collector, noon())]).accepted, 1);
    let overlapping = call("b", Source::Gateway, noon().plus_ms(5_000));
    assert_eq!(service.send(std::slice::from_ref(&overlapping)).duplicates, [0]);
    // The file remembers, not only the process.
    service.restart();
    assert_eq!(service.send(&[overlapping]).duplicates, [0]);
    assert_eq!(requests(&service), 1);
}

#[test]
fn one_response_id_twice_by_one_route_is_two_requests() {
    let service = TestService::start(noon());
    assert_eq!(service.send(&[call("a", Source::Gateway, noon())]).accepted, 1);
    assert_eq!(service.send(&[call("b", Source::Gateway, noon().plus_ms(1))]).accepted, 1);
    assert_eq!(requests(&service), 2);
}

#[test]
fn one_response_id_at_different_times_is_two_requests() {
    let service = TestService::start(noon());
    assert_eq!(service.send(&[call("a", Source::Collector, noon())]).accepted, 1);
    assert_eq!(service.send(&[call("b", Source::Gateway, noon().plus_ms(60_000))]).accepted, 1);
    assert_eq!(requests(&service), 2);
}

#[test]
fn spaces_beyond_the_cap_are_counted_together() {
    let mut service = TestService::start_with(noon(), |config| config.store.max_spaces = 3);
    let batch = |from: u32| -> Vec<RequestRecord> {
        let of_space = |n: u32| {
            let mut record = record(&format!("r-{n}"), Source::Rest);
            record.space = Some(Name::from(format!("space-{}", n % 10)));
            record
        };
        (from..from + 20).map(of_space).collect()
    };
    assert_eq!(service.send(&batch(0)).accepted, 20);
    service.restart();
    assert_eq!(service.send(&batch(20)).accepted, 20);
    let range = TimeRange::new(noon(), noon().plus_ms(1));
    let query = Query { group_by: vec![Dimension::Space], ..Query::total(range) };
    for _ in 0..2 {
        let series = service.engine().query(&query).unwrap().series;
        let mut counts: Vec<(String, i64)> = series
            .into_iter()
            .map(|series| (series.group.concat(), series.buckets[0].requests()))
            .collect();
        counts.sort();
        let named = |name: &str, requests: i64| (name.to_owned(), requests);
        let kept = [named("space-0", 4), named("space-1", 4), named("space-2", 4)];
        assert_eq!(counts[1..], kept);
        assert_eq!(counts[0], named("(other)", 28));
        service.compact().unwrap();
    }
    assert_eq!(service.status().unwrap().dimensions.spaces, 3);
}
