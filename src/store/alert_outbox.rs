//! The outbox of alerts: what is due, what travels together, and what became of it.

use rusqlite::{OptionalExtension as _, Row, Transaction, named_params, params};

use super::error::storage;
use super::read::Reader;
use super::writer::Writer;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{DeliveryOutcome, DeliveryState, OutboxTally, StoredMessage};

pub(super) const MESSAGE: &str = "o.id, o.incident_id, o.channel, o.kind, o.created_at_ms,
    o.not_before_ms, o.attempts, o.last_status, o.last_error, o.state, o.payload, o.batch_id,
    o.attempted_at_ms, i.evaluated_at_ms, i.value, o.revived_at_ms";

/// The open incident of a message, for the value it has now.
pub(super) const WITH_CURRENT: &str = "_alert_outbox o left join _alert_instances i
    on i.rule_id = json_extract(o.payload, '$.rule_id') and i.incident_id = o.incident_id
       and i.state in ('firing', 'recovering')";

/// Messages among which those that travel together are looked for, the earliest ones.
const LOOKED_THROUGH: i64 = 1_000;
/// Most messages that one answer holds.
pub(super) const LISTED: i64 = 1_000;

/// What may travel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// Every message alone, none left out.
    Alone,
    /// At most so many of one rule and kind; what a later message says better is left out.
    UpTo(u32),
}

pub(super) fn read_message(row: &Row<'_>) -> rusqlite::Result<StoredMessage> {
    let time = |position: usize| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(position)?.map(Timestamp::from_unix_ms))
    };
    let state: String = row.get(9)?;
    let value: Option<f64> = row.get(14)?;
    Ok(StoredMessage {
        id: row.get(0)?,
        incident_id: row.get(1)?,
        channel: row.get(2)?,
        kind: row.get(3)?,
        created_at: Timestamp::from_unix_ms(row.get(4)?),
        not_before: Timestamp::from_unix_ms(row.get(5)?),
        attempts: row.get(6)?,
        last_status: row.get(7)?,
        last_error: row.get(8)?,
        state: DeliveryState::parse(&state).unwrap_or(DeliveryState::Dead),
        payload: row.get(10)?,
        batch_id: row.get(11)?,
        attempted_at: time(12)?,
        revived_at: time(15)?,
        current: time(13)?.map(|at| (at, value)),
    })
}

impl Writer {
    /// Takes the next due messages of a channel that travel together; empty when none is due.
    ///
    /// What travels together is decided here once and stays so over attempts and restarts: its identity
    /// is the `batch_id` that all of it carries. They stay queued until
    /// [`finish_messages`](Self::finish_messages).
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn take_messages(
        &mut self,
        channel: &str,
        joining: Joining,
        now: Timestamp,
    ) -> Result<Vec<StoredMessage>> {
        self.transaction(|transaction| {
            let take = || -> rusqlite::Result<Vec<StoredMessage>> {
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
                select.query_map(params![batch_id, channel], read_message)?.collect()
            };
            take().map_err(storage("taking messages from the outbox"))
        })
    }

    /// Notes what became of the messages that travelled as `batch_id`.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn finish_messages(&mut self, batch_id: &str, outcome: &DeliveryOutcome) -> Result<()> {
        self.transaction(|transaction| {
            transaction
                .execute(
                    include_str!("sql/finish_messages.sql"),
                    named_params! {
                        ":batch_id": batch_id,
                        ":state": outcome.state.as_str(),
                        ":status": outcome.status,
                        ":error": outcome.error,
                        ":attempted_at_ms": outcome.attempted_at.as_unix_ms(),
                        ":not_before_ms": outcome.not_before.as_unix_ms(),
                    },
                )
                .map_err(storage("noting the outcome of a delivery"))?;
            Ok(())
        })
    }

    /// Lets messages go out at `now` whose next attempt lies after `latest`: a clock that was ahead stamped them.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn hasten_messages(&mut self, now: Timestamp, latest: Timestamp) -> Result<usize> {
        self.transaction(|transaction| {
            transaction
                .execute(
                    "update _alert_outbox set not_before_ms = ?1
                     where state = 'queued' and not_before_ms > ?2",
                    params![now.as_unix_ms(), latest.as_unix_ms()],
                )
                .map_err(storage("correcting times of messages"))
        })
    }
}

