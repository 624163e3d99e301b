//! The groups of a query with the most requests, and groups that are requested by name.

use std::cmp::Reverse;

use rustc_hash::{FxHashMap, FxHashSet};

use super::engine::Engine;
use super::execute::Executed;
use super::result::group_names;
use super::sorted_run::GroupKey;
use super::types::{Query, Series};
use crate::error::Result;
use crate::model::{Dimension, Filter, KeyColumn, Measures, Name};
use crate::store::Reader;

/// The groups of a query with the most requests.
#[derive(Debug)]
pub(crate) struct Leading<T> {
    /// The names of each group, with what was read of its measures.
    pub(crate) groups: Vec<(Vec<String>, T)>,
    /// Whether there were more groups, apart from those requested by name.
    pub(crate) is_truncated: bool,
}

impl Engine {
    /// The `limit` groups with the most requests, each with what `read` makes of its measures; for a query without
    /// aggregation. Without grouping, the only group has no names.
    ///
    /// If there are more groups, those named by `also` are included, however few requests they have. Groups with the same
    /// number of requests are in the order in which their values were first seen.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub(crate) fn leading_groups<T>(
        &self,
        query: &Query,
        limit: usize,
        also: &dyn Fn() -> Vec<Vec<String>>,
        read: &dyn Fn(&Measures) -> T,
    ) -> Result<Leading<T>> {
        if query.group_by.contains(&Dimension::ErrorType) {
            return self.leading_error_types(query, limit, also, read);
        }
        let mut leading = self.with_executed(query, |reader, executed| {
            let Executed { mut table, errors, .. } = executed;
            let mut measures = Measures::default();
            let mut ranked: Vec<(Reverse<i64>, GroupKey)> = Vec::new();
            table.each(|_, key, row| {
                row.copy_values_to(&mut measures);
                ranked.push((Reverse(measures.requests()), key));
            });
            ranked.sort_unstable();
            let mut keys: Vec<GroupKey> = ranked.into_iter().map(|(_, key)| key).collect();
            let is_truncated = keys.len() > limit;
            if is_truncated {
                let smaller = keys.split_off(limit);
                let named = NamedGroups::new(reader, &query.group_by, also())?;
                keys.extend(named.among(reader, &query.group_by, smaller)?);
            }
            let mut facts: FxHashMap<GroupKey, Option<T>> =
                keys.iter().map(|key| (*key, None)).collect();
            table.each(|_, key, row| {
                if let Some(facts) = facts.get_mut(&key) {
                    let mut measures = Measures::default();
                    row.move_to(&mut measures);
                    errors.apply(&mut measures);
                    *facts = Some(read(&measures));
                }
            });
            let names = group_names(reader, &query.group_by, &keys)?;
            let groups = names.into_iter().zip(&keys);
            let groups = groups.filter_map(|(names, key)| Some((names, facts.remove(key)??)));
            Ok(Leading { groups: groups.collect(), is_truncated })
        })?;
        if leading.groups.is_empty() && query.group_by.is_empty() {
            leading.groups.push((Vec::new(), read(&Measures::default())));
        }
        Ok(leading)
    }

    /// The groups with the most errors, of a query grouped by error type, from the counters of other groups.
    fn leading_error_types<T>(
        &self,
        query: &Query,
        limit: usize,
        also: &dyn Fn() -> Vec<Vec<String>>,
        read: &dyn Fn(&Measures) -> T,
    ) -> Result<Leading<T>> {
        // `(other)` would not be a group to watch.
        let whole = Query { max_series: self.max_points, ..query.clone() };
        let mut series = self.query(&whole)?.series;
        let is_truncated = series.len() > limit;
        if is_truncated {
            let also: FxHashSet<Vec<String>> = also().into_iter().collect();
            let smaller = series.split_off(limit);
            series.extend(smaller.into_iter().filter(|series| also.contains(&series.group)));
        }
        let total = |buckets: Vec<Measures>| buckets.into_iter().next().unwrap_or_default();
        let read = |series: Series| (series.group, read(&total(series.buckets)));
        Ok(Leading { groups: series.into_iter().map(read).collect(), is_truncated })
    }
}

/// Groups that are requested by the names of their values.
struct NamedGroups {
    names: FxHashSet<Vec<String>>,
    /// The ids of the values of each dimension, so that only a few other groups need to be named to compare them.
    ids: Vec<FxHashSet<i64>>,
}

impl NamedGroups {
    fn new(reader: &Reader<'_>, by: &[Dimension], groups: Vec<Vec<String>>) -> Result<Self> {
        let ids = by.iter().enumerate().map(|(place, dimension)| {
            let names = groups.iter().filter_map(|group| group.get(place));
            ids_of(reader, *dimension, names.map(Name::from).collect())
        });
        let ids = ids.collect::<Result<_>>()?;
        Ok(Self { ids, names: groups.into_iter().collect() })
    }

    /// Those of `keys` whose groups are requested.
    fn among(
        &self,
        reader: &Reader<'_>,
        by: &[Dimension],
        mut keys: Vec<GroupKey>,
    ) -> Result<Vec<GroupKey>> {
        keys.retain(|key| key.iter().zip(&self.ids).all(|(id, ids)| ids.contains(id)));
        let names = group_names(reader, by, &keys)?;
        let named = keys.into_iter().zip(names).filter(|(_, names)| self.names.contains(names));
        Ok(named.map(|(key, _)| key).collect())
    }
}

fn ids_of(
    reader: &Reader<'_>,
    dimension: Dimension,
    mut names: Vec<Name>,
) -> Result<FxHashSet<i64>> {
    names.sort_unstable();
    names.dedup();
    let Some(key) = KeyColumn::of(dimension).filter(|_| !names.is_empty()) else {
        return Ok(FxHashSet::default());
    };
    let resolved = reader.resolve(&restricted(&Filter::default(), dimension, names))?;
    Ok(resolved.ids(key).unwrap_or(&[]).iter().copied().collect())
}

/// The filter, for these values of a dimension only.
pub(super) fn restricted(filter: &Filter, dimension: Dimension, names: Vec<Name>) -> Filter {
    let mut filter = filter.clone();
    match dimension {
        Dimension::Space => filter.spaces = names,
        Dimension::User => filter.users = names,
        Dimension::Model => filter.models = names,
        Dimension::Provider => filter.providers = names,
        Dimension::ErrorType => {}
    }
    filter
}
