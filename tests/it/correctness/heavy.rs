//! Many lifelike requests, late ones and repeats among them, against the naive answers; and the hot
//! cache against them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use chatgauge::generate::Workload;
use chatgauge::model::time::DAY_MS;
use chatgauge::model::{
    Aggregation, Count, Dimension, Filter, LatencyKind, MetricType, Name, RequestRecord, TimeRange,
    Timestamp,
};
use chatgauge::query::Query;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use crate::harness::store::{Pipeline, at};
use crate::oracle::{Oracle, Questions, compare, random_record};

const MINUTE_MS: i64 = 60_000;

fn examine(pipeline: &Pipeline, oracle: &Oracle, query: &Query, what: &str) {
    let answer = pipeline.engine.query(query).unwrap();
    if let Err(difference) = compare(query, &answer, &oracle.answer(query)) {
        panic!("{what}: {difference}\n{query:?}");
    }
}

/// How many questions to ask: `CHATGAUGE_ORACLE_QUERIES`, else 30.
fn questions() -> usize {
    std::env::var("CHATGAUGE_ORACLE_QUERIES").map_or(30, |count| count.parse().unwrap())
}

#[test]
fn answers_over_many_late_and_repeated_requests_are_exact() {
    let month = TimeRange::new(at("2026-10-01T00:00:00Z"), at("2026-11-01T00:00:00Z"));
    let mut records: Vec<RequestRecord> = Workload::new(11, month, 200_000).records().collect();
    let mut rng = StdRng::seed_from_u64(12);
    // One in ten comes late, by any time; one in fifty comes twice.
    let (late, in_time): (Vec<_>, Vec<_>) = records.drain(..).partition(|_| rng.random_bool(0.1));
    let mut arriving = in_time.clone();
    let mut repeated: Vec<_> = in_time.sample(&mut rng, 4_000).cloned().collect();
    repeated.extend(late.iter().cloned());
    repeated.shuffle(&mut rng);
    arriving.extend(repeated);
    let mut pipeline = Pipeline::new();
    let mut accepted = 0;
    for (number, batch) in arriving.chunks(5_000).enumerate() {
        accepted += pipeline.append(batch, month.end).accepted;
        if number % 4 == 3 {
            pipeline.compact(month.end);
        }
    }
    assert_eq!(accepted, 200_000);
    let oracle = Oracle { records: in_time.into_iter().chain(late).collect() };
    let known = oracle.records.clone();
    let mut questions_of = Questions::new(13, month, &known);
    let half = questions() / 2;
    for number in 0..questions() {
        if number == half {
            pipeline.compact(month.end);
            pipeline = pipeline.restart();
        }
        examine(&pipeline, &oracle, &questions_of.next(), &format!("question {number}"));
    }
    assert_eq!(pipeline.mismatches(), Vec::<String>::new());
}

/// Questions about the last two hours that the hot cache can help with.
fn hot_questions(now: Timestamp, rng: &mut StdRng) -> Vec<Query> {
    let start = now.plus_ms(-rng.random_range(1..120) * MINUTE_MS);
    let range = TimeRange::new(start, now.plus_ms(rng.random_range(-2..2) * 7_919));
    let spaces = vec![Name::new("alpha"), Name::new("gamma")];
    let models = vec![Name::new("gpt")];
    let filters = [
        Filter::default(),
        Filter { spaces: spaces.clone(), ..Filter::default() },
        Filter { models: models.clone(), ..Filter::default() },
        Filter { spaces, models, ..Filter::default() },
    ];
    let of = |filter: Filter| {
        let aggregation = *[None, Some(Aggregation::Minute)].choose(rng).unwrap();
        let quantiles = if rng.random() { vec![LatencyKind::Total] } else { Vec::new() };
        Query { filter, aggregation, quantiles, ..Query::total(range) }
    };
    filters.map(of).to_vec()
}

/// Requests that arrive over four hours, asked about all the while.
fn examine_hot_cache(max_bytes: usize) -> Pipeline {
    let mut pipeline = Pipeline::with(|config| config.query.hot_cache_max_bytes = max_bytes);
    let mut rng = StdRng::seed_from_u64(21);
    let mut oracle = Oracle::default();
    let mut now = at("2026-03-01T22:00:00Z");
    for step in 0..48 {
        // Most are new, some up to three hours late.
        let late_ms = if step % 5 == 4 { 180 * MINUTE_MS } else { 5 * MINUTE_MS };
        let range = TimeRange::new(now.plus_ms(-late_ms), now);
        let batch: Vec<_> = (0..60).map(|_| random_record(&mut rng, range)).collect();
        pipeline.append(&batch, now);
        oracle.records.extend(batch);
        match step % 3 {
            0 => pipeline.compact(now),
            1 => {
                pipeline.compact(now);
                pipeline.engine.catch_up(now).unwrap();
            }
            // The cache is behind, or ahead of the rollups.
            _ => pipeline.engine.catch_up(now).unwrap(),
        }
        assert!(pipeline.engine.cache_bytes() <= max_bytes, "{}", pipeline.engine.cache_bytes());
        for query in hot_questions(now, &mut rng) {
            examine(&pipeline, &oracle, &query, &format!("step {step}"));
        }
        now = now.plus_ms(5 * MINUTE_MS);
    }
    pipeline
}

