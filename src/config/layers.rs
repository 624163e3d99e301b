//! Reading the layers and remembering where each key was set.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::channels::SECRETS;
use super::reasons::{
    array_for_table, in_words, line_of, near, out_of_range, oversized_integer, read_text,
};
use super::service_links::is_service_link;
use super::{Config, RawConfig};
use crate::error::{Error, Result};

/// Prefix of the environment variables.
const PREFIX: &str = "CHATGAUGE_";
/// Prefix of the variables that set a secret of a channel.
const CHANNEL_PREFIX: &str = "CHATGAUGE_ALERTING_CHANNELS_";
/// Short names of common variables.
const SHORT_NAMES: [(&str, &str); 3] = [
    ("CHATGAUGE_DB", "store.path"),
    ("CHATGAUGE_LISTEN", "http.listen"),
    ("CHATGAUGE_ADMIN_TOKEN", "http.admin_token"),
];
/// Names the configuration file, like `--config`.
const FILE_VARIABLE: &str = "CHATGAUGE_CONFIG";
/// Sets what is logged, e.g. `info` or `chatgauge=debug`.
pub const LOG_VARIABLE: &str = "CHATGAUGE_LOG";

/// A key set on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFlag {
    /// The flag as typed, e.g. `--listen`.
    pub flag: String,
    /// The key, e.g. `http.listen`.
    pub key: String,
    /// The value as typed.
    pub value: String,
}

impl Config {
    /// Loads the defaults, overlaid by the file (if one is named), the environment and the flags.
    ///
    /// Of `environment` only variables that start with `CHATGAUGE_` are read: `CHATGAUGE_<SECTION>_<KEY>`, and the short
    /// `CHATGAUGE_DB`, `CHATGAUGE_LISTEN`, `CHATGAUGE_ADMIN_TOKEN`. `CHATGAUGE_CONFIG` names the file when `file` does not.
    /// Empty variables are ignored, and so are those that Kubernetes sets for a service called `chatgauge`
    /// (`CHATGAUGE_PORT=tcp://...`).
    ///
    /// # Errors
    /// [`InvalidConfig`](Error::InvalidConfig) for the first unknown or unacceptable key, with the
    /// place where it was set; [`Io`](Error::Io) when the file cannot be read.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = ConfigFlag>,
    ) -> Result<Self> {
        Self::load_checked(file, environment, flags, |_| Ok(()))
    }

    /// Like [`load`](Self::load), with a further check of the whole.
    ///
    /// # Errors
    /// As [`load`](Self::load), and those of `check`, with the place where the key was set.
    pub fn load_checked(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = ConfigFlag>,
        check: impl Fn(&Self) -> Result<()>,
    ) -> Result<Self> {
        let environment: BTreeMap<String, String> = environment
            .into_iter()
            .filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty())
            .collect();
        let mut layers = Layers::default();
        if let Some(path) = file.or(environment.get(FILE_VARIABLE).map(Path::new)) {
            layers.add_file(path)?;
        }
        layers.add_environment(&environment)?;
        for ConfigFlag { flag, key, value } in flags {
            layers.add_text(&key, &value, flag)?;
        }
        let checked = layers.merged.check().and_then(|config| check(&config).map(|()| config));
        checked.map_err(|error| layers.located(error))
    }

    /// Every key with its value, as TOML; secrets only as `(hidden)`.
    pub fn to_toml(&self) -> String {
        toml::to_string(&RawConfig::from(self)).unwrap_or_default()
    }
}

/// The layers merged, and where each key was set.
#[derive(Debug, Default)]
struct Layers {
    merged: RawConfig,
    /// Where each key was set last: a file and a line, a variable or a flag.
    origins: BTreeMap<String, String>,
}

