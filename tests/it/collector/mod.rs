//! The in-process collector: every request ends exactly once, costs its caller nothing, and leaks
//! nothing.

mod sequences;
mod waiting;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chatgauge::collector::{
    ABANDONED_CODE, CollectorQueue, Completion, Identify, OPEN_BY_ID_MAX, PANIC_CODE, RequestGuard,
};
use chatgauge::config::IngestConfig;
use chatgauge::model::record::limits;
use chatgauge::model::{
    CostSource, ErrorType, LatencyKind, ManualClock, Name, Outcome, RequestId, RequestRecord,
    Source, Timestamp,
};
use chatgauge::{Config, RequestInfo, TelemetryCollector, Usage};

const START_MS: i64 = 1_800_000_000_000;

struct Plain;

impl Identify for Plain {
    fn user(&self, user: &str) -> Name {
        Name::from(format!("u_{user}"))
    }

    fn session(&self, session: &str) -> i64 {
        i64::try_from(session.len()).expect("short")
    }

    fn identifier(&self, identifier: &str) -> Name {
        Name::new(identifier)
    }
}

struct Rig {
    clock: Arc<ManualClock>,
    telemetry: TelemetryCollector,
    queue: CollectorQueue,
}

impl Rig {
    fn new() -> Self {
        Self::with_capacity(1_000)
    }

    fn with_capacity(collector_queue_max_records: usize) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_ms(START_MS)));
        let config = IngestConfig { collector_queue_max_records, ..Config::default().ingest };
        let (telemetry, queue) = TelemetryCollector::new(&config, clock.clone());
        Self { clock, telemetry, queue }
    }

    fn start(&self) -> RequestGuard {
        self.telemetry.start_request(RequestInfo::chat("gpt-5"))
    }

    fn records(&mut self) -> Vec<RequestRecord> {
        let batch = self.queue.next_batch(usize::MAX, Duration::ZERO);
        batch.into_iter().map(|request| request.into_record(&Plain).expect("dated")).collect()
    }

    fn record(&mut self) -> RequestRecord {
        let mut records = self.records();
        assert_eq!(records.len(), 1);
        records.remove(0)
    }
}

