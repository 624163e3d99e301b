//! The outbox of alerts: due messages, their batches, and the outcomes of deliveries.

use rusqlite::{OptionalExtension as _, Row, Transaction, named_params};

use super::columns::{RowCells, unsigned};
use super::read::Reader;
use super::writer::Writer;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{DeliveryOutcome, OutboxTally, StoredMessage};

/// The columns that [`read_message`] expects, in order.
pub(super) const MESSAGE: &str = "o.id, o.incident_id, o.channel, o.kind, o.created_at_ms,
    o.not_before_ms, o.attempts, o.last_status, o.last_error, o.state, o.payload, o.batch_id,
    o.attempted_at_ms, o.revived_at_ms, i.evaluated_at_ms, i.value";

/// Messages with the instances of their open incidents, for the current values.
pub(super) const WITH_CURRENT: &str = "_alert_outbox o left join _alert_instances i
    on i.rule_id = json_extract(o.payload, '$.rule_id') and i.incident_id = o.incident_id
       and i.state in ('firing', 'recovering')";

/// Earliest queued messages that are considered for a batch.
const BATCH_CANDIDATES: i64 = 1_000;
/// Maximum number of messages in one result.
pub(super) const LISTED: i64 = 1_000;

/// Which messages are sent together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// Each message alone; none is superseded.
    Alone,
    /// At most this many messages of one rule and kind; a later message supersedes earlier ones.
    UpTo(u32),
}

pub(super) fn read_message(row: &Row<'_>) -> rusqlite::Result<StoredMessage> {
    let mut cells = RowCells::of(row);
    Ok(StoredMessage {
        id: cells.next()?,
        incident_id: cells.next()?,
        channel: cells.next()?,
        kind: cells.next()?,
        created_at: cells.next()?,
        not_before: cells.next()?,
        attempts: cells.next()?,
        last_status: cells.next()?,
        last_error: cells.next()?,
        state: cells.next()?,
        payload: cells.next()?,
        batch_id: cells.next()?,
        attempted_at: cells.next()?,
        revived_at: cells.next()?,
        current: cells.next::<Option<Timestamp>>()?.zip(Some(cells.next()?)),
    })
}

impl Writer {
    /// Takes the next batch of due messages of a channel; empty when none is due.
    ///
    /// A batch is formed here once and stays the same over attempts and restarts; its messages have the same `batch_id`.
    /// They stay queued until [`finish_messages`](Self::finish_messages).
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn take_messages(
        &mut self,
        channel: &str,
        joining: Joining,
        now: Timestamp,
    ) -> Result<Vec<StoredMessage>> {
        self.write("taking messages from the outbox", |transaction| {
            if joining != Joining::Alone {
                coalesce(transaction, channel)?;
            }
            let Some(batch_id) = next_batch(transaction, channel, joining, now)? else {
                return Ok(Vec::new());
            };
            let mut select = transaction.prepare_cached(&format!(
                "select {MESSAGE} from {WITH_CURRENT}
                 where o.batch_id = ?1 and o.channel = ?2 and o.state = 'queued'
                 order by o.created_at_ms, o.id"
            ))?;
            select.query_map((batch_id, channel), read_message)?.collect()
        })
    }

    /// Notes the outcome of the delivery of a batch.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn finish_messages(&mut self, batch_id: &str, outcome: &DeliveryOutcome) -> Result<()> {
        let values = named_params! {
            ":batch_id": batch_id,
            ":state": outcome.state,
            ":status": outcome.status,
            ":error": outcome.error,
            ":attempted_at_ms": outcome.attempted_at,
            ":not_before_ms": outcome.not_before,
        };
        let sql = include_str!("sql/finish_messages.sql");
        self.execute("noting the outcome of a delivery", sql, values).map(drop)
    }

    /// Makes messages due at `now` whose next attempt a clock that was ahead has stamped later than `latest`.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn hasten_messages(&mut self, now: Timestamp, latest: Timestamp) -> Result<usize> {
        let sql = "update _alert_outbox set not_before_ms = ?1
                   where state = 'queued' and not_before_ms > ?2";
        self.execute("correcting times of messages", sql, (now, latest))
    }
}

