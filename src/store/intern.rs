//! Names to ids: every distinct user, space, model and label is stored once.

use rusqlite::{Connection, OptionalExtension, params};
use rustc_hash::FxHashMap;

use super::columns::{saturated, unsigned};
use crate::config::StoreConfig;
use crate::model::{Name, RequestRecord};

/// The id of a missing dimension.
pub(super) const NONE_ID: i64 = 0;
/// The id of `(other)`, as which distinct values beyond the cardinality limit are grouped.
pub(super) const OTHER_ID: i64 = 1;
/// Names that one cache holds before it is cleared; more distinct names only cost look-ups.
const CACHE_NAMES: usize = 100_000;

/// The spaces in which a sender may write, and in which its records can have duplicates; `None`: every space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WritableSpaces(Option<Vec<i64>>);

impl WritableSpaces {
    pub(super) fn contains(&self, space_id: i64) -> bool {
        self.0.as_ref().is_none_or(|ids| ids.contains(&space_id))
    }
}

/// Distinct values of one dimension against its cardinality limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DimensionCaps {
    /// Distinct values stored.
    pub distinct: u64,
    /// Maximum number of distinct values.
    pub cap: u64,
    /// Records since the start whose value was grouped as `(other)`.
    pub overflowed: u64,
}

/// The names of one dictionary table with one name column.
#[derive(Debug)]
pub(super) struct Dictionary {
    table: &'static str,
    insert: String,
    select: String,
    ids: FxHashMap<Name, i64>,
    caps: DimensionCaps,
}

impl Dictionary {
    fn new(table: &'static str, id: &str, cap: u64) -> Self {
        Self {
            table,
            insert: format!("insert into {table} (name) values (?1)"),
            select: format!("select {id} from {table} where name = ?1"),
            ids: FxHashMap::default(),
            caps: DimensionCaps { cap, ..DimensionCaps::default() },
        }
    }

    /// Clears the cache and counts the stored names.
    fn reload(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.ids.clear();
        let count = format!("select count(*) - 2 from {}", self.table);
        self.caps.distinct = unsigned(connection.query_row(&count, [], |row| row.get(0))?);
        Ok(())
    }

    /// The id of a stored name, or `(other)` when the limit is reached; `None` for a new name below the limit.
    fn find(&self, connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
        if let Some(id) = self.ids.get(name) {
            return Ok(Some(*id));
        }
        let mut select = connection.prepare_cached(&self.select)?;
        let stored = select.query_row([name], |row| row.get(0)).optional()?;
        Ok(stored.or_else(|| (self.caps.distinct >= self.caps.cap).then_some(OTHER_ID)))
    }

    /// The id of a name, which is stored when it is new.
    pub(super) fn id(
        &mut self,
        connection: &Connection,
        name: Option<&Name>,
    ) -> rusqlite::Result<i64> {
        let Some(name) = name else { return Ok(NONE_ID) };
        let id = match self.ids.get(name) {
            Some(id) => *id,
            None => self.look_up(connection, name)?,
        };
        self.caps.overflowed += u64::from(id == OTHER_ID);
        Ok(id)
    }

    fn look_up(&mut self, connection: &Connection, name: &Name) -> rusqlite::Result<i64> {
        let id = match self.find(connection, name)? {
            Some(id) => id,
            None => {
                connection.prepare_cached(&self.insert)?.execute([name.as_str()])?;
                self.caps.distinct += 1;
                connection.last_insert_rowid()
            }
        };
        if self.ids.len() >= CACHE_NAMES {
            self.ids.clear();
        }
        self.ids.insert(name.clone(), id);
        Ok(id)
    }
}

/// The dictionaries of the connection that writes.
#[derive(Debug)]
pub(super) struct Interner {
    pub(super) users: Dictionary,
    pub(super) spaces: Dictionary,
    pub(super) labels: Dictionary,
    models: FxHashMap<(Name, Name), i64>,
    model_caps: DimensionCaps,
}

impl Interner {
    pub(super) fn new(config: &StoreConfig) -> Self {
        Self {
            users: Dictionary::new("users", "user_id", config.max_users),
            spaces: Dictionary::new("spaces", "space_id", config.max_spaces),
            labels: Dictionary::new("labels", "label_id", config.max_labels),
            models: FxHashMap::default(),
            model_caps: DimensionCaps { cap: config.max_models, ..DimensionCaps::default() },
        }
    }

    /// Reads the stored names, at the start and after a rolled-back transaction.
    pub(super) fn reload(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for dictionary in [&mut self.users, &mut self.spaces, &mut self.labels] {
            dictionary.reload(connection)?;
        }
        self.models.clear();
        let mut statement = connection.prepare("select provider, name, model_id from models")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (provider, name): (String, String) = (row.get(0)?, row.get(1)?);
            self.models.insert((Name::from(provider), Name::from(name)), row.get(2)?);
        }
        self.model_caps.distinct = unsigned(saturated(self.models.len()) - 2);
        Ok(())
    }

    /// The spaces in which the sender of a record may write. A space without a record has no id, and
    /// no duplicates; past the limit of spaces it is `(other)`, whose duplicates count.
    pub(super) fn writable_spaces(
        &self,
        connection: &Connection,
        record: &RequestRecord,
    ) -> rusqlite::Result<WritableSpaces> {
        let spaces = record.sender.as_ref().and_then(|sender| sender.spaces.as_ref());
        let Some(names) = spaces else { return Ok(WritableSpaces(None)) };
        let found = |name: &Name| self.spaces.find(connection, name).transpose();
        Ok(WritableSpaces(Some(names.iter().filter_map(found).collect::<rusqlite::Result<_>>()?)))
    }

    pub(super) fn model(
        &mut self,
        connection: &Connection,
        provider: Option<&Name>,
        name: Option<&Name>,
    ) -> rusqlite::Result<i64> {
        const NONE: Name = Name::const_new(crate::model::dimension::NONE_NAME);
        if provider.is_none() && name.is_none() {
            return Ok(NONE_ID);
        }
        let key = (provider.cloned().unwrap_or(NONE), name.cloned().unwrap_or(NONE));
        if let Some(id) = self.models.get(&key) {
            return Ok(*id);
        }
        if self.model_caps.distinct >= self.model_caps.cap {
            self.model_caps.overflowed += 1;
            return Ok(OTHER_ID);
        }
        connection
            .prepare_cached("insert into models (provider, name) values (?1, ?2)")?
            .execute(params![key.0.as_str(), key.1.as_str()])?;
        let id = connection.last_insert_rowid();
        self.model_caps.distinct += 1;
        self.models.insert(key, id);
        Ok(id)
    }

    /// Users, spaces, models, labels.
    pub(super) fn caps(&self) -> [(&'static str, DimensionCaps); 4] {
        [
            ("users", self.users.caps),
            ("spaces", self.spaces.caps),
            ("models", self.model_caps),
            ("labels", self.labels.caps),
        ]
    }
}
