//! One recorded request, from its first byte to its one end.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::identity::Identity;
use crate::collector::RequestGuard;
use crate::model::{ErrorType, RequestId};
use crate::privacy::is_label;
use crate::provider::{Answer, Asked, CacheShare, Framing, classify};

/// HTTP status of a request whose client went away before the end.
const CLIENT_CLOSED: u16 = 499;
/// The code of a request whose client stopped waiting.
const CLIENT_TIMEOUT: &str = "client_timeout";

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The upstream's answer is over.
    Answered,
    /// No answer, or half of one.
    Failed(ErrorType, &'static str),
    /// The client has gone.
    Gone,
}

/// What is known of a request under way. Dropped without an end, its client has gone.
///
/// It never waits: whatever happens to the record, the traffic goes on.
#[derive(Debug)]
pub(super) struct Recording {
    shared: Arc<Shared>,
    /// `None` once it has ended.
    guard: Option<RequestGuard>,
    answer: Option<Answer>,
    share: CacheShare,
    /// The question named a model: what failed and what was answered count under one name.
    names_model: bool,
    framing: Framing,
    status: Option<u16>,
    client_timeout: Option<Duration>,
    /// When something last moved, in monotonic microseconds.
    moved_us: u64,
}

impl Recording {
    pub(super) fn new(shared: Arc<Shared>, guard: RequestGuard, identity: &Identity) -> Self {
        let moved_us = shared.service.monotonic_us();
        Self {
            shared,
            guard: Some(guard),
            answer: None,
            share: CacheShare::Included,
            names_model: false,
            framing: Framing::Whole,
            status: None,
            client_timeout: identity.client_timeout,
            moved_us,
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

    /// What the body of the request tells beyond its headers.
    pub(super) fn describe(&mut self, identity: &Identity, asked: &Asked, has_space: bool) {
        self.names_model = asked.model.is_some();
        self.with_guard(|guard| guard.amend(|info| identity.complete(info, asked, has_space)));
    }

    /// The request is on its way to the upstream.
    pub(super) fn sent(&mut self, provider: &str, model: &str) {
        self.moved_us = self.shared.service.monotonic_us();
        self.with_guard(|guard| guard.llm_started(provider, model));
    }

    /// The head of the answer is here; `answer` reads its body, if it can be read.
    pub(super) fn answered(
        &mut self,
        status: u16,
        framing: Framing,
        answer: Option<Answer>,
        share: CacheShare,
    ) {
        self.moved_us = self.shared.service.monotonic_us();
        self.status = Some(status);
        self.framing = framing;
        self.answer = answer;
        self.share = share;
        self.with_guard(|guard| guard.http_status(status));
    }

    /// A piece of the answer passes; hears where events end as [`Answer::push_noting`] does.
    pub(super) fn passed(&mut self, bytes: &[u8], ended: &mut dyn FnMut(usize, bool)) {
        self.moved_us = self.shared.service.monotonic_us();
        let Some(answer) = &mut self.answer else { return };
        let (had_token, was_over) = (answer.has_token(), answer.is_over());
        answer.push_noting(bytes, ended);
        let (has_token, is_over) = (answer.has_token(), answer.is_over());
        self.with_guard(|guard| {
            if has_token && !had_token {
                guard.first_token();
            }
            if is_over && !was_over {
                guard.llm_finished();
            }
        });
    }

    /// Whether nothing is missing, even if the connection has not said so yet.
    pub(super) fn is_whole(&self) -> bool {
        self.answer.as_ref().is_some_and(Answer::is_over)
    }

    /// The one end.
    pub(super) fn end(&mut self, end: End) {
        let Some(mut guard) = self.guard.take() else { return };
        if end == End::Answered
            && let Some(answer) = &mut self.answer
        {
            answer.finish();
        }
        self.tell_facts(&mut guard);
        match end {
            End::Failed(kind, code) => guard.record_error_code(kind, code),
            End::Gone => self.end_cancelled(guard),
            End::Answered => self.end_answered(guard),
        }
    }

    fn tell_facts(&self, guard: &mut RequestGuard) {
        let Some(answer) = &self.answer else { return };
        if let Some(tokens) = answer.tokens() {
            guard.usage(tokens.usage(self.share));
            if let Some(cost_usd) = tokens.cost_usd {
                guard.provider_cost_usd(cost_usd);
            }
        }
        if let Some(id) = answer.id().filter(|id| is_label(id)) {
            guard.provider_response_id(id);
        }
        if let Some(model) = answer.model().filter(|_| !self.names_model) {
            guard.answered_by(model);
        }
        if let Some(reason) = answer.finish_reason() {
            guard.finish_reason(reason);
        }
    }

    fn end_answered(&self, guard: RequestGuard) {
        let status = self.status.unwrap_or(200);
        let words = self.answer.as_ref().and_then(Answer::error);
        if words.is_some() || status >= 400 {
            let words = words.cloned().unwrap_or_default();
            let kind = classify(Some(status), &words);
            match words.error_code() {
                Some(code) => guard.record_error_code(kind, code),
                None => guard.record_error(kind),
            }
        } else if self.answer.is_some() && self.framing == Framing::Events && !self.is_whole() {
            guard.record_error_code(ErrorType::Network, "incomplete_stream");
        } else {
            guard.complete();
        }
    }

    /// Silence for about as long as the client's library waits was that library, not a person.
    fn end_cancelled(&self, mut guard: RequestGuard) {
        guard.http_status(CLIENT_CLOSED);
        let silent_us = self.shared.service.monotonic_us().saturating_sub(self.moved_us);
        let silent = Duration::from_micros(silent_us);
        let waits = self.client_timeout.filter(|limit| !limit.is_zero());
        match waits {
            Some(limit) if silent.as_secs_f64() >= limit.as_secs_f64() * 0.98 => {
                guard.cancel_code(CLIENT_TIMEOUT);
            }
            _ => drop(guard),
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.end(if self.is_whole() { End::Answered } else { End::Gone });
    }
}
