//! Reading the layers and remembering where each key was set.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::channels::RawChannel;
use super::secret::Secret;
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
pub struct Flag {
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
        flags: impl IntoIterator<Item = Flag>,
    ) -> Result<Self> {
        Layers::read(file, environment, flags)?.check()
    }

    /// Like [`load`](Self::load), and refuses a backup directory that is not usable here. The server starts without it,
    /// because a missing disk is no reason to lose records, and degrades its health.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_usable(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = Flag>,
    ) -> Result<Self> {
        let layers = Layers::read(file, environment, flags)?;
        let config = layers.check()?;
        config.backup.check_directory().map_err(|error| layers.located(error))?;
        Ok(config)
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
    fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = Flag>,
    ) -> Result<Self> {
        let environment: BTreeMap<String, String> = environment
            .into_iter()
            .filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty())
            .collect();
        let mut layers = Self::default();
        match (file, environment.get(FILE_VARIABLE)) {
            (Some(path), _) => layers.add_file(path)?,
            (None, Some(path)) => layers.add_file(Path::new(path))?,
            (None, None) => {}
        }
        layers.add_environment(&environment)?;
        for Flag { flag, key, value } in flags {
            layers.add_text(&key, &value, flag)?;
        }
        Ok(layers)
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let place = |span: Option<Range<usize>>| match span {
            Some(span) => format!("{}, line {}", path.display(), line_of(&text, span.start)),
            None => path.display().to_string(),
        };
        // Here and below without the library's excerpt of the line, which may contain the token.
        let table = DeTable::parse(&text).map_err(|error| {
            Error::invalid_config(place(error.span()), error.message().to_owned())
        })?;
        let keys = leaves(table.get_ref());
        let layer: RawConfig = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| line_of(&text, span.start));
            let key = keys.iter().find(|(_, span)| line == Some(line_of(&text, span.start)));
            let place = place(error.span());
            let place = key.map_or_else(|| place.clone(), |(key, _)| format!("{place}: {key}"));
            Error::invalid_config(place, in_words(error.message()))
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
                return Err(unknown_variable(name, &known));
            };
            if let Some(other) = set_by.insert(key.clone(), name) {
                let reason = format!("{other} sets the same key, {key}; set one of them");
                return Err(Error::invalid_config(name, reason));
            }
            self.add_text(key, value, name.clone())?;
        }
        Ok(())
    }

    /// Sets a secret of a channel that the file describes. Returns the key, or `None` if `name` is no such variable.
    fn set_channel_secret(&mut self, name: &str, value: &str) -> Option<String> {
        let rest = name.strip_prefix(CHANNEL_PREFIX)?;
        set_secret(&mut self.merged.alerting.channels, rest, value)
    }

    /// Sets one key from text, which is read by the type of the key's default.
    fn add_text(&mut self, key: &str, text: &str, origin: String) -> Result<()> {
        let known = known_keys();
        let Some(kind) = known.get(key) else {
            let reason = format!("there is no such key; {}", near(key, known.keys()));
            return Err(Error::invalid_config(format!("{origin}: {key}"), reason));
        };
        let value = read_as(kind, text).map_err(|reason| {
            Error::invalid_config(format!("{origin}: {key}"), format!("{text:?} {reason}"))
        })?;
        // A known key is a valid dotted key of TOML.
        let layer = toml::from_str(&format!("{key} = {value}"));
        self.merged.overlay(layer.map_err(|error| Error::invalid_config(key, error.message()))?);
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }

    /// Where a key was set, or else the nearest section around it.
    fn origin(&self, key: &str) -> Option<&String> {
        let mut outer = Some(key);
        while let Some(key) = outer {
            if let Some(origin) = self.origins.get(key) {
                return Some(origin);
            }
            outer = key.rfind(['.', '[']).and_then(|end| key.get(..end));
        }
        None
    }

    fn check(&self) -> Result<Config> {
        self.merged.check().map_err(|error| self.located(error))
    }

    /// Adds the place where the key was set to an error.
    fn located(&self, error: Error) -> Error {
        match error {
            Error::InvalidConfig { key, reason } => {
                let origin = self.origin(&key);
                let key = origin.map_or_else(|| key.clone(), |origin| format!("{origin}: {key}"));
                Error::InvalidConfig { key, reason }
            }
            other => other,
        }
    }
}

