//! Groups of requests that alerts are evaluated for.

use std::collections::BTreeMap;

use super::group_names::GroupNames;
use crate::model::Dimension;

/// The values of a rule's `by`, and the period of a budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AlertGroup {
    /// Values by dimension; users as pseudonyms.
    pub names: GroupNames,
    /// The budget period, e.g. `2026-11-23`.
    pub period: Option<String>,
}

/// Key of the period in group keys.
const PERIOD: &str = "period";

impl AlertGroup {
    /// The group with these values of these dimensions.
    pub fn new(by: &[Dimension], values: &[String]) -> Self {
        let names = by.iter().zip(values);
        Self {
            names: names.map(|(by, value)| (by.as_str().to_owned(), value.clone())).collect(),
            period: None,
        }
    }

    /// The same group, in a period.
    #[must_use]
    pub fn in_period(mut self, period: Option<String>) -> Self {
        self.period = period;
        self
    }

    /// The canonical key: JSON ordered by name; empty for all requests.
    pub fn key(&self) -> String {
        if self.names.is_empty() && self.period.is_none() {
            return String::new();
        }
        let period = self.period.as_deref().map(|period| (PERIOD, period));
        let all: BTreeMap<&str, &str> = self.names.iter().chain(period).collect();
        serde_json::to_string(&all).unwrap_or_default()
    }

    /// Parses a canonical key; `None` if it is invalid.
    pub fn parse_key(key: &str) -> Option<Self> {
        if key.is_empty() {
            return Some(Self::default());
        }
        let mut names: BTreeMap<String, String> = serde_json::from_str(key).ok()?;
        let period = names.remove(PERIOD);
        Some(Self { names: names.into_iter().collect(), period })
    }

    /// Whether every dimension in `globs` exists and matches.
    pub fn matches(&self, globs: &BTreeMap<String, String>) -> bool {
        globs
            .iter()
            .all(|(name, glob)| self.names.get(name).is_some_and(|value| glob_matches(glob, value)))
    }
}

impl std::fmt::Display for AlertGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pairs = self.names.iter().map(|(name, value)| format!("{name}={value}"));
        f.write_str(&pairs.chain(self.period.clone()).collect::<Vec<_>>().join(" "))
    }
}

/// Whether `text` matches `glob`, in which `*` matches any characters.
///
/// # Example
/// ```
/// use chatgauge::model::alert::glob_matches;
/// assert!(glob_matches("gpt-*", "gpt-4o"));
/// assert!(!glob_matches("gpt-*", "claude"));
/// ```
pub fn glob_matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    let mut rest = rest;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_any_text() {
        for (glob, text) in
            [("*", ""), ("*", "x"), ("a*c", "abc"), ("a*b*c", "a-b-b-c"), ("a", "a")]
        {
            assert!(glob_matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in [("a", "ab"), ("a*", "b"), ("*a", "ab"), ("a*a", "a"), ("a*b*c", "ac")]
        {
            assert!(!glob_matches(glob, text), "{glob} {text}");
        }
    }

    #[test]
    fn keys_are_read_back() {
        let group =
            AlertGroup::new(&[Dimension::User, Dimension::Space], &["u\"1".into(), "a".into()])
                .in_period(Some("2026-11-23".into()));
        assert_eq!(AlertGroup::parse_key(&group.key()), Some(group));
        assert_eq!(AlertGroup::default().key(), "");
    }
}
