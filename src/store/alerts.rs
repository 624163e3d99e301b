//! Alerts on disk: the state moves, its history and its messages in one transaction.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Transaction, named_params, params};

use super::alert_runs::{RunsChange, put_runs};
use super::audit::put_entries;
use super::error::storage;
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
    /// What makes the rule the same rule.
    pub identity_hash: Arc<[u8]>,
    /// The state; `None`: it is plainly ok and forgotten.
    pub instance: Option<AlertInstance>,
}

/// What changes about an incident that is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentChange {
    /// The incident.
    pub incident_id: String,
    /// Another worst value.
    pub peak_value: Option<f64>,
    /// It ended.
    pub ended: Option<(Timestamp, EndReason)>,
    /// Who takes care of it, since when.
    pub acked: Option<(String, Timestamp)>,
}

/// Everything that one evaluation, or one person, changes: all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertChanges {
    /// States.
    pub instances: Vec<InstanceChange>,
    /// Incidents that began.
    pub incidents: Vec<AlertIncident>,
    /// What changed about others.
    pub incident_changes: Vec<IncidentChange>,
    /// Lines of the history.
    pub events: Vec<AlertEvent>,
    /// Messages.
    pub messages: Vec<OutgoingAlert>,
    /// Lines of the audit trail.
    pub audit: Vec<AuditEntry>,
    /// Runs of failures.
    pub runs: Vec<RunsChange>,
    /// How far the monitor has looked.
    pub progress: Option<MonitorProgress>,
    /// The clock was set back to this instant: what is stored of incidents, their history and their messages and lies in
    /// the future becomes this instant, first of all, with a mark of this reason in the history.
    pub set_back: Option<(Timestamp, &'static str)>,
}

impl AlertChanges {
    /// Nothing is to be written.
    pub const fn is_empty(&self) -> bool {
        self.instances.is_empty()
            && self.incidents.is_empty()
            && self.incident_changes.is_empty()
            && self.events.is_empty()
            && self.messages.is_empty()
            && self.audit.is_empty()
            && self.runs.is_empty()
            && self.progress.is_none()
            && self.set_back.is_none()
    }
}

/// How far the monitor has looked at what arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonitorProgress {
    /// The last evaluation of all rules.
    pub evaluated_at: Option<Timestamp>,
    /// The last row looked at.
    pub seen_seq: i64,
    /// Latest start of an imported request, in Unix milliseconds; -1: none was seen.
    pub imported_until_ms: i64,
}

/// Rows deleted in one transaction, so that records never wait long.
const PRUNED_ROWS: i64 = 5_000;

impl Writer {
    /// Writes what an evaluation or a person changed, in one transaction.
    ///
    /// # Errors
    /// When the transaction failed; nothing was changed then.
    pub fn apply_alerts(&mut self, changes: &AlertChanges) -> Result<()> {
        self.transaction(|transaction| {
            let apply = || -> rusqlite::Result<()> {
                if let Some((now, reason)) = changes.set_back {
                    bring_back(transaction, now, reason)?;
                }
                for change in &changes.instances {
                    apply_instance(transaction, change)?;
                }
                for incident in &changes.incidents {
                    put_incident(transaction, incident)?;
                }
                for change in &changes.incident_changes {
                    change_incident(transaction, change)?;
                }
                for event in &changes.events {
                    put_event(transaction, event)?;
                }
                for message in &changes.messages {
                    put_message(transaction, message)?;
                }
                put_entries(transaction, &changes.audit)?;
                for change in &changes.runs {
                    put_runs(transaction, change)?;
                }
                if let Some(progress) = &changes.progress {
                    put_progress(transaction, progress)?;
                }
                Ok(())
            };
            apply().map_err(storage("writing the state of alerts"))
        })
    }

