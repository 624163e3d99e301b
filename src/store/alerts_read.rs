//! Reading alerts: states, incidents, history, silences, and the requests that runs of failures count.

use std::convert::identity;
use std::sync::Arc;

use rusqlite::named_params;

use super::columns::{
    Columns, RowCells, columns, count, from_json, known_count, saturated, stored_count,
    stored_known_count, to_json,
};
use super::read::Reader;
use crate::error::Result;
use crate::model::alert::{
    AlertEvent, AlertGroup, AlertIncident, AlertInstance, AlertSilence, EndReason, NewSilence,
};
use crate::model::{Outcome, Source, TimeRange, Timestamp};

/// Maximum number of texts that incidents share; each text of an incident is compared with all of them.
const MAX_SHARED_TEXTS: usize = 32;

/// The stored state of one rule and group.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredInstance {
    /// The rule.
    pub rule_id: String,
    /// Key of the group.
    pub group_key: String,
    /// Hash of the parts of the rule that identify it.
    pub identity_hash: Vec<u8>,
    /// The state.
    pub instance: AlertInstance,
}

/// Which incidents to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentQuery {
    /// Only these.
    pub incident_ids: Vec<String>,
    /// Only of this rule.
    pub rule_id: Option<String>,
    /// Open (`true`) or over (`false`).
    pub is_open: Option<bool>,
    /// Open at some time within this range.
    pub during: Option<TimeRange>,
    /// Began at or after this instant.
    pub fired_since: Option<Timestamp>,
    /// Where the page before ended: `(fired_at, incident_id)` of its last incident.
    pub before: Option<(Timestamp, String)>,
    /// Maximum number of incidents.
    pub limit: usize,
}

/// A request in order of arrival, for runs of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrivedRow {
    /// Order of arrival.
    pub seq: i64,
    /// Start, in Unix milliseconds.
    pub started_at_ms: i64,
    /// The route by which it arrived.
    pub source: Source,
    /// Ids in `spaces`, `users` and `models`.
    pub ids: [i64; 3],
    /// The outcome.
    pub outcome: Outcome,
}

columns!(AlertInstance {
    phase: state, violations, clears, incident_id, active_since: active_since_ms,
    fired_at: fired_at_ms, evaluated_at: evaluated_at_ms as (identity, or_epoch),
    no_data_since: no_data_since_ms, failed_evaluations, value, peak_value,
    samples as (count, stored_count), events as (count, stored_count),
    acked_by, acked_at: acked_at_ms, notified_at: notified_at_ms, is_announced,
    flapping_since: flapping_since_ms, transitions: transitions_ms as (times, stored_times),
    withheld: withheld_channels as (from_json, unless_empty),
});

columns!(AlertIncident {
    incident_id, rule_id, rule_name, group: group_key as (group, AlertGroup::key),
    metric, operator, threshold, severity, message, fired_at: fired_at_ms, value, peak_value,
    samples as (count, stored_count), events as (count, stored_count), ended_at: ended_at_ms,
    end_reason as (end_reason, stored_end_reason), acked_by, acked_at: acked_at_ms, is_dry_run,
});

columns!(AlertEvent {
    at: at_ms, incident_id, rule_id, group_key, from_state, to_state, reason, value, threshold,
    samples as (known_count, stored_known_count), events as (known_count, stored_known_count),
    actor, note,
});

columns!(NewSilence {
    rule_glob, group_match as (from_json, to_json), starts_at: starts_at_ms,
    ends_at: ends_at_ms, comment,
});

fn or_epoch(at: &Option<Timestamp>) -> Timestamp {
    at.unwrap_or(Timestamp::from_unix_ms(0))
}

fn times(json: Option<String>) -> Vec<Timestamp> {
    from_json::<Vec<i64>>(json).into_iter().map(Timestamp::from_unix_ms).collect()
}

fn stored_times(times: &[Timestamp]) -> String {
    to_json(&times.iter().map(|at| at.as_unix_ms()).collect::<Vec<_>>())
}

fn unless_empty(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| to_json(names))
}

fn group(key: Option<String>) -> AlertGroup {
    key.and_then(|key| AlertGroup::parse_key(&key)).unwrap_or_default()
}

fn end_reason(text: Option<String>) -> Option<EndReason> {
    text.and_then(|text| EndReason::parse(&text))
}

fn stored_end_reason(reason: &Option<EndReason>) -> Option<&'static str> {
    reason.map(EndReason::as_str)
}

/// Texts that many rows repeat, each once in memory.
#[derive(Default)]
struct SharedTexts(Vec<Arc<str>>);

impl SharedTexts {
    /// Replaces a text by the known one that is equal.
    fn share(&mut self, text: &mut Arc<str>) {
        if let Some(known) = self.0.iter().find(|known| *known == text) {
            *text = Arc::clone(known);
        } else if self.0.len() < MAX_SHARED_TEXTS {
            self.0.push(Arc::clone(text));
        }
    }
}

