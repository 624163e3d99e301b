//! `chatgauge key` and `chatgauge pseudonym`.

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::config::{CommonArgs, spelled};
use super::open;
use super::table::{Cell, Table};
use crate::error::{Error, Result};
use crate::model::{AuditAction, AuditEntry, KeyInfo, Name, NewKey, Scope, Timestamp};
use crate::service::make_key;
use crate::store::Store;

const KEY_EXAMPLES: &str = "\
Examples:
  chatgauge key create my-app --scope ingest
  chatgauge key list
  chatgauge key revoke my-app";

/// Create, list and revoke API keys
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = KEY_EXAMPLES)]
pub(super) enum KeyCommand {
    /// Create an API key and print it (shown only once)
    #[command(after_help = KEY_EXAMPLES)]
    Create {
        /// Name of the key, e.g. of the program that uses it
        name: String,
        /// Permissions of the key
        #[arg(long, value_parser = |text: &str| spelled(text, &Scope::ALL, Scope::as_str), value_delimiter = ',', required = true)]
        scope: Vec<Scope>,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// List API keys without their secrets
    #[command(after_help = KEY_EXAMPLES)]
    List(CommonArgs),
    /// Revoke an API key
    #[command(after_help = KEY_EXAMPLES)]
    Revoke {
        /// Name of the key, or its public part
        name: String,
        #[command(flatten)]
        common: CommonArgs,
    },
}

impl KeyCommand {
    /// Runs the command, even while a server is running.
    ///
    /// # Errors
    /// If there is no such key.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<()> {
        match self {
            Self::Create { name, scope, common } => create(name, scope, common, out),
            Self::List(common) => {
                let store = Store::open_read_only(&common.config.load()?.store)?;
                let keys = store.read(|reader| reader.keys())?;
                common.print(out, || keys_json(&keys), || keys_text(&keys))
            }
            Self::Revoke { name, common } => revoke(name, common, out),
        }
    }
}

fn create(name: &str, scopes: &[Scope], common: &CommonArgs, out: &mut dyn Write) -> Result<()> {
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
    writer.append_audit(&[audit_entry(AuditAction::KeyCreated, &created.info, now)])?;
    let (key_id, token) = (created.info.key_id.as_str(), &created.token);
    let json = || json!({ "key_id": key_id, "name": name, "token": token });
    common.print(out, json, || format!("{token}\n"))
}

fn revoke(name: &str, common: &CommonArgs, out: &mut dyn Write) -> Result<()> {
    let config = common.config.load()?;
    let (store, mut writer) = Store::open_beside(&config.store)?;
    let mut keys = store.read(|reader| reader.keys())?;
    keys.retain(|key| key.revoked_at.is_none() && (key.name == name || key.key_id == name));
    let [key] = &keys[..] else {
        let reason = if keys.is_empty() {
            format!("no active key {name:?}; run `chatgauge key list`")
        } else {
            format!("several keys are named {name:?}; pass the public part of one")
        };
        return Err(Error::invalid_config("name", reason));
    };
    let now = open::now();
    writer.revoke_key(&key.key_id, now)?;
    writer.append_audit(&[audit_entry(AuditAction::KeyRevoked, key, now)])?;
    let json = || json!({ "key_id": key.key_id.as_str(), "revoked": true });
    common.print(out, json, || format!("revoked {} (cg_{}...)\n", key.name, key.key_id))
}

fn audit_entry(action: AuditAction, key: &KeyInfo, at: Timestamp) -> AuditEntry {
    let (actor, target) = (Name::const_new("cli"), Some(key.key_id.to_string()));
    AuditEntry { at, actor, action, target, detail: None }
}

fn scope_names(key: &KeyInfo) -> Vec<&'static str> {
    key.scopes.iter().map(|scope| scope.as_str()).collect()
}

fn keys_json(keys: &[KeyInfo]) -> Value {
    let key = |key: &KeyInfo| {
        json!({
            "name": key.name,
            "prefix": format!("cg_{}", key.key_id),
            "scopes": scope_names(key),
            "created_at": key.created_at,
            "revoked_at": key.revoked_at,
        })
    };
    keys.iter().map(key).collect()
}

fn keys_text(keys: &[KeyInfo]) -> String {
    if keys.is_empty() {
        return "no keys; create one with: chatgauge key create NAME --scope ingest\n".to_owned();
    }
    let mut table = Table::new(["name", "key", "scopes", "created", "revoked"]);
    for key in keys {
        table.push([
            Cell::text(&key.name),
            Cell::text(format!("cg_{}...", key.key_id)),
            Cell::text(scope_names(key).join(",")),
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
pub(super) struct PseudonymCommand {
    /// User ids as the application sends them
    #[arg(required = true, value_name = "USER")]
    users: Vec<String>,
    #[command(flatten)]
    common: CommonArgs,
}

impl PseudonymCommand {
    /// Prints one pseudonym per line, or a JSON object that maps users to pseudonyms. Creates the key if there is
    /// neither a database nor a key.
    ///
    /// # Errors
    /// If the key cannot be read.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<()> {
        let pseudonymizer = open::pseudonymizer(&self.common.config.load()?)?;
        let member = |user: &String| (user.clone(), json!(pseudonymizer.user(user)));
        let json = || Value::Object(self.users.iter().map(member).collect());
        let line = |user: &String| format!("{}\n", pseudonymizer.user(user));
        self.common.print(out, json, || self.users.iter().map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_listed_without_their_secrets() {
        let key = KeyInfo {
            key_id: "ab12".into(),
            name: "my-app".into(),
            scopes: vec![Scope::Ingest, Scope::Read],
            spaces: None,
            created_at: Timestamp::from_unix_ms(1_767_323_045_000),
            expires_at: None,
            last_used_at: None,
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
