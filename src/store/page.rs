//! Pages of stored requests, newest first, by keyset pagination: where one page ended bounds the index for the next, so that
//! a page costs the same wherever in the range it lies.
//!
//! The order is that of the index of time, read backwards: start, then the end of the id, then arrival. No page is
//! sorted, however many requests started in one millisecond.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Row, params_from_iter};

use super::error::storage;
use super::names::ResolvedFilter;
use super::read::Reader;
use super::records::{NameCache, RECORD_COLUMNS, read_record};
use super::select::{RawSelect, Statement, USER_STEP_MS, push_filter};
use crate::error::Result;
use crate::model::{RequestRecord, TimeRange, Timestamp};

/// The second column of the index of time.
macro_rules! id_end {
    () => {
        "substr(request_id, case typeof(request_id) when 'blob' then -2 else -3 end)"
    };
}
const ID_END: &str = id_end!();
/// The columns that [`read_cursor`] expects, and `seq`: all that the index of time has.
const KEY_COLUMNS: &str = concat!("started_at_ms, ", id_end!(), ", seq");
/// The order of pages.
const TIME_ORDER: &str = concat!("started_at_ms desc, ", id_end!(), " desc, seq desc");
/// The order of pages within a millisecond.
const ID_ORDER: &str = concat!(id_end!(), " desc, seq desc");

/// Rows, for each row that a filtered page still wants, that are looked at in order of time before a user's own index
/// is tried: whoever sends one request in 32 is found faster by time.
const ROWS_PER_MATCH: usize = 32;
/// Fewest rows of a filtered page that are looked at in one statement.
const MIN_STRETCH: usize = 1_000;
/// Most rows of a filtered page that are looked at in one statement: about 30 ms, until it is asked whether to stop.
const MAX_STRETCH: usize = 16_384;

/// Which requests a page is taken from.
#[derive(Clone, Copy, Debug)]
pub struct PageSelect<'a> {
    /// Requests that started in here.
    pub range: TimeRange,
    /// Restrictions.
    pub filter: &'a ResolvedFilter,
    /// Requests with at most this `seq`.
    pub upto_seq: Option<i64>,
    /// Where the page before ended.
    pub after: Option<&'a PageCursor>,
    /// Most requests.
    pub limit: usize,
}

/// Where a page ended: everything that the next page may have comes after it in the order of pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageCursor {
    started_at_ms: i64,
    /// The last row of that millisecond that was looked at; `None`: all of them were.
    row: Option<RowKey>,
}

/// What tells a row from the others of its millisecond.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RowKey {
    id_end: IdEnd,
    seq: i64,
}

/// The end of an id as the index has it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum IdEnd {
    /// Of a UUID.
    Bytes(Vec<u8>),
    /// Of another id.
    Text(String),
}

impl IdEnd {
    fn value(&self) -> Value {
        match self {
            Self::Bytes(bytes) => Value::Blob(bytes.clone()),
            Self::Text(text) => Value::Text(text.clone()),
        }
    }
}

impl PageCursor {
    /// Length in bytes of the cursors of earlier versions, which had no end of an id.
    pub const EARLIER_BYTES: usize = 16;

    /// The start of the last request before the next page.
    pub const fn started_at(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.started_at_ms)
    }

    /// The cursor as bytes, never [`EARLIER_BYTES`](Self::EARLIER_BYTES) of them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.started_at_ms.to_be_bytes().to_vec();
        let Some(RowKey { id_end, seq }) = &self.row else {
            bytes.push(0);
            return bytes;
        };
        let (kind, end) = match id_end {
            IdEnd::Bytes(end) => (1, end.as_slice()),
            IdEnd::Text(end) => (2, end.as_bytes()),
        };
        bytes.push(kind);
        bytes.extend_from_slice(&seq.to_be_bytes());
        bytes.extend_from_slice(end);
        bytes
    }

    /// The cursor that [`to_bytes`](Self::to_bytes) gave; `None` for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (started_at_ms, rest) = bytes.split_first_chunk()?;
        let started_at_ms = i64::from_be_bytes(*started_at_ms);
        let (kind, rest) = rest.split_first()?;
        if *kind == 0 {
            return rest.is_empty().then_some(Self { started_at_ms, row: None });
        }
        let (seq, end) = rest.split_first_chunk()?;
        let id_end = match *kind {
            1 => IdEnd::Bytes(end.to_vec()),
            2 => IdEnd::Text(String::from_utf8(end.to_vec()).ok()?),
            _ => return None,
        };
        Some(Self { started_at_ms, row: Some(RowKey { id_end, seq: i64::from_be_bytes(*seq) }) })
    }
}

