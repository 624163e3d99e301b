//! What an answer is gathered from: rows by group, and sums that are kept, which are merged as they are read.
//!
//! Of very many groups only a few are shown. Where the rest is only looked at, no table of them all is made.

use std::sync::Arc;

use super::packed::{Packed, Rows};
use super::table::{GroupKey, Row, Table, merge_values};
use crate::model::{Column, Distribution, LatencyKind, Measures};

/// A sum of fewer rows is put among the others at once.
const MIN_ROWS: usize = 64;
/// A table of so many rows is packed, and another one begun.
const MAX_TABLE_ROWS: usize = 8_192;
/// So many packed tables become one.
const MAX_PARTS: usize = 16;

/// A table, and sums without distributions that belong to it.
#[derive(Clone, Debug)]
pub(super) struct Gathered {
    /// Dimensions of a group.
    dimensions: usize,
    table: Table,
    parts: Vec<Arc<Packed>>,
}

impl Gathered {
    /// Nothing yet, of groups of so many dimensions, in `table`.
    pub(super) const fn new(dimensions: usize, table: Table) -> Self {
        Self { dimensions, table, parts: Vec::new() }
    }

    pub(super) const fn dimensions(&self) -> usize {
        self.dimensions
    }

    pub(super) fn columns(&self) -> &[Column] {
        self.table.columns()
    }

    pub(super) fn kinds(&self) -> &[LatencyKind] {
        self.table.kinds()
    }

    /// Where single rows are added.
    pub(super) fn table_mut(&mut self) -> &mut Table {
        if self.table.rows() >= MAX_TABLE_ROWS && self.kinds().is_empty() {
            self.pack();
        }
        &mut self.table
    }

    /// Very many groups take little memory at rest.
    fn pack(&mut self) {
        let empty = Table::new(self.columns().to_vec(), Vec::new(), false);
        let mut full = Self::new(self.dimensions, std::mem::replace(&mut self.table, empty));
        if self.parts.len() >= MAX_PARTS {
            full.parts = std::mem::take(&mut self.parts);
        }
        self.parts.push(Arc::new(Packed::of(full)));
    }

    /// Adds a sum of the same columns and latencies.
    pub(super) fn add_part(&mut self, part: Arc<Packed>) {
        if self.kinds().is_empty() && part.rows() >= MIN_ROWS {
            self.parts.push(part);
        } else {
            part.add_to(&mut self.table);
        }
    }

    /// All rows in one table.
    pub(super) fn into_table(mut self) -> Table {
        self.parts.iter().for_each(|part| part.add_to(&mut self.table));
        self.table
    }

    /// As [`Self::each`], with what is counted of each row, which may be changed: its measures without distributions.
    pub(super) fn each_counted(&self, mut read: impl FnMut(u32, GroupKey, &mut Measures)) {
        let mut measures = Measures::default();
        self.each(|bucket, group, row| {
            row.replace_values(&mut measures);
            read(bucket, group, &mut measures);
        });
    }

    /// Every bucket and group in order, with what adds its row to measures.
    pub(super) fn hand_over(
        self,
        mut take: impl FnMut(u32, GroupKey, &mut dyn FnMut(&mut Measures)),
    ) {
        if self.kinds().is_empty() {
            return self.each(|bucket, group, row| {
                take(bucket, group, &mut |total| row.add_to(total));
            });
        }
        let mut table = self.into_table();
        for (bucket, group, row) in table.sorted_positions() {
            take(bucket, group, &mut |total| table.move_row_to(row, total));
        }
    }

