//! Pages of stored requests: each request once, in one order, at a cost that does not depend on where a page lies.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chatgauge::model::{
    ErrorType, Filter, LatencyBounds, LatencyKind, Name, Outcome, RequestId, RequestRecord, Source,
    TimeRange,
};
use chatgauge::query::{Engine, NameCache, PageCursor, RequestsQuery};
use chatgauge::store::Stop;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::harness::TestServer;
use crate::harness::store::{Pipeline, at};
use crate::oracle::random_record;

const HOUR_MS: i64 = 3_600_000;

fn day() -> TimeRange {
    TimeRange::new(at("2026-03-01T00:00:00Z"), at("2026-03-02T00:00:00Z"))
}

fn query(range: TimeRange, filter: Filter, limit: usize) -> RequestsQuery {
    RequestsQuery { range, filter, limit, cursor: None }
}

/// All pages after one another; `stop` as [`Engine::requests`] asks it.
fn all_pages(engine: &Engine, query: &RequestsQuery, stop: bool) -> Vec<(i64, RequestRecord)> {
    let mut query = query.clone();
    let mut listed = Vec::new();
    loop {
        let page = engine.requests(&query, &mut || stop).unwrap();
        assert!(page.requests.len() <= query.limit);
        assert!(stop || page.next_cursor.is_none() || page.requests.len() == query.limit);
        assert!(page.next_cursor.is_none() || page.next_cursor != query.cursor, "no page is stuck");
        listed.extend(page.requests.into_iter().map(|stored| (stored.seq, stored.record)));
        match page.next_cursor {
            // A client sends it as text.
            Some(cursor) => query.cursor = PageCursor::from_bytes(&cursor.to_bytes()),
            None => return listed,
        }
    }
}

/// A filter, and the same in Rust.
type Case = (Filter, fn(&RequestRecord) -> bool);

fn filters() -> Vec<Case> {
    let names = |names: &[&str]| names.iter().copied().map(Name::new).collect::<Vec<_>>();
    let all = Filter::default;
    let bounds = LatencyBounds { kind: LatencyKind::Total, min_us: 5_000_000_000, max_us: None };
    vec![
        (all(), |_| true),
        (Filter { spaces: names(&["alpha"]), ..all() }, |record| {
            record.space.as_deref() == Some("alpha")
        }),
        (Filter { users: names(&["u_03"]), ..all() }, |record| {
            record.user.as_deref() == Some("u_03")
        }),
        (Filter { users: names(&["u_03", "u_rare"]), ..all() }, |record| {
            matches!(record.user.as_deref(), Some("u_03" | "u_rare"))
        }),
        (Filter { users: names(&["u_rare"]), ..all() }, |record| {
            record.user.as_deref() == Some("u_rare")
        }),
        (Filter { users: names(&["u_rare"]), outcomes: vec!["success"], ..all() }, |record| {
            record.user.as_deref() == Some("u_rare") && record.outcome == Outcome::Success
        }),
        (Filter { error_types: vec![ErrorType::Auth], ..all() }, |record| {
            record.outcome == Outcome::Error(ErrorType::Auth)
        }),
        (Filter { latency: Some(bounds), ..all() }, |record| {
            record.latency(LatencyKind::Total).is_some_and(|us| us >= 5_000_000_000)
        }),
        (Filter { spaces: names(&["nowhere"]), ..all() }, |_| false),
    ]
}

/// Requests of a day; many of them started in one and the same millisecond, and some users hardly ever.
fn crowded(count: usize) -> Vec<RequestRecord> {
    let mut rng = StdRng::seed_from_u64(12);
    let mut records: Vec<_> = (0..count).map(|_| random_record(&mut rng, day())).collect();
    for (position, record) in records.iter_mut().enumerate() {
        if position % 3 == 0 {
            record.started_at = day().start.plus_ms(7 * HOUR_MS);
        }
        if position % 701 == 0 {
            record.user = Some(Name::new("u_rare"));
        }
    }
    records
}

