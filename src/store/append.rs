//! Appends batches of records to `requests`, all in one transaction. Recognises duplicates, so a batch may be sent
//! again.

use std::collections::BTreeMap;

use rusqlite::types::ToSql;
use rusqlite::{CachedStatement, Transaction, named_params};
use sha2::{Digest, Sha256};

use super::columns::saturated;
use super::error::storage;
use super::intern::{Interner, WritableSpaces};
use super::writer::{Writer, WriterMemory};
use crate::error::Result;
use crate::model::{CostSource, LatencyKind, Name, RequestId, RequestRecord, Source, Timestamp};

/// The outcome of one batch of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendReport {
    /// Number of records stored.
    pub accepted: usize,
    /// Positions in the batch of duplicates: records that are stored already, by the same route or by another one.
    pub duplicates: Vec<usize>,
    /// Positions in the batch of rejected records: retention has deleted raw rows of their UTC day, so duplicates
    /// cannot be recognised.
    pub after_retention: Vec<usize>,
    /// Number of records stored in pruned days because of [`RequestRecord::allow_pruned_day`], by the start of the UTC
    /// day.
    pub in_pruned_days: BTreeMap<Timestamp, usize>,
}

impl AppendReport {
    /// The field that a rejection of [`Self::after_retention`] names.
    pub const AFTER_RETENTION_FIELD: &str = "started_at";
    /// The reason of that rejection; it begins with a machine-readable code.
    pub const AFTER_RETENTION: &str = "after_retention: retention has deleted the single requests of this UTC day, so it cannot \
        be told whether the record was counted before; it is not counted again";
}

/// The outcome of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecordOutcome {
    Stored,
    /// Stored in a day whose raw rows are pruned; has the start of that UTC day.
    StoredInPrunedDay(Timestamp),
    /// Not stored, because it is stored already.
    Duplicate,
    /// Not stored, because its day's raw rows are pruned.
    AfterRetention,
}

impl Writer {
    /// Stores the batches in one transaction and returns one report for each batch, in their order. With
    /// `synchronous=FULL`, the records are on disk when this returns.
    ///
    /// # Errors
    /// When the transaction fails; then nothing is stored.
    pub fn append(
        &mut self,
        batches: &[&[RequestRecord]],
        now: Timestamp,
    ) -> Result<Vec<AppendReport>> {
        let records = batches.iter().map(|batch| batch.len()).sum();
        let arrival = ArrivalTimes { now, seen_at: self.clock.seen_at(now) };
        self.append_transaction(records, |transaction, memory| {
            append_batches(transaction, memory, batches, arrival)
                .map_err(storage("storing requests"))
        })
    }
}

fn append_batches(
    transaction: &Transaction<'_>,
    memory: &mut WriterMemory,
    batches: &[&[RequestRecord]],
    arrival: ArrivalTimes,
) -> rusqlite::Result<Vec<AppendReport>> {
    memory.pruned.load(transaction)?;
    let mut statements = Statements {
        find: transaction.prepare_cached(include_str!("sql/find_request.sql"))?,
        insert: transaction.prepare_cached(include_str!("sql/insert_request.sql"))?,
    };
    let mut appended = Vec::with_capacity(batches.len());
    for batch in batches {
        let mut report = AppendReport::default();
        for (position, record) in batch.iter().enumerate() {
            match append_one(transaction, &mut statements, memory, record, arrival)? {
                RecordOutcome::Stored => report.accepted += 1,
                RecordOutcome::StoredInPrunedDay(day) => {
                    report.accepted += 1;
                    *report.in_pruned_days.entry(day).or_default() += 1;
                }
                RecordOutcome::Duplicate => report.duplicates.push(position),
                RecordOutcome::AfterRetention => report.after_retention.push(position),
            }
        }
        appended.push(report);
    }
    Ok(appended)
}

/// The arrival time of the records of one transaction.
#[derive(Clone, Copy, Debug)]
struct ArrivalTimes {
    /// The wall clock.
    now: Timestamp,
    /// The time stored in `_undated_ids`: at least `now`, so that retention deletes no id too early.
    seen_at: Timestamp,
}

