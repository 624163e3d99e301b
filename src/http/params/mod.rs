//! Strict query strings: what may be given is one literal table, which also describes it in the OpenAPI
//! document, so that the two cannot differ.

mod csv;
mod cursor;
mod fields;
mod latency;
mod table;
mod time;

use std::borrow::Cow;

use crate::http::problem::Problem;

pub(crate) use fields::Zone;
#[cfg(test)]
pub(crate) use table::tables;
pub(crate) use table::{
    ALERTS, AUDIT, BREAKDOWN, CURRENT, DASHBOARD, DIMENSION_VALUES, EXPLAIN, HEATMAP, HISTORICAL,
    INCIDENTS, NONE, REQUEST, REQUESTS, SILENCES, SQL, SQL_POST, STREAM,
};
pub(crate) use table::{INCIDENT_STATES, SILENCE_STATES, TOPICS};
pub(crate) use table::{Param, openapi_parameters};
pub(crate) use time::parse_instant as instant;

/// Longest value of a parameter, in bytes, after decoding.
const VALUE_BYTES_MAX: usize = 16 * 1024;
/// Most values of a repeatable parameter.
const VALUES_MAX: usize = 100;

/// The parameters of one request, decoded and checked against the table of its route.
#[derive(Debug)]
pub(crate) struct Params<'a> {
    pairs: Vec<(&'static Param, Cow<'a, str>)>,
}

impl<'a> Params<'a> {
    /// Decodes a query string (without its `?`).
    ///
    /// # Errors
    /// An unknown parameter, one given twice that may be given once, a missing one that is required,
    /// or a value that is empty, too long or not UTF-8.
    pub(crate) fn parse(query: &'a str, allowed: &[&'static Param]) -> Result<Self, Problem> {
        let mut pairs: Vec<(&'static Param, Cow<'a, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let Some(param) = allowed.iter().copied().find(|param| param.name == name) else {
                return Err(unknown(&name, allowed));
            };
            check_value(param, &value)?;
            let given = pairs.iter().filter(|(other, _)| other.name == param.name).count();
            if given > 0 && !param.repeated {
                return Err(Problem::parameter(param.name, "is given more than once"));
            }
            if given >= VALUES_MAX {
                let reason = format!("is given more than {VALUES_MAX} times");
                return Err(Problem::parameter(param.name, reason));
            }
            pairs.push((param, value));
        }
        let params = Self { pairs };
        for param in allowed.iter().filter(|param| param.required) {
            if params.one(param.name).is_none() {
                let reason = format!("is required: {}", param.description);
                return Err(Problem::parameter(param.name, reason));
            }
        }
        Ok(params)
    }

    /// The value of a parameter.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(param, _)| param.name == name).map(|(_, value)| &**value)
    }

    /// The values of a repeatable parameter, in order.
    pub(crate) fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        self.pairs.iter().filter(move |(param, _)| param.name == name).map(|(_, value)| &**value)
    }

    /// The query string again, without the parameters named in `without`.
    pub(crate) fn to_query(&self, without: &[&str]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (param, value) in self.pairs.iter().filter(|(param, _)| !without.contains(&param.name))
        {
            query.append_pair(param.name, value);
        }
        query.finish()
    }
}

fn check_value(param: &Param, value: &str) -> Result<(), Problem> {
    let reason = if value.is_empty() {
        "is empty; leave it out instead"
    } else if value.len() > VALUE_BYTES_MAX {
        "is too long"
    } else if value.contains(char::REPLACEMENT_CHARACTER) {
        "is not valid UTF-8"
    } else if value.contains('\0') {
        "contains a NUL character"
    } else {
        return Ok(());
    };
    // The prefix of a search is the one value that may be empty.
    if value.is_empty() && param.may_be_empty {
        return Ok(());
    }
    Err(Problem::parameter(param.name, reason))
}

fn unknown(name: &str, allowed: &[&'static Param]) -> Problem {
    let shown: String = name.chars().take(64).collect();
    let names: Vec<&str> = allowed.iter().map(|param| param.name).collect();
    let reason = if names.is_empty() {
        "is not a parameter of this route, which has none".to_owned()
    } else {
        let meant = match closest(&shown, names.iter().copied()) {
            Some(name) => format!("did you mean {name}? "),
            None => String::new(),
        };
        format!("is not a parameter of this route; {meant}it has {}", names.join(", "))
    };
    Problem::parameter(shown, reason)
}

/// The candidate that differs least from what was typed, if it is near enough to have been meant.
fn closest<'c>(typed: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let typed = typed.to_ascii_lowercase();
    let most_edits = typed.len().div_ceil(3).max(1);
    candidates
        .map(|candidate| (edits(&typed, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= most_edits)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements between two short texts (Levenshtein), byte by byte.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, byte) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, other) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(byte != other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_parameter_names_the_allowed_ones() {
        let problem = Params::parse("spaces=a", CURRENT).unwrap_err();
        assert_eq!(problem.status().as_u16(), 400);
        assert!(
            problem.public_words().contains("did you mean space?"),
            "{}",
            problem.public_words()
        );
        assert!(problem.public_words().contains("window"), "{}", problem.public_words());
    }

    #[test]
    fn filters_repeat_and_nothing_else_does() {
        let params = Params::parse("space=a&space=b%20c&model=x", CURRENT).unwrap();
        assert_eq!(params.all("space").collect::<Vec<_>>(), ["a", "b c"]);
        let problem = Params::parse("window=day&window=hour", CURRENT).unwrap_err();
        assert_eq!(problem.public_words(), "window: is given more than once");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for query in ["space=", "space=%ff", "space=%00", "type=x&start", "=", "a=b", "&space=&"] {
            assert!(Params::parse(query, CURRENT).is_err(), "{query}");
        }
        let long = format!("space={}", "x".repeat(VALUE_BYTES_MAX + 1));
        assert!(Params::parse(&long, CURRENT).is_err());
        let many = "space=a&".repeat(VALUES_MAX + 1);
        assert!(Params::parse(&many, CURRENT).is_err());
    }

    #[test]
    fn required_parameters_say_what_they_are_for() {
        let problem = Params::parse("start=now-1h", HISTORICAL).unwrap_err();
        assert!(
            problem.public_words().starts_with("type: is required: "),
            "{}",
            problem.public_words()
        );
    }

    #[test]
    fn a_query_string_can_be_written_again() {
        let params = Params::parse("space=a+b&limit=5&cursor=AA&space=%C3%A9", REQUESTS).unwrap();
        assert_eq!(params.to_query(&["cursor"]), "space=a+b&limit=5&space=%C3%A9");
    }

    #[test]
    fn typing_errors_are_recognised() {
        assert_eq!(closest("strat", ["start", "end"].into_iter()), Some("start"));
        assert_eq!(closest("qqqq", ["start", "end"].into_iter()), None);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
