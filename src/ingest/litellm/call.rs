//! From what LiteLLM tells to the fields of a record.

use super::event::{LitellmEvent, Told};
use crate::ingest::otlp::fault::{code_of, outcome_of};
use crate::ingest::otlp::provider::provider_name;
use crate::ingest::wire::{Draft, Field, FieldCounts, RecordContext, RecordProblem, Scalar};
use crate::model::record::limits;
use crate::model::{CostSource, ErrorType, Name, Outcome, RequestRecord, Timestamp};

impl LitellmEvent {
    /// The record of the call.
    ///
    /// # Errors
    /// When it breaks a rule of records, such as a start in the future, or says that a number is none.
    pub fn to_record(&self, context: &RecordContext) -> Result<RequestRecord, RecordProblem> {
        self.check_numbers()?;
        let mut draft = Draft::default();
        for (field, value) in self.fields() {
            draft.set(field, value);
        }
        for tag in &self.tags {
            draft.add_listed_tag(tag.as_str());
        }
        let mut record = draft.check(context, &mut FieldCounts::default())?;
        // LiteLLM asks the provider or its own table, not the app.
        record.cost_source = record.cost_nano_usd.map(|_| CostSource::Provider);
        Ok(record)
    }

    /// The call as a JSON object of the contract.
    pub fn write_json(&self, json: &mut Vec<u8>) {
        let mut object = serde_json::Map::new();
        for (field, value) in self.fields() {
            object.insert(field.name().to_owned(), json_of(&value));
        }
        if !self.tags.is_empty() {
            object.insert("tags".to_owned(), self.tags.iter().map(Name::as_str).collect());
        }
        json.extend_from_slice(serde_json::Value::Object(object).to_string().as_bytes());
    }

    /// Whether the event has an identity of its own.
    pub const fn has_id(&self) -> bool {
        self.call_id.is_some() || self.request_id.is_some() || self.id.is_some()
    }

    /// Whether the event tells when it began.
    pub fn has_start(&self) -> bool {
        self.started().is_some()
    }

    fn check_numbers(&self) -> Result<(), RecordProblem> {
        for (field, told) in [
            (Field::StartedAt, &self.started),
            (Field::TotalLatency, &self.ended),
            (Field::TimeToFirstToken, &self.first_token),
            (Field::PromptTokens, &self.prompt_tokens),
            (Field::CompletionTokens, &self.completion_tokens),
            (Field::CachedPromptTokens, &self.cached_tokens),
            (Field::ReasoningTokens, &self.reasoning_tokens),
            (Field::Cost, &self.response_cost),
            (Field::Cost, &self.spend),
        ] {
            let is_none = match told {
                Some(Told::Number(number)) => !number.is_finite(),
                Some(Told::Text(text)) => {
                    text.parse::<f64>().is_ok_and(|number| !number.is_finite())
                }
                Some(Told::Bool(_)) | None => false,
            };
            if is_none {
                return Err(RecordProblem::new(field.name(), "is not a finite number"));
            }
        }
        Ok(())
    }

