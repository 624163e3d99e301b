//! Silences: creation with validation, listing, ending.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Chatgauge, random_text};
use crate::error::{Error, Result};
use crate::model::alert::{
    AlertEvent, AlertSilence, NOT_ONE_LINE, NewSilence, Rule, RuleFilter, glob_matches,
};
use crate::model::dimension::{NONE_NAME, OTHER_NAME};
use crate::model::time::DAY_MS;
use crate::model::{Dimension, ErrorType, Timestamp};
use crate::privacy::may_be_pseudonym;

/// Number of random bytes in the id of a silence.
const SILENCE_ID_BYTES: usize = 8;
/// Maximum duration of a silence, in days.
const MAX_SILENCE_DAYS: i64 = 400;
/// Maximum number of rules that an error message lists.
const MAX_LISTED_RULES: usize = 5;

impl Chatgauge {
    /// Active and future silences (`false`), or ended ones (`true`), latest end first.
    pub fn alert_silences(&self, over: bool) -> Result<Vec<AlertSilence>> {
        let now = self.shared().steady_now();
        self.shared().store.read(|reader| reader.alert_silences(now, over))
    }

    /// Field and reason why no alert of the current rules can match a silence; `None` if one can.
    pub fn unmatchable_silence(&self, new: &NewSilence) -> Option<(&'static str, String)> {
        let rules = self.shared().monitor.all_rules();
        unmatchable(&rules, &new.rule_glob, &self.stored_globs(new.group_match.clone()))
    }

    /// The globs of a silence; those without `*` in their stored form.
    fn stored_globs(&self, mut globs: BTreeMap<String, String>) -> BTreeMap<String, String> {
        for (name, glob) in globs.iter_mut().filter(|(_, glob)| !glob.contains('*')) {
            if let Some(dimension) = Dimension::parse(name) {
                *glob = self.pseudonymizer().stored_name(dimension, glob).to_string();
            }
        }
        globs
    }

    /// Creates a silence, which suppresses notifications; values in `group_match` take their stored
    /// form.
    ///
    /// # Errors
    /// [`InvalidQuery`](Error::InvalidQuery) if the silence ends before it starts, has already
    /// ended, is too long, has no comment, contains control characters, or can match no alert; also
    /// if the write failed.
    pub fn create_alert_silence(&self, new: NewSilence, actor: &str) -> Result<AlertSilence> {
        let now = self.shared().steady_now();
        if new.comment.trim().is_empty() {
            return Err(Error::invalid_query("comment", "a reason is required"));
        }
        if let Some(field) = new.field_with_control_characters() {
            return Err(Error::invalid_query(field, NOT_ONE_LINE));
        }
        if let Some((field, reason)) = self.unmatchable_silence(&new) {
            return Err(Error::invalid_query(field, reason));
        }
        if new.ends_at <= new.starts_at || new.ends_at <= now {
            return Err(Error::invalid_query("ends_at", "must lie after starts_at and after now"));
        }
        if new.ends_at > new.starts_at.plus_ms(MAX_SILENCE_DAYS * DAY_MS) {
            let reason = format!("at most {MAX_SILENCE_DAYS} days after starts_at");
            return Err(Error::invalid_query("ends_at", reason));
        }
        let group_match = self.stored_globs(new.group_match.clone());
        let silence = AlertSilence {
            silence_id: random_text::<SILENCE_ID_BYTES>(),
            silence: NewSilence { group_match, ..new },
            created_at: now,
            created_by: actor.to_owned(),
        };
        let event = silence_event(&silence, "silenced", actor, now);
        let stored = silence.clone();
        self.shared().gate().write(move |writer| writer.insert_silence(&stored, &event))?;
        Ok(silence)
    }

