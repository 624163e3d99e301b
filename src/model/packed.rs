//! Plain measures in half the memory.

use super::measures::{COLUMNS, Column};

/// Plain measures by [`Column::index`], in 32 bits each where all of them fit: those of a few requests nearly
/// always do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackedMeasures {
    /// Every value is below `u32::MAX`, which stands for a column that has none.
    Narrow([u32; COLUMNS]),
    /// Some value does not fit.
    Wide(Box<[i64; COLUMNS]>),
}

/// What a column holds that has no value.
const NONE: u32 = u32::MAX;

impl PackedMeasures {
    /// Packs values.
    pub fn of(values: &[i64; COLUMNS]) -> Self {
        let mut narrow = [NONE; COLUMNS];
        for column in Column::all() {
            let value = values[column.index()];
            match u32::try_from(value) {
                Ok(value) if value != NONE => narrow[column.index()] = value,
                _ if value == column.empty() => {}
                _ => return Self::Wide(Box::new(*values)),
            }
        }
        Self::Narrow(narrow)
    }

    /// The values.
    pub fn unpack(&self) -> [i64; COLUMNS] {
        let narrow = match self {
            Self::Narrow(narrow) => narrow,
            Self::Wide(values) => return **values,
        };
        let mut values = [0; COLUMNS];
        for column in Column::all() {
            let value = narrow[column.index()];
            values[column.index()] = if value == NONE { column.empty() } else { i64::from(value) };
        }
        values
    }

    /// Changes the values.
    pub fn update(&mut self, change: impl FnOnce(&mut [i64; COLUMNS])) {
        let mut values = self.unpack();
        change(&mut values);
        *self = Self::of(&values);
    }
}

impl Default for PackedMeasures {
    fn default() -> Self {
        Self::of(&super::Measures::default().values)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = i64> {
        let edges = prop::sample::select(vec![
            0,
            -1,
            i64::MIN,
            i64::MAX,
            i64::from(NONE),
            i64::from(NONE) - 1,
        ]);
        prop_oneof![edges, 0..10_000_i64, any::<i64>()]
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(values in prop::collection::vec(value(), COLUMNS)) {
            let values: [i64; COLUMNS] = values.try_into().unwrap();
            prop_assert_eq!(PackedMeasures::of(&values).unpack(), values);
        }
    }

    #[test]
    fn measures_of_nothing_and_of_a_few_requests_are_narrow() {
        let mut packed = PackedMeasures::default();
        packed.update(|values| values[0] += 3);
        assert!(matches!(packed, PackedMeasures::Narrow(_)));
        assert_eq!(packed.unpack()[0], 3);
    }
}
