//! Configuration flags, and `chatgauge config`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::{Config, Flag};
use crate::error::Result;

use super::print;

/// Configuration flags, the same for every command.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML); data/config.example.toml documents every key
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Database file [default: chatgauge.db]
    #[arg(long, value_name = "FILE")]
    pub db: Option<String>,
    /// Set a configuration key, e.g. `retention.raw_days=90`
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE", value_parser = parse_option)]
    pub options: Vec<(String, String)>,
}

impl ConfigArgs {
    /// The configuration from defaults, file, environment and these flags.
    ///
    /// # Errors
    /// If the file cannot be read or a key is invalid.
    pub fn load(&self) -> Result<Config> {
        self.load_with([])
    }

    /// Like [`load`](Self::load), with additional flags `(flag, key, value)`; `None` if not given.
    pub fn load_with<const N: usize>(
        &self,
        more: [(&str, &str, Option<String>); N],
    ) -> Result<Config> {
        Config::load(self.config.as_deref(), environment(), self.flags(more))
    }

    /// The configuration, checked against this machine.
    ///
    /// # Errors
    /// As [`load`](Self::load), and if the backup directory is missing or not writable.
    pub fn load_usable(&self) -> Result<Config> {
        Config::load_usable(self.config.as_deref(), environment(), self.flags([]))
    }

    fn flags<const N: usize>(&self, more: [(&str, &str, Option<String>); N]) -> Vec<Flag> {
        let options = self.options.iter().map(|(key, value)| ("--option", &**key, value.clone()));
        let own = [("--db", "store.path", self.db.clone())];
        let given = own
            .into_iter()
            .chain(more)
            .filter_map(|(flag, key, value)| value.map(|value| (flag, key, value)));
        let flags = options.chain(given).map(|(flag, key, value)| Flag {
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

const EXAMPLES: &str = "\
Examples:
  chatgauge config check --config chatgauge.toml
  CHATGAUGE_RETENTION_RAW_DAYS=90 chatgauge config print";

/// Check or print the configuration
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ConfigCommand {
    #[command(subcommand)]
    action: ConfigAction,
}

#[derive(Clone, Debug, Subcommand)]
enum ConfigAction {
    /// Check the configuration
    #[command(after_help = EXAMPLES)]
    Check(ConfigOutput),
    /// Print every key with its effective value
    #[command(after_help = EXAMPLES)]
    Print(ConfigOutput),
}

#[derive(Clone, Debug, Args)]
struct ConfigOutput {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ConfigCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the configuration is invalid.
    pub fn run(&self, out: &mut dyn Write) -> Result<()> {
        match &self.action {
            ConfigAction::Check(ConfigOutput { config, json }) => {
                config.load_usable()?;
                print(out, if *json { "{\"ok\":true}\n" } else { "the configuration is valid\n" })
            }
            ConfigAction::Print(ConfigOutput { config, json }) => {
                let toml = config.load()?.to_toml();
                if !json {
                    return print(out, &toml);
                }
                let value: toml::Table = toml.parse().unwrap_or_default();
                print(out, &format!("{}\n", serde_json::json!(value)))
            }
        }
    }
}
