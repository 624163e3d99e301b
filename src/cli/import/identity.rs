//! Identities for rows that have none, so that a file imported twice is stored once.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// How many different rows are remembered: a row is told apart from an identical one unless so many
/// others lie between them. Takes about 50 MB at most.
const REMEMBERED_ROWS: usize = 1 << 20;

/// Derives an identity from what a row says and from how many rows before it said the same.
///
/// It depends on nothing else: not on the name of the file, the mapping or the time. Identical rows
/// of one file are different requests; those of two files are the same unless the salts differ.
#[derive(Debug)]
pub struct RowIds {
    salt: [u8; 32],
    recent: Seen,
    older: Seen,
    limit: usize,
}

/// How often a row was seen, by the start of its hash.
type Seen = HashMap<u64, u32, FxBuildHasher>;

impl RowIds {
    /// Identities of a file's rows.
    pub fn new(salt: &str) -> Self {
        Self::with_limit(salt, REMEMBERED_ROWS / 2)
    }

    fn with_limit(salt: &str, limit: usize) -> Self {
        Self {
            salt: Sha256::digest(salt).into(),
            recent: Seen::default(),
            older: Seen::default(),
            limit,
        }
    }

    /// The identity of the next row, given as its cells.
    pub fn next<'a>(&mut self, cells: impl Iterator<Item = &'a [u8]>) -> Uuid {
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

    /// How many identical rows came before.
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
        let mut ids = RowIds::with_limit(salt, 3);
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
    fn identical_rows_keep_their_order_number_whatever_lies_between() {
        assert_eq!(ids("", &["x", "a", "x"])[2], ids("", &["b", "x", "c", "x"])[3]);
    }

    #[test]
    fn a_salt_tells_files_apart() {
        assert_ne!(ids("june", &["x"]), ids("july", &["x"]));
    }
}
