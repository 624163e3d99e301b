//! Outbox queries by channel: which channels were notified of an incident, and which messages are undeliverable because
//! their channel was removed from the configuration.

use super::alert_outbox::{LISTED, MESSAGE, WITH_CURRENT, coalesce, read_message};
use super::columns::{columns, saturated, to_json};
use super::read::Reader;
use super::writer::Writer;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{FirstMessage, SetAside, StoredMessage, UndeliverableMessage};

columns!(read FirstMessage { incident_id, channel, payload });
columns!(read UndeliverableMessage { incident_id, channel, kind });

/// Kinds of messages that report an open incident, as an SQL list.
const OPEN_KINDS: &str = "('firing', 'reminder', 'flapping')";
/// The `last_error` of an undeliverable message: the reason and the remedy.
const NOT_CONFIGURED: &str =
    "the channel is not configured any more; configure it again to send this";

/// Returns an SQL subquery for the id of the first message that reported an open incident and was sent to channel `?1`;
/// `incident_id` is an SQL expression.
fn first_sent(incident_id: &str) -> String {
    format!(
        "(select f.id from _alert_outbox f
          where f.incident_id = {incident_id} and f.channel = ?1 and f.kind in {OPEN_KINDS}
            and f.state = 'sent'
          order by f.created_at_ms, f.id limit 1)"
    )
}

impl Writer {
    /// Marks the queued messages of channels outside `configured` as undeliverable; returns their number by channel.
    ///
    /// They stay in the outbox; [`revive_messages`](Self::revive_messages) queues them again.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn set_aside_messages(&mut self, configured: &[String]) -> Result<Vec<SetAside>> {
        let find = "select distinct channel from _alert_outbox where state = 'queued'
                      and channel not in (select value from json_each(?1)) order by channel";
        let update = "update _alert_outbox set state = 'undeliverable', last_error = ?2
                      where state = 'queued' and channel = ?1";
        self.write("setting aside messages of removed channels", |transaction| {
            let mut find = transaction.prepare_cached(find)?;
            let removed = find.query_map([to_json(configured)], |row| row.get(0))?;
            let removed: Vec<String> = removed.collect::<rusqlite::Result<_>>()?;
            let set_aside = |channel: String| {
                coalesce(transaction, &channel)?;
                let mut update = transaction.prepare_cached(update)?;
                let messages = update.execute((&channel, NOT_CONFIGURED))?;
                Ok(SetAside { channel, messages })
            };
            removed.into_iter().map(set_aside).collect()
        })
    }

    /// Queues the undeliverable messages of the channels in `configured` again; returns their number.
    ///
    /// Messages that report an open incident stay undeliverable once the incident has ended; other kinds are always queued.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn revive_messages(&mut self, configured: &[String], now: Timestamp) -> Result<usize> {
        let sql = format!(
            "update _alert_outbox as o
             set state = 'queued', last_error = null, not_before_ms = ?2, revived_at_ms = ?2
             where state = 'undeliverable' and channel in (select value from json_each(?1))
               and (kind not in {OPEN_KINDS}
                    or not exists (select 1 from alert_incidents i
                                   where i.incident_id = o.incident_id
                                     and i.ended_at_ms is not null))"
        );
        let operation = "queueing messages of channels that are configured again";
        self.execute(operation, &sql, (to_json(configured), now))
    }
}

impl Reader<'_> {
    /// Returns, for each incident and channel, the first message that reports the incident as open and was sent, is
    /// queued, or was attempted.
    ///
    /// A queued message counts, because the end of the incident is merged with it. An undeliverable message that was never
    /// attempted does not count.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn first_messages(&self, incident_ids: &[String]) -> Result<Vec<FirstMessage>> {
        // In a query with `min()`, SQLite takes the bare columns from the row that has the minimum.
        let from = format!(
            ", min(created_at_ms) from _alert_outbox
             where incident_id in (select value from json_each(?1)) and kind in {OPEN_KINDS}
               and (state in ('queued', 'sent') or attempts > 0 or batch_id is not null)
             group by incident_id, channel"
        );
        self.select("reading first messages about incidents", &from, [to_json(incident_ids)])
    }

    /// Returns the open incidents of a rule that a channel was notified of, without the incidents in `except`: the
    /// first message about each, at most `limit`, and the number without that limit.
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
        let except = to_json(except);
        let first = first_sent("i.incident_id");
        // The messages are read in the order of the primary key of the instances, so SQLite sorts nothing and stops at
        // the limit.
        let known = format!(
            "from _alert_instances i join _alert_outbox o on o.id = {first}
             where i.rule_id = ?2 and i.incident_id not in (select value from json_each(?3))"
        );
        let operation = "reading the open incidents of a rule";
        let sql = format!("select count(*) {known}");
        let all: i64 = self.value(operation, &sql, (channel, rule_id, &except))?;
        if all == 0 {
            return Ok((Vec::new(), 0));
        }
        let sql = format!("select {MESSAGE} {known} order by i.group_key limit ?4");
        let values = (channel, rule_id, &except, saturated(limit));
        let messages = self.rows(operation, &sql, values, read_message)?;
        Ok((messages, usize::try_from(all).unwrap_or(0)))
    }

    /// Returns the newest undeliverable messages, newest first, at most `LISTED`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn undeliverable_messages(&self) -> Result<Vec<UndeliverableMessage>> {
        let from = format!(
            "from _alert_outbox where state = 'undeliverable'
             order by created_at_ms desc, id limit {LISTED}"
        );
        self.select("reading undeliverable messages", &from, [])
    }

    /// Returns the messages to repeat to a channel whose receiver expires alerts, at most `LISTED`: the first message
    /// about each open incident that the channel was notified of, and the end messages that were sent to it and created
    /// at or after `ended_since`.
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
        self.rows("reading messages to repeat", &sql, (channel, ended_since), read_message)
    }
}
