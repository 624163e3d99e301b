//! The record fields that a column can be mapped to.

use super::Rejection;
use crate::csv_file::UNKNOWN;
use crate::error::{Error, Result};

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// A time.
    Time,
    /// A JSON object.
    Object,
}

/// A record field.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// Name of the field.
    pub name: &'static str,
    /// Type of the field.
    pub kind: Kind,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind }
}

/// All fields except tags, in the column order of an export.
pub const FIELDS: [Field; 29] = [
    field("request_id", Kind::Text),
    field("started_at", Kind::Time),
    field("operation", Kind::Text),
    field("user", Kind::Text),
    field("space", Kind::Text),
    field("session", Kind::Text),
    field("provider", Kind::Text),
    field("model", Kind::Text),
    field("total_latency_ms", Kind::Number),
    field("context_latency_ms", Kind::Number),
    field("llm_latency_ms", Kind::Number),
    field("time_to_first_token_ms", Kind::Number),
    field("prompt_tokens", Kind::Number),
    field("completion_tokens", Kind::Number),
    field("cached_prompt_tokens", Kind::Number),
    field("cache_write_prompt_tokens", Kind::Number),
    field("cache_write_1h_prompt_tokens", Kind::Number),
    field("reasoning_tokens", Kind::Number),
    field("cost_usd", Kind::Number),
    field("cache_hit", Kind::Flag),
    field("error_type", Kind::Text),
    field("error_code", Kind::Text),
    field("cancelled", Kind::Flag),
    field("http_status", Kind::Number),
    field("finish_reason", Kind::Text),
    field("service_tier", Kind::Text),
    field("attempt", Kind::Number),
    field("streamed", Kind::Flag),
    field("provider_response_id", Kind::Text),
];

/// The only object field; exports write it as one column after the others.
pub const TAGS: Field = field("tags", Kind::Object);

/// The field with this name.
pub fn find(name: &str) -> Option<&'static Field> {
    FIELDS.iter().chain([&TAGS]).find(|field| field.name == name)
}

/// The field with this name, given to `flag`.
///
/// # Errors
/// [`InvalidConfig`](Error::InvalidConfig) with the existing names.
pub fn find_for_flag(flag: &str, name: &str) -> Result<&'static Field> {
    find(name).ok_or_else(|| {
        let names: Vec<_> = FIELDS.iter().chain([&TAGS]).map(|field| field.name).collect();
        let reason = format!("{name:?} is not a field; the fields are {}", names.join(", "));
        Error::invalid_config(flag, reason)
    })
}

/// Appends a cell as a JSON value of the field's type; numbers are multiplied by `scale`. Times are
/// written elsewhere.
///
/// # Errors
/// If the text has another type; the reason does not quote it.
pub fn write_value(
    field: &'static Field,
    text: &str,
    scale: f64,
    json: &mut Vec<u8>,
) -> Result<(), Rejection> {
    match field.kind {
        Kind::Text | Kind::Time => write_text(text, json),
        Kind::Number => write_number(text, scale, json)
            .ok_or_else(|| Rejection::new(field.name, "is not a number"))?,
        Kind::Flag => {
            let value = parse_flag(text)
                .ok_or_else(|| Rejection::new(field.name, "is neither true nor false"))?;
            json.extend_from_slice(if value { b"true" } else { b"false" });
        }
        Kind::Object => {
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)
                .map_err(|_| Rejection::new(field.name, "is not a JSON object"))?;
            json.extend_from_slice(serde_json::Value::Object(object).to_string().as_bytes());
        }
    }
    Ok(())
}

/// Whether a cell stands for an unknown value.
pub fn is_unknown(kind: Kind, text: &str) -> bool {
    match text {
        "" => true,
        _ if UNKNOWN.contains(&text) => true,
        "NaN" | "nan" | "None" | "N/A" => kind != Kind::Text,
        _ => false,
    }
}

/// Appends a JSON string.
pub fn write_text(text: &str, json: &mut Vec<u8>) {
    json.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

fn write_number(text: &str, scale: f64, json: &mut Vec<u8>) -> Option<()> {
    // The common case; it also keeps integers beyond 2^53 exact.
    let digits = text.as_bytes();
    let is_plain =
        digits.iter().all(u8::is_ascii_digit) && matches!(digits, [_] | [b'1'..=b'9', ..]);
    #[expect(clippy::float_cmp, reason = "exactly the default")]
    if is_plain && scale == 1.0 {
        json.extend_from_slice(digits);
        return Some(());
    }
    let value = text.parse::<f64>().ok()? * scale;
    if !value.is_finite() {
        return None;
    }
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let text = if value.fract() == 0.0 && value.abs() < EXACT {
        format!("{value:.0}")
    } else {
        serde_json::Number::from_f64(value)?.to_string()
    };
    json.extend_from_slice(text.as_bytes());
    Some(())
}

fn parse_flag(text: &str) -> Option<bool> {
    const YES: [&str; 5] = ["true", "1", "yes", "t", "y"];
    const NO: [&str; 5] = ["false", "0", "no", "f", "n"];
    let is = |words: [&str; 5]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(YES) { Some(true) } else { is(NO).then_some(false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_json_values_of_the_fields_kind() {
        let value = |name: &str, text: &str, scale: f64| {
            let mut json = Vec::new();
            match write_value(find(name).unwrap(), text, scale, &mut json) {
                Ok(()) => String::from_utf8(json).unwrap(),
                Err(rejection) => rejection.to_string(),
            }
        };
        assert_eq!(value("model", "a \"b\"\n", 1.0), r#""a \"b\"\n""#);
        assert_eq!(value("prompt_tokens", "9007199254740993", 1.0), "9007199254740993");
        assert_eq!(value("prompt_tokens", "44.0", 1.0), "44");
        assert_eq!(value("prompt_tokens", "-007", 1.0), "-7");
        assert_eq!(value("total_latency_ms", "0.25", 1000.0), "250");
        assert_eq!(value("cost_usd", "1e-3", 1.0), "0.001");
        assert_eq!(value("prompt_tokens", "1,000", 1.0), "prompt_tokens: is not a number");
        assert_eq!(value("prompt_tokens", "", 1.0), "prompt_tokens: is not a number");
        assert_eq!(value("prompt_tokens", "inf", 1.0), "prompt_tokens: is not a number");
        assert_eq!(value("streamed", "Yes", 1.0), "true");
        assert_eq!(value("streamed", "maybe", 1.0), "streamed: is neither true nor false");
        assert_eq!(value("tags", r#"{"a": "b"}"#, 1.0), r#"{"a":"b"}"#);
        assert_eq!(value("tags", "a=b", 1.0), "tags: is not a JSON object");
    }
}