#[test]
fn a_whole_request_becomes_a_whole_record() {
    let mut rig = Rig::new();
    let info = RequestInfo::chat("gpt-5")
        .user("alice")
        .space("sales")
        .session("s-12")
        .provider("proxy")
        .streamed(true)
        .request_id("req_1")
        .tag("tier", "pro")
        .tag("app", "web");
    let mut request = rig.telemetry.start_request(info);
    rig.clock.advance_ms(30);
    request.context_assembled();
    request.cache_lookup(false);
    rig.clock.advance_ms(5);
    request.llm_call("openai", "gpt-5").fail(ErrorType::RateLimit);
    assert_eq!(request.last_failure(), Some(ErrorType::RateLimit));
    let mut llm = request.llm_call("openai", "gpt-5-mini");
    rig.clock.advance_ms(200);
    llm.first_token();
    rig.clock.advance_ms(300);
    llm.first_token();
    llm.usage(Usage { cached_prompt_tokens: Some(64), ..Usage::new(100, 20) });
    llm.ok();
    assert_eq!(request.last_failure(), None);
    request.finish_reason("stop");
    request.http_status(200);
    request.cost_usd(0.001_5);
    request.provider_response_id("chatcmpl-1");
    rig.clock.advance_ms(10);
    request.complete();

    let expected = RequestRecord {
        operation: Some("chat".into()),
        user: Some("u_alice".into()),
        space: Some("sales".into()),
        session: Some(4),
        provider: Some("openai".into()),
        model: Some("gpt-5-mini".into()),
        latency_us: [Some(545_000), Some(30_000), Some(500_000), Some(200_000)],
        prompt_tokens: Some(100),
        completion_tokens: Some(20),
        cached_prompt_tokens: Some(64),
        cost_nano_usd: Some(1_500_000),
        cost_source: Some(CostSource::Client),
        http_status: Some(200),
        finish_reason: Some("stop".into()),
        attempt: 1,
        streamed: Some(true),
        provider_response_id: Some("chatcmpl-1".into()),
        tags: Some(r#"{"app":"web","tier":"pro"}"#.into()),
        ..RequestRecord::new(
            RequestId::parse("req_1"),
            Timestamp::from_unix_ms(START_MS),
            Source::Collector,
        )
    };
    assert_eq!(rig.record(), expected);
}

#[test]
fn what_nobody_told_is_unknown() {
    let mut rig = Rig::new();
    rig.telemetry.start_request(RequestInfo::new("embedding")).complete();
    let record = rig.record();
    assert_eq!(record.latency_us, [Some(0), None, None, None]);
    assert_eq!((record.total_tokens(), record.cost_nano_usd, record.streamed), (None, None, None));
    assert_eq!((record.user, record.model, record.tags), (None, None, None));
}

#[test]
fn an_error_keeps_its_type_and_code() {
    let mut rig = Rig::new();
    rig.start().record_error(ErrorType::Timeout);
    rig.start().record_error_code(ErrorType::Auth, "invalid_api_key");
    let records = rig.records();
    assert_eq!(records[0].outcome, Outcome::Error(ErrorType::Timeout));
    assert_eq!(records[0].error_code, None);
    assert_eq!(records[1].outcome, Outcome::Error(ErrorType::Auth));
    assert_eq!(records[1].error_code.as_deref(), Some("invalid_api_key"));
}

#[test]
fn a_dropped_request_is_cancelled_and_keeps_what_was_known() {
    let mut rig = Rig::new();
    let mut request = rig.start();
    request.llm_started("anthropic", "claude");
    rig.clock.advance_ms(40);
    request.first_token();
    request.usage(Usage::new(10, 1));
    request.usage(Usage::new(10, 3));
    rig.clock.advance_ms(60);
    drop(request);
    let record = rig.record();
    assert_eq!(record.outcome, Outcome::Cancelled);
    assert_eq!(record.total_tokens(), Some(13));
    assert_eq!(record.latency(LatencyKind::Llm), Some(100_000));
    assert_eq!(record.latency(LatencyKind::TimeToFirstToken), Some(40_000));
}

#[test]
fn a_panic_is_a_server_error_with_its_own_code() {
    let mut rig = Rig::new();
    let request = rig.start();
    let panicked = std::thread::spawn(move || {
        let _request = request;
        panic!("expected by this test");
    });
    assert!(panicked.join().is_err());
    let record = rig.record();
    assert_eq!(record.outcome, Outcome::Error(ErrorType::Server));
    assert_eq!(record.error_code.as_deref(), Some(PANIC_CODE));
    assert_eq!(rig.telemetry.stats().in_flight, 0);
}

#[test]
fn a_discarded_request_leaves_no_record() {
    let mut rig = Rig::new();
    rig.start().discard();
    assert!(rig.records().is_empty());
    let stats = rig.telemetry.stats();
    assert_eq!((stats.started, stats.discarded, stats.in_flight), (1, 1, 0));
}

#[test]
fn an_attempt_dropped_without_an_end_counts_until_its_drop() {
    let mut rig = Rig::new();
    let mut request = rig.start();
    let llm = request.llm_call("openai", "gpt-5");
    rig.clock.advance_ms(7);
    drop(llm);
    rig.clock.advance_ms(5);
    request.complete();
    let record = rig.record();
    assert_eq!(record.latency(LatencyKind::Llm), Some(7_000));
    assert_eq!(record.attempt, 0);
}

#[test]
fn time_in_an_early_llm_call_is_not_context_time() {
    let mut rig = Rig::new();
    let mut request = rig.start();
    let rewrite = request.llm_call("openai", "gpt-5-nano");
    rig.clock.advance_ms(100);
    rewrite.ok();
    rig.clock.advance_ms(20);
    request.context_assembled();
    rig.clock.advance_ms(1);
    request.context_assembled();
    request.complete();
    let record = rig.record();
    assert_eq!(record.latency_us, [Some(121_000), Some(20_000), Some(100_000), None]);
}

#[test]
fn a_guard_moves_to_another_thread() {
    fn assert_kind<T: Send + 'static>(_: &T) {}
    let mut rig = Rig::new();
    let request = rig.start();
    assert_kind(&request);
    std::thread::spawn(move || request.complete()).join().unwrap();
    assert_eq!(rig.record().outcome, Outcome::Success);
}

/// Web frameworks drop the future of a request whose client went away: nothing after its `await`
/// runs.
#[test]
fn a_dropped_future_is_a_cancelled_request() {
    let mut rig = Rig::new();
    let mut request = rig.start();
    {
        let flow = pin!(async move {
            request.context_assembled();
            std::future::pending::<()>().await;
            request.complete();
        });
        let polled = flow.poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Pending);
        assert_eq!(rig.telemetry.stats().in_flight, 1);
    }
    assert_eq!(rig.record().outcome, Outcome::Cancelled);
}