    /// Stores a silence, and that somebody made it.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn insert_silence(&mut self, silence: &AlertSilence, event: &AlertEvent) -> Result<()> {
        let group_match =
            serde_json::to_string(&silence.silence.group_match).unwrap_or_else(|_| "{}".to_owned());
        self.transaction(|transaction| {
            let insert = || -> rusqlite::Result<()> {
                transaction.execute(
                    include_str!("sql/put_alert_silence.sql"),
                    named_params! {
                        ":silence_id": silence.silence_id,
                        ":rule_glob": silence.silence.rule_glob,
                        ":group_match": group_match,
                        ":starts_at_ms": silence.silence.starts_at.as_unix_ms(),
                        ":ends_at_ms": silence.silence.ends_at.as_unix_ms(),
                        ":created_at_ms": silence.created_at.as_unix_ms(),
                        ":created_by": silence.created_by,
                        ":comment": silence.silence.comment,
                    },
                )?;
                put_event(transaction, event)
            };
            insert().map_err(storage("storing the silence"))
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
        self.transaction(|transaction| {
            let end = || -> rusqlite::Result<bool> {
                let ended = transaction.execute(
                    "update alert_silences
                     set ends_at_ms = ?2, starts_at_ms = min(starts_at_ms, ?2)
                     where silence_id = ?1 and ends_at_ms > ?2",
                    params![silence_id, now.as_unix_ms()],
                )?;
                if ended > 0 {
                    put_event(transaction, event)?;
                }
                Ok(ended > 0)
            };
            end().map_err(storage("ending the silence"))
        })
    }

    /// Deletes history that ended more than `days` ago, a bounded number of rows; how many.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn prune_alerts(&mut self, days: u32, now: Timestamp) -> Result<usize> {
        let before_ms = now.plus_ms(-i64::from(days) * DAY_MS).as_unix_ms();
        self.transaction(|transaction| {
            let prune = || -> rusqlite::Result<usize> {
                let mut deleted = 0;
                for sql in [
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
                ] {
                    deleted += transaction.execute(sql, params![before_ms, PRUNED_ROWS])?;
                }
                Ok(deleted)
            };
            prune().map_err(storage("deleting old alerts"))
        })
    }
}

fn apply_instance(transaction: &Transaction<'_>, change: &InstanceChange) -> rusqlite::Result<()> {
    let ms = |at: Option<Timestamp>| at.map(Timestamp::as_unix_ms);
    let Some(instance) = &change.instance else {
        let mut delete = transaction
            .prepare_cached("delete from _alert_instances where rule_id = ?1 and group_key = ?2")?;
        delete.execute(params![change.rule_id, change.group_key])?;
        return Ok(());
    };
    let withheld = (!instance.withheld.is_empty())
        .then(|| serde_json::to_string(&instance.withheld).unwrap_or_default());
    let transitions: Vec<i64> = instance.transitions.iter().map(|at| at.as_unix_ms()).collect();
    let mut put = transaction.prepare_cached(include_str!("sql/put_alert_instance.sql"))?;
    put.execute(named_params! {
        ":rule_id": change.rule_id,
        ":group_key": change.group_key,
        ":identity_hash": &change.identity_hash[..],
        ":state": instance.phase.as_str(),
        ":violations": instance.violations,
        ":clears": instance.clears,
        ":incident_id": instance.incident_id,
        ":active_since": ms(instance.active_since),
        ":fired_at": ms(instance.fired_at),
        ":evaluated_at": ms(instance.evaluated_at).unwrap_or(0),
        ":no_data_since": ms(instance.no_data_since),
        ":failed": instance.failed_evaluations,
        ":value": instance.value,
        ":peak": instance.peak_value,
        ":samples": signed(instance.samples),
        ":events": signed(instance.events),
        ":acked_by": instance.acked_by,
        ":acked_at": ms(instance.acked_at),
        ":notified_at": ms(instance.notified_at),
        ":is_announced": instance.is_announced,
        ":flapping_since": ms(instance.flapping_since),
        ":transitions": serde_json::to_string(&transitions).unwrap_or_default(),
        ":withheld": withheld,
    })?;
    Ok(())
}

fn put_incident(transaction: &Transaction<'_>, incident: &AlertIncident) -> rusqlite::Result<()> {
    let ms = |at: Option<Timestamp>| at.map(Timestamp::as_unix_ms);
    let mut put = transaction.prepare_cached(include_str!("sql/put_alert_incident.sql"))?;
    put.execute(named_params! {
        ":id": incident.incident_id,
        ":rule_id": incident.rule_id,
        ":rule_name": incident.rule_name,
        ":group_key": incident.group.key(),
        ":metric": incident.metric,
        ":operator": incident.operator,
        ":threshold": incident.threshold,
        ":severity": incident.severity,
        ":message": incident.message,
        ":fired_at": incident.fired_at.as_unix_ms(),
        ":value": incident.value,
        ":peak": incident.peak_value,
        ":samples": signed(incident.samples),
        ":events": signed(incident.events),
        ":ended_at": ms(incident.ended_at),
        ":reason": incident.end_reason.map(|reason| reason.as_str()),
        ":acked_by": incident.acked_by,
        ":acked_at": ms(incident.acked_at),
        ":is_dry_run": incident.is_dry_run,
    })?;
    Ok(())
}

