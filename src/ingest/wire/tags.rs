//! Tags: few, short, identifier-like; stored as compact canonical JSON.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::scalar::visits;
use super::{FieldCounts, RecordProblem, Scalar};
use crate::model::Name;
use crate::model::record::limits;
use crate::privacy::{Pseudonymizer, is_label, is_tag_key};

/// Name of the field.
pub(crate) const TAGS_FIELD: &str = "tags";
/// Maximum number of tags of one record that are looked at; more are dropped unread.
const LOOKED_AT_MAX: usize = 64;

/// Tags as they were sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Tags<'a> {
    /// `null`, or no tags at all.
    #[default]
    Absent,
    /// Neither an object nor an array.
    Other,
    /// Keys and values, and the number of tags dropped unread.
    Object(Vec<(Cow<'a, str>, Scalar<'a>)>, u64),
    /// Values, and the number of tags dropped unread.
    List(Vec<Scalar<'a>>, u64),
}

impl Tags<'_> {
    /// The tags as canonical JSON: sorted by key or entry, without duplicates; the last value of a key wins.
    ///
    /// Tags that are not short identifiers, and those beyond the limit, are dropped and counted.
    pub(super) fn check(
        self,
        pseudonymizer: &Pseudonymizer,
        counts: &mut FieldCounts,
    ) -> Result<Option<String>, RecordProblem> {
        match self {
            Self::Absent => Ok(None),
            Self::Other => Err(RecordProblem::new(
                TAGS_FIELD,
                "must be an object of short strings, numbers and booleans, or an array of short strings",
            )),
            Self::Object(pairs, more) => Ok(object(pairs, more, pseudonymizer, counts)),
            Self::List(values, more) => Ok(list(values, more, pseudonymizer, counts)),
        }
    }
}

fn object(
    pairs: Vec<(Cow<'_, str>, Scalar<'_>)>,
    more: u64,
    pseudonymizer: &Pseudonymizer,
    counts: &mut FieldCounts,
) -> Option<String> {
    let mut kept: Vec<(Name, Name)> = Vec::with_capacity(pairs.len().min(limits::TAGS));
    for (key, value) in pairs {
        let key = key.trim();
        if value == Scalar::Null {
            continue;
        }
        let value = if is_tag_key(key) { value_json(&value, pseudonymizer) } else { None };
        let has_room = kept.len() < limits::TAGS;
        match (value, kept.iter_mut().find(|(known, _)| known == key)) {
            (Some(value), Some((_, known))) => *known = value,
            (Some(value), None) if has_room => kept.push((Name::new(key), value)),
            _ => counts.dropped(TAGS_FIELD),
        }
    }
    (0..more).for_each(|_| counts.dropped(TAGS_FIELD));
    kept.sort_unstable();
    let entries = kept.iter().map(|(key, value)| format!("\"{key}\":{value}"));
    joined(entries, '{', '}')
}

fn list(
    values: Vec<Scalar<'_>>,
    more: u64,
    pseudonymizer: &Pseudonymizer,
    counts: &mut FieldCounts,
) -> Option<String> {
    let mut kept: Vec<Name> = Vec::with_capacity(values.len().min(limits::TAGS));
    for value in values {
        let text = match &value {
            Scalar::Null => continue,
            Scalar::Str(_) => value_json(&value, pseudonymizer),
            _ => None,
        };
        match text {
            Some(text) if kept.contains(&text) => {}
            Some(text) if kept.len() < limits::TAGS => kept.push(text),
            _ => counts.dropped(TAGS_FIELD),
        }
    }
    (0..more).for_each(|_| counts.dropped(TAGS_FIELD));
    kept.sort_unstable();
    joined(kept.iter().map(Name::to_string), '[', ']')
}

/// The value as JSON, or `None` when it is not a short identifier.
fn value_json(value: &Scalar<'_>, pseudonymizer: &Pseudonymizer) -> Option<Name> {
    let (text, is_string) = match value {
        Scalar::Bool(value) => return Some(Name::new(if *value { "true" } else { "false" })),
        Scalar::Str(text) => (Cow::Borrowed(text.trim()), true),
        Scalar::Int(number) => (Cow::Owned(number.to_string()), false),
        Scalar::Float(number) => (serde_json::Number::from_f64(*number)?.to_string().into(), false),
        Scalar::Null | Scalar::Complex => return None,
    };
    if text.len() > limits::LABEL_BYTES {
        return None;
    }
    let checked = pseudonymizer.identifier(&text);
    if !is_string && checked == *text {
        return Some(checked);
    }
    is_label(&checked).then(|| Name::from(format!("\"{checked}\"")))
}

