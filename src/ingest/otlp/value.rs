//! The value of an attribute, with the leniency that emitters need.

use crate::model::Name;

/// A value that is kept: a number, a boolean or a short text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A short text; of an array of texts the first.
    Text(Name),
}

impl Value {
    /// A short text, unless it says that there is none.
    pub(super) fn text_of(text: &str) -> Option<Self> {
        let text = text.trim();
        (!matches!(text, "" | "None" | "null")).then(|| Self::Text(Name::new(text)))
    }

    /// As an identifier: numbers are written out, quotation marks are taken off.
    pub(super) fn to_name(&self) -> Option<Name> {
        match self {
            Self::Text(text) => Some(unquoted(text)).filter(|text| !text.is_empty()).map(Name::new),
            Self::Int(number) => Some(Name::new(number.to_string())),
            Self::Bool(_) | Self::Float(_) => None,
        }
    }

    /// As a number; numeric texts count.
    pub(super) fn to_number(&self) -> Option<f64> {
        let number = match self {
            Self::Int(number) => *number as f64,
            Self::Float(number) => *number,
            Self::Text(text) => text.parse().ok()?,
            Self::Bool(_) => return None,
        };
        number.is_finite().then_some(number)
    }

    /// As a boolean; `true` and `False` as texts count.
    pub(super) fn to_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Self::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            Self::Text(_) | Self::Int(_) | Self::Float(_) => None,
        }
    }
}

/// The text without a pair of quotation marks around it.
pub(super) fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_emitters_write_them() {
        assert_eq!(Value::text_of(" None "), None);
        assert_eq!(Value::text_of("null"), None);
        let quoted = Value::text_of("\"acme\"").unwrap();
        assert_eq!(quoted.to_name().unwrap(), "acme");
        assert_eq!(Value::Int(42).to_name().unwrap(), "42");
        assert_eq!(Value::text_of("12").unwrap().to_number(), Some(12.0));
        assert_eq!(Value::Float(f64::NAN).to_number(), None);
        assert_eq!(Value::text_of("False").unwrap().to_bool(), Some(false));
        assert_eq!(Value::text_of("yes").unwrap().to_bool(), None);
    }
}
