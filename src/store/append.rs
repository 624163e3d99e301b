//! Appending records: one transaction for any number of batches, idempotent.

use std::collections::BTreeMap;

use rusqlite::types::ToSql;
use rusqlite::{CachedStatement, Transaction, named_params};
use sha2::{Digest, Sha256};

use super::error::storage;
use super::intern::{Interner, WritableSpaces};
use super::writer::{Writer, WriterMemory};
use crate::error::Result;
use crate::model::{LatencyKind, RequestId, RequestRecord, Source, Timestamp};

/// What became of one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Records stored.
    pub accepted: usize,
    /// Positions of the records that were stored before.
    pub duplicates: Vec<usize>,
    /// Positions of the records of days whose raw rows retention has deleted: nobody can tell whether they were stored
    /// before, and they are not stored now.
    pub after_retention: Vec<usize>,
    /// Records stored in such days all the same, as [`RequestRecord::allow_pruned_day`] wants it, by the start of the UTC day.
    pub in_pruned_days: BTreeMap<Timestamp, usize>,
}

/// Whether a record was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// It is stored now.
    New,
    /// It is stored now, in a day whose raw rows are pruned.
    InPrunedDay(Timestamp),
    /// It was stored before.
    Duplicate,
    /// Its day's raw rows are pruned.
    AfterRetention,
}

const INSERT: &str = include_str!("sql/insert_request.sql");
const FIND: &str = include_str!("sql/find_request.sql");

impl Writer {
    /// Stores the batches in one transaction; they are on disk when this returns.
    ///
    /// # Errors
    /// When the transaction failed; nothing was stored then.
    pub fn append(
        &mut self,
        batches: &[&[RequestRecord]],
        now: Timestamp,
    ) -> Result<Vec<Appended>> {
        let records = batches.iter().map(|batch| batch.len()).sum();
        let arrival = Arrival { now, seen_at: self.stored_clock_mut().seen_at(now) };
        self.append_transaction(records, |transaction, mut memory| {
            append_batches(transaction, &mut memory, batches, arrival)
                .map_err(storage("storing requests"))
        })
    }
}

fn append_batches(
    transaction: &Transaction<'_>,
    memory: &mut WriterMemory<'_>,
    batches: &[&[RequestRecord]],
    arrival: Arrival,
) -> rusqlite::Result<Vec<Appended>> {
    memory.pruned.load(transaction)?;
    let mut statements = Statements {
        find: transaction.prepare_cached(FIND)?,
        insert: transaction.prepare_cached(INSERT)?,
    };
    let mut appended = Vec::with_capacity(batches.len());
    for batch in batches {
        let mut report = Appended::default();
        for (position, record) in batch.iter().enumerate() {
            match append_one(transaction, &mut statements, memory, record, arrival)? {
                Stored::New => report.accepted += 1,
                Stored::InPrunedDay(day) => {
                    report.accepted += 1;
                    *report.in_pruned_days.entry(day).or_default() += 1;
                }
                Stored::Duplicate => report.duplicates.push(position),
                Stored::AfterRetention => report.after_retention.push(position),
            }
        }
        appended.push(report);
    }
    Ok(appended)
}

/// When a transaction stores its records.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    /// What the wall clock says.
    now: Timestamp,
    /// What ids without a time are noted with: no earlier than `now`, so that none is forgotten too soon.
    seen_at: Timestamp,
}

struct Statements<'c> {
    find: CachedStatement<'c>,
    insert: CachedStatement<'c>,
}

