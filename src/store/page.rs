//! Pages of stored requests, newest first, by keyset pagination: the next page begins in the index where the previous one
//! ended, so that a page costs the same wherever it lies in the range.
//!
//! The order is that of the time index, read backwards: start, then the end of the id, then arrival. No page is sorted,
//! however many requests started in one millisecond.

use rusqlite::types::{FromSql, Value};
use rusqlite::{Row, params_from_iter};

use super::columns::saturated;
use super::error::storage;
use super::read::Reader;
use super::records::{NameCache, RECORD_COLUMNS, read_record};
use super::select::{
    BoundSql, ID_END, RawSelect, ResolvedFilter, USER_STEP_MS, id_end, push_filter,
};
use crate::error::Result;
use crate::model::{RequestRecord, TimeRange, Timestamp};

/// The columns that [`read_cursor`] expects, and `seq`: all that the time index has.
const KEY_COLUMNS: &str = concat!("started_at_ms, ", id_end!(), ", seq");
/// The order of pages.
const TIME_ORDER: &str = concat!("started_at_ms desc, ", id_end!(), " desc, seq desc");
/// The order of pages within a millisecond.
const ID_ORDER: &str = concat!(id_end!(), " desc, seq desc");

/// Rows that a filtered page reads by time for each row that it still needs, before it tries the user index: a user with
/// one request in 32 is found faster by time.
const ROWS_PER_MATCH: usize = 32;
/// Minimum number of rows that a filtered page reads in one statement.
const MIN_STRETCH: usize = 1_000;
/// Maximum number of rows that a filtered page reads in one statement, before it asks whether to stop: about 30 ms.
const MAX_STRETCH: usize = 16_384;

/// The requests to page through.
#[derive(Clone, Copy, Debug)]
pub struct PageSelect<'a> {
    /// Requests that started in here.
    pub range: TimeRange,
    /// Restrictions.
    pub filter: &'a ResolvedFilter,
    /// Requests with at most this `seq`.
    pub upto_seq: Option<i64>,
    /// The end of the previous page.
    pub after: Option<&'a PageCursor>,
    /// Maximum number of requests.
    pub limit: usize,
}

/// The end of a page: all rows of the next page come after it in the order of pages.
#[derive(Clone, Debug, PartialEq)]
pub struct PageCursor {
    started_at_ms: i64,
    /// The last row of that millisecond that was read, by the end of its id (a blob or a text) and its `seq`; `None` if
    /// all of them were read.
    row: Option<(Value, i64)>,
}

impl PageCursor {
    /// The start of the last request before the next page.
    pub const fn started_at(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.started_at_ms)
    }

    /// The cursor as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.started_at_ms.to_be_bytes().to_vec();
        let Some((id_end, seq)) = &self.row else {
            bytes.push(0);
            return bytes;
        };
        let (kind, end) = match id_end {
            Value::Blob(end) => (1, end.as_slice()),
            Value::Text(end) => (2, end.as_bytes()),
            Value::Null | Value::Integer(_) | Value::Real(_) => (2, &[][..]),
        };
        bytes.push(kind);
        bytes.extend_from_slice(&seq.to_be_bytes());
        bytes.extend_from_slice(end);
        bytes
    }

    /// The cursor that [`to_bytes`](Self::to_bytes) has encoded; `None` for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (started_at_ms, rest) = bytes.split_first_chunk()?;
        let started_at_ms = i64::from_be_bytes(*started_at_ms);
        let (kind, rest) = rest.split_first()?;
        if *kind == 0 {
            return rest.is_empty().then_some(Self { started_at_ms, row: None });
        }
        let (seq, end) = rest.split_first_chunk()?;
        let id_end = match *kind {
            1 => Value::Blob(end.to_vec()),
            2 => Value::Text(String::from_utf8(end.to_vec()).ok()?),
            _ => return None,
        };
        Some(Self { started_at_ms, row: Some((id_end, i64::from_be_bytes(*seq))) })
    }
}

impl Reader<'_> {
    /// Hands the requests of a page with their `seq` to `each`, newest first, and returns the cursor of the next page;
    /// `None` when there is none.
    ///
    /// If the filter matches few rows, this reads many. `stop` is called now and then; when it returns `true`, the page
    /// ends early, with fewer requests than its limit, possibly none, and a cursor.
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

    /// The `seq` and the cursor of up to `limit` requests of a range after `after`, in the order of pages; only the time
    /// index is read.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn page_keys(
        &self,
        range: TimeRange,
        after: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Vec<(i64, PageCursor)>> {
        let mut keys = Vec::new();
        let rest = rest_of_millisecond(KEY_COLUMNS, range, after).into_iter().flatten();
        let later = by_time(KEY_COLUMNS, range.start.as_unix_ms(), end_ms(range, after));
        for (mut statement, order) in rest.chain([later]) {
            statement.push(&format!(" order by {order} limit ?"), [saturated(limit - keys.len())]);
            let values = params_from_iter(&statement.values);
            keys.extend(self.rows("reading the time index", &statement.sql, values, |row| {
                let seq = row.get(2)?;
                Ok((seq, read_cursor(row, seq)?))
            })?);
        }
        Ok(keys)
    }
}

