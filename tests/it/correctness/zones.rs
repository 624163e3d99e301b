//! Time zones: local buckets against a walk through the minutes, with offsets of another reading of the database.

#[path = "../../fixtures/time_zones/offsets.rs"]
mod offsets;

use chatgauge::model::zone::ZoneData;
use chatgauge::model::{
    Aggregation, Dimension, Name, RequestId, RequestRecord, Source, TimeRange, Timestamp, Tz,
};
use chatgauge::query::Query;
use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use offsets::Offsets;

use crate::harness::TestServer;
use crate::harness::store::Pipeline;

const MINUTE_MS: i64 = 60_000;

fn at_minute(minute: i64) -> Timestamp {
    Timestamp::from_unix_ms(minute * MINUTE_MS)
}

fn zone(name: &str) -> Tz {
    name.parse().unwrap_or_else(|_| panic!("{name} is no zone"))
}

/// The offset in minutes at a minute since 1970.
fn minutes_at(changes: &[(i64, i64)], minute: i64) -> i64 {
    let after = changes.partition_point(|(from, _)| *from <= minute);
    changes[after - 1].1
}

/// The starts of the buckets of a zone, from its offsets alone, a minute at a time.
fn naive(aggregation: Aggregation, changes: &[(i64, i64)], from: i64, to: i64) -> Vec<i64> {
    let shown = |minute: i64| -> NaiveDateTime {
        let local = minute + minutes_at(changes, minute);
        chrono::DateTime::from_timestamp(local * 60, 0).expect("a year").naive_utc()
    };
    let mut latest = NaiveDate::MIN;
    let mut starts = Vec::new();
    let mut current = None;
    for minute in from..to {
        let local = shown(minute);
        // A day begins when its date is first shown; it does not end when clocks go back over midnight.
        latest = latest.max(local.date());
        let key = match aggregation {
            Aggregation::Hourly => {
                let offset = minutes_at(changes, minute);
                (i64::from(local.date().num_days_from_ce()), i64::from(local.hour()), offset)
            }
            Aggregation::Daily => (i64::from(latest.num_days_from_ce()), 0, 0),
            Aggregation::Weekly => {
                (i64::from(latest.iso_week().year()), i64::from(latest.iso_week().week()), 0)
            }
            Aggregation::Monthly => (i64::from(latest.year()), i64::from(latest.month()), 0),
            other => panic!("{other:?} is not local"),
        };
        if current.replace(key) != Some(key) {
            starts.push(minute);
        }
    }
    starts.split_off(1)
}

#[test]
fn buckets_around_every_kind_of_change_are_those_that_clocks_show() {
    let offsets = Offsets::read();
    // Around a change: at 00:01, at 00:01 forward, by three hours, by half an hour, over a whole day, at midnight.
    let changes = [
        ("America/St_Johns", "2006-10-29T02:31:00Z"),
        ("America/St_Johns", "2007-03-11T03:31:00Z"),
        ("America/Goose_Bay", "2010-11-07T03:01:00Z"),
        ("America/Moncton", "2006-04-02T04:01:00Z"),
        ("Asia/Gaza", "2010-03-26T22:01:00Z"),
        ("Asia/Hebron", "2011-03-31T22:01:00Z"),
        ("Antarctica/Casey", "2020-10-03T16:01:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z"),
        ("Asia/Beirut", "2025-03-29T22:00:00Z"),
        ("America/Havana", "2025-11-02T05:00:00Z"),
        ("Europe/Warsaw", "2025-10-26T01:00:00Z"),
        ("Asia/Kathmandu", "2025-10-26T01:00:00Z"),
    ];
    for (name, change) in changes {
        let (tz, known) = (zone(name), &offsets.zones[name]);
        let change = Timestamp::parse_rfc3339(change).expect("an instant").as_unix_ms() / MINUTE_MS;
        for aggregation in
            [Aggregation::Hourly, Aggregation::Daily, Aggregation::Weekly, Aggregation::Monthly]
        {
            let days = if aggregation == Aggregation::Monthly { 70 } else { 16 };
            let starts = naive(aggregation, known, change - days * 1_440, change + days * 1_440);
            let expected: Vec<Timestamp> = starts.into_iter().map(at_minute).collect();
            let whole = TimeRange::new(expected[0], expected[expected.len() - 1]);
            assert_eq!(aggregation.boundaries(whole, tz), expected, "{name} {aggregation:?}");
            for edges in expected.windows(2) {
                assert_eq!(
                    aggregation.next_start(edges[0], tz),
                    edges[1],
                    "{name} {aggregation:?}"
                );
                for at in [edges[0], edges[0].plus_ms(1), edges[1].plus_ms(-1)] {
                    let start = aggregation.bucket_start(at, tz);
                    assert_eq!(start, edges[0], "{name} {aggregation:?} at {at}");
                }
                // A range that ends or begins anywhere has the buckets that it meets.
                let middle = edges[1].plus_ms(-1);
                let upto = aggregation.boundaries(TimeRange::new(edges[0], middle), tz);
                assert_eq!(upto, edges, "{name} {aggregation:?}");
            }
        }
    }
}

