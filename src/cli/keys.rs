//! `chatgauge key` and `chatgauge pseudonym`.

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::config::ConfigArgs;
use super::table::{Cell, Table};
use crate::model::Timestamp;

const KEY_EXAMPLES: &str = "\
Examples:
  chatgauge key create my-app --scope ingest
  chatgauge key list
  chatgauge key revoke my-app";

/// Creates, lists and revokes API keys.
#[derive(Clone, Debug, Args)]
#[command(after_help = KEY_EXAMPLES)]
pub struct KeyCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: KeyAction,
}

/// What to do with keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyAction {
    /// Make a key and print it; it is shown only once
    #[command(after_help = KEY_EXAMPLES)]
    Create {
        /// What the key is called, e.g. the program that uses it
        name: String,
        /// What it may do
        #[arg(long, value_enum, value_delimiter = ',', required = true)]
        scope: Vec<Scope>,
        /// Flags of all actions.
        #[command(flatten)]
        common: KeyArgs,
    },
    /// List keys without their secrets
    #[command(after_help = KEY_EXAMPLES)]
    List {
        /// Flags of all actions.
        #[command(flatten)]
        common: KeyArgs,
    },
    /// Make a key worthless
    #[command(after_help = KEY_EXAMPLES)]
    Revoke {
        /// What the key is called
        name: String,
        /// Flags of all actions.
        #[command(flatten)]
        common: KeyArgs,
    },
}

/// Flags of all actions on keys.
#[derive(Clone, Debug, Default, Args)]
pub struct KeyArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Send records
    Ingest,
    /// Read metrics and requests
    Read,
    /// Scrape /metrics
    Metrics,
    /// Everything
    Admin,
}

/// A key as `key list` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct ListedKey {
    /// What it is called.
    pub name: String,
    /// Its first characters, to recognise it.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A table of keys.
pub fn keys_text(keys: &[ListedKey]) -> String {
    if keys.is_empty() {
        return "no keys; make one with: chatgauge key create NAME --scope ingest\n".to_owned();
    }
    let mut table = Table::new(["name", "key", "scopes", "created", "revoked"]);
    for key in keys {
        table.push([
            Cell::text(&key.name),
            Cell::text(format!("{}...", key.prefix)),
            Cell::text(key.scopes.join(",")),
            Cell::text(key.created_at.to_string()),
            Cell::text(key.revoked_at.map(|at| at.to_string()).unwrap_or_default()),
        ]);
    }
    table.to_text()
}

const PSEUDONYM_EXAMPLES: &str = "\
Examples:
  chatgauge pseudonym alice@example.com
  chatgauge pseudonym --json alice bob";

/// Prints what users are stored as.
#[derive(Clone, Debug, Args)]
#[command(after_help = PSEUDONYM_EXAMPLES)]
pub struct PseudonymCommand {
    /// User ids as the app sends them
    #[arg(required = true, value_name = "USER")]
    pub users: Vec<String>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl PseudonymCommand {
    /// One pseudonym a line, or a JSON object from user to pseudonym.
    pub fn output(&self, pseudonym: &dyn Fn(&str) -> String) -> String {
        if self.json {
            let object: serde_json::Map<String, serde_json::Value> =
                self.users.iter().map(|user| (user.clone(), pseudonym(user).into())).collect();
            return format!("{}\n", serde_json::Value::Object(object));
        }
        self.users.iter().map(|user| pseudonym(user) + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_listed_without_their_secrets() {
        let key = ListedKey {
            name: "my-app".to_owned(),
            prefix: "cg_ab12".to_owned(),
            scopes: vec!["ingest".to_owned(), "read".to_owned()],
            created_at: Timestamp::from_unix_ms(1_767_323_045_000),
            revoked_at: None,
        };
        assert_eq!(
            keys_text(&[key]),
            "\
name    key         scopes       created               revoked
my-app  cg_ab12...  ingest,read  2026-01-02T03:04:05Z
"
        );
        assert!(keys_text(&[]).starts_with("no keys"));
    }
}
