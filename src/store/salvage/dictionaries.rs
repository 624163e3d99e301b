//! The ids that rows point to, and names for those whose names are lost.

use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashSet;

/// Columns that point to a dictionary.
pub(super) const ID_COLUMNS: [(&str, usize); 6] = [
    ("user_id", 0),
    ("space_id", 1),
    ("model_id", 2),
    ("operation_id", 3),
    ("error_code_id", 3),
    ("finish_reason_id", 3),
];

/// The dictionaries, with statements that look for an id and that name one.
const DICTIONARIES: [(&str, &str, &str); 4] = [
    (
        "users",
        "select 1 from users where user_id = ?1",
        "insert into users (user_id, name) values (?1, '(lost ' || ?1 || ')')",
    ),
    (
        "spaces",
        "select 1 from spaces where space_id = ?1",
        "insert into spaces (space_id, name) values (?1, '(lost ' || ?1 || ')')",
    ),
    (
        "models",
        "select 1 from models where model_id = ?1",
        "insert into models (model_id, provider, name) values (?1, '(lost)', '(lost ' || ?1 || ')')",
    ),
    (
        "labels",
        "select 1 from labels where label_id = ?1",
        "insert into labels (label_id, name) values (?1, '(lost ' || ?1 || ')')",
    ),
];

/// Ids below this are one bit each; greater ones, which only a damaged row has, are kept in a set.
const MOST_BITS: i64 = 1 << 28;

/// Ids of one dictionary.
#[derive(Debug, Default)]
struct Ids {
    bits: Vec<u64>,
    others: FxHashSet<i64>,
}

impl Ids {
    fn add(&mut self, id: i64) {
        match usize::try_from(id) {
            Ok(bit) if id < MOST_BITS => {
                if bit / 64 >= self.bits.len() {
                    self.bits.resize(bit / 64 + 1, 0);
                }
                self.bits[bit / 64] |= 1 << (bit % 64);
            }
            _ => {
                self.others.insert(id);
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = i64> {
        let words = (0_i64..).step_by(64).zip(&self.bits).filter(|(_, word)| **word != 0);
        let bits = words.flat_map(|(first, word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| first + bit)
        });
        bits.chain(self.others.iter().copied())
    }
}

/// The ids that rows of the new file point to.
#[derive(Debug, Default)]
pub(super) struct SeenIds([Ids; DICTIONARIES.len()]);

impl SeenIds {
    /// Notes an id of a dictionary, by its place in [`ID_COLUMNS`].
    pub(super) fn add(&mut self, dictionary: usize, id: i64) {
        self.0[dictionary].add(id);
    }

    /// Gives a name that says so to every id whose name is lost; how many there are, of dictionaries that have some.
    pub(super) fn name_the_lost(
        &self,
        connection: &Connection,
    ) -> rusqlite::Result<Vec<(&'static str, u64)>> {
        let mut lost = Vec::new();
        for ((dictionary, find, name), ids) in DICTIONARIES.into_iter().zip(&self.0) {
            let (mut find, mut name) = (connection.prepare(find)?, connection.prepare(name)?);
            let mut count = 0;
            for id in ids.iter() {
                let is_known = find.query_row([id], |_| Ok(())).optional()?.is_some();
                if !is_known {
                    name.execute([id])?;
                    count += 1;
                }
            }
            if count > 0 {
                lost.push((dictionary, count));
            }
        }
        Ok(lost)
    }
}
