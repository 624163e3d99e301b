//! The correctness properties P1 to P9, each over random requests, straight after ingest and again
//! after compaction.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use chatgauge::ingest::wire::{BatchParser, Framing, RecordContext};
use chatgauge::model::record::limits::ROUNDING_US;
use chatgauge::model::{
    Count, Dimension, ErrorStats, ErrorType, Filter, LatencyKind, Measures, MetricType, Name,
    RequestRecord, Sketch, Source, Stat, TimeRange, TimeWindow, TokenUsageStats,
};
use chatgauge::query::{BreakdownQuery, Query, RequestsQuery};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::harness::store::{TestService, at};
use crate::oracle::{Cell, records_in};

const CASES: u32 = 256;
const DAY_MS: i64 = 86_400_000;
type Outcome = Result<(), TestCaseError>;

/// The requests of one case, and what only they have.
struct Case {
    service: TestService,
    range: TimeRange,
    records: Vec<RequestRecord>,
}

impl Case {
    fn ask(&self, query: &Query) -> Measures {
        self.service.engine().query(query).unwrap().into_total()
    }

    fn total(&self) -> Measures {
        self.ask(&Query::total(self.range))
    }

    fn all(&self) -> Cell {
        Cell::of(&self.records)
    }
}

fn runner() -> TestRunner {
    TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() })
}

fn three_hours() -> TimeRange {
    TimeRange::new(at("2026-01-05T22:00:00Z"), at("2026-01-06T01:00:00Z"))
}

/// Checks a property of random requests before and after compaction; all cases share one database,
/// each has days of its own.
fn holds(most: usize, check: impl Fn(&Case) -> Outcome) {
    let service = TestService::start(at("2030-01-01T00:00:00Z"));
    let shared = std::cell::RefCell::new((Some(service), 0));
    let case = |mut records: Vec<RequestRecord>| {
        let (service, number) = {
            let mut shared = shared.borrow_mut();
            shared.1 += 1;
            (shared.0.take().unwrap(), shared.1)
        };
        let shift = 2 * DAY_MS * number;
        for record in &mut records {
            record.started_at = record.started_at.plus_ms(shift);
        }
        let (start, end) = (three_hours().start, three_hours().end);
        let range = TimeRange::new(start.plus_ms(shift), end.plus_ms(shift));
        assert_eq!(service.send(&records).accepted, records.len());
        let case = Case { service, range, records };
        let outcome = check(&case).and_then(|()| {
            case.service.compact().unwrap();
            check(&case)
        });
        shared.borrow_mut().0 = Some(case.service);
        outcome
    };
    runner().run(&records_in(three_hours(), most), case).unwrap();
    let (service, _) = shared.into_inner();
    let found = chatgauge::rollup::check(service.unwrap().store(), &mut |_, _| {}).unwrap();
    assert_eq!(found.mismatches, Vec::<String>::new());
}

#[test]
fn p1_as_many_requests_are_counted_as_were_made() {
    holds(60, |case| {
        let made = i64::try_from(case.records.len()).unwrap();
        prop_assert_eq!(case.total().requests(), made);
        let filter = Filter::default();
        let page = RequestsQuery { range: case.range, filter, limit: 1_000, cursor: None };
        let listed = case.service.requests(&page).unwrap().requests;
        prop_assert_eq!(listed.len(), case.records.len());
        Ok(())
    });
}

#[test]
fn p2_a_window_counts_the_requests_whose_start_lies_in_it() {
    let service = TestService::start(at("2030-01-01T00:00:00Z"));
    let number = std::cell::Cell::new(0);
    let month = TimeRange::new(at("2026-01-01T00:00:00Z"), at("2026-02-05T00:00:00Z"));
    let now = (month.start.as_unix_ms()..month.end.as_unix_ms() + DAY_MS)
        .prop_map(chatgauge::model::Timestamp::from_unix_ms);
    let strategy = (records_in(month, 40), now);
    let case = |(mut records, now): (Vec<RequestRecord>, chatgauge::model::Timestamp)| {
        number.set(number.get() + 1);
        // The other cases share the range: a space of its own tells them apart.
        let space = Name::from(format!("case-{}", number.get()));
        for (position, record) in records.iter_mut().enumerate() {
            record.space = Some(space.clone());
            // Some exactly at the edges of the windows, and beside them.
            if let Some(window) = TimeWindow::ALL.get(position) {
                let edge = if position % 2 == 0 { now } else { window.ending_at(now).start };
                record.started_at = edge.plus_ms(i64::try_from(position % 3).unwrap() - 1);
            }
        }
        service.send(&records);
        let check = || {
            for window in TimeWindow::ALL {
                let range = window.ending_at(now);
                let (start, end) = (range.start, range.end);
                let inside =
                    |record: &&RequestRecord| start <= record.started_at && record.started_at < end;
                let wanted = i64::try_from(records.iter().filter(inside).count()).unwrap();
                let filter = Filter { spaces: vec![space.clone()], ..Filter::default() };
                let query = Query { filter, ..Query::total(range) };
                let found = service.engine().query(&query).unwrap().into_total().requests();
                prop_assert_eq!(found, wanted, "the {} before {}", window.as_str(), now);
            }
            Ok(())
        };
        check()?;
        service.compact().unwrap();
        check()
    };
    runner().run(&strategy, case).unwrap();
}

