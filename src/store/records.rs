//! Whole records out of raw rows, their names looked up once.

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use rustc_hash::FxHashMap;

use super::error::storage;
use super::intern::NONE_ID;
use super::names::ResolvedFilter;
use super::read::Reader;
use super::request_id::read_request_id;
use super::row::read_latencies;
use super::select::{Statement, arrivals_statement, record_statement, row_statement};
use crate::error::Result;
use crate::model::dimension::NONE_NAME;
use crate::model::{CostSource, Name, Outcome, RequestId, RequestRecord, Source, Timestamp};

/// The columns that [`read_record`] expects, in order; `seq` is the first.
pub(super) const RECORD_COLUMNS: &str = "seq, started_at_ms, request_id, source, user_id, space_id, model_id,
    operation_id, outcome, cache_hit, attempt, streamed, http_status, error_code_id, finish_reason_id,
    session, total_latency_us, context_latency_us, llm_latency_us, time_to_first_token_us,
    prompt_tokens, completion_tokens, cached_prompt_tokens, reasoning_tokens,
    cost_nano_usd, cost_source, provider_response_id, tags,
    cache_write_prompt_tokens, cache_write_1h_prompt_tokens, service_tier_id, api_key_id";

/// Names that one dictionary of a [`NameCache`] holds before it starts afresh: 100,000 pseudonyms take 8 MB.
const CACHED_NAMES: usize = 100_000;

/// Names by id, looked up once each. A join would look up seven names for each row, which costs more than the row.
///
/// Ids are never given to another name, so a cache may be used for as long as the file is open.
#[derive(Debug, Default)]
pub struct NameCache {
    users: FxHashMap<i64, Option<Name>>,
    spaces: FxHashMap<i64, Option<Name>>,
    labels: FxHashMap<i64, Option<Name>>,
    models: FxHashMap<i64, (Option<Name>, Option<Name>)>,
}

const USER: &str = "select name from users where user_id = ?1";
const SPACE: &str = "select name from spaces where space_id = ?1";
const LABEL: &str = "select name from labels where label_id = ?1";
const MODEL: &str = "select nullif(provider, ?2), nullif(name, ?2) from models where model_id = ?1";

/// The name of an id; `None` for no value, and for an id that the dictionary does not have.
fn name(
    names: &mut FxHashMap<i64, Option<Name>>,
    connection: &Connection,
    sql: &str,
    id: i64,
) -> rusqlite::Result<Option<Name>> {
    if id == NONE_ID {
        return Ok(None);
    }
    if let Some(name) = names.get(&id) {
        return Ok(name.clone());
    }
    let read = |row: &Row<'_>| row.get::<_, String>(0).map(Name::from);
    let found = connection.prepare_cached(sql)?.query_row([id], read).optional()?;
    if names.len() >= CACHED_NAMES {
        names.clear();
    }
    names.insert(id, found.clone());
    Ok(found)
}

impl NameCache {
    /// Provider and name of a model.
    fn model(
        &mut self,
        connection: &Connection,
        id: i64,
    ) -> rusqlite::Result<(Option<Name>, Option<Name>)> {
        if let Some(names) = self.models.get(&id) {
            return Ok(names.clone());
        }
        let text = |row: &Row<'_>, position| {
            Ok::<_, rusqlite::Error>(row.get::<_, Option<String>>(position)?.map(Name::from))
        };
        let found = connection
            .prepare_cached(MODEL)?
            .query_row((id, NONE_NAME), |row| Ok((text(row, 0)?, text(row, 1)?)))
            .optional()?
            .unwrap_or_default();
        if self.models.len() >= CACHED_NAMES {
            self.models.clear();
        }
        self.models.insert(id, found.clone());
        Ok(found)
    }
}

/// Reads a row of [`RECORD_COLUMNS`].
pub(super) fn read_record(
    row: &Row<'_>,
    connection: &Connection,
    names: &mut NameCache,
) -> rusqlite::Result<RequestRecord> {
    let unsigned = |position: usize| -> rusqlite::Result<Option<u64>> {
        Ok(row.get::<_, Option<i64>>(position)?.and_then(|value| u64::try_from(value).ok()))
    };
    let source = Source::from_code(row.get(3)?).unwrap_or(Source::Rest);
    let started_at = Timestamp::from_unix_ms(row.get(1)?);
    let response_id = row.get_ref(26)?.as_bytes_or_null()?.map(Name::from_utf8_lossy);
    let (provider, model) = names.model(connection, row.get(6)?)?;
    let mut label =
        |position: usize| name(&mut names.labels, connection, LABEL, row.get(position)?);
    Ok(RequestRecord {
        operation: label(7)?,
        error_code: label(13)?,
        finish_reason: label(14)?,
        service_tier: label(30)?,
        api_key: label(31)?,
        user: name(&mut names.users, connection, USER, row.get(4)?)?,
        space: name(&mut names.spaces, connection, SPACE, row.get(5)?)?,
        provider,
        model,
        outcome: Outcome::from_code(row.get(8)?).unwrap_or(Outcome::Success),
        cache_hit: row.get(9)?,
        attempt: row.get(10)?,
        streamed: row.get(11)?,
        http_status: row.get(12)?,
        session: row.get(15)?,
        latency_us: read_latencies(row, 16)?,
        prompt_tokens: unsigned(20)?,
        completion_tokens: unsigned(21)?,
        cached_prompt_tokens: unsigned(22)?,
        reasoning_tokens: unsigned(23)?,
        cache_write_prompt_tokens: unsigned(28)?,
        cache_write_1h_prompt_tokens: unsigned(29)?,
        cost_nano_usd: row.get(24)?,
        cost_source: row.get::<_, Option<i64>>(25)?.and_then(CostSource::from_code),
        provider_response_id: response_id,
        tags: row.get(27)?,
        ..RequestRecord::new(read_request_id(row, 2)?, started_at, source)
    })
}

impl Reader<'_> {
    /// Whole records that arrived after `seq`, the last to arrive first, with their `seq`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn arrivals(
        &self,
        filter: &ResolvedFilter,
        seq: i64,
        limit: usize,
    ) -> Result<Vec<(i64, RequestRecord)>> {
        let statement = arrivals_statement(RECORD_COLUMNS, filter, seq, limit);
        self.whole_records(&statement)
    }

    /// One whole record by its `seq`; `None` when there is none or it does not match the filter.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn record_at(&self, seq: i64, filter: &ResolvedFilter) -> Result<Option<RequestRecord>> {
        let statement = row_statement(RECORD_COLUMNS, filter, seq);
        Ok(self.whole_records(&statement)?.pop().map(|(_, record)| record))
    }

    /// The newest record with this id, or the one that started at `started_at`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn record(
        &self,
        id: &RequestId,
        started_at: Option<Timestamp>,
        filter: &ResolvedFilter,
    ) -> Result<Option<(i64, RequestRecord)>> {
        let statement = record_statement(RECORD_COLUMNS, id, started_at, filter);
        Ok(self.whole_records(&statement)?.pop())
    }

    fn whole_records(&self, statement: &Statement) -> Result<Vec<(i64, RequestRecord)>> {
        let mut names = NameCache::default();
        let mut read = || -> rusqlite::Result<Vec<_>> {
            let mut prepared = self.connection().prepare_cached(&statement.sql)?;
            let mut rows = prepared.query(params_from_iter(&statement.values))?;
            let mut records = Vec::new();
            while let Some(row) = rows.next()? {
                records.push((row.get(0)?, read_record(row, self.connection(), &mut names)?));
            }
            Ok(records)
        };
        read().map_err(storage("reading requests"))
    }
}
