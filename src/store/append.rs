//! Appending records: one transaction for any number of batches, idempotent.

use std::collections::BTreeMap;

use rusqlite::types::ToSql;
use rusqlite::{CachedStatement, Transaction};
use sha2::{Digest, Sha256};

use super::error::storage;
use super::intern::Interner;
use super::packed::{StoredId, pack_arrival, pack_llm_latency, pack_status, without_time};
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

const INSERT: &str = "insert into requests (
    started_at_ms, request_id, source, user_id, space_id, model_id, operation_id, outcome, cache_hit,
    attempt, streamed, http_status, error_code_id, finish_reason_id, session, total_latency_us,
    context_latency_us, llm_latency_us, time_to_first_token_us, prompt_tokens, completion_tokens,
    cached_prompt_tokens, reasoning_tokens, cost_nano_usd, cost_source, provider_response_id, tags,
    arrived_after_ms)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
        ?22, ?23, ?24, ?25, ?26, ?27, ?28)";

/// Whether a record is stored: the index holds the ends of ids, the row the rest, in full or without the time.
const FIND: &str = "select 1 from requests indexed by requests__started_at_ms
where started_at_ms = ?1 and request_id in (?2, ?3)
  and substr(request_id, case typeof(request_id) when 'blob' then -2 else -3 end)
      = substr(?2, case typeof(?2) when 'blob' then -2 else -3 end)";

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
    /// Whether the record's raw row is there.
    fn is_stored(&mut self, record: &RequestRecord) -> rusqlite::Result<bool> {
        let (id, started_at) = (&record.request_id, record.started_at);
        self.find.exists((started_at.as_unix_ms(), id, without_time(id, started_at)))
    }
}

fn append_one(
    transaction: &Transaction<'_>,
    statements: &mut Statements<'_>,
    memory: &mut WriterMemory<'_>,
    record: &RequestRecord,
    arrival: Arrival,
) -> rusqlite::Result<Stored> {
    let pruned_day = memory.pruned.day_of(record.started_at);
    if pruned_day.is_some() && !record.allow_pruned_day {
        // Before anything is remembered of a record that is not stored. A raw row that is still there recognises it.
        let is_kept = statements.is_stored(record)?;
        return Ok(if is_kept { Stored::Duplicate } else { Stored::AfterRetention });
    }
    if record.dated_on_arrival && !note_undated(transaction, &record.request_id, arrival.seen_at)? {
        return Ok(Stored::Duplicate);
    }
    if memory.recent.is_repeat(record) {
        return Ok(Stored::Duplicate);
    }
    if statements.is_stored(record)? {
        return Ok(Stored::Duplicate);
    }
    bind(transaction, &mut statements.insert, memory.interner, record, arrival.now)?;
    statements.insert.raw_execute()?;
    Ok(pruned_day.map_or(Stored::New, Stored::InPrunedDay))
}

/// Notes an id that came without a time; `false` when it was noted before.
fn note_undated(
    transaction: &Transaction<'_>,
    id: &RequestId,
    seen_at: Timestamp,
) -> rusqlite::Result<bool> {
    let digest = Sha256::digest(id.to_string().as_bytes());
    let noted = transaction
        .prepare_cached(
            "insert into undated_ids (id_hash, seen_at_ms) values (?1, ?2) on conflict do nothing",
        )?
        .execute((&digest[..16], seen_at.as_unix_ms()))?;
    Ok(noted == 1)
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
    let values: [&dyn ToSql; 28] = [
        &record.started_at.as_unix_ms(),
        &StoredId(&record.request_id, record.started_at),
        &record.source.code(),
        &user_id,
        &space_id,
        &model_id,
        &interner.label(transaction, record.operation.as_ref())?,
        &record.outcome.code(),
        &record.cache_hit,
        &record.attempt,
        &record.streamed,
        &pack_status(record.http_status),
        &interner.label(transaction, record.error_code.as_ref())?,
        &interner.label(transaction, record.finish_reason.as_ref())?,
        &record.session,
        &latency(LatencyKind::Total),
        &latency(LatencyKind::Context),
        &pack_llm_latency(record),
        &latency(LatencyKind::TimeToFirstToken),
        &record.prompt_tokens.map(saturate),
        &record.completion_tokens.map(saturate),
        &record.cached_prompt_tokens.map(saturate),
        &record.reasoning_tokens.map(saturate),
        &record.cost_nano_usd,
        &record.cost_source.map(crate::model::CostSource::code),
        &record.provider_response_id.as_deref(),
        &record.tags,
        &(!is_history).then(|| pack_arrival(arrived_after_ms)),
    ];
    for (position, value) in values.into_iter().enumerate() {
        insert.raw_bind_parameter(position + 1, value)?;
    }
    Ok(())
}

fn saturate(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