    fn fields(&self) -> Vec<(Field, Scalar<'static>)> {
        let mut fields = Vec::with_capacity(24);
        let mut put = |field: Field, value: Option<Scalar<'static>>| {
            fields.extend(value.map(|value| (field, value)));
        };
        let is_failure = self.is_failure();
        let provider = text(&self.provider).map(provider_name);
        put(Field::RequestId, first_text([&self.call_id, &self.request_id, &self.id]));
        put(Field::StartedAt, self.started().map(|at| Scalar::Int(at.as_unix_ms())));
        put(Field::Operation, self.operation().map(owned));
        put(Field::Model, self.model(provider.as_deref()).map(owned));
        put(Field::Provider, provider.as_deref().map(owned));
        put(Field::User, self.user());
        put(Field::Space, self.space());
        put(Field::Session, text(&self.session).map(owned));
        put(Field::CacheHit, boolean(&self.cache_hit).map(Scalar::Bool));
        put(Field::Cost, self.cost_usd().map(Scalar::Float));
        put(Field::Attempt, number(&self.retries).map(Scalar::Float));
        // A failure that reports 0 tokens has not counted them.
        let is_counted = |tokens: &f64| !is_failure || *tokens > 0.0;
        let prompt = number(&self.prompt_tokens).filter(is_counted);
        let completion = number(&self.completion_tokens).filter(is_counted);
        let within = |part: &f64, all: Option<f64>| all.is_none_or(|all| *part <= all);
        let cached = number(&self.cached_tokens).filter(|part| within(part, prompt));
        let reasoning = number(&self.reasoning_tokens).filter(|part| within(part, completion));
        put(Field::PromptTokens, prompt.map(Scalar::Float));
        put(Field::CompletionTokens, completion.map(Scalar::Float));
        put(Field::CachedPromptTokens, cached.map(Scalar::Float));
        put(Field::ReasoningTokens, reasoning.map(Scalar::Float));
        if is_failure {
            self.put_error(&mut put);
        } else {
            put(Field::ProviderResponseId, first_text([&self.id, &self.request_id]));
        }
        self.put_times(&mut put);
        fields
    }

    fn put_times(&self, put: &mut impl FnMut(Field, Option<Scalar<'static>>)) {
        let ms = |told: &Option<Told>| epoch_ms(told);
        let (Some(start), Some(end)) = (ms(&self.started), ms(&self.ended)) else { return };
        let first = ms(&self.first_token);
        // Where nothing was streamed the first token is said to come at the end.
        let streamed = boolean(&self.stream)
            .or_else(|| first.map(|first| first < end).filter(|is_early| *is_early));
        put(Field::Streamed, streamed.map(Scalar::Bool));
        if end <= start {
            return;
        }
        put(Field::TotalLatency, Some(Scalar::Float(end - start)));
        put(Field::LlmLatency, Some(Scalar::Float(end - start)));
        if streamed == Some(true)
            && let Some(first) = first.filter(|first| (start..end).contains(first))
        {
            put(Field::TimeToFirstToken, Some(Scalar::Float(first - start)));
        }
    }

    fn put_error(&self, put: &mut impl FnMut(Field, Option<Scalar<'static>>)) {
        let status = number(&self.error_status).filter(|s| (100.0..600.0).contains(s));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        let http_status = status.map(|status| status as u16);
        let (normalized, class) = (text(&self.normalized_error), text(&self.error_class));
        let other = Outcome::Error(ErrorType::Other);
        let outcome = [normalized, class]
            .into_iter()
            .map(|name| outcome_of(name, None))
            .find(|outcome| *outcome != other)
            .unwrap_or_else(|| outcome_of(None, http_status));
        match outcome {
            Outcome::Cancelled => put(Field::Cancelled, Some(Scalar::Bool(true))),
            Outcome::Error(kind) => put(Field::ErrorType, Some(owned(kind.as_str()))),
            Outcome::Success => {}
        }
        put(Field::ErrorCode, normalized.or(class.and_then(code_of)).map(owned));
        put(Field::HttpStatus, status.map(Scalar::Float));
    }

    fn is_failure(&self) -> bool {
        text(&self.status).is_some_and(|status| status.eq_ignore_ascii_case("failure"))
    }

    fn started(&self) -> Option<Timestamp> {
        let ms = epoch_ms(&self.started)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates, and records check the range"
        )]
        Some(Timestamp::from_unix_ms(ms.floor() as i64))
    }

    fn operation(&self) -> Option<&str> {
        let call_type = text(&self.call_type)?;
        Some(match call_type {
            "completion" | "acompletion" | "anthropic_messages" => "chat",
            "text_completion" | "atext_completion" => "completion",
            "embedding" | "aembedding" => "embeddings",
            "responses" | "aresponses" => "responses",
            other => other,
        })
    }

    /// The name without LiteLLM's own prefix.
    fn model(&self, provider: Option<&str>) -> Option<&str> {
        let name = text(&self.model).or_else(|| text(&self.model_group))?;
        let bare = provider.and_then(|provider| name.strip_prefix(provider)?.strip_prefix('/'));
        Some(bare.unwrap_or(name)).filter(|name| name.len() <= limits::NAME_BYTES)
    }

    fn user(&self) -> Option<Scalar<'static>> {
        first_text([
            &self.end_user,
            &self.metadata_end_user,
            &self.metadata_user,
            &self.internal_user,
        ])
    }

    fn space(&self) -> Option<Scalar<'static>> {
        first_text([
            &self.metadata_team,
            &self.team,
            &self.metadata_project,
            &self.metadata_organization,
            &self.organization,
        ])
    }

    /// LiteLLM says 0 for what it could not find out.
    fn cost_usd(&self) -> Option<f64> {
        let is_hit = boolean(&self.cache_hit) == Some(true);
        let is_known = |cost: &f64| {
            let is_free = is_hit || (self.response_cost.is_some() && self.cost_failure.is_none());
            *cost > 0.0 || (*cost == 0.0 && !self.is_failure() && is_free)
        };
        number(&self.response_cost).or_else(|| number(&self.spend)).filter(is_known)
    }
}

