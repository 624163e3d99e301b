//! The guards that track a request and its LLM calls.

use std::sync::Arc;

use super::CollectorCore;
use super::counters::Counted;
use super::info::{RequestInfo, Usage, label, name};
use super::state::RequestState;
use crate::model::{CostSource, ErrorType, Outcome, RequestId};

/// Error code of a request whose guard was dropped during a panic.
pub const PANIC_CODE: &str = "panic";

const NO_ID: RequestId = RequestId::Uuid([0; 16]);

/// A request in flight. It owns its state and can move into a task, a thread or a response body.
///
/// A request ends once: with [`complete`](Self::complete), [`record_error`](Self::record_error) or
/// [`discard`](Self::discard). Dropping the guard records the request as cancelled, with everything
/// reported so far; dropping it during a panic records a server error with the code [`PANIC_CODE`].
///
/// # Example
/// A second end does not compile:
/// ```compile_fail,E0382
/// fn end_twice(request: chatgauge::RequestGuard) {
///     request.complete();
///     request.complete();
/// }
/// ```
#[derive(Debug)]
#[must_use = "a request whose guard is dropped at once counts as cancelled"]
pub struct RequestGuard {
    shared: Arc<CollectorCore>,
    /// `None` after the request has ended.
    state: Option<Box<RequestState>>,
}

impl RequestGuard {
    pub(super) fn new(shared: Arc<CollectorCore>, state: Box<RequestState>) -> Self {
        Self { shared, state: Some(state) }
    }

    /// The request id.
    pub fn request_id(&self) -> &RequestId {
        self.state.as_ref().map_or(&NO_ID, |state| &state.request_id)
    }

    /// Marks the context as assembled; the first call wins.
    ///
    /// The context latency is the time since the start, minus time spent in LLM calls.
    pub fn context_assembled(&mut self) {
        self.at_now(RequestState::context_assembled);
    }

    /// Records a lookup in the application's own response cache (not the provider's prompt cache);
    /// the last call wins.
    pub fn cache_lookup(&mut self, hit: bool) {
        self.update(|state| state.cache_hit = hit);
    }

