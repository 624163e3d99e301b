//! Counts of fields that were not stored, by name.

use std::collections::BTreeMap;

use crate::model::record::limits;
use crate::privacy::{is_content_field, is_identifier_text, is_sensitive};

/// Maximum number of distinct names including `(other)`, so that a sender cannot inflate the response.
const MAX_NAMES: usize = 50;
/// Name for names that cannot be shown and for those beyond the limit.
const OTHER: &str = "(other)";

/// Fields of a batch that were not stored, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldCounts {
    /// Fields that are not in the contract.
    pub ignored: BTreeMap<String, u64>,
    /// Fields that may carry content, and fields for short codes with other values.
    pub dropped_content: BTreeMap<String, u64>,
}

impl FieldCounts {
    /// Counts a field that is not in the contract, as content if its name says so; returns whether it does.
    pub fn unknown(&mut self, name: &str) -> bool {
        let is_content = is_content_field(name);
        let counts = if is_content { &mut self.dropped_content } else { &mut self.ignored };
        add(counts, shown(name));
        is_content
    }

    /// Counts a value that was dropped because it may be content.
    pub fn dropped(&mut self, name: &str) {
        add(&mut self.dropped_content, shown(name));
    }
}

/// The name to show: the first bytes of an identifier that is neither personal nor a secret.
fn shown(name: &str) -> &str {
    if !is_identifier_text(name) || is_sensitive(name) {
        return OTHER;
    }
    name.get(..limits::LABEL_BYTES).unwrap_or(name)
}

fn add(counts: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
        return;
    }
    let has_room = counts.len() + usize::from(!counts.contains_key(OTHER)) < MAX_NAMES;
    let name = if has_room { name } else { OTHER };
    *counts.entry(name.to_owned()).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_may_not_be_shown_are_counted_together() {
        let mut counts = FieldCounts::default();
        for name in ["what is my diagnosis", "alice@example.com", "0170 1234567", "é", ""] {
            counts.unknown(name);
        }
        counts.unknown(&"x".repeat(100));
        assert_eq!(counts.ignored.get("(other)"), Some(&5));
        assert_eq!(counts.ignored.get(&"x".repeat(64)), Some(&1));
        assert_eq!(counts.ignored.len(), 2);
    }

    #[test]
    fn distinct_names_are_bounded_and_nothing_is_lost() {
        let mut counts = FieldCounts::default();
        for number in 0..1_000 {
            counts.unknown(&format!("field_{number}"));
            counts.unknown("Messages");
        }
        assert_eq!(counts.ignored.len(), MAX_NAMES);
        assert_eq!(counts.ignored.values().sum::<u64>(), 1_000);
        assert_eq!(counts.dropped_content.get("Messages"), Some(&1_000));
    }
}
