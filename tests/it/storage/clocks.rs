//! Wrong clocks: nothing is deleted, lost or counted twice because of one, and somebody is told.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use chatgauge::model::{
    Filter, ManualClock, Name, RequestId, RequestRecord, Source, TimeRange, TimeWindow, Timestamp,
};
use chatgauge::query::{Query, Status};
use chatgauge::{Chatgauge, Error, OpenOptions};
use serde_json::json;

use crate::harness::store::{TestService, at};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 86_400_000;

fn noon() -> Timestamp {
    at("2026-09-10T12:00:00Z")
}

/// A service that keeps raw rows for 5 days and minutes for 10.
fn short_lived() -> TestService {
    TestService::start_with(noon(), |config| {
        config.retention.raw_days = 5;
        config.retention.minute_days = 10;
    })
}

fn record(id: &str, started_at: Timestamp) -> RequestRecord {
    RequestRecord::new(RequestId::parse(id), started_at, Source::Rest)
}

/// A request of each of the last `days` days, rolled up.
fn send_days(service: &TestService, days: i64) {
    let records: Vec<_> = (0..days)
        .map(|day| record(&format!("d{day}"), service.now().plus_ms(-day * DAY_MS)))
        .collect();
    service.send(&records);
    service.compact().unwrap();
}

fn sql(service: &TestService, statement: &str) -> i64 {
    let connection = rusqlite::Connection::open(&service.config.store.path).unwrap();
    connection.query_row(statement, [], |row| row.get(0)).unwrap()
}

fn raw_rows(service: &TestService) -> i64 {
    sql(service, "select count(*) from requests")
}

fn minutes(service: &TestService) -> i64 {
    sql(service, "select count(*) from _rollup_all where level_minutes = 1")
}

/// Lets time pass as retention's thread sees it, which looks four times a minute.
fn pass(service: &TestService, ms: i64) {
    for _ in 0..ms / (5 * MINUTE_MS) {
        service.clock.advance_ms(5 * MINUTE_MS);
        service.status().unwrap();
    }
}

fn problem(status: &Status, part: &str) -> bool {
    status.problems.iter().any(|problem| problem.contains(part))
}

#[test]
fn a_jump_of_a_running_clock_deletes_nothing_for_a_day_and_is_told() {
    let service = short_lived();
    send_days(&service, 3);
    service.clock.jump_ms(30 * DAY_MS);
    assert_eq!(service.prune().unwrap().raw_rows, 0);
    let status = service.status().unwrap();
    assert!(problem(&status, "the clock jumped 30 d ahead"), "{:?}", status.problems);
    assert_eq!(status.clock.ahead_ms, 30 * DAY_MS);
    assert_eq!(status.clock.retention_at, noon());
    pass(&service, DAY_MS - 10 * MINUTE_MS);
    service.prune().unwrap();
    assert_eq!((raw_rows(&service), minutes(&service)), (3, 3));

    // It is back: no trace is left, and nothing has to be restarted.
    service.clock.jump_ms(-30 * DAY_MS);
    assert!(!problem(&service.status().unwrap(), "clock"));
    service.prune().unwrap();
    assert_eq!(raw_rows(&service), 3);

    // A clock that stays ahead is right after all.
    service.clock.jump_ms(30 * DAY_MS);
    pass(&service, DAY_MS + 10 * MINUTE_MS);
    assert!(!problem(&service.status().unwrap(), "clock"));
    service.prune().unwrap();
    assert_eq!((raw_rows(&service), minutes(&service)), (0, 0));
}