/// The state of reading a page.
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
        let (range, after) = (self.select.range, self.select.after);
        for stretch in rest_of_millisecond(RECORD_COLUMNS, range, after).into_iter().flatten() {
            if self.read(stretch)? {
                return self.cursor();
            }
        }
        let (from_ms, end_ms) = (range.start.as_unix_ms(), end_ms(range, after));
        if *self.select.filter != ResolvedFilter::default() {
            return self.run_filtered(from_ms, end_ms, stop);
        }
        let has_more = self.read(by_time(RECORD_COLUMNS, from_ms, end_ms))?;
        if has_more { self.cursor() } else { Ok(None) }
    }

    /// Reads stretch by stretch; continues with the user index when the filter names users with few requests.
    fn run_filtered(
        mut self,
        from_ms: i64,
        mut end_ms: i64,
        stop: &mut dyn FnMut() -> bool,
    ) -> rusqlite::Result<Option<PageCursor>> {
        let mut rows = self.left.saturating_mul(ROWS_PER_MATCH).clamp(MIN_STRETCH, MAX_STRETCH);
        let (filter, upto_seq) = (self.select.filter, self.select.upto_seq);
        while from_ms < end_ms {
            let stretch_ms = self.stretch_start(from_ms, end_ms, rows)?;
            if self.read(by_time(RECORD_COLUMNS, stretch_ms, end_ms))? {
                return self.cursor();
            }
            end_ms = stretch_ms;
            if end_ms > from_ms && stop() {
                return Ok(Some(PageCursor { started_at_ms: end_ms, row: None }));
            }
            let range = TimeRange::from_unix_ms(from_ms, end_ms);
            if (RawSelect { range, after_seq: None, upto_seq, filter }).is_read_by_user() {
                return self.run_by_user(from_ms, end_ms, stop);
            }
            rows = MAX_STRETCH;
        }
        Ok(None)
    }

    /// Reads the steps of the user index, newest first. Only the rows of one step are sorted.
    fn run_by_user(
        mut self,
        from_ms: i64,
        end_ms: i64,
        stop: &mut dyn FnMut() -> bool,
    ) -> rusqlite::Result<Option<PageCursor>> {
        let oldest = self.value("select min(started_at_ms) from requests")?;
        let newest = self.value("select max(started_at_ms) from requests")?;
        let (Some(oldest_ms), Some(newest_ms)) = (oldest, newest) else { return Ok(None) };
        let first = i64::max(oldest_ms, from_ms) / USER_STEP_MS;
        let last = i64::min(newest_ms, end_ms.saturating_sub(1)) / USER_STEP_MS;
        for step in (first..=last).rev() {
            for seq in self.seqs_of_step(step, from_ms, end_ms)? {
                let mut row = BoundSql::new(format!("select {RECORD_COLUMNS} from requests"));
                row.push(" where seq = ?", [seq]);
                if self.read_rows(&row)? {
                    return self.cursor();
                }
            }
            if step > first && stop() {
                let started_at_ms = step * USER_STEP_MS;
                return Ok(Some(PageCursor { started_at_ms, row: None }));
            }
        }
        Ok(None)
    }

    fn value<T: FromSql>(&self, sql: &str) -> rusqlite::Result<T> {
        self.reader.connection().prepare_cached(sql)?.query_row([], |row| row.get(0))
    }

    /// The users' requests of one step, as many as the page could need.
    fn seqs_of_step(&self, step: i64, from_ms: i64, end_ms: i64) -> rusqlite::Result<Vec<i64>> {
        let mut statement =
            BoundSql::new("select seq from requests indexed by requests__started_at_ms_user_id");
        let in_step = format!(" where user_id > 1 and started_at_ms / {USER_STEP_MS} = ?");
        statement.push(&in_step, [step]);
        statement.push(" and +started_at_ms >= ? and +started_at_ms < ?", [from_ms, end_ms]);
        self.finish(&mut statement, concat!("+started_at_ms desc, ", id_end!(), " desc, seq desc"));
        let mut prepared = self.reader.connection().prepare_cached(&statement.sql)?;
        let seqs = prepared.query_map(params_from_iter(&statement.values), |row| row.get(0))?;
        seqs.collect()
    }

    /// The start of the `rows`th row before `end_ms`, or `from_ms` when there are fewer; only the index is read.
    fn stretch_start(&self, from_ms: i64, end_ms: i64, rows: usize) -> rusqlite::Result<i64> {
        let sql = "select started_at_ms from requests indexed by requests__started_at_ms
                   where started_at_ms >= ?1 and started_at_ms < ?2
                   order by started_at_ms desc limit 1 offset ?3";
        let mut prepared = self.reader.connection().prepare_cached(sql)?;
        let mut found = prepared.query((from_ms, end_ms, saturated(rows) - 1))?;
        found.next()?.map_or(Ok(from_ms), |row| row.get(0))
    }

    /// Appends the restrictions, the order and the limit: one row more than fits shows that there are more.
    fn finish(&self, statement: &mut BoundSql, order: &str) {
        if let Some(seq) = self.select.upto_seq {
            statement.push(" and +seq <= ?", [seq]);
        }
        push_filter(statement, self.select.filter);
        let limit = saturated(self.left).saturating_add(1);
        statement.push(&format!(" order by {order} limit ?"), [limit]);
    }

    /// Hands out the rows of a stretch; `true` when there was one more than fits.
    fn read(&mut self, (mut statement, order): Stretch) -> rusqlite::Result<bool> {
        self.finish(&mut statement, order);
        self.read_rows(&statement)
    }

    fn read_rows(&mut self, statement: &BoundSql) -> rusqlite::Result<bool> {
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

    /// The cursor after the last request that was handed out.
    fn cursor(&self) -> rusqlite::Result<Option<PageCursor>> {
        let Some(seq) = self.last_seq else { return Ok(self.select.after.cloned()) };
        let sql = format!("select started_at_ms, {ID_END} from requests where seq = ?1");
        let mut prepared = self.reader.connection().prepare_cached(&sql)?;
        prepared.query_row([seq], |row| Ok(Some(read_cursor(row, seq)?)))
    }
}

