//! Turns an event of LiteLLM into the fields of a record.

use super::event::{LitellmEvent, Member};
use crate::ingest::fault::{code_of, outcome_of};
use crate::ingest::provider_name::provider_name;
use crate::ingest::wire::{
    Draft, Field, FieldCounts, LooseValue, RecordContext, RecordProblem, Scalar, TAGS_FIELD,
};
use crate::model::record::limits;
use crate::model::{CostSource, ErrorType, Outcome, RequestRecord, Timestamp};

impl LitellmEvent {
    /// The record of the call.
    ///
    /// # Errors
    /// If it violates a rule of records, such as a start in the future, or a number is not finite.
    pub fn to_record(&self, context: &RecordContext) -> Result<RequestRecord, RecordProblem> {
        self.check_numbers()?;
        let mut draft = self.draft();
        for tag in &self.tags {
            draft.add_listed_tag(tag.as_str());
        }
        let mut record = draft.check(context, &mut FieldCounts::default())?;
        // LiteLLM takes the cost from the provider or its own price table, not from the application.
        record.cost_source = record.cost_nano_usd.map(|_| CostSource::Provider);
        Ok(record)
    }

    /// Appends the call as a JSON object of the contract.
    pub fn write_json(&self, json: &mut Vec<u8>) {
        let draft = self.draft();
        let sent = Field::ALL.into_iter().filter(|field| *draft.get(*field) != Scalar::Null);
        let fields = sent.map(|field| (field.to_string(), serde_json::json!(draft.get(field))));
        let mut object: serde_json::Map<_, _> = fields.collect();
        if !self.tags.is_empty() {
            object.insert(TAGS_FIELD.to_owned(), serde_json::json!(self.tags));
        }
        json.extend_from_slice(serde_json::Value::Object(object).to_string().as_bytes());
    }

    /// Whether the event has an identity of its own.
    pub const fn has_id(&self) -> bool {
        self.get(Member::CallId).is_some()
            || self.get(Member::RequestId).is_some()
            || self.get(Member::Id).is_some()
    }

    /// Whether the event has a start time.
    pub fn has_start(&self) -> bool {
        self.epoch_ms(Member::Started).is_some()
    }

    fn check_numbers(&self) -> Result<(), RecordProblem> {
        for (field, member) in [
            (Field::StartedAt, Member::Started),
            (Field::TotalLatency, Member::Ended),
            (Field::TimeToFirstToken, Member::FirstToken),
            (Field::PromptTokens, Member::PromptTokens),
            (Field::CompletionTokens, Member::CompletionTokens),
            (Field::CachedPromptTokens, Member::CachedTokens),
            (Field::ReasoningTokens, Member::ReasoningTokens),
            (Field::Cost, Member::ResponseCost),
            (Field::Cost, Member::Spend),
        ] {
            let is_finite = match self.get(member) {
                Some(LooseValue::Float(number)) => number.is_finite(),
                Some(LooseValue::Text(text)) => text.parse().ok().is_none_or(f64::is_finite),
                Some(LooseValue::Int(_) | LooseValue::Bool(_)) | None => true,
            };
            if !is_finite {
                return Err(field.problem("is not a finite number"));
            }
        }
        Ok(())
    }