#[test]
fn a_start_long_after_the_stored_clock_deletes_nothing_for_a_day_and_says_so() {
    let mut service = short_lived();
    send_days(&service, 3);
    service.stop();
    service.clock.jump_ms(30 * DAY_MS);
    service.restart_stopped();
    service.prune().unwrap();
    let status = service.status().unwrap();
    let told = "the clock is 30 d ahead of the time stored before startup: retention by age is paused for 1 d";
    assert!(problem(&status, told), "{:?}", status.problems);
    assert_eq!(status.clock.retention_paused_ms, DAY_MS.unsigned_abs());
    pass(&service, DAY_MS - 10 * MINUTE_MS);
    // Alerts and ids without a time are not forgotten either, and a restart does not shorten it.
    service.prune().unwrap();
    service.restart();
    pass(&service, DAY_MS - 10 * MINUTE_MS);
    service.prune().unwrap();
    assert_eq!((raw_rows(&service), minutes(&service)), (3, 3));
    pass(&service, 20 * MINUTE_MS);
    assert!(!problem(&service.status().unwrap(), "clock"));
    service.prune().unwrap();
    assert_eq!((raw_rows(&service), minutes(&service)), (0, 0));
}

#[test]
fn a_short_stop_pauses_nothing() {
    let mut service = short_lived();
    send_days(&service, 3);
    service.clock.advance_ms(20 * DAY_MS);
    service.stop();
    service.clock.jump_ms(50 * MINUTE_MS);
    service.restart_stopped();
    assert_eq!(service.status().unwrap().clock.retention_paused_ms, 0);
    service.prune().unwrap();
    assert_eq!(raw_rows(&service), 0);
}

#[test]
fn a_crash_under_a_wrong_clock_stores_nothing_of_it() {
    let service = short_lived();
    send_days(&service, 1);
    service.clock.jump_ms(30 * DAY_MS);
    service.clock.advance_ms(2_000);
    service.send(&[record("during", noon())]);
    assert_eq!(sql(&service, "select clock_ms from _store_state"), noon().as_unix_ms() + 2_000);
}

#[test]
fn the_clock_is_stored_with_commits_at_most_once_a_second() {
    let service = short_lived();
    let stored = || sql(&service, "select clock_ms from _store_state") - noon().as_unix_ms();
    service.clock.advance_ms(5_000);
    service.send(&[record("a", noon())]);
    assert_eq!(stored(), 5_000);
    service.clock.advance_ms(999);
    service.send(&[record("b", noon())]);
    assert_eq!(stored(), 5_000);
    service.clock.advance_ms(1);
    service.send(&[record("c", noon())]);
    assert_eq!(stored(), 6_000);
}

#[test]
fn size_goes_on_to_count_while_ages_do_not() {
    let mut service = TestService::start_with(noon(), |config| {
        config.retention.max_bytes = Some(1 << 20);
    });
    let records: Vec<_> = (0..20_000)
        .map(|n| record(&format!("r-{n}"), noon().plus_ms(-(n % 20) * DAY_MS)))
        .collect();
    service.send(&records);
    service.compact().unwrap();
    service.stop();
    service.clock.jump_ms(10 * DAY_MS);
    service.restart_stopped();
    assert!(service.status().unwrap().clock.retention_paused_ms > 0);
    assert!(service.prune().unwrap().raw_rows > 0);
}

#[test]
fn an_id_without_a_time_is_known_after_a_jump_of_three_days_and_back() {
    let service = short_lived();
    let undated = |service: &TestService| {
        let mut record = record("order-17", service.now());
        record.dated_on_arrival = true;
        [record]
    };
    assert_eq!(service.send(&undated(&service)).accepted, 1);
    service.clock.jump_ms(3 * DAY_MS);
    service.prune().unwrap();
    assert_eq!(service.send(&undated(&service)).accepted, 0);
    service.clock.jump_ms(-3 * DAY_MS);
    service.clock.advance_ms(1_000);
    service.prune().unwrap();
    assert_eq!(service.send(&undated(&service)).accepted, 0);
    // What is seen while the clock is behind is kept for a day at least, too.
    service.clock.jump_ms(-20 * DAY_MS);
    let mut other = record("order-18", service.now());
    other.dated_on_arrival = true;
    assert_eq!(service.send(&[other.clone()]).accepted, 1);
    service.clock.jump_ms(20 * DAY_MS);
    pass(&service, DAY_MS);
    service.prune().unwrap();
    other.started_at = service.now();
    assert_eq!(service.send(&[other]).accepted, 0);
}

