//! The record fields that a column can be mapped to.

use serde_json::{Map, Value};

use crate::csv_file::UNKNOWN;
use crate::ingest::wire::{Field, RecordProblem, TAGS_FIELD, ValueType};

/// The type of the cells of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CellType {
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

impl From<ValueType> for CellType {
    fn from(value_type: ValueType) -> Self {
        match value_type {
            ValueType::Text => Self::Text,
            ValueType::Number | ValueType::Integer => Self::Number,
            ValueType::Flag => Self::Flag,
            ValueType::Time => Self::Time,
        }
    }
}

/// A record field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MappedField {
    /// Name of the field.
    pub(super) name: &'static str,
    /// Type of its cells.
    pub(super) kind: CellType,
}

/// The names of all fields.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    Field::ALL.iter().map(|field| field.as_str()).chain([TAGS_FIELD])
}

/// The field with this name.
pub(super) fn find(name: &str) -> Option<MappedField> {
    if name == TAGS_FIELD {
        return Some(MappedField { name: TAGS_FIELD, kind: CellType::Object });
    }
    let field = Field::parse(name)?;
    Some(MappedField { name: field.as_str(), kind: field.value_type().into() })
}

/// Appends a cell as a JSON value of the field's type; numbers are multiplied by `scale`. Times are
/// written elsewhere.
///
/// # Errors
/// If the text has another type; the reason does not quote it.
pub(super) fn write_value(
    field: MappedField,
    text: &str,
    scale: f64,
    json: &mut Vec<u8>,
) -> Result<(), RecordProblem> {
    match field.kind {
        CellType::Text | CellType::Time => {
            json.extend_from_slice(Value::from(text).to_string().as_bytes());
        }
        CellType::Number => write_number(text, scale, json)
            .ok_or_else(|| RecordProblem::new(field.name, "is not a number"))?,
        CellType::Flag => {
            let value = parse_flag(text)
                .ok_or_else(|| RecordProblem::new(field.name, "is neither true nor false"))?;
            json.extend_from_slice(value.to_string().as_bytes());
        }
        CellType::Object => {
            let object: Map<String, Value> = serde_json::from_str(text)
                .map_err(|_| RecordProblem::new(field.name, "is not a JSON object"))?;
            json.extend_from_slice(Value::Object(object).to_string().as_bytes());
        }
    }
    Ok(())
}

/// Whether a cell stands for an unknown value.
pub(super) fn is_unknown(kind: CellType, text: &str) -> bool {
    let is_not_a_value = ["NaN", "nan", "None", "N/A"].contains(&text);
    text.is_empty() || UNKNOWN.contains(&text) || (is_not_a_value && kind != CellType::Text)
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
