//! The pseudonym key in backups and restores.

use std::path::Path;

use crate::error::{Error, Result};
use crate::privacy::{Pseudonymizer, load_key};
use crate::store::StoreFigures;

/// A pseudonym key.
pub(super) type Key = [u8; 32];

/// Loads the key from a file that must exist.
pub(super) fn require_key(path: &Path) -> Result<Key> {
    load_key(path)?
        .ok_or_else(|| Error::database(path, "no such file; it must hold the pseudonym key"))
}

/// Rejects a key with which the database was not written, if the database records its key.
pub(super) fn check_key(
    path: &Path,
    key: &Key,
    database: &Path,
    figures: &StoreFigures,
) -> Result<()> {
    let known = figures.state.pseudonym_key_check.as_deref();
    if known.is_none_or(|known| known == Pseudonymizer::from_key(*key).key_check()) {
        return Ok(());
    }
    let reason = format!(
        "is not the key that {} was written with; put the right file there, or move this one away",
        database.display()
    );
    Err(Error::database(path, reason))
}