#[test]
fn a_day_begins_at_its_midnight_where_there_is_one() {
    // A sample of every zone, in every season.
    for name in Tz::bundled_names() {
        let tz = zone(name);
        for days in (0..9_000).step_by(97) {
            let date = NaiveDate::from_ymd_opt(2001, 1, 1).expect("a date") + Days::new(days);
            let start = chatgauge::model::time::day_start(date, tz);
            let local = tz.local(start);
            assert_eq!(
                chatgauge::model::time::local_date(start, tz),
                local.date(),
                "{name} {date}"
            );
            assert!(local >= date.and_time(NaiveTime::MIN), "{name} {date}");
            assert!(tz.local(start.plus_ms(-1)) < local, "{name} {date}");
        }
    }
}

/// Requests of four days around a change of the clocks, one each 61 s, of two spaces.
fn requests_around(change: Timestamp) -> Vec<RequestRecord> {
    let at = |number: i64| change.plus_ms((number - 2_832) * 61_000);
    let record = |number: i64| {
        let id = RequestId::parse(&format!("r{number}"));
        let mut record = RequestRecord::new(id, at(number), Source::Rest);
        record.space = Some(Name::new(if number % 3 == 0 { "a" } else { "b" }));
        record
    };
    (0..5_664).map(record).collect()
}

/// The number of requests of each bucket: what the engine says, and by counting.
fn assert_counts(pipeline: &Pipeline, query: &Query, starts: &[i64], records: &[RequestRecord]) {
    let answer = pipeline.engine.query(query).expect("an answer");
    let found: Vec<i64> = answer.boundaries.iter().map(|at| at.as_unix_ms() / MINUTE_MS).collect();
    assert_eq!(found, starts, "{:?}", query.aggregation);
    for series in &answer.series {
        let is_of_group = |record: &&RequestRecord| {
            series.group.iter().all(|name| record.space.as_ref().is_some_and(|space| space == name))
        };
        for (edges, bucket) in starts.windows(2).zip(&series.buckets) {
            let inside = |record: &&RequestRecord| {
                let minute = record.started_at.as_unix_ms().div_euclid(MINUTE_MS);
                (edges[0]..edges[1]).contains(&minute)
            };
            let expected = records.iter().filter(is_of_group).filter(inside).count();
            let found = usize::try_from(bucket.requests()).expect("a count");
            assert_eq!(found, expected, "{:?} {:?} {edges:?}", query.aggregation, series.group);
        }
    }
    assert_eq!(answer.complete_from, None);
}

