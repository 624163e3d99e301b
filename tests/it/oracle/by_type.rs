//! Comparing series by error type: groups with few errors are one group `(other)`, types are not folded.

use std::collections::{BTreeMap, BTreeSet};

use chatgauge::model::{Dimension, MetricType};
use chatgauge::query::{Query, QueryResult};

use super::compare::compare_series;
use super::{Cell, Expected};

type Cells = BTreeMap<usize, Cell>;

/// A group's names but for the error type.
fn base_of(query: &Query, group: &[String]) -> Vec<String> {
    let names = query.group_by.iter().zip(group);
    names
        .filter(|(dimension, _)| **dimension != Dimension::ErrorType)
        .map(|(_, name)| name.clone())
        .collect()
}

fn kind_of(query: &Query, group: &[String]) -> String {
    let mut names = query.group_by.iter().zip(group);
    names.find(|(by, _)| **by == Dimension::ErrorType).expect("by error type").1.clone()
}

fn errors(cells: &Cells) -> i64 {
    cells.values().map(Cell::all_errors).sum()
}

/// Says where series by error type differ from what they must be.
pub(super) fn compare_by_type(
    query: &Query,
    answer: &QueryResult,
    expected: &Expected,
) -> Result<(), String> {
    let buckets = expected.boundaries.len().saturating_sub(1);
    let bases: BTreeSet<&Vec<String>> = expected.base.keys().map(|(base, _)| base).collect();
    let folds = query.group_by.len() > 1 && bases.len() > query.max_series;
    let is_other =
        |group: &[String]| folds && base_of(query, group).iter().all(|name| name == "(other)");
    let mut rest = expected.groups.clone();
    let mut kept: BTreeMap<Vec<String>, i64> = BTreeMap::new();
    for series in answer.series.iter().filter(|series| !is_other(&series.group)) {
        let Some(cells) = rest.remove(&series.group) else {
            return Err(format!("a series {:?} that should not be", series.group));
        };
        *kept.entry(base_of(query, &series.group)).or_default() += errors(&cells);
        compare_series(query, answer.exact, series, &cells, buckets)?;
    }
    if kept.len() > query.max_series.max(1) {
        return Err(format!("{} groups are kept of {}", kept.len(), query.max_series));
    }
    let mut dropped: BTreeMap<Vec<String>, i64> = BTreeMap::new();
    let mut other: BTreeMap<String, Cells> = BTreeMap::new();
    for (group, cells) in &rest {
        *dropped.entry(base_of(query, group)).or_default() += errors(cells);
        let folded = other.entry(kind_of(query, group)).or_default();
        for (bucket, cell) in cells {
            folded.entry(*bucket).or_default().merge(cell);
        }
    }
    if kept.values().min() < dropped.values().max() && !dropped.is_empty() {
        return Err(format!("kept {kept:?}, dropped {dropped:?}"));
    }
    if query.metrics == [MetricType::ErrorRate] {
        set_base(&mut other, expected, &kept);
    }
    for series in answer.series.iter().filter(|series| is_other(&series.group)) {
        let kind = kind_of(query, &series.group);
        let Some(cells) = other.remove(&kind) else {
            return Err(format!("{kind} of (other) should not be"));
        };
        compare_series(query, answer.exact, series, &cells, buckets)?;
    }
    if other.is_empty() { Ok(()) } else { Err(format!("missing in (other): {:?}", other.keys())) }
}

/// Rates of folded groups have the requests of all of them as their base.
fn set_base(
    other: &mut BTreeMap<String, Cells>,
    expected: &Expected,
    kept: &BTreeMap<Vec<String>, i64>,
) {
    for cells in other.values_mut() {
        cells.values_mut().for_each(|cell| cell.requests = 0);
        for ((base, bucket), requests) in &expected.base {
            if !kept.contains_key(base) {
                cells.entry(*bucket).or_default().requests += requests;
            }
        }
    }
}
