//! The pseudonym key, and whether it matches the database.

use std::path::PathBuf;

use crate::config::Config;
use crate::error::{Error, KeyProblem, Result};
use crate::model::{AuditAction, AuditEntry, Name, Timestamp};
use crate::privacy::{Pseudonymizer, load_key, load_or_create_key};
use crate::store::{Store, Writer};

/// Path of the pseudonym key: as configured, or beside the database.
pub fn key_path(config: &Config) -> PathBuf {
    config.store.key_path.clone().unwrap_or_else(|| {
        let mut name = crate::store::resolved(&config.store.path).into_os_string();
        name.push(".key");
        PathBuf::from(name)
    })
}

/// The pseudonymizer for a new database; creates the key if there is none.
///
/// # Errors
/// If the key file cannot be read or created, or others can read it.
pub fn new_pseudonymizer(config: &Config) -> Result<Pseudonymizer> {
    Ok(Pseudonymizer::from_key(load_or_create_key(&key_path(config))?))
}

/// The pseudonymizer for reading an existing database.
///
/// # Errors
/// [`PseudonymKey`](Error::PseudonymKey) if the key is missing, because pseudonyms of a new key
/// match no row, or if it is not the database's key; also if it cannot be read.
pub fn stored_pseudonymizer(config: &Config, store: &Store) -> Result<Pseudonymizer> {
    let Some(key) = load_key(&key_path(config))? else {
        return Err(key_error(config, KeyProblem::Missing));
    };
    let pseudonymizer = Pseudonymizer::from_key(key);
    match store.read(|reader| reader.pseudonym_key_check())? {
        Some(known) if known != pseudonymizer.key_check() => {
            Err(key_error(config, KeyProblem::Different))
        }
        _ => Ok(pseudonymizer),
    }
}

/// The pseudonymizer for writing a database; stores the check value of the key at the first call.
///
/// With `new_key`, the key that is found or created becomes the database's key.
///
/// # Errors
/// Unless `new_key` is set, [`PseudonymKey`](Error::PseudonymKey) if the key is missing and the
/// database has records, or if it is not the database's key; also if key or database cannot be read
/// or written.
pub(super) fn open_pseudonymizer(
    config: &Config,
    (store, writer): (&Store, &mut Writer),
    new_key: bool,
    now: Timestamp,
) -> Result<Pseudonymizer> {
    let path = key_path(config);
    let (known, is_used) = store.read(|reader| {
        Ok((reader.pseudonym_key_check()?, reader.has_users()? || reader.last_seq()? > 0))
    })?;
    let found = load_key(&path)?;
    let is_missing = found.is_none();
    if is_missing && is_used && !new_key {
        return Err(key_error(config, KeyProblem::Missing));
    }
    if is_missing && known.is_some() {
        // If the program crashes before the new check value is stored, the key created here must be
        // accepted.
        writer.set_pseudonym_key_check(None, &[])?;
    }
    let key = match found {
        Some(key) => key,
        None => load_or_create_key(&path)?,
    };
    let pseudonymizer = Pseudonymizer::from_key(key);
    let check = pseudonymizer.key_check();
    match &known {
        Some(known) if *known == check => {
            if new_key {
                tracing::info!(key = %path.display(), "--new-key has no effect: the database already uses this key; remove the file to create a new one");
            }
            return Ok(pseudonymizer);
        }
        Some(_) if !is_missing && !new_key => return Err(key_error(config, KeyProblem::Different)),
        _ => {}
    }
    let is_replaced = is_used && (is_missing || known.is_some());
    let audit = is_replaced.then(|| AuditEntry {
        at: now,
        actor: Name::const_new("system"),
        action: AuditAction::PseudonymKeyReplaced,
        target: None,
        detail: Some("every user counts again under a new pseudonym".to_owned()),
    });
    writer.set_pseudonym_key_check(Some(&check), audit.as_slice())?;
    if is_replaced {
        tracing::warn!(
            key = %path.display(),
            "the database now uses a new key: every user, session and hashed identifier counts again, and filters by \
             user id match only new records"
        );
    }
    Ok(pseudonymizer)
}

fn key_error(config: &Config, problem: KeyProblem) -> Error {
    let database = config.store.path.clone();
    Error::PseudonymKey { key: key_path(config), database, problem }
}
