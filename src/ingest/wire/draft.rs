//! A record as it was sent: the fields of the contract, not validated except as JSON.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;

use super::tags::{BorrowedKey, TAGS_FIELD, Tags};
use super::{FieldCounts, RecordProblem, Scalar};
use crate::model::spelling::spelled_enum;

spelled_enum! {
    /// A field of the contract that holds a single value: every one but `tags`.
    pub enum Field {
        /// Your id, up to 128 bytes; generated if it is absent.
        RequestId = "request_id",
        /// Start of the request: RFC 3339, or milliseconds since 1970 as a number. Default: arrival.
        StartedAt = "started_at",
        /// The user, up to 512 bytes; stored as a keyed hash.
        User = "user",
        /// Workspace, project or team, up to 128 bytes.
        Space = "space",
        /// The session, up to 512 bytes; stored as a keyed hash.
        Session = "session",
        /// The provider that runs the model, up to 128 bytes.
        Provider = "provider",
        /// Name of the model, up to 128 bytes.
        Model = "model",
        /// `chat`, `completion`, `responses`, `embeddings`, or another code of up to 64 bytes.
        Operation = "operation",
        /// Time from the start of the request to its end, in milliseconds; at most one day.
        TotalLatency = "total_latency_ms",
        /// Time to assemble the context, in milliseconds.
        ContextLatency = "context_latency_ms",
        /// Time inside the LLM call, in milliseconds.
        LlmLatency = "llm_latency_ms",
        /// Time from the start of the LLM call to the first generated delta, in milliseconds.
        TimeToFirstToken = "time_to_first_token_ms",
        /// Input tokens; at most 1,000,000,000.
        PromptTokens = "prompt_tokens",
        /// Output tokens; at most 1,000,000,000.
        CompletionTokens = "completion_tokens",
        /// The part of `prompt_tokens` served from the provider's prompt cache.
        CachedPromptTokens = "cached_prompt_tokens",
        /// The part of `prompt_tokens` written to the provider's prompt cache.
        CacheWritePromptTokens = "cache_write_prompt_tokens",
        /// The part of `cache_write_prompt_tokens` that is cached for an hour.
        CacheWrite1hPromptTokens = "cache_write_1h_prompt_tokens",
        /// The part of `completion_tokens` spent on reasoning.
        ReasoningTokens = "reasoning_tokens",
        /// Cost in US dollars, at most 1,000,000; stored to a billionth.
        Cost = "cost_usd",
        /// Whether the application's own response cache served the request; absent: no.
        CacheHit = "cache_hit",
        /// The type of the error; present exactly if the request failed.
        ErrorType = "error_type",
        /// A short code of the error, up to 64 bytes; never a sentence.
        ErrorCode = "error_code",
        /// Whether the caller disconnected: neither success nor error.
        Cancelled = "cancelled",
        /// HTTP status of the response, 100 to 599.
        HttpStatus = "http_status",
        /// Why the model stopped: `stop`, `length`, or another code of up to 64 bytes.
        FinishReason = "finish_reason",
        /// The service tier named in the provider's response, up to 64 bytes.
        ServiceTier = "service_tier",
        /// 0 for the first attempt, 1 for the first retry, and so on; at most 1,000.
        Attempt = "attempt",
        /// Whether the response was streamed.
        Streamed = "streamed",
        /// The provider's id of the response, up to 128 bytes.
        ProviderResponseId = "provider_response_id",
    }
}

impl Field {
    /// The type of its values.
    pub(crate) const fn value_type(self) -> ValueType {
        match self {
            Self::StartedAt => ValueType::Time,
            Self::TotalLatency
            | Self::ContextLatency
            | Self::LlmLatency
            | Self::TimeToFirstToken
            | Self::Cost => ValueType::Number,
            Self::PromptTokens
            | Self::CompletionTokens
            | Self::CachedPromptTokens
            | Self::CacheWritePromptTokens
            | Self::CacheWrite1hPromptTokens
            | Self::ReasoningTokens
            | Self::HttpStatus
            | Self::Attempt => ValueType::Integer,
            Self::CacheHit | Self::Cancelled | Self::Streamed => ValueType::Flag,
            Self::RequestId
            | Self::User
            | Self::Space
            | Self::Session
            | Self::Provider
            | Self::Model
            | Self::Operation
            | Self::ErrorType
            | Self::ErrorCode
            | Self::FinishReason
            | Self::ServiceTier
            | Self::ProviderResponseId => ValueType::Text,
        }
    }

