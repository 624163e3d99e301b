//! The key of the pseudonyms on its way with a database.

use std::path::Path;

use crate::error::{Error, Result};
use crate::privacy::{Pseudonymizer, load_key};
use crate::store::StoreFigures;

/// A key as its file holds it.
pub(super) type Key = [u8; 32];

/// The key in a file that must be there.
///
/// # Errors
/// When it is not, or holds no key.
pub(super) fn require_key(path: &Path) -> Result<Key> {
    load_key(path)?.ok_or_else(|| {
        Error::database(path, "no such file; it is to hold the key of the pseudonyms")
    })
}

/// Refuses a key that the database with these figures was not written with, as far as the database tells.
pub(super) fn check_key(
    path: &Path,
    key: &Key,
    database: &Path,
    figures: &StoreFigures,
) -> Result<()> {
    let known = figures.state.as_ref().and_then(|state| state.pseudonym_key_check.as_deref());
    if known.is_none_or(|known| known == Pseudonymizer::from_key(*key).key_check()) {
        return Ok(());
    }
    let reason = format!(
        "is not the key that {} was written with; put the right file there, or move this one away",
        database.display()
    );
    Err(Error::database(path, reason))
}
