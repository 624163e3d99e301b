//! The rules of the contract: a draft becomes a record or one clear problem.

use std::sync::Arc;

use super::numbers::{as_whole_i64, scaled, whole};
use super::{Draft, Field, FieldCounts, RecordProblem, Scalar};
use crate::model::dimension::NONE_NAME;
use crate::model::record::limits;
use crate::model::{
    CostSource, ErrorType, Name, Outcome, RequestId, RequestRecord, Sender, Source, Timestamp,
};
use crate::privacy::{Pseudonymizer, is_label};

/// Minimum time in the future, in Unix milliseconds, that is taken for one in a finer unit: the year 4969.
const LOOKS_LIKE_MICROSECONDS: i64 = limits::EARLIEST_MS * 100;

/// Reason of the rejection of an object such as `{"requests":[...]}`, which would otherwise be stored as a record without
/// values.
const FOREIGN: &str = "has none of a record's fields; send one record as an object, several as an array, or one on each \
                       line (NDJSON)";

/// What the rules depend on besides the record.
#[derive(Clone, Debug)]
pub struct RecordContext {
    /// Time of arrival.
    pub now: Timestamp,
    /// Maximum accepted start.
    pub latest_start: Timestamp,
    /// The route by which the records arrive.
    pub source: Source,
    /// Converts identities to pseudonyms.
    pub pseudonymizer: Pseudonymizer,
    /// Generates the id of a record that has none.
    pub new_id: fn(Timestamp) -> RequestId,
    /// Who sends the records.
    pub sender: Option<Arc<Sender>>,
}

impl RecordContext {
    /// A context with [random ids](fresh_request_id), and starts up to [`limits::FUTURE_MS`] ahead of `now`.
    pub fn new(now: Timestamp, source: Source, pseudonymizer: Pseudonymizer) -> Self {
        let latest_start = now.plus_ms(limits::FUTURE_MS);
        let new_id = fresh_request_id;
        Self { now, latest_start, source, pseudonymizer, new_id, sender: None }
    }

    /// The same for the records of `sender`.
    #[must_use]
    pub fn sent_by(mut self, sender: Sender) -> Self {
        self.sender = Some(Arc::new(sender));
        self
    }

    fn require_space(&self, space: Option<&Name>) -> Result<(), RecordProblem> {
        match self.sender.as_ref().and_then(|sender| sender.spaces.as_ref()) {
            Some(spaces) if !space.is_some_and(|space| spaces.contains(space)) => {
                let reason = format!("this key may only send records of {}", spaces.join(", "));
                Err(Field::Space.problem(reason))
            }
            _ => Ok(()),
        }
    }
}

/// A random `UUIDv7` that carries the time `at`.
pub fn fresh_request_id(at: Timestamp) -> RequestId {
    let ms = u64::try_from(at.as_unix_ms()).unwrap_or(0);
    let id = uuid::Builder::from_unix_timestamp_millis(ms, &rand::random()).into_uuid();
    RequestId::Uuid(id.into_bytes())
}

