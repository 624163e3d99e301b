//! Ids for rows without one, so that a file imported twice is stored once.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Number of distinct rows to remember, about 50 MB. Identical rows get different ids only if fewer
/// distinct rows lie between them.
const REMEMBERED_ROWS: usize = 1 << 20;

/// Derives an id from the content of a row and the number of identical rows before it.
///
/// The id does not depend on the file name, the mapping or the time. Identical rows of one file are
/// different requests; identical rows of two files are the same request, unless their salts differ.
pub(super) struct RowIds {
    salt: [u8; 32],
    recent: Seen,
    older: Seen,
    limit: usize,
}

/// Number of occurrences by the first bytes of the row's hash.
type Seen = HashMap<u64, u32, FxBuildHasher>;

impl RowIds {
    /// Ids for the rows of one file.
    pub(super) fn new(salt: &str) -> Self {
        let (recent, older) = (Seen::default(), Seen::default());
        Self { salt: Sha256::digest(salt).into(), recent, older, limit: REMEMBERED_ROWS / 2 }
    }

    /// The id of the next row, given as its cells.
    pub(super) fn next<'a>(&mut self, cells: impl Iterator<Item = &'a [u8]>) -> Uuid {
        let mut hash = Sha256::new_with_prefix(self.salt);
        for cell in cells {
            hash.update((cell.len() as u64).to_le_bytes());
            hash.update(cell);
        }
        let mut digest: [u8; 32] = hash.finalize().into();
        let occurrence = self.occurrence(&digest);
        if occurrence > 0 {
            digest = Sha256::new_with_prefix(digest)
                .chain_update(occurrence.to_le_bytes())
                .finalize()
                .into();
        }
        let bytes = digest.first_chunk().copied().unwrap_or_default();
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// Number of identical rows before this one.
    fn occurrence(&mut self, digest: &[u8; 32]) -> u32 {
        let key = u64::from_le_bytes(digest.first_chunk().copied().unwrap_or_default());
        if self.recent.len() >= self.limit {
            self.older = std::mem::take(&mut self.recent);
        }
        let older = &self.older;
        let count = self.recent.entry(key).or_insert_with(|| older.get(&key).copied().unwrap_or(0));
        *count += 1;
        *count - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(salt: &str, rows: &[&str]) -> Vec<Uuid> {
        let mut ids = RowIds { limit: 3, ..RowIds::new(salt) };
        rows.iter().map(|row| ids.next(row.split(',').map(str::as_bytes))).collect()
    }

    #[test]
    fn the_same_file_gives_the_same_different_identities() {
        let rows = ["a,b", "ab,", "a,b", "c,d", "a,b"];
        let first = ids("", &rows);
        assert_eq!(first, ids("", &rows));
        let distinct: std::collections::HashSet<_> = first.iter().collect();
        assert_eq!(distinct.len(), rows.len());
        assert_eq!(first[0].get_version_num(), 8);
    }

    #[test]
    fn identical_rows_are_numbered_across_other_rows() {
        assert_eq!(ids("", &["x", "a", "x"])[2], ids("", &["b", "x", "c", "x"])[3]);
    }

    #[test]
    fn a_salt_distinguishes_files() {
        assert_ne!(ids("june", &["x"]), ids("july", &["x"]));
    }
}
