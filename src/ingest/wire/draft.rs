//! A record as it was sent: the fields of the contract, nothing checked but that it is JSON.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;

use super::tags::{Key, Tags};
use super::{FieldCounts, RecordProblem, Scalar};

macro_rules! fields {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// A field of the contract that holds a single value: every one but `tags`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the variants are the names of the contract")]
        pub enum Field { $($variant,)+ }

        impl Field {
            /// Every field.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in a record.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The field with this name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

fields! {
    RequestId = "request_id",
    StartedAt = "started_at",
    User = "user",
    Space = "space",
    Session = "session",
    Provider = "provider",
    Model = "model",
    Operation = "operation",
    TotalLatency = "total_latency_ms",
    ContextLatency = "context_latency_ms",
    LlmLatency = "llm_latency_ms",
    TimeToFirstToken = "time_to_first_token_ms",
    PromptTokens = "prompt_tokens",
    CompletionTokens = "completion_tokens",
    CachedPromptTokens = "cached_prompt_tokens",
    CacheWritePromptTokens = "cache_write_prompt_tokens",
    CacheWrite1hPromptTokens = "cache_write_1h_prompt_tokens",
    ReasoningTokens = "reasoning_tokens",
    Cost = "cost_usd",
    CacheHit = "cache_hit",
    ErrorType = "error_type",
    ErrorCode = "error_code",
    Cancelled = "cancelled",
    HttpStatus = "http_status",
    FinishReason = "finish_reason",
    ServiceTier = "service_tier",
    Attempt = "attempt",
    Streamed = "streamed",
    ProviderResponseId = "provider_response_id",
}

/// A record as it was sent; [`check`](Draft::check) makes a
/// [`RequestRecord`](crate::model::RequestRecord) of it.
///
/// Other wire formats fill one with [`set`](Self::set) and get the same rules.
#[derive(Clone, Debug, Default)]
pub struct Draft<'a> {
    values: [Scalar<'a>; Field::ALL.len()],
    pub(super) tags: Tags<'a>,
}

impl<'a> Draft<'a> {
    /// Sets a field; the last value counts.
    pub fn set(&mut self, field: Field, value: impl Into<Scalar<'a>>) {
        if let Some(slot) = self.values.get_mut(field as usize) {
            *slot = value.into();
        }
    }

    /// Adds a tag.
    pub fn add_tag(&mut self, key: &'a str, value: impl Into<Scalar<'a>>) {
        if !matches!(self.tags, Tags::Object(..)) {
            self.tags = Tags::Object(Vec::new(), 0);
        }
        if let Tags::Object(pairs, _) = &mut self.tags {
            pairs.push((key.into(), value.into()));
        }
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

    /// A field; [`Scalar::Null`] when it is absent.
    pub fn get(&self, field: Field) -> &Scalar<'a> {
        self.values.get(field as usize).unwrap_or(&Scalar::Null)
    }
}

/// Reads one record; fields that are not kept are counted by name and never allocated.
///
/// # Errors
/// When the bytes are not one JSON object in UTF-8.
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

/// Reads the record at the start of `text`, and whether something follows it.
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

/// The parser's own words are not repeated, because some of them show what was sent.
fn syntax_problem(error: &serde_json::Error, field: Option<Field>) -> RecordProblem {
    let (line, column) = (error.line(), error.column());
    let reason = match error.classify() {
        Category::Eof => "the record ends inside its object".to_owned(),
        Category::Syntax | Category::Data | Category::Io => {
            format!("is not valid JSON at line {line} column {column} of the record")
        }
    };
    match field {
        Some(field) => RecordProblem::new(field.name(), reason),
        None => RecordProblem::whole(reason),
    }
}

struct DraftVisitor<'c> {
    counts: &'c mut FieldCounts,
    /// The field being read, for the message when that fails.
    field: &'c mut Option<Field>,
}

impl<'de> Visitor<'de> for DraftVisitor<'_> {
    type Value = Draft<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut draft = Draft::default();
        while let Some(Key(key)) = map.next_key()? {
            *self.field = Field::parse(&key);
            if let Some(field) = *self.field {
                draft.set(field, map.next_value::<Scalar<'de>>()?);
                *self.field = None;
                continue;
            }
            match &*key {
                "tags" => draft.tags = map.next_value()?,
                // An exported record says these; they follow from the route and the other fields.
                "source" | "outcome" | "api_key" => {
                    map.next_value::<IgnoredAny>()?;
                }
                name => {
                    map.next_value::<IgnoredAny>()?;
                    self.counts.unknown(name);
                }
            }
        }
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
            assert_eq!(Field::parse(field.name()), Some(*field));
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
