//! Keeping messages back for a while.

use std::collections::BTreeMap;

use super::group::{AlertGroup, glob_matches};
use crate::model::Timestamp;

/// What is said to somebody whose text is not one line of plain characters.
pub const NOT_ONE_LINE: &str = "must be one line without control characters";

/// What somebody asks to be silent about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSilence {
    /// Id of a rule, with `*` for anything.
    pub rule_glob: String,
    /// Globs by dimension; empty: every group.
    pub group_match: BTreeMap<String, String>,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// Why.
    pub comment: String,
}

impl NewSilence {
    /// The field with a text that is not one line of plain characters, as lists, messages and logs show it.
    pub fn field_with_control_characters(&self) -> Option<&'static str> {
        let in_group = self.group_match.iter().flat_map(|pair| [pair.0, pair.1]);
        let texts = in_group.map(|text| ("group", text));
        let mut texts = texts.chain([("rule", &self.rule_glob), ("comment", &self.comment)]);
        let found = texts.find(|(_, text)| text.chars().any(char::is_control));
        found.map(|(field, _)| field)
    }
}

/// A silence: messages are kept back, states still move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSilence {
    /// Identity.
    pub silence_id: String,
    /// What it is about.
    pub silence: NewSilence,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
}

impl AlertSilence {
    /// Whether it keeps back messages of this rule and group at `at`.
    pub fn covers(&self, rule_id: &str, group: &AlertGroup, at: Timestamp) -> bool {
        let NewSilence { rule_glob, group_match, starts_at, ends_at, .. } = &self.silence;
        *starts_at <= at
            && at < *ends_at
            && glob_matches(rule_glob, rule_id)
            && group.matches(group_match)
    }
}
