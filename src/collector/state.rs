//! The state of one request in flight: pure bookkeeping, every instant is an argument.

use std::time::Duration;

use super::info::{Completion, RequestInfo, Usage, label, name, whole};
use crate::model::clock::as_us;
use crate::model::record::limits;
use crate::model::{CostSource, ErrorType, LatencyKind, Name, Outcome, RequestId, Timestamp};

/// Everything known about a request. Instants are monotonic microseconds of one clock.
pub(super) struct RequestState {
    pub(super) request_id: RequestId,
    pub(super) info: RequestInfo,
    pub(super) started_at: Timestamp,
    pub(super) started_us: u64,
    pub(super) usage: Usage,
    pub(super) cost_usd: Option<f64>,
    pub(super) cost_source: CostSource,
    pub(super) cache_hit: bool,
    pub(super) outcome: Outcome,
    pub(super) error_code: Option<Name>,
    pub(super) http_status: Option<u16>,
    pub(super) finish_reason: Option<Name>,
    pub(super) provider_response_id: Option<Name>,
    total_us: Option<u64>,
    /// Time before the start that belongs to the request, in microseconds.
    before_us: u64,
    context_us: Option<u64>,
    time_to_first_token_us: Option<u64>,
    llm: LlmCalls,
}

debug_fields!(RequestState { request_id, started_at, outcome });

/// The attempts of one request; they follow each other and never overlap.
#[derive(Default)]
struct LlmCalls {
    attempts: u32,
    /// Sum over the ended attempts.
    ended_us: u64,
    /// Start of the last attempt.
    last_started_us: Option<u64>,
    /// Whether the last attempt is still open.
    is_open: bool,
    last_failure: Option<ErrorType>,
    /// LLM latency reported by the caller instead of measured.
    reported_us: Option<u64>,
}

impl LlmCalls {
    fn open_us(&self, now_us: u64) -> u64 {
        match self.last_started_us {
            Some(started_us) if self.is_open => now_us.saturating_sub(started_us),
            _ => 0,
        }
    }

    fn end(&mut self, now_us: u64) {
        self.ended_us += self.open_us(now_us);
        self.is_open = false;
    }

    fn total_us(&self) -> Option<u64> {
        self.reported_us.or((self.attempts > 0).then_some(self.ended_us))
    }
}

impl RequestState {
    pub(super) fn new(
        info: RequestInfo,
        request_id: RequestId,
        started_at: Timestamp,
        started_us: u64,
    ) -> Self {
        let context_us = info.context_before.map(|us| as_us(us).min(limits::LATENCY_US));
        let before_us = context_us.unwrap_or(0);
        let before_ms = i64::try_from(before_us / 1_000).unwrap_or(0);
        Self {
            request_id,
            info,
            started_at: started_at.plus_ms(-before_ms),
            started_us,
            usage: Usage::default(),
            cost_usd: None,
            cost_source: CostSource::Client,
            cache_hit: false,
            outcome: Outcome::Cancelled,
            error_code: None,
            http_status: None,
            finish_reason: None,
            provider_response_id: None,
            total_us: None,
            before_us,
            context_us,
            time_to_first_token_us: None,
            llm: LlmCalls::default(),
        }
    }

    /// Excludes time spent in earlier LLM calls (to rewrite the query, for example), so that
    /// context and LLM latency never count the same moment twice.
    pub(super) fn context_assembled(&mut self, now_us: u64) {
        if self.context_us.is_none() {
            let in_llm_us = self.llm.ended_us + self.llm.open_us(now_us);
            let elapsed_us = now_us.saturating_sub(self.started_us);
            self.context_us = Some(elapsed_us.saturating_sub(in_llm_us));
        }
    }

