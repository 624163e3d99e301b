//! Which channels were notified of an incident, and messages to channels that are not configured any more.

use rusqlite::{Row, params};

use super::alert_outbox::{LISTED, MESSAGE, WITH_CURRENT, coalesce, read_message};
use super::error::storage;
use super::read::Reader;
use super::writer::Writer;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{FirstMessage, SetAside, StoredMessage, UndeliverableMessage};

/// Kinds of messages that say that an incident is open.
const OPEN_KINDS: &str = "('firing', 'reminder', 'flapping')";
/// Why a message is undeliverable, and what to do.
const NOT_CONFIGURED: &str =
    "the channel is not configured any more; configure it again to send this";

/// The id of the first message about an incident that channel `?1` received, as a subquery.
fn first_sent(incident_id: &str) -> String {
    format!(
        "(select f.id from _alert_outbox f
          where f.incident_id = {incident_id} and f.channel = ?1 and f.kind in {OPEN_KINDS}
            and f.state = 'sent'
          order by f.created_at_ms, f.id limit 1)"
    )
}

impl Writer {
    /// Sets queued messages aside whose channel is not among `configured`; how many of each channel.
    ///
    /// They are kept as undeliverable until [`revive_messages`](Self::revive_messages).
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn set_aside_messages(&mut self, configured: &[String]) -> Result<Vec<SetAside>> {
        let configured = serde_json::to_string(configured).unwrap_or_default();
        self.transaction(|transaction| {
            let set_aside = || -> rusqlite::Result<Vec<SetAside>> {
                let mut removed = transaction.prepare_cached(
                    "select distinct channel from _alert_outbox where state = 'queued'
                       and channel not in (select value from json_each(?1)) order by channel",
                )?;
                let removed: Vec<String> = removed
                    .query_map([&configured], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                let mut all = Vec::with_capacity(removed.len());
                for channel in removed {
                    coalesce(transaction, &channel)?;
                    let messages = transaction
                        .prepare_cached(
                            "update _alert_outbox set state = 'undeliverable', last_error = ?2
                             where state = 'queued' and channel = ?1",
                        )?
                        .execute(params![channel, NOT_CONFIGURED])?;
                    all.push(SetAside { channel, messages });
                }
                Ok(all)
            };
            set_aside().map_err(storage("setting aside messages of removed channels"))
        })
    }

    /// Queues undeliverable messages again whose channel is among `configured`; how many.
    ///
    /// Ends are always worth sending; that an incident began or lasts only while it is open.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn revive_messages(&mut self, configured: &[String], now: Timestamp) -> Result<usize> {
        let configured = serde_json::to_string(configured).unwrap_or_default();
        let sql = format!(
            "update _alert_outbox as o
             set state = 'queued', last_error = null, not_before_ms = ?2, revived_at_ms = ?2
             where state = 'undeliverable' and channel in (select value from json_each(?1))
               and (kind not in {OPEN_KINDS}
                    or not exists (select 1 from alert_incidents i
                                   where i.incident_id = o.incident_id
                                     and i.ended_at_ms is not null))"
        );
        self.transaction(|transaction| {
            transaction
                .prepare_cached(&sql)
                .and_then(|mut revive| revive.execute(params![configured, now.as_unix_ms()]))
                .map_err(storage("queueing messages of channels that are configured again"))
        })
    }
}

impl Reader<'_> {
    /// The first message about each of some incidents to each channel that received it or may have received it.
    ///
    /// A queued one counts, because an end is merged with it; one that never left for a removed channel does not.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn first_messages(&self, incident_ids: &[String]) -> Result<Vec<FirstMessage>> {
        let ids = serde_json::to_string(incident_ids).unwrap_or_default();
        let sql = format!(
            "select incident_id, channel, payload, min(created_at_ms) from _alert_outbox
             where incident_id in (select value from json_each(?1)) and kind in {OPEN_KINDS}
               and (state in ('queued', 'sent') or attempts > 0 or batch_id is not null)
             group by incident_id, channel"
        );
        let first = |row: &Row<'_>| {
            Ok(FirstMessage {
                incident_id: row.get(0)?,
                channel: row.get(1)?,
                payload: row.get(2)?,
            })
        };
        let read = || -> rusqlite::Result<Vec<FirstMessage>> {
            self.connection().prepare_cached(&sql)?.query_map([&ids], first)?.collect()
        };
        read().map_err(storage("reading first messages about incidents"))
    }

    /// The first messages that a channel received about the open incidents of a rule besides `except`: at most `limit` of them, and the
    /// number of all.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn known_open(
        &self,
        channel: &str,
        rule_id: &str,
        except: &[String],
        limit: usize,
    ) -> Result<(Vec<StoredMessage>, usize)> {
        let except = serde_json::to_string(except).unwrap_or_default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let first = first_sent("i.incident_id");
        // In the order of the instances' key, so that nothing is sorted and the reading ends at the limit.
        let known = format!(
            "from _alert_instances i join _alert_outbox o on o.id = {first}
             where i.rule_id = ?2 and i.incident_id not in (select value from json_each(?3))"
        );
        let count = format!("select count(*) {known}");
        let sql = format!("select {MESSAGE} {known} order by i.group_key limit ?4");
        let read = || -> rusqlite::Result<(Vec<StoredMessage>, usize)> {
            let all: i64 = self
                .connection()
                .prepare_cached(&count)?
                .query_row(params![channel, rule_id, except], |row| row.get(0))?;
            if all == 0 {
                return Ok((Vec::new(), 0));
            }
            let mut select = self.connection().prepare_cached(&sql)?;
            let rows = select.query_map(params![channel, rule_id, except, limit], read_message)?;
            Ok((rows.collect::<rusqlite::Result<_>>()?, usize::try_from(all).unwrap_or(0)))
        };
        read().map_err(storage("reading the open incidents of a rule"))
    }

    /// Undeliverable messages, newest first: incident, channel and kind.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn undeliverable_messages(&self) -> Result<Vec<UndeliverableMessage>> {
        let sql = format!(
            "select incident_id, channel, kind from _alert_outbox where state = 'undeliverable'
             order by created_at_ms desc, id limit {LISTED}"
        );
        let message = |row: &Row<'_>| {
            Ok(UndeliverableMessage {
                incident_id: row.get(0)?,
                channel: row.get(1)?,
                kind: row.get(2)?,
            })
        };
        let read = || -> rusqlite::Result<Vec<UndeliverableMessage>> {
            self.connection().prepare_cached(&sql)?.query_map([], message)?.collect()
        };
        read().map_err(storage("reading undeliverable messages"))
    }

    /// What a channel that forgets receives again: open incidents that it was notified of, and ends sent since `ended_since`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn messages_to_refresh(
        &self,
        channel: &str,
        ended_since: Timestamp,
    ) -> Result<Vec<StoredMessage>> {
        let first = first_sent("i.incident_id");
        let sql = format!(
            "select {MESSAGE} from _alert_instances i join _alert_outbox o on o.id = {first}
             where i.state in ('firing', 'recovering')
             union all
             select {MESSAGE} from {WITH_CURRENT}
             where o.created_at_ms >= ?2 and o.channel = ?1 and o.state = 'sent'
               and o.kind in ('resolved', 'fired_and_resolved')
             limit {LISTED}"
        );
        let read = || -> rusqlite::Result<Vec<StoredMessage>> {
            let mut statement = self.connection().prepare_cached(&sql)?;
            let since = params![channel, ended_since.as_unix_ms()];
            statement.query_map(since, read_message)?.collect()
        };
        read().map_err(storage("reading messages to repeat"))
    }
}
