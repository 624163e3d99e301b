//! P11: no call of the collector waits, whatever becomes of its queue, and every request is accounted for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use chatgauge::collector::{CollectorQueue, Completion, RequestGuard};
use chatgauge::config::IngestConfig;
use chatgauge::model::{Clock as _, ErrorType, RequestId};
use chatgauge::{Config, RequestInfo, SystemClock, TelemetryCollector, Usage};
use proptest::prelude::*;
use proptest::test_runner::Config as CaseConfig;

/// The longest that a call may take, in microseconds.
const LIMIT_US: u64 = 10_000;
/// Runs of a case in which some call was over the limit: a machine that is busy holds a call up now and then, but not in
/// every run.
const RUNS: usize = 10;
/// Longer than all calls of a case together: only one that waits for something takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who takes finished requests from the queue.
#[derive(Clone, Copy, Debug)]
enum Consumer {
    /// Nobody: the queue fills up.
    Absent,
    /// Nobody any more, from the beginning.
    Stopped,
    /// One that stops after some requests.
    Stops(usize),
    /// One that takes a few at a time and pauses.
    Slow { batch: usize, pause: Duration },
}

fn consumer() -> impl Strategy<Value = Consumer> {
    prop_oneof![
        Just(Consumer::Absent),
        Just(Consumer::Stopped),
        (1_usize..30).prop_map(Consumer::Stops),
        (1_usize..5, 0_u64..4)
            .prop_map(|(batch, ms)| Consumer::Slow { batch, pause: Duration::from_millis(ms) }),
    ]
}

/// A call, or several on one request; the numbers choose among the open requests of the thread.
#[derive(Clone, Copy, Debug)]
enum Call {
    Start,
    StartById,
    Annotate(usize, u64),
    Llm { request: usize, token: bool, end: LlmEnd },
    Complete(usize),
    Error(usize),
    Cancel(usize),
    Drop(usize),
    Discard(usize),
    CompleteId(usize),
    ErrorId(usize),
    CancelId(usize),
    UnknownId,
    Flush,
    Sweep,
    Stats,
}

#[derive(Clone, Copy, Debug)]
enum LlmEnd {
    Ok,
    Fail,
    Drop,
}

fn call() -> impl Strategy<Value = Call> {
    let which = any::<usize>;
    let llm_end = prop::sample::select(vec![LlmEnd::Ok, LlmEnd::Fail, LlmEnd::Drop]);
    prop_oneof![
        6 => Just(Call::Start),
        4 => Just(Call::StartById),
        2 => (which(), any::<u64>()).prop_map(|(request, tokens)| Call::Annotate(request, tokens)),
        2 => (which(), any::<bool>(), llm_end)
            .prop_map(|(request, token, end)| Call::Llm { request, token, end }),
        1 => which().prop_map(Call::Complete),
        1 => which().prop_map(Call::Error),
        1 => which().prop_map(Call::Cancel),
        1 => which().prop_map(Call::Drop),
        1 => which().prop_map(Call::Discard),
        1 => which().prop_map(Call::CompleteId),
        1 => which().prop_map(Call::ErrorId),
        1 => which().prop_map(Call::CancelId),
        1 => Just(Call::UnknownId),
        1 => Just(Call::Flush),
        1 => Just(Call::Sweep),
        1 => Just(Call::Stats),
    ]
}

/// What one thread did, or all of them.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    started: u64,
    discarded: u64,
    /// The call that took longest, and how long.
    slowest: (u64, &'static str),
}

impl Tally {
    fn and(self, other: Self) -> Self {
        Self {
            started: self.started + other.started,
            discarded: self.discarded + other.discarded,
            slowest: self.slowest.max(other.slowest),
        }
    }
}

/// One thread of the application.
struct Caller {
    telemetry: TelemetryCollector,
    clock: Arc<SystemClock>,
    guards: Vec<RequestGuard>,
    ids: Vec<RequestId>,
    tally: Tally,
}

impl Caller {
    fn timed<T>(&mut self, name: &'static str, call: impl FnOnce(&TelemetryCollector) -> T) -> T {
        let began_us = self.clock.monotonic_us();
        let value = call(&self.telemetry);
        let took_us = self.clock.monotonic_us() - began_us;
        self.tally.slowest = self.tally.slowest.max((took_us, name));
        value
    }