impl Reader<'_> {
    /// Hands the requests of a page with their `seq` to `each`, newest first, and gives where the next page begins;
    /// `None` when nothing follows.
    ///
    /// Of a filter that few rows match, many rows are looked at. Now and then `stop` is asked: when it says so, the page
    /// ends where it is, with fewer requests than its limit, maybe none, and a cursor.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn page(
        &self,
        select: &PageSelect<'_>,
        names: &mut NameCache,
        stop: &mut dyn FnMut() -> bool,
        each: impl FnMut(i64, RequestRecord),
    ) -> Result<Option<PageCursor>> {
        let pager = Pager { reader: self, select, names, each, left: select.limit, last_seq: None };
        pager.run(stop).map_err(storage("reading requests"))
    }
}

impl Reader<'_> {
    /// The `seq` and the place of up to `limit` requests of a range, in the order of pages, after the place `after`; nothing
    /// but the index of time is read.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn page_keys(
        &self,
        range: TimeRange,
        after: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Vec<(i64, PageCursor)>> {
        let read = || -> rusqlite::Result<Vec<_>> {
            let mut keys = Vec::new();
            for (mut statement, order) in stretches(KEY_COLUMNS, range, after) {
                let left = i64::try_from(limit - keys.len()).unwrap_or(i64::MAX);
                statement.push(&format!(" order by {order} limit ?"), [Value::Integer(left)]);
                let mut prepared = self.connection().prepare_cached(&statement.sql)?;
                let mut rows = prepared.query(params_from_iter(&statement.values))?;
                while let Some(row) = rows.next()? {
                    let seq = row.get(2)?;
                    keys.push((seq, read_cursor(row, seq)?));
                }
            }
            Ok(keys)
        };
        read().map_err(storage("reading the index of time"))
    }
}

/// A page that is being read.
struct Pager<'p, 'r, E> {
    reader: &'p Reader<'r>,
    select: &'p PageSelect<'p>,
    names: &'p mut NameCache,
    each: E,
    /// Requests that still fit.
    left: usize,
    /// The last request handed out.
    last_seq: Option<i64>,
}

impl<E: FnMut(i64, RequestRecord)> Pager<'_, '_, E> {
    fn run(mut self, stop: &mut dyn FnMut() -> bool) -> rusqlite::Result<Option<PageCursor>> {
        let range = self.select.range;
        let (from_ms, end_ms) = (range.start.as_unix_ms(), end_ms(range, self.select.after));
        for (mut statement, order) in
            rest_of_millisecond(RECORD_COLUMNS, range, self.select.after).into_iter().flatten()
        {
            self.finish(&mut statement, order);
            if self.read(&statement)? {
                return self.cursor();
            }
        }
        if *self.select.filter == ResolvedFilter::default() {
            return if self.read(&self.by_time(from_ms, end_ms))? {
                self.cursor()
            } else {
                Ok(None)
            };
        }
        self.run_filtered(from_ms, end_ms, stop)
    }

    /// Reads on stretch by stretch; users whose requests are few by their own index.
    fn run_filtered(
        mut self,
        from_ms: i64,
        mut end_ms: i64,
        stop: &mut dyn FnMut() -> bool,
    ) -> rusqlite::Result<Option<PageCursor>> {
        let mut rows = self.left.saturating_mul(ROWS_PER_MATCH).clamp(MIN_STRETCH, MAX_STRETCH);
        while from_ms < end_ms {
            let stretch_ms = self.stretch_start(from_ms, end_ms, rows)?;
            if self.read(&self.by_time(stretch_ms, end_ms))? {
                return self.cursor();
            }
            end_ms = stretch_ms;
            if end_ms > from_ms && stop() {
                return Ok(Some(PageCursor { started_at_ms: end_ms, row: None }));
            }
            let rest = TimeRange::from_unix_ms(from_ms, end_ms);
            if self.raw_select(rest).is_read_by_user() {
                return self.run_by_user(from_ms, end_ms, stop);
            }
            rows = MAX_STRETCH;
        }
        Ok(None)
    }