/// Supersedes queued messages by later ones of the same incident: an end that is queued before the beginning was
/// delivered reports both, and one reminder is enough. The end is the last message of an incident, even if the clock
/// was set back before it.
pub(super) fn coalesce(transaction: &Transaction<'_>, channel: &str) -> rusqlite::Result<()> {
    // Usually there are none, when many incidents begin at once.
    let mut later = transaction.prepare_cached(
        "select 1 from _alert_outbox where channel = ?1 and state = 'queued'
             and kind in ('resolved', 'fired_and_resolved', 'reminder')",
    )?;
    if !later.exists([channel])? {
        return Ok(());
    }
    for sql in [
        "update _alert_outbox as o set kind = 'fired_and_resolved'
         where channel = ?1 and state = 'queued' and kind = 'resolved'
           and exists (select 1 from _alert_outbox f where f.incident_id = o.incident_id
                         and f.channel = ?1 and f.kind in ('firing', 'reminder', 'flapping')
                         and f.state in ('queued', 'dead', 'undeliverable'))
           and not exists (select 1 from _alert_outbox f where f.incident_id = o.incident_id
                         and f.channel = ?1 and f.kind in ('firing', 'reminder', 'flapping')
                         and f.state = 'sent')",
        "update _alert_outbox as o set state = 'superseded'
         where channel = ?1 and state = 'queued' and kind in ('firing', 'reminder', 'flapping')
           and exists (select 1 from _alert_outbox r where r.incident_id = o.incident_id
                         and r.channel = ?1 and r.kind in ('resolved', 'fired_and_resolved')
                         and r.state = 'queued')",
        "update _alert_outbox as o set state = 'superseded'
         where channel = ?1 and state = 'queued' and kind = 'reminder'
           and exists (select 1 from _alert_outbox r where r.incident_id = o.incident_id
                         and r.channel = ?1 and r.state = 'queued'
                         and (r.kind = 'firing'
                              or r.kind = 'reminder' and r.created_at_ms > o.created_at_ms))",
    ] {
        transaction.prepare_cached(sql)?.execute([channel])?;
    }
    Ok(())
}

/// The batch of the message that is due first; `None` when none is due.
fn next_batch(
    transaction: &Transaction<'_>,
    channel: &str,
    joining: Joining,
    now: Timestamp,
) -> rusqlite::Result<Option<String>> {
    let mut first = transaction.prepare_cached(
        "select id, batch_id from _alert_outbox
         where state = 'queued' and channel = ?1 and not_before_ms <= ?2
         order by not_before_ms, created_at_ms, id limit 1",
    )?;
    let found: Option<(String, Option<String>)> =
        first.query_row((channel, now), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((id, batch_id)) = found else { return Ok(None) };
    if batch_id.is_some() {
        return Ok(batch_id);
    }
    match joining {
        Joining::Alone => {
            let sql = "update _alert_outbox set batch_id = ?1 where id = ?1";
            transaction.prepare_cached(sql)?.execute([&id])?
        }
        Joining::UpTo(batch_max) => {
            let sql = include_str!("sql/join_batch.sql");
            transaction.prepare_cached(sql)?.execute(named_params! {
                ":id": id,
                ":channel": channel,
                ":now_ms": now,
                ":candidates_max": BATCH_CANDIDATES,
                ":batch_max": batch_max,
            })?
        }
    };
    Ok(Some(id))
}

impl Reader<'_> {
    /// The channels with queued messages, each with the time of its next attempt.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn due_channels(&self) -> Result<Vec<(String, Timestamp)>> {
        let sql = "select channel, min(not_before_ms) from _alert_outbox where state = 'queued'
                   group by channel";
        self.rows("looking into the outbox", sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Numbers of queued, dead and undeliverable messages by channel.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn outbox_tally(&self) -> Result<Vec<OutboxTally>> {
        let sql = "select channel, sum(queued), sum(dead), sum(undeliverable) from (
                       select channel, 1 as queued, 0 as dead, 0 as undeliverable
                       from _alert_outbox where state = 'queued'
                       union all
                       select channel, 0, 1, 0 from _alert_outbox where state = 'dead'
                       union all
                       select channel, 0, 0, 1 from _alert_outbox where state = 'undeliverable')
                   group by channel order by channel";
        self.rows("counting messages", sql, [], |row| {
            Ok(OutboxTally {
                channel: row.get(0)?,
                queued: unsigned(row.get(1)?),
                dead: unsigned(row.get(2)?),
                undeliverable: unsigned(row.get(3)?),
            })
        })
    }

    /// The messages about an incident, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn messages_of(&self, incident_id: &str) -> Result<Vec<StoredMessage>> {
        let sql = format!(
            "select {MESSAGE} from {WITH_CURRENT} where o.incident_id = ?1
             order by o.created_at_ms, o.id limit {LISTED}"
        );
        self.rows("reading messages", &sql, [incident_id], read_message)
    }
}