    /// As [`Self::each`], with the measures of each row, which may be changed.
    pub(super) fn each_measured(
        &self,
        mut read: impl FnMut(u32, GroupKey, Row<'_>, &mut Measures),
    ) {
        let mut measures = Measures::default();
        self.each(|bucket, group, row| {
            row.replace(&mut measures);
            read(bucket, group, row, &mut measures);
        });
    }

    /// Every bucket and group in order.
    pub(super) fn each(&self, mut read: impl FnMut(u32, GroupKey, Row<'_>)) {
        let (columns, kinds) = (self.columns(), self.kinds());
        let own = self.table.sorted_positions().into_iter();
        let mut own = own.map(|(bucket, group, row)| (At::new(bucket, group), row)).peekable();
        let mut heads: Vec<Head<'_>> =
            self.parts.iter().filter_map(|part| Head::of(part)).collect();
        let mut values = vec![0; columns.len()];
        loop {
            let mut next = own.peek().map(|(at, _)| *at);
            for head in &heads {
                if next.is_none_or(|next| head.at.is_before(next)) {
                    next = Some(head.at);
                }
            }
            let Some(at) = next else { return };
            let mut distributions: &[Distribution] = &[];
            let mut is_first = true;
            let mut add = |theirs: &[i64]| {
                if std::mem::take(&mut is_first) {
                    values.copy_from_slice(theirs);
                } else {
                    merge_values(&mut values, theirs, columns);
                }
            };
            if let Some((_, row)) = own.next_if(|(own, _)| *own == at) {
                let row = self.table.row(row);
                add(row.values);
                distributions = row.distributions;
            }
            let mut is_one_over = false;
            for head in heads.iter_mut().filter(|head| head.at == at) {
                add(head.rows.values());
                is_one_over |= !head.advance();
            }
            if is_one_over {
                heads.retain(|head| !head.is_over);
            }
            let (bucket, group) = at.bucket_group();
            read(bucket, group, Row { columns, values: &values, kinds, distributions });
        }
    }
}

/// A bucket and a group, compared in one step where groups have one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    /// The bucket, and the first id with its sign turned, so that negative ones come first.
    first: u128,
    second: i64,
    third: i64,
}

impl At {
    const SIGN: u64 = 1 << 63;

    #[inline]
    fn new(bucket: u32, [id, second, third]: GroupKey) -> Self {
        let first = (u128::from(bucket) << 64) | u128::from(id.cast_unsigned() ^ Self::SIGN);
        Self { first, second, third }
    }

    #[inline]
    fn is_before(self, other: Self) -> bool {
        self.first < other.first
            || (self.first == other.first
                && (self.second, self.third) < (other.second, other.third))
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "halves of what was put together")]
    const fn bucket_group(self) -> (u32, GroupKey) {
        let id = (self.first as u64 ^ Self::SIGN).cast_signed();
        ((self.first >> 64) as u32, [id, self.second, self.third])
    }
}

/// The row of a sum that comes next.
struct Head<'a> {
    at: At,
    is_over: bool,
    rows: Rows<'a>,
}

impl<'a> Head<'a> {
    /// `None` when there is no row.
    fn of(part: &'a Packed) -> Option<Self> {
        let mut rows = part.read();
        let (bucket, group) = rows.advance()?;
        Some(Self { at: At::new(bucket, group), is_over: false, rows })
    }

    /// Goes on to the next row, if there is one.
    #[inline]
    fn advance(&mut self) -> bool {
        match self.rows.advance() {
            Some((bucket, group)) => self.at = At::new(bucket, group),
            None => self.is_over = true,
        }
        !self.is_over
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::model::Count;

    /// More packed tables than are kept apart, with the same groups in many of them.
    #[test]
    fn very_many_groups_add_up_as_in_one_table() {
        let columns = vec![Column::count(Count::Requests)];
        let mut gathered = Gathered::new(1, Table::new(columns, Vec::new(), false));
        let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
        let mut rng = StdRng::seed_from_u64(7);
        for _ in 0..400_000 {
            let (id, requests) = (rng.random_range(-30_000..30_000), rng.random_range(1..5));
            gathered.table_mut().add_values(0, [id, 0, 0], &[requests]);
            *expected.entry(id).or_default() += requests;
        }
        let mut found = Vec::new();
        gathered.each(|_, [id, ..], row| found.push((id, row.values[0])));
        assert_eq!(found, expected.iter().map(|(id, sum)| (*id, *sum)).collect::<Vec<_>>());
        assert_eq!(gathered.into_table().rows(), expected.len());
    }
}
