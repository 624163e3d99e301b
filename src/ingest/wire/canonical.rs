//! Writes a record as the flat JSON object of the ingest contract, and passes its fields to writers of other formats,
//! such as CSV.
//!
//! The code writes JSON by hand instead of through serde, because an export has millions of records with more than ten
//! fields each.

use chrono::{Datelike, SecondsFormat, Timelike};
use compact_str::format_compact;
use serde::de::IgnoredAny;

use super::{Field, TAGS_FIELD};
use crate::model::{LatencyKind, Name, Outcome, RequestId, RequestRecord, Timestamp};
use crate::privacy::session_name;

/// Appends the record to `out` as one line of JSON, without a line break: the flat object of the ingest contract, plus
/// `source`, `api_key` and `outcome`.
///
/// Users are pseudonyms, sessions `s_...`; unknown values are omitted. Ingesting the object again yields an equal
/// record, except for the source, the API key and the source of the cost.
pub fn write_json(record: &RequestRecord, out: &mut Vec<u8>) {
    let start = out.len();
    each_field(record, &mut |name, value| {
        let Some(value) = value else { return };
        out.push(if out.len() == start { b'{' } else { b',' });
        // Field names need no escaping.
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        value.write_json(out);
    });
    out.push(b'}');
}

/// The value of one field of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// A string.
    Text(&'a str),
    /// An integer.
    Number(u64),
    /// A decimal number, as the fraction `value / scale`.
    Decimal {
        /// The numerator: the number times `scale`.
        value: u64,
        /// The denominator, a power of ten.
        scale: u64,
    },
    /// A boolean.
    Flag(bool),
    /// A value that is already encoded as JSON; written without quotes.
    Object(&'a str),
}

impl FieldValue<'_> {
    /// Appends the value as JSON.
    pub fn write_json(self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => write_json_text(text, out),
            other => other.write_text(out),
        }
    }

    /// Appends the value as plain text: strings without the quotes and escapes of JSON.
    pub fn write_text(self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) | Self::Object(text) => out.extend_from_slice(text.as_bytes()),
            Self::Number(number) => write_number(number, out),
            Self::Decimal { value, scale } => write_decimal(value, scale, out),
            Self::Flag(flag) => out.extend_from_slice(if flag { b"true" } else { b"false" }),
        }
    }
}

/// Calls `visit` with the name and value of every field of a record, always in the same order; an unknown value is `None`.
pub fn each_field(
    record: &RequestRecord,
    visit: &mut impl FnMut(&'static str, Option<FieldValue<'_>>),
) {
    visit_identity(record, visit);
    visit_usage(record, visit);
    visit_outcome(record, visit);
}

/// Visits the fields for identity, time and dimensions.
fn visit_identity(
    record: &RequestRecord,
    visit: &mut impl FnMut(&'static str, Option<FieldValue<'_>>),
) {
    match &record.request_id {
        RequestId::Uuid(bytes) => {
            let mut buffer = uuid::Uuid::encode_buffer();
            let id = uuid::Uuid::from_bytes(*bytes).hyphenated().encode_lower(&mut buffer);
            visit(Field::RequestId.as_str(), Some(FieldValue::Text(id)));
        }
        RequestId::Text(id) => visit(Field::RequestId.as_str(), Some(FieldValue::Text(id))),
    }
    let started_at = rfc3339_ms(record.started_at);
    visit(Field::StartedAt.as_str(), Some(FieldValue::Text(&started_at)));
    visit("source", Some(FieldValue::Text(record.source.as_str())));
    visit("api_key", text(record.api_key()));
    visit(Field::Operation.as_str(), text(record.operation.as_ref()));
    visit(Field::User.as_str(), text(record.user.as_ref()));
    visit(Field::Space.as_str(), text(record.space.as_ref()));
    let session = record.session.map(session_name);
    visit(Field::Session.as_str(), session.as_deref().map(FieldValue::Text));
    visit(Field::Provider.as_str(), text(record.provider.as_ref()));
    visit(Field::Model.as_str(), text(record.model.as_ref()));
}

/// Visits the fields for latencies, tokens, cost and cache hit.
fn visit_usage(
    record: &RequestRecord,
    visit: &mut impl FnMut(&'static str, Option<FieldValue<'_>>),
) {
    for (field, kind) in [
        (Field::TotalLatency, LatencyKind::Total),
        (Field::ContextLatency, LatencyKind::Context),
        (Field::LlmLatency, LatencyKind::Llm),
        (Field::TimeToFirstToken, LatencyKind::TimeToFirstToken),
    ] {
        let ms = record.latency(kind).map(|value| FieldValue::Decimal { value, scale: 1_000 });
        visit(field.as_str(), ms);
    }
    for (field, tokens) in [
        (Field::PromptTokens, record.prompt_tokens),
        (Field::CompletionTokens, record.completion_tokens),
        (Field::CachedPromptTokens, record.cached_prompt_tokens),
        (Field::CacheWritePromptTokens, record.cache_write_prompt_tokens.map(u64::from)),
        (Field::CacheWrite1hPromptTokens, record.cache_write_1h_prompt_tokens.map(u64::from)),
        (Field::ReasoningTokens, record.reasoning_tokens),
    ] {
        visit(field.as_str(), tokens.map(FieldValue::Number));
    }
    let cost = record.cost_nano_usd.and_then(|nano| u64::try_from(nano).ok());
    let cost = cost.map(|value| FieldValue::Decimal { value, scale: 1_000_000_000 });
    visit(Field::Cost.as_str(), cost);
    visit(Field::CacheHit.as_str(), Some(FieldValue::Flag(record.cache_hit)));
}

