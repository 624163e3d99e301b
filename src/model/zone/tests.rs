//! Names, local times, changes of clocks, and every bundled zone against another reading of the database.

use super::*;
use crate::model::time::MINUTE_MS;

#[path = "../../../tests/fixtures/time_zones/offsets.rs"]
mod offsets;

use offsets::{FIRST_MINUTE, Offsets};

/// The minute after the last that the table is about.
const LAST_MINUTE: i64 = 2_208_988_800 / 60;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn zone(name: &str) -> Tz {
    name.parse().unwrap()
}

fn local(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

#[test]
fn names_are_exact_and_aliases_are_names() {
    for name in
        ["UTC", "Europe/Warsaw", "GB", "US/Pacific", "Asia/Calcutta", "Etc/GMT+5", "EST5EDT"]
    {
        assert_eq!(zone(name).name(), name);
        assert_eq!(zone(name), zone(name));
    }
    for name in [
        "",
        "Mars",
        "utc",
        "europe/warsaw",
        "Europe/warsaw",
        "EUROPE/WARSAW",
        " Europe/Warsaw",
        "Europe/Warsaw ",
        "Europe/",
        "/Europe/Warsaw",
        "Europe",
        "Europe//Warsaw",
        "../zoneinfo/Europe/Warsaw",
        "Europe/../Europe/Warsaw",
        "./UTC",
        "posix/Europe/Warsaw",
        "right/Europe/Warsaw",
        "posixrules",
        "localtime",
        "tzdata.zi",
        "zone.tab",
        "Factory",
        "Europe/Warsaw\0",
        "+02:00",
        "EST5EDT,M3.2.0,M11.1.0",
    ] {
        assert_eq!(name.parse::<Tz>(), Err(UnknownZone), "{name:?}");
    }
    assert!("A".repeat(10_000).parse::<Tz>().is_err());
    assert_eq!(zone("UTC"), Tz::UTC);
    assert_ne!(zone("GB"), zone("Europe/London"), "the name asked for is shown again");
}

#[test]
fn a_mistyped_zone_is_recognised() {
    assert_eq!(parse_zone("Asia/Kathmandu"), Ok("Asia/Kathmandu".parse::<Tz>().unwrap()));
    for (typed, meant) in [
        ("europe/warsaw", "Europe/Warsaw"),
        ("warsaw", "Europe/Warsaw"),
        ("Europe/Warswa", "Europe/Warsaw"),
        ("America/New_Yrok", "America/New_York"),
    ] {
        let reason = parse_zone(typed).unwrap_err();
        assert!(reason.contains(&format!("did you mean {meant}?")), "{reason}");
    }
    assert!(parse_zone("qqqqqqqqqqqq").is_err());
    assert!(parse_zone("").is_err());
}

#[test]
fn every_bundled_name_is_a_zone() {
    let names: Vec<&str> = Tz::bundled_names().collect();
    assert!(names.len() > 500);
    for name in names {
        assert_eq!(zone(name).name(), name);
    }
}

#[test]
fn local_times_are_shown_once_twice_or_never() {
    let tz = zone("Europe/Warsaw");
    let once = tz.wall_time(local("2026-07-01T12:00:00"));
    assert_eq!(once, WallTime::Once(at("2026-07-01T10:00:00Z")));
    let twice = tz.wall_time(local("2026-10-25T02:30:00.250"));
    let (first, second) = (at("2026-10-25T00:30:00.250Z"), at("2026-10-25T01:30:00.250Z"));
    assert_eq!(twice, WallTime::Twice(first, second));
    assert_eq!((twice.first(), twice.nearest()), (first, first));
    let never = tz.wall_time(local("2026-03-29T02:30:00"));
    let (change, later) = (at("2026-03-29T01:00:00Z"), at("2026-03-29T01:30:00Z"));
    assert_eq!(never, WallTime::Skipped { change, later });
    assert_eq!((never.first(), never.nearest()), (change, later));
    // A day that never was.
    let apia = zone("Pacific/Apia").wall_time(local("2011-12-30T12:00:00"));
    assert_eq!(apia.first(), at("2011-12-30T10:00:00Z"));
}

#[test]
fn changes_are_found_to_the_minute() {
    let tz = zone("America/St_Johns");
    let change = at("2006-10-29T02:31:00Z");
    let hour = 60 * MINUTE_MS;
    assert_eq!(tz.next_change(change.plus_ms(-hour), change.plus_ms(hour)), Some(change));
    assert_eq!(tz.next_change(change.plus_ms(-hour), change), None, "before the end");
    assert_eq!(tz.next_change(change, change.plus_ms(hour)), None, "after the start");
    assert_eq!(
        tz.last_change(change, change.plus_ms(-hour)),
        Some(change),
        "at the instant itself"
    );
    assert_eq!(tz.last_change(change.plus_ms(-1), change.plus_ms(-hour)), None);
    assert_eq!(tz.last_change(change.plus_ms(hour), change), None);
    // A change of the name or of summer time alone is none.
    let dublin = zone("Europe/Dublin");
    let (from, to) = (at("1968-10-01T00:00:00Z"), at("1968-11-30T00:00:00Z"));
    assert_eq!(dublin.next_change(from, to), None);
    assert_eq!(Tz::UTC.next_change(Timestamp::from_unix_ms(0), at("2100-01-01T00:00:00Z")), None);
}

#[test]
fn instants_beyond_all_years_have_an_offset() {
    let tz = zone("Asia/Kathmandu");
    for at in [i64::MIN, i64::MIN + 1, i64::MAX].map(Timestamp::from_unix_ms) {
        assert_eq!(tz.offset_ms(at) % MINUTE_MS % 1_000, 0);
        tz.local(at);
    }
    for local in [NaiveDateTime::MIN, NaiveDateTime::MAX] {
        tz.wall_time(local);
    }
}

/// The zone with the bundled rules, whatever the system's are.
fn bundled(name: &str) -> Tz {
    let rules = ZoneData::of(None, &[]).rules(name).unwrap_or_else(|| panic!("{name} is no zone"));
    Tz(Box::leak(Box::new(ZoneRules { name: String::from(name).leak(), rules })))
}

fn at_minute(minute: i64) -> Timestamp {
    Timestamp::from_unix_ms(minute * MINUTE_MS)
}

#[test]
fn the_bundled_offsets_of_every_zone_are_those_of_another_reading() {
    let offsets = Offsets::read();
    assert!(offsets.zones.len() > 590, "{} zones", offsets.zones.len());
    let release = ZoneData::bundled_version();
    assert_eq!(offsets.release, release, "regenerate the table from the bundled release");
    let mut wrong = Vec::new();
    for (name, changes) in &offsets.zones {
        let tz = bundled(name);
        // The instants of change are the same, and so are the offsets between them.
        let mut found = vec![(FIRST_MINUTE, tz.offset_ms(at_minute(FIRST_MINUTE)) / MINUTE_MS)];
        let mut at = at_minute(FIRST_MINUTE);
        while let Some(change) = tz.next_change(at, at_minute(LAST_MINUTE)) {
            assert_eq!(tz.last_change(change.plus_ms(MINUTE_MS), at), Some(change), "{name}");
            assert_eq!(change.floor_to(MINUTE_MS), change, "{name}");
            found.push((change.as_unix_ms() / MINUTE_MS, tz.offset_ms(change) / MINUTE_MS));
            at = change;
        }
        if found != *changes {
            let differ = found.iter().zip(changes).find(|(found, expected)| found != expected);
            wrong.push(format!("{name}: {differ:?}, {} changes of {}", found.len(), changes.len()));
        }
    }
    assert!(wrong.is_empty(), "{} zones differ:\n{}", wrong.len(), wrong.join("\n"));
    let missing: Vec<&str> =
        Tz::bundled_names().filter(|name| !offsets.zones.contains_key(*name)).collect();
    assert!(missing.len() < 10, "not in the table: {missing:?}");
}

#[test]
fn zones_that_changed_their_rules_in_2026_follow_them() {
    // The wall clock of each at noon UTC: on permanent time where the rules of 2025 had clocks go back.
    for (name, offset_hours) in [
        ("America/Vancouver", -7),
        ("America/Edmonton", -6),
        ("America/Winnipeg", -5),
        ("America/Havana", -4),
        ("Africa/Casablanca", 0),
        ("Africa/El_Aaiun", 0),
    ] {
        let offset_ms = bundled(name).offset_ms(at("2027-01-15T12:00:00Z"));
        assert_eq!(offset_ms, offset_hours * 60 * MINUTE_MS, "{name}");
    }
}

#[test]
fn the_program_uses_no_older_rules_than_it_carries() {
    let data = Tz::data();
    if std::env::var_os("TZDIR").is_some() || data.version().is_none() {
        return;
    }
    assert!(data.version() >= Some(ZoneData::bundled_version()), "{data}");
}
