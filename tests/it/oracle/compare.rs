//! Comparing an answer with what it must be.

use std::collections::BTreeMap;

use chatgauge::model::{Dimension, LatencyKind, Measures, MetricType, Stat};
use chatgauge::query::{Query, QueryResult, Series};

use super::by_type::compare_by_type;
use super::{Cell, Expected};

/// The stated relative error of percentiles from rollups, and some room for rounding.
const SKETCH_ERROR: f64 = 0.01 * 1.000_001;

/// Says where `answer` differs from what it must be.
pub(crate) fn compare(
    query: &Query,
    answer: &QueryResult,
    expected: &Expected,
) -> Result<(), String> {
    let buckets = expected.boundaries.len().saturating_sub(1);
    if answer.boundaries != expected.boundaries {
        return Err(format!("boundaries {:?}, not {:?}", answer.boundaries, expected.boundaries));
    }
    if query.quantiles.is_empty() && !answer.exact {
        return Err("without percentiles every answer is exact".to_owned());
    }
    if counted_by_type(query) {
        return compare_by_type(query, answer, expected);
    }
    let mut rest = expected.groups.clone();
    let named = answer.series.len() - usize::from(has_other(query, answer, expected));
    for series in &answer.series[..named] {
        let Some(cells) = rest.remove(&series.group) else {
            return Err(format!("a series {:?} that should not be", series.group));
        };
        compare_series(query, answer.exact, series, &cells, buckets)?;
    }
    if named < answer.series.len() {
        let smallest = answer.series[..named].iter().map(weight).min();
        let largest = rest.values().map(cell_weight).max();
        if smallest < largest {
            return Err(format!("a kept group of {smallest:?}, a dropped one of {largest:?}"));
        }
        let other = together(rest.values());
        return compare_series(query, answer.exact, &answer.series[named], &other, buckets);
    }
    let order: Vec<i64> = answer.series.iter().map(weight).collect();
    if !order.is_sorted_by(|a, b| a >= b) {
        return Err(format!("series not largest first: {order:?}"));
    }
    if rest.is_empty() { Ok(()) } else { Err(format!("missing: {:?}", rest.keys())) }
}

fn has_other(query: &Query, answer: &QueryResult, expected: &Expected) -> bool {
    expected.groups.len() > query.max_series
        && answer.series.len() == query.max_series + 1
        && answer.series.last().is_some_and(|last| last.group.iter().all(|name| name == "(other)"))
}

/// Error types are few: series by them are not folded, only the groups that they cut.
pub(super) fn counted_by_type(query: &Query) -> bool {
    let counted = matches!(query.metrics[..], [MetricType::ErrorRate | MetricType::RequestRate]);
    counted
        && query.group_by.contains(&Dimension::ErrorType)
        && query.filter.outcomes.is_empty()
        && query.quantiles.is_empty()
}

fn weight(series: &Series) -> i64 {
    series.buckets.iter().map(Measures::requests).sum()
}

fn cell_weight(cells: &BTreeMap<usize, Cell>) -> i64 {
    cells.values().map(|cell| cell.requests).sum()
}

fn together<'a>(groups: impl Iterator<Item = &'a BTreeMap<usize, Cell>>) -> BTreeMap<usize, Cell> {
    let mut all: BTreeMap<usize, Cell> = BTreeMap::new();
    for (bucket, cell) in groups.flatten() {
        all.entry(*bucket).or_default().merge(cell);
    }
    all
}

pub(super) fn compare_series(
    query: &Query,
    exact: bool,
    series: &Series,
    cells: &BTreeMap<usize, Cell>,
    buckets: usize,
) -> Result<(), String> {
    if series.buckets.len() != buckets.max(1) {
        return Err(format!("{} buckets, not {buckets}", series.buckets.len()));
    }
    let empty = Cell::default();
    for (bucket, measures) in series.buckets.iter().enumerate() {
        let cell = cells.get(&bucket).unwrap_or(&empty);
        compare_cell(query, exact, measures, cell)
            .map_err(|what| format!("{:?} bucket {bucket}: {what}", series.group))?;
    }
    Ok(())
}

/// Compares everything that the query asked for.
pub(crate) fn compare_cell(
    query: &Query,
    exact: bool,
    measures: &Measures,
    cell: &Cell,
) -> Result<(), String> {
    if measures.requests() != cell.requests {
        return Err(format!("{} requests, not {}", measures.requests(), cell.requests));
    }
    let all = &MetricType::ALL[..];
    let metrics = if query.metrics.is_empty() { all } else { &query.metrics[..] };
    for metric in metrics {
        let samples = measures.samples(*metric);
        if samples != cell.samples(*metric) {
            return Err(format!("{metric:?} of {samples}, not {}", cell.samples(*metric)));
        }
        for stat in [Stat::Average, Stat::Min, Stat::Max] {
            same(metric.as_str(), stat, measures.value(*metric, stat), cell.value(*metric, stat))?;
        }
    }
    if metrics.contains(&MetricType::ErrorRate) && measures.errors() != cell.all_errors() {
        return Err(format!("{} errors, not {}", measures.errors(), cell.all_errors()));
    }
    for kind in &query.quantiles {
        compare_latency(*kind, exact, measures, cell)?;
    }
    Ok(())
}

fn compare_latency(
    kind: LatencyKind,
    exact: bool,
    measures: &Measures,
    cell: &Cell,
) -> Result<(), String> {
    for stat in Stat::ALL {
        let (found, wanted) = (measures.latency_ms(kind, stat), cell.latency_ms(kind, stat));
        if exact || stat.quantile().is_none() {
            same(kind.as_str(), stat, found, wanted)?;
            continue;
        }
        let near = match (found, wanted) {
            (Some(found), Some(wanted)) => (found - wanted).abs() <= wanted * SKETCH_ERROR,
            (found, wanted) => found == wanted,
        };
        if !near {
            return Err(format!("{} {}: {found:?}, not {wanted:?}", kind.as_str(), stat.as_str()));
        }
    }
    Ok(())
}

fn same(what: &str, stat: Stat, found: Option<f64>, wanted: Option<f64>) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{what} {}: {found:?}, not {wanted:?}", stat.as_str()))
}
