//! Selections turned into SQL: the only dynamic SQL of the program.
//!
//! The text is built from column names of closed enums; every value is bound.

use std::fmt::Write as _;

use rusqlite::types::Value;

use super::names::ResolvedFilter;
use super::request_id::request_id_value;
use super::row::RowParts;
use super::sketch_rows::sketch_column;
use crate::model::{
    Column, Grouping, KeyColumn, LatencyKind, Level, RequestId, TimeRange, Timestamp,
};

/// Plain measures of one grouping at one level.
#[derive(Clone, Debug)]
pub struct RollupSelect<'a> {
    /// The rollup.
    pub grouping: Grouping,
    /// The level.
    pub level: Level,
    /// Buckets that start in here.
    pub range: TimeRange,
    /// The columns wanted.
    pub columns: &'a [Column],
    /// Restrictions on the key columns of the grouping; others are not looked at.
    pub filter: &'a ResolvedFilter,
}

/// Sketches of one grouping at one level.
#[derive(Clone, Debug)]
pub struct SketchSelect<'a> {
    /// The rollup.
    pub grouping: Grouping,
    /// The level.
    pub level: Level,
    /// Buckets that start in here.
    pub range: TimeRange,
    /// The latencies wanted.
    pub kinds: &'a [LatencyKind],
    /// Restrictions on the key columns of the grouping; others are not looked at.
    pub filter: &'a ResolvedFilter,
}

/// Raw rows.
#[derive(Clone, Debug)]
pub struct RawSelect<'a> {
    /// Rows that started in here.
    pub range: TimeRange,
    /// Rows with a greater `seq`: those that the rollups do not include.
    pub after_seq: Option<i64>,
    /// Rows with at most this `seq`: those that the rollups include.
    pub upto_seq: Option<i64>,
    /// Restrictions.
    pub filter: &'a ResolvedFilter,
}

/// Text and values of a statement.
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Statement {
    pub(super) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    /// Appends text in which each `?` takes the next of `values`.
    pub(super) fn push(&mut self, sql: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(sql);
        self.values.extend(values);
    }

    fn push_ids(&mut self, column: &str, ids: &[i64]) {
        let sql = format!(" and {column} in (select value from json_each(?))");
        self.push(&sql, [Value::Text(json_array(ids))]);
    }
}

/// A user's requests are found by steps of this length: the index is in their order first, so that new requests meet on
/// few of its pages.
pub(super) const USER_STEP_MS: i64 = 7_200_000;

/// A user whose requests are asked for is taken to send one in so many.
const REQUESTS_OF_ONE: i64 = 500;

/// The point look-ups of a bucket series pay off while there are few of them.
const POINT_LOOKUPS: i64 = 4_096;

fn json_array(ids: &[i64]) -> String {
    let mut text = String::from("[");
    for (position, id) in ids.iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        write!(text, "{comma}{id}").unwrap_or_else(|_| unreachable!("writing to a String"));
    }
    text.push(']');
    text
}

impl RollupSelect<'_> {
    pub(super) fn statement(&self) -> Statement {
        let columns: Vec<&str> = self.columns.iter().map(|column| column.name()).collect();
        keyed(self.grouping, self.grouping.table(), self.level, self.range, self.filter, &columns)
    }
}

impl SketchSelect<'_> {
    pub(super) fn statement(&self) -> Statement {
        let table = self.grouping.sketch_table();
        let columns: Vec<String> = self.kinds.iter().map(|kind| sketch_column(*kind)).collect();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        keyed(self.grouping, table, self.level, self.range, self.filter, &columns)
    }
}

/// `select bucket, keys, columns` of a rollup table, by point look-ups where the keys are named.
fn keyed(
    grouping: Grouping,
    table: &str,
    level: Level,
    range: TimeRange,
    filter: &ResolvedFilter,
    columns: &[&str],
) -> Statement {
    let mut list = String::from("r.bucket_ms");
    for name in grouping.keys().iter().map(|key| key.column()).chain(columns.iter().copied()) {
        list.push_str(", r.");
        list.push_str(name);
    }
    let (from, to) = (range.start.as_unix_ms(), range.end.as_unix_ms());
    let buckets = range.width_ms() / level.width_ms();
    let first_ids = grouping.keys().first().and_then(|key| filter.ids(*key));
    let mut statement = match first_ids {
        Some(ids) if buckets * i64::try_from(ids.len()).unwrap_or(i64::MAX) <= POINT_LOOKUPS => {
            point_lookups(&list, table, grouping, level, (from, to), ids)
        }
        _ => {
            let mut scan = Statement::new(format!("select {list} from {table} r"));
            scan.push(
                " where r.level_minutes = ? and r.bucket_ms >= ? and r.bucket_ms < ?",
                [level.minutes(), from, to].map(Value::Integer),
            );
            scan
        }
    };
    for key in grouping.keys() {
        if let Some(ids) = filter.ids(*key) {
            statement.push_ids(&format!("r.{}", key.column()), ids);
        }
    }
    statement
}

fn point_lookups(
    list: &str,
    table: &str,
    grouping: Grouping,
    level: Level,
    (from, to): (i64, i64),
    ids: &[i64],
) -> Statement {
    let key = grouping.keys()[0].column();
    let from = Timestamp::from_unix_ms(from).ceil_to(level.width_ms()).as_unix_ms();
    let mut statement = Statement::new("");
    statement.push(
        "with recursive b(t) as (select ? where ? < ? union all select t + ? from b where t + ? < ?)",
        [from, from, to, level.width_ms(), level.width_ms(), to].map(Value::Integer),
    );
    statement.push(
        &format!(
            " select {list} from b cross join json_each(?) i cross join {table} r \
             where r.level_minutes = ? and r.bucket_ms = b.t and r.{key} = i.value"
        ),
        [Value::Text(json_array(ids)), Value::Integer(level.minutes())],
    );
    statement
}

