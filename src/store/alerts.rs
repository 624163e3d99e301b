//! Alerts on disk: the changes of a state, their history and their messages are one transaction.

use std::sync::Arc;

use rusqlite::{Transaction, named_params};

use super::alert_runs::{RunsChange, put_runs};
use super::audit::put_entries;
use super::columns::{StoredColumns, columns};
use super::writer::Writer;
use crate::error::Result;
use crate::model::alert::{
    AlertEvent, AlertIncident, AlertInstance, AlertSilence, EndReason, OutgoingAlert,
};
use crate::model::time::DAY_MS;
use crate::model::{AuditEntry, Timestamp};

/// The new state of one rule and group.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceChange {
    /// The rule.
    pub rule_id: String,
    /// Key of the group.
    pub group_key: String,
    /// Hash of the parts of the rule that identify it.
    pub identity_hash: Arc<[u8]>,
    /// The state; `None` deletes it, because it is ok.
    pub instance: Option<AlertInstance>,
}

/// Changes of a stored incident; a missing value stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncidentChange {
    /// The incident.
    pub incident_id: String,
    /// The new worst value.
    pub peak_value: Option<f64>,
    /// When and why it ended.
    pub ended: Option<(Timestamp, EndReason)>,
    /// Who acknowledged it, and when.
    pub acked: Option<(String, Timestamp)>,
}

/// The changes of one evaluation, or of one person; all of them are stored, or none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertChanges {
    /// States.
    pub instances: Vec<InstanceChange>,
    /// Incidents that began.
    pub incidents: Vec<AlertIncident>,
    /// Changes of other incidents.
    pub incident_changes: Vec<IncidentChange>,
    /// Entries of the history.
    pub events: Vec<AlertEvent>,
    /// Messages to queue.
    pub messages: Vec<OutgoingAlert>,
    /// Entries of the audit log.
    pub audit: Vec<AuditEntry>,
    /// Runs of failures.
    pub runs: Vec<RunsChange>,
    /// The monitor's progress.
    pub progress: Option<MonitorProgress>,
    /// The clock was set back to this instant. Before all other changes, times of incidents, history and messages that
    /// lie in the future are set to it, and the history gets an entry with this reason.
    pub set_back: Option<(Timestamp, &'static str)>,
}

impl AlertChanges {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How far the monitor has evaluated the stored requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonitorProgress {
    /// The last evaluation of all rules.
    pub evaluated_at: Option<Timestamp>,
    /// The last evaluated row.
    pub seen_seq: i64,
    /// Latest start of an imported request, in Unix milliseconds; -1: none was seen.
    pub imported_until_ms: i64,
}

columns!(MonitorProgress { evaluated_at: evaluated_at_ms, seen_seq, imported_until_ms });

columns!(OutgoingAlert {
    id,
    incident_id,
    channel,
    kind,
    created_at: created_at_ms,
    not_before: not_before_ms,
    payload,
});

/// Rows deleted from each table in one transaction, so that records do not wait long.
const PRUNED_ROWS: i64 = 5_000;

impl Writer {
    /// Writes the changes of an evaluation or of a person, in one transaction.
    ///
    /// # Errors
    /// When the transaction failed; nothing was changed then.
    pub fn apply_alerts(&mut self, changes: &AlertChanges) -> Result<()> {
        self.write("writing the state of alerts", |transaction| {
            if let Some((now, reason)) = changes.set_back {
                set_back(transaction, now, reason)?;
            }
            for change in &changes.instances {
                apply_instance(transaction, change)?;
            }
            put_rows(transaction, "insert or replace into alert_incidents", &changes.incidents)?;
            for change in &changes.incident_changes {
                change_incident(transaction, change)?;
            }
            put_rows(transaction, "insert into alert_events", &changes.events)?;
            for message in &changes.messages {
                let sql = include_str!("sql/put_message.sql");
                message.execute(&mut *transaction.prepare_cached(sql)?)?;
            }
            put_entries(transaction, &changes.audit)?;
            for change in &changes.runs {
                put_runs(transaction, change)?;
            }
            if let Some(progress) = &changes.progress {
                let sql = "update _alert_monitor set evaluated_at_ms = :evaluated_at_ms,
                               seen_seq = :seen_seq, imported_until_ms = :imported_until_ms";
                progress.execute(&mut *transaction.prepare_cached(sql)?)?;
            }
            Ok(())
        })
    }

    /// Stores a silence together with its creation in the history.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn insert_silence(&mut self, silence: &AlertSilence, event: &AlertEvent) -> Result<()> {
        self.write("storing the silence", |transaction| {
            let sql = include_str!("sql/put_alert_silence.sql");
            let mut put = transaction.prepare_cached(sql)?;
            put.raw_bind_parameter(":silence_id", &silence.silence_id)?;
            put.raw_bind_parameter(":created_at_ms", silence.created_at)?;
            put.raw_bind_parameter(":created_by", &silence.created_by)?;
            silence.silence.execute(&mut put)?;
            put_rows(transaction, "insert into alert_events", [event])
        })
    }