fn owned(text: &str) -> Scalar<'static> {
    Scalar::from(text.to_owned())
}

fn text(told: &Option<Told>) -> Option<&str> {
    match told {
        Some(Told::Text(text)) => Some(text),
        _ => None,
    }
}

fn first_text<const N: usize>(candidates: [&Option<Told>; N]) -> Option<Scalar<'static>> {
    candidates.into_iter().find_map(text).map(owned)
}

fn number(told: &Option<Told>) -> Option<f64> {
    let number = match told.as_ref()? {
        Told::Number(number) => *number,
        Told::Text(text) => text.parse().ok()?,
        Told::Bool(_) => return None,
    };
    (number.is_finite() && number >= 0.0).then_some(number)
}

fn boolean(told: &Option<Told>) -> Option<bool> {
    match told.as_ref()? {
        Told::Bool(value) => Some(*value),
        Told::Text(text) if ["true", "t"].iter().any(|yes| text.eq_ignore_ascii_case(yes)) => {
            Some(true)
        }
        Told::Text(text) if ["false", "f"].iter().any(|no| text.eq_ignore_ascii_case(no)) => {
            Some(false)
        }
        Told::Text(_) | Told::Number(_) => None,
    }
}

/// Seconds since 1970 with a fraction, or an instant as PostgreSQL or JSON write it; UTC when it names no
/// zone.
fn epoch_ms(told: &Option<Told>) -> Option<f64> {
    let ms = match told.as_ref()? {
        Told::Number(seconds) => seconds * 1e3,
        Told::Bool(_) => return None,
        Told::Text(text) => match text.parse::<f64>() {
            Ok(seconds) => seconds * 1e3,
            Err(_) => instant(text)?.as_unix_ms() as f64,
        },
    };
    ms.is_finite().then_some(ms)
}

fn instant(text: &str) -> Option<Timestamp> {
    let mut text = text.trim().replacen(' ', "T", 1);
    let time = text.split_once('T').map_or("", |(_, time)| time);
    match time.rfind(['+', '-']) {
        // PostgreSQL writes a zone of whole hours as `+00`.
        Some(at) if time.len() - at == 3 => text.push_str(":00"),
        Some(_) => {}
        None if time.ends_with(['Z', 'z']) => {}
        None => text.push('Z'),
    }
    Timestamp::parse_rfc3339(&text)
}

fn json_of(value: &Scalar<'_>) -> serde_json::Value {
    match value {
        Scalar::Null | Scalar::Complex => serde_json::Value::Null,
        Scalar::Bool(value) => (*value).into(),
        Scalar::Int(number) => (*number).into(),
        Scalar::Float(number) => (*number).into(),
        Scalar::Str(text) => text.as_ref().into(),
    }
}
