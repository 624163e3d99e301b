//! The key of the pseudonyms, and whether it is the one that a database was written with.

use std::path::PathBuf;

use crate::config::Config;
use crate::error::{Error, KeyProblem, Result};
use crate::model::{AuditAction, AuditEntry, Name, Timestamp};
use crate::privacy::{Pseudonymizer, load_key, load_or_create_key};
use crate::store::{Store, Writer};

/// The file of the pseudonyms' key: as configured, else beside the database.
pub fn key_path(config: &Config) -> PathBuf {
    config.store.key_path.clone().unwrap_or_else(|| {
        let mut name = crate::store::resolved(&config.store.path).into_os_string();
        name.push(".key");
        PathBuf::from(name)
    })
}

/// The pseudonymizer of a database that is not there yet; the key is made when there is none.
///
/// # Errors
/// When the key file cannot be read or made, or is readable by others.
pub fn new_pseudonymizer(config: &Config) -> Result<Pseudonymizer> {
    Ok(Pseudonymizer::from_key(load_or_create_key(&key_path(config))?))
}

/// The pseudonymizer of a database that is only read.
///
/// # Errors
/// [`PseudonymKey`](Error::PseudonymKey) when there is no key, because a new one would give pseudonyms that are in no
/// row, or when it is another one than the database was written with; and when it cannot be read.
pub fn stored_pseudonymizer(config: &Config, store: &Store) -> Result<Pseudonymizer> {
    let Some(key) = load_key(&key_path(config))? else {
        return Err(refused(config, KeyProblem::Missing));
    };
    let pseudonymizer = Pseudonymizer::from_key(key);
    match store.read(|reader| reader.pseudonym_key_check())? {
        Some(known) if known != pseudonymizer.key_check() => {
            Err(refused(config, KeyProblem::Different))
        }
        _ => Ok(pseudonymizer),
    }
}

/// The pseudonymizer of a database that is written; at the first time the database learns the check value of its key.
///
/// With `new_key`, whatever key is found, or made, is the database's key from now on.
///
/// # Errors
/// [`PseudonymKey`](Error::PseudonymKey) when the key is missing and the database holds records, or is another one than
/// the database was written with, unless `new_key`; and when the key or the database cannot be read or written.
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
        return Err(refused(config, KeyProblem::Missing));
    }
    if is_missing && known.is_some() {
        // After a crash before the check value below is stored, the key made here must not be refused.
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
                tracing::info!(key = %path.display(), "--new-key changes nothing: the database was written with this key; remove the file to have another one made");
            }
            return Ok(pseudonymizer);
        }
        Some(_) if !is_missing && !new_key => return Err(refused(config, KeyProblem::Different)),
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
            "the database goes on with a new key: every user, session and hashed identifier counts again, and a filter by \
             a plain user id finds only what comes from now on"
        );
    }
    Ok(pseudonymizer)
}

fn refused(config: &Config, problem: KeyProblem) -> Error {
    let database = config.store.path.clone();
    Error::PseudonymKey { key: key_path(config), database, problem }
}
