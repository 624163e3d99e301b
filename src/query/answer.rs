//! From gathered rows to the answer: names, order, empty buckets, the small groups together.

use rustc_hash::FxHashMap;

use super::execute::Executed;
use super::table::GroupKey;
use super::types::{Answer, Query, Series};
use crate::error::{Error, Result};
use crate::model::dimension::{NONE_NAME, OTHER_NAME};
use crate::model::{Dimension, ErrorType, Measures};
use crate::store::Reader;

/// What the series of an answer are ordered by; the lightest are folded into `(other)`.
pub(super) type Weight<'a> = &'a dyn Fn(&Measures) -> i64;

/// Turns the executed query into its answer.
///
/// # Errors
/// When there would be more than `max_points` buckets of series, or the names cannot be read.
pub(super) fn answer(
    reader: &Reader<'_>,
    query: &Query,
    executed: Executed,
    max_points: usize,
    weight: Weight<'_>,
) -> Result<Answer> {
    let Executed { gathered, boundaries, exact, complete_from, errors } = executed;
    let buckets = boundaries.len().saturating_sub(1).max(1);
    let apply = |measures: &mut Measures| {
        if let Some(errors) = &errors {
            errors.apply(measures);
        }
    };
    let mut totals: FxHashMap<GroupKey, Total> = FxHashMap::default();
    gathered.each_counted(|_, group, measures| {
        apply(measures);
        let total = totals.entry(group).or_default();
        total.requests += measures.requests();
        total.weight += weight(measures);
    });
    // Groups of which only other errors were counted have no requests in this answer.
    totals.retain(|_, total| total.requests > 0);
    let kept = leading(&totals, query.max_series);
    if kept.len().saturating_mul(buckets) > max_points {
        return Err(Error::invalid_query(
            "group_by",
            format!(
                "{} series of {buckets} buckets are more than {max_points} points; choose a shorter \
                 range, a coarser aggregation or fewer series",
                kept.len()
            ),
        ));
    }
    let empty = || vec![Measures::default(); buckets];
    let mut groups: FxHashMap<GroupKey, Vec<Measures>> = FxHashMap::default();
    if query.group_by.is_empty() {
        groups.insert(GroupKey::default(), empty());
    }
    let mut other: Option<Vec<Measures>> = None;
    gathered.hand_over(|bucket, group, add_to| {
        if !totals.contains_key(&group) {
            return;
        }
        let series = if kept.contains_key(&group) || query.group_by.is_empty() {
            groups.entry(group).or_insert_with(empty)
        } else {
            other.get_or_insert_with(empty)
        };
        add_to(&mut series[bucket as usize]);
    });
    groups.values_mut().chain(&mut other).flatten().for_each(apply);
    let mut series = named(reader, query, groups, &kept)?;
    if let Some(buckets) = other {
        series.push(Series { group: vec![OTHER_NAME.to_owned(); query.group_by.len()], buckets });
    }
    Ok(Answer { boundaries, series, exact, complete_from })
}

/// What a group adds up to.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    requests: i64,
    weight: i64,
}

/// The heaviest groups and their places.
fn leading(totals: &FxHashMap<GroupKey, Total>, max_series: usize) -> FxHashMap<GroupKey, usize> {
    let mut order: Vec<(GroupKey, i64)> =
        totals.iter().map(|(key, total)| (*key, total.weight)).collect();
    order.sort_unstable_by_key(|(key, n)| (std::cmp::Reverse(*n), *key));
    order.truncate(max_series.max(1));
    order.into_iter().enumerate().map(|(place, (key, _))| (key, place)).collect()
}

fn named(
    reader: &Reader<'_>,
    query: &Query,
    groups: FxHashMap<GroupKey, Vec<Measures>>,
    places: &FxHashMap<GroupKey, usize>,
) -> Result<Vec<Series>> {
    let mut ordered: Vec<(GroupKey, Vec<Measures>)> = groups.into_iter().collect();
    ordered.sort_unstable_by_key(|(key, _)| places.get(key).copied().unwrap_or(usize::MAX));
    let keys: Vec<GroupKey> = ordered.iter().map(|(key, _)| *key).collect();
    let names = group_names(reader, &query.group_by, &keys)?;
    let series = ordered.into_iter().zip(names);
    Ok(series.map(|((_, buckets), group)| Series { group, buckets }).collect())
}

/// The names of each group, in the order of the dimensions.
pub(super) fn group_names(
    reader: &Reader<'_>,
    dimensions: &[Dimension],
    keys: &[GroupKey],
) -> Result<Vec<Vec<String>>> {
    let mut names = vec![Vec::with_capacity(dimensions.len()); keys.len()];
    for (place, dimension) in dimensions.iter().enumerate() {
        let ids: Vec<i64> = keys.iter().map(|key| key[place]).collect();
        let known = if *dimension == Dimension::ErrorType {
            error_names()
        } else {
            reader.names(*dimension, &ids)?
        };
        for (group, id) in names.iter_mut().zip(&ids) {
            group.push(known.get(id).cloned().unwrap_or_else(|| NONE_NAME.to_owned()));
        }
    }
    Ok(names)
}

fn error_names() -> FxHashMap<i64, String> {
    ErrorType::ALL.iter().map(|kind| (kind.code(), kind.as_str().to_owned())).collect()
}