#[test]
fn answers_around_clocks_that_change_a_minute_past_midnight_are_exact() {
    let offsets = Offsets::read();
    for (name, change) in [
        ("America/St_Johns", "2006-10-29T02:31:00Z"),
        ("Asia/Gaza", "2010-03-26T22:01:00Z"),
        ("Antarctica/Casey", "2020-10-03T16:01:00Z"),
    ] {
        let change = Timestamp::parse_rfc3339(change).expect("an instant");
        let records = requests_around(change);
        let mut pipeline = Pipeline::with(|config| {
            config.retention.raw_days = 5;
            config.retention.minute_days = 10;
        });
        let now = change.plus_ms(2 * 86_400_000);
        pipeline.append(&records, now);
        let ask = |aggregation: Aggregation, by_space: bool| {
            let minute = change.as_unix_ms() / MINUTE_MS;
            let starts = naive(aggregation, &offsets.zones[name], minute - 5_000, minute + 5_000);
            // Whole buckets inside the four days.
            let starts: Vec<i64> =
                starts.into_iter().filter(|start| (minute - start).abs() < 2_800).collect();
            let range = TimeRange::new(at_minute(starts[0]), at_minute(starts[starts.len() - 1]));
            let group_by = if by_space { vec![Dimension::Space] } else { Vec::new() };
            let tz = zone(name);
            let query =
                Query { aggregation: Some(aggregation), tz, group_by, ..Query::total(range) };
            (query, starts)
        };
        let assert_all = |pipeline: &Pipeline, by_space: bool| {
            for aggregation in [Aggregation::Hourly, Aggregation::Daily] {
                let (query, starts) = ask(aggregation, by_space);
                assert_counts(pipeline, &query, &starts, &records);
            }
        };
        assert_all(&pipeline, false);
        assert_all(&pipeline, true);
        pipeline.compact(now);
        assert_all(&pipeline, false);
        assert_all(&pipeline, true);
        // Minutes are left of everything together, quarters of an hour of each space: days begin on one, the hour of the
        // change does not, and the answer says so.
        assert!(pipeline.prune(now.plus_ms(7 * 86_400_000)).raw_rows > 0);
        assert_all(&pipeline, false);
        let (days, starts) = ask(Aggregation::Daily, true);
        assert_counts(&pipeline, &days, &starts, &records);
        assert_incomplete(&pipeline, &ask(Aggregation::Hourly, true).0, &records);
        // Without minutes the answer for everything together says so, too.
        assert!(pipeline.prune(now.plus_ms(12 * 86_400_000)).rollup_rows > 0);
        let (days, starts) = ask(Aggregation::Daily, false);
        assert_counts(&pipeline, &days, &starts, &records);
        assert_incomplete(&pipeline, &ask(Aggregation::Hourly, false).0, &records);
    }
}

/// An answer that cannot cut a quarter of an hour says so, and still counts each request once.
fn assert_incomplete(pipeline: &Pipeline, query: &Query, records: &[RequestRecord]) {
    let answer = pipeline.engine.query(query).expect("an answer");
    assert!(answer.complete_from.is_some(), "{:?}", query.tz);
    let counts = answer.series.iter().flat_map(|series| &series.buckets).map(|one| one.requests());
    let expected = records.iter().filter(|record| query.range.contains(record.started_at)).count();
    assert_eq!(usize::try_from(counts.sum::<i64>()).expect("a count"), expected, "{:?}", query.tz);
}

#[test]
fn a_server_says_where_its_zones_come_from_and_refuses_unknown_ones() {
    let server = TestServer::start();
    let status = server.get("/api/status").json();
    let zones = &status["time_zones"];
    assert_eq!(zones["source"], Tz::data().source().as_str());
    assert_eq!(zones["version"].as_str(), Tz::data().version());
    assert_eq!(zones["bundled_version"], ZoneData::bundled_version());
    assert_eq!(zones["summary"], Tz::data().to_string());
    let ask = |tz: &str| server.get(&format!("/api/metrics/historical?type=request_rate&tz={tz}"));
    for known in ["America/Vancouver", "US/Pacific", "Asia/Calcutta", "Etc/GMT-14", "UTC"] {
        let answer = ask(known);
        assert_eq!((answer.status, answer.json()["tz"].as_str()), (200, Some(known)));
    }
    for unknown in
        ["Mars", "europe/warsaw", "posixrules", "right/UTC", "..%2FUTC", "Factory", "localtime", ""]
    {
        let answer = ask(unknown);
        assert_eq!(answer.status, 400, "{unknown}");
        assert!(String::from_utf8_lossy(&answer.body).contains("tz"), "{unknown}");
    }
}

/// `.ci/time-zones` with these arguments: its exit code, and what it says.
fn age_check(args: &[&str]) -> (Option<i32>, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/time-zones");
    let output = std::process::Command::new(script).args(args).output().expect("a script");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("text"))
}

#[test]
fn zones_older_than_a_year_warn_here_and_fail_a_release() {
    let release = Offsets::read().release;
    let (code, said) = age_check(&["2027-10-28", "--release"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&release), "{said}");
    let (code, said) = age_check(&["2099-01-01"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("more than a year old"), "{said}");
    assert_eq!(age_check(&["2099-01-01", "--release"]).0, Some(1));
    for args in [&["yesterday"][..], &[], &["2027-10-28", "--relaese"]] {
        assert!(age_check(args).0.is_some_and(|code| code > 0), "{args:?}");
    }
}
