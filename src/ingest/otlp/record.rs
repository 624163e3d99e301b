//! Turns a call into a record, by the same rules as every other record.

use super::call::Call;
use crate::ingest::wire::{Draft, Field, FieldCounts, RecordContext, RecordProblem};
use crate::model::{Outcome, RequestRecord};

/// Nanoseconds per millisecond.
const NS_PER_MS: u64 = 1_000_000;

impl Call {
    /// The record of the call; `space` is its space if the span names none.
    ///
    /// # Errors
    /// If the call is too far in the future or the past; the problem says so.
    pub fn to_record(
        &self,
        context: &RecordContext,
        space: Option<&str>,
    ) -> Result<RequestRecord, RecordProblem> {
        let mut draft = Draft::default();
        draft.set(Field::RequestId, self.id());
        draft.set(Field::StartedAt, self.start_ns / NS_PER_MS);
        draft.set(Field::Operation, self.operation);
        draft.set(Field::Provider, self.provider.as_deref());
        draft.set(Field::Model, self.model.as_deref());
        draft.set(Field::User, self.user.as_deref());
        draft.set(Field::Session, self.session.as_deref());
        draft.set(Field::Space, self.space.as_deref().or(space));
        draft.set(Field::ProviderResponseId, self.response_id.as_deref());
        draft.set(Field::FinishReason, self.finish_reason.as_deref());
        draft.set(Field::ErrorCode, self.error_code.as_deref());
        draft.set(Field::PromptTokens, self.prompt_tokens);
        draft.set(Field::CompletionTokens, self.completion_tokens);
        draft.set(Field::CachedPromptTokens, self.cached_prompt_tokens);
        draft.set(Field::ReasoningTokens, self.reasoning_tokens);
        draft.set(Field::Cost, self.cost_usd);
        draft.set(Field::HttpStatus, self.http_status.map(u64::from));
        draft.set(Field::Streamed, self.streamed);
        draft.set(Field::CacheHit, self.cache_hit);
        match self.outcome {
            Outcome::Success => {}
            Outcome::Error(kind) => draft.set(Field::ErrorType, kind.as_str()),
            Outcome::Cancelled => draft.set(Field::Cancelled, true),
        }
        self.set_latencies(&mut draft);
        draft.check(context, &mut FieldCounts::default())
    }

    /// Trace id and span id in hexadecimal digits, so that a span sent again is the same request.
    pub fn id(&self) -> String {
        let hex = data_encoding::HEXLOWER;
        let mut id = hex.encode(&self.trace_id);
        id.push(':');
        hex.encode_append(&self.span_id, &mut id);
        id
    }

    /// Context and LLM latency fit into the total by construction.
    fn set_latencies(&self, draft: &mut Draft<'_>) {
        if self.end_ns <= self.start_ns {
            return;
        }
        let llm_ms = self.llm_ms();
        let parts_ms = llm_ms + self.context_ms.unwrap_or(0.0);
        draft.set(Field::LlmLatency, llm_ms);
        draft.set(Field::TotalLatency, self.total_ms.unwrap_or(0.0).max(parts_ms));
        draft.set(Field::ContextLatency, self.context_ms);
        draft.set(Field::TimeToFirstToken, self.time_to_first_token_ms.map(|ms| ms.min(llm_ms)));
    }
}