#[test]
fn a_full_queue_drops_and_counts_and_goes_on() {
    let mut rig = Rig::with_capacity(3);
    for _ in 0..10 {
        rig.start().complete();
    }
    let stats = rig.telemetry.stats();
    assert_eq!((stats.started, stats.completed, stats.dropped), (10, 3, 7));
    assert_eq!((stats.in_flight, stats.queued), (0, 3));
    assert_eq!(rig.records().len(), 3);
    rig.start().complete();
    assert_eq!(rig.records().len(), 1);
}

#[test]
fn without_a_drain_side_the_application_goes_on() {
    let Rig { telemetry, queue, .. } = Rig::new();
    drop(queue);
    telemetry.start_request(RequestInfo::chat("gpt-5")).complete();
    let stats = telemetry.stats();
    assert_eq!((stats.completed, stats.dropped, stats.in_flight), (0, 1, 0));
    assert!(!telemetry.flush(Duration::from_secs(60)));
}

#[test]
fn a_request_by_id_ends_once() {
    let mut rig = Rig::new();
    let id = rig.telemetry.start_request_by_id(RequestInfo::chat("gpt-5").user("bob"));
    assert_eq!(rig.telemetry.stats().in_flight, 1);
    rig.clock.advance_ms(100);
    let completion = Completion {
        usage: Usage::new(5, 6),
        context_latency: Some(Duration::from_millis(30)),
        llm_latency: Some(Duration::from_millis(90)),
        time_to_first_token: Some(Duration::from_micros(1_500)),
        ..Completion::default()
    };
    assert!(rig.telemetry.complete_request(&id, &completion));
    assert!(!rig.telemetry.complete_request(&id, &completion));
    assert!(!rig.telemetry.record_error(&id, ErrorType::Server));
    let record = rig.record();
    assert_eq!(record.request_id, id);
    // The stated 90 ms of LLM time do not fit beside 30 ms of context into the measured 100 ms.
    assert_eq!(record.latency_us, [Some(100_000), Some(30_000), Some(70_000), Some(1_500)]);
    assert_eq!(rig.telemetry.stats().unknown_ids, 2);

    let id = rig.telemetry.start_request_by_id(RequestInfo::chat("gpt-5"));
    assert!(rig.telemetry.record_error_code(&id, ErrorType::Server, "overloaded"));
    let id = rig.telemetry.start_request_by_id(RequestInfo::chat("gpt-5"));
    assert!(rig.telemetry.cancel_request(&id));
    let outcomes: Vec<Outcome> = rig.records().into_iter().map(|r| r.outcome).collect();
    assert_eq!(outcomes, [Outcome::Error(ErrorType::Server), Outcome::Cancelled]);
}

