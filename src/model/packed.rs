//! Plain measures in half the memory, updated in place.

use super::Measured;
use super::measures::{COLUMNS, Column, Combine, add_request, each_amount};

/// Plain measures by [`Column::index`], with 32 bits each if all fit, which is almost always the
/// case for few requests.
///
/// A step of the compactor holds one for each user and space of up to 100,000 requests, which would
/// take twice the memory as [`Measures`](super::Measures). The sorted runs of the query caches are
/// smaller still, but would have to be decoded and encoded again for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackedMeasures {
    /// All values are below `u32::MAX`, which represents an empty column.
    Narrow([u32; COLUMNS]),
    /// Some value does not fit.
    Wide(Box<[i64; COLUMNS]>),
}

/// Representation of an empty column.
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

    /// Adds one request, without unpacking if all values stay narrow.
    pub fn add(&mut self, request: &impl Measured) {
        if let Self::Narrow(narrow) = self
            && let Some(added) = added(*narrow, request)
        {
            *narrow = added;
            return;
        }
        self.update(|values| add_request(values, request));
    }

    /// Changes the values.
    pub fn update(&mut self, change: impl FnOnce(&mut [i64; COLUMNS])) {
        let mut values = self.unpack();
        change(&mut values);
        *self = Self::of(&values);
    }
}

/// The values after adding a request; `None` if one no longer fits.
fn added(mut narrow: [u32; COLUMNS], request: &impl Measured) -> Option<[u32; COLUMNS]> {
    let mut is_narrow = true;
    each_amount(request, |column, amount| {
        let slot = &mut narrow[column.index()];
        let value = match (u32::try_from(amount), column.combine()) {
            (Ok(amount), Combine::Sum) => slot.checked_add(amount),
            // An empty column holds the maximum, so no special case is needed.
            (Ok(amount), Combine::Min) => Some(amount.min(*slot)),
            (Ok(amount), Combine::Max) if *slot == NONE => Some(amount),
            (Ok(amount), Combine::Max) => Some(amount.max(*slot)),
            (Err(_), _) => None,
        };
        match value {
            Some(value) if value != NONE => *slot = value,
            _ => is_narrow = false,
        }
    });
    is_narrow.then_some(narrow)
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
        fn packing_is_reversible(values in prop::collection::vec(value(), COLUMNS)) {
            let values: [i64; COLUMNS] = values.try_into().unwrap();
            prop_assert_eq!(PackedMeasures::of(&values).unpack(), values);
        }
    }

    /// A request with one value of each kind.
    #[derive(Clone, Debug)]
    struct One {
        tokens: [Option<i64>; 4],
        cost_nano_usd: Option<i64>,
        latency_us: [Option<u64>; 4],
    }

    impl Measured for One {
        fn outcome(&self) -> crate::model::Outcome {
            crate::model::Outcome::Cancelled
        }

        fn cache_hit(&self) -> bool {
            self.cost_nano_usd.is_none()
        }

        fn tokens(&self) -> crate::model::Tokens {
            let [prompt, completion, cached_prompt, reasoning] = self.tokens;
            crate::model::Tokens { prompt, completion, cached_prompt, reasoning }
        }

        fn cost_nano_usd(&self) -> Option<i64> {
            self.cost_nano_usd
        }

        fn latency_us(&self, kind: crate::model::LatencyKind) -> Option<u64> {
            self.latency_us[kind.index()]
        }
    }

    fn one() -> impl Strategy<Value = One> {
        let some = || prop::option::of(value());
        let latency = || prop::option::of(prop_oneof![0..9_000_000_u64, any::<u64>()]);
        let tokens = [some(), some(), some(), some()];
        let latency_us = [latency(), latency(), latency(), latency()];
        (tokens, some(), latency_us).prop_map(|(tokens, cost_nano_usd, latency_us)| One {
            tokens,
            cost_nano_usd,
            latency_us,
        })
    }

    proptest! {
        #[test]
        fn packed_and_unpacked_measures_add_up_alike(ones in prop::collection::vec(one(), 0..20)) {
            let mut packed = PackedMeasures::default();
            let mut values = crate::model::Measures::default().values;
            for one in &ones {
                packed.add(one);
                add_request(&mut values, one);
            }
            prop_assert_eq!(packed.unpack(), values);
        }
    }

    #[test]
    fn small_measures_are_packed_narrowly() {
        let mut packed = PackedMeasures::default();
        packed.update(|values| values[0] += 3);
        assert!(matches!(packed, PackedMeasures::Narrow(_)));
        assert_eq!(packed.unpack()[0], 3);
    }
}
