//! Builds the SQL that reads rollups, sketches and raw rows.
//!
//! The text consists of fixed fragments and of table and column names of closed enums; every value is bound.

use rusqlite::types::Value;

use super::columns::{request_id_value, saturated, to_json};
use super::encoded_sketch::sketch_column;
use crate::model::{
    Column, Grouping, KeyColumn, LatencyBounds, LatencyKind, Level, RequestId, TimeRange, Timestamp,
};

/// A filter whose names are resolved to ids. `None` restricts nothing; an empty list matches nothing.
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

/// The key columns that a filter can restrict.
const KEY_COLUMNS: [KeyColumn; 3] = [KeyColumn::Space, KeyColumn::User, KeyColumn::Model];

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
        KEY_COLUMNS.into_iter().filter(|key| self.ids(*key).is_some())
    }

    /// Whether the filter restricts a column that rollups lack, so that only raw rows can serve the query.
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

/// Selects rollup rows of one grouping at one level. With `C = Column` it reads the numbers of the rollup table, with
/// `C = LatencyKind` the sketches of the sketch table.
#[derive(Clone, Debug)]
pub struct RollupSelect<'a, C = Column> {
    /// The grouping of the rollup.
    pub grouping: Grouping,
    /// The width of the buckets.
    pub level: Level,
    /// Selects the buckets that start in this range.
    pub range: TimeRange,
    /// The columns to read.
    pub columns: &'a [C],
    /// Restricts the key columns of the grouping; restrictions of other columns are ignored.
    pub filter: &'a ResolvedFilter,
}

/// Selects the sketches of one grouping at one level, one column for each latency.
pub type SketchSelect<'a> = RollupSelect<'a, LatencyKind>;

/// Selects raw rows.
#[derive(Clone, Debug)]
pub struct RawSelect<'a> {
    /// Selects the rows of requests that started in this range.
    pub range: TimeRange,
    /// Exclusive lower bound of `seq`. With the watermark, selects the rows that the rollups do not include yet.
    pub after_seq: Option<i64>,
    /// Inclusive upper bound of `seq`. With the watermark, selects the rows that the rollups include.
    pub upto_seq: Option<i64>,
    /// Restricts the rows.
    pub filter: &'a ResolvedFilter,
}

/// The text of a statement and the values of its parameters.
pub(super) struct BoundSql {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl BoundSql {
    pub(super) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    /// Appends SQL text; its `?` parameters are bound to `values` in order.
    pub(super) fn push(&mut self, sql: &str, values: impl IntoIterator<Item: Into<Value>>) {
        self.sql.push_str(sql);
        self.values.extend(values.into_iter().map(Into::into));
    }

    fn push_ids(&mut self, column: &str, ids: &[i64]) {
        let sql = format!(" and {column} in (select value from json_each(?))");
        self.push(&sql, [to_json(ids)]);
    }
}

/// The second column of the time index: the last byte of a blob id, or the last two characters of a text id.
macro_rules! id_end {
    () => {
        "substr(request_id, case typeof(request_id) when 'blob' then -1 else -2 end)"
    };
}
pub(super) use id_end;
pub(super) const ID_END: &str = id_end!();

/// Width of a step of the user index, in milliseconds (two hours). The step is the first column of that index, so that
/// new requests of all users dirty the same few database pages.
pub(super) const USER_STEP_MS: i64 = 7_200_000;

/// Estimate for choosing an index: one user sends 1 in 500 of all requests.
const REQUESTS_OF_ONE: i64 = 500;

/// Maximum number of point look-ups (buckets times ids) of one statement; with more, a scan is cheaper.
const POINT_LOOKUPS: i64 = 4_096;

impl RollupSelect<'_> {
    pub(super) fn statement(&self) -> BoundSql {
        self.statement_of(self.grouping.table(), self.columns.iter().map(|column| column.name()))
    }
}

impl SketchSelect<'_> {
    pub(super) fn statement(&self) -> BoundSql {
        let columns = self.columns.iter().copied().map(sketch_column);
        self.statement_of(self.grouping.sketch_table(), columns)
    }
}

