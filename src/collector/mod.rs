//! In-process recording: guards that track a request, and a queue that never blocks.
//!
//! [`TelemetryCollector`] is the application's side: starting and ending a request costs well under
//! a microsecond and never blocks. [`CollectorQueue`] is the other side: one thread receives
//! finished requests, pseudonymises them and stores them. Both share a bounded lock-free queue;
//! when it is full, requests are dropped and counted.

mod counters;
mod finished;
mod guard;
mod ids;
mod info;
mod open;
mod queue;
mod state;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

pub use counters::CollectorStats;
pub use finished::{FinishedRequest, Identify};
pub use guard::{LlmGuard, PANIC_CODE, RequestGuard};
pub use info::{Completion, RequestInfo, Usage};
pub use queue::{CollectorQueue, Handover};

use counters::{Counted, Counters};
use ids::IdSource;
use open::OpenRequests;
use queue::FlushBarrier;
use state::RequestState;

use crate::config::IngestConfig;
use crate::model::clock::as_us;
use crate::model::{Clock, ErrorType, Outcome, RequestId};

/// Error code of a request that was started by id and never ended.
pub const ABANDONED_CODE: &str = "abandoned";

/// Maximum number of requests open by id; each takes about 500 bytes.
pub const OPEN_BY_ID_MAX: usize = 16_384;

/// Records requests of its own process. Clones share all state.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use chatgauge::{Config, RequestInfo, SystemClock, TelemetryCollector, Usage};
///
/// let clock = Arc::new(SystemClock::new());
/// let (telemetry, _queue) = TelemetryCollector::new(&Config::default().ingest, clock);
/// let mut request = telemetry.start_request(RequestInfo::chat("gpt-5").user("alice"));
/// request.context_assembled();
/// let mut llm = request.llm_call("openai", "gpt-5");
/// llm.usage(Usage::new(1_200, 85));
/// llm.ok();
/// request.complete();
/// assert_eq!(telemetry.stats().completed, 1);
/// ```
#[derive(Clone, Debug)]
pub struct TelemetryCollector {
    shared: Arc<CollectorCore>,
}

/// State shared by all clones, guards and the queue.
struct CollectorCore {
    clock: Arc<dyn Clock>,
    ids: IdSource,
    sender: Sender<FinishedRequest>,
    counters: Counters,
    open: OpenRequests,
    abandoned_after_us: u64,
    handover: FlushBarrier,
}

impl CollectorCore {
    fn state(&self, mut info: RequestInfo) -> Box<RequestState> {
        let started_at = self.clock.now();
        let request_id = info.request_id.take().unwrap_or_else(|| self.ids.next(started_at));
        self.counters.count(Counted::Started);
        Box::new(RequestState::new(info, request_id, started_at, self.clock.monotonic_us()))
    }

    /// Queues a request that has ended, or drops it if the queue is full or closed.
    fn enqueue(&self, state: Box<RequestState>) {
        let sent = self.sender.try_send(FinishedRequest(state));
        self.counters.count(if sent.is_ok() { Counted::Completed } else { Counted::Dropped });
    }

    /// Ends a request without a total latency, because its end is unknown.
    fn abandon(&self, mut state: Box<RequestState>) {
        state.fail(ErrorType::Other, Some(ABANDONED_CODE));
        self.counters.count(Counted::Abandoned);
        self.enqueue(state);
    }
}

impl fmt::Debug for CollectorCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.counters.stats(self.sender.len());
        f.debug_struct("CollectorCore").field("stats", &stats).finish_non_exhaustive()
    }
}

