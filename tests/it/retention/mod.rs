//! What has outlived its time goes, and nothing else; totals stay.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod after;
mod kept;

use chatgauge::model::{LatencyKind, Measures, RequestId, RequestRecord, TimeRange, Timestamp};
use chatgauge::query::Query;
use chatgauge::rollup::RetentionReport;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::harness::store::{Pipeline, at};
use crate::oracle::{Cell, Oracle, Questions, compare, compare_cell, random_record};

const DAY_MS: i64 = 86_400_000;

fn march() -> TimeRange {
    TimeRange::new(at("2026-03-01T00:00:00Z"), at("2026-03-11T00:00:00Z"))
}

fn records(seed: u64, count: usize, range: TimeRange) -> Vec<RequestRecord> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random_record(&mut rng, range)).collect()
}

/// Ten days of requests, rolled up on arrival at the end of the last one.
fn ten_days(pipeline: &mut Pipeline, count: usize) -> Vec<RequestRecord> {
    let records = records(1, count, march());
    pipeline.append(&records, march().end);
    pipeline.compact(march().end);
    records
}

/// Everything in whole days, percentiles too.
fn whole_days(range: TimeRange) -> Query {
    Query { quantiles: LatencyKind::ALL.to_vec(), ..Query::total(range) }
}

fn ask(pipeline: &Pipeline, query: &Query) -> Measures {
    pipeline.engine.query(query).unwrap().into_total()
}

/// Asserts that the days add up to `records`, whatever is gone.
fn assert_totals(pipeline: &Pipeline, records: &[RequestRecord]) {
    let query = whole_days(march());
    let answer = pipeline.engine.query(&query).unwrap();
    let exact = answer.exact;
    compare_cell(&query, exact, &answer.into_total(), &Cell::of(records)).unwrap();
    assert_eq!(pipeline.mismatches(), Vec::<String>::new());
}

fn raw_rows(pipeline: &Pipeline) -> usize {
    count(pipeline, "requests")
}

fn count(pipeline: &Pipeline, table: &str) -> usize {
    let connection = rusqlite::Connection::open(&pipeline.config.store.path).unwrap();
    let sql = format!("select count(*) from {table}");
    let rows: i64 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
    usize::try_from(rows).unwrap()
}

fn rollup_rows(pipeline: &Pipeline, level_minutes: u32) -> usize {
    count(pipeline, &format!("_rollup_all where level_minutes = {level_minutes}"))
}

/// The instant at which the last of the ten days is `days` old.
fn days_later(days: i64) -> Timestamp {
    march().end.plus_ms(days * DAY_MS)
}

#[test]
fn each_level_goes_at_its_own_age_and_totals_stay() {
    let mut pipeline = Pipeline::with(|config| {
        config.retention.raw_days = 5;
        config.retention.minute_days = 10;
        config.retention.quarter_hour_days = 20;
    });
    let records = ten_days(&mut pipeline, 3_000);
    assert_eq!(pipeline.prune(days_later(4)), RetentionReport::default());

    assert_eq!(pipeline.prune(days_later(5)).raw_rows, 3_000);
    assert_eq!(raw_rows(&pipeline), 0);
    assert!(rollup_rows(&pipeline, 1) > 0);
    assert_totals(&pipeline, &records);

    assert!(pipeline.prune(days_later(10)).rollup_rows > 0);
    assert_eq!(rollup_rows(&pipeline, 1), 0);
    assert!(rollup_rows(&pipeline, 15) > 0);
    assert_totals(&pipeline, &records);

    assert!(pipeline.prune(days_later(20)).rollup_rows > 0);
    assert_eq!(rollup_rows(&pipeline, 15), 0);
    assert_eq!(rollup_rows(&pipeline, 1_440), 10, "days stay for ever");
    assert_totals(&pipeline, &records);

    // A part of a day can no longer be told, and the answer says so.
    let noon = TimeRange::new(march().start.plus_ms(DAY_MS / 2), march().end);
    let answer = pipeline.engine.query(&whole_days(noon)).unwrap();
    assert!(answer.complete_from.is_some());

    // Of whole days, everything that days are kept by can still be asked.
    let oracle = Oracle { records: records.clone() };
    let mut questions = Questions::new(9, march(), &records).whole_days();
    let mut complete = 0;
    for _ in 0..150 {
        let query = questions.next();
        let answer = pipeline.engine.query(&query).unwrap();
        if answer.complete_from.is_none() {
            complete += 1;
            compare(&query, &answer, &oracle.answer(&query)).unwrap();
        }
    }
    assert!(complete > 50, "only {complete} complete answers");

    pipeline = pipeline.restart();
    assert_totals(&pipeline, &records);
    assert_eq!(pipeline.prune(days_later(21)), RetentionReport::default());
}

#[test]
fn only_the_days_that_are_old_enough_go() {
    let mut pipeline = Pipeline::with(|config| config.retention.raw_days = 5);
    let mut records = records(2, 2_000, march());
    records.sort_by_key(|record| record.started_at);
    // Each day arrives when it ends.
    for day in 0..10 {
        let start = march().start.plus_ms(day * DAY_MS);
        let day = TimeRange::new(start, start.plus_ms(DAY_MS));
        let its: Vec<_> =
            records.iter().filter(|record| day.contains(record.started_at)).cloned().collect();
        pipeline.append(&its, day.end);
        pipeline.compact(day.end);
    }
    let now = march().start.plus_ms(9 * DAY_MS);
    let kept_from = march().start.plus_ms(4 * DAY_MS);
    let old = records.iter().filter(|record| record.started_at < kept_from).count();
    assert_eq!(pipeline.prune(now).raw_rows, old);
    assert_eq!(raw_rows(&pipeline), records.len() - old);
    assert_totals(&pipeline, &records);
}