/// Leaves out what a later message of the same incident says: an end that comes before anything about
/// the beginning was delivered says both, and a reminder needs no reminder. The end is the last message
/// of an incident, also when the clock stepped back before it.
pub(super) fn coalesce(transaction: &Transaction<'_>, channel: &str) -> rusqlite::Result<()> {
    // Mostly, many begin and nothing ends.
    let has_later: bool = transaction
        .prepare_cached(
            "select exists(select 1 from _alert_outbox where channel = ?1 and state = 'queued'
                 and kind in ('resolved', 'fired_and_resolved', 'reminder'))",
        )?
        .query_row([channel], |row| row.get(0))?;
    if !has_later {
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

/// The message that is due first, with what joins it; `None` when nothing is due.
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
    let found: Option<(String, Option<String>)> = first
        .query_row(params![channel, now.as_unix_ms()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, batch_id)) = found else { return Ok(None) };
    if batch_id.is_some() {
        return Ok(batch_id);
    }
    let most = match joining {
        Joining::Alone => {
            let mut alone = transaction
                .prepare_cached("update _alert_outbox set batch_id = ?1 where id = ?1")?;
            alone.execute([&id])?;
            return Ok(Some(id));
        }
        Joining::UpTo(most) => most,
    };
    transaction.prepare_cached(include_str!("sql/join_batch.sql"))?.execute(named_params! {
        ":id": id,
        ":channel": channel,
        ":now_ms": now.as_unix_ms(),
        ":candidates_max": LOOKED_THROUGH,
        ":batch_max": most,
    })?;
    Ok(Some(id))
}

impl Reader<'_> {
    /// The channels for which messages wait, each with the instant of its next attempt.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn due_channels(&self) -> Result<Vec<(String, Timestamp)>> {
        let read = || -> rusqlite::Result<Vec<_>> {
            let mut statement = self.connection().prepare_cached(
                "select channel, min(not_before_ms) from _alert_outbox where state = 'queued'
                 group by channel",
            )?;
            let rows = statement
                .query_map([], |row| Ok((row.get(0)?, Timestamp::from_unix_ms(row.get(1)?))))?;
            rows.collect()
        };
        read().map_err(storage("looking into the outbox"))
    }

    /// How many messages wait or were given up, by channel.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn outbox_tally(&self) -> Result<Vec<OutboxTally>> {
        let read = || -> rusqlite::Result<Vec<OutboxTally>> {
            let mut statement = self.connection().prepare_cached(
                "select channel, sum(queued), sum(dead), sum(undeliverable) from (
                     select channel, 1 as queued, 0 as dead, 0 as undeliverable
                     from _alert_outbox where state = 'queued'
                     union all
                     select channel, 0, 1, 0 from _alert_outbox where state = 'dead'
                     union all
                     select channel, 0, 0, 1 from _alert_outbox where state = 'undeliverable')
                 group by channel order by channel",
            )?;
            let count = |row: &Row<'_>, position: usize| -> rusqlite::Result<u64> {
                Ok(u64::try_from(row.get::<_, i64>(position)?).unwrap_or(0))
            };
            let rows = statement.query_map([], |row| {
                Ok(OutboxTally {
                    channel: row.get(0)?,
                    queued: count(row, 1)?,
                    dead: count(row, 2)?,
                    undeliverable: count(row, 3)?,
                })
            })?;
            rows.collect()
        };
        read().map_err(storage("counting messages"))
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
        let read = || -> rusqlite::Result<Vec<StoredMessage>> {
            self.connection()
                .prepare_cached(&sql)?
                .query_map([incident_id], read_message)?
                .collect()
        };
        read().map_err(storage("reading messages"))
    }
}