/// Visits the fields for outcome, response, attempt and tags.
fn visit_outcome(
    record: &RequestRecord,
    visit: &mut impl FnMut(&'static str, Option<FieldValue<'_>>),
) {
    visit("outcome", Some(FieldValue::Text(record.outcome.as_str())));
    let error_type = record.outcome.error_type().map(|kind| FieldValue::Text(kind.as_str()));
    visit(Field::ErrorType.as_str(), error_type);
    visit(Field::ErrorCode.as_str(), text(record.error_code.as_ref()));
    let is_cancelled = record.outcome == Outcome::Cancelled;
    visit(Field::Cancelled.as_str(), is_cancelled.then_some(FieldValue::Flag(true)));
    let status = record.http_status.map(|status| FieldValue::Number(status.into()));
    visit(Field::HttpStatus.as_str(), status);
    visit(Field::FinishReason.as_str(), text(record.finish_reason.as_ref()));
    visit(Field::ServiceTier.as_str(), text(record.service_tier.as_ref()));
    visit(Field::Attempt.as_str(), Some(FieldValue::Number(record.attempt.into())));
    visit(Field::Streamed.as_str(), record.streamed.map(FieldValue::Flag));
    visit(Field::ProviderResponseId.as_str(), text(record.provider_response_id.as_ref()));
    // Omits tags that are not valid JSON, which would make the whole object invalid; only another program can have
    // stored them.
    let is_json = |tags: &&str| serde_json::from_str::<IgnoredAny>(tags).is_ok();
    visit(TAGS_FIELD, record.tags.as_deref().filter(is_json).map(FieldValue::Object));
}

fn text(name: Option<&Name>) -> Option<FieldValue<'_>> {
    name.map(|name| FieldValue::Text(name))
}

/// Formats an instant as RFC 3339 in UTC, with milliseconds.
fn rfc3339_ms(at: Timestamp) -> Name {
    let utc = at.to_utc();
    let ms = utc.timestamp_subsec_millis();
    let (date, time) = (utc.date_naive(), utc.time());
    if !(0..=9_999).contains(&date.year()) {
        return Name::from(utc.to_rfc3339_opts(SecondsFormat::Millis, true));
    }
    format_compact!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{ms:03}Z",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

fn write_json_text(text: &str, out: &mut Vec<u8>) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else if serde_json::to_writer(&mut *out, text).is_err() {
        unreachable!("a text is JSON, and memory takes it");
    }
}

fn write_number(number: u64, out: &mut Vec<u8>) {
    // Fills the buffer from its end; `u64::MAX` has 20 digits.
    let (mut digits, mut at, mut rest) = ([b'0'; 20], 20, number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

/// Appends `value / scale` as a decimal number, without trailing zeros, and without a decimal point if it is an integer.
fn write_decimal(value: u64, scale: u64, out: &mut Vec<u8>) {
    write_number(value / scale, out);
    let mut rest = value % scale;
    if rest == 0 {
        return;
    }
    out.push(b'.');
    let mut place = scale;
    while rest > 0 {
        place /= 10;
        out.push(b'0' + (rest / place % 10) as u8);
        rest %= place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(value: FieldValue<'_>) -> String {
        let mut out = Vec::new();
        value.write_json(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_the_short_decimals_that_they_stand_for() {
        let decimal = |value, scale| text_of(FieldValue::Decimal { value, scale });
        for (value, scale, text) in [
            (0, 1_000, "0"),
            (1, 1_000, "0.001"),
            (1_500, 1_000, "1.5"),
            (86_400_000_000, 1_000, "86400000"),
            (1, 1_000_000_000, "0.000000001"),
            (2_050_000_000, 1_000_000_000, "2.05"),
            (1_000_000_000_000_001, 1_000_000_000, "1000000.000000001"),
        ] {
            assert_eq!(decimal(value, scale), text);
        }
        assert_eq!(text_of(FieldValue::Number(0)), "0");
        assert_eq!(text_of(FieldValue::Number(u64::MAX)), u64::MAX.to_string());
    }

    #[test]
    fn texts_are_escaped_as_json_wants_it() {
        for text in ["", "plain", "a \"b\" \\", "line\nend\u{1}", "é ü 漢 \u{7f}"] {
            assert_eq!(text_of(FieldValue::Text(text)), serde_json::Value::from(text).to_string());
        }
    }

    #[test]
    fn instants_have_milliseconds_whatever_their_year() {
        for ms in [0, 1_767_323_045_678, -1, 253_402_300_800_000, i64::MAX, i64::MIN] {
            let at = Timestamp::from_unix_ms(ms);
            let expected = at.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true);
            assert_eq!(rfc3339_ms(at), expected);
        }
    }

    #[test]
    fn every_field_of_the_contract_is_visited_once() {
        let at = Timestamp::from_unix_ms(0);
        let record = RequestRecord::new(RequestId::parse("r"), at, crate::model::Source::Rest);
        let mut names = Vec::new();
        each_field(&record, &mut |name, _| names.push(name));
        let mut expected: Vec<_> = Field::ALL.iter().map(|field| field.as_str()).collect();
        expected.extend(["source", "api_key", "outcome", "tags"]);
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected);
        let fields = r#"{"request_id":"r","started_at":"1970-01-01T00:00:00.000Z","source":"rest","cache_hit":false,"outcome":"success","attempt":0}"#;
        let mut json = Vec::new();
        write_json(&record, &mut json);
        assert_eq!(String::from_utf8(json).unwrap(), fields);
    }
}