#[test]
fn pages_of_any_size_have_every_request_once_in_one_order() {
    let pipeline = Pipeline::new();
    let records = crowded(6_000);
    pipeline.append(&records, day().end);
    let parts = [
        day(),
        TimeRange::new(day().start.plus_ms(7 * HOUR_MS), day().start.plus_ms(7 * HOUR_MS + 1)),
        TimeRange::new(day().start.plus_ms(HOUR_MS + 77), day().start.plus_ms(7 * HOUR_MS)),
        TimeRange::new(day().end, day().end.plus_ms(HOUR_MS)),
    ];
    for (filter, matches) in filters() {
        for range in parts {
            let is_wanted =
                |record: &&RequestRecord| range.contains(record.started_at) && matches(record);
            let wanted: HashSet<_> =
                records.iter().filter(is_wanted).map(|record| record.request_id.clone()).collect();
            let whole = all_pages(&pipeline.engine, &query(range, filter.clone(), 1_000), false);
            assert_eq!(whole.len(), wanted.len(), "{filter:?}");
            assert!(whole.iter().all(|(_, record)| wanted.contains(&record.request_id)));
            assert!(whole.is_sorted_by(|(_, a), (_, b)| a.started_at >= b.started_at));
            for (limit, stop) in [(1, false), (7, false), (100, true), (250, false)] {
                // One at a time is slow, and does not need thousands to go wrong.
                if limit == 1 && wanted.len() > 2_500 {
                    continue;
                }
                let query = query(range, filter.clone(), limit);
                assert!(all_pages(&pipeline.engine, &query, stop) == whole, "{limit} {filter:?}");
            }
        }
    }
}

#[test]
fn what_arrives_between_two_pages_moves_nothing() {
    let pipeline = Pipeline::new();
    let records = crowded(900);
    pipeline.append(&records, day().end);
    let mut query = query(day(), Filter::default(), 100);
    let mut ids = Vec::new();
    let mut rng = StdRng::seed_from_u64(13);
    loop {
        let page = pipeline.engine.requests(&query, &mut || false).unwrap();
        ids.extend(page.requests.iter().map(|stored| stored.record.request_id.clone()));
        let Some(cursor) = page.next_cursor else { break };
        query.cursor = Some(cursor);
        // Newer than every page, and in the millisecond of the crowd.
        let mut late = random_record(&mut rng, day());
        late.started_at = day().end.plus_ms(-1);
        let mut crowd = random_record(&mut rng, day());
        crowd.started_at = day().start.plus_ms(7 * HOUR_MS);
        pipeline.append(&[late, crowd], day().end);
    }
    let found: HashSet<_> = ids.iter().cloned().collect();
    assert_eq!(found.len(), ids.len(), "none comes twice");
    assert!(records.iter().all(|record| found.contains(&record.request_id)), "none is missed");
}

#[test]
fn an_export_ends_with_what_was_there_when_it_began() {
    let pipeline = Pipeline::new();
    let records = crowded(500);
    pipeline.append(&records, day().end);
    let upto_seq = pipeline.store.read(|reader| reader.last_seq()).unwrap();
    let mut names = NameCache::default();
    for (filter, matches) in filters() {
        let mut query = query(day(), filter, 60);
        let mut found = 0;
        loop {
            let cursor = pipeline
                .engine
                .stored(&query, Some(upto_seq), &mut names, &mut || false, |seq, _| {
                    assert!(seq <= upto_seq);
                    found += 1;
                })
                .unwrap();
            pipeline.append(&crowded(40), day().end);
            query.cursor = cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, records.iter().filter(|record| matches(record)).count());
    }
}

/// Counts steps of SQLite's machine, in units of 4,000.
fn counting(pipeline: &Pipeline) -> (Engine, Arc<AtomicU64>) {
    let steps = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&steps);
    let store = pipeline.store.with_stop(Arc::new(move || {
        let counter = Arc::clone(&counter);
        Box::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            false
        }) as Stop
    }));
    (Engine::new(store, &pipeline.config.query), steps)
}

