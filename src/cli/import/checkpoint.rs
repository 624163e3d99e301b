//! How far an import came, so that an interrupted one can go on.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// The beginning of a file that tells it from another of the same name.
const FINGERPRINT_BYTES: u64 = 4_096;

/// A small file beside the database with the number of rows that are stored.
///
/// It only saves time: rows that are read again are recognised as duplicates. Its name is derived
/// from the imported file's path and beginning and from the rules it is read by, so that another
/// file or another mapping starts at the first row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    path: PathBuf,
}

impl Checkpoint {
    /// The checkpoint of importing `file` into `database` by `rules` (any text that stands for them).
    ///
    /// # Errors
    /// [`Io`](Error::Io) when the file cannot be read.
    pub fn new(database: &Path, file: &Path, rules: &str) -> Result<Self> {
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

    /// Rows that are stored; 0 when none are known to be.
    pub fn rows(&self) -> u64 {
        std::fs::read_to_string(&self.path)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Notes that the first `rows` rows are stored.
    ///
    /// # Errors
    /// [`Io`](Error::Io) when it cannot be written.
    pub fn save(&self, rows: u64) -> Result<()> {
        let fail = |source| Error::Io { path: self.path.clone(), source };
        let draft = self.path.with_added_extension("new");
        let mut file = std::fs::File::create(&draft).map_err(fail)?;
        writeln!(file, "{rows}").map_err(fail)?;
        std::fs::rename(&draft, &self.path).map_err(fail)
    }

    /// Forgets it: the file is imported.
    pub fn clear(&self) {
        // When it stays behind, the worst is that a later --resume has little to do.
        drop(std::fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_goes_on_only_with_the_same_file_and_rules() {
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