    /// Reads the steps of the users' index, newest first. Only the rows of one step are sorted.
    fn run_by_user(
        mut self,
        from_ms: i64,
        end_ms: i64,
        stop: &mut dyn FnMut() -> bool,
    ) -> rusqlite::Result<Option<PageCursor>> {
        let edge = |sql: &str| {
            let mut edge = self.reader.connection().prepare_cached(sql)?;
            edge.query_row([], |row| row.get::<_, Option<i64>>(0))
        };
        let oldest = edge("select min(started_at_ms) from requests")?;
        let newest = edge("select max(started_at_ms) from requests")?;
        let (Some(oldest_ms), Some(newest_ms)) = (oldest, newest) else { return Ok(None) };
        let first = oldest_ms.max(from_ms) / USER_STEP_MS;
        let last = newest_ms.min(end_ms.saturating_sub(1)) / USER_STEP_MS;
        for step in (first..=last).rev() {
            for seq in self.seqs_of_step(step, from_ms, end_ms)? {
                let sql = format!("select {RECORD_COLUMNS} from requests where seq = ?");
                if self.read(&Statement { sql, values: vec![seq.into()] })? {
                    return self.cursor();
                }
            }
            let start_ms = step * USER_STEP_MS;
            if step > first && stop() {
                return Ok(Some(PageCursor { started_at_ms: start_ms, row: None }));
            }
        }
        Ok(None)
    }

    /// The users' requests of one step, as many as the page could need.
    fn seqs_of_step(&self, step: i64, from_ms: i64, end_ms: i64) -> rusqlite::Result<Vec<i64>> {
        let mut statement =
            Statement::new("select seq from requests indexed by requests__started_at_ms_user_id");
        statement.push(
            &format!(" where user_id > 1 and started_at_ms / {USER_STEP_MS} = ?"),
            [Value::Integer(step)],
        );
        let bounds = [from_ms, end_ms].map(Value::Integer);
        statement.push(" and +started_at_ms >= ? and +started_at_ms < ?", bounds);
        self.finish(&mut statement, concat!("+started_at_ms desc, ", id_end!(), " desc, seq desc"));
        let mut prepared = self.reader.connection().prepare_cached(&statement.sql)?;
        let seqs = prepared.query_map(params_from_iter(&statement.values), |row| row.get(0))?;
        seqs.collect()
    }

    const fn raw_select(&self, range: TimeRange) -> RawSelect<'_> {
        let (filter, upto_seq) = (self.select.filter, self.select.upto_seq);
        RawSelect { range, after_seq: None, upto_seq, filter }
    }

    /// The start of the `rows`th row before `end_ms`, or `from_ms` when there are fewer; only the index is read.
    fn stretch_start(&self, from_ms: i64, end_ms: i64, rows: usize) -> rusqlite::Result<i64> {
        let sql = "select started_at_ms from requests indexed by requests__started_at_ms
                   where started_at_ms >= ?1 and started_at_ms < ?2
                   order by started_at_ms desc limit 1 offset ?3";
        let offset = i64::try_from(rows).unwrap_or(i64::MAX) - 1;
        let mut prepared = self.reader.connection().prepare_cached(sql)?;
        let mut found = prepared.query((from_ms, end_ms, offset))?;
        found.next()?.map_or(Ok(from_ms), |row| row.get(0))
    }

    fn by_time(&self, from_ms: i64, end_ms: i64) -> Statement {
        let (mut statement, order) = by_time(RECORD_COLUMNS, from_ms, end_ms);
        self.finish(&mut statement, order);
        statement
    }

    /// Appends the restrictions, the order and the limit: one row more than fit tells that there are more.
    fn finish(&self, statement: &mut Statement, order: &str) {
        if let Some(seq) = self.select.upto_seq {
            statement.push(" and +seq <= ?", [Value::Integer(seq)]);
        }
        push_filter(statement, self.select.filter);
        let limit = i64::try_from(self.left).unwrap_or(i64::MAX).saturating_add(1);
        statement.push(&format!(" order by {order} limit ?"), [Value::Integer(limit)]);
    }

    /// Hands out rows; `true` when there was one more than fit.
    fn read(&mut self, statement: &Statement) -> rusqlite::Result<bool> {
        let connection = self.reader.connection();
        let mut prepared = connection.prepare_cached(&statement.sql)?;
        let mut rows = prepared.query(params_from_iter(&statement.values))?;
        while let Some(row) = rows.next()? {
            if self.left == 0 {
                return Ok(true);
            }
            let seq = row.get(0)?;
            (self.each)(seq, read_record(row, connection, self.names)?);
            self.left -= 1;
            self.last_seq = Some(seq);
        }
        Ok(false)
    }

    /// The place of the last request that was handed out.
    fn cursor(&self) -> rusqlite::Result<Option<PageCursor>> {
        let Some(seq) = self.last_seq else { return Ok(self.select.after.cloned()) };
        let sql = format!("select started_at_ms, {ID_END} from requests where seq = ?1");
        let mut prepared = self.reader.connection().prepare_cached(&sql)?;
        prepared.query_row([seq], |row| Ok(Some(read_cursor(row, seq)?)))
    }
}

