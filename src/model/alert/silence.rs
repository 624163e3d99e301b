//! Silences, which suppress notifications for a while.

use std::collections::BTreeMap;

use super::group::{AlertGroup, glob_matches};
use crate::model::Timestamp;

/// Error for a text with control characters.
pub const NOT_ONE_LINE: &str = "must be one line without control characters";

/// A silence to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSilence {
    /// Glob for rule ids.
    pub rule_glob: String,
    /// Globs by dimension; empty for every group.
    pub group_match: BTreeMap<String, String>,
    /// Start.
    pub starts_at: Timestamp,
    /// End.
    pub ends_at: Timestamp,
    /// Reason.
    pub comment: String,
}

impl NewSilence {
    /// The field that contains control characters, which would break lists, messages and logs.
    pub fn field_with_control_characters(&self) -> Option<&'static str> {
        let in_group = self.group_match.iter().flat_map(|pair| [pair.0, pair.1]);
        let texts = in_group.map(|text| ("group", text));
        let mut texts = texts.chain([("rule", &self.rule_glob), ("comment", &self.comment)]);
        let found = texts.find(|(_, text)| text.chars().any(char::is_control));
        found.map(|(field, _)| field)
    }
}

/// A silence: notifications are suppressed, but states are still updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSilence {
    /// Silence id.
    pub silence_id: String,
    /// Its definition.
    pub silence: NewSilence,
    /// Creation time.
    pub created_at: Timestamp,
    /// User who created it.
    pub created_by: String,
}

impl AlertSilence {
    /// Whether it suppresses notifications of this rule and group at `at`.
    pub fn covers(&self, rule_id: &str, group: &AlertGroup, at: Timestamp) -> bool {
        let NewSilence { rule_glob, group_match, starts_at, ends_at, .. } = &self.silence;
        *starts_at <= at
            && at < *ends_at
            && glob_matches(rule_glob, rule_id)
            && group.matches(group_match)
    }
}
