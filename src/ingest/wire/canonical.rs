//! A record as the flat JSON object of the contract.

use chrono::SecondsFormat;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Field;
use crate::model::{LatencyKind, Outcome, RequestRecord};
use crate::privacy::session_name;

/// Serializes a record as the flat object of the contract, with `source` and `outcome`.
///
/// Users show as pseudonyms and sessions as `s_...`; unknown values are left out. Sent back in, the
/// object gives an equal record, but for its source and who said what it cost.
#[derive(Clone, Copy, Debug)]
pub struct Canonical<'a>(pub &'a RequestRecord);

/// The record as one line of JSON, without a line end.
pub fn to_json(record: &RequestRecord) -> String {
    let mut json = Vec::with_capacity(512);
    write_json(record, &mut json);
    String::from_utf8(json).unwrap_or_default()
}

/// Appends the record to `out` as one line of JSON, without a line end.
pub fn write_json(record: &RequestRecord, out: &mut Vec<u8>) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, &Canonical(record)).is_err() {
        // Only tags that are not JSON could do this, and the edge makes them.
        out.truncate(start);
    }
}

impl Serialize for Canonical<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.0;
        let mut map = Map(serializer.serialize_map(None)?);
        map.put(Field::RequestId, Some(record.request_id.to_string()))?;
        let started_at = record.started_at.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true);
        map.put(Field::StartedAt, Some(started_at))?;
        map.0.serialize_entry("source", record.source.as_str())?;
        map.put(Field::Operation, record.operation.as_deref())?;
        map.put(Field::User, record.user.as_deref())?;
        map.put(Field::Space, record.space.as_deref())?;
        map.put(Field::Session, record.session.map(session_name))?;
        map.put(Field::Provider, record.provider.as_deref())?;
        map.put(Field::Model, record.model.as_deref())?;
        for (field, kind) in [
            (Field::TotalLatency, LatencyKind::Total),
            (Field::ContextLatency, LatencyKind::Context),
            (Field::LlmLatency, LatencyKind::Llm),
            (Field::TimeToFirstToken, LatencyKind::TimeToFirstToken),
        ] {
            map.put(field, record.latency(kind).map(|us| Decimal { value: us, scale: 1_000 }))?;
        }
        map.put(Field::PromptTokens, record.prompt_tokens)?;
        map.put(Field::CompletionTokens, record.completion_tokens)?;
        map.put(Field::CachedPromptTokens, record.cached_prompt_tokens)?;
        map.put(Field::ReasoningTokens, record.reasoning_tokens)?;
        let cost = record.cost_nano_usd.and_then(|nano| u64::try_from(nano).ok());
        map.put(Field::Cost, cost.map(|value| Decimal { value, scale: 1_000_000_000 }))?;
        map.put(Field::CacheHit, Some(record.cache_hit))?;
        map.0.serialize_entry("outcome", record.outcome.as_str())?;
        map.put(Field::ErrorType, record.outcome.error_type().map(|kind| kind.as_str()))?;
        map.put(Field::ErrorCode, record.error_code.as_deref())?;
        map.put(Field::Cancelled, (record.outcome == Outcome::Cancelled).then_some(true))?;
        map.put(Field::HttpStatus, record.http_status)?;
        map.put(Field::FinishReason, record.finish_reason.as_deref())?;
        map.put(Field::Attempt, Some(record.attempt))?;
        map.put(Field::Streamed, record.streamed)?;
        map.put(Field::ProviderResponseId, record.provider_response_id.as_deref())?;
        if let Some(tags) = &record.tags {
            let tags: serde_json::Value =
                serde_json::from_str(tags).map_err(serde::ser::Error::custom)?;
            map.0.serialize_entry("tags", &tags)?;
        }
        map.0.end()
    }
}

struct Map<M>(M);

impl<M: SerializeMap> Map<M> {
    fn put(&mut self, field: Field, value: Option<impl Serialize>) -> Result<(), M::Error> {
        match value {
            Some(value) => self.0.serialize_entry(field.name(), &value),
            None => Ok(()),
        }
    }
}

/// `value / scale`, without a fraction where there is none.
///
/// Both are exact as `f64` within the limits of a record, so the quotient is the nearest `f64` and
/// prints as the short decimal that it stands for.
struct Decimal {
    value: u64,
    scale: u64,
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.value.is_multiple_of(self.scale) {
            serializer.serialize_u64(self.value / self.scale)
        } else {
            serializer.serialize_f64(self.value as f64 / self.scale as f64)
        }
    }
}
