//! Names to ids: every distinct user, space, model and label is stored once.

use rusqlite::{Connection, OptionalExtension, params};
use rustc_hash::FxHashMap;

use super::error::storage;
use crate::config::StoreConfig;
use crate::error::Result;
use crate::model::{Name, RequestRecord};

/// The id of a missing dimension.
pub(super) const NONE_ID: i64 = 0;
/// The id that takes the distinct values beyond the cap.
pub(super) const OTHER_ID: i64 = 1;
/// Names that one cache holds before it starts afresh; more distinct names only cost look-ups.
const CACHE_NAMES: usize = 100_000;

/// The spaces in which a sender may write, and in which its records can have duplicates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WritableSpaces {
    /// Every space.
    All,
    /// The spaces with these ids.
    Ids(Vec<i64>),
}

impl WritableSpaces {
    pub(super) fn contains(&self, space_id: i64) -> bool {
        match self {
            Self::All => true,
            Self::Ids(ids) => ids.contains(&space_id),
        }
    }
}

/// Distinct values of one dimension against its cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DimensionCaps {
    /// Distinct values stored.
    pub distinct: u64,
    /// Most distinct values.
    pub cap: u64,
    /// Records since the start whose value went to `(other)`.
    pub overflowed: u64,
}

/// The names of one dictionary table with one name column.
#[derive(Debug)]
pub(super) struct Dictionary {
    insert: &'static str,
    select: &'static str,
    count: &'static str,
    ids: FxHashMap<Name, i64>,
    state: DimensionCaps,
}

impl Dictionary {
    const fn new(insert: &'static str, select: &'static str, count: &'static str) -> Self {
        let ids = FxHashMap::with_hasher(rustc_hash::FxBuildHasher);
        let state = DimensionCaps { distinct: 0, cap: 0, overflowed: 0 };
        Self { insert, select, count, ids, state }
    }

    /// Forgets the cache and counts the stored names.
    fn reload(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.ids.clear();
        let rows: i64 = connection.query_row(self.count, [], |row| row.get(0))?;
        self.state.distinct = u64::try_from(rows - 2).unwrap_or(0);
        Ok(())
    }

    /// The id of a name that is stored, or `(other)` when the cap leaves no room for it; `None` for a name with room.
    fn find(&self, connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
        if let Some(id) = self.ids.get(name) {
            return Ok(Some(*id));
        }
        let mut select = connection.prepare_cached(self.select)?;
        let stored = select.query_row([name], |row| row.get(0)).optional()?;
        Ok(stored.or_else(|| (self.state.distinct >= self.state.cap).then_some(OTHER_ID)))
    }

    fn id(&mut self, connection: &Connection, name: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.ids.get(name) {
            if *id == OTHER_ID {
                self.state.overflowed += 1;
            }
            return Ok(*id);
        }
        let id = match self.find(connection, name)? {
            Some(id) => {
                self.state.overflowed += u64::from(id == OTHER_ID);
                id
            }
            None => {
                connection.prepare_cached(self.insert)?.execute([name])?;
                self.state.distinct += 1;
                connection.last_insert_rowid()
            }
        };
        if self.ids.len() >= CACHE_NAMES {
            self.ids.clear();
        }
        self.ids.insert(Name::new(name), id);
        Ok(id)
    }
}

/// The dictionaries of the connection that writes.
#[derive(Debug)]
pub(super) struct Interner {
    users: Dictionary,
    spaces: Dictionary,
    labels: Dictionary,
    models: FxHashMap<(Name, Name), i64>,
    models_state: DimensionCaps,
}

impl Interner {
    pub(super) fn new(config: &StoreConfig) -> Self {
        let mut interner = Self {
            users: Dictionary::new(
                "insert into users (name) values (?1)",
                "select user_id from users where name = ?1",
                "select count(*) from users",
            ),
            spaces: Dictionary::new(
                "insert into spaces (name) values (?1)",
                "select space_id from spaces where name = ?1",
                "select count(*) from spaces",
            ),
            labels: Dictionary::new(
                "insert into labels (name) values (?1)",
                "select label_id from labels where name = ?1",
                "select count(*) from labels",
            ),
            models: FxHashMap::default(),
            models_state: DimensionCaps { cap: config.max_models, ..DimensionCaps::default() },
        };
        interner.users.state.cap = config.max_users;
        interner.spaces.state.cap = config.max_spaces;
        interner.labels.state.cap = config.max_labels;
        interner
    }

    /// Forgets everything cached, as after a rolled-back transaction.
    pub(super) fn reload(&mut self, connection: &Connection) -> Result<()> {
        self.try_reload(connection).map_err(storage("reading the dictionaries"))
    }

    fn try_reload(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for dictionary in [&mut self.users, &mut self.spaces, &mut self.labels] {
            dictionary.reload(connection)?;
        }
        self.models.clear();
        let mut statement = connection.prepare("select model_id, provider, name from models")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (provider, name): (String, String) = (row.get(1)?, row.get(2)?);
            self.models.insert((Name::from(provider), Name::from(name)), row.get(0)?);
        }
        self.models_state.distinct =
            u64::try_from(self.models.len()).unwrap_or(0).saturating_sub(2);
        Ok(())
    }

    pub(super) fn user(&mut self, c: &Connection, name: Option<&Name>) -> rusqlite::Result<i64> {
        name.map_or(Ok(NONE_ID), |name| self.users.id(c, name))
    }

    pub(super) fn space(&mut self, c: &Connection, name: Option<&Name>) -> rusqlite::Result<i64> {
        name.map_or(Ok(NONE_ID), |name| self.spaces.id(c, name))
    }

    /// The spaces in which the sender of a record may write. A space without a record has no id, and no duplicates.
    pub(super) fn writable_spaces(
        &self,
        connection: &Connection,
        record: &RequestRecord,
    ) -> rusqlite::Result<WritableSpaces> {
        let Some(names) = &record.sender_spaces else { return Ok(WritableSpaces::All) };
        let ids = names.iter().map(|name| self.spaces.find(connection, name));
        let found: rusqlite::Result<Vec<Option<i64>>> = ids.collect();
        Ok(WritableSpaces::Ids(found?.into_iter().flatten().collect()))
    }

    pub(super) fn label(&mut self, c: &Connection, name: Option<&Name>) -> rusqlite::Result<i64> {
        name.map_or(Ok(NONE_ID), |name| self.labels.id(c, name))
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
        if self.models_state.distinct >= self.models_state.cap {
            self.models_state.overflowed += 1;
            return Ok(OTHER_ID);
        }
        connection
            .prepare_cached("insert into models (provider, name) values (?1, ?2)")?
            .execute(params![key.0.as_str(), key.1.as_str()])?;
        let id = connection.last_insert_rowid();
        self.models_state.distinct += 1;
        self.models.insert(key, id);
        Ok(id)
    }

    /// Users, spaces, models, labels.
    pub(super) fn caps(&self) -> [(&'static str, DimensionCaps); 4] {
        [
            ("users", self.users.state),
            ("spaces", self.spaces.state),
            ("models", self.models_state),
            ("labels", self.labels.state),
        ]
    }
}