    /// Starts an LLM call. Each call is one attempt; the last one sets provider and model.
    ///
    /// The LLM latency is the sum over all attempts. For a call that outlives a scope, such as a
    /// streamed body, see [`llm_started`](Self::llm_started).
    pub fn llm_call(&mut self, provider: &str, model: &str) -> LlmGuard<'_> {
        self.llm_started(provider, model);
        LlmGuard { request: self }
    }

    /// Like [`llm_call`](Self::llm_call) without a guard: the attempt lasts until
    /// [`llm_finished`](Self::llm_finished), the next attempt or the end of the request.
    pub fn llm_started(&mut self, provider: &str, model: &str) {
        self.at_now(|state, now_us| state.llm_started(provider, model, now_us));
    }

    /// Ends the current attempt, if any.
    pub fn llm_finished(&mut self) {
        self.at_now(|state, now_us| state.llm_ended(None, now_us));
    }

    /// The error type of the last attempt if it [failed](LlmGuard::fail).
    pub fn last_failure(&self) -> Option<ErrorType> {
        self.state.as_ref().and_then(|state| state.last_failure())
    }

    /// Marks the first generated token, of whatever channel; the first call of an attempt wins.
    ///
    /// Measured from the start of the attempt; without an attempt, from the end of the context
    /// assembly, or else from the start of the request.
    pub fn first_token(&mut self) {
        self.at_now(RequestState::first_token);
    }

    /// Sets the token counts so far, replacing earlier ones; they are kept whatever the outcome is.
    pub fn usage(&mut self, usage: Usage) {
        self.update(|state| state.usage = usage);
    }

    /// Sets the reason why the model stopped.
    pub fn finish_reason(&mut self, finish_reason: impl AsRef<str>) {
        self.update(|state| state.finish_reason = Some(label(finish_reason.as_ref())));
    }

    /// Sets the HTTP status of the response.
    pub fn http_status(&mut self, http_status: u16) {
        self.update(|state| state.http_status = Some(http_status));
    }

    /// Sets the cost in US dollars.
    pub fn cost_usd(&mut self, cost_usd: f64) {
        self.update(|state| state.cost_usd = Some(cost_usd));
    }

    /// Sets the cost in US dollars as the provider reports it.
    pub fn provider_cost_usd(&mut self, cost_usd: f64) {
        self.update(|state| {
            state.cost_usd = Some(cost_usd);
            state.cost_source = CostSource::Provider;
        });
    }

    /// Sets the model that responded, if it differs from the requested one.
    pub fn answered_by(&mut self, model: impl AsRef<str>) {
        self.update(|state| state.info.model = Some(name(model.as_ref())));
    }

    /// Adds information that becomes known only after the start. The request id and the time before
    /// the start do not change.
    pub fn amend(&mut self, change: impl FnOnce(RequestInfo) -> RequestInfo) {
        self.update(|state| {
            let info = std::mem::replace(&mut state.info, RequestInfo::new(""));
            state.info = change(info);
        });
    }

    /// Sets the provider's response id.
    pub fn provider_response_id(&mut self, id: impl AsRef<str>) {
        self.update(|state| state.set_provider_response_id(id.as_ref()));
    }

    /// Ends the request as successful.
    pub fn complete(mut self) {
        self.update(|state| state.outcome = Outcome::Success);
        self.end();
    }

    /// Ends the request as failed.
    pub fn record_error(mut self, kind: ErrorType) {
        self.update(|state| state.fail(kind, None));
        self.end();
    }

    /// Ends the request as failed, with a short machine-readable code; never pass a message.
    pub fn record_error_code(mut self, kind: ErrorType, code: impl AsRef<str>) {
        self.update(|state| state.fail(kind, Some(code.as_ref())));
        self.end();
    }

    /// Ends the request as cancelled, with a short machine-readable code. Without a code, drop the
    /// guard.
    pub fn cancel_code(mut self, code: impl AsRef<str>) {
        self.update(|state| state.error_code = Some(label(code.as_ref())));
        self.end();
    }

    /// Discards the request without a record, for health checks and tests.
    pub fn discard(mut self) {
        self.state = None;
        self.shared.counters.count(Counted::Discarded);
    }

    fn end(&mut self) {
        if let Some(mut state) = self.state.take() {
            state.end(self.shared.clock.monotonic_us());
            self.shared.enqueue(state);
        }
    }

    fn update(&mut self, change: impl FnOnce(&mut RequestState)) {
        if let Some(state) = &mut self.state {
            change(state);
        }
    }

    fn at_now(&mut self, change: impl FnOnce(&mut RequestState, u64)) {
        let now_us = self.shared.clock.monotonic_us();
        self.update(|state| change(state, now_us));
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if self.state.is_some() {
            if std::thread::panicking() {
                self.update(|state| state.fail(ErrorType::Server, Some(PANIC_CODE)));
            }
            self.end();
        }
    }
}

/// One attempt at an LLM call; dropping it without an end records it as cancelled.
#[derive(Debug)]
#[must_use = "an attempt whose guard is dropped at once has no duration"]
pub struct LlmGuard<'a> {
    request: &'a mut RequestGuard,
}

impl LlmGuard<'_> {
    /// Marks the first generated token, of whatever channel; the first call wins.
    pub fn first_token(&mut self) {
        self.request.first_token();
    }

    /// Sets the token counts so far, replacing earlier ones.
    pub fn usage(&mut self, usage: Usage) {
        self.request.usage(usage);
    }

    /// Ends the attempt as successful.
    pub fn ok(self) {
        self.request.llm_finished();
    }

    /// Ends the attempt as failed; the request continues, with or without another attempt.
    pub fn fail(self, kind: ErrorType) {
        self.request.at_now(|state, now_us| state.llm_ended(Some(kind), now_us));
    }
}

impl Drop for LlmGuard<'_> {
    fn drop(&mut self) {
        if self.request.state.as_ref().is_some_and(|state| state.llm_is_open()) {
            self.request.llm_finished();
        }
    }
}