#[test]
fn the_last_page_costs_no_more_than_the_first() {
    const REQUESTS: i64 = 60_000;
    let pipeline = Pipeline::new();
    let record = |number: i64| {
        // The older half started in one millisecond.
        let started_at = day().start.plus_ms((number - REQUESTS / 2).max(0) * 1_000);
        let mut record = RequestRecord::new(
            RequestId::Text(Name::from(format!("r-{number}"))),
            started_at,
            Source::Rest,
        );
        record.space = Some(Name::new(if number % 2 == 0 { "even" } else { "odd" }));
        record.user = Some(Name::new(if number % 4 == 0 { "u_often" } else { "u_others" }));
        record
    };
    let records: Vec<_> = (0..REQUESTS).map(record).collect();
    pipeline.append(&records, day().end);
    let (engine, steps) = counting(&pipeline);
    let named = |name| vec![Name::new(name)];
    for filter in [
        Filter::default(),
        Filter { spaces: named("odd"), ..Filter::default() },
        Filter { users: named("u_often"), ..Filter::default() },
    ] {
        let mut query = query(TimeRange::new(day().start, day().end), filter, 100);
        let (mut pages, mut most) = (0, 0);
        loop {
            steps.store(0, Ordering::Relaxed);
            let page = engine.requests(&query, &mut || false).unwrap();
            let took = steps.load(Ordering::Relaxed);
            most = most.max(took);
            pages += 1;
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        assert!(pages >= 150, "{pages}");
        // A page that reads from the end of the range again takes hundreds.
        assert!(most <= 25, "{most} times 4,000 steps for one page of {:?}", query.filter);
    }
}

#[test]
fn a_page_of_a_rare_filter_ends_in_time_and_says_where_to_go_on() {
    let pipeline = Pipeline::new();
    let mut records: Vec<_> = (0..40_000)
        .map(|number: i64| {
            let id = RequestId::Text(Name::from(format!("r-{number}")));
            RequestRecord::new(id, day().start.plus_ms(number * 2_000), Source::Rest)
        })
        .collect();
    records[5].outcome = Outcome::Error(ErrorType::Auth);
    records[39_000].outcome = Outcome::Error(ErrorType::Auth);
    pipeline.append(&records, day().end);
    let filter = Filter { error_types: vec![ErrorType::Auth], ..Filter::default() };
    let query = query(day(), filter, 100);
    let first = pipeline.engine.requests(&query, &mut || true).unwrap();
    assert_eq!(first.requests.len(), 1, "what was found until then");
    assert!(first.next_cursor.is_some());
    let mut pages = 0;
    let mut query = RequestsQuery { cursor: first.next_cursor, ..query };
    let oldest = loop {
        let page = pipeline.engine.requests(&query, &mut || true).unwrap();
        pages += 1;
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break page.requests.into_iter().next().unwrap();
        }
        assert!(page.requests.is_empty());
    };
    assert!(pages > 2, "{pages} pages");
    assert_eq!(oldest.record.request_id, records[5].request_id);
    let whole = pipeline.engine.requests(&RequestsQuery { cursor: None, ..query }, &mut || false);
    assert_eq!(whole.unwrap().requests.len(), 2, "with time enough it is one page");
}

#[test]
fn cursors_of_the_api_lead_through_equal_times_and_old_ones_are_refused_with_words() {
    let server = TestServer::start();
    let records: Vec<_> = (0..25)
        .map(|number| json!({"request_id": format!("r-{number}"), "started_at": "2026-03-01T12:00:00Z"}))
        .collect();
    server.ingest(&json!(records));
    let mut path = "/api/requests?start=2026-03-01&end=2026-03-02&limit=10".to_owned();
    let mut ids = HashSet::new();
    for size in [10, 10, 5] {
        let body = server.get(&path).json();
        let listed = body["requests"].as_array().unwrap();
        assert_eq!(listed.len(), size);
        ids.extend(listed.iter().map(|request| request["request_id"].as_str().unwrap().to_owned()));
        let cursor = body["next_cursor"].as_str();
        assert_eq!(cursor.is_none(), size == 5);
        path = format!(
            "/api/requests?start=2026-03-01&end=2026-03-02&limit=10&cursor={}",
            cursor.unwrap_or_default()
        );
    }
    assert_eq!(ids.len(), 25);
    // Start and order of arrival, without the end of an id.
    let refused = server.get("/api/requests?cursor=AAABogxvKY8AAAAAAAALxg");
    assert_eq!(refused.status, 400);
    let problem = refused.json();
    assert_eq!(problem["errors"][0]["parameter"], "cursor", "{problem}");
    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("ask for the first page again"), "{detail}");
}