    /// Ends a silence now; `false` if it does not exist or has ended.
    pub fn end_alert_silence(&self, silence_id: &str, actor: &str) -> Result<bool> {
        let now = self.shared().steady_now();
        let silences = self.alert_silences(false)?;
        let Some(silence) = silences.iter().find(|silence| silence.silence_id == silence_id) else {
            return Ok(false);
        };
        let event = silence_event(silence, "unsilenced", actor, now);
        let id = silence_id.to_owned();
        self.shared().gate().write(move |writer| writer.end_silence(&id, now, &event))
    }
}

fn silence_event(silence: &AlertSilence, what: &str, actor: &str, now: Timestamp) -> AlertEvent {
    let NewSilence { rule_glob, group_match, comment, .. } = &silence.silence;
    AlertEvent {
        group_key: serde_json::to_string(group_match).unwrap_or_default(),
        to_state: what.to_owned(),
        ..AlertEvent::remark(now, rule_glob, what, actor, Some(comment.clone()))
    }
}

/// Field and reason why no alert of `rules` can match; `None` if one can.
fn unmatchable(
    rules: &[Arc<Rule>],
    rule_glob: &str,
    group_match: &BTreeMap<String, String>,
) -> Option<(&'static str, String)> {
    let matching: Vec<&Rule> =
        rules.iter().map(Arc::as_ref).filter(|rule| glob_matches(rule_glob, &rule.id)).collect();
    if matching.is_empty() {
        let ids: Vec<&str> = rules.iter().map(|rule| &*rule.id).collect();
        let reason = format!("no rule matches {rule_glob:?}; the rules are {}", ids.join(", "));
        return Some(("rule", reason));
    }
    let has_group =
        |rule: &&Rule| group_match.keys().all(|name| rule.by.iter().any(|by| by.as_str() == name));
    let with_groups: Vec<&Rule> = matching.iter().copied().filter(has_group).collect();
    if with_groups.is_empty() {
        let requested: Vec<&str> = group_match.keys().map(String::as_str).collect();
        let named: Vec<String> =
            matching.iter().take(MAX_LISTED_RULES).map(|rule| groups(rule)).collect();
        let more = matching.len().saturating_sub(MAX_LISTED_RULES);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let (requested, named) = (requested.join(" and "), named.join(", "));
        return Some(("group", format!("no rule has an alert per {requested}: {named}{more}")));
    }
    let fault = |rule: &&Rule| {
        group_match.iter().find_map(|(name, glob)| value_fault(name, glob, &rule.filter))
    };
    // A rule without a fault can match.
    let faults: Option<Vec<String>> = with_groups.iter().map(fault).collect();
    Some(("group", faults?.swap_remove(0)))
}

/// Describes the groups of a rule.
fn groups(rule: &Rule) -> String {
    let by: Vec<&str> = rule.by.iter().map(|by| by.as_str()).collect();
    match by.as_slice() {
        [] => format!("{} has one alert without groups", rule.id),
        by => format!("{} has one per {}", rule.id, by.join(" and ")),
    }
}

/// Why no value of a dimension that passes the filter can match a glob; `None` if one can.
fn value_fault(name: &str, glob: &str, filter: &RuleFilter) -> Option<String> {
    let known: Vec<&str> = match Dimension::parse(name)? {
        Dimension::Space => texts(&filter.spaces),
        Dimension::Model => texts(&filter.models),
        Dimension::Provider => texts(&filter.providers),
        Dimension::User if may_be_user(glob) => texts(&filter.users),
        Dimension::User => {
            let reason = format!(
                "{glob:?} matches no user: they are stored as pseudonyms such as u_abcdefghij234567; \
                 use a complete user id or pseudonym, or a glob for pseudonyms"
            );
            return Some(reason);
        }
        Dimension::ErrorType if filter.error_types.is_empty() => {
            ErrorType::ALL.iter().map(|kind| kind.as_str()).collect()
        }
        Dimension::ErrorType => filter.error_types.iter().map(|kind| kind.as_str()).collect(),
    };
    let is_possible = known.is_empty() || known.iter().any(|text| may_meet(glob, text));
    let known = known.join(", ");
    (!is_possible)
        .then(|| format!("no {name} of the rule matches {glob:?}; the values are {known}"))
}

