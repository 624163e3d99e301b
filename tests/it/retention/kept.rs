//! What is asked of days whose raw rows are gone: by name as by all, before as after a restart.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use chatgauge::generate::Workload;
use chatgauge::model::{Dimension, Filter, MetricType, Name, Stat, TimeRange, Timestamp};
use chatgauge::query::{Breakdown, BreakdownQuery};

use crate::harness::store::{Pipeline, at};

const DAY_MS: i64 = 86_400_000;

fn days() -> TimeRange {
    TimeRange::new(at("2026-03-01T00:00:00Z"), at("2026-03-06T00:00:00Z"))
}

/// Five days of requests, rolled up on arrival at the end of the last one.
fn five_days(configure: impl FnOnce(&mut chatgauge::Config)) -> Pipeline {
    let mut pipeline = Pipeline::with(configure);
    let records: Vec<_> = Workload::new(5, days(), 4_000).records().collect();
    pipeline.append(&records, days().end);
    pipeline.compact(days().end);
    pipeline
}

fn top(pipeline: &Pipeline, by: Dimension, filter: Filter, range: TimeRange) -> Breakdown {
    let query = BreakdownQuery {
        by,
        metric: MetricType::RequestRate,
        stat: Stat::Average,
        filter,
        range,
        limit: 5,
    };
    pipeline.engine.breakdown(&query).unwrap()
}

fn later(days_later: i64) -> Timestamp {
    days().end.plus_ms(days_later * DAY_MS)
}

#[test]
fn a_named_group_has_the_requests_that_it_has_among_all() {
    let pipeline = five_days(|config| {
        config.retention.raw_days = 1;
        config.retention.minute_days = 2;
        config.retention.quarter_hour_days = 400;
    });
    assert!(pipeline.prune(later(3)).raw_rows > 0);
    for from in ["2026-03-01T10:07:00Z", "2026-03-02T00:00:00.001Z", "2026-03-03T23:59:00Z"] {
        let range = TimeRange::new(at(from), days().end);
        for by in [Dimension::User, Dimension::Space, Dimension::Model] {
            let all = top(&pipeline, by, Filter::default(), range);
            assert!(!all.rows.is_empty());
            for row in &all.rows {
                let names = vec![Name::new(row.name.as_str())];
                let filter = match by {
                    Dimension::User => Filter { users: names, ..Filter::default() },
                    Dimension::Space => Filter { spaces: names, ..Filter::default() },
                    _ => Filter { models: names, ..Filter::default() },
                };
                let alone = top(&pipeline, by, filter, range);
                assert_eq!(alone.total.requests, row.requests, "{by:?} {} from {from}", row.name);
            }
        }
    }
}

#[test]
fn sums_that_were_kept_before_rows_went_are_those_of_a_new_start() {
    let mut pipeline = five_days(|config| config.retention.raw_days = 1);
    let cut = at("2026-03-03T13:00:00Z");
    let ranges = [
        TimeRange::new(at("2026-03-03T00:00:00Z"), cut),
        TimeRange::new(cut, at("2026-03-04T00:00:00Z")),
        TimeRange::new(days().start, cut),
        TimeRange::new(cut, days().end),
    ];
    let ask = |pipeline: &Pipeline| {
        let top = |range| top(pipeline, Dimension::User, Filter::default(), range);
        ranges.map(|range| format!("{:?}", top(range)))
    };
    let whole = ask(&pipeline);
    assert!(pipeline.prune(later(3)).raw_rows > 0);
    let warm = ask(&pipeline);
    pipeline = pipeline.restart();
    let fresh = ask(&pipeline);
    assert_eq!(warm, fresh);
    assert_ne!(whole, fresh);
}