#[test]
fn history_that_is_imported_is_kept_on_arrival() {
    let mut pipeline = Pipeline::with(|config| config.retention.raw_days = 5);
    let arrival = march().end.plus_ms(700 * DAY_MS);
    let records = records(3, 1_000, march());
    pipeline.append(&records, arrival);
    pipeline.compact(arrival);
    assert_eq!(pipeline.prune(arrival.plus_ms(5 * DAY_MS - 1)), RetentionReport::default());
    assert_totals(&pipeline, &records);
    assert_eq!(pipeline.prune(arrival.plus_ms(5 * DAY_MS)).raw_rows, 1_000);
    assert_totals(&pipeline, &records);
}

#[test]
fn raw_rows_that_are_not_rolled_up_yet_are_never_deleted() {
    let mut pipeline = Pipeline::with(|config| config.retention.raw_days = 1);
    let mut records = ten_days(&mut pipeline, 1_000);
    let late = self::records(4, 500, march());
    pipeline.append(&late, march().end);
    records.extend(late);
    assert_eq!(pipeline.prune(days_later(3)).raw_rows, 1_000);
    assert_eq!(raw_rows(&pipeline), 500);
    assert_eq!(ask(&pipeline, &Query::total(march())).requests(), 1_500);
    pipeline.compact(days_later(3));
    assert_totals(&pipeline, &records);
}

#[test]
fn a_record_that_is_imported_into_a_pruned_day_is_counted_once() {
    let mut pipeline = Pipeline::with(|config| config.retention.raw_days = 1);
    let mut records = ten_days(&mut pipeline, 1_000);
    pipeline.prune(days_later(1));
    assert_eq!(raw_rows(&pipeline), 0);
    let mut late = self::records(5, 50, march());
    for record in &mut late {
        record.allow_pruned_day = true;
    }
    let first = pipeline.append(&late, days_later(2));
    assert_eq!((first.accepted, first.in_pruned_days.values().sum()), (50, 50_usize));
    let again = pipeline.append(&late, days_later(2));
    assert_eq!((again.accepted, again.duplicates.len()), (0, 50), "their raw rows are there");
    records.extend(late);
    assert_totals(&pipeline, &records);
    pipeline.compact(days_later(2));
    assert_totals(&pipeline, &records);
    // They outlive their time in turn, and the day is still counted once.
    assert_eq!(pipeline.prune(days_later(3)).raw_rows, 50);
    assert_eq!(raw_rows(&pipeline), 0);
    assert_totals(&pipeline, &records);
}

#[test]
fn the_oldest_raw_rows_make_room_and_the_file_shrinks() {
    const MAX_BYTES: u64 = 4_000_000;
    let mut pipeline = Pipeline::with(|config| config.retention.max_bytes = Some(MAX_BYTES));
    let mut records = records(6, 20_000, march());
    records.sort_by_key(|record| record.started_at);
    pipeline.append(&records, march().end);
    pipeline.compact(march().end);
    // Moves everything from the log to the file.
    pipeline = pipeline.restart();
    let before = pipeline.store.file_sizes().database_bytes;
    assert!(before > MAX_BYTES, "{before}");
    let report = pipeline.prune(march().end);
    assert!(report.raw_rows > 0 && report.freed_bytes > 0, "{report:?}");
    pipeline = pipeline.restart();
    let after = pipeline.store.file_sizes().database_bytes;
    assert!(after < before, "{after} of {before}");
    let freed = u64::try_from(report.freed_bytes).unwrap();
    assert!(before - after >= freed / 2, "{before} - {after}, {freed} freed");
    assert!(after <= MAX_BYTES, "{after}");
    assert_totals(&pipeline, &records);
}

#[test]
fn a_limit_of_size_never_takes_the_day_that_is_not_over() {
    let mut pipeline = Pipeline::with(|config| config.retention.max_bytes = Some(1));
    let records = ten_days(&mut pipeline, 2_000);
    let last_day = TimeRange::new(march().end.plus_ms(-DAY_MS), march().end);
    let evening = last_day.end.plus_ms(-1);
    let kept = records.iter().filter(|record| last_day.contains(record.started_at)).count();
    assert_eq!(pipeline.prune(evening).raw_rows, records.len() - kept);
    assert_eq!(raw_rows(&pipeline), kept);
    // Its records are taken as before; those of the days before are not.
    let mut rng = StdRng::seed_from_u64(7);
    let new = random_record(&mut rng, last_day);
    assert_eq!(pipeline.append(&[new], evening).accepted, 1);
    let late = random_record(&mut rng, TimeRange::new(march().start, last_day.start));
    assert_eq!(pipeline.append(&[late], evening).after_retention, [0]);
    assert_eq!(pipeline.prune(march().end).raw_rows, kept, "a new record is not rolled up yet");
}

#[test]
fn ids_that_came_without_a_time_are_forgotten_after_two_days() {
    let pipeline = Pipeline::new();
    let now = march().start;
    let undated = |at: Timestamp| {
        let mut record =
            RequestRecord::new(RequestId::parse("order-17"), at, chatgauge::model::Source::Rest);
        record.dated_on_arrival = true;
        [record]
    };
    assert_eq!(pipeline.append(&undated(now), now).accepted, 1);
    let next_day = now.plus_ms(DAY_MS);
    pipeline.prune(next_day);
    assert_eq!(pipeline.append(&undated(next_day), next_day).accepted, 0);
    assert_eq!(count(&pipeline, "_undated_ids"), 1);
    let later = now.plus_ms(2 * DAY_MS + 1);
    pipeline.prune(later);
    assert_eq!(count(&pipeline, "_undated_ids"), 0);
}