impl Draft<'_> {
    /// Validates the draft as a record; counts values that are dropped as possible content.
    ///
    /// # Errors
    /// If a field violates a rule; the problem names the field and what would be right.
    pub fn check(
        self,
        context: &RecordContext,
        counts: &mut FieldCounts,
    ) -> Result<RequestRecord, RecordProblem> {
        if self.is_foreign {
            return Err(RecordProblem::whole(FOREIGN));
        }
        let mut check = RecordCheck { draft: &self, context, counts };
        let (request_id, started_at, dated_on_arrival) = check.identity()?;
        let mut record = RequestRecord::new(request_id, started_at, context.source);
        record.dated_on_arrival = dated_on_arrival;
        record.sender.clone_from(&context.sender);
        record.operation = check.label(Field::Operation)?;
        let user = check.text(Field::User, limits::HASHED_INPUT_BYTES)?;
        record.user = user.map(|id| context.pseudonymizer.user(id));
        let session = check.text(Field::Session, limits::HASHED_INPUT_BYTES)?;
        record.session = session.map(|id| context.pseudonymizer.session(id));
        // Sent back in, the name of a missing dimension means missing.
        let dimension = |field| check.name(field).map(|name| name.filter(|name| name != NONE_NAME));
        record.space = dimension(Field::Space)?;
        record.provider = dimension(Field::Provider)?;
        record.model = dimension(Field::Model)?;
        record.latency_us = check.latencies()?;
        record.prompt_tokens = check.tokens(Field::PromptTokens)?;
        record.completion_tokens = check.tokens(Field::CompletionTokens)?;
        let prompt = (Field::PromptTokens, record.prompt_tokens);
        record.cached_prompt_tokens = check.part(Field::CachedPromptTokens, prompt)?;
        let cache_writes = check.part(Field::CacheWritePromptTokens, prompt)?;
        let written = (Field::CacheWritePromptTokens, cache_writes);
        let cache_writes_1h = check.part(Field::CacheWrite1hPromptTokens, written)?;
        // `limits::TOKENS` is below 2^32.
        record.cache_write_prompt_tokens = cache_writes.and_then(|count| count.try_into().ok());
        record.cache_write_1h_prompt_tokens =
            cache_writes_1h.and_then(|count| count.try_into().ok());
        let completion = (Field::CompletionTokens, record.completion_tokens);
        record.reasoning_tokens = check.part(Field::ReasoningTokens, completion)?;
        record.cost_nano_usd = check.cost()?;
        record.cost_source = record.cost_nano_usd.map(|_| CostSource::Client);
        record.cache_hit = check.boolean(Field::CacheHit)?.unwrap_or(false);
        record.outcome = check.outcome()?;
        record.error_code = check.label(Field::ErrorCode)?;
        record.http_status = check.http_status()?;
        record.finish_reason = check.label(Field::FinishReason)?;
        record.service_tier = check.label(Field::ServiceTier)?;
        record.attempt = check.attempt()?;
        record.streamed = check.boolean(Field::Streamed)?;
        record.provider_response_id = check.name(Field::ProviderResponseId)?;
        record.tags = self.tags.check(&context.pseudonymizer, counts)?;
        context.require_space(record.space.as_ref())?;
        Ok(record)
    }
}

struct RecordCheck<'c, 'a> {
    draft: &'c Draft<'a>,
    context: &'c RecordContext,
    counts: &'c mut FieldCounts,
}

