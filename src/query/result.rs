//! Turns an executed query into its result: names, order, empty buckets, and `(other)` for the small groups.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use super::execute::Executed;
use super::sorted_run::GroupKey;
use super::types::{Query, QueryResult, Series};
use crate::error::{Error, Result};
use crate::model::dimension::{NONE_NAME, OTHER_NAME};
use crate::model::{Dimension, ErrorType, Measures};
use crate::store::Reader;

/// Turns an executed query into its result. Series are ordered by `weight`, and the lightest are grouped as `(other)`.
///
/// # Errors
/// If there are more than `max_points` buckets of series, or the names cannot be read.
pub(super) fn build_result(
    reader: &Reader<'_>,
    query: &Query,
    executed: Executed,
    max_points: usize,
    weight: impl Fn(&Measures) -> i64,
) -> Result<QueryResult> {
    let Executed { mut table, boundaries, exact, complete_from, errors } = executed;
    let buckets = boundaries.len().saturating_sub(1).max(1);
    let mut totals: FxHashMap<GroupKey, Total> = FxHashMap::default();
    let mut measures = Measures::default();
    table.each(|_, group, row| {
        row.copy_values_to(&mut measures);
        errors.apply(&mut measures);
        let total = totals.entry(group).or_default();
        total.requests += measures.requests();
        total.weight += weight(&measures);
    });
    // Groups with errors of other types only have no requests in this result.
    totals.retain(|_, total| total.requests > 0);
    let keys = leading(&totals, query);
    if keys.len().saturating_mul(buckets) > max_points {
        return Err(too_many_points(keys.len(), buckets, max_points));
    }
    let places: FxHashMap<GroupKey, usize> =
        keys.iter().enumerate().map(|(place, key)| (*key, place)).collect();
    let empty = || vec![Measures::default(); buckets];
    let mut series: Vec<Vec<Measures>> = keys.iter().map(|_| empty()).collect();
    let mut other: Option<Vec<Measures>> = None;
    table.each(|bucket, group, row| {
        if totals.contains_key(&group) {
            let buckets = match places.get(&group) {
                Some(place) => &mut series[*place],
                None => other.get_or_insert_with(empty),
            };
            row.move_to(&mut buckets[bucket as usize]);
        }
    });
    series.iter_mut().chain(&mut other).flatten().for_each(|measures| errors.apply(measures));
    let names = group_names(reader, &query.group_by, &keys)?;
    let other = other.map(|buckets| (vec![OTHER_NAME.to_owned(); query.group_by.len()], buckets));
    let series = names.into_iter().zip(series).chain(other);
    let series = series.map(|(group, buckets)| Series { group, buckets }).collect();
    Ok(QueryResult { boundaries, series, exact, complete_from })
}

/// The total of a group over all buckets.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    requests: i64,
    weight: i64,
}

/// The groups with a series of their own, heaviest first. Without grouping, the only group, even without requests.
fn leading(totals: &FxHashMap<GroupKey, Total>, query: &Query) -> Vec<GroupKey> {
    if query.group_by.is_empty() {
        return vec![GroupKey::default()];
    }
    let ranked = totals.iter().map(|(key, total)| (Reverse(total.weight), *key));
    let mut ranked: Vec<(Reverse<i64>, GroupKey)> = ranked.collect();
    ranked.sort_unstable();
    ranked.into_iter().take(query.max_series.max(1)).map(|(_, key)| key).collect()
}

fn too_many_points(series: usize, buckets: usize, max_points: usize) -> Error {
    Error::invalid_query(
        "group_by",
        format!(
            "{series} series of {buckets} buckets are more than {max_points} points; choose a shorter \
             range, a coarser aggregation or fewer series"
        ),
    )
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
        let known = match dimension {
            Dimension::ErrorType => {
                ErrorType::ALL.iter().map(|kind| (kind.code(), kind.to_string())).collect()
            }
            _ => reader.names(*dimension, &ids)?,
        };
        for (group, id) in names.iter_mut().zip(&ids) {
            group.push(known.get(id).cloned().unwrap_or_else(|| NONE_NAME.to_owned()));
        }
    }
    Ok(names)
}