impl TelemetryCollector {
    /// Creates a collector and the queue that receives its finished requests.
    ///
    /// After the queue is dropped, requests are counted as dropped and the application continues.
    pub fn new(config: &IngestConfig, clock: Arc<dyn Clock>) -> (Self, CollectorQueue) {
        let capacity = config.collector_queue_max_records.max(1);
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        let shared = Arc::new(CollectorCore {
            clock,
            ids: IdSource::new(),
            sender,
            counters: Counters::default(),
            open: OpenRequests::new(OPEN_BY_ID_MAX),
            abandoned_after_us: as_us(config.abandoned_after),
            handover: FlushBarrier::default(),
        });
        let queue = CollectorQueue::new(receiver, Arc::clone(&shared));
        (Self { shared }, queue)
    }

    /// Starts a request and returns the guard that tracks it.
    pub fn start_request(&self, info: RequestInfo) -> RequestGuard {
        RequestGuard::new(Arc::clone(&self.shared), self.shared.state(info))
    }

    /// Starts a request that is ended by its id, for code that cannot pass a guard on.
    ///
    /// A request that is never ended is [swept](Self::sweep_abandoned) as abandoned; so is an open
    /// request whose id is started again. Beyond [`OPEN_BY_ID_MAX`] open requests, the request is
    /// dropped and counted, and its id is unknown later.
    pub fn start_request_by_id(&self, info: RequestInfo) -> RequestId {
        let state = self.shared.state(info);
        let id = state.request_id.clone();
        match self.shared.open.insert(state) {
            Ok(None) => {}
            Ok(Some(earlier)) => self.shared.abandon(earlier),
            Err(_rejected) => self.shared.counters.count(Counted::Dropped),
        }
        id
    }

    /// Ends a request as successful; `false`, and counted, if no request with this id is open.
    pub fn complete_request(&self, id: &RequestId, completion: &Completion) -> bool {
        self.end_by_id(id, |state| {
            state.apply(completion);
            state.outcome = Outcome::Success;
        })
    }

    /// Ends a request as failed; `false`, and counted, if no request with this id is open.
    pub fn record_error(&self, id: &RequestId, kind: ErrorType) -> bool {
        self.end_by_id(id, |state| state.fail(kind, None))
    }

    /// Like [`record_error`](Self::record_error), with a short machine-readable code.
    pub fn record_error_code(&self, id: &RequestId, kind: ErrorType, code: &str) -> bool {
        self.end_by_id(id, |state| state.fail(kind, Some(code)))
    }

    /// Ends a request as cancelled; `false`, and counted, if no request with this id is open.
    pub fn cancel_request(&self, id: &RequestId) -> bool {
        self.end_by_id(id, |state| state.outcome = Outcome::Cancelled)
    }

    fn end_by_id(&self, id: &RequestId, change: impl FnOnce(&mut RequestState)) -> bool {
        let Some(mut state) = self.shared.open.remove(id) else {
            self.shared.counters.count(Counted::UnknownId);
            return false;
        };
        state.end(self.shared.clock.monotonic_us());
        change(&mut state);
        self.shared.enqueue(state);
        true
    }

    /// Ends the requests by id that have been open for longer than `abandoned_after`, as errors of
    /// type `other` with the code [`ABANDONED_CODE`], and returns their number.
    ///
    /// The age is monotonic: setting the wall clock forward abandons nothing.
    pub fn sweep_abandoned(&self) -> usize {
        let now_us = self.shared.clock.monotonic_us();
        let Some(cutoff_us) = now_us.checked_sub(self.shared.abandoned_after_us) else {
            return 0;
        };
        let abandoned = self.shared.open.remove_started_until(cutoff_us);
        let count = abandoned.len();
        abandoned.into_iter().for_each(|state| self.shared.abandon(state));
        count
    }

    /// Waits until the drain side has acknowledged every request that ended before this call;
    /// `false` if that takes longer than `timeout` or the queue is no longer drained.
    ///
    /// The only call that blocks; for the end of a program and for tests.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.shared.handover.flush(timeout)
    }

    /// The collector's own counters.
    pub fn stats(&self) -> CollectorStats {
        self.shared.counters.stats(self.shared.sender.len())
    }
}
