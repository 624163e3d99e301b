//! The flow: cache, context, model after model, attempt after attempt; and what is recorded of it.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{
    Answer, AnswerCache, AskModel, AssembleContext, Backoff, ChatError, CircuitBreaker, Message,
    OnDelta, ProviderError, Question,
};
use crate::collector::{RequestGuard, RequestInfo, TelemetryCollector};
use crate::model::{Clock, ErrorType};

/// The code of a request for which no model might be asked.
const ALL_OPEN: &str = "circuits_open";

/// One model that may be asked.
pub struct Route {
    /// Name of the provider in the records.
    pub provider: String,
    /// Name of the model.
    pub model: String,
    /// How to ask it.
    pub client: Arc<dyn AskModel + Send + Sync>,
    breaker: Mutex<CircuitBreaker>,
}

impl Route {
    /// A model, left alone when it keeps failing.
    pub fn new(
        provider: impl Into<String>,
        model: impl Into<String>,
        client: Arc<dyn AskModel + Send + Sync>,
        breaker: CircuitBreaker,
    ) -> Self {
        let (provider, model, breaker) = (provider.into(), model.into(), Mutex::new(breaker));
        Self { provider, model, client, breaker }
    }

    fn with_breaker<T>(&self, use_it: impl FnOnce(&mut CircuitBreaker) -> T) -> T {
        use_it(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route")
            .field("provider", &self.provider)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// Answers questions, whatever happens to a provider, and records every request once.
pub struct ChatFlow {
    telemetry: TelemetryCollector,
    clock: Arc<dyn Clock>,
    context: Box<dyn AssembleContext + Send + Sync>,
    cache: AnswerCache,
    routes: Vec<Route>,
    backoff: Backoff,
    pause: Box<dyn Fn(Duration) + Send + Sync>,
}

impl std::fmt::Debug for ChatFlow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatFlow").field("routes", &self.routes).finish_non_exhaustive()
    }
}

/// How the attempts with one model ended.
enum Attempts {
    Answered(Answer),
    /// The next model may do better.
    Failed(ProviderError),
    /// No model will.
    Final(ProviderError),
    /// It was not asked.
    Open,
}

impl ChatFlow {
    /// A flow that asks `routes` in their order.
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

    /// Other retries.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Waits by other means than putting the thread to sleep.
    #[must_use]
    pub fn with_pause(mut self, pause: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.pause = Box::new(pause);
        self
    }

    /// Answers a question; `on_delta` hears the answer while it is being made.
    ///
    /// # Errors
    /// Why there is no answer; the record says the same.
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
        let cached = self.cache.find(question, self.clock.monotonic_us());
        request.cache_lookup(cached.is_some());
        if let Some(answer) = cached {
            return Self::deliver_cached(request, answer, on_delta);
        }
        let messages = match self.context.assemble(question) {
            Ok(messages) => messages,
            Err(code) => {
                request.record_error_code(ErrorType::Other, code);
                return Err(ChatError::Context(code));
            }
        };
        request.context_assembled();
        self.ask_models(request, question, &messages, on_delta)
    }

    fn deliver_cached(
        request: RequestGuard,
        answer: Answer,
        on_delta: OnDelta<'_>,
    ) -> Result<Answer, ChatError> {
        if on_delta(&answer.text).is_break() {
            // The guard that is dropped says so.
            return Err(ChatError::Stopped);
        }
        request.complete();
        Ok(answer)
    }

    fn ask_models(
        &self,
        mut request: RequestGuard,
        question: &Question,
        messages: &[Message],
        on_delta: OnDelta<'_>,
    ) -> Result<Answer, ChatError> {
        let mut failure = None;
        for route in &self.routes {
            match self.ask_model(&mut request, route, messages, on_delta) {
                Attempts::Answered(answer) => {
                    self.cache.keep(question, answer.clone(), self.clock.monotonic_us());
                    request.complete();
                    return Ok(answer);
                }
                Attempts::Failed(error) => failure = Some(error),
                Attempts::Final(error) => {
                    failure = Some(error);
                    break;
                }
                Attempts::Open => {}
            }
        }
        Err(record_failure(request, failure))
    }

    fn ask_model(
        &self,
        request: &mut RequestGuard,
        route: &Route,
        messages: &[Message],
        on_delta: OnDelta<'_>,
    ) -> Attempts {
        let mut last = None;
        for retry in 0..=self.backoff.retries {
            if !route.with_breaker(|breaker| breaker.may_ask(self.clock.monotonic_us())) {
                break;
            }
            let mut has_begun = false;
            let error = match self.attempt(request, route, messages, on_delta, &mut has_begun) {
                Ok(answer) => return Attempts::Answered(answer),
                Err(error) => error,
            };
            // Nobody wants to read the beginning twice.
            if has_begun || !error.is_passing() {
                return Attempts::Final(error);
            }
            let retry_after = match &error {
                ProviderError::Failed { retry_after, .. } => *retry_after,
                ProviderError::Stopped { .. } => None,
            };
            last = Some(error);
            let wait = self.backoff.wait(retry, rand::random(), retry_after);
            // What would not be asked after the wait is not worth waiting for: the next model is.
            if retry == self.backoff.retries || self.will_rest(route, wait) {
                break;
            }
            (self.pause)(wait);
        }
        last.map_or(Attempts::Open, Attempts::Failed)
    }

    /// Whether the circuit of a model is open and stays so for longer than `wait`.
    fn will_rest(&self, route: &Route, wait: Duration) -> bool {
        let wait_us = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        let at_us = self.clock.monotonic_us().saturating_add(wait_us);
        route.with_breaker(|breaker| breaker.is_open(at_us))
    }

    /// One attempt, with its own latency.
    fn attempt(
        &self,
        request: &mut RequestGuard,
        route: &Route,
        messages: &[Message],
        on_delta: OnDelta<'_>,
        has_begun: &mut bool,
    ) -> Result<Answer, ProviderError> {
        let mut llm = request.llm_call(&route.provider, &route.model);
        let outcome = route.client.ask(&route.model, messages, &mut |delta| {
            if delta.is_empty() {
                return ControlFlow::Continue(());
            }
            llm.first_token();
            *has_begun = true;
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
                if error.is_passing() {
                    route.with_breaker(|breaker| breaker.failed(self.clock.monotonic_us()));
                }
                Err(error)
            }
        }
    }
}

/// The one end of a request without an answer.
fn record_failure(mut request: RequestGuard, failure: Option<ProviderError>) -> ChatError {
    match failure {
        None => {
            request.record_error_code(ErrorType::Server, ALL_OPEN);
            ChatError::AllOpen
        }
        // The guard that is dropped says so.
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
