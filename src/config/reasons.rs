//! Reads the configuration file, and words the reasons of its rejection for people who know TOML but not Rust.

use std::ops::Range;
use std::path::Path;

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::RawConfig;
use crate::error::{Error, Result};

/// Reads the file.
///
/// # Errors
/// [`Io`](Error::Io) if it cannot be read, [`InvalidConfig`](Error::InvalidConfig) if it is a directory or not UTF-8.
pub(super) fn read_text(path: &Path) -> Result<String> {
    if path.is_dir() {
        let reason = "is a directory; give the file in it, such as chatgauge.toml";
        return Err(Error::invalid_config(path.display().to_string(), reason));
    }
    let bytes =
        std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = line_of(&String::from_utf8_lossy(valid), valid.len());
        let place = format!("{}, line {line}", path.display());
        Error::invalid_config(place, "is not UTF-8; save the file as UTF-8")
    })
}

/// The line of a position, from 1 on.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// "did you mean": the known names closest to `name` by edit distance.
pub(super) fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    const NAMES_MAX: usize = 3;
    let mut by_distance: Vec<_> =
        known.map(|other| (strsim::levenshtein(name, other), other)).collect();
    by_distance.sort_unstable();
    by_distance.truncate(NAMES_MAX);
    let names: Vec<_> = by_distance.into_iter().map(|(_, other)| other).collect();
    format!("did you mean {}?", names.join(" or "))
}

/// The reason of an error of serde, without the names of Rust's types and with a suggestion for an unknown key.
pub(super) fn in_words(message: &str, key: Option<&str>) -> String {
    if let Some((typed, expected)) = unknown_key(message) {
        // The names are between backticks.
        let known = expected.split('`').skip(1).step_by(2);
        return format!("there is no such key; {}", near(typed, known));
    }
    let replacements = [
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected a map", "expected a table"),
        ("expected a sequence", "expected an array"),
        ("invalid type: map", "invalid type: table"),
        ("invalid type: sequence", "invalid type: array"),
    ];
    let mut reason = replacements
        .into_iter()
        .fold(message.to_owned(), |text, (from, to)| text.replace(from, to));
    if let Some((before, _)) = reason.split_once("expected struct ") {
        reason = format!("{before}expected a table");
    }
    if key == Some("alerting.rule") {
        reason.push_str("; write `[[alerting.rule]]` above each rule");
    }
    reason
}

/// The key and the rest of serde's message about an unknown key.
fn unknown_key(message: &str) -> Option<(&str, &str)> {
    message.strip_prefix("unknown field `")?.split_once("`, expected ")
}

/// The first known table that the file has as an array, such as `[[retention]]`, with its position.
pub(super) fn array_for_table(
    prefix: &str,
    table: &DeTable<'_>,
    known: &toml::Table,
) -> Option<(String, Range<usize>)> {
    table.iter().find_map(|(key, value)| {
        let typed: &str = key.get_ref();
        let Some(Value::Table(section)) = known.get(typed) else { return None };
        let name = format!("{prefix}{typed}");
        match value.get_ref() {
            DeValue::Array(_) => Some((name, key.span())),
            DeValue::Table(inner) => array_for_table(&format!("{name}."), inner, section),
            _ => None,
        }
    })
}

/// The integer of a dotted key, such as `alerting.rule[0].consecutive`, if it does not fit into 64 bits, as typed.
pub(super) fn oversized_integer(key: &str, table: &DeTable<'_>) -> Option<String> {
    let (name, rest) = key.split_once('.').map_or((key, None), |(name, rest)| (name, Some(rest)));
    let (name, place) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((name, place)) => (name, place.parse::<usize>().ok()),
        None => (name, None),
    };
    let mut value = table.get(name)?.get_ref();
    if let Some(place) = place {
        value = value.as_array()?.get(place)?.get_ref();
    }
    match (value, rest) {
        (DeValue::Table(section), Some(rest)) => oversized_integer(rest, section),
        (DeValue::Integer(number), None) => {
            let fits = i64::from_str_radix(number.as_str(), number.radix()).is_ok();
            (!fits).then(|| number.to_string())
        }
        _ => None,
    }
}

/// The reason why a whole number that does not fit into 64 bits is rejected: the range of the key, if it has one.
pub(super) fn out_of_range(key: &str, typed: &str) -> String {
    // The check of the nearest number that fits names the range.
    let nearest = if typed.starts_with('-') { i64::MIN } else { i64::MAX };
    let raw = toml::from_str::<RawConfig>(&format!("{key} = {nearest}"));
    match raw.ok().and_then(|raw| raw.check().err()) {
        Some(Error::InvalidConfig { key: rejected, reason }) if rejected == key => {
            reason.replace(&nearest.to_string(), typed)
        }
        _ => format!("{typed} is not between {} and {}", i64::MIN, i64::MAX),
    }
}
