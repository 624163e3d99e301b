//! The ids that rows refer to, and substitutes for lost names.

use rusqlite::Connection;
use rustc_hash::FxHashSet;

/// Columns that refer to a dictionary, with its position in [`DICTIONARIES`].
pub(super) const ID_COLUMNS: [(&str, usize); 6] = [
    ("user_id", 0),
    ("space_id", 1),
    ("model_id", 2),
    ("operation_id", 3),
    ("error_code_id", 3),
    ("finish_reason_id", 3),
];

/// The dictionaries, with the columns and values of a substitute for a lost name.
pub(super) const DICTIONARIES: [(&str, &str, &str); 4] = [
    ("users", "user_id, name", "?1, '(lost ' || ?1 || ')'"),
    ("spaces", "space_id, name", "?1, '(lost ' || ?1 || ')'"),
    ("models", "model_id, name, provider", "?1, '(lost ' || ?1 || ')', '(lost)'"),
    ("labels", "label_id, name", "?1, '(lost ' || ?1 || ')'"),
];

/// Ids below this are stored as bits; greater ones, which only damaged rows have, in a set.
const MAX_BITS: i64 = 1 << 28;

/// Ids of one dictionary.
#[derive(Debug, Default)]
struct Ids {
    bits: Vec<u64>,
    others: FxHashSet<i64>,
}

impl Ids {
    fn add(&mut self, id: i64) {
        match usize::try_from(id) {
            Ok(bit) if id < MAX_BITS => {
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

/// The ids that rows of the new file refer to.
#[derive(Debug, Default)]
pub(super) struct SeenIds([Ids; DICTIONARIES.len()]);

impl SeenIds {
    /// Notes an id of a dictionary, by its position in [`DICTIONARIES`].
    pub(super) fn add(&mut self, dictionary: usize, id: i64) {
        self.0[dictionary].add(id);
    }

    /// Inserts a substitute for every lost name; returns the number by dictionary, without zeros.
    pub(super) fn name_the_lost(
        &self,
        connection: &Connection,
    ) -> rusqlite::Result<Vec<(&'static str, u64)>> {
        let mut lost = Vec::new();
        for ((dictionary, columns, values), ids) in DICTIONARIES.into_iter().zip(&self.0) {
            let sql = format!("insert or ignore into {dictionary} ({columns}) values ({values})");
            let mut insert = connection.prepare(&sql)?;
            let mut count = 0;
            for id in ids.iter() {
                count += u64::from(insert.execute([id])? > 0);
            }
            if count > 0 {
                lost.push((dictionary, count));
            }
        }
        Ok(lost)
    }
}
