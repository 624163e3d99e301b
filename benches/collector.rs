//! The cost of recording for the caller, from the start of a request to its end.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chatgauge::collector::{Completion, Identify};
use chatgauge::config::IngestConfig;
use chatgauge::model::Name;
use chatgauge::{Config, RequestInfo, SystemClock, TelemetryCollector, Usage};
use criterion::{Criterion, criterion_group, criterion_main};

/// Number of requests measured for the percentiles.
const SAMPLES: usize = 200_000;
/// Maximum requests in a batch of the draining thread.
const BATCH: usize = 5_000;

/// Identities without hashing, which is a cost of the draining thread.
struct Plain;

impl Identify for Plain {
    fn user(&self, user: &str) -> Name {
        Name::new(user)
    }

    fn session(&self, session: &str) -> i64 {
        i64::try_from(session.len()).unwrap_or(0)
    }

    fn identifier(&self, identifier: &str) -> Name {
        Name::new(identifier)
    }
}

/// A collector whose queue is drained into records by another thread, as the service does.
struct Drained {
    telemetry: TelemetryCollector,
    is_over: Arc<AtomicBool>,
    drain: Option<JoinHandle<()>>,
}

impl Drained {
    fn new() -> Self {
        let config = Config::default().ingest;
        let (telemetry, mut queue) = TelemetryCollector::new(&config, Arc::new(SystemClock::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let drain = std::thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                let handover = queue.handover();
                while !is_over.load(Ordering::Relaxed) {
                    let batch = queue.next_batch(BATCH, Duration::from_millis(100));
                    let count = batch.len();
                    for request in batch {
                        drop(black_box(request.into_record(&Plain)));
                    }
                    handover.acknowledge(count);
                }
            }
        });
        Self { telemetry, is_over, drain: Some(drain) }
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(drain) = self.drain.take() {
            drop(drain.join());
        }
    }
}

/// A collector whose queue is full.
fn full() -> (TelemetryCollector, impl Sized) {
    let config = IngestConfig { collector_queue_max_records: 1, ..Config::default().ingest };
    let (telemetry, queue) = TelemetryCollector::new(&config, Arc::new(SystemClock::new()));
    telemetry.start_request(RequestInfo::chat("gpt-5")).complete();
    (telemetry, queue)
}

/// Records everything about a streamed chat.
fn whole(telemetry: &TelemetryCollector) {
    let info = RequestInfo::chat("gpt-5").user("user-1234").space("sales").session("session-98765");
    let mut request = telemetry.start_request(info.streamed(true));
    request.cache_lookup(false);
    request.context_assembled();
    let mut llm = request.llm_call("openai", "gpt-5");
    llm.first_token();
    llm.usage(Usage::new(1_200, 85));
    llm.ok();
    request.finish_reason("stop");
    request.complete();
}

/// Records only that a request happened.
fn least(telemetry: &TelemetryCollector) {
    telemetry.start_request(RequestInfo::chat("gpt-5")).complete();
}

fn by_id(telemetry: &TelemetryCollector) {
    let id = telemetry.start_request_by_id(RequestInfo::chat("gpt-5").user("user-1234"));
    telemetry.complete_request(&id, &Completion::default());
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures with the real clock")]
fn now() -> Instant {
    Instant::now()
}

/// Prints percentiles over single requests; pauses often enough for the queue to be drained.
#[expect(clippy::print_stdout, reason = "the percentiles are the result")]
fn print_percentiles(title: &str, mut request: impl FnMut()) {
    let mut elapsed_ns: Vec<u128> = Vec::with_capacity(SAMPLES);
    while elapsed_ns.len() < SAMPLES {
        for _ in 0..1_000 {
            let start = now();
            request();
            elapsed_ns.push(start.elapsed().as_nanos());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    elapsed_ns.sort_unstable();
    let at = |per_mille: usize| elapsed_ns[(elapsed_ns.len() - 1) * per_mille / 1_000];
    println!(
        "{title:<28} median {:>5} ns, p95 {:>5} ns, p99 {:>5} ns, p99.9 {:>6} ns",
        at(500),
        at(950),
        at(990),
        at(999)
    );
}

fn percentiles(_: &mut Criterion) {
    let drained = Drained::new();
    let (full, _queue) = full();
    print_percentiles("(reading the clock twice)", || ());
    print_percentiles("whole", || whole(&drained.telemetry));
    print_percentiles("least", || least(&drained.telemetry));
    print_percentiles("by id", || by_id(&drained.telemetry));
    print_percentiles("whole, queue full", || whole(&full));
    let dropped = drained.telemetry.stats().dropped;
    assert_eq!(dropped, 0, "the drained queue must not have been full");
}

fn throughput(criterion: &mut Criterion) {
    let drained = Drained::new();
    let (full, _queue) = full();
    let mut group = criterion.benchmark_group("collector");
    group.bench_function("whole", |b| b.iter(|| whole(&drained.telemetry)));
    group.bench_function("least", |b| b.iter(|| least(&drained.telemetry)));
    group.bench_function("by_id", |b| b.iter(|| by_id(&drained.telemetry)));
    group.bench_function("whole_queue_full", |b| b.iter(|| whole(&full)));
    group.finish();
}

criterion_group!(benches, percentiles, throughput);
criterion_main!(benches);