    fn draft(&self) -> Draft<'_> {
        let mut draft = Draft::default();
        let is_failure = self.is_failure();
        let provider = self.text(Member::Provider).map(provider_name);
        let id = self.first_text(&[Member::CallId, Member::RequestId, Member::Id]);
        draft.set(Field::RequestId, id);
        #[expect(clippy::cast_possible_truncation, reason = "saturates; records check the range")]
        draft.set(Field::StartedAt, self.epoch_ms(Member::Started).map(|ms| ms.floor() as i64));
        draft.set(Field::Operation, self.operation());
        draft.set(Field::Model, self.model(provider.as_deref()));
        draft.set(Field::Provider, provider.map(String::from));
        draft.set(Field::User, self.first_text(&USERS));
        draft.set(Field::Space, self.first_text(&SPACES));
        draft.set(Field::Session, self.text(Member::Session));
        draft.set(Field::CacheHit, self.boolean(Member::CacheHit));
        draft.set(Field::Cost, self.cost_usd());
        draft.set(Field::Attempt, self.number(Member::Retries));
        // A failure that reports 0 tokens did not count them.
        let is_counted = |tokens: &f64| !is_failure || *tokens > 0.0;
        let prompt = self.number(Member::PromptTokens).filter(is_counted);
        let completion = self.number(Member::CompletionTokens).filter(is_counted);
        let within = |part: &f64, all: Option<f64>| all.is_none_or(|all| *part <= all);
        let cached = self.number(Member::CachedTokens).filter(|part| within(part, prompt));
        let reasoning =
            self.number(Member::ReasoningTokens).filter(|part| within(part, completion));
        draft.set(Field::PromptTokens, prompt);
        draft.set(Field::CompletionTokens, completion);
        draft.set(Field::CachedPromptTokens, cached);
        draft.set(Field::ReasoningTokens, reasoning);
        if is_failure {
            self.set_error(&mut draft);
        } else {
            let response_id = self.first_text(&[Member::Id, Member::RequestId]);
            draft.set(Field::ProviderResponseId, response_id);
        }
        self.set_times(&mut draft);
        draft
    }

    fn set_times(&self, draft: &mut Draft<'_>) {
        let times = (self.epoch_ms(Member::Started), self.epoch_ms(Member::Ended));
        let (Some(start), Some(end)) = times else { return };
        let first = self.epoch_ms(Member::FirstToken);
        // Without streaming, the time of the first token is the end.
        let is_early = first.filter(|first| *first < end).map(|_| true);
        let streamed = self.boolean(Member::Stream).or(is_early);
        draft.set(Field::Streamed, streamed);
        if end <= start {
            return;
        }
        draft.set(Field::TotalLatency, end - start);
        draft.set(Field::LlmLatency, end - start);
        let first = first.filter(|first| streamed == Some(true) && (start..end).contains(first));
        draft.set(Field::TimeToFirstToken, first.map(|first| first - start));
    }

    fn set_error<'a>(&'a self, draft: &mut Draft<'a>) {
        let status = self.number(Member::ErrorStatus).filter(|s| (100.0..600.0).contains(s));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        let http_status = status.map(|status| status as u16);
        let normalized = self.text(Member::NormalizedError);
        let class = self.text(Member::ErrorClass);
        let outcome = [normalized, class]
            .into_iter()
            .map(|name| outcome_of(name, None))
            .find(|outcome| *outcome != Outcome::Error(ErrorType::Other))
            .unwrap_or_else(|| outcome_of(None, http_status));
        match outcome {
            Outcome::Cancelled => draft.set(Field::Cancelled, true),
            Outcome::Error(kind) => draft.set(Field::ErrorType, kind.as_str()),
            Outcome::Success => {}
        }
        draft.set(Field::ErrorCode, normalized.or(class.and_then(code_of)));
        draft.set(Field::HttpStatus, status);
    }

    fn is_failure(&self) -> bool {
        self.text(Member::Status).is_some_and(|status| status.eq_ignore_ascii_case("failure"))
    }

    fn operation(&self) -> Option<&str> {
        Some(match self.text(Member::CallType)? {
            "completion" | "acompletion" | "anthropic_messages" => "chat",
            "text_completion" | "atext_completion" => "completion",
            "embedding" | "aembedding" => "embeddings",
            "responses" | "aresponses" => "responses",
            other => other,
        })
    }

    /// The name without LiteLLM's own prefix.
    fn model(&self, provider: Option<&str>) -> Option<&str> {
        let name = self.first_text(&[Member::Model, Member::ModelGroup])?;
        let bare = provider.and_then(|provider| name.strip_prefix(provider)?.strip_prefix('/'));
        Some(bare.unwrap_or(name)).filter(|name| name.len() <= limits::NAME_BYTES)
    }

    /// LiteLLM sends 0 for an unknown cost.
    fn cost_usd(&self) -> Option<f64> {
        let sent = self.get(Member::ResponseCost);
        let is_free = self.boolean(Member::CacheHit) == Some(true)
            || (sent.is_some() && self.get(Member::CostFailure).is_none());
        let is_known = |cost: &f64| *cost > 0.0 || (*cost == 0.0 && is_free && !self.is_failure());
        self.number(Member::ResponseCost).or_else(|| self.number(Member::Spend)).filter(is_known)
    }

    fn text(&self, member: Member) -> Option<&str> {
        self.get(member)?.as_text()
    }

    fn first_text(&self, members: &[Member]) -> Option<&str> {
        members.iter().find_map(|member| self.text(*member))
    }

    fn number(&self, member: Member) -> Option<f64> {
        self.get(member)?.to_number().filter(|number| *number >= 0.0)
    }

    /// PostgreSQL writes `t` and `f`.
    fn boolean(&self, member: Member) -> Option<bool> {
        match self.get(member)? {
            LooseValue::Text(text) if text.eq_ignore_ascii_case("t") => Some(true),
            LooseValue::Text(text) if text.eq_ignore_ascii_case("f") => Some(false),
            value => value.to_bool(),
        }
    }

    /// A time as Unix seconds with a fraction, or as PostgreSQL or JSON write it; UTC without a zone.
    fn epoch_ms(&self, member: Member) -> Option<f64> {
        let value = self.get(member)?;
        let seconds = value.to_number().map(|seconds| seconds * 1e3);
        let ms = seconds.or_else(|| Some(instant(value.as_text()?)?.as_unix_ms() as f64))?;
        ms.is_finite().then_some(ms)
    }
}

/// Where the user is, by precedence.
const USERS: [Member; 4] =
    [Member::EndUser, Member::MetadataEndUser, Member::MetadataUser, Member::InternalUser];
/// Where the space is, by precedence.
const SPACES: [Member; 5] = [
    Member::MetadataTeam,
    Member::Team,
    Member::MetadataProject,
    Member::MetadataOrganization,
    Member::Organization,
];

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
