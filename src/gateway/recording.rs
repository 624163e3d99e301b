//! Records one request, from its first byte to its single end.

use std::sync::Arc;
use std::time::Duration;

use super::GatewayState;
use super::identity::Caller;
use crate::collector::RequestGuard;
use crate::model::{ErrorType, RequestId};
use crate::privacy::is_label;
use crate::provider::{CacheShare, Framing, RequestFacts, ResponseReader, classify};

/// HTTP status recorded for a request whose client disconnected.
const CLIENT_CLOSED: u16 = 499;
/// Error code of a request whose client library timed out.
const CLIENT_TIMEOUT: &str = "client_timeout";

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestEnd {
    /// The response is complete.
    Completed,
    /// No response, or an incomplete one.
    Failed(ErrorType, &'static str),
    /// The client disconnected.
    ClientGone,
}

/// The record of a request in flight. Dropping it without an end records that the client
/// disconnected.
///
/// It never blocks: whatever happens to the record, the traffic goes on.
#[derive(Debug)]
pub(super) struct Recording {
    shared: Arc<GatewayState>,
    /// `None` after the request has ended.
    guard: Option<RequestGuard>,
    response: Option<ResponseReader>,
    share: CacheShare,
    /// The request named a model, so failures and responses are counted under the same name.
    has_request_model: bool,
    framing: Framing,
    status: Option<u16>,
    client_timeout: Option<Duration>,
    /// Time of the last progress, in monotonic microseconds.
    progress_us: u64,
}

impl Recording {
    pub(super) fn new(shared: Arc<GatewayState>, guard: RequestGuard, identity: &Caller) -> Self {
        let progress_us = shared.service.monotonic_us();
        Self {
            shared,
            guard: Some(guard),
            response: None,
            share: CacheShare::Included,
            has_request_model: false,
            framing: Framing::Whole,
            status: None,
            client_timeout: identity.client_timeout,
            progress_us,
        }
    }

    pub(super) fn request_id(&self) -> Option<&RequestId> {
        self.guard.as_ref().map(RequestGuard::request_id)
    }

    pub(super) fn with_guard(&mut self, change: impl FnOnce(&mut RequestGuard)) {
        if let Some(guard) = &mut self.guard {
            change(guard);
        }
    }

    /// Adds what the request body says.
    pub(super) fn describe(&mut self, identity: &Caller, facts: &RequestFacts, has_space: bool) {
        self.has_request_model = facts.model.is_some();
        self.with_guard(|guard| guard.amend(|info| identity.complete(info, facts, has_space)));
    }

    /// Marks the request as sent to the upstream.
    pub(super) fn sent(&mut self, provider: &str, model: &str) {
        self.progress_us = self.shared.service.monotonic_us();
        self.with_guard(|guard| guard.llm_started(provider, model));
    }

    /// Marks the arrival of the response head; `response` reads the body, if it is readable.
    pub(super) fn response_started(
        &mut self,
        status: u16,
        framing: Framing,
        response: Option<ResponseReader>,
        share: CacheShare,
    ) {
        self.progress_us = self.shared.service.monotonic_us();
        self.status = Some(status);
        self.framing = framing;
        self.response = response;
        self.share = share;
        self.with_guard(|guard| guard.http_status(status));
    }

    /// Reads a piece of the response; `ended` as in [`ResponseReader::push_with_events`].
    pub(super) fn observe(&mut self, bytes: &[u8], ended: &mut dyn FnMut(usize, bool)) {
        self.progress_us = self.shared.service.monotonic_us();
        let Some(response) = &mut self.response else { return };
        let (had_token, was_over) = (response.has_token(), response.is_over());
        response.push_with_events(bytes, ended);
        let (has_token, is_over) = (response.has_token(), response.is_over());
        self.with_guard(|guard| {
            if has_token && !had_token {
                guard.first_token();
            }
            if is_over && !was_over {
                guard.llm_finished();
            }
        });
    }

    /// Whether the response is complete, even if the connection has not ended yet.
    pub(super) fn is_whole(&self) -> bool {
        self.response.as_ref().is_some_and(ResponseReader::is_over)
    }

    /// Ends the record; only the first call has an effect.
    pub(super) fn end(&mut self, end: RequestEnd) {
        let Some(mut guard) = self.guard.take() else { return };
        if let (RequestEnd::Completed, Some(response)) = (end, &mut self.response) {
            response.finish();
        }
        self.report_facts(&mut guard);
        match end {
            RequestEnd::Failed(kind, code) => guard.record_error_code(kind, code),
            RequestEnd::ClientGone => self.end_cancelled(guard),
            RequestEnd::Completed => self.end_completed(guard),
        }
    }

    fn report_facts(&self, guard: &mut RequestGuard) {
        let Some(response) = &self.response else { return };
        if let Some(tokens) = response.tokens() {
            guard.usage(tokens.usage(self.share));
            if let Some(cost_usd) = tokens.cost_usd {
                guard.provider_cost_usd(cost_usd);
            }
        }
        if let Some(id) = response.id().filter(|id| is_label(id)) {
            guard.provider_response_id(id);
        }
        if let Some(model) = response.model().filter(|_| !self.has_request_model) {
            guard.answered_by(model);
        }
        if let Some(reason) = response.finish_reason() {
            guard.finish_reason(reason);
        }
    }

    fn end_completed(&self, guard: RequestGuard) {
        let status = self.status.unwrap_or(200);
        let codes = self.response.as_ref().and_then(ResponseReader::error);
        if codes.is_some() || status >= 400 {
            let codes = codes.cloned().unwrap_or_default();
            let kind = classify(Some(status), &codes);
            match codes.error_code() {
                Some(code) => guard.record_error_code(kind, code),
                None => guard.record_error(kind),
            }
        } else if self.response.is_some() && self.framing == Framing::Events && !self.is_whole() {
            guard.record_error_code(ErrorType::Network, "incomplete_stream");
        } else {
            guard.complete();
        }
    }

    /// A client that was silent for about as long as its library's timeout was that library timing
    /// out, not a user who left.
    fn end_cancelled(&self, mut guard: RequestGuard) {
        guard.http_status(CLIENT_CLOSED);
        let silent_us = self.shared.service.monotonic_us().saturating_sub(self.progress_us);
        let silent = Duration::from_micros(silent_us);
        let timeout = self.client_timeout.filter(|timeout| !timeout.is_zero());
        if timeout.is_some_and(|timeout| silent.as_secs_f64() >= timeout.as_secs_f64() * 0.98) {
            guard.cancel_code(CLIENT_TIMEOUT);
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.end(if self.is_whole() { RequestEnd::Completed } else { RequestEnd::ClientGone });
    }
}