#[test]
fn an_abandoned_request_is_an_error_of_unknown_length() {
    let mut rig = Rig::new();
    let old = rig.telemetry.start_request_by_id(RequestInfo::chat("gpt-5"));
    rig.clock.advance_ms(14 * 60_000);
    let young = rig.telemetry.start_request_by_id(RequestInfo::chat("gpt-5"));
    assert_eq!(rig.telemetry.sweep_abandoned(), 0);
    rig.clock.advance_ms(60_000);
    assert_eq!(rig.telemetry.sweep_abandoned(), 1);
    let record = rig.record();
    assert_eq!(record.request_id, old);
    assert_eq!(record.outcome, Outcome::Error(ErrorType::Other));
    assert_eq!(record.error_code.as_deref(), Some(ABANDONED_CODE));
    assert_eq!(record.latency(LatencyKind::Total), None);
    assert!(rig.telemetry.cancel_request(&young));
    let stats = rig.telemetry.stats();
    assert_eq!((stats.abandoned, stats.completed, stats.in_flight), (1, 2, 0));
}

#[test]
fn an_id_used_again_abandons_the_earlier_request() {
    let mut rig = Rig::new();
    let info = || RequestInfo::chat("gpt-5").request_id("same");
    let id = rig.telemetry.start_request_by_id(info());
    rig.clock.advance_ms(1);
    assert_eq!(rig.telemetry.start_request_by_id(info()), id);
    assert!(rig.telemetry.complete_request(&id, &Completion::default()));
    let outcomes: Vec<Outcome> = rig.records().into_iter().map(|r| r.outcome).collect();
    assert_eq!(outcomes, [Outcome::Error(ErrorType::Other), Outcome::Success]);
}

#[test]
fn the_table_of_open_requests_is_bounded() {
    let rig = Rig::new();
    let start = || rig.telemetry.start_request_by_id(RequestInfo::chat("gpt-5"));
    let first = start();
    (1..OPEN_BY_ID_MAX).for_each(|_| drop(start()));
    let refused = start();
    assert!(!rig.telemetry.cancel_request(&refused));
    let stats = rig.telemetry.stats();
    assert_eq!((stats.dropped, stats.in_flight), (1, OPEN_BY_ID_MAX as u64));
    assert!(rig.telemetry.cancel_request(&first));
    let taken = start();
    assert!(rig.telemetry.cancel_request(&taken));
}

#[test]
fn too_long_and_unprintable_fields_never_cost_the_request() {
    let mut rig = Rig::new();
    let long = "é".repeat(1_000);
    let mut info = RequestInfo::new(format!("x{long}"))
        .model(&long)
        .space(" a\u{7}b\n ")
        .user(&long)
        .session("\u{1}s\u{2}")
        .request_id(&long);
    for n in 0..20 {
        info = info.tag(format!("k{n}"), &long);
    }
    let mut request = rig.telemetry.start_request(info);
    let generated = request.request_id().clone();
    request.usage(Usage { reasoning_tokens: Some(9), ..Usage::new(u64::MAX, 7) });
    request.cost_usd(f64::NAN);
    request.http_status(9_999);
    request.provider_response_id(&long);
    request.finish_reason("\u{0}");
    request.record_error_code(ErrorType::Other, &long);

    let record = rig.record();
    assert_eq!(record.request_id, generated);
    assert!(generated.uuid_v7_time().is_some());
    assert_eq!(record.operation.unwrap().len(), limits::LABEL_BYTES - 1);
    assert_eq!(record.model.unwrap().len(), limits::NAME_BYTES);
    assert_eq!(record.error_code.unwrap().len(), limits::LABEL_BYTES);
    assert_eq!(record.space.as_deref(), Some("ab"));
    assert_eq!((record.user, record.session), (None, Some(1)));
    assert_eq!((record.finish_reason, record.provider_response_id), (None, None));
    assert_eq!((record.prompt_tokens, record.completion_tokens), (None, Some(7)));
    assert_eq!(record.reasoning_tokens, Some(7));
    assert_eq!((record.cost_nano_usd, record.cost_source, record.http_status), (None, None, None));
    assert_eq!(record.tags.unwrap().matches(':').count(), limits::TAGS);
}

