//! Tests of typed query strings.

use super::*;
use crate::http::metrics::breakdown::BreakdownParams;
use crate::http::metrics::current::CurrentParams;
use crate::http::metrics::heatmap::HeatmapParams;
use crate::http::metrics::historical::HistoricalParams;
use crate::http::requests::RequestsParams;
use crate::model::record::limits;
use crate::model::spelling::closest;
use crate::model::{
    Aggregation, Dimension, ErrorType, LatencyBounds, LatencyKind, MetricType, Source, Stat,
    TimeRange, Timestamp, Tz,
};

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-04-01T10:00:00Z").unwrap()
}

fn read<T: FromQuery>(query: &str) -> Result<T, Problem> {
    Query::read(query).map(|Query(params)| params)
}

/// Why a query string is refused.
fn refusal<T: FromQuery>(query: &str) -> String {
    match read::<T>(query) {
        Ok(_) => panic!("{query} is accepted"),
        Err(problem) => {
            assert_eq!(problem.status().as_u16(), 400);
            problem.detail
        }
    }
}

#[test]
fn an_unknown_parameter_names_the_allowed_ones() {
    let reason = refusal::<CurrentParams>("spaces=a");
    assert!(reason.contains("did you mean space?") && reason.contains("window"), "{reason}");
    let none = query_string::check("a=b", &[]).unwrap_err();
    assert_eq!(none.detail, "a: is not a parameter of this route, which has none");
}

#[test]
fn filters_repeat_and_nothing_else_does() {
    assert!(read::<CurrentParams>("space=a&space=b%20c&model=x").is_ok());
    let reason = refusal::<CurrentParams>("window=day&window=hour");
    assert_eq!(reason, "window: is given more than once");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for query in ["space=", "space=%ff", "space=%00", "type=x&start", "=", "a=b", "&space=&"] {
        refusal::<CurrentParams>(query);
    }
    refusal::<CurrentParams>(&format!("space={}", "x".repeat(query_string::VALUE_BYTES_MAX + 1)));
    refusal::<CurrentParams>(&"space=a&".repeat(query_string::VALUES_MAX + 1));
}

#[test]
fn required_parameters_say_what_they_are_for() {
    let reason = refusal::<HistoricalParams>("start=now-1h");
    assert_eq!(reason, "type: is required: The metric.");
    refusal::<BreakdownParams>("metric=cost");
}

#[test]
fn ranges_have_defaults_and_are_not_empty() {
    let range = |query: &str| read::<RangeParams>(query)?.range(now(), Tz::UTC);
    let day = range("").unwrap();
    assert_eq!((day.end, day.width_ms()), (now().plus_ms(1), 86_400_000));
    assert_eq!(range("end=now-1h").unwrap().start, now().plus_ms(-25 * 3_600_000));
    assert!(range("start=now").is_ok());
    for query in ["start=now&end=now-1h", "start=now&end=now", "end=0x"] {
        assert!(range(query).is_err(), "{query}");
    }
    let all = read::<AllTimeParams>("").unwrap().range(now(), Tz::UTC).unwrap();
    assert_eq!(all.start, Timestamp::from_unix_ms(0));
    assert_eq!(all.end, now().plus_ms(limits::FUTURE_MS + 1));
    let during = |query: &str| read::<DuringParams>(query).unwrap().range(now(), Tz::UTC).unwrap();
    assert_eq!(during("tz=Europe/Warsaw"), None);
    assert!(during("start=now-1h").is_some());
}

#[test]
fn filters_are_alternatives_and_users_are_hashed() {
    let pseudonymizer = crate::privacy::Pseudonymizer::from_key([7; 32]);
    let query = "space=a&space=b&space=a&user=alice&user=(none)&user=(other)&error_type=timeout&error_type=auth\
                 &outcome=error&source=rest&streamed=1&provider=p&model=m";
    let filter = read::<FilterParams>(query).unwrap().filter(&pseudonymizer).unwrap();
    assert_eq!(filter.spaces, ["a", "b"]);
    assert_eq!(filter.users, [&*pseudonymizer.user("alice"), "(none)", "(other)"]);
    assert_eq!(filter.error_types, [ErrorType::Timeout, ErrorType::Auth]);
    assert_eq!((filter.outcomes, filter.streamed), (vec!["error"], Some(true)));
    assert_eq!(filter.sources, [Source::Rest]);
    let long = format!("space={}", "x".repeat(limits::NAME_BYTES + 1));
    let problem = read::<FilterParams>(&long).unwrap().filter(&pseudonymizer).unwrap_err();
    assert!(problem.detail.starts_with("space: is longer"), "{}", problem.detail);
    for query in ["error_type=oops", "outcome=failed", "source=smoke", "streamed=maybe"] {
        refusal::<FilterParams>(query);
    }
}