impl<C> RollupSelect<'_, C> {
    /// Selects bucket, keys and columns of a rollup or sketch table: by point look-ups if the filter names few ids of
    /// the first key, else by a scan.
    fn statement_of<S: AsRef<str>>(
        &self,
        table: &str,
        columns: impl Iterator<Item = S>,
    ) -> BoundSql {
        let keys = self.grouping.keys();
        let mut list = String::from("r.bucket_ms");
        keys.iter().for_each(|key| list.extend([", r.", key.column()]));
        columns.for_each(|name| list.extend([", r.", name.as_ref()]));
        let buckets = (self.range.width_ms() / self.level.width_ms()).max(1);
        let is_few = |ids: &&[i64]| buckets.saturating_mul(saturated(ids.len())) <= POINT_LOOKUPS;
        let first_ids = keys.first().and_then(|key| self.filter.ids(*key)).filter(is_few);
        let mut statement = match first_ids {
            Some(ids) => self.point_lookups(&list, table, ids),
            None => self.scan(&list, table),
        };
        for key in keys {
            if let Some(ids) = self.filter.ids(*key) {
                statement.push_ids(&format!("r.{}", key.column()), ids);
            }
        }
        statement
    }

    fn scan(&self, list: &str, table: &str) -> BoundSql {
        let mut statement = BoundSql::new(format!("select {list} from {table} r"));
        let (from, to) = (self.range.start.as_unix_ms(), self.range.end.as_unix_ms());
        statement.push(
            " where r.level_minutes = ? and r.bucket_ms >= ? and r.bucket_ms < ?",
            [self.level.minutes(), from, to],
        );
        statement
    }

    fn point_lookups(&self, list: &str, table: &str, ids: &[i64]) -> BoundSql {
        let (key, width_ms) = (self.grouping.keys()[0].column(), self.level.width_ms());
        let from = self.range.start.ceil_to(width_ms).as_unix_ms();
        let to = self.range.end.as_unix_ms();
        let mut statement = BoundSql::new("");
        statement.push(
            "with recursive b(t) as (select ? where ? < ? union all select t + ? from b where t + ? < ?)",
            [from, from, to, width_ms, width_ms, to],
        );
        statement.push(&format!(" select {list} from b cross join json_each(?) i"), [to_json(ids)]);
        statement.push(
            &format!(
                " cross join {table} r \
                 where r.level_minutes = ? and r.bucket_ms = b.t and r.{key} = i.value"
            ),
            [self.level.minutes()],
        );
        statement
    }
}

/// Selects the steps of the user index between two bound steps, inclusive, clipped to the oldest and newest request.
fn user_steps() -> String {
    let edge = |function: &str| {
        format!("(select {function}(started_at_ms) / {USER_STEP_MS} from requests)")
    };
    format!(
        "with recursive steps(step, last) as (
             select max(?, {}), min(?, {})
             union all select step + 1, last from steps where step < last
         ) select step from steps",
        edge("min"),
        edge("max")
    )
}

impl RawSelect<'_> {
    pub(super) fn statement(&self, columns: &str) -> BoundSql {
        let mut statement = BoundSql::new(format!("select {columns} from requests"));
        self.conditions(&mut statement);
        statement
    }

    /// Whether the user index is cheaper to read than the time index.
    ///
    /// The user index is read in whole steps, so this compares the estimated requests of the filter's users in all
    /// steps that the range touches with the estimated requests of all users in the range. The index has no entries for
    /// the reserved ids 0 (no user) and 1 (`(other)`).
    pub(super) fn is_read_by_user(&self) -> bool {
        let Some(ids) = self.filter.ids(KeyColumn::User) else { return false };
        let step = |at: Timestamp| at.as_unix_ms().div_euclid(USER_STEP_MS);
        let steps = step(self.range.end).saturating_sub(step(self.range.start)).saturating_add(1);
        let of_users_ms = steps.saturating_mul(USER_STEP_MS).saturating_mul(saturated(ids.len()))
            / REQUESTS_OF_ONE;
        ids.iter().all(|id| *id > 1) && of_users_ms <= self.range.width_ms()
    }

    /// Appends the index to use and the conditions. What came after `after_seq` is read by `seq`, few users by the user
    /// index, everything else by the time index. A unary plus keeps SQLite from using another index for a column.
    fn conditions(&self, statement: &mut BoundSql) {
        let by_user = self.after_seq.is_none() && self.is_read_by_user();
        let (index, time) = match self.after_seq {
            _ if by_user => (" indexed by requests__started_at_ms_user_id", "+started_at_ms"),
            Some(_) => ("", "+started_at_ms"),
            None => (" indexed by requests__started_at_ms", "started_at_ms"),
        };
        let bounds = [self.range.start.as_unix_ms(), self.range.end.as_unix_ms()];
        statement.push(&format!("{index} where {time} >= ? and {time} < ?"), bounds);
        if by_user {
            let steps = user_steps();
            statement.push(
                &format!(" and user_id > 1 and started_at_ms / {USER_STEP_MS} in ({steps})"),
                bounds.map(|ms| ms / USER_STEP_MS),
            );
        }
        if let Some(seq) = self.after_seq {
            statement.push(" and seq > ?", [seq]);
        }
        if let Some(seq) = self.upto_seq {
            let column = if self.after_seq.is_some() { "seq" } else { "+seq" };
            statement.push(&format!(" and {column} <= ?"), [seq]);
        }
        push_filter(statement, self.filter);
    }
}