    pub(super) fn llm_started(&mut self, provider: &str, model: &str, now_us: u64) {
        self.llm.end(now_us);
        self.llm.attempts = self.llm.attempts.saturating_add(1);
        self.llm.last_started_us = Some(now_us);
        self.llm.is_open = true;
        self.llm.last_failure = None;
        // The user waits for the first token of the attempt that succeeds.
        self.time_to_first_token_us = None;
        self.info.provider = Some(name(provider));
        self.info.model = Some(name(model));
    }

    pub(super) const fn llm_is_open(&self) -> bool {
        self.llm.is_open
    }

    pub(super) fn llm_ended(&mut self, failure: Option<ErrorType>, now_us: u64) {
        if self.llm.is_open {
            self.llm.end(now_us);
            self.llm.last_failure = failure;
        }
    }

    pub(super) const fn last_failure(&self) -> Option<ErrorType> {
        self.llm.last_failure
    }

    /// Measures from the start of the last attempt; without an attempt, from the end of the context
    /// assembly, or else from the start of the request.
    pub(super) fn first_token(&mut self, now_us: u64) {
        if self.time_to_first_token_us.is_none() {
            let from_us = self
                .llm
                .last_started_us
                .unwrap_or_else(|| self.started_us.saturating_add(self.context_us.unwrap_or(0)));
            self.time_to_first_token_us = Some(now_us.saturating_sub(from_us));
        }
    }

    /// Sets the provider's response id. Drops an id that is too long, because two truncated ids could be equal.
    pub(super) fn set_provider_response_id(&mut self, id: &str) {
        self.provider_response_id = whole(id, limits::NAME_BYTES);
    }

    pub(super) fn fail(&mut self, kind: ErrorType, code: Option<&str>) {
        self.outcome = Outcome::Error(kind);
        self.error_code = code.map(label);
    }

    pub(super) fn apply(&mut self, completion: &Completion) {
        let us = |latency: Option<Duration>| latency.map(as_us);
        self.usage = completion.usage;
        self.context_us = us(completion.context_latency);
        self.llm.reported_us = us(completion.llm_latency);
        self.time_to_first_token_us = us(completion.time_to_first_token);
        self.cache_hit = completion.cache_hit;
        let changed = |text: &Option<Name>| text.as_deref().map(name);
        self.info.provider = changed(&completion.provider).or(self.info.provider.take());
        self.info.model = changed(&completion.model).or(self.info.model.take());
        self.finish_reason = completion.finish_reason.as_deref().map(label);
        if let Some(id) = &completion.provider_response_id {
            self.set_provider_response_id(id);
        }
        self.http_status = completion.http_status;
        self.cost_usd = completion.cost_usd;
    }

    /// Ends every measurement.
    pub(super) fn end(&mut self, now_us: u64) {
        self.llm.end(now_us);
        let elapsed_us = now_us.saturating_sub(self.started_us);
        self.total_us = Some(elapsed_us.saturating_add(self.before_us));
    }

    /// 0 for the first attempt, 1 for the first retry, and so on.
    pub(super) fn attempt(&self) -> u32 {
        let max = u32::try_from(limits::ATTEMPT).unwrap_or(u32::MAX);
        self.llm.attempts.saturating_sub(1).saturating_add(self.info.earlier_attempts).min(max)
    }

    /// Latencies by [`LatencyKind::index`], within their limit and with context + LLM <= total.
    pub(super) fn latency_us(&self) -> [Option<u64>; 4] {
        let total = self.total_us.map(|us| us.min(limits::LATENCY_US));
        let room = total.unwrap_or(limits::LATENCY_US);
        let context = self.context_us.map(|us| us.min(room));
        let llm = self.llm.total_us().map(|us| us.min(room - context.unwrap_or(0)));
        let mut latency_us = [None; 4];
        latency_us[LatencyKind::Total.index()] = total;
        latency_us[LatencyKind::Context.index()] = context;
        latency_us[LatencyKind::Llm.index()] = llm;
        latency_us[LatencyKind::TimeToFirstToken.index()] =
            self.time_to_first_token_us.map(|us| us.min(room));
        latency_us
    }
}
