//! The aggregate of one group in one minute: measures while requests come in, a sorted run when the minute is over.

use std::sync::Arc;

use crate::model::measures::COLUMNS;
use crate::model::{Column, LatencyKind, Measured, Measures};
use crate::query::sorted_run::{GroupKey, RunReader, RunWriter, SortedRun};
use crate::query::table::AggregateTable;

/// The aggregate of a minute.
#[derive(Clone, Debug, Default)]
pub(in crate::query) enum MinuteAggregate {
    /// No request yet.
    #[default]
    Empty,
    /// While requests are added.
    Open(Arc<Measures>),
    /// A run of one row with all columns and sketches, in a fraction of the memory.
    Packed(Arc<SortedRun>),
}

/// Estimated bytes of an [`Arc`]'s counters.
const ARC_BYTES: usize = 16;

impl MinuteAggregate {
    /// Adds a request.
    pub(super) fn add(&mut self, request: &impl Measured) {
        let mut measures = match std::mem::take(self) {
            Self::Empty => Arc::new(Measures::with_sketches()),
            Self::Open(measures) => measures,
            Self::Packed(run) => Arc::new(unpacked(&run)),
        };
        Arc::make_mut(&mut measures).add(request);
        *self = Self::Open(measures);
    }

    /// Packs the aggregate until another request is added; `true` if it was open.
    pub(super) fn pack(&mut self) -> bool {
        let Self::Open(measures) = self else { return false };
        let measures = Arc::make_mut(measures);
        let mut writer = RunWriter::new(0);
        writer.key(0, GroupKey::default());
        Column::all().for_each(|column| writer.value(column, measures.values[column.index()]));
        let distributions = measures.distributions.iter_mut().flatten();
        distributions.for_each(|distribution| writer.sketch(distribution));
        *self = Self::Packed(Arc::new(writer.finish()));
        true
    }

    /// Adds the aggregate to a row of a table.
    pub(in crate::query) fn add_to(
        &self,
        table: &mut AggregateTable,
        bucket: u32,
        group: GroupKey,
    ) {
        match self {
            Self::Empty => {}
            Self::Open(measures) => table.add_measures(bucket, group, measures),
            Self::Packed(run) => {
                let mut reader = run.read();
                let measures = Measures { values: values(&mut reader), ..Measures::default() };
                table.add_measures(bucket, group, &measures);
                for kind in LatencyKind::ALL {
                    if let Some(sketch) = reader.sketch() {
                        // Encoded in this process, so it is never damaged.
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
            Self::Open(measures) => size_of::<Measures>() + ARC_BYTES + measures.heap_bytes(),
            Self::Packed(run) => size_of::<SortedRun>() + ARC_BYTES + run.heap_bytes(),
        }
    }
}

/// The values of the only row.
fn values(reader: &mut RunReader<'_>) -> [i64; COLUMNS] {
    reader.next_key();
    let mut values = [0; COLUMNS];
    Column::all().for_each(|column| values[column.index()] = reader.value(column));
    values
}

fn unpacked(run: &SortedRun) -> Measures {
    let mut reader = run.read();
    let mut measures = Measures { values: values(&mut reader), ..Measures::with_sketches() };
    for distribution in measures.distributions.iter_mut().flatten() {
        if let Some(sketch) = reader.sketch() {
            distribution.as_sketch_mut().merge_encoded(sketch);
        }
    }
    measures
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::generate::Workload;
    use crate::model::{RequestRecord, TimeRange};

    fn total(minute: &MinuteAggregate) -> Measures {
        let mut table =
            AggregateTable::new(0, Column::all().collect(), LatencyKind::ALL.to_vec(), false);
        minute.add_to(&mut table, 0, GroupKey::default());
        let mut total = Measures::default();
        table.each(|_, _, row| row.move_to(&mut total));
        total
    }

    proptest! {
        #[test]
        fn a_minute_that_is_packed_between_requests_has_the_same_total(
            seed: u64,
            count in 0..200_u64,
            packed_at in prop::collection::vec(0..200_usize, 0..5),
        ) {
            let range = TimeRange::from_unix_ms(1_700_000_000_000, 1_700_000_060_000);
            let records: Vec<RequestRecord> = Workload::new(seed, range, count).records().collect();
            let (mut open, mut packed) = (MinuteAggregate::default(), MinuteAggregate::default());
            for (place, record) in records.iter().enumerate() {
                if packed_at.contains(&place) {
                    packed.pack();
                }
                open.add(record);
                packed.add(record);
            }
            packed.pack();
            prop_assert_eq!(total(&packed), total(&open));
        }
    }
}
