//! Flags of most commands, and `chatgauge config`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::print;
use crate::config::{Config, ConfigFlag};
use crate::error::Result;

/// Flags that set the configuration.
#[derive(Clone, Debug, Args)]
pub(super) struct ConfigArgs {
    /// Configuration file (TOML); data/config.example.toml documents every key
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Database file [default: chatgauge.db]
    #[arg(long, value_name = "FILE")]
    db: Option<String>,
    /// Set a configuration key, e.g. `retention.raw_days=90`
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE", value_parser = parse_option)]
    options: Vec<(String, String)>,
}

impl ConfigArgs {
    /// The configuration from defaults, file, environment and these flags.
    ///
    /// # Errors
    /// If the file cannot be read or a key is invalid.
    pub(super) fn load(&self) -> Result<Config> {
        self.load_with([])
    }

    /// Like [`load`](Self::load), with additional flags `(flag, key, value)`; `None` if not given.
    pub(super) fn load_with<const N: usize>(
        &self,
        more: [(&str, &str, Option<String>); N],
    ) -> Result<Config> {
        Config::load(self.config.as_deref(), environment(), self.flags(more))
    }

    /// Whether a flag names the database.
    pub(super) fn names_database(&self) -> bool {
        self.db.is_some() || self.options.iter().any(|(key, _)| key == "store.path")
    }

    fn flags<const N: usize>(&self, more: [(&str, &str, Option<String>); N]) -> Vec<ConfigFlag> {
        let options = self.options.iter().map(|(key, value)| ("--option", &**key, value.clone()));
        let own = [("--db", "store.path", self.db.clone())];
        let given = own.into_iter().chain(more);
        let given = given.filter_map(|(flag, key, value)| Some((flag, key, value?)));
        let flags = options.chain(given).map(|(flag, key, value)| ConfigFlag {
            flag: flag.to_owned(),
            key: key.to_owned(),
            value,
        });
        flags.collect()
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (lossy(name), lossy(value)))
}

fn parse_option(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("has no \"=\"; write key=value")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Flags of commands that print a result.
#[derive(Clone, Debug, Args)]
pub(super) struct CommonArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl CommonArgs {
    /// Prints a result as a line of JSON or as text.
    pub(super) fn print(
        &self,
        out: &mut dyn Write,
        json: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> Result<()> {
        print(out, &if self.json { format!("{}\n", json()) } else { text() })
    }
}

/// The value of a flag by its spelling.
pub(super) fn spelled<T: Copy>(
    text: &str,
    all: &[T],
    spelling: fn(T) -> &'static str,
) -> Result<T, String> {
    all.iter().copied().find(|value| spelling(*value) == text).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|value| spelling(*value)).collect();
        format!("use one of {}", names.join(", "))
    })
}

const EXAMPLES: &str = "\
Examples:
  chatgauge config check --config chatgauge.toml
  CHATGAUGE_RETENTION_RAW_DAYS=90 chatgauge config print";

/// Check or print the configuration
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum ConfigCommand {
    /// Check the configuration
    #[command(after_help = EXAMPLES)]
    Check(CommonArgs),
    /// Print every key with its effective value
    #[command(after_help = EXAMPLES)]
    Print(CommonArgs),
}

impl ConfigCommand {
    /// Checks the configuration, including the backup directory, or prints it.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<()> {
        match self {
            Self::Check(common) => {
                let args = &common.config;
                let (file, flags) = (args.config.as_deref(), args.flags([]));
                // The server starts without the directory, because a missing disk is no reason to lose records.
                let check = |config: &Config| config.backup.check_directory();
                Config::load_checked(file, environment(), flags, check)?;
                let text = || "the configuration is valid\n".to_owned();
                common.print(out, || json!({ "ok": true }), text)
            }
            Self::Print(common) => {
                let toml = common.config.load()?.to_toml();
                let table: toml::Table = toml.parse().unwrap_or_default();
                common.print(out, || json!(table), || toml)
            }
        }
    }
}