    fn with(
        &mut self,
        which: usize,
        name: &'static str,
        call: impl FnOnce(RequestGuard) -> Option<RequestGuard>,
    ) -> bool {
        if self.guards.is_empty() {
            return false;
        }
        let guard = self.guards.swap_remove(which % self.guards.len());
        let left = self.timed(name, |_| call(guard));
        self.guards.extend(left);
        true
    }

    fn end(&mut self, which: usize, name: &'static str, call: impl FnOnce(RequestGuard)) -> bool {
        self.with(which, name, |guard| {
            call(guard);
            None
        })
    }

    /// Whether an id is open is nobody's to say here: another thread may have swept it.
    fn end_id(
        &mut self,
        which: usize,
        name: &'static str,
        call: impl FnOnce(&TelemetryCollector, &RequestId) -> bool,
    ) {
        if !self.ids.is_empty() {
            let id = self.ids.swap_remove(which % self.ids.len());
            self.timed(name, |telemetry| call(telemetry, &id));
        }
    }

    fn make(&mut self, call: Call) {
        match call {
            Call::Start => {
                self.tally.started += 1;
                let info = RequestInfo::chat("gpt-5").user("alice").tag("tier", "pro");
                let guard = self.timed("start_request", |telemetry| telemetry.start_request(info));
                self.guards.push(guard);
            }
            Call::StartById => {
                self.tally.started += 1;
                let info = RequestInfo::new("chat");
                let id = self.timed("start_by_id", |telemetry| telemetry.start_request_by_id(info));
                self.ids.push(id);
            }
            Call::Annotate(which, tokens) => {
                self.with(which, "annotations", |mut guard| {
                    guard.context_assembled();
                    guard.cache_lookup(true);
                    guard.usage(Usage::new(tokens, tokens));
                    guard.finish_reason("stop");
                    Some(guard)
                });
            }
            Call::Llm { request, token, end } => {
                self.with(request, "llm_call", |mut guard| {
                    let mut llm = guard.llm_call("openai", "gpt-5");
                    if token {
                        llm.first_token();
                    }
                    match end {
                        LlmEnd::Ok => llm.ok(),
                        LlmEnd::Fail => llm.fail(ErrorType::Server),
                        LlmEnd::Drop => drop(llm),
                    }
                    Some(guard)
                });
            }
            Call::Complete(which) => {
                self.end(which, "complete", RequestGuard::complete);
            }
            Call::Error(which) => {
                self.end(which, "record_error", |guard| guard.record_error(ErrorType::Network));
            }
            Call::Cancel(which) => {
                self.end(which, "cancel_code", |guard| guard.cancel_code("stopped"));
            }
            Call::Drop(which) => {
                self.end(which, "drop", drop);
            }
            Call::Discard(which) => {
                let discarded = self.end(which, "discard", RequestGuard::discard);
                self.tally.discarded += u64::from(discarded);
            }
            Call::CompleteId(which) => self.end_id(which, "complete_request", |telemetry, id| {
                telemetry.complete_request(id, &Completion::default())
            }),
            Call::ErrorId(which) => self.end_id(which, "record_error by id", |telemetry, id| {
                telemetry.record_error_code(id, ErrorType::Server, "overloaded")
            }),
            Call::CancelId(which) => {
                self.end_id(which, "cancel_request", TelemetryCollector::cancel_request);
            }
            Call::UnknownId => {
                let id = RequestId::parse("nobody started it");
                assert!(!self.timed("cancel_request", |telemetry| telemetry.cancel_request(&id)));
            }
            Call::Flush => {
                self.timed("flush", |telemetry| telemetry.flush(Duration::ZERO));
            }
            Call::Sweep => {
                self.timed("sweep_abandoned", TelemetryCollector::sweep_abandoned);
            }
            Call::Stats => {
                let stats = self.timed("stats", TelemetryCollector::stats);
                let ended = stats.completed + stats.dropped + stats.discarded;
                assert_eq!(stats.started, ended + stats.in_flight, "{stats:?}");
            }
        }
    }

    /// Makes the calls, and drops the guards that are left.
    fn run(mut self, calls: Vec<Call>) -> Tally {
        for call in calls {
            self.make(call);
        }
        while self.end(0, "drop", drop) {}
        self.tally
    }
}

/// The consumer at work, if there is one; a consumer that is gone leaves no queue.
struct Drain {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<(Option<CollectorQueue>, u64)>,
}

