//! The names under which a restore sets a database aside, and how an interrupted restore is recognised by them.
//!
//! A restore gives the database a second name (a hard link) before the restored file replaces its first one. A file with
//! both names was left by a restore that was killed in between; its write-ahead log may have the second name only.

use std::fs;
use std::path::{Path, PathBuf};

use super::paths::{beside, directory_of, identity, resolved};
use crate::model::Timestamp;

/// Separates the name of the database from the date.
const MARK: &str = ".replaced-";
/// UTC, to the second.
const DATE: &str = "%Y%m%dT%H%M%SZ";
/// The shape of a date; `0` stands for any digit.
const DATE_SHAPE: &[u8; 16] = b"00000000T000000Z";

/// The name under which a restore at `at` sets `database` aside.
pub fn set_aside_name(database: &Path, at: Timestamp) -> PathBuf {
    beside(database, &format!("{MARK}{}", at.to_utc().format(DATE)))
}

/// A database that an interrupted restore left under two names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterruptedRestore {
    /// The name that the restored file was to get.
    pub database: PathBuf,
    /// The dated name.
    pub set_aside: PathBuf,
}

/// The interrupted restore that left the file at `path`, which may be either name; `None` if there was none.
pub fn interrupted_restore(path: &Path) -> Option<InterruptedRestore> {
    let path = resolved(path);
    let own = path.file_name()?.to_str()?.to_owned();
    if let Some(name) = original_name(&own) {
        let database = path.with_file_name(name);
        if is_one_file(&database, &path) {
            return Some(InterruptedRestore { database, set_aside: path });
        }
    }
    let entries = fs::read_dir(directory_of(&path)).ok()?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut dated = names.filter(|name| original_name(name) == Some(own.as_str()));
    let found = dated.find(|name| is_one_file(&path.with_file_name(name), &path))?;
    Some(InterruptedRestore { set_aside: path.with_file_name(found), database: path })
}

/// The name of the database that was set aside as `name`; `None` for any other name.
fn original_name(name: &str) -> Option<&str> {
    let (original, date) = name.rsplit_once(MARK)?;
    let is_date = date.len() == DATE_SHAPE.len()
        && date.bytes().zip(DATE_SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            other => byte == *other,
        });
    (is_date && !original.is_empty()).then_some(original)
}

/// Whether both are names of one file; a symbolic link is not.
fn is_one_file(one: &Path, other: &Path) -> bool {
    let of = |path: &Path| path.symlink_metadata().map(|metadata| identity(&metadata)).ok();
    of(one).is_some_and(|found| of(other) == Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_restore_is_recognised_by_both_names_and_other_links_are_none() {
        let directory = tempfile::tempdir().unwrap();
        let place = fs::canonicalize(directory.path()).unwrap();
        let database = place.join("c.db");
        fs::write(&database, "x").unwrap();
        for other in ["d.db", "c.db.replaced-yesterday", "c.db.replaced-20261201T10150Z"] {
            fs::hard_link(&database, place.join(other)).unwrap();
        }
        let at = Timestamp::parse_rfc3339("2026-12-01T10:15:00Z").unwrap();
        let set_aside = set_aside_name(&database, at);
        assert_eq!(set_aside, place.join("c.db.replaced-20261201T101500Z"));
        // The name of another file.
        fs::write(&set_aside, "x").unwrap();
        assert_eq!(interrupted_restore(&database), None);
        assert_eq!(interrupted_restore(&set_aside), None);
        fs::remove_file(&set_aside).unwrap();
        fs::hard_link(&database, &set_aside).unwrap();
        let expected = InterruptedRestore { database: database.clone(), set_aside };
        assert_eq!(interrupted_restore(&database), Some(expected.clone()));
        assert_eq!(interrupted_restore(&expected.set_aside), Some(expected));
    }
}
