//! Names to ids and back, for queries and their results.

use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashMap;

use super::columns::{columns, to_name};
use super::error::storage;
use super::read::Reader;
use super::select::ResolvedFilter;
use crate::error::Result;
use crate::model::{Dimension, Filter, Name, Outcome};

/// A row of the `models` dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRow {
    /// Its id.
    pub model_id: i64,
    /// Who runs it.
    pub provider: Name,
    /// Its name.
    pub name: Name,
}

columns!(read ModelRow { model_id, provider as (to_name), name as (to_name) });

impl Reader<'_> {
    /// All providers and models, by id.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn models(&self) -> Result<Vec<ModelRow>> {
        self.select("reading models", "from models order by model_id", [])
    }

    /// Turns the names of a filter into ids.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn resolve(&self, filter: &Filter) -> Result<ResolvedFilter> {
        let ids = |sql, names: &[Name]| {
            let ids = || ids_of(self.connection(), sql, names).map_err(storage("reading names"));
            (!names.is_empty()).then(ids).transpose()
        };
        Ok(ResolvedFilter {
            spaces: ids("select space_id from spaces where name = ?1", &filter.spaces)?,
            users: ids("select user_id from users where name = ?1", &filter.users)?,
            models: self.model_ids(filter)?,
            outcomes: outcome_codes(filter),
            sources: (!filter.sources.is_empty())
                .then(|| filter.sources.iter().map(|source| source.code()).collect()),
            streamed: filter.streamed,
            latency: filter.latency,
        })
    }

    fn model_ids(&self, filter: &Filter) -> Result<Option<Vec<i64>>> {
        if filter.models.is_empty() && filter.providers.is_empty() {
            return Ok(None);
        }
        let matches = |names: &[Name], name: &Name| names.is_empty() || names.contains(name);
        let wanted = |row: &ModelRow| {
            matches(&filter.models, &row.name) && matches(&filter.providers, &row.provider)
        };
        Ok(Some(self.models()?.iter().filter(|row| wanted(row)).map(|row| row.model_id).collect()))
    }

    /// The names of ids of one dimension.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn names(&self, dimension: Dimension, ids: &[i64]) -> Result<FxHashMap<i64, String>> {
        let sql = match dimension {
            Dimension::Space => "select name from spaces where space_id = ?1",
            Dimension::User => "select name from users where user_id = ?1",
            Dimension::Model => "select name from models where model_id = ?1",
            Dimension::Provider => "select provider from models where model_id = ?1",
            Dimension::ErrorType => "select error_type from outcomes where outcome = ?1",
        };
        let read = || -> rusqlite::Result<FxHashMap<i64, String>> {
            let mut statement = self.connection().prepare_cached(sql)?;
            let mut names = FxHashMap::default();
            for id in ids {
                let name = statement.query_row([id], |row| row.get(0)).optional()?;
                names.extend(name.map(|name| (*id, name)));
            }
            Ok(names)
        };
        read().map_err(storage("reading names"))
    }
}

fn outcome_codes(filter: &Filter) -> Option<Vec<i64>> {
    if filter.outcomes.is_empty() && filter.error_types.is_empty() {
        return None;
    }
    let matches = |outcome: Outcome| {
        let kind = filter.outcomes.is_empty() || filter.outcomes.contains(&outcome.as_str());
        let error = filter.error_types.is_empty()
            || outcome.error_type().is_some_and(|kind| filter.error_types.contains(&kind));
        kind && error
    };
    let all = (0..=Outcome::CANCELLED_CODE).filter_map(Outcome::from_code);
    Some(all.filter(|outcome| matches(*outcome)).map(Outcome::code).collect())
}

fn ids_of(connection: &Connection, sql: &str, names: &[Name]) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut ids = Vec::new();
    for name in names {
        ids.extend(statement.query_row([name.as_str()], |row| row.get::<_, i64>(0)).optional()?);
    }
    // A name given twice must not count its requests twice.
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