#[test]
fn an_arrival_stamped_by_a_clock_that_was_years_ahead_outlives_its_time_as_others_do() {
    let service = short_lived();
    service.clock.jump_ms(3_650 * DAY_MS);
    send_days(&service, 1);
    service.send(&[record("today", noon())]);
    service.compact().unwrap();
    service.clock.jump_ms(-3_650 * DAY_MS);
    service.prune().unwrap();
    let stamped = "select max(changed_at_ms) from _days where requests > 0";
    assert!(sql(&service, stamped) <= service.now().as_unix_ms());
    service.clock.advance_ms(6 * DAY_MS + 10 * MINUTE_MS);
    service.prune().unwrap();
    // The one of the year 2036 is of a day that is not over.
    assert_eq!(raw_rows(&service), 1);
}

#[test]
fn records_of_senders_that_are_right_are_kept_by_a_server_whose_clock_is_behind() {
    let server = crate::harness::TestServer::start();
    let ahead = |hours: i64| server.service.now().plus_ms(hours * HOUR_MS).to_string();
    let records: Vec<_> = (0..20)
        .map(|n| json!({ "request_id": format!("r{n}"), "started_at": ahead(30), "space": "acme" }))
        .collect();
    server.ingest(&json!(records));
    let status = server.get("/api/status").json();
    assert_eq!(status["clock_skew"]["records"], 20);
    assert_eq!(status["clock_skew"]["ahead_records"], 20);
    let median = status["clock_skew"]["ahead_median_ms"].as_i64().unwrap();
    assert!((29 * HOUR_MS..=30 * HOUR_MS).contains(&median), "{median}");
    assert_eq!(status["status"], "degraded");
    let problems = status["problems"].to_string();
    assert!(
        problems
            .contains("20 of the last 20 records are dated 1 d 5 h ahead of this server's clock"),
        "{problems}"
    );
    assert!(problems.contains("this clock is probably behind"), "{problems}");
    let health = server.get("/api/telemetry/health").json();
    assert_eq!(health["status"], "degraded");

    // They are listed, and counted when their time has come.
    let listed = server.get("/api/requests?limit=100").json();
    assert_eq!(listed["requests"].as_array().unwrap().len(), 20);
    let tomorrow = format!(
        "/api/metrics/historical?type=request_rate&aggregation=daily&start={}&end={}",
        ahead(0),
        ahead(72)
    );
    let points = server.get(&tomorrow).json()["data_points"].as_array().unwrap().clone();
    let total: i64 = points.iter().map(|point| point["count"].as_i64().unwrap()).sum();
    assert_eq!(total, 20);

    // A sender that is the odd one out stays visible, by its space.
    let right: Vec<_> = (0..500)
        .map(|n| json!({ "request_id": format!("n{n}"), "started_at": ahead(0) }))
        .collect();
    server.ingest(&json!(right));
    let problems = server.get("/api/status").json()["problems"].to_string();
    assert!(problems.contains("20 of the last 520 records"), "{problems}");
    assert!(problems.contains("mostly from source rest, space acme"), "{problems}");
}

#[test]
fn what_is_beyond_two_days_or_before_2000_is_rejected_with_its_reason() {
    let server = crate::harness::TestServer::start();
    let far = server.service.now().plus_ms(49 * HOUR_MS).to_string();
    let sent = json!([{ "started_at": far }, { "started_at": "1999-12-31T23:59:59Z" }]);
    let answer = server.post_json("/api/requests", &sent);
    assert_eq!(answer.status, 422);
    let rejected = answer.json()["rejected"].clone();
    assert_eq!(
        rejected[0]["reason"],
        "is more than 48 hours ahead of this server's clock; check both clocks"
    );
    assert_eq!(rejected[1]["reason"], "is before 2000-01-01");
}

