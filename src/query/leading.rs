//! The groups of a query with the most requests, and those that are asked for by name.

use rustc_hash::FxHashSet;

use super::answer::group_names;
use super::engine::Engine;
use super::execute::Executed;
use super::table::GroupKey;
use super::types::{Query, Series};
use crate::error::Result;
use crate::model::{Column, Count, Dimension, Filter, KeyColumn, Measures, Name};
use crate::store::Reader;

/// The groups of a query with the most requests.
#[derive(Debug)]
pub struct Leading<T> {
    /// The values of the group's dimensions, with what was read of its measures.
    pub groups: Vec<(Vec<String>, T)>,
    /// There were more, apart from those that were asked for by name.
    pub is_truncated: bool,
}

/// Which groups are wanted.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The most of those with the most requests.
    pub most: usize,
    /// The values of those that are wanted however few requests they have; asked for only when there are
    /// more groups than `most`.
    pub also: &'a dyn Fn() -> Vec<Vec<String>>,
}

impl std::fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} groups", self.most)
    }
}

impl Engine {
    /// The values of the groups that are wanted, each with what `read` makes of its measures, and whether
    /// there were more; for a query without aggregation. Groups are read one by one, so that very many
    /// take little memory. Without grouping there is one group without values.
    ///
    /// Groups with as many requests as each other come in the order in which their values were first seen.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn leading_groups<T>(
        &self,
        query: &Query,
        wanted: &Wanted<'_>,
        read: &dyn Fn(&Measures) -> T,
    ) -> Result<Leading<T>> {
        if query.group_by.contains(&Dimension::ErrorType) {
            return self.leading_error_types(query, wanted, read);
        }
        let mut leading = self.with_snapshot(query, |reader, executed| {
            let Executed { gathered, errors, .. } = executed;
            let table = gathered.into_table();
            let requests = |row: usize| table.value(row, Column::count(Count::Requests));
            let mut rows: Vec<(GroupKey, usize)> = table.groups().collect();
            rows.sort_unstable_by_key(|(key, row)| (std::cmp::Reverse(requests(*row)), *key));
            let is_truncated = rows.len() > wanted.most;
            if is_truncated {
                let also = Named::new(reader, &query.group_by, (wanted.also)())?;
                let smaller = rows.split_off(wanted.most);
                let keys: Vec<GroupKey> = smaller.iter().map(|(key, _)| *key).collect();
                let is_wanted = also.among(reader, &query.group_by, &keys)?;
                let also = smaller.into_iter().zip(is_wanted).filter(|(_, is_wanted)| *is_wanted);
                rows.extend(also.map(|(row, _)| row));
            }
            let keys: Vec<GroupKey> = rows.iter().map(|(key, _)| *key).collect();
            let names = group_names(reader, &query.group_by, &keys)?;
            let facts = rows.iter().map(|(_, row)| {
                let mut measures = table.measures(*row);
                if let Some(errors) = &errors {
                    errors.apply(&mut measures);
                }
                read(&measures)
            });
            Ok(Leading { groups: names.into_iter().zip(facts).collect(), is_truncated })
        })?;
        if leading.groups.is_empty() && query.group_by.is_empty() {
            leading.groups.push((Vec::new(), read(&Measures::default())));
        }
        Ok(leading)
    }

    /// Of groups by error type, which are read off the counters of other groups: those with the most errors.
    fn leading_error_types<T>(
        &self,
        query: &Query,
        wanted: &Wanted<'_>,
        read: &dyn Fn(&Measures) -> T,
    ) -> Result<Leading<T>> {
        // None are folded into one, which would be no group to watch.
        let whole = Query { max_series: self.max_points, ..query.clone() };
        let mut series = self.query(&whole)?.series;
        let is_truncated = series.len() > wanted.most;
        if is_truncated {
            let also: FxHashSet<Vec<String>> = (wanted.also)().into_iter().collect();
            let smaller = series.split_off(wanted.most);
            series.extend(smaller.into_iter().filter(|series| also.contains(&series.group)));
        }
        let total = |buckets: Vec<Measures>| buckets.into_iter().next().unwrap_or_default();
        let read = |series: Series| (series.group, read(&total(series.buckets)));
        Ok(Leading { groups: series.into_iter().map(read).collect(), is_truncated })
    }
}

/// Groups that are asked for by the names of their values.
struct Named {
    groups: FxHashSet<Vec<String>>,
    /// The ids of the values, in the order of the dimensions: few groups have to be named to be compared.
    ids: Vec<FxHashSet<i64>>,
}

impl Named {
    fn new(reader: &Reader<'_>, by: &[Dimension], groups: Vec<Vec<String>>) -> Result<Self> {
        let ids = by.iter().enumerate().map(|(place, dimension)| {
            let names = groups.iter().filter_map(|group| group.get(place));
            ids_of(reader, *dimension, names.map(Name::from).collect())
        });
        let ids = ids.collect::<Result<_>>()?;
        Ok(Self { ids, groups: groups.into_iter().collect() })
    }

    /// Which of the groups with these ids are asked for.
    fn among(&self, reader: &Reader<'_>, by: &[Dimension], keys: &[GroupKey]) -> Result<Vec<bool>> {
        let may_be = |key: &GroupKey| key.iter().zip(&self.ids).all(|(id, ids)| ids.contains(id));
        let mut is_asked_for: Vec<bool> = keys.iter().map(may_be).collect();
        let places: Vec<usize> = (0..keys.len()).filter(|place| is_asked_for[*place]).collect();
        let named: Vec<GroupKey> = places.iter().map(|place| keys[*place]).collect();
        for (place, names) in places.into_iter().zip(group_names(reader, by, &named)?) {
            is_asked_for[place] = self.groups.contains(&names);
        }
        Ok(is_asked_for)
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
    let mut filter = Filter::default();
    match dimension {
        Dimension::Space => filter.spaces = names,
        Dimension::User => filter.users = names,
        Dimension::Provider => filter.providers = names,
        Dimension::Model | Dimension::ErrorType => filter.models = names,
    }
    let resolved = reader.resolve(&filter)?;
    Ok(resolved.ids(key).unwrap_or(&[]).iter().copied().collect())
}