/// Whether a glob can match a user as stored: a pseudonym or a reserved name.
fn may_be_user(glob: &str) -> bool {
    may_be_pseudonym(glob) || [NONE_NAME, OTHER_NAME].iter().any(|name| glob_matches(glob, name))
}

fn texts(globs: &[String]) -> Vec<&str> {
    globs.iter().map(String::as_str).collect()
}

/// Whether a text can match both globs; two globs with `*` are assumed to.
fn may_meet(glob: &str, other: &str) -> bool {
    let is_pattern = |text: &str| text.contains('*');
    match (is_pattern(glob), is_pattern(other)) {
        (true, true) => true,
        (true, false) => glob_matches(glob, other),
        (false, _) => glob_matches(other, glob),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::alert::{AlertCondition, AlertMetric, Operator};

    fn rule(id: &str, by: &[Dimension]) -> Arc<Rule> {
        let condition = AlertCondition::new(Operator::Above, 0.1, Duration::from_secs(300), 1);
        let mut rule = Rule::new(id, AlertMetric::ErrorRate, condition);
        rule.by = by.to_vec();
        if id == "filtered" {
            rule.filter.spaces = vec!["acme".to_owned(), "beta-*".to_owned()];
        }
        Arc::new(rule)
    }

    fn refusal(glob: &str, group: &[(&str, &str)]) -> Option<String> {
        let rules = [
            rule("errors", &[]),
            rule("errors-space", &[Dimension::Space]),
            rule("errors-user", &[Dimension::User, Dimension::ErrorType]),
            rule("filtered", &[Dimension::Space]),
        ];
        let group = group.iter().map(|(name, glob)| ((*name).to_owned(), (*glob).to_owned()));
        unmatchable(&rules, glob, &group.collect())
            .map(|(field, reason)| format!("{field}: {reason}"))
    }

    #[test]
    fn silences_that_can_match_are_accepted() {
        for (glob, group) in [
            ("*", &[][..]),
            ("errors", &[]),
            ("*", &[("space", "acme")]),
            ("errors*", &[("space", "a*")]),
            ("errors-user", &[("user", "u_*"), ("error_type", "time*")]),
            ("errors-user", &[("user", "u_abcdefghij234567")]),
            ("errors-user", &[("user", "(none)")]),
            ("errors-user", &[("user", "(other)")]),
            ("errors-user", &[("user", "(*)")]),
            ("filtered", &[("space", "beta-1")]),
            ("filtered", &[("space", "a*")]),
            ("filtered", &[("space", "*x")]),
        ] {
            assert_eq!(refusal(glob, group), None, "{glob} {group:?}");
        }
    }

    #[test]
    fn silences_that_cannot_match_are_rejected_with_the_existing_names() {
        for (glob, group, expected) in [
            (
                "erors",
                &[][..],
                "rule: no rule matches \"erors\"; the rules are errors, errors-space",
            ),
            (
                "errors",
                &[("space", "acme")],
                "group: no rule has an alert per space: errors has one alert without groups",
            ),
            (
                "errors-*",
                &[("space", "acme"), ("user", "u_*")],
                "group: no rule has an alert per space and user: errors-space has one per space, \
                 errors-user has one per user and error_type",
            ),
            ("errors*", &[("planet", "mars")], "group: no rule has an alert per planet"),
            ("errors-user", &[("error_type", "tine*")], "group: no error_type of the rule matches"),
            ("errors-user", &[("user", "alice*")], "group: \"alice*\" matches no user"),
            ("filtered", &[("space", "gamma")], "group: no space of the rule matches \"gamma\""),
        ] {
            let refusal = refusal(glob, group).unwrap();
            assert!(refusal.starts_with(expected), "{refusal}");
        }
    }
}
