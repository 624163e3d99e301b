//! A value of a format that emitters write in many ways.

use crate::model::Name;

/// A number, a boolean or a short text, read leniently.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LooseValue {
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A short text; of an array of texts the first.
    Text(Name),
}

impl LooseValue {
    /// A trimmed text; `None` if it says that there is no value.
    pub(crate) fn text_of(text: &str) -> Option<Self> {
        let text = text.trim();
        (!matches!(text, "" | "None" | "null")).then(|| Self::Text(Name::new(text)))
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bool(_) | Self::Int(_) | Self::Float(_) => None,
        }
    }

    /// The value as an identifier: integers are written out, quotation marks are removed.
    pub(crate) fn to_name(&self) -> Option<Name> {
        match self {
            Self::Text(text) => Some(unquoted(text)).filter(|text| !text.is_empty()).map(Name::new),
            Self::Int(number) => Some(Name::new(number.to_string())),
            Self::Bool(_) | Self::Float(_) => None,
        }
    }

    /// The value as a finite number; numeric texts count.
    pub(crate) fn to_number(&self) -> Option<f64> {
        let number = match self {
            Self::Int(number) => *number as f64,
            Self::Float(number) => *number,
            Self::Text(text) => text.parse().ok()?,
            Self::Bool(_) => return None,
        };
        number.is_finite().then_some(number)
    }

    /// The value as a boolean; `true` and `False` as texts count.
    pub(crate) fn to_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Self::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            Self::Text(_) | Self::Int(_) | Self::Float(_) => None,
        }
    }
}

/// The text without a pair of quotation marks around it.
pub(crate) fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_emitters_write_them() {
        assert_eq!(LooseValue::text_of(" None "), None);
        assert_eq!(LooseValue::text_of("null"), None);
        let quoted = LooseValue::text_of("\"acme\"").unwrap();
        assert_eq!(quoted.to_name().unwrap(), "acme");
        assert_eq!(LooseValue::Int(42).to_name().unwrap(), "42");
        assert_eq!(LooseValue::text_of("12").unwrap().to_number(), Some(12.0));
        assert_eq!(LooseValue::Float(f64::NAN).to_number(), None);
        assert_eq!(LooseValue::text_of("False").unwrap().to_bool(), Some(false));
        assert_eq!(LooseValue::text_of("yes").unwrap().to_bool(), None);
    }
}