fn joined(entries: impl Iterator<Item = String>, open: char, close: char) -> Option<String> {
    let mut json = String::new();
    for entry in entries {
        json.push(if json.is_empty() { open } else { ',' });
        json.push_str(&entry);
    }
    if json.is_empty() {
        return None;
    }
    json.push(close);
    Some(json)
}

impl<'de> Deserialize<'de> for Tags<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TagsVisitor)
    }
}

struct TagsVisitor;

impl<'de> Visitor<'de> for TagsVisitor {
    type Value = Tags<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    visits! { self;
        visit_unit() => Tags::Absent,
        visit_bool(_value: bool) => Tags::Other,
        visit_i64(_value: i64) => Tags::Other,
        visit_u64(_value: u64) => Tags::Other,
        visit_f64(_value: f64) => Tags::Other,
        visit_str(_text: &str) => Tags::Other,
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let (mut values, mut more) = (Vec::new(), 0);
        while values.len() < LOOKED_AT_MAX {
            match seq.next_element::<Scalar<'de>>()? {
                Some(value) => values.push(value),
                None => return Ok(Tags::List(values, more)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            more += 1;
        }
        Ok(Tags::List(values, more))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut pairs, mut more) = (Vec::new(), 0);
        while pairs.len() < LOOKED_AT_MAX {
            match map.next_key::<BorrowedKey<'de>>()? {
                Some(BorrowedKey(key)) => pairs.push((key, map.next_value()?)),
                None => return Ok(Tags::Object(pairs, more)),
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            more += 1;
        }
        Ok(Tags::Object(pairs, more))
    }
}

/// A key that borrows from the body if it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct BorrowedKey<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> (Result<Option<String>, RecordProblem>, u64) {
        let tags: Tags<'_> = serde_json::from_str(json).unwrap();
        let mut counts = FieldCounts::default();
        let result = tags.check(&Pseudonymizer::from_key([1; 32]), &mut counts);
        (result, counts.dropped_content.get("tags").copied().unwrap_or(0))
    }

    fn kept(json: &str) -> (String, u64) {
        let (result, dropped) = checked(json);
        (result.unwrap().unwrap_or_default(), dropped)
    }

    #[test]
    fn tags_become_canonical_json() {
        let cases = [
            (r#"{"b":"x","a":1,"c":true,"d":1.5,"e":null}"#, r#"{"a":1,"b":"x","c":true,"d":1.5}"#),
            (r#"{"a":"1","a":"2"}"#, r#"{"a":"2"}"#),
            (r#"["beta","alpha","beta",null]"#, r#"["alpha","beta"]"#),
            (r#"{"a":" x "}"#, r#"{"a":"x"}"#),
            ("{}", ""),
            ("[]", ""),
            ("null", ""),
        ];
        for (sent, expected) in cases {
            assert_eq!(kept(sent), (expected.to_owned(), 0), "{sent}");
        }
    }

    #[test]
    fn what_is_no_short_identifier_is_dropped_and_counted() {
        let long = "x".repeat(65);
        let sent = format!(
            r#"{{"ok":"v","sentence":"two words","nested":{{"a":1}},"{long}":"v","long":"{long}",
                "two words":1,"prompt":"secret","5551234567":1,"empty":""}}"#
        );
        assert_eq!(kept(&sent), (r#"{"ok":"v"}"#.to_owned(), 8));
        assert_eq!(kept(r#"["ok", 1, {"a":1}, "two words"]"#), (r#"["ok"]"#.to_owned(), 3));
    }

    #[test]
    fn personal_values_are_hashed() {
        let (json, dropped) = kept(r#"{"a":"alice@example.com","b":491701234567}"#);
        assert_eq!(dropped, 0);
        assert!(json.starts_with(r#"{"a":"h_"#) && json.contains(r#""b":"h_"#), "{json}");
    }

    #[test]
    fn tags_are_few() {
        let many: Vec<String> = (0..1_000).map(|number| format!("\"t{number}\":1")).collect();
        let (json, dropped) = kept(&format!("{{{}}}", many.join(",")));
        assert_eq!((json.matches(':').count(), dropped), (limits::TAGS, 992));
    }

    #[test]
    fn another_type_is_an_error() {
        for sent in ["\"a\"", "1", "-1", "1.5", "true"] {
            assert_eq!(checked(sent).0.unwrap_err().field, "tags");
        }
    }
}