impl Reader<'_> {
    /// Every stored state.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_instances(&self) -> Result<Vec<StoredInstance>> {
        let columns = AlertInstance::NAMES.join(", ");
        let sql =
            format!("select rule_id, group_key, identity_hash, {columns} from _alert_instances");
        self.rows("reading the state of alerts", &sql, [], |row| {
            let mut cells = RowCells::of(row);
            Ok(StoredInstance {
                rule_id: cells.next()?,
                group_key: cells.next()?,
                identity_hash: cells.next()?,
                instance: AlertInstance::read(&mut cells)?,
            })
        })
    }

    /// Incidents, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_incidents(&self, query: &IncidentQuery) -> Result<Vec<AlertIncident>> {
        let values = named_params! {
            ":incident_ids": unless_empty(&query.incident_ids),
            ":rule_id": query.rule_id,
            ":is_open": query.is_open,
            ":during_start_ms": query.during.map(|range| range.start),
            ":during_end_ms": query.during.map(|range| range.end),
            ":fired_since_ms": query.fired_since,
            ":before_ms": query.before.as_ref().map(|(at, _)| at),
            ":before_id": query.before.as_ref().map_or("", |(_, id)| id.as_str()),
            ":limit": saturated(query.limit),
        };
        let from = include_str!("sql/find_alert_incidents.sql");
        let sql = format!("select {} {from}", AlertIncident::NAMES.join(", "));
        let mut shared = SharedTexts::default();
        self.rows("reading incidents", &sql, values, |row| {
            let mut incident = AlertIncident::of(row)?;
            let AlertIncident { rule_id, rule_name, metric, operator, severity, .. } =
                &mut incident;
            for text in [rule_id, rule_name, metric, operator, severity] {
                shared.share(text);
            }
            Ok(incident)
        })
    }

    /// One incident; `None` if it does not exist.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_incident(&self, incident_id: &str) -> Result<Option<AlertIncident>> {
        let from = "from alert_incidents where incident_id = ?1";
        Ok(self.select("reading an incident", from, [incident_id])?.pop())
    }

    /// The history of one incident, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn incident_events(&self, incident_id: &str) -> Result<Vec<AlertEvent>> {
        let from = "from alert_events where incident_id = ?1 order by event_id";
        self.select("reading the history of alerts", from, [incident_id])
    }

    /// The history of everything within a range, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_events(&self, range: TimeRange, limit: usize) -> Result<Vec<AlertEvent>> {
        let from = "from alert_events where at_ms >= ?1 and at_ms < ?2
                    order by event_id desc limit ?3";
        let values = (range.start, range.end, saturated(limit));
        self.select("reading the history of alerts", from, values)
    }

    /// Rules with an entry of the history with this reason at or after `since`, each once.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_rules_with(&self, reason: &str, since: Timestamp) -> Result<Vec<String>> {
        let sql = "select distinct rule_id from alert_events
                   where at_ms >= ?1 and reason = ?2 order by rule_id";
        self.rows("reading the history of alerts", sql, (since, reason), |row| row.get(0))
    }

    /// Number of the last entry of the history; 0 when there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_alert_event_id(&self) -> Result<i64> {
        let sql = "select ifnull(max(event_id), 0) from alert_events";
        self.value("reading the history of alerts", sql, [])
    }

    /// Silences that end after `now` (`over` is `false`) or are over, latest end first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_silences(&self, now: Timestamp, over: bool) -> Result<Vec<AlertSilence>> {
        let sql = format!(
            "select silence_id, created_at_ms, created_by, {} from alert_silences
             where (ends_at_ms <= ?1) = ?2 order by ends_at_ms desc, silence_id limit 1000",
            NewSilence::NAMES.join(", ")
        );
        self.rows("reading silences", &sql, (now, over), |row| {
            let mut cells = RowCells::of(row);
            Ok(AlertSilence {
                silence_id: cells.next()?,
                created_at: cells.next()?,
                created_by: cells.next()?,
                silence: NewSilence::read(&mut cells)?,
            })
        })
    }

    /// Latest start, in Unix milliseconds, of the imported requests after `seq`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn imported_until(&self, seq: i64) -> Result<Option<i64>> {
        let sql = "select max(started_at_ms) from requests where seq > ?1 and source = ?2";
        self.value("looking for imported requests", sql, (seq, Source::Import.code()))
    }

    /// Hands the rows after `from` and up to `until` to `each`, in order of arrival, except imported ones.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn arrived_within(
        &self,
        from: i64,
        until: i64,
        mut each: impl FnMut(&ArrivedRow),
    ) -> Result<()> {
        let sql = "select seq, started_at_ms, source, space_id, user_id, model_id, outcome
                   from requests where seq > ?1 and seq <= ?2 and source <> ?3 order by seq";
        let values = (from, until, Source::Import.code());
        self.for_each("reading new requests", sql, values, |row| {
            each(&ArrivedRow {
                seq: row.get(0)?,
                started_at_ms: row.get(1)?,
                source: Source::from_code(row.get(2)?).unwrap_or(Source::Rest),
                ids: [row.get(3)?, row.get(4)?, row.get(5)?],
                outcome: Outcome::from_code(row.get(6)?).unwrap_or(Outcome::Success),
            });
            Ok(())
        })
    }
}