#[test]
fn future_records_change_nothing_about_now_and_are_exact_when_their_time_comes() {
    let service = TestService::start(noon());
    service.send(&[record("now", noon().plus_ms(-1_000))]);
    let early: Vec<_> =
        (1..=40).map(|hour| record(&format!("h{hour}"), noon().plus_ms(hour * HOUR_MS))).collect();
    service.send(&early);
    service.compact().unwrap();
    service.clock.advance_ms(2_000);
    service.send(&[record("last", noon().plus_ms(30 * DAY_MS))]);
    let stored = sql(&service, "select clock_ms from _store_state");
    assert_eq!(stored, noon().as_unix_ms() + 2_000, "times inside records advance nothing");
    let current = |service: &TestService| {
        service.current(&Filter::default(), TimeWindow::Day).unwrap().requests_per_day
    };
    assert_eq!(current(&service), 1);
    let count = |start: Timestamp, end: Timestamp| {
        service
            .engine()
            .query(&Query::total(TimeRange::new(start, end)))
            .unwrap()
            .into_total()
            .requests()
    };
    assert_eq!(count(noon().plus_ms(-DAY_MS), noon().plus_ms(3 * DAY_MS)), 41);
    for hour in [1, 7, 25] {
        let to = noon().plus_ms(hour * HOUR_MS);
        service.clock.advance_ms(to.plus_ms(1).as_unix_ms() - service.now().as_unix_ms());
        service.compact().unwrap();
        let expected = (1..=40).filter(|other| (hour - 23..=hour).contains(other)).count();
        let of_now = i64::from(hour < 24);
        assert_eq!(current(&service), i64::try_from(expected).unwrap() + of_now, "{hour}");
        assert_eq!(count(noon(), to.plus_ms(1)), hour);
    }
    let found = chatgauge::rollup::check(service.store(), &mut |_, _| {}).unwrap();
    assert_eq!(found.mismatches, Vec::<String>::new());
    // Nothing of tomorrow goes early.
    service.prune().unwrap();
    assert_eq!(raw_rows(&service), 42);
}

#[test]
fn after_a_clock_was_set_back_the_present_is_answered_from_memory_again() {
    let service = TestService::start(noon());
    let answered = |id: &str| {
        service.send(&[record(id, service.now().plus_ms(-1_000))]);
        service.compact().unwrap();
        let before = service.status().unwrap().cache.hits_total;
        let found = service.current(&Filter::default(), TimeWindow::Hour).unwrap();
        (found.requests_per_minute, service.status().unwrap().cache.hits_total > before)
    };
    assert_eq!(answered("before"), (1, true));
    service.clock.jump_ms(DAY_MS);
    pass(&service, 10 * MINUTE_MS);
    assert_eq!(answered("ahead"), (1, true));
    service.clock.jump_ms(-DAY_MS);
    pass(&service, 10 * MINUTE_MS);
    assert_eq!(answered("after"), (1, true));
}

#[test]
fn a_record_without_a_time_is_refused_by_a_clock_before_2000() {
    use chatgauge::ingest::wire::{BatchParser, Framing, RecordContext};
    let service = TestService::start(Timestamp::from_unix_ms(0));
    let pseudonymizer = service.pseudonymizer().clone();
    let context = RecordContext::new(service.now(), Source::Rest, pseudonymizer);
    let mut parser = BatchParser::new(context, Framing::Auto);
    parser.push(br#"[{"space":"a"},{"request_id":"r1"}]"#).unwrap();
    let report = parser.finish().unwrap();
    assert_eq!(report.rejections.listed().len(), 2);
    assert!(
        report.rejections.listed()[0].reason.contains("this server's clock is before 2000-01-01")
    );
}

#[test]
fn a_key_of_another_installation_is_a_typed_error_for_programs() {
    let mut service = TestService::start(noon());
    let mut with_user = record("a", noon());
    with_user.user = Some(Name::new("u_aaaaaaaaaaaaaaaa"));
    service.send(&[with_user]);
    service.stop();
    let key = service.config.store.path.with_extension("db.key");
    std::fs::remove_file(&key).unwrap();
    let open = |new_key| {
        let clock: Arc<ManualClock> = Arc::clone(&service.clock);
        Chatgauge::open_with(service.config.clone(), OpenOptions { clock, new_key })
    };
    let refused = open(false).unwrap_err();
    assert!(matches!(refused, Error::PseudonymKey { .. }), "{refused}");
    assert!(!key.exists());
    open(true).unwrap().shutdown().unwrap();
    open(false).unwrap().shutdown().unwrap();
}