/// Sets a secret of a channel from `CHATGAUGE_ALERTING_CHANNELS_<NAME>_<KEY>`; `rest` is `<NAME>_<KEY>`. Returns the key, or
/// `None` if there is no such channel or key.
fn set_secret(
    channels: &mut BTreeMap<String, RawChannel>,
    rest: &str,
    value: &str,
) -> Option<String> {
    channels.iter_mut().find_map(|(name, channel)| {
        let prefix = name.replace('-', "_").to_ascii_uppercase();
        let key = rest.strip_prefix(&prefix)?.strip_prefix('_')?.to_ascii_lowercase();
        *channel.secret_mut(&key)? = Some(Secret::new(value));
        Some(format!("alerting.channels.{name}.{key}"))
    })
}

/// Replaces the names of Rust's types in a message of serde.
fn in_words(message: &str) -> String {
    message
        .replace("expected i64", "expected a whole number")
        .replace("expected f64", "expected a number")
}

/// Every key with its default.
fn known_keys() -> BTreeMap<String, Value> {
    let defaults = toml::Table::try_from(RawConfig::from(&Config::default())).unwrap_or_default();
    let mut keys = BTreeMap::new();
    add_keys("", defaults, &mut keys);
    keys
}

fn add_keys(prefix: &str, table: toml::Table, keys: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            Value::Table(section) => add_keys(&format!("{key}."), section, keys),
            // Lists, such as alert rules, cannot be set by a key.
            Value::Array(_) => {}
            value => {
                keys.insert(key, value);
            }
        }
    }
}

/// The environment variables, each with the key that it sets.
fn known_variables() -> BTreeMap<String, String> {
    let long = known_keys().into_keys().map(|key| {
        let name = format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase());
        (name, key)
    });
    long.chain(SHORT_NAMES.map(|(name, key)| (name.to_owned(), key.to_owned()))).collect()
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

fn unknown_variable(name: &str, known: &BTreeMap<String, String>) -> Error {
    let reason = format!("there is no such variable; {}", near(name, known.keys()));
    Error::invalid_config(name, reason)
}

/// "did you mean": the known names closest to `name` by edit distance.
fn near<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> String {
    const NAMES_MAX: usize = 3;
    let mut by_distance: Vec<_> =
        known.map(|other| (strsim::levenshtein(name, other), other)).collect();
    by_distance.sort_unstable();
    let names: Vec<_> =
        by_distance.into_iter().take(NAMES_MAX).map(|(_, other)| &**other).collect();
    format!("did you mean {}?", names.join(" or "))
}

/// The dotted keys of a document with their positions; tables of an array are `name[0]`, `name[1]`, ...
fn leaves(table: &DeTable<'_>) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    let mut add = |prefix: &str, section: &DeTable<'_>| {
        let inner = leaves(section).into_iter();
        found.extend(inner.map(|(name, span)| (format!("{prefix}.{name}"), span)));
    };
    let mut plain = Vec::new();
    for (key, value) in table {
        match value.get_ref() {
            DeValue::Table(section) => {
                add(key.get_ref(), section);
                plain.push((key.get_ref().to_string(), key.span()));
            }
            DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                for (place, item) in items.iter().enumerate() {
                    let name = format!("{}[{place}]", key.get_ref());
                    if let DeValue::Table(section) = item.get_ref() {
                        add(&name, section);
                    }
                    plain.push((name, item.span()));
                }
            }
            _ => plain.push((key.get_ref().to_string(), key.span())),
        }
    }
    found.extend(plain);
    found
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
