//! Every answer equals the naive one over the raw records, at every stage of the pipeline.

use chatgauge::model::{RequestRecord, TimeRange};
use chatgauge::query::{Query, QueryResult};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::harness::store::{Pipeline, at};
use crate::oracle::{Oracle, Questions, compare, random_record};

/// Clocks change on 4 October on Lord Howe Island, on 25 October in Warsaw, on 1 November in New York.
fn autumn() -> TimeRange {
    TimeRange::new(at("2026-09-30T00:00:00Z"), at("2026-11-04T00:00:00Z"))
}

/// Asks `count` questions and compares the answers.
fn examine(
    stage: &str,
    questions: &mut Questions<'_>,
    oracle: &Oracle,
    count: usize,
    ask: impl Fn(&Query) -> QueryResult,
) {
    for number in 0..count {
        let query = questions.next();
        let answer = ask(&query);
        assert_eq!(answer.complete_from, None, "{stage} {number}: nothing is gone: {query:?}");
        let expected = oracle.answer(&query);
        if let Err(difference) = compare(&query, &answer, &expected) {
            panic!("{stage}, question {number}: {difference}\n{query:?}");
        }
    }
}

fn random_records(seed: u64, count: usize, range: TimeRange) -> Vec<RequestRecord> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random_record(&mut rng, range)).collect()
}

#[test]
fn every_answer_is_exact_before_in_the_middle_of_and_after_compaction_and_restarts() {
    let now = autumn().end;
    let mut pipeline = Pipeline::new();
    let mut oracle = Oracle { records: random_records(1, 4_000, autumn()) };
    pipeline.append(&oracle.records, now);
    let known = oracle.records.clone();
    let mut questions = Questions::new(2, autumn(), &known);
    let mut ask = |stage: &str, pipeline: &Pipeline, oracle: &Oracle, count: usize| {
        examine(stage, &mut questions, oracle, count, |query| {
            pipeline.engine.query(query).unwrap()
        });
    };
    assert_eq!(pipeline.lag(), 4_000);
    ask("straight after ingest", &pipeline, &oracle, 150);
    for left in [3_000, 2_000] {
        pipeline.compact_step(now);
        assert_eq!(pipeline.lag(), left);
        ask("mid compaction", &pipeline, &oracle, 150);
    }
    pipeline = pipeline.crash();
    ask("after a crash in mid compaction", &pipeline, &oracle, 100);
    pipeline.compact(now);
    assert_eq!(pipeline.lag(), 0);
    ask("compacted", &pipeline, &oracle, 250);

    // Late ones, and some of the old ones again.
    let late = random_records(3, 1_500, autumn());
    let again: Vec<RequestRecord> = late.iter().chain(&known[..700]).cloned().collect();
    assert_eq!(pipeline.append(&again, now).duplicates.len(), 700);
    oracle.records.extend(late);
    ask("with late records", &pipeline, &oracle, 150);
    pipeline = pipeline.restart();
    ask("restarted", &pipeline, &oracle, 100);
    // More than 5,000 requests now: percentiles come from sketches.
    pipeline.compact(now);
    ask("with late records compacted", &pipeline, &oracle, 250);
    assert_eq!(pipeline.mismatches(), Vec::<String>::new());
}