    /// A problem with the value of this field.
    pub(crate) fn problem(self, reason: impl Into<String>) -> RecordProblem {
        RecordProblem::new(self.as_str(), reason)
    }
}

/// The type of the values of a field; each field may also be `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueType {
    /// A string.
    Text,
    /// A number.
    Number,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Flag,
    /// An RFC 3339 string, or milliseconds since 1970 as a number.
    Time,
}

/// A record as it was sent; [`check`](Draft::check) validates it as a
/// [`RequestRecord`](crate::model::RequestRecord).
///
/// Other wire formats fill a draft with [`set`](Self::set), so that the same rules apply.
#[derive(Clone, Debug, Default)]
pub struct Draft<'a> {
    values: [Scalar<'a>; Field::ALL.len()],
    pub(super) tags: Tags<'a>,
    /// The object has fields, but none of a record and none named like content.
    pub(super) is_foreign: bool,
}

impl<'a> Draft<'a> {
    /// Sets a field; the last value wins, and `None` is an absent field.
    pub fn set(&mut self, field: Field, value: impl Into<Scalar<'a>>) {
        self.values[field as usize] = value.into();
    }

    /// Adds a tag that has no key.
    pub fn add_listed_tag(&mut self, value: impl Into<Scalar<'a>>) {
        if !matches!(self.tags, Tags::List(..)) {
            self.tags = Tags::List(Vec::new(), 0);
        }
        if let Tags::List(values, _) = &mut self.tags {
            values.push(value.into());
        }
    }

    /// The value of a field; [`Scalar::Null`] if it is absent.
    pub const fn get(&self, field: Field) -> &Scalar<'a> {
        &self.values[field as usize]
    }
}

/// Parses one record; fields that are not stored are counted by name and never allocated.
///
/// # Errors
/// If the bytes are not one JSON object in UTF-8.
pub fn parse_record<'a>(
    bytes: &'a [u8],
    counts: &mut FieldCounts,
) -> Result<Draft<'a>, RecordProblem> {
    match parse_first(as_text(bytes)?, counts)? {
        (draft, false) => Ok(draft),
        (_, true) => Err(RecordProblem::whole("something follows the end of the object")),
    }
}

pub(super) fn as_text(bytes: &[u8]) -> Result<&str, RecordProblem> {
    std::str::from_utf8(bytes).map_err(|error| {
        RecordProblem::whole(format!("is not valid UTF-8 at byte {}", error.valid_up_to()))
    })
}

/// Parses the record at the start of `text`; also returns whether something follows it.
pub(super) fn parse_first<'a>(
    text: &'a str,
    counts: &mut FieldCounts,
) -> Result<(Draft<'a>, bool), RecordProblem> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(RecordProblem::whole("is not a JSON object"));
    }
    let mut field = None;
    let mut json = serde_json::Deserializer::from_str(text);
    match json.deserialize_map(DraftVisitor { counts, field: &mut field }) {
        Ok(draft) => Ok((draft, json.end().is_err())),
        Err(error) => Err(syntax_problem(&error, field)),
    }
}

/// The parser's own words are not repeated, because some of them quote the body.
fn syntax_problem(error: &serde_json::Error, field: Option<Field>) -> RecordProblem {
    let (line, column) = (error.line(), error.column());
    let reason = match error.classify() {
        Category::Eof => "the record ends inside its object".to_owned(),
        Category::Syntax | Category::Data | Category::Io => {
            format!("is not valid JSON at line {line} column {column} of the record")
        }
    };
    match field {
        Some(field) => field.problem(reason),
        None => RecordProblem::whole(reason),
    }
}