impl Layers {
    fn add_file(&mut self, path: &Path) -> Result<()> {
        let text = read_text(path)?;
        let place = |span: Option<Range<usize>>| match span {
            Some(span) => format!("{}, line {}", path.display(), line_of(&text, span.start)),
            None => path.display().to_string(),
        };
        // Here and below without the library's excerpt of the line, which may contain the token.
        let table = DeTable::parse(&text).map_err(|error| {
            Error::invalid_config(place(error.span()), error.message().to_owned())
        })?;
        // Serde would read an array as the values of a table without their keys.
        if let Some((key, span)) = array_for_table("", table.get_ref(), &defaults()) {
            let reason = format!("is an array; write `[{key}]`, which is a single table");
            return Err(Error::invalid_config(format!("{}: {key}", place(Some(span))), reason));
        }
        let mut keys = Vec::new();
        add_positions("", table.get_ref(), &mut keys);
        let layer: RawConfig = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| line_of(&text, span.start));
            let key = keys
                .iter()
                .find(|(_, span)| error.span().as_ref() == Some(span))
                .or_else(|| keys.iter().find(|(_, at)| line == Some(line_of(&text, at.start))))
                .map(|(key, _)| key.as_str());
            let place = place(error.span());
            let place = key.map_or_else(|| place.clone(), |key| format!("{place}: {key}"));
            let oversized = key.and_then(|key| {
                oversized_integer(key, table.get_ref()).map(|number| (key, number))
            });
            let reason = match oversized {
                Some((key, number)) => out_of_range(key, &number),
                None => in_words(error.message(), key),
            };
            Error::invalid_config(place, reason)
        })?;
        for (key, span) in keys {
            self.origins.insert(key, place(Some(span)));
        }
        self.merged.overlay(layer);
        Ok(())
    }

    fn add_environment(&mut self, environment: &BTreeMap<String, String>) -> Result<()> {
        let known = known_variables();
        let mut set_by = BTreeMap::new();
        for (name, value) in environment {
            if [FILE_VARIABLE, LOG_VARIABLE].contains(&name.as_str()) {
                continue;
            }
            if let Some(key) = self.set_channel_secret(name, value) {
                self.origins.insert(key, name.clone());
                continue;
            }
            let Some(key) = known.get(name) else {
                // Kubernetes sets them because of a service's name, and users cannot unset them.
                if is_service_link(name, value) {
                    continue;
                }
                let reason = format!(
                    "there is no such variable; {}",
                    near(name, known.keys().map(String::as_str))
                );
                return Err(Error::invalid_config(name, reason));
            };
            if let Some(other) = set_by.insert(key.clone(), name) {
                let reason = format!("{other} sets the same key, {key}; set one of them");
                return Err(Error::invalid_config(name, reason));
            }
            self.add_text(key, value, name.clone())?;
        }
        Ok(())
    }

    /// Sets a secret of a channel that the file describes, `CHATGAUGE_ALERTING_CHANNELS_<NAME>_<KEY>`. Returns the key,
    /// or `None` if there is no such channel or key.
    fn set_channel_secret(&mut self, variable: &str, value: &str) -> Option<String> {
        let rest = variable.strip_prefix(CHANNEL_PREFIX)?;
        self.merged.alerting.channels.iter_mut().find_map(|(name, channel)| {
            let prefix = name.replace('-', "_").to_ascii_uppercase();
            let typed = rest.strip_prefix(&prefix)?.strip_prefix('_')?;
            let key = SECRETS.into_iter().find(|key| key.eq_ignore_ascii_case(typed))?;
            let layer = toml::from_str(&format!("{key} = {}", Value::from(value)));
            channel.overlay(layer.ok()?);
            Some(format!("alerting.channels.{name}.{key}"))
        })
    }

    /// Sets one key from text, which is read by the type of the key's default.
    fn add_text(&mut self, key: &str, text: &str, origin: String) -> Result<()> {
        let known = known_keys();
        let Some(kind) = known.get(key) else {
            let reason =
                format!("there is no such key; {}", near(key, known.keys().map(String::as_str)));
            return Err(Error::invalid_config(format!("{origin}: {key}"), reason));
        };
        let value = read_as(kind, text).map_err(|reason| {
            let typed = text.trim().replace('_', "");
            let reason = match kind {
                Value::Integer(_) if is_whole_number(&typed) => out_of_range(key, &typed),
                _ => format!("{text:?} {reason}"),
            };
            Error::invalid_config(format!("{origin}: {key}"), reason)
        })?;
        // A known key is a valid dotted key of TOML.
        let layer = toml::from_str(&format!("{key} = {value}"));
        self.merged.overlay(layer.map_err(|error| Error::invalid_config(key, error.message()))?);
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }

    /// Where a key was set, or else the nearest section around it.
    fn origin<'k>(&self, key: &'k str) -> Option<&String> {
        let section = |key: &&'k str| key.rfind(['.', '[']).and_then(|end| key.get(..end));
        std::iter::successors(Some(key), section).find_map(|key| self.origins.get(key))
    }

    /// Adds the place where the key was set to an error.
    fn located(&self, error: Error) -> Error {
        match error {
            Error::InvalidConfig { key, reason } => match self.origin(&key) {
                Some(origin) => Error::invalid_config(format!("{origin}: {key}"), reason),
                None => Error::InvalidConfig { key, reason },
            },
            other => other,
        }
    }
}

/// The default configuration as typed.
fn defaults() -> toml::Table {
    toml::Table::try_from(RawConfig::from(&Config::default())).unwrap_or_default()
}

/// Every key with its default.
fn known_keys() -> BTreeMap<String, Value> {
    keys_of("", defaults()).into_iter().collect()
}

/// The dotted keys of a table.
fn keys_of(prefix: &str, table: toml::Table) -> Vec<(String, Value)> {
    let keys = table.into_iter().flat_map(|(name, value)| match value {
        Value::Table(section) => keys_of(&format!("{prefix}{name}."), section),
        // Lists, such as alert rules, cannot be set by a key.
        Value::Array(_) => Vec::new(),
        value => vec![(format!("{prefix}{name}"), value)],
    });
    keys.collect()
}

/// The environment variables, each with the key that it sets.
fn known_variables() -> BTreeMap<String, String> {
    let long = known_keys().into_keys().map(|key| {
        let name = format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase());
        (name, key)
    });
    long.chain(SHORT_NAMES.map(|(name, key)| (name.to_owned(), key.to_owned()))).collect()
}

/// Whether text is a whole number of any size.
fn is_whole_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Converts text to the type of a key's default.
fn read_as(kind: &Value, text: &str) -> Result<Value, &'static str> {
    match kind {
        Value::Integer(_) => {
            let number = text.trim().replace('_', "").parse();
            number.map(Value::Integer).map_err(|_| "is not a whole number")
        }
        Value::Boolean(_) => match text.trim() {
            "true" | "1" => Ok(Value::Boolean(true)),
            "false" | "0" => Ok(Value::Boolean(false)),
            _ => Err("is neither true nor false"),
        },
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// Adds the dotted keys of a table with their positions, inner ones before outer ones; the tables of an array are
/// `name[0]`, `name[1]`, ...
fn add_positions(prefix: &str, table: &DeTable<'_>, found: &mut Vec<(String, Range<usize>)>) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(section) => add_positions(&format!("{name}."), section, found),
            DeValue::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    let DeValue::Table(section) = item.get_ref() else { continue };
                    add_positions(&format!("{name}[{place}]."), section, found);
                    found.push((format!("{name}[{place}]"), item.span()));
                }
            }
            _ => {}
        }
        found.push((name, key.span()));
    }
}
