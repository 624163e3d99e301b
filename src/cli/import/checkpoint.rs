//! The progress of an import, so that an interrupted one can resume.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// Number of leading bytes of a file that enter its fingerprint.
const FINGERPRINT_BYTES: u64 = 4_096;

/// A small file beside the database with the number of imported rows.
///
/// It only saves time: rows that are read again are recognised as duplicates. Its name is a hash of
/// the imported file's path, its first bytes and the import rules, so another file or mapping
/// starts at the first row.
pub(super) struct Checkpoint {
    path: PathBuf,
}

impl Checkpoint {
    /// The checkpoint of importing `file` into `database`; `rules` is a text that identifies the
    /// rules.
    ///
    /// # Errors
    /// [`Io`](Error::Io) if the file cannot be read.
    pub(super) fn new(database: &Path, file: &Path, rules: &str) -> Result<Self> {
        let fail = |source| Error::Io { path: file.to_owned(), source };
        let absolute = std::path::absolute(file).map_err(fail)?;
        let mut beginning = Vec::new();
        let opened = std::fs::File::open(file).map_err(fail)?;
        opened.take(FINGERPRINT_BYTES).read_to_end(&mut beginning).map_err(fail)?;
        let hash = Sha256::new()
            .chain_update(absolute.as_os_str().as_encoded_bytes())
            .chain_update([0])
            .chain_update(rules)
            .chain_update([0])
            .chain_update(&beginning)
            .finalize();
        let name = data_encoding::HEXLOWER.encode(&hash[..8]);
        let mut path = database.as_os_str().to_owned();
        path.push(format!(".import-{name}"));
        Ok(Self { path: path.into() })
    }

    /// Number of imported rows; 0 if unknown.
    pub(super) fn rows(&self) -> u64 {
        let text = std::fs::read_to_string(&self.path).ok();
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// Records that the first `rows` rows are stored.
    pub(super) fn save(&self, rows: u64) -> Result<()> {
        let fail = |source| Error::Io { path: self.path.clone(), source };
        let draft = self.path.with_added_extension("new");
        std::fs::write(&draft, format!("{rows}\n")).map_err(fail)?;
        std::fs::rename(&draft, &self.path).map_err(fail)
    }

    /// Removes the checkpoint after a complete import.
    pub(super) fn clear(&self) {
        // A leftover only makes a later --resume skip rows that are stored.
        drop(std::fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_resumes_only_with_the_same_file_and_rules() {
        let directory = tempfile::tempdir().unwrap();
        let (database, file) = (directory.path().join("a.db"), directory.path().join("a.csv"));
        std::fs::write(&file, "a,b\n1,2\n").unwrap();
        let checkpoint = Checkpoint::new(&database, &file, "rules").unwrap();
        assert_eq!(checkpoint.rows(), 0);
        checkpoint.save(7).unwrap();
        assert_eq!(Checkpoint::new(&database, &file, "rules").unwrap().rows(), 7);
        assert_eq!(Checkpoint::new(&database, &file, "others").unwrap().rows(), 0);
        std::fs::write(&file, "a,b\n3,4\n").unwrap();
        assert_eq!(Checkpoint::new(&database, &file, "rules").unwrap().rows(), 0);
        checkpoint.clear();
        assert_eq!(checkpoint.rows(), 0);
    }
}
