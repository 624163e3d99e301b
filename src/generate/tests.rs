//! Tests of the generator.

use std::collections::HashMap;

use super::*;
use crate::model::time::{DAY_MS, MINUTE_MS};
use crate::model::{LatencyKind, Outcome};

/// Monday 2026-06-01.
const START_MS: i64 = 1_780_272_000_000;

fn days(count: i64) -> TimeRange {
    TimeRange::from_unix_ms(START_MS, START_MS + count * DAY_MS)
}

fn month() -> Vec<RequestRecord> {
    Workload::new(1, days(28), 100_000).records().collect()
}

fn share(records: &[RequestRecord], is: impl Fn(&RequestRecord) -> bool) -> f64 {
    let matching = records.iter().filter(|record| is(record)).count();
    matching as f64 / records.len() as f64
}

#[test]
fn the_same_seed_gives_the_same_records_and_another_seed_others() {
    let workload = Workload { extras: true, ..Workload::new(7, days(3), 5_000) };
    let records: Vec<_> = workload.records().collect();
    assert!(workload.records().eq(records.iter().cloned()));
    assert!(!Workload { seed: 8, ..workload }.records().eq(records));
}

/// The records of a seed must not depend on the machine, nor change unnoticed.
#[test]
fn a_seed_gives_the_recorded_records() {
    let record = Workload::new(42, days(1), 1_000).records().nth(500).unwrap();
    let text = format!(
        "{} {} {} {} {} {:?} {:?}",
        record.request_id,
        record.started_at,
        record.user.unwrap(),
        record.space.unwrap(),
        record.model.unwrap(),
        record.latency_us,
        record.prompt_tokens,
    );
    let always = "019e833f-a815-70b4-b07f-1d440d6c0bb6 2026-06-01T12:54:07.637Z u_v4uy5totfiomtw44 \
                  legal-core codestral [Some(5460344), Some(352788), Some(5102685), Some(127795)] \
                  Some(998)";
    assert_eq!(text, always);
}

#[test]
fn the_requested_number_of_records_is_in_order_and_in_range() {
    let odd = TimeRange::from_unix_ms(START_MS + 12_345, START_MS + 12_345 + 7 * MINUTE_MS + 1);
    for (range, count) in [(days(2), 3), (days(2), 10_007), (odd, 1), (odd, 777)] {
        let mut records = Workload::new(3, range, count).records();
        assert_eq!(u64::try_from(records.size_hint().0), Ok(count));
        let times: Vec<_> = records.by_ref().map(|record| record.started_at).collect();
        assert_eq!(times.len() as u64, count);
        assert!(times.is_sorted());
        assert!(times.iter().all(|at| range.contains(*at)));
        assert_eq!(records.next(), None);
    }
    assert_eq!(Workload::new(3, days(0), 10).records().count(), 0);
    assert_eq!(Workload::new(3, days(1), 0).records().count(), 0);
}

#[test]
fn every_record_is_valid() {
    let workload = Workload { extras: true, ..Workload::new(5, days(28), 50_000) };
    let mut ids = std::collections::HashSet::new();
    for record in workload.records() {
        let [total, context, llm, first_token] = record.latency_us;
        assert!(context.unwrap() + llm.unwrap_or(0) <= total.unwrap());
        assert!(total.unwrap() < crate::model::record::limits::LATENCY_US);
        assert!(first_token.is_none_or(|first| first <= llm.unwrap()));
        assert!(record.cached_prompt_tokens.unwrap_or(0) <= record.prompt_tokens.unwrap_or(0));
        assert!(record.reasoning_tokens.unwrap_or(0) <= record.completion_tokens.unwrap_or(0));
        assert_eq!(record.cost_nano_usd.is_some(), record.cost_source.is_some());
        assert_eq!(record.request_id.uuid_v7_time(), Some(record.started_at));
        assert_eq!(record.error_code.is_some(), record.outcome.error_type().is_some());
        if record.cache_hit {
            assert_eq!((llm, record.cost_nano_usd, record.total_tokens()), (None, None, None));
        }
        assert!(record.user.as_ref().is_some_and(|user| user.len() == 18));
        assert!(ids.insert(record.request_id));
    }
}

