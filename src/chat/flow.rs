//! The chat flow: cache, context, models in order, attempts per model, and the record of the
//! request.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{
    Answer, AnswerCache, AskModel, AssembleContext, Backoff, ChatError, CircuitBreaker, Message,
    OnDelta, ProviderError, Question,
};
use crate::collector::{RequestGuard, RequestInfo, TelemetryCollector};
use crate::model::clock::as_us;
use crate::model::{Clock, ErrorType};

/// Error code of a request for which every circuit breaker was open.
const ALL_OPEN: &str = "circuits_open";

/// One model that the flow can call.
pub struct Route {
    /// Provider name in the records.
    pub provider: String,
    /// Model name.
    pub model: String,
    /// Client that calls the model.
    pub client: Arc<dyn AskModel + Send + Sync>,
    breaker: Mutex<CircuitBreaker>,
}

impl Route {
    /// A route to a model, guarded by a circuit breaker.
    pub fn new(
        provider: impl Into<String>,
        model: impl Into<String>,
        client: Arc<dyn AskModel + Send + Sync>,
        breaker: CircuitBreaker,
    ) -> Self {
        let (provider, model, breaker) = (provider.into(), model.into(), Mutex::new(breaker));
        Self { provider, model, client, breaker }
    }

    fn with_breaker<T>(&self, action: impl FnOnce(&mut CircuitBreaker) -> T) -> T {
        action(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

debug_fields!(Route { provider, model });

/// Answers questions, with retries and fallbacks, and records every request exactly once.
pub struct ChatFlow {
    telemetry: TelemetryCollector,
    clock: Arc<dyn Clock>,
    context: Box<dyn AssembleContext + Send + Sync>,
    cache: AnswerCache,
    routes: Vec<Route>,
    backoff: Backoff,
    pause: Box<dyn Fn(Duration) + Send + Sync>,
}

debug_fields!(ChatFlow { routes });

/// Result of the attempts with one model.
enum Attempts {
    Answered(Answer),
    /// Failed; the next model is tried.
    Failed(ProviderError),
    /// Failed; trying other models is pointless.
    Final(ProviderError),
    /// Not called, because its circuit breaker is open.
    Open,
}

impl ChatFlow {
    /// A flow that tries `routes` in order.
    pub fn new(
        telemetry: TelemetryCollector,
        clock: Arc<dyn Clock>,
        context: impl AssembleContext + Send + Sync + 'static,
        cache: AnswerCache,
        routes: Vec<Route>,
    ) -> Self {
        Self {
            telemetry,
            clock,
            context: Box::new(context),
            cache,
            routes,
            backoff: Backoff::default(),
            pause: Box::new(std::thread::sleep),
        }
    }

    /// Replaces the default retry policy.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Replaces `std::thread::sleep` as the way to wait before a retry.
    #[must_use]
    pub fn with_pause(mut self, pause: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.pause = Box::new(pause);
        self
    }

    /// Answers a question and streams the answer to `on_delta`.
    ///
    /// # Errors
    /// Returns the reason, which is also recorded.
    pub fn ask(&self, question: &Question, on_delta: OnDelta<'_>) -> Result<Answer, ChatError> {
        let mut info = RequestInfo::new("chat")
            .user(&question.user)
            .space(&question.space)
            .session(&question.session)
            .streamed(true);
        if let Some(first) = self.routes.first() {
            info = info.provider(&first.provider).model(&first.model);
        }
        let mut request = self.telemetry.start_request(info);
        let cached = self.cache.get(question, self.clock.monotonic_us());
        request.cache_lookup(cached.is_some());
        if let Some(answer) = cached {
            if on_delta(&answer.text).is_break() {
                // Dropping the guard records the request as cancelled.
                return Err(ChatError::Stopped);
            }
            request.complete();
            return Ok(answer);
        }
        let messages = match self.context.assemble(question) {
            Ok(messages) => messages,
            Err(code) => {
                request.record_error_code(ErrorType::Other, code);
                return Err(ChatError::Context(code));
            }
        };
        request.context_assembled();
        self.call_models(request, question, &messages, on_delta)
    }

    fn call_models(
        &self,
        mut request: RequestGuard,
        question: &Question,
        messages: &[Message],
        on_delta: OnDelta<'_>,
    ) -> Result<Answer, ChatError> {
        let mut failure = None;
        for route in &self.routes {
            match self.call_model(&mut request, route, messages, on_delta) {
                Attempts::Answered(answer) => {
                    self.cache.insert(question, answer.clone(), self.clock.monotonic_us());
                    request.complete();
                    return Ok(answer);
                }
                Attempts::Failed(error) => failure = Some(error),
                Attempts::Final(error) => return Err(record_failure(request, Some(error))),
                Attempts::Open => {}
            }
        }
        Err(record_failure(request, failure))
    }

    fn call_model(
        &self,
        request: &mut RequestGuard,
        route: &Route,
        messages: &[Message],
        on_delta: OnDelta<'_>,
    ) -> Attempts {
        let mut last = None;
        for retry in 0..=self.backoff.retries {
            if !route.with_breaker(|breaker| breaker.allows_call(self.clock.monotonic_us())) {
                break;
            }
            let mut has_output = false;
            let error = match self.attempt(request, route, messages, on_delta, &mut has_output) {
                Ok(answer) => return Attempts::Answered(answer),
                Err(error) => error,
            };
            // A retry would stream the beginning of the answer twice.
            if has_output || !error.is_retryable() {
                return Attempts::Final(error);
            }
            let retry_after = match &error {
                ProviderError::Failed { retry_after, .. } => *retry_after,
                ProviderError::Stopped { .. } => None,
            };
            last = Some(error);
            let wait = self.backoff.wait(retry, rand::random(), retry_after);
            // Skip the wait if the breaker will still be open after it; the next model is tried
            // instead.
            if retry == self.backoff.retries || self.stays_open(route, wait) {
                break;
            }
            (self.pause)(wait);
        }
        last.map_or(Attempts::Open, Attempts::Failed)
    }

    /// Whether the circuit breaker of a model is open and still will be after `wait`.
    fn stays_open(&self, route: &Route, wait: Duration) -> bool {
        let at_us = self.clock.monotonic_us().saturating_add(as_us(wait));
        route.with_breaker(|breaker| breaker.is_open(at_us))
    }

    /// One attempt, with its own latency.
    fn attempt(
        &self,
        request: &mut RequestGuard,
        route: &Route,
        messages: &[Message],
        on_delta: OnDelta<'_>,
        has_output: &mut bool,
    ) -> Result<Answer, ProviderError> {
        let mut llm = request.llm_call(&route.provider, &route.model);
        let outcome = route.client.ask(&route.model, messages, &mut |delta| {
            if delta.is_empty() {
                return ControlFlow::Continue(());
            }
            llm.first_token();
            *has_output = true;
            on_delta(delta)
        });
        match outcome {
            Ok(answer) => {
                llm.usage(answer.usage);
                llm.ok();
                route.with_breaker(CircuitBreaker::succeeded);
                if let Some(reason) = &answer.finish_reason {
                    request.finish_reason(reason);
                }
                if let Some(id) = &answer.response_id {
                    request.provider_response_id(id);
                }
                request.http_status(200);
                Ok(answer)
            }
            Err(error) => {
                match &error {
                    ProviderError::Failed { kind, .. } => llm.fail(*kind),
                    ProviderError::Stopped { usage } => llm.usage(*usage),
                }
                if error.is_retryable() {
                    route.with_breaker(|breaker| breaker.failed(self.clock.monotonic_us()));
                }
                Err(error)
            }
        }
    }
}

/// Ends the record of a request without an answer.
fn record_failure(mut request: RequestGuard, failure: Option<ProviderError>) -> ChatError {
    match failure {
        None => {
            request.record_error_code(ErrorType::Server, ALL_OPEN);
            ChatError::AllOpen
        }
        // Dropping the guard records the request as cancelled.
        Some(ProviderError::Stopped { .. }) => ChatError::Stopped,
        Some(ProviderError::Failed { kind, http_status, code, .. }) => {
            if let Some(status) = http_status {
                request.http_status(status);
            }
            match &code {
                Some(code) => request.record_error_code(kind, code),
                None => request.record_error(kind),
            }
            ChatError::Unanswered { kind, code }
        }
    }
}
