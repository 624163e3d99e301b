//! Reads raw rows as [`RequestRecord`]s. A cache resolves ids to names.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use rustc_hash::FxHashMap;

use super::columns::{RowCells, known_count};
use super::intern::NONE_ID;
use super::read::Reader;
use super::row::read_latencies;
use super::select::{
    BoundSql, ResolvedFilter, arrivals_statement, record_statement, row_statement,
};
use crate::error::Result;
use crate::model::dimension::NONE_NAME;
use crate::model::{
    CostSource, Name, Outcome, RequestId, RequestRecord, Sender, Source, Timestamp,
};

/// The columns that [`read_record`] expects, in order; `seq` is the first.
pub(super) const RECORD_COLUMNS: &str = "seq, request_id, started_at_ms, source, operation_id, error_code_id,
    finish_reason_id, service_tier_id, api_key_id, user_id, space_id, model_id, outcome, cache_hit, attempt,
    streamed, http_status, session, total_latency_us, context_latency_us, llm_latency_us, time_to_first_token_us,
    prompt_tokens, completion_tokens, cached_prompt_tokens, reasoning_tokens, cache_write_prompt_tokens,
    cache_write_1h_prompt_tokens, cost_nano_usd, cost_source, provider_response_id, tags";

/// Maximum number of names of one dictionary in a [`NameCache`]; a full dictionary is cleared. 100,000 pseudonyms take
/// 8 MB.
const CACHED_NAMES: usize = 100_000;

/// The names of one dictionary by id; `None` is cached for an id without a row.
type Names = FxHashMap<i64, Option<Name>>;

/// Caches the names of users, spaces, labels and models by id. A join would look up eight dictionary rows for each raw
/// row, which costs more than reading the raw row.
///
/// Dictionary rows are never changed or deleted, so a cache is valid for as long as the file is open.
#[derive(Debug, Default)]
pub struct NameCache {
    users: Names,
    spaces: Names,
    labels: Names,
    /// By the label of the API key.
    senders: FxHashMap<i64, Option<Arc<Sender>>>,
    models: FxHashMap<i64, (Option<Name>, Option<Name>)>,
}

const USER: &str = "select name from users where user_id = ?1";
const SPACE: &str = "select name from spaces where space_id = ?1";
const LABEL: &str = "select name from labels where label_id = ?1";
const MODEL: &str = "select nullif(provider, ?2), nullif(name, ?2) from models where model_id = ?1";

/// Returns the cached value of an id, or looks it up and caches it; the default value if there is no row.
fn cached<T: Clone + Default>(
    names: &mut FxHashMap<i64, T>,
    id: i64,
    look_up: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    if let Some(name) = names.get(&id) {
        return Ok(name.clone());
    }
    let found = look_up().optional()?.unwrap_or_default();
    if names.len() >= CACHED_NAMES {
        names.clear();
    }
    names.insert(id, found.clone());
    Ok(found)
}

/// The name of an id; `None` for [`NONE_ID`] and for an id without a row.
fn name(
    names: &mut Names,
    connection: &Connection,
    sql: &str,
    id: i64,
) -> rusqlite::Result<Option<Name>> {
    if id == NONE_ID {
        return Ok(None);
    }
    cached(names, id, || connection.prepare_cached(sql)?.query_row([id], |row| text(row, 0)))
}

/// The sender with this API key; `None` without one.
fn sender(
    senders: &mut FxHashMap<i64, Option<Arc<Sender>>>,
    connection: &Connection,
    label_id: i64,
) -> rusqlite::Result<Option<Arc<Sender>>> {
    if label_id == NONE_ID {
        return Ok(None);
    }
    cached(senders, label_id, || {
        let mut label = connection.prepare_cached(LABEL)?;
        let api_key = label.query_row([label_id], |row| text(row, 0))?;
        Ok(api_key.map(|api_key| Arc::new(Sender { api_key: Some(api_key), spaces: None })))
    })
}

fn text(row: &Row<'_>, position: usize) -> rusqlite::Result<Option<Name>> {
    Ok(row.get::<_, Option<String>>(position)?.map(Name::from))
}

/// Reads a row of [`RECORD_COLUMNS`].
pub(super) fn read_record(
    row: &Row<'_>,
    connection: &Connection,
    names: &mut NameCache,
) -> rusqlite::Result<RequestRecord> {
    let mut cells = RowCells::after(row, 1);
    let request_id = cells.next()?;
    let started_at = cells.next()?;
    let source = Source::from_code(cells.next()?).unwrap_or(Source::Rest);
    let mut label = |id| name(&mut names.labels, connection, LABEL, id);
    let mut record = RequestRecord {
        operation: label(cells.next()?)?,
        error_code: label(cells.next()?)?,
        finish_reason: label(cells.next()?)?,
        service_tier: label(cells.next()?)?,
        sender: sender(&mut names.senders, connection, cells.next()?)?,
        user: name(&mut names.users, connection, USER, cells.next()?)?,
        space: name(&mut names.spaces, connection, SPACE, cells.next()?)?,
        ..RequestRecord::new(request_id, started_at, source)
    };
    let model_id: i64 = cells.next()?;
    (record.provider, record.model) = cached(&mut names.models, model_id, || {
        let mut model = connection.prepare_cached(MODEL)?;
        model.query_row((model_id, NONE_NAME), |row| Ok((text(row, 0)?, text(row, 1)?)))
    })?;
    record.outcome = Outcome::from_code(cells.next()?).unwrap_or(Outcome::Success);
    record.cache_hit = cells.next()?;
    record.attempt = cells.next()?;
    record.streamed = cells.next()?;
    record.http_status = cells.next()?;
    record.session = cells.next()?;
    record.latency_us = read_latencies(&mut cells)?;
    record.prompt_tokens = known_count(cells.next()?);
    record.completion_tokens = known_count(cells.next()?);
    record.cached_prompt_tokens = known_count(cells.next()?);
    record.reasoning_tokens = known_count(cells.next()?);
    record.cache_write_prompt_tokens = cells.next()?;
    record.cache_write_1h_prompt_tokens = cells.next()?;
    record.cost_nano_usd = cells.next()?;
    record.cost_source = cells.next::<Option<i64>>()?.and_then(CostSource::from_code);
    record.provider_response_id = cells.next_ref()?.as_bytes_or_null()?.map(Name::from_utf8_lossy);
    record.tags = cells.next()?;
    Ok(record)
}

impl Reader<'_> {
    /// The newest `limit` records that arrived after `seq`, each with its `seq`, the latest arrival first.
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

    /// The record with this `seq`; `None` if there is none or it does not match the filter.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn record_at(&self, seq: i64, filter: &ResolvedFilter) -> Result<Option<RequestRecord>> {
        let statement = row_statement(RECORD_COLUMNS, filter, seq);
        Ok(self.whole_records(&statement)?.pop().map(|(_, record)| record))
    }

    /// The record with this id that started at `started_at`, with its `seq`; without `started_at`, the record with this
    /// id that started last.
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

    fn whole_records(&self, statement: &BoundSql) -> Result<Vec<(i64, RequestRecord)>> {
        let mut names = NameCache::default();
        let values = params_from_iter(&statement.values);
        self.rows("reading requests", &statement.sql, values, |row| {
            Ok((row.get(0)?, read_record(row, self.connection(), &mut names)?))
        })
    }
}