#[test]
fn p3_the_values_of_a_dimension_add_up_to_the_total() {
    holds(60, |case| {
        let total = case.total();
        for by in [Dimension::Space, Dimension::User, Dimension::Model, Dimension::Provider] {
            for max_series in [2, 50] {
                let group_by = vec![by];
                let query = Query { group_by, max_series, ..Query::total(case.range) };
                prop_assert_eq!(&case.ask(&query).values, &total.values, "{:?}", by);
            }
            for metric in [MetricType::RequestRate, MetricType::TotalTokens] {
                let (range, filter) = (case.range, Filter::default());
                let query =
                    BreakdownQuery { by, metric, stat: Stat::Average, range, filter, limit: 3 };
                let breakdown = case.service.engine().breakdown(&query).unwrap();
                let parts = || breakdown.rows.iter().chain([&breakdown.other]);
                let requests: i64 = parts().map(|row| row.requests).sum();
                prop_assert_eq!(requests, breakdown.total.requests, "{:?}", by);
                prop_assert_eq!(requests, total.requests());
                let sum: f64 = parts().filter_map(|row| row.value).sum();
                prop_assert_eq!(Some(sum), total.value(metric, Stat::Average), "{:?}", by);
            }
        }
        Ok(())
    });
}

#[test]
fn p4_no_stored_request_took_less_than_its_parts() {
    let service = TestService::start(at("2026-01-05T00:00:00Z"));
    let latency = || prop::option::of(0_u32..2_000);
    let case = |latencies: Vec<(Option<u32>, Option<u32>, Option<u32>)>| {
        let context =
            RecordContext::new(service.now(), Source::Rest, service.pseudonymizer().clone());
        let mut parser = BatchParser::new(context, Framing::Auto);
        let mut possible = 0;
        for (total, context, llm) in &latencies {
            let parts = context.unwrap_or(0) + llm.unwrap_or(0);
            possible += usize::from(total.is_none_or(|total| parts <= total));
            let json = serde_json::json!({
                "total_latency_ms": total, "context_latency_ms": context, "llm_latency_ms": llm,
            });
            parser.push(format!("{json}\n").as_bytes()).unwrap();
        }
        let report = parser.finish().unwrap();
        prop_assert!(report.parsed.records.len() >= possible, "a possible request was refused");
        service.send(&report.parsed.records);
        Ok(())
    };
    runner().run(&prop::collection::vec((latency(), latency(), latency()), 1..20), case).unwrap();
    let range = TimeRange::new(at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z"));
    let mut query = RequestsQuery { range, filter: Filter::default(), limit: 1_000, cursor: None };
    let mut checked = 0;
    loop {
        let page = service.requests(&query).unwrap();
        for stored in page.requests {
            let us = |kind| stored.record.latency(kind);
            let Some(total) = us(LatencyKind::Total) else { continue };
            let parts = us(LatencyKind::Context).unwrap_or(0) + us(LatencyKind::Llm).unwrap_or(0);
            assert!(parts <= total + ROUNDING_US, "{parts} us of {total} us");
            checked += 1;
        }
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    assert!(checked > 100, "only {checked} requests had a total");
}

#[test]
fn p5_the_average_is_sum_by_count_and_the_median_the_middle_value() {
    holds(60, |case| {
        let query = Query { quantiles: LatencyKind::ALL.to_vec(), ..Query::total(case.range) };
        let answer = case.service.engine().query(&query).unwrap();
        prop_assert!(answer.exact, "so few requests are answered exactly");
        let total = answer.into_total();
        let all = case.all();
        for kind in LatencyKind::ALL {
            let mut sorted = all.latency_us[kind.index()].clone();
            sorted.sort_unstable();
            let average = (!sorted.is_empty())
                .then(|| sorted.iter().sum::<u64>() as f64 / sorted.len() as f64 / 1_000.0);
            prop_assert_eq!(total.latency_ms(kind, Stat::Average), average);
            let middle = sorted.len().checked_sub(1).map(|last| sorted[last / 2]);
            let middle_ms = middle.map(|us| us as f64 / 1_000.0);
            prop_assert_eq!(total.latency_ms(kind, Stat::Median), middle_ms);
            for stat in Stat::ALL {
                prop_assert_eq!(total.latency_ms(kind, stat), all.latency_ms(kind, stat));
            }
            // Where a sketch answers, within its stated error.
            let mut sketch = Sketch::default();
            sorted.iter().for_each(|us| sketch.add(*us));
            let near = match (sketch.quantile(0.5), middle) {
                (Some(found), Some(us)) => (found - us as f64).abs() <= us as f64 * 0.010_001,
                (found, wanted) => found.is_none() && wanted.is_none(),
            };
            prop_assert!(near, "{:?} for {:?}", sketch.quantile(0.5), middle);
        }
        Ok(())
    });
}

#[test]
fn p6_total_tokens_are_prompt_and_completion_tokens() {
    holds(60, |case| {
        let sum = |of: fn(&RequestRecord) -> Option<u64>| {
            i64::try_from(case.records.iter().filter_map(of).sum::<u64>()).unwrap()
        };
        let tokens = TokenUsageStats::totals(&case.total());
        prop_assert_eq!(tokens.prompt, sum(|record| record.prompt_tokens));
        prop_assert_eq!(tokens.completion, sum(|record| record.completion_tokens));
        prop_assert_eq!(tokens.total, tokens.prompt + tokens.completion);
        let query = Query { group_by: vec![Dimension::User], ..Query::total(case.range) };
        for series in case.service.engine().query(&query).unwrap().series {
            let user = TokenUsageStats::totals(&series.buckets[0]);
            prop_assert_eq!(user.total, user.prompt + user.completion);
        }
        Ok(())
    });
}

#[test]
fn p7_the_error_rate_is_errors_by_requests() {
    holds(60, |case| {
        let errors = case.records.iter().filter(|r| r.outcome.error_type().is_some()).count();
        let (errors, requests) = (errors as f64, case.records.len() as f64);
        let rate = (requests > 0.0).then(|| errors * 100.0 / requests);
        let total = case.total();
        prop_assert_eq!(total.value(MetricType::ErrorRate, Stat::Average), rate);
        prop_assert_eq!(ErrorStats::from(&total).total_error_rate, rate);
        Ok(())
    });
}

#[test]
fn p8_every_error_is_of_exactly_one_type() {
    holds(60, |case| {
        let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
        for kind in case.records.iter().filter_map(|record| record.outcome.error_type()) {
            *wanted.entry(kind.as_str()).or_default() += 1;
        }
        let all: i64 = wanted.values().sum();
        let total = case.total();
        let stats = ErrorStats::from(&total);
        prop_assert_eq!(stats.total_errors, all);
        prop_assert_eq!(stats.error_count_by_type.values().sum::<i64>(), all);
        for kind in ErrorType::ALL {
            let found = stats.error_count_by_type[kind.as_str()];
            prop_assert_eq!(found, wanted.get(kind.as_str()).copied().unwrap_or(0));
        }
        let breakdown = BreakdownQuery {
            by: Dimension::ErrorType,
            metric: MetricType::RequestRate,
            stat: Stat::Average,
            range: case.range,
            filter: Filter::default(),
            limit: 50,
        };
        let breakdown = case.service.engine().breakdown(&breakdown).unwrap();
        let rows = breakdown.rows.iter().map(|row| (row.name.as_str(), row.requests));
        prop_assert_eq!(rows.collect::<BTreeMap<_, _>>(), wanted);
        prop_assert_eq!(breakdown.total.requests, all);
        Ok(())
    });
}

#[test]
fn p9_hits_and_misses_are_all_requests() {
    holds(60, |case| {
        let hits = case.records.iter().filter(|record| record.cache_hit).count();
        let requests = case.records.len();
        let total = case.total();
        let found = total.get(Count::CacheHits);
        prop_assert_eq!(found, i64::try_from(hits).unwrap());
        prop_assert_eq!(total.requests() - found, i64::try_from(requests - hits).unwrap());
        let rate = (requests > 0).then(|| hits as f64 * 100.0 / requests as f64);
        prop_assert_eq!(total.value(MetricType::CacheHitRate, Stat::Average), rate);
        Ok(())
    });
}