    /// Ends a silence at `now`; `false` when there is none that is not over.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn end_silence(
        &mut self,
        silence_id: &str,
        now: Timestamp,
        event: &AlertEvent,
    ) -> Result<bool> {
        self.write("ending the silence", |transaction| {
            let sql = "update alert_silences
                       set ends_at_ms = ?2, starts_at_ms = min(starts_at_ms, ?2)
                       where silence_id = ?1 and ends_at_ms > ?2";
            let is_ended = transaction.execute(sql, (silence_id, now))? > 0;
            if is_ended {
                put_rows(transaction, "insert into alert_events", [event])?;
            }
            Ok(is_ended)
        })
    }

    /// Deletes history that ended more than `days` ago, a bounded number of rows; returns their number.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn prune_alerts(&mut self, days: u32, now: Timestamp) -> Result<usize> {
        let before = now.plus_ms(-i64::from(days) * DAY_MS);
        let statements = [
            "delete from alert_events where event_id in
                 (select event_id from alert_events where at_ms < ?1 limit ?2)",
            "delete from alert_incidents where incident_id in
                 (select incident_id from alert_incidents
                  where fired_at_ms < ?1 and ended_at_ms < ?1 limit ?2)",
            // Messages about an open incident decide which channels get its end.
            "delete from _alert_outbox where id in
                 (select o.id from _alert_outbox o
                  where o.created_at_ms < ?1 and o.state <> 'queued'
                    and not exists (select 1 from alert_incidents i
                                    where i.incident_id = o.incident_id
                                      and i.ended_at_ms is null) limit ?2)",
            "delete from alert_silences where silence_id in
                 (select silence_id from alert_silences where ends_at_ms < ?1 limit ?2)",
        ];
        self.write("deleting old alerts", |transaction| {
            statements.into_iter().map(|sql| transaction.execute(sql, (before, PRUNED_ROWS))).sum()
        })
    }
}

/// Runs an insert of rows; `into` is the statement up to the list of columns.
fn put_rows<'r, T: StoredColumns + 'r>(
    transaction: &Transaction<'_>,
    into: &str,
    rows: impl IntoIterator<Item = &'r T>,
) -> rusqlite::Result<()> {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let mut put = transaction.prepare_cached(&format!("{into} {}", T::values()))?;
    rows.try_for_each(|row| row.execute(&mut put).map(drop))
}

fn apply_instance(transaction: &Transaction<'_>, change: &InstanceChange) -> rusqlite::Result<()> {
    let Some(instance) = &change.instance else {
        let sql = "delete from _alert_instances where rule_id = ?1 and group_key = ?2";
        let mut delete = transaction.prepare_cached(sql)?;
        return delete.execute((&change.rule_id, &change.group_key)).map(drop);
    };
    let mut put = transaction.prepare_cached(include_str!("sql/put_alert_instance.sql"))?;
    put.raw_bind_parameter(":rule_id", &change.rule_id)?;
    put.raw_bind_parameter(":group_key", &change.group_key)?;
    put.raw_bind_parameter(":identity_hash", &change.identity_hash[..])?;
    instance.execute(&mut put).map(drop)
}

fn change_incident(transaction: &Transaction<'_>, change: &IncidentChange) -> rusqlite::Result<()> {
    let sql = include_str!("sql/change_alert_incident.sql");
    let values = named_params! {
        ":incident_id": change.incident_id,
        ":peak_value": change.peak_value,
        ":ended_at_ms": change.ended.map(|(at, _)| at),
        ":end_reason": change.ended.map(|(_, reason)| reason.as_str()),
        ":acked_by": change.acked.as_ref().map(|(actor, _)| actor),
        ":acked_at_ms": change.acked.as_ref().map(|(_, at)| at),
    };
    transaction.prepare_cached(sql)?.execute(values).map(drop)
}

/// Sets times in the future back to `now`, and notes in the history whose times these were.
fn set_back(transaction: &Transaction<'_>, now: Timestamp, reason: &str) -> rusqlite::Result<()> {
    transaction.execute(include_str!("sql/set_back_alert_events.sql"), [now])?;
    transaction.execute(include_str!("sql/note_set_back_incidents.sql"), (now, reason))?;
    let incidents = "update alert_incidents
                     set fired_at_ms = min(fired_at_ms, ?1), ended_at_ms = min(ended_at_ms, ?1)
                     where fired_at_ms > ?1 or ended_at_ms > ?1";
    transaction.execute(incidents, [now])?;
    let messages = "update _alert_outbox set created_at_ms = ?1 where created_at_ms > ?1";
    transaction.execute(messages, [now]).map(drop)
}

impl super::read::Reader<'_> {
    /// How far the monitor has evaluated the stored requests.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn monitor_progress(&self) -> Result<MonitorProgress> {
        let rows = self.select("reading the progress of alerts", "from _alert_monitor", [])?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }
}