fn change_incident(transaction: &Transaction<'_>, change: &IncidentChange) -> rusqlite::Result<()> {
    let sql = include_str!("sql/change_alert_incident.sql");
    transaction.prepare_cached(sql)?.execute(named_params! {
        ":incident_id": change.incident_id,
        ":peak_value": change.peak_value,
        ":ended_at_ms": change.ended.map(|(at, _)| at.as_unix_ms()),
        ":end_reason": change.ended.map(|(_, reason)| reason.as_str()),
        ":acked_by": change.acked.as_ref().map(|(actor, _)| actor),
        ":acked_at_ms": change.acked.as_ref().map(|(_, at)| at.as_unix_ms()),
    })?;
    Ok(())
}

fn put_event(transaction: &Transaction<'_>, event: &AlertEvent) -> rusqlite::Result<()> {
    let sql = include_str!("sql/put_alert_event.sql");
    transaction.prepare_cached(sql)?.execute(named_params! {
        ":at_ms": event.at.as_unix_ms(),
        ":incident_id": event.incident_id,
        ":rule_id": event.rule_id,
        ":group_key": event.group_key,
        ":from_state": event.from_state,
        ":to_state": event.to_state,
        ":reason": event.reason,
        ":value": event.value,
        ":threshold": event.threshold,
        ":samples": event.samples.map(signed),
        ":events": event.events.map(signed),
        ":actor": event.actor,
        ":note": event.note,
    })?;
    Ok(())
}

fn put_message(transaction: &Transaction<'_>, message: &OutgoingAlert) -> rusqlite::Result<()> {
    let sql = include_str!("sql/put_message.sql");
    transaction.prepare_cached(sql)?.execute(named_params! {
        ":id": message.id,
        ":incident_id": message.incident_id,
        ":channel": message.channel,
        ":kind": message.kind,
        ":created_at_ms": message.created_at.as_unix_ms(),
        ":not_before_ms": message.not_before.as_unix_ms(),
        ":payload": message.payload,
    })?;
    Ok(())
}

/// Brings times in the future back to `now` and marks whose they were.
fn bring_back(transaction: &Transaction<'_>, now: Timestamp, reason: &str) -> rusqlite::Result<()> {
    let now_ms = now.as_unix_ms();
    let stamped = "strftime('%Y-%m-%dT%H:%M:%SZ', at_ms / 1000, 'unixepoch')";
    transaction.execute(
        &format!(
            "update alert_events
             set note = coalesce(note || '; ', '') || 'the clock was ahead, this was stamped ' || {stamped},
                 at_ms = ?1
             where at_ms > ?1"
        ),
        [now_ms],
    )?;
    transaction.execute(
        &format!(
            "insert into alert_events (at_ms, incident_id, rule_id, group_key, from_state, to_state, reason, actor, note)
             select ?1, incident_id, rule_id, group_key, '', '', ?2, 'monitor',
                 'the clock was ahead when this incident began or ended; its latest time was stamped ' || {stamped}
             from (select *, max(fired_at_ms, coalesce(ended_at_ms, 0)) as at_ms from alert_incidents)
             where at_ms > ?1"
        ),
        params![now_ms, reason],
    )?;
    transaction.execute(
        "update alert_incidents
         set fired_at_ms = min(fired_at_ms, ?1), ended_at_ms = min(ended_at_ms, ?1)
         where fired_at_ms > ?1 or ended_at_ms > ?1",
        [now_ms],
    )?;
    transaction.execute(
        "update _alert_outbox set created_at_ms = ?1 where created_at_ms > ?1",
        [now_ms],
    )?;
    Ok(())
}

fn put_progress(transaction: &Transaction<'_>, progress: &MonitorProgress) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(
        "update _alert_monitor set evaluated_at_ms = ?1, seen_seq = ?2, imported_until_ms = ?3",
    )?;
    put.execute(params![
        progress.evaluated_at.map(Timestamp::as_unix_ms),
        progress.seen_seq,
        progress.imported_until_ms,
    ])?;
    Ok(())
}

impl super::read::Reader<'_> {
    /// How far the monitor has looked.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn monitor_progress(&self) -> Result<MonitorProgress> {
        let read = || {
            let mut statement = self.connection().prepare_cached(
                "select evaluated_at_ms, seen_seq, imported_until_ms from _alert_monitor",
            )?;
            let row = statement.query_row([], |row| {
                Ok(MonitorProgress {
                    evaluated_at: row.get::<_, Option<i64>>(0)?.map(Timestamp::from_unix_ms),
                    seen_seq: row.get(1)?,
                    imported_until_ms: row.get(2)?,
                })
            });
            row.optional()
        };
        Ok(read().map_err(storage("reading the progress of alerts"))?.unwrap_or_default())
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