/// `select` of the steps from one to another, as far as there are requests.
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
    pub(super) fn statement(&self, parts: RowParts) -> Statement {
        self.statement_of(&parts.columns())
    }

    pub(super) fn starts_statement(&self) -> Statement {
        self.statement_of("started_at_ms")
    }

    pub(super) fn count_statement(&self) -> Statement {
        self.statement_of("count(*)")
    }

    fn statement_of(&self, columns: &str) -> Statement {
        let mut statement = Statement::new(format!("select {columns} from requests"));
        self.conditions(&mut statement);
        statement
    }

    /// Whether the filter names users, and their rows, in whole steps, are fewer than all rows of the range.
    pub(super) fn is_read_by_user(&self) -> bool {
        let Some(ids) = self.filter.ids(KeyColumn::User) else { return false };
        let step = |at: Timestamp| at.as_unix_ms().div_euclid(USER_STEP_MS);
        let steps = step(self.range.end).saturating_sub(step(self.range.start)).saturating_add(1);
        let users = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        let of_users_ms =
            steps.saturating_mul(USER_STEP_MS).saturating_mul(users) / REQUESTS_OF_ONE;
        ids.iter().all(|id| *id > 1) && of_users_ms <= self.range.width_ms()
    }

    /// The conditions with the index that suits them: the tail is read in order of arrival, users by
    /// their own index, everything else by time. A unary plus keeps a column away from the planner.
    fn conditions(&self, statement: &mut Statement) {
        let by_user = self.after_seq.is_none() && self.is_read_by_user();
        let time = match self.after_seq {
            _ if by_user => {
                statement.push(" indexed by requests__started_at_ms_user_id", []);
                "+started_at_ms"
            }
            Some(_) => "+started_at_ms",
            None => {
                statement.push(" indexed by requests__started_at_ms", []);
                "started_at_ms"
            }
        };
        let (from, to) = (self.range.start.as_unix_ms(), self.range.end.as_unix_ms());
        statement.push(
            &format!(" where {time} >= ? and {time} < ?"),
            [Value::Integer(from), Value::Integer(to)],
        );
        if by_user {
            statement.push(
                &format!(
                    " and user_id > 1 and started_at_ms / {USER_STEP_MS} in ({})",
                    user_steps()
                ),
                [from, to].map(|ms| Value::Integer(ms / USER_STEP_MS)),
            );
        }
        if let Some(seq) = self.after_seq {
            statement.push(" and seq > ?", [Value::Integer(seq)]);
        }
        if let Some(seq) = self.upto_seq {
            statement.push(" and +seq <= ?", [Value::Integer(seq)]);
        }
        push_filter(statement, self.filter);
    }
}

/// Appends every restriction of the filter, as conditions on `requests`.
pub(super) fn push_filter(statement: &mut Statement, filter: &ResolvedFilter) {
    for key in [KeyColumn::Space, KeyColumn::User, KeyColumn::Model] {
        if let Some(ids) = filter.ids(key) {
            statement.push_ids(key.column(), ids);
        }
    }
    if let Some(codes) = &filter.outcomes {
        statement.push_ids("outcome", codes);
    }
    if let Some(codes) = &filter.sources {
        statement.push_ids("source", codes);
    }
    if let Some(streamed) = filter.streamed {
        statement.push(" and streamed = ?", [Value::Integer(i64::from(streamed))]);
    }
    if let Some(bounds) = filter.latency {
        let column = format!("{}_us", bounds.kind.stem());
        let us = |us| Value::Integer(i64::try_from(us).unwrap_or(i64::MAX));
        statement.push(&format!(" and {column} >= ?"), [us(bounds.min_us)]);
        if let Some(max_us) = bounds.max_us {
            statement.push(&format!(" and {column} < ?"), [us(max_us)]);
        }
    }
}

/// One whole row, when it matches the filter.
pub(super) fn row_statement(columns: &str, filter: &ResolvedFilter, seq: i64) -> Statement {
    let mut statement = Statement::new(format!("select {columns} from requests"));
    statement.push(" where seq = ?", [Value::Integer(seq)]);
    push_filter(&mut statement, filter);
    statement
}

/// The last `limit` whole rows that arrived after `seq`, the last first.
pub(super) fn arrivals_statement(
    columns: &str,
    filter: &ResolvedFilter,
    seq: i64,
    limit: usize,
) -> Statement {
    let mut statement = Statement::new(format!("select {columns} from requests"));
    statement.push(" where seq > ?", [Value::Integer(seq)]);
    push_filter(&mut statement, filter);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.push(" order by seq desc limit ?", [Value::Integer(limit)]);
    statement
}

/// The newest whole row with this id, or the one that started at `started_at`.
pub(super) fn record_statement(
    columns: &str,
    id: &RequestId,
    started_at: Option<Timestamp>,
    filter: &ResolvedFilter,
) -> Statement {
    let mut statement = Statement::new(format!(
        "select {columns} from requests indexed by requests__started_at_ms"
    ));
    let id = request_id_value(id);
    statement.push(
        " where substr(request_id, case typeof(request_id) when 'blob' then -2 else -3 end)
              = substr(?, case typeof(?) when 'blob' then -2 else -3 end) and request_id = ?",
        [id.clone(), id.clone(), id],
    );
    if let Some(at) = started_at {
        statement.push(" and started_at_ms = ?", [Value::Integer(at.as_unix_ms())]);
    }
    push_filter(&mut statement, filter);
    statement.push(" order by started_at_ms desc limit 1", []);
    statement
}