/// A statement without its restrictions, and the order that the index gives it.
type Stretch = (BoundSql, &'static str);

/// The end of the rest of a range after a cursor, without the rest of that cursor's millisecond.
fn end_ms(range: TimeRange, after: Option<&PageCursor>) -> i64 {
    let end_ms = range.end.as_unix_ms();
    after.map_or(end_ms, |cursor| end_ms.min(cursor.started_at_ms))
}

fn by_time(columns: &str, from_ms: i64, end_ms: i64) -> Stretch {
    let mut statement = by_time_index(columns);
    statement.push(" where started_at_ms >= ? and started_at_ms < ?", [from_ms, end_ms]);
    (statement, TIME_ORDER)
}

/// The rows after a cursor that started in its millisecond: with the same end of the id, then with others. `None` when
/// the cursor is outside of the range or after its millisecond.
fn rest_of_millisecond(
    columns: &str,
    range: TimeRange,
    after: Option<&PageCursor>,
) -> Option<[Stretch; 2]> {
    let PageCursor { started_at_ms, row } = after?;
    let (id_end, seq) = row.as_ref()?;
    if !range.contains(Timestamp::from_unix_ms(*started_at_ms)) {
        return None;
    }
    let at = || [Value::Integer(*started_at_ms), id_end.clone()];
    let (mut same, mut others) = (by_time_index(columns), by_time_index(columns));
    same.push(&format!(" where started_at_ms = ? and {ID_END} = ?"), at());
    same.push(" and seq < ?", [*seq]);
    others.push(&format!(" where started_at_ms = ? and {ID_END} < ?"), at());
    Some([(same, "seq desc"), (others, ID_ORDER)])
}

fn by_time_index(columns: &str) -> BoundSql {
    BoundSql::new(format!("select {columns} from requests indexed by requests__started_at_ms"))
}

fn read_cursor(row: &Row<'_>, seq: i64) -> rusqlite::Result<PageCursor> {
    Ok(PageCursor { started_at_ms: row.get(0)?, row: Some((row.get(1)?, seq)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_other_bytes_are_no_cursors() {
        let row = |id_end, seq| Some((id_end, seq));
        for cursor in [
            PageCursor { started_at_ms: 0, row: None },
            PageCursor { started_at_ms: -1, row: row(Value::Blob(vec![0, 255]), i64::MAX) },
            PageCursor { started_at_ms: i64::MAX, row: row(Value::Text("é-1".into()), 0) },
            PageCursor { started_at_ms: 1_767_323_045_678, row: row(Value::Text("".into()), 7) },
        ] {
            let bytes = cursor.to_bytes();
            assert_eq!(PageCursor::from_bytes(&bytes), Some(cursor));
        }
        for bytes in [&[0; 16][..], &[0; 10], &[3; 20], &[], &[1, 2]] {
            assert_eq!(PageCursor::from_bytes(bytes), None, "{bytes:?}");
        }
        let mut invalid =
            PageCursor { started_at_ms: 1, row: row(Value::Text("a".into()), 1) }.to_bytes();
        *invalid.last_mut().unwrap() = 0xff;
        assert_eq!(PageCursor::from_bytes(&invalid), None);
    }
}