struct DraftVisitor<'c> {
    counts: &'c mut FieldCounts,
    /// The current field, for the error message.
    field: &'c mut Option<Field>,
}

impl<'de> Visitor<'de> for DraftVisitor<'_> {
    type Value = Draft<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut draft = Draft::default();
        let (mut is_empty, mut is_record) = (true, false);
        while let Some(BorrowedKey(key)) = map.next_key()? {
            is_empty = false;
            *self.field = Field::parse(&key);
            if let Some(field) = *self.field {
                draft.set(field, map.next_value::<Scalar<'de>>()?);
                *self.field = None;
                is_record = true;
                continue;
            }
            is_record |= match &*key {
                TAGS_FIELD => {
                    draft.tags = map.next_value()?;
                    true
                }
                // Exported records have these members, which follow from the route and the other fields.
                "source" | "outcome" | "api_key" => {
                    map.next_value::<IgnoredAny>()?;
                    true
                }
                name => {
                    map.next_value::<IgnoredAny>()?;
                    self.counts.unknown(name)
                }
            };
        }
        draft.is_foreign = !is_empty && !is_record;
        Ok(draft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(bytes: &[u8]) -> RecordProblem {
        parse_record(bytes, &mut FieldCounts::default()).unwrap_err()
    }

    #[test]
    fn every_name_reads_back() {
        for (position, field) in Field::ALL.iter().enumerate() {
            assert_eq!(Field::parse(field.as_str()), Some(*field));
            assert_eq!(*field as usize, position);
        }
        assert_eq!(Field::parse("tags"), None);
    }

    #[test]
    fn values_borrow_and_unknown_fields_are_counted() {
        let mut counts = FieldCounts::default();
        let json =
            br#"{"model":"gpt","prompt_tokens":3,"streamed":null,"cost_usd":1.5,"user":{"a":[1]},
            "messages":[{"role":"user"}],"colour":1,"source":"rest","outcome":"success"}"#;
        let draft = parse_record(json, &mut counts).unwrap();
        assert_eq!(*draft.get(Field::Model), "gpt".into());
        assert_eq!(*draft.get(Field::PromptTokens), Scalar::Int(3));
        assert_eq!(*draft.get(Field::Streamed), Scalar::Null);
        assert_eq!(*draft.get(Field::Cost), Scalar::Float(1.5));
        assert_eq!(*draft.get(Field::User), Scalar::Complex);
        assert_eq!(counts.ignored, [("colour".to_owned(), 1)].into());
        assert_eq!(counts.dropped_content, [("messages".to_owned(), 1)].into());
    }

    #[test]
    fn malformed_records_say_where_without_showing_what() {
        assert_eq!(problem(b"{\"total_latency_ms\":NaN}").field, "total_latency_ms");
        assert_eq!(problem(b"{\"cost_usd\":1e999}").field, "cost_usd");
        assert_eq!(problem(b"{\"model\":\"secret").field, "model");
        assert_eq!(problem(b"{\"messages\":\"\xff\"}").reason, "is not valid UTF-8 at byte 13");
        for bytes in [b"[1]".as_slice(), b"", b"1", b"\"secret\"", b"null"] {
            assert_eq!(problem(bytes), RecordProblem::whole("is not a JSON object"));
        }
        for bytes in [b"{secret}".as_slice(), b"{} secret", b"{\"a\":secret}", b"{\"secret"] {
            let problem = problem(bytes);
            assert_eq!(problem.field, "(record)");
            assert!(!problem.reason.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn nesting_of_any_depth_is_skipped() {
        for (field, open, close) in
            [("messages", "[", "]"), ("model", "[", "]"), ("x", "{\"a\":", "}")]
        {
            let (open, close) = (open.repeat(100_000), close.repeat(100_000));
            let json = format!("{{\"{field}\":{open}1{close}}}");
            assert!(parse_record(json.as_bytes(), &mut FieldCounts::default()).is_ok());
            let cut = format!("{{\"{field}\":{open}");
            assert!(parse_record(cut.as_bytes(), &mut FieldCounts::default()).is_err());
        }
    }
}