/// Appends every restriction of the filter as a condition on `requests`.
pub(super) fn push_filter(statement: &mut BoundSql, filter: &ResolvedFilter) {
    let keys = KEY_COLUMNS.map(|key| (key.column(), filter.ids(key)));
    let codes = [("outcome", filter.outcomes.as_deref()), ("source", filter.sources.as_deref())];
    for (column, ids) in keys.into_iter().chain(codes) {
        if let Some(ids) = ids {
            statement.push_ids(column, ids);
        }
    }
    if let Some(streamed) = filter.streamed {
        statement.push(" and streamed = ?", [streamed]);
    }
    if let Some(bounds) = filter.latency {
        let column = format!("{}_us", bounds.kind.as_str());
        statement.push(&format!(" and {column} >= ?"), [saturated(bounds.min_us)]);
        if let Some(max_us) = bounds.max_us {
            statement.push(&format!(" and {column} < ?"), [saturated(max_us)]);
        }
    }
}

/// Selects the row with this `seq`, if it matches the filter.
pub(super) fn row_statement(columns: &str, filter: &ResolvedFilter, seq: i64) -> BoundSql {
    let mut statement = BoundSql::new(format!("select {columns} from requests"));
    statement.push(" where seq = ?", [seq]);
    push_filter(&mut statement, filter);
    statement
}

/// Selects the newest `limit` rows that arrived after `seq`, the latest arrival first.
pub(super) fn arrivals_statement(
    columns: &str,
    filter: &ResolvedFilter,
    seq: i64,
    limit: usize,
) -> BoundSql {
    let mut statement = BoundSql::new(format!("select {columns} from requests"));
    statement.push(" where seq > ?", [seq]);
    push_filter(&mut statement, filter);
    statement.push(" order by seq desc limit ?", [saturated(limit)]);
    statement
}

/// Selects the row with this id that started at `started_at`; without `started_at`, the row with this id that started
/// last.
pub(super) fn record_statement(
    columns: &str,
    id: &RequestId,
    started_at: Option<Timestamp>,
    filter: &ResolvedFilter,
) -> BoundSql {
    let mut statement =
        BoundSql::new(format!("select {columns} from requests indexed by requests__started_at_ms"));
    let id = request_id_value(id);
    statement.push(
        &format!(" where {ID_END} = {} and request_id = ?", ID_END.replace("request_id", "?")),
        [id.clone(), id.clone(), id],
    );
    if let Some(at) = started_at {
        statement.push(" and started_at_ms = ?", [at.as_unix_ms()]);
    }
    push_filter(&mut statement, filter);
    statement.sql.push_str(" order by started_at_ms desc limit 1");
    statement
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::store::Store;

    #[test]
    fn requests_between_two_arrivals_are_read_by_both() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = crate::Config::default().store;
        config.path = directory.path().join("chat.db");
        drop(Store::open(&config).unwrap());
        let connection = rusqlite::Connection::open(&config.path).unwrap();
        let range = TimeRange::new(Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(1));
        let filter = &ResolvedFilter::default();
        let plan = |after_seq, upto_seq| {
            let select = RawSelect { range, after_seq, upto_seq, filter };
            let statement = select.statement("seq");
            let sql = format!("explain query plan {}", statement.sql);
            let values = rusqlite::params_from_iter(statement.values);
            connection.query_row(&sql, values, |row| row.get::<_, String>("detail")).unwrap()
        };
        let bounds = "INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
        assert!(plan(Some(1), Some(2)).contains(bounds), "{}", plan(Some(1), Some(2)));
        let by_time = plan(None, Some(2));
        assert!(
            by_time.contains("requests__started_at_ms (started_at_ms>? AND started_at_ms<?)"),
            "{by_time}"
        );
    }
}