#[test]
fn shares_are_as_documented() {
    let records = month();
    let near = |what: &str, actual: f64, wanted: f64, by: f64| {
        assert!((actual - wanted).abs() <= by, "{what}: {actual}");
    };
    near("errors", share(&records, |r| r.outcome.error_type().is_some()), 0.03, 0.004);
    near("cache hits", share(&records, |r| r.cache_hit), 0.15, 0.01);
    near("cancelled", share(&records, |r| r.outcome == Outcome::Cancelled), 0.0125, 0.004);
    near("streamed", share(&records, |r| r.streamed == Some(true)), 0.57, 0.04);
    let kinds: std::collections::HashSet<_> =
        records.iter().filter_map(|r| r.outcome.error_type()).collect();
    assert_eq!(kinds.len(), 8);
}

#[test]
fn users_and_spaces_have_heads_and_tails() {
    let records = month();
    let count = |name: fn(&RequestRecord) -> &str| {
        let mut counts = HashMap::new();
        records.iter().for_each(|record| *counts.entry(name(record)).or_insert(0_usize) += 1);
        let mut counts: Vec<_> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts
    };
    let users = count(|record| record.user.as_deref().unwrap());
    assert!((8_000..=12_000).contains(&users[0]), "the first user has 1 / H(10000) = 10 %");
    assert!((users[0] as f64 / users[9] as f64 - 10.0).abs() < 2.0, "the tenth a tenth of it");
    assert!(users.len() > 7_000);
    let spaces = count(|record| record.space.as_deref().unwrap());
    assert_eq!(spaces.len(), 200);
    assert!(spaces[..20].iter().sum::<usize>() > 45_000, "{:?}", &spaces[..20]);
    let models = count(|record| record.model.as_deref().unwrap());
    let providers = count(|record| record.provider.as_deref().unwrap());
    assert_eq!((models.len(), providers.len()), (20, 5));
}

#[test]
fn nights_and_weekends_are_quieter() {
    let records = month();
    let at = |record: &RequestRecord| (record.started_at.as_unix_ms() - START_MS) / (DAY_MS / 24);
    let night = share(&records, |record| at(record) % 24 == 3);
    let noon = share(&records, |record| at(record) % 24 == 13);
    assert!(noon > 5.0 * night, "{noon} {night}");
    let weekend = share(&records, |record| at(record) / 24 % 7 >= 5);
    assert!((0.10..0.20).contains(&weekend), "{weekend}");
}

#[test]
fn the_median_of_latencies_is_plausible() {
    let records = month();
    let median_ms = |kind: LatencyKind| {
        let mut values: Vec<_> = records.iter().filter_map(|r| r.latency(kind)).collect();
        values.sort_unstable();
        values[values.len() / 2] / 1_000
    };
    assert!((80..200).contains(&median_ms(LatencyKind::Context)));
    assert!((1_000..6_000).contains(&median_ms(LatencyKind::Llm)));
    assert!((300..1_200).contains(&median_ms(LatencyKind::TimeToFirstToken)));
}

#[test]
fn ticks_of_live_traffic_add_up_to_the_rate() {
    let mut live = Live::new(1);
    let mut records = Vec::new();
    for tick in 0..36_000 {
        let start = START_MS + tick * 100;
        records.extend(live.tick(TimeRange::from_unix_ms(start, start + 100), 3.3));
    }
    // An hour at 3.3 a second; the variation by minute changes the total by a few percent, a burst
    // more.
    assert!((11_000..16_000).contains(&records.len()), "{}", records.len());
    assert!(records.is_sorted_by_key(|record| record.started_at));
    assert!(live.tick(days(0), 5.0).is_empty());
    assert!(live.tick(days(1), f64::NAN).is_empty());
}