struct Statements<'c> {
    find: CachedStatement<'c>,
    insert: CachedStatement<'c>,
}

impl Statements<'_> {
    /// Whether the record has a raw row in a space that its sender may write.
    fn is_stored(
        &mut self,
        record: &RequestRecord,
        writable: &WritableSpaces,
    ) -> rusqlite::Result<bool> {
        let key = named_params! {
            ":started_at_ms": record.started_at,
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
    memory: &mut WriterMemory,
    record: &RequestRecord,
    arrival: ArrivalTimes,
) -> rusqlite::Result<RecordOutcome> {
    let writable = memory.interner.writable_spaces(transaction, record)?;
    let pruned_day = memory.pruned.day_of(record.started_at);
    if pruned_day.is_some() && !record.allow_pruned_day {
        // This precedes the checks that remember the record, because a rejected record must not be remembered. The day
        // may still have the record's raw row, because retention deletes in steps; then the record is a duplicate.
        let is_kept = statements.is_stored(record, &writable)?;
        return Ok(if is_kept { RecordOutcome::Duplicate } else { RecordOutcome::AfterRetention });
    }
    let space_id = memory.interner.spaces.id(transaction, record.space.as_ref())?;
    let is_duplicate = record.dated_on_arrival
        && !note_undated(transaction, &record.request_id, space_id, &writable, arrival.seen_at)?
        || memory.recent.is_repeat(record, space_id, &writable)
        || statements.is_stored(record, &writable)?;
    if is_duplicate {
        return Ok(RecordOutcome::Duplicate);
    }
    bind(transaction, &mut statements.insert, &mut memory.interner, record, arrival.now)?;
    statements.insert.raw_execute()?;
    Ok(pruned_day.map_or(RecordOutcome::Stored, RecordOutcome::StoredInPrunedDay))
}

/// Adds the id of a record without a time to `_undated_ids`; `false` if the table has it already, in a space that the
/// sender may write.
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
        .execute((id_hash, space_id, seen_at))?;
    Ok(true)
}

/// Binds the record's values in the order of `sql/insert_request.sql`.
fn bind(
    transaction: &Transaction<'_>,
    insert: &mut CachedStatement<'_>,
    interner: &mut Interner,
    record: &RequestRecord,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let user_id = interner.users.id(transaction, record.user.as_ref())?;
    let space_id = interner.spaces.id(transaction, record.space.as_ref())?;
    let model_id = interner.model(transaction, record.provider.as_ref(), record.model.as_ref())?;
    let latency = |kind| record.latency(kind).map(saturated);
    let mut label = |name: Option<&Name>| interner.labels.id(transaction, name);
    let is_history = record.is_history || record.source == Source::Import;
    let arrived_after_ms = now.as_unix_ms().saturating_sub(record.started_at.as_unix_ms());
    let values: [&dyn ToSql; 32] = [
        &record.started_at,
        &record.request_id,
        &record.source.code(),
        &user_id,
        &space_id,
        &model_id,
        &label(record.operation.as_ref())?,
        &record.outcome.code(),
        &record.cache_hit,
        &record.attempt,
        &record.streamed,
        &record.http_status,
        &label(record.error_code.as_ref())?,
        &label(record.finish_reason.as_ref())?,
        &label(record.service_tier.as_ref())?,
        &label(record.api_key())?,
        &record.session,
        &latency(LatencyKind::Total),
        &latency(LatencyKind::Context),
        &latency(LatencyKind::Llm),
        &latency(LatencyKind::TimeToFirstToken),
        &record.prompt_tokens.map(saturated),
        &record.completion_tokens.map(saturated),
        &record.cached_prompt_tokens.map(saturated),
        &record.cache_write_prompt_tokens.map(saturated),
        &record.cache_write_1h_prompt_tokens.map(saturated),
        &record.reasoning_tokens.map(saturated),
        &record.cost_nano_usd,
        &record.cost_source.map(CostSource::code),
        &record.provider_response_id.as_deref(),
        &record.tags,
        &(!is_history).then_some(arrived_after_ms),
    ];
    for (position, value) in values.into_iter().enumerate() {
        insert.raw_bind_parameter(position + 1, value)?;
    }
    Ok(())
}
