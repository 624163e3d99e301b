//! Time zones: offsets against another reading of the IANA database, and clocks that change a minute past midnight.

use std::collections::BTreeMap;

use chatgauge::model::zone::{ZoneData, ZoneSource};
use chatgauge::model::{Aggregation, TimeRange, Timestamp, Tz};
use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

const MINUTE_MS: i64 = 60_000;

/// Offsets as another program computed them; see `make.py` beside the table.
struct Offsets {
    release: String,
    /// The offset in minutes from each minute on, by the name of the zone.
    zones: BTreeMap<String, Vec<(i64, i64)>>,
}

/// The minutes that the table is about.
const FIRST_MINUTE: i64 = 946_684_800 / 60;
const LAST_MINUTE: i64 = 2_208_988_800 / 60;

impl Offsets {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/time_zones/offsets.txt");
        let text = std::fs::read_to_string(path).expect("the table");
        let release = text.split("time zone database ").nth(1).expect("a release");
        let release = release.split(',').next().expect("a release").to_owned();
        let mut zones: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, rest) = line.split_once(' ').expect("a zone");
            let changes = match rest.strip_prefix("= ") {
                Some(other) => zones[other].clone(),
                None => rest
                    .split(' ')
                    .map(|part| match part.split_once(':') {
                        Some((minute, offset)) => (number(minute), number(offset)),
                        None => (FIRST_MINUTE, number(part)),
                    })
                    .collect(),
            };
            zones.insert(name.to_owned(), changes);
        }
        Self { release, zones }
    }

    fn minutes_at(changes: &[(i64, i64)], minute: i64) -> i64 {
        let after = changes.partition_point(|(from, _)| *from <= minute);
        changes[after - 1].1
    }
}

fn number(text: &str) -> i64 {
    text.parse().expect("a number")
}

fn at_minute(minute: i64) -> Timestamp {
    Timestamp::from_unix_ms(minute * MINUTE_MS)
}

fn zone(name: &str) -> Tz {
    name.parse().unwrap_or_else(|_| panic!("{name} is no zone"))
}

#[test]
fn the_offsets_of_every_zone_are_those_of_another_reading() {
    let offsets = Offsets::read();
    assert!(offsets.zones.len() > 590, "{} zones", offsets.zones.len());
    assert_eq!(
        ZoneData::bundled_version(),
        offsets.release,
        "make the table of the bundled release"
    );
    let data = Tz::data();
    if data.version() != Some(&offsets.release) {
        println!("zones come from {data}; offsets are of {}: not compared", offsets.release);
        assert_eq!(data.source(), ZoneSource::System);
        return;
    }
    let mut wrong = Vec::new();
    for (name, changes) in &offsets.zones {
        let tz = zone(name);
        // The instants of change are the same, and so are the offsets between them.
        let mut found = vec![(FIRST_MINUTE, tz.offset_ms(at_minute(FIRST_MINUTE)) / MINUTE_MS)];
        let mut at = at_minute(FIRST_MINUTE);
        while let Some(change) = tz.next_change(at, at_minute(LAST_MINUTE)) {
            assert_eq!(tz.last_change(change.plus_ms(MINUTE_MS), at), Some(change), "{name}");
            found.push((change.as_unix_ms() / MINUTE_MS, tz.offset_ms(change) / MINUTE_MS));
            at = change;
        }
        if found != *changes {
            let differ = found.iter().zip(changes).find(|(found, expected)| found != expected);
            wrong.push(format!("{name}: {differ:?}, {} changes of {}", found.len(), changes.len()));
        }
    }
    assert!(wrong.is_empty(), "{} zones differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn zones_that_the_releases_of_2026_changed_are_right() {
    if Tz::data().version().is_some_and(|version| version < "2026f") {
        println!("zones come from {}: not tested", Tz::data());
        return;
    }
    let offsets = Offsets::read();
    for name in [
        "America/Vancouver",
        "America/Edmonton",
        "America/Winnipeg",
        "America/Havana",
        "Africa/Casablanca",
    ] {
        let (tz, changes) = (zone(name), &offsets.zones[name]);
        // Every hour of the two winters after the change of the rules.
        for minute in (29_700_000..31_000_000).step_by(60) {
            let expected = Offsets::minutes_at(changes, minute);
            assert_eq!(tz.offset_ms(at_minute(minute)) / MINUTE_MS, expected, "{name} at {minute}");
        }
    }
}

/// The starts of the buckets of a zone, from its offsets alone, a minute at a time.
fn naive(aggregation: Aggregation, changes: &[(i64, i64)], from: i64, to: i64) -> Vec<i64> {
    let shown = |minute: i64| -> NaiveDateTime {
        let local = minute + Offsets::minutes_at(changes, minute);
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
                let offset = Offsets::minutes_at(changes, minute);
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