#[test]
fn codes_and_tags_are_no_sentences_and_no_half_of_an_address_is_kept() {
    let mut rig = Rig::new();
    let far = |text: &str, bytes: usize| format!("{}{text}", "x".repeat(bytes - 10));
    let info = RequestInfo::new("she said no")
        .model(far(" alice@example.com", limits::NAME_BYTES))
        .tag("note", "she said no")
        .tag("password", "hunter2")
        .tag("home", far("https://alice:hunter2@host/", limits::LABEL_BYTES))
        .tag("tier", "pro");
    rig.telemetry.start_request(info).record_error_code(ErrorType::Other, "no such key: x");
    let record = rig.record();
    assert_eq!((record.operation, record.error_code, record.model), (None, None, None));
    assert_eq!(record.tags.as_deref(), Some(r#"{"tier":"pro"}"#));
}

#[test]
fn what_is_formatted_names_no_user() {
    let mut rig = Rig::new();
    let info = RequestInfo::chat("gpt-5").user("alice").session("secret").tag("k", "alice");
    assert!(!format!("{info:?}").contains("alice") && !format!("{info:?}").contains("secret"));
    let request = rig.telemetry.start_request(info);
    assert!(!format!("{request:?} {:?}", rig.telemetry).contains("alice"));
    request.complete();
    let batch = rig.queue.next_batch(1, Duration::ZERO);
    assert!(!format!("{batch:?}").contains("alice"));
}

#[test]
fn a_clock_that_was_never_set_is_an_error() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_ms(0)));
    let (telemetry, mut queue) = TelemetryCollector::new(&Config::default().ingest, clock);
    telemetry.start_request(RequestInfo::chat("gpt-5")).complete();
    let request = queue.next_batch(1, Duration::ZERO).remove(0);
    assert!(request.into_record(&Plain).unwrap_err().is_invalid_input());
}

#[test]
fn flush_waits_for_the_acknowledgement_of_what_ended_before() {
    let Rig { telemetry, mut queue, .. } = Rig::new();
    assert!(!telemetry.flush(Duration::from_millis(1)), "nobody drains yet");
    for _ in 0..10 {
        telemetry.start_request(RequestInfo::chat("gpt-5")).complete();
    }
    let handover = queue.handover();
    let flushing = std::thread::spawn({
        let telemetry = telemetry.clone();
        move || telemetry.flush(Duration::from_secs(60))
    });
    let mut taken = 0;
    while taken < 10 {
        taken += queue.next_batch(4, Duration::from_millis(5)).len();
    }
    assert!(!flushing.is_finished(), "taken is not stored");
    handover.acknowledge(9);
    assert!(!telemetry.flush(Duration::from_millis(1)));
    handover.acknowledge(1);
    // Whoever asked while nobody looked is answered at the next look.
    while !flushing.is_finished() {
        assert!(queue.next_batch(4, Duration::from_millis(5)).is_empty());
    }
    assert!(flushing.join().unwrap());
}

#[test]
fn every_request_of_many_threads_is_counted_once() {
    const THREADS: usize = 4;
    const REQUESTS: usize = 20_000;
    let Rig { telemetry, mut queue, .. } = Rig::with_capacity(256);
    let handover = queue.handover();
    let mut received = 0;
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..REQUESTS {
                        let mut request = telemetry.start_request(RequestInfo::chat("gpt-5"));
                        request.llm_call("openai", "gpt-5").ok();
                        request.complete();
                    }
                    let stats = telemetry.stats();
                    assert!(stats.in_flight <= THREADS as u64);
                })
            })
            .collect();
        let mut drain = || {
            let count = queue.next_batch(1_000, Duration::ZERO).len();
            handover.acknowledge(count);
            received += count;
            count
        };
        while callers.iter().any(|caller| !caller.is_finished()) {
            drain();
        }
        while drain() > 0 {}
    });
    let stats = telemetry.stats();
    assert_eq!(stats.started, (THREADS * REQUESTS) as u64);
    assert_eq!(stats.completed, received as u64);
    assert_eq!(stats.started, stats.completed + stats.dropped);
    assert_eq!((stats.in_flight, stats.queued), (0, 0));
}