impl Statements<'_> {
    /// Whether the record's raw row is there, in a space that its sender may write.
    fn is_stored(
        &mut self,
        record: &RequestRecord,
        writable: &WritableSpaces,
    ) -> rusqlite::Result<bool> {
        let key = named_params! {
            ":started_at_ms": record.started_at.as_unix_ms(),
            ":request_id": record.request_id,
        };
        let mut rows = self.find.query(key)?;
        while let Some(row) = rows.next()? {
            if writable.contains(row.get(0)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn append_one(
    transaction: &Transaction<'_>,
    statements: &mut Statements<'_>,
    memory: &mut WriterMemory<'_>,
    record: &RequestRecord,
    arrival: Arrival,
) -> rusqlite::Result<Stored> {
    let writable = memory.interner.writable_spaces(transaction, record)?;
    let pruned_day = memory.pruned.day_of(record.started_at);
    if pruned_day.is_some() && !record.allow_pruned_day {
        // Before the record is remembered, because it is not stored. A raw row that is still there recognises it.
        let is_kept = statements.is_stored(record, &writable)?;
        return Ok(if is_kept { Stored::Duplicate } else { Stored::AfterRetention });
    }
    let space_id = memory.interner.space(transaction, record.space.as_ref())?;
    if record.dated_on_arrival
        && !note_undated(transaction, &record.request_id, space_id, &writable, arrival.seen_at)?
    {
        return Ok(Stored::Duplicate);
    }
    if memory.recent.is_repeat(record, space_id, &writable) {
        return Ok(Stored::Duplicate);
    }
    if statements.is_stored(record, &writable)? {
        return Ok(Stored::Duplicate);
    }
    bind(transaction, &mut statements.insert, memory.interner, record, arrival.now)?;
    statements.insert.raw_execute()?;
    Ok(pruned_day.map_or(Stored::New, Stored::InPrunedDay))
}

/// Notes an id that came without a time; `false` when it was noted before, in a space that its sender may write.
fn note_undated(
    transaction: &Transaction<'_>,
    id: &RequestId,
    space_id: i64,
    writable: &WritableSpaces,
    seen_at: Timestamp,
) -> rusqlite::Result<bool> {
    let digest = Sha256::digest(id.to_string().as_bytes());
    let id_hash = &digest[..16];
    let mut noted =
        transaction.prepare_cached("select space_id from _undated_ids where id_hash = ?1")?;
    let mut rows = noted.query([id_hash])?;
    while let Some(row) = rows.next()? {
        if writable.contains(row.get(0)?) {
            return Ok(false);
        }
    }
    transaction
        .prepare_cached(
            "insert into _undated_ids (id_hash, space_id, seen_at_ms) values (?1, ?2, ?3)",
        )?
        .execute((id_hash, space_id, seen_at.as_unix_ms()))?;
    Ok(true)
}

fn bind(
    transaction: &Transaction<'_>,
    insert: &mut CachedStatement<'_>,
    interner: &mut Interner,
    record: &RequestRecord,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let user_id = interner.user(transaction, record.user.as_ref())?;
    let space_id = interner.space(transaction, record.space.as_ref())?;
    let model_id = interner.model(transaction, record.provider.as_ref(), record.model.as_ref())?;
    let latency = |kind| record.latency(kind).map(saturate);
    let is_history = record.is_history || record.source == Source::Import;
    let arrived_after_ms = now.as_unix_ms().saturating_sub(record.started_at.as_unix_ms());
    let values: [&dyn ToSql; 32] = [
        &record.started_at.as_unix_ms(),
        &record.request_id,
        &record.source.code(),
        &user_id,
        &space_id,
        &model_id,
        &interner.label(transaction, record.operation.as_ref())?,
        &record.outcome.code(),
        &record.cache_hit,
        &record.attempt,
        &record.streamed,
        &record.http_status,
        &interner.label(transaction, record.error_code.as_ref())?,
        &interner.label(transaction, record.finish_reason.as_ref())?,
        &interner.label(transaction, record.service_tier.as_ref())?,
        &interner.label(transaction, record.api_key.as_ref())?,
        &record.session,
        &latency(LatencyKind::Total),
        &latency(LatencyKind::Context),
        &latency(LatencyKind::Llm),
        &latency(LatencyKind::TimeToFirstToken),
        &record.prompt_tokens.map(saturate),
        &record.completion_tokens.map(saturate),
        &record.cached_prompt_tokens.map(saturate),
        &record.cache_write_prompt_tokens.map(saturate),
        &record.cache_write_1h_prompt_tokens.map(saturate),
        &record.reasoning_tokens.map(saturate),
        &record.cost_nano_usd,
        &record.cost_source.map(crate::model::CostSource::code),
        &record.provider_response_id.as_deref(),
        &record.tags,
        &(!is_history).then_some(arrived_after_ms),
    ];
    for (position, value) in values.into_iter().enumerate() {
        insert.raw_bind_parameter(position + 1, value)?;
    }
    Ok(())
}

fn saturate(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
