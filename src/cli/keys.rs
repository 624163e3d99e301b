//! `chatgauge key` and `chatgauge pseudonym`.

use std::io::Write;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::config::ConfigArgs;
use super::table::{Cell, Table};
use super::{open, print};
use crate::error::{Error, Result};
use crate::model::{AuditAction, AuditEntry, KeyInfo, Name, NewKey, Scope, Timestamp};
use crate::service::make_key;
use crate::store::{Store, Writer};

const KEY_EXAMPLES: &str = "\
Examples:
  chatgauge key create my-app --scope ingest
  chatgauge key list
  chatgauge key revoke my-app";

/// Create, list and revoke API keys
#[derive(Clone, Debug, Args)]
#[command(after_help = KEY_EXAMPLES)]
pub struct KeyCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: KeyAction,
}

/// Actions on API keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyAction {
    /// Create an API key and print it (shown only once)
    #[command(after_help = KEY_EXAMPLES)]
    Create {
        /// Name of the key, e.g. of the program that uses it
        name: String,
        /// Permissions of the key
        #[arg(long, value_parser = parse_scope, value_delimiter = ',', required = true)]
        scope: Vec<Scope>,
        /// Common flags.
        #[command(flatten)]
        common: KeyArgs,
    },
    /// List API keys without their secrets
    #[command(after_help = KEY_EXAMPLES)]
    List {
        /// Common flags.
        #[command(flatten)]
        common: KeyArgs,
    },
    /// Revoke an API key
    #[command(after_help = KEY_EXAMPLES)]
    Revoke {
        /// Name of the key, or its public part
        name: String,
        /// Common flags.
        #[command(flatten)]
        common: KeyArgs,
    },
}

/// Flags of all key actions.
#[derive(Clone, Debug, Default, Args)]
pub struct KeyArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// An API key in the output of `key list`.
#[derive(Clone, Debug, Serialize)]
pub struct ListedKey {
    /// Name.
    pub name: String,
    /// First characters, to recognise the key.
    pub prefix: String,
    /// Permissions.
    pub scopes: Vec<String>,
    /// Creation time.
    pub created_at: Timestamp,
    /// Revocation time.
    pub revoked_at: Option<Timestamp>,
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    let names = Scope::ALL.map(Scope::as_str).join(", ");
    Scope::parse(text).ok_or_else(|| format!("use one of {names}"))
}

impl KeyCommand {
    /// Runs the command, even while a server is running.
    ///
    /// # Errors
    /// If there is no such key.
    pub fn run(&self, out: &mut dyn Write) -> Result<()> {
        match &self.action {
            KeyAction::Create { name, scope, common } => create(name, scope, common, out),
            KeyAction::List { common } => {
                let config = common.config.load()?;
                let store = Store::open_read_only(&config.store)?;
                let keys: Vec<ListedKey> =
                    store.read(|reader| reader.keys())?.iter().map(ListedKey::from).collect();
                let text = if common.json { json_line(&keys) } else { keys_text(&keys) };
                print(out, &text)
            }
            KeyAction::Revoke { name, common } => revoke(name, common, out),
        }
    }
}

fn json_line<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

fn create(name: &str, scopes: &[Scope], common: &KeyArgs, out: &mut dyn Write) -> Result<()> {
    let config = common.config.load()?;
    let (_store, mut writer) = if config.store.path.exists() {
        Store::open_beside(&config.store)?
    } else {
        Store::open(&config.store)?
    };
    let key = NewKey { name: name.into(), scopes: scopes.to_vec(), spaces: None, expires_at: None };
    let now = open::now();
    let (created, secret_sha256) = make_key(&key, now)?;
    writer.insert_key(&created.info, &secret_sha256)?;
    note(&mut writer, AuditAction::KeyCreated, &created.info.key_id)?;
    let text = if common.json {
        let (id, token) = (created.info.key_id.as_str(), &created.token);
        json_line(&serde_json::json!({ "key_id": id, "name": name, "token": token }))
    } else {
        format!("{}\n", created.token)
    };
    print(out, &text)
}

fn revoke(name: &str, common: &KeyArgs, out: &mut dyn Write) -> Result<()> {
    let config = common.config.load()?;
    let (store, mut writer) = Store::open_beside(&config.store)?;
    let keys = store.read(|reader| reader.keys())?;
    let matches = |key: &&KeyInfo| key.name == name || key.key_id == name;
    let live: Vec<&KeyInfo> =
        keys.iter().filter(matches).filter(|key| key.revoked_at.is_none()).collect();
    let [key] = live[..] else {
        let reason = if live.is_empty() {
            format!("no active key {name:?}; run `chatgauge key list`")
        } else {
            format!("several keys are named {name:?}; pass the public part of one")
        };
        return Err(Error::invalid_config("name", reason));
    };
    writer.revoke_key(&key.key_id, open::now())?;
    note(&mut writer, AuditAction::KeyRevoked, &key.key_id)?;
    let text = if common.json {
        json_line(&serde_json::json!({ "key_id": key.key_id.as_str(), "revoked": true }))
    } else {
        format!("revoked {} (cg_{}...)\n", key.name, key.key_id)
    };
    print(out, &text)
}

fn note(writer: &mut Writer, action: AuditAction, key_id: &str) -> Result<()> {
    writer.append_audit(&[AuditEntry {
        at: open::now(),
        actor: Name::const_new("cli"),
        action,
        target: Some(key_id.to_owned()),
        detail: None,
    }])
}

impl From<&KeyInfo> for ListedKey {
    fn from(key: &KeyInfo) -> Self {
        Self {
            name: key.name.to_string(),
            prefix: format!("cg_{}", key.key_id),
            scopes: key.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            created_at: key.created_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// A table of keys.
pub fn keys_text(keys: &[ListedKey]) -> String {
    if keys.is_empty() {
        return "no keys; create one with: chatgauge key create NAME --scope ingest\n".to_owned();
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

/// Print a user's pseudonym
#[derive(Clone, Debug, Args)]
#[command(after_help = PSEUDONYM_EXAMPLES)]
pub struct PseudonymCommand {
    /// User ids as the application sends them
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
    /// Prints the pseudonyms. Creates the key if there is neither a database nor a key.
    ///
    /// # Errors
    /// If the key cannot be read.
    pub fn run(&self, out: &mut dyn Write) -> Result<()> {
        let pseudonymizer = open::pseudonymizer(&self.config.load()?)?;
        print(out, &self.output(&|user| pseudonymizer.user(user).to_string()))
    }

    /// One pseudonym per line, or a JSON object that maps users to pseudonyms.
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