/// A statement without its restrictions, and the order that the index gives it.
type Stretch = (Statement, &'static str);

/// Everything of a range after a place.
fn stretches(columns: &str, range: TimeRange, after: Option<&PageCursor>) -> Vec<Stretch> {
    let rest = rest_of_millisecond(columns, range, after);
    let mut stretches: Vec<Stretch> = rest.into_iter().flatten().collect();
    stretches.push(by_time(columns, range.start.as_unix_ms(), end_ms(range, after)));
    stretches
}

/// The end of what is left of a range after a place, but for the rest of that place's millisecond.
fn end_ms(range: TimeRange, after: Option<&PageCursor>) -> i64 {
    let end_ms = range.end.as_unix_ms();
    after.map_or(end_ms, |cursor| end_ms.min(cursor.started_at_ms))
}

fn by_time(columns: &str, from_ms: i64, end_ms: i64) -> Stretch {
    let mut statement = by_index_of_time(columns);
    let bounds = [from_ms, end_ms].map(Value::Integer);
    statement.push(" where started_at_ms >= ? and started_at_ms < ?", bounds);
    (statement, TIME_ORDER)
}

/// The rows after a place that started in its millisecond: with the same end of the id, then with others. `None` when
/// the place is outside of the range or has all of its millisecond before it.
fn rest_of_millisecond(
    columns: &str,
    range: TimeRange,
    after: Option<&PageCursor>,
) -> Option<[Stretch; 2]> {
    let PageCursor { started_at_ms, row } = after?;
    let RowKey { id_end, seq } = row.as_ref()?;
    if !range.contains(Timestamp::from_unix_ms(*started_at_ms)) {
        return None;
    }
    let (at, id_end) = (Value::Integer(*started_at_ms), id_end.value());
    let (mut same, mut others) = (by_index_of_time(columns), by_index_of_time(columns));
    same.push(
        &format!(" where started_at_ms = ? and {ID_END} = ? and seq < ?"),
        [at.clone(), id_end.clone(), Value::Integer(*seq)],
    );
    others.push(&format!(" where started_at_ms = ? and {ID_END} < ?"), [at, id_end]);
    Some([(same, "seq desc"), (others, ID_ORDER)])
}

fn by_index_of_time(columns: &str) -> Statement {
    Statement::new(format!("select {columns} from requests indexed by requests__started_at_ms"))
}

fn read_cursor(row: &Row<'_>, seq: i64) -> rusqlite::Result<PageCursor> {
    let id_end = match row.get_ref(1)? {
        ValueRef::Blob(bytes) => IdEnd::Bytes(bytes.to_vec()),
        _ => IdEnd::Text(row.get(1)?),
    };
    Ok(PageCursor { started_at_ms: row.get(0)?, row: Some(RowKey { id_end, seq }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_are_never_taken_for_those_of_earlier_versions() {
        let row = |id_end, seq| Some(RowKey { id_end, seq });
        for cursor in [
            PageCursor { started_at_ms: 0, row: None },
            PageCursor { started_at_ms: -1, row: row(IdEnd::Bytes(vec![0, 255]), i64::MAX) },
            PageCursor { started_at_ms: i64::MAX, row: row(IdEnd::Text("é-1".into()), 0) },
            PageCursor { started_at_ms: 1_767_323_045_678, row: row(IdEnd::Text("".into()), 7) },
        ] {
            let bytes = cursor.to_bytes();
            assert_ne!(bytes.len(), PageCursor::EARLIER_BYTES);
            assert_eq!(PageCursor::from_bytes(&bytes), Some(cursor));
        }
        for bytes in [&[0; 16][..], &[0; 10], &[3; 20], &[], &[1, 2]] {
            assert_eq!(PageCursor::from_bytes(bytes), None, "{bytes:?}");
        }
        let mut invalid =
            PageCursor { started_at_ms: 1, row: row(IdEnd::Text("a".into()), 1) }.to_bytes();
        *invalid.last_mut().unwrap() = 0xff;
        assert_eq!(PageCursor::from_bytes(&invalid), None);
    }
}