#[test]
fn an_error_names_what_would_be_right() {
    for (query, expected) in [
        ("type=cost&stat=p50000", "stat: must be one of average, median, p95, p99, min, max"),
        ("type=cost&compare=week", "compare: must be previous"),
        ("type=cost&limit=1001", "limit: must be a number from 1 to 1000"),
        ("type=cost&streamed=maybe", "streamed: must be true or false"),
    ] {
        assert_eq!(refusal::<HistoricalParams>(query), expected);
    }
    assert_eq!(refusal::<FormatParams>("format=xml"), "format: must be json or csv");
    assert_eq!(StatName(Stat::Median).of(MetricType::LlmLatency).unwrap(), Stat::Median);
    let problem = StatName(Stat::P95).of(MetricType::Cost).unwrap_err();
    assert_eq!(problem.detail, "stat: is for latencies; cost has none");
}

#[test]
fn aggregation_fits_the_range_unless_given() {
    let hours = |hours: i64| TimeRange::new(now().plus_ms(-hours * 3_600_000), now());
    for (width, expected) in [
        (1, Aggregation::Minute),
        (6, Aggregation::Minute),
        (24, Aggregation::QuarterHour),
        (7 * 24, Aggregation::Hourly),
        (30 * 24, Aggregation::Daily),
        (3 * 365 * 24, Aggregation::Weekly),
    ] {
        assert_eq!(aggregation_for(None, hours(width)), expected, "{width} h");
    }
    let monthly = AggregationName(Aggregation::Monthly);
    assert_eq!(aggregation_for(Some(monthly), hours(1)), Aggregation::Monthly);
}

#[test]
fn groups_come_by_commas_or_repeated() {
    let groups = |given: &[&str]| {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        dimensions("group_by", &given)
    };
    let expected = [Dimension::Space, Dimension::User];
    for given in [&["space,user"][..], &["space", "user"], &["space, user"]] {
        assert_eq!(groups(given).unwrap(), expected, "{given:?}");
    }
    for given in ["space,space", "colour", "space,user,model"] {
        assert!(groups(&[given]).is_err(), "{given}");
    }
}

#[test]
fn limits_and_cursors_are_checked() {
    let limit = |query: &str| read::<PageParams>(query).map(|page| page.limit());
    for (query, expected) in [("limit=1", 1), ("limit=1000", 1_000), ("", 100)] {
        assert_eq!(limit(query).unwrap(), expected);
    }
    for query in ["limit=0", "limit=1001", "limit=-1", "limit=ten", "limit=1.5"] {
        assert!(limit(query).is_err(), "{query}");
    }
    let page = read::<PageParams>("cursor=AAAAAAAAAAE").unwrap();
    let bytes = page.cursor(|bytes| <[u8; 8]>::try_from(bytes).ok()).unwrap();
    assert_eq!(bytes, Some([0, 0, 0, 0, 0, 0, 0, 1]));
    assert!(page.cursor(|bytes| <[u8; 16]>::try_from(bytes).ok()).is_err());
}

#[test]
fn zones_show_utc_unless_asked_for() {
    let tz = "Asia/Kathmandu".parse::<Tz>().unwrap();
    let zone = |query: &str, default| read::<ZoneParams>(query).map(|params| params.zone(default));
    assert_eq!(zone("", tz).unwrap().show(now()), "2026-04-01T10:00:00Z");
    let shown = zone("tz=Asia/Kathmandu", Tz::UTC).unwrap();
    assert_eq!((shown.tz, shown.show(now()).as_str()), (tz, "2026-04-01T15:45:00+05:45"));
    assert!(zone("tz=Mars", Tz::UTC).is_err());
}

#[test]
fn bounds_are_of_one_latency_and_enclose_something() {
    let bounds = |query: &str| read::<LatencyBoundParams>(query)?.bounds();
    assert_eq!(bounds("").unwrap(), None);
    assert_eq!(bounds("latency=llm_latency").unwrap(), None);
    let of = |kind, min_us, max_us| Some(LatencyBounds { kind, min_us, max_us });
    assert_eq!(bounds("min_ms=5000").unwrap(), of(LatencyKind::Total, 5_000_000, None));
    let both = bounds("latency=llm_latency&min_ms=0.5&max_ms=1").unwrap();
    assert_eq!(both, of(LatencyKind::Llm, 500, Some(1_000)));
    for query in ["min_ms=fast", "max_ms=-1", "min_ms=2&max_ms=2", "max_ms=1&latency=cost"] {
        assert!(bounds(query).is_err(), "{query}");
    }
}

#[test]
fn heatmaps_are_of_latencies() {
    assert!(read::<HeatmapParams>("type=llm_latency").is_ok());
    assert!(refusal::<HeatmapParams>("type=cost").contains("time_to_first_token"));
}

#[test]
fn every_parameter_is_described() {
    let described = [
        RequestsParams::into_params(|| Some(ParameterIn::Query)),
        HistoricalParams::into_params(|| Some(ParameterIn::Query)),
    ];
    for parameter in described.iter().flatten() {
        assert!(parameter.description.is_some(), "{}", parameter.name);
        assert!(parameter.schema.is_some(), "{}", parameter.name);
    }
}

#[test]
fn typing_errors_are_recognised() {
    assert_eq!(closest("strat", ["start", "end"].into_iter()), Some("start"));
    assert_eq!(closest("qqqq", ["start", "end"].into_iter()), None);
}