impl Drain {
    fn start(queue: CollectorQueue, consumer: Consumer) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let thread =
            std::thread::spawn(move || consume(queue, consumer, || told.load(Ordering::SeqCst)));
        Self { is_over, thread }
    }

    /// Stops the consumer; how many requests it has taken, those that are left in its queue included, and whether it
    /// was there to the end.
    fn finish(self) -> (u64, bool) {
        self.is_over.store(true, Ordering::SeqCst);
        let (queue, taken) = self.thread.join().expect("the consumer does not panic");
        let is_there = queue.is_some();
        let left = queue.map_or(0, |mut queue| queue.next_batch(usize::MAX, Duration::ZERO).len());
        (taken + left as u64, is_there)
    }
}

fn consume(
    mut queue: CollectorQueue,
    consumer: Consumer,
    is_over: impl Fn() -> bool,
) -> (Option<CollectorQueue>, u64) {
    let (batch, pause, most) = match consumer {
        Consumer::Absent => return (Some(queue), 0),
        Consumer::Stopped => return (None, 0),
        Consumer::Stops(most) => (1, Duration::ZERO, most),
        Consumer::Slow { batch, pause } => (batch, pause, usize::MAX),
    };
    let handover = queue.handover();
    let mut taken = 0;
    while !is_over() {
        let count = queue.next_batch(batch, Duration::from_millis(1)).len();
        handover.acknowledge(count);
        taken += count;
        if taken >= most {
            return (None, taken as u64);
        }
        std::thread::sleep(pause);
    }
    (Some(queue), taken as u64)
}

/// Runs the calls of a case once, each list in a thread of its own; fails when the counts are wrong, else says which call
/// took longest.
fn run(
    capacity: usize,
    consumer: Consumer,
    threads: &[Vec<Call>],
) -> Result<(u64, &'static str), TestCaseError> {
    let clock = Arc::new(SystemClock::new());
    let config = IngestConfig {
        collector_queue_max_records: capacity,
        // Every sweep finds whatever is open.
        abandoned_after: Duration::ZERO,
        ..Config::default().ingest
    };
    let (telemetry, queue) = TelemetryCollector::new(&config, clock.clone());
    let drain = Drain::start(queue, consumer);
    let (send, tallies) = channel();
    for calls in threads.iter().cloned() {
        let (telemetry, clock, send) = (telemetry.clone(), Arc::clone(&clock), send.clone());
        let tally = Tally::default();
        let caller = Caller { telemetry, clock, guards: Vec::new(), ids: Vec::new(), tally };
        std::thread::spawn(move || send.send(caller.run(calls)));
    }
    drop(send);
    let mut all = Tally::default();
    for _ in threads {
        let tally = tallies.recv_timeout(PATIENCE);
        all = all.and(tally.map_err(|_| TestCaseError::fail("a call did not return"))?);
    }
    let (delivered, has_queue) = drain.finish();
    let stats = telemetry.stats();
    prop_assert_eq!(stats.started, all.started);
    prop_assert_eq!(stats.discarded, all.discarded);
    // What was in the queue of a consumer that went away is gone with it.
    let lost = if has_queue { 0 } else { stats.completed - delivered };
    prop_assert!(lost <= capacity as u64, "{} lost of a queue of {}", lost, capacity);
    let open = stats.in_flight;
    let accounted = delivered + lost + stats.dropped + stats.discarded + open;
    prop_assert_eq!(accounted, all.started, "{:?}", stats);
    prop_assert_eq!(telemetry.sweep_abandoned() as u64, open, "what is open can be ended");
    Ok(all.slowest)
}

proptest! {
    #![proptest_config(CaseConfig {
        cases: 256,
        failure_persistence: None,
        max_shrink_iters: 8,
        ..CaseConfig::default()
    })]

    #[test]
    fn p11_no_call_waits_and_every_request_is_accounted_for(
        capacity in 1_usize..30,
        consumer in consumer(),
        threads in prop::collection::vec(prop::collection::vec(call(), 0..80), 1..4),
    ) {
        let mut slow = Vec::new();
        while slow.len() < RUNS {
            let slowest = run(capacity, consumer, &threads)?;
            if slowest.0 < LIMIT_US {
                return Ok(());
            }
            slow.push(slowest);
        }
        prop_assert!(slow.len() < RUNS, "over {LIMIT_US} us in every run: {slow:?}");
    }
}