impl<'c> RecordCheck<'c, '_> {
    /// Id, start, and whether the start is the arrival time although the sender chose the id.
    fn identity(&self) -> Result<(RequestId, Timestamp, bool), RecordProblem> {
        let id = self.name(Field::RequestId)?.map(|id| RequestId::parse(&id));
        let started_at = self.started_at()?;
        match (id, started_at) {
            (Some(id), Some(at)) => Ok((id, at, false)),
            (None, at) => {
                let at = at.map_or_else(|| self.arrival(), Ok)?;
                Ok(((self.context.new_id)(at), at, false))
            }
            (Some(id), None) => match id.uuid_v7_time() {
                Some(at) => Ok((id, self.uuid_time(at)?, false)),
                None => Ok((id, self.arrival()?, true)),
            },
        }
    }

    /// The arrival time, as the start of a record that has none.
    fn arrival(&self) -> Result<Timestamp, RecordProblem> {
        if self.context.now.as_unix_ms() >= limits::EARLIEST_MS {
            return Ok(self.context.now);
        }
        let reason =
            "is missing, and this server's clock is before 2000-01-01; send it, or set the clock";
        Err(Field::StartedAt.problem(reason))
    }

    fn started_at(&self) -> Result<Option<Timestamp>, RecordProblem> {
        let problem = |reason: &str| Field::StartedAt.problem(reason);
        let ms = match self.draft.get(Field::StartedAt) {
            Scalar::Null => return Ok(None),
            Scalar::Int(ms) => *ms,
            Scalar::Float(number) => as_whole_i64(*number)
                .ok_or_else(|| problem("epoch milliseconds must be a whole number in range"))?,
            Scalar::Str(text) => match text.trim() {
                "" => return Ok(None),
                text => Timestamp::parse_rfc3339(text)
                    .ok_or_else(|| problem(unparsable_time(text)))?
                    .as_unix_ms(),
            },
            Scalar::Bool(_) | Scalar::Complex => {
                return Err(problem("must be an RFC 3339 date-time or epoch milliseconds"));
            }
        };
        match self.time_fault(ms) {
            Some(reason) => Err(problem(reason)),
            None => Ok(Some(Timestamp::from_unix_ms(ms))),
        }
    }

    fn uuid_time(&self, at: Timestamp) -> Result<Timestamp, RecordProblem> {
        if self.time_fault(at.as_unix_ms()).is_none() {
            return Ok(at);
        }
        let reason = "is a UUIDv7 whose time is before 2000 or more than 48 hours ahead of this server's clock; \
                      send started_at";
        Err(Field::RequestId.problem(reason))
    }

    fn time_fault(&self, ms: i64) -> Option<&'static str> {
        let is_number = !matches!(self.draft.get(Field::StartedAt), Scalar::Str(_));
        if ms > self.context.latest_start.as_unix_ms() {
            return Some(if is_number && ms >= LOOKS_LIKE_MICROSECONDS {
                "looks like microseconds or nanoseconds, send milliseconds"
            } else {
                "is more than 48 hours ahead of this server's clock; check both clocks"
            });
        }
        if ms >= limits::EARLIEST_MS {
            return None;
        }
        Some(if is_number && ms >= 0 {
            "looks like seconds, send milliseconds; times before 2000-01-01 are not accepted"
        } else {
            "is before 2000-01-01"
        })
    }

    /// A trimmed string without control characters; `None` if absent or empty.
    fn text(&self, field: Field, max_bytes: usize) -> Result<Option<&'c str>, RecordProblem> {
        let Some(text) = self.untrusted_text(field)? else { return Ok(None) };
        if text.len() > max_bytes {
            let found = text.len();
            return Err(field.problem(format!("must have at most {max_bytes} bytes, has {found}")));
        }
        if has_control_characters(text) {
            return Err(field.problem("must not contain control characters"));
        }
        Ok(Some(text))
    }

    fn untrusted_text(&self, field: Field) -> Result<Option<&'c str>, RecordProblem> {
        match self.draft.get(field) {
            Scalar::Null => Ok(None),
            Scalar::Str(text) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
            Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_) | Scalar::Complex => {
                Err(field.problem("must be a string"))
            }
        }
    }

    fn name(&self, field: Field) -> Result<Option<Name>, RecordProblem> {
        let text = self.text(field, limits::NAME_BYTES)?;
        Ok(text.map(|text| self.context.pseudonymizer.identifier(text)))
    }

    /// A short code. Any other text may be a message, so it is dropped and counted.
    fn label(&mut self, field: Field) -> Result<Option<Name>, RecordProblem> {
        let Some(text) = self.untrusted_text(field)? else { return Ok(None) };
        if is_label(text) {
            return Ok(Some(self.context.pseudonymizer.identifier(text)));
        }
        self.counts.dropped(field.as_str());
        Ok(None)
    }

    fn boolean(&self, field: Field) -> Result<Option<bool>, RecordProblem> {
        match self.draft.get(field) {
            Scalar::Null => Ok(None),
            Scalar::Bool(value) => Ok(Some(*value)),
            Scalar::Int(_) | Scalar::Float(_) | Scalar::Str(_) | Scalar::Complex => {
                Err(field.problem("must be true or false"))
            }
        }
    }

    /// The four latencies in microseconds, by `LatencyKind::index`; sums that differ only by rounding are made to fit.
    fn latencies(&self) -> Result<[Option<u64>; 4], RecordProblem> {
        let latency = |field| scaled(field, self.draft.get(field), 1_000, limits::LATENCY_US);
        let total = latency(Field::TotalLatency)?;
        let mut context = latency(Field::ContextLatency)?;
        let sent_llm = latency(Field::LlmLatency)?;
        let mut llm = sent_llm;
        let mut first_token = latency(Field::TimeToFirstToken)?;
        if let Some(total) = total {
            let parts = context.unwrap_or(0) + llm.unwrap_or(0);
            let excess = parts.saturating_sub(total);
            if excess > limits::ROUNDING_US {
                let reason = "is less than context_latency_ms + llm_latency_ms";
                return Err(Field::TotalLatency.problem(reason));
            }
            let from_llm = excess.min(llm.unwrap_or(0));
            llm = llm.map(|us| us - from_llm);
            context = context.map(|us| us.saturating_sub(excess - from_llm));
        }
        if let (Some(first), Some(sent_limit)) = (first_token, sent_llm.or(total)) {
            if first > sent_limit + limits::ROUNDING_US {
                let limit =
                    if sent_llm.is_some() { Field::LlmLatency } else { Field::TotalLatency };
                let reason = format!("is more than {}", limit.as_str());
                return Err(Field::TimeToFirstToken.problem(reason));
            }
            first_token = llm.or(total).map(|limit| first.min(limit));
        }
        Ok([total, context, llm, first_token])
    }

    fn tokens(&self, field: Field) -> Result<Option<u64>, RecordProblem> {
        whole(field, self.draft.get(field), limits::TOKENS)
    }

    /// Tokens that are a part of those of another field.
    fn part(
        &self,
        field: Field,
        (whole, all): (Field, Option<u64>),
    ) -> Result<Option<u64>, RecordProblem> {
        let part = self.tokens(field)?;
        if part > all && all.is_some() {
            return Err(field.problem(format!("is a part of {whole} and must not be more")));
        }
        Ok(part)
    }

    fn cost(&self) -> Result<Option<i64>, RecordProblem> {
        let max = limits::COST_NANO_USD.unsigned_abs();
        let nano_usd = scaled(Field::Cost, self.draft.get(Field::Cost), 1_000_000_000, max)?;
        Ok(nano_usd.and_then(|nano_usd| i64::try_from(nano_usd).ok()))
    }

    fn outcome(&self) -> Result<Outcome, RecordProblem> {
        let cancelled = self.boolean(Field::Cancelled)?.unwrap_or(false);
        let Some(kind) = self.untrusted_text(Field::ErrorType)? else {
            return Ok(if cancelled { Outcome::Cancelled } else { Outcome::Success });
        };
        let kind = ErrorType::parse(kind).ok_or_else(|| {
            let known = ErrorType::ALL.map(ErrorType::as_str).join(", ");
            Field::ErrorType.problem(format!("must be one of {known}"))
        })?;
        if cancelled {
            let reason = "a cancelled request is no error: send either cancelled or error_type";
            return Err(Field::Cancelled.problem(reason));
        }
        Ok(Outcome::Error(kind))
    }

    fn http_status(&self) -> Result<Option<u16>, RecordProblem> {
        let field = Field::HttpStatus;
        match whole(field, self.draft.get(field), 599)? {
            Some(..100) => Err(field.problem("must be from 100 to 599")),
            status => Ok(status.and_then(|status| u16::try_from(status).ok())),
        }
    }

    fn attempt(&self) -> Result<u32, RecordProblem> {
        let attempt = whole(Field::Attempt, self.draft.get(Field::Attempt), limits::ATTEMPT)?;
        Ok(attempt.and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or(0))
    }
}

fn has_control_characters(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    !is_plain && text.chars().any(char::is_control)
}

fn unparsable_time(text: &str) -> &'static str {
    if text.parse::<f64>().is_ok() {
        "epoch milliseconds must be sent as a number, not as a string"
    } else {
        "must be an RFC 3339 date-time such as 2026-01-02T03:04:05.678Z, or epoch milliseconds as a \
         number"
    }
}

#[cfg(test)]
mod tests;