#[test]
fn answers_with_the_hot_cache_are_exact() {
    let pipeline = examine_hot_cache(16_000_000);
    let (hits, _) = pipeline.engine.hot_uses();
    assert!(hits > 50, "the cache helped only {hits} times");
    assert!(pipeline.engine.hot_groups() > 3);
}

#[test]
fn a_hot_cache_that_must_forget_stays_within_its_limit_and_exact() {
    for max_bytes in [300_000, 60_000, 10_000, 0] {
        examine_hot_cache(max_bytes);
    }
}

/// What a page asks for again and again: sums of weeks that end now.
fn weekly_questions(now: Timestamp) -> Vec<Query> {
    let week = Query::total(TimeRange::new(now.plus_ms(-7 * DAY_MS + 7_919), now));
    let by = |dimension| Query { group_by: vec![dimension], ..week.clone() };
    vec![
        by(Dimension::User),
        by(Dimension::Space),
        Query { quantiles: vec![LatencyKind::Total], ..by(Dimension::Model) },
        Query { aggregation: Some(Aggregation::Daily), ..by(Dimension::Space) },
        Query { aggregation: Some(Aggregation::Hourly), ..week.clone() },
        Query { quantiles: LatencyKind::ALL.to_vec(), ..week.clone() },
        Query { metrics: vec![MetricType::RequestRate], ..week },
    ]
}

/// Few records are added to what is kept, more make it be kept anew, many make it be summed anew; of today, of days
/// that are over, and of both.
#[test]
fn sums_that_are_kept_follow_what_comes() {
    let now = at("2026-03-08T15:47:33Z");
    let today = TimeRange::new(now.plus_ms(-3 * 60 * MINUTE_MS), now);
    let week = TimeRange::new(now.plus_ms(-7 * DAY_MS), now);
    let mut pipeline = Pipeline::new();
    let mut oracle = Oracle::default();
    let mut rng = StdRng::seed_from_u64(31);
    for (step, (count, range)) in [
        (8_000, week),
        (0, week),
        (50, today),
        (70, today),
        (900, today),
        (40, week),
        (700, week),
        (200, today),
        (6_000, today),
        (250, week),
    ]
    .into_iter()
    .enumerate()
    {
        let batch: Vec<_> = (0..count).map(|_| random_record(&mut rng, range)).collect();
        pipeline.append(&batch, now);
        oracle.records.extend(batch);
        for is_rolled_up in [false, true] {
            if is_rolled_up {
                pipeline.compact(now);
            }
            for query in weekly_questions(now) {
                examine(&pipeline, &oracle, &query, &format!("step {step}, {is_rolled_up}"));
            }
        }
    }
}

/// Nine thousand requests of the greatest cost are more than 64 bits of nano-dollars.
#[test]
fn a_sum_beyond_64_bits_is_the_greatest_one() {
    let day = TimeRange::new(at("2026-03-01T00:00:00Z"), at("2026-03-02T00:00:00Z"));
    let mut pipeline = Pipeline::new();
    let mut rng = StdRng::seed_from_u64(41);
    let records = (0..9_500).map(|_| RequestRecord {
        cost_nano_usd: Some(1_000_000_000_000_000),
        ..random_record(&mut rng, day)
    });
    let records: Vec<_> = records.collect();
    for batch in records.chunks(2_500) {
        pipeline.append(batch, day.end);
        pipeline.compact(day.end);
    }
    assert_eq!(pipeline.mismatches(), Vec::<String>::new());
    let cost = |pipeline: &Pipeline| {
        let total = pipeline.engine.query(&Query::total(day)).unwrap().into_total();
        total.get(Count::CostNanoUsd)
    };
    assert_eq!(cost(&pipeline), i64::MAX);
    pipeline = pipeline.restart();
    assert_eq!(cost(&pipeline), i64::MAX);
}

/// A page that shows the last week asks for another range each time, of which nearly all stays the same.
#[test]
fn a_range_that_moves_on_finds_what_was_kept() {
    let now = at("2026-03-08T15:47:33Z");
    let week = TimeRange::new(now.plus_ms(-8 * DAY_MS), now.plus_ms(-MINUTE_MS));
    let mut pipeline = Pipeline::new();
    let mut rng = StdRng::seed_from_u64(43);
    let batch: Vec<_> = (0..8_000).map(|_| random_record(&mut rng, week)).collect();
    pipeline.append(&batch, now);
    pipeline.compact(now);
    let ask = |now| {
        weekly_questions(now).iter().for_each(|query| drop(pipeline.engine.query(query).unwrap()));
        pipeline.engine.cache_bytes()
    };
    let kept = ask(now);
    assert!(kept > 0);
    for later_ms in 1..20 {
        assert_eq!(ask(now.plus_ms(later_ms)), kept, "{later_ms} ms later");
    }
}
