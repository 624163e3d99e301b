//! From a call to a record, by the same rules as every other record.

use super::call::Call;
use crate::ingest::wire::{Draft, Field, FieldCounts, RecordContext, RecordProblem};
use crate::model::{Name, Outcome, RequestRecord};

/// Nanoseconds of a millisecond.
const NS_PER_MS: u64 = 1_000_000;

impl Call {
    /// The record of the call; `space` is its space when the span names none.
    ///
    /// # Errors
    /// When the call lies in the future or long ago; the problem says so.
    pub fn to_record(
        &self,
        context: &RecordContext,
        space: Option<&str>,
    ) -> Result<RequestRecord, RecordProblem> {
        let mut draft = Draft::default();
        draft.set(Field::RequestId, self.id());
        draft.set(Field::StartedAt, self.start_ns / NS_PER_MS);
        draft.set(Field::Operation, self.operation);
        set_name(&mut draft, Field::Provider, self.provider.as_ref());
        set_name(&mut draft, Field::Model, self.model.as_ref());
        set_name(&mut draft, Field::User, self.user.as_ref());
        set_name(&mut draft, Field::Session, self.session.as_ref());
        set_name(&mut draft, Field::ProviderResponseId, self.response_id.as_ref());
        set_name(&mut draft, Field::FinishReason, self.finish_reason.as_ref());
        set_name(&mut draft, Field::ErrorCode, self.error_code.as_ref());
        if let Some(space) = self.space.as_deref().or(space) {
            draft.set(Field::Space, space);
        }
        for (field, number) in [
            (Field::PromptTokens, self.prompt_tokens),
            (Field::CompletionTokens, self.completion_tokens),
            (Field::CachedPromptTokens, self.cached_prompt_tokens),
            (Field::ReasoningTokens, self.reasoning_tokens),
            (Field::Cost, self.cost_usd),
        ] {
            if let Some(number) = number {
                draft.set(field, number);
            }
        }
        self.set_latencies(&mut draft);
        self.set_outcome(&mut draft);
        draft.check(context, &mut FieldCounts::default())
    }

    /// Trace and span in hexadecimal digits: a span that is sent again is the same request.
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
        if let Some(context_ms) = self.context_ms {
            draft.set(Field::ContextLatency, context_ms);
        }
        if let Some(first_ms) = self.time_to_first_token_ms {
            draft.set(Field::TimeToFirstToken, first_ms.min(llm_ms));
        }
    }

    fn set_outcome(&self, draft: &mut Draft<'_>) {
        match self.outcome {
            Outcome::Success => {}
            Outcome::Error(kind) => draft.set(Field::ErrorType, kind.as_str()),
            Outcome::Cancelled => draft.set(Field::Cancelled, true),
        }
        if let Some(status) = self.http_status {
            draft.set(Field::HttpStatus, u64::from(status));
        }
        if let Some(streamed) = self.streamed {
            draft.set(Field::Streamed, streamed);
        }
        if let Some(hit) = self.cache_hit {
            draft.set(Field::CacheHit, hit);
        }
    }
}

fn set_name<'a>(draft: &mut Draft<'a>, field: Field, name: Option<&'a Name>) {
    if let Some(name) = name {
        draft.set(field, name.as_str());
    }
}
