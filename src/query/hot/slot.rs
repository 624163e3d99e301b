//! The measures of one group in one minute: growing while requests come, small when the minute is over.

use std::sync::Arc;

use super::super::table::{GroupKey, Table};
use crate::model::{Distribution, LatencyKind, Measured, Measures, PackedMeasures, Sketch};

/// What a slot of a ring holds.
#[derive(Clone, Debug, Default)]
pub(in crate::query) enum Slot {
    /// No request yet.
    #[default]
    Empty,
    /// As requests are added.
    Growing(Arc<Measures>),
    /// As they rest.
    Resting(Arc<Resting>),
}

/// Measures whose minute is over, in a fraction of the memory.
#[derive(Debug)]
pub(in crate::query) struct Resting {
    values: PackedMeasures,
    /// Encoded, by [`LatencyKind::index`]; of no values no bytes.
    sketches: [Box<[u8]>; 4],
}

impl Slot {
    /// Adds a request.
    pub(super) fn add(&mut self, request: &impl Measured) {
        if let Self::Resting(resting) = self {
            *self = Self::Growing(Arc::new(resting.measures()));
        }
        if matches!(self, Self::Empty) {
            *self = Self::Growing(Arc::new(Measures::with_sketches()));
        }
        if let Self::Growing(measures) = self {
            Arc::make_mut(measures).add(request);
        }
    }

    /// Comes to rest, until another request is added; `true` when it was growing.
    pub(super) fn rest(&mut self) -> bool {
        let Self::Growing(measures) = self else { return false };
        *self = Self::Resting(Arc::new(Resting::of(Arc::make_mut(measures))));
        true
    }

    /// Adds what it holds to a row of a table.
    pub(in crate::query) fn add_to(&self, table: &mut Table, bucket: u32, group: GroupKey) {
        match self {
            Self::Empty => {}
            Self::Growing(measures) => table.add_measures(bucket, group, measures),
            Self::Resting(resting) => {
                let values = resting.values.unpack();
                table.add_measures(bucket, group, &Measures { values, ..Measures::default() });
                for kind in LatencyKind::ALL {
                    let sketch = &resting.sketches[kind.index()];
                    if !sketch.is_empty() {
                        // What was encoded here is whole.
                        table.add_sketch(bucket, group, kind, sketch);
                    }
                }
            }
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Growing(measures) => size_of::<Measures>() + 16 + measures.heap_bytes(),
            Self::Resting(resting) => {
                let sketches = resting.sketches.iter().map(|sketch| sketch.len());
                size_of::<Resting>() + 16 + sketches.sum::<usize>()
            }
        }
    }
}

impl Resting {
    fn of(measures: &mut Measures) -> Self {
        let values = PackedMeasures::of(&measures.values);
        let encode = |slot: &mut Option<Distribution>| match slot {
            Some(distribution) if distribution.quantile(0.5).is_some() => {
                distribution.as_sketch_mut().encode().into_boxed_slice()
            }
            _ => Box::default(),
        };
        Self { values, sketches: measures.distributions.each_mut().map(encode) }
    }

    fn measures(&self) -> Measures {
        let mut measures = Measures { values: self.values.unpack(), ..Measures::with_sketches() };
        for (sketch, slot) in self.sketches.iter().zip(&mut measures.distributions) {
            // What was encoded here is whole.
            *slot = Some(Distribution::Sketch(Sketch::decode(sketch).unwrap_or_default()));
        }
        measures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::generate::Workload;
    use crate::model::{Column, RequestRecord, TimeRange};

    fn total(slots: &[Slot]) -> Measures {
        let columns = Column::all().collect();
        let mut table = Table::new(columns, LatencyKind::ALL.to_vec(), false);
        slots.iter().for_each(|slot| slot.add_to(&mut table, 0, GroupKey::default()));
        table.groups().next().map(|(_, row)| table.measures(row)).unwrap_or_default()
    }

    proptest! {
        #[test]
        fn a_minute_that_rests_between_requests_adds_up_to_the_same(
            seed: u64,
            count in 0..200_u64,
            rests in prop::collection::vec(0..200_usize, 0..5),
        ) {
            let range = TimeRange::from_unix_ms(1_700_000_000_000, 1_700_000_060_000);
            let records: Vec<RequestRecord> = Workload::new(seed, range, count).records().collect();
            let (mut growing, mut resting) = (Slot::default(), Slot::default());
            for (place, record) in records.iter().enumerate() {
                if rests.contains(&place) {
                    resting.rest();
                }
                growing.add(record);
                resting.add(record);
            }
            resting.rest();
            prop_assert_eq!(total(&[resting]), total(&[growing]));
        }
    }
}
