//! Names to ids and back, for answers.

use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashMap;

use super::error::storage;
use super::read::Reader;
use crate::error::Result;
use crate::model::{Dimension, Filter, KeyColumn, LatencyBounds, Name, Outcome};

/// A filter with names turned into ids; `None` does not restrict, an empty list matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResolvedFilter {
    /// Ids in `spaces`.
    pub spaces: Option<Vec<i64>>,
    /// Ids in `users`.
    pub users: Option<Vec<i64>>,
    /// Ids in `models`.
    pub models: Option<Vec<i64>>,
    /// Codes of outcomes.
    pub outcomes: Option<Vec<i64>>,
    /// Codes of sources.
    pub sources: Option<Vec<i64>>,
    /// Streamed or not.
    pub streamed: Option<bool>,
    /// Bounds of a latency.
    pub latency: Option<LatencyBounds>,
}

impl ResolvedFilter {
    /// The ids that one key column is restricted to.
    pub fn ids(&self, key: KeyColumn) -> Option<&[i64]> {
        match key {
            KeyColumn::Space => self.spaces.as_deref(),
            KeyColumn::User => self.users.as_deref(),
            KeyColumn::Model => self.models.as_deref(),
        }
    }

    /// The key columns that are restricted.
    pub fn keys(&self) -> impl Iterator<Item = KeyColumn> {
        [KeyColumn::Space, KeyColumn::User, KeyColumn::Model]
            .into_iter()
            .filter(|key| self.ids(*key).is_some())
    }

    /// Whether only raw rows know the answer.
    pub const fn needs_raw_rows(&self) -> bool {
        self.outcomes.is_some()
            || self.sources.is_some()
            || self.streamed.is_some()
            || self.latency.is_some()
    }

    /// Whether nothing can match.
    pub fn matches_nothing(&self) -> bool {
        [&self.spaces, &self.users, &self.models, &self.outcomes, &self.sources]
            .into_iter()
            .flatten()
            .any(Vec::is_empty)
    }
}

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

impl Reader<'_> {
    /// All providers and models, by id.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn models(&self) -> Result<Vec<ModelRow>> {
        read_models(self.connection()).map_err(storage("reading models"))
    }

    /// Turns the names of a filter into ids.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn resolve(&self, filter: &Filter) -> Result<ResolvedFilter> {
        let ids = |sql, names: &[Name]| -> Result<Option<Vec<i64>>> {
            if names.is_empty() {
                return Ok(None);
            }
            ids_of(self.connection(), sql, names).map(Some).map_err(storage("reading names"))
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
        names_of(self.connection(), sql, ids).map_err(storage("reading names"))
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

fn names_of(
    connection: &Connection,
    sql: &str,
    ids: &[i64],
) -> rusqlite::Result<FxHashMap<i64, String>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut names = FxHashMap::default();
    for id in ids {
        if let Some(name) = statement.query_row([id], |row| row.get(0)).optional()? {
            names.insert(*id, name);
        }
    }
    Ok(names)
}

fn read_models(connection: &Connection) -> rusqlite::Result<Vec<ModelRow>> {
    let mut statement = connection
        .prepare_cached("select model_id, provider, name from models order by model_id")?;
    let rows = statement.query_map([], |row| {
        Ok(ModelRow {
            model_id: row.get(0)?,
            provider: Name::from(row.get::<_, String>(1)?),
            name: Name::from(row.get::<_, String>(2)?),
        })
    })?;
    rows.collect()
}
