//! Alerts read back: states, incidents, history, silences, and what arrived.

use std::sync::Arc;

use rusqlite::{Params, Row, named_params};

use super::error::storage;
use super::read::Reader;
use crate::error::Result;
use crate::model::alert::{
    AlertEvent, AlertGroup, AlertIncident, AlertInstance, AlertPhase, AlertSilence, EndReason,
    NewSilence,
};
use crate::model::{Outcome, Source, TimeRange, Timestamp};

/// Most texts that incidents are looked through for.
const MOST_SHARED: usize = 32;

/// The stored state of one rule and group.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredInstance {
    /// The rule.
    pub rule_id: String,
    /// Key of the group.
    pub group_key: String,
    /// What made the rule the same rule.
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
    /// Most incidents.
    pub limit: usize,
}

/// A request as it arrived, for runs of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrivedRow {
    /// Order of arrival.
    pub seq: i64,
    /// Start, in Unix milliseconds.
    pub started_at_ms: i64,
    /// Route.
    pub source: Source,
    /// Ids in `spaces`, `users` and `models`.
    pub ids: [i64; 3],
    /// How it ended.
    pub outcome: Outcome,
}

const INSTANCE: &str = "rule_id, group_key, identity_hash, state, violations, clears, incident_id,
    active_since_ms, fired_at_ms, evaluated_at_ms, no_data_since_ms, failed_evaluations, value,
    peak_value, samples, events, acked_by, acked_at_ms, notified_at_ms, is_announced,
    flapping_since_ms, transitions_ms, withheld_channels";

const INCIDENT: &str = "incident_id, rule_id, rule_name, group_key, metric, operator, threshold,
    severity, message, fired_at_ms, value, peak_value, samples, events, ended_at_ms, end_reason,
    acked_by, acked_at_ms, is_dry_run";

fn time(row: &Row<'_>, position: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(position)?.map(Timestamp::from_unix_ms))
}

fn count(row: &Row<'_>, position: usize) -> rusqlite::Result<u64> {
    let count: Option<i64> = row.get(position)?;
    Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}

fn read_instance(row: &Row<'_>) -> rusqlite::Result<StoredInstance> {
    let phase: String = row.get(3)?;
    let transitions: String = row.get(21)?;
    let transitions: Vec<i64> = serde_json::from_str(&transitions).unwrap_or_default();
    let withheld: Option<String> = row.get(22)?;
    Ok(StoredInstance {
        rule_id: row.get(0)?,
        group_key: row.get(1)?,
        identity_hash: row.get(2)?,
        instance: AlertInstance {
            phase: AlertPhase::parse(&phase).unwrap_or_default(),
            violations: row.get(4)?,
            clears: row.get(5)?,
            incident_id: row.get(6)?,
            active_since: time(row, 7)?,
            fired_at: time(row, 8)?,
            evaluated_at: time(row, 9)?,
            no_data_since: time(row, 10)?,
            failed_evaluations: row.get(11)?,
            value: row.get(12)?,
            peak_value: row.get(13)?,
            samples: count(row, 14)?,
            events: count(row, 15)?,
            acked_by: row.get(16)?,
            acked_at: time(row, 17)?,
            notified_at: time(row, 18)?,
            is_announced: row.get(19)?,
            withheld: withheld
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default(),
            flapping_since: time(row, 20)?,
            transitions: transitions.into_iter().map(Timestamp::from_unix_ms).collect(),
        },
    })
}

/// Texts that many rows repeat, each once.
#[derive(Default)]
struct Shared(Vec<Arc<str>>);

impl Shared {
    fn text(&mut self, row: &Row<'_>, column: usize) -> rusqlite::Result<Arc<str>> {
        let text = row.get_ref(column)?.as_str()?;
        if let Some(known) = self.0.iter().find(|known| ***known == *text) {
            return Ok(Arc::clone(known));
        }
        let new = Arc::from(text);
        if self.0.len() < MOST_SHARED {
            self.0.push(Arc::clone(&new));
        }
        Ok(new)
    }
}

fn read_incident(row: &Row<'_>, shared: &mut Shared) -> rusqlite::Result<AlertIncident> {
    let group_key: String = row.get(3)?;
    let reason: Option<String> = row.get(15)?;
    Ok(AlertIncident {
        incident_id: row.get(0)?,
        rule_id: shared.text(row, 1)?,
        rule_name: shared.text(row, 2)?,
        group: AlertGroup::parse_key(&group_key).unwrap_or_default(),
        metric: shared.text(row, 4)?,
        operator: shared.text(row, 5)?,
        threshold: row.get(6)?,
        severity: shared.text(row, 7)?,
        message: row.get(8)?,
        fired_at: Timestamp::from_unix_ms(row.get(9)?),
        value: row.get(10)?,
        peak_value: row.get(11)?,
        samples: count(row, 12)?,
        events: count(row, 13)?,
        ended_at: time(row, 14)?,
        end_reason: reason.as_deref().and_then(EndReason::parse),
        acked_by: row.get(16)?,
        acked_at: time(row, 17)?,
        is_dry_run: row.get(18)?,
    })
}

fn read_event(row: &Row<'_>) -> rusqlite::Result<AlertEvent> {
    let known = |position: usize| -> rusqlite::Result<Option<u64>> {
        Ok(row.get::<_, Option<i64>>(position)?.and_then(|count| u64::try_from(count).ok()))
    };
    Ok(AlertEvent {
        at: Timestamp::from_unix_ms(row.get(0)?),
        incident_id: row.get(1)?,
        rule_id: row.get(2)?,
        group_key: row.get(3)?,
        from_state: row.get(4)?,
        to_state: row.get(5)?,
        reason: row.get(6)?,
        value: row.get(7)?,
        threshold: row.get(8)?,
        samples: known(9)?,
        events: known(10)?,
        actor: row.get(11)?,
        note: row.get(12)?,
    })
}

fn read_silence(row: &Row<'_>) -> rusqlite::Result<AlertSilence> {
    let group_match: String = row.get(2)?;
    Ok(AlertSilence {
        silence_id: row.get(0)?,
        silence: NewSilence {
            rule_glob: row.get(1)?,
            group_match: serde_json::from_str(&group_match).unwrap_or_default(),
            starts_at: Timestamp::from_unix_ms(row.get(3)?),
            ends_at: Timestamp::from_unix_ms(row.get(4)?),
            comment: row.get(7)?,
        },
        created_at: Timestamp::from_unix_ms(row.get(5)?),
        created_by: row.get(6)?,
    })
}

impl Reader<'_> {
    fn alert_rows<T>(
        &self,
        operation: &'static str,
        sql: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let query = |values, read| -> rusqlite::Result<Vec<T>> {
            let mut statement = self.connection().prepare_cached(sql)?;
            statement.query_map(values, read)?.collect()
        };
        query(values, read).map_err(storage(operation))
    }

    /// Every stored state.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_instances(&self) -> Result<Vec<StoredInstance>> {
        let sql = format!("select {INSTANCE} from _alert_instances");
        self.alert_rows("reading the state of alerts", &sql, [], read_instance)
    }

    /// Incidents, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_incidents(&self, query: &IncidentQuery) -> Result<Vec<AlertIncident>> {
        let ids = (!query.incident_ids.is_empty())
            .then(|| serde_json::to_string(&query.incident_ids).unwrap_or_default());
        let ms = |at: Option<Timestamp>| at.map(Timestamp::as_unix_ms);
        let (before_ms, before_id) = match &query.before {
            Some((at, id)) => (Some(at.as_unix_ms()), id.as_str()),
            None => (None, ""),
        };
        let (start_ms, end_ms) =
            (ms(query.during.map(|range| range.start)), ms(query.during.map(|range| range.end)));
        let sql = format!("select {INCIDENT} {}", include_str!("sql/find_alert_incidents.sql"));
        let mut shared = Shared::default();
        let values = named_params! {
            ":incident_ids": ids,
            ":rule_id": query.rule_id,
            ":is_open": query.is_open,
            ":during_start_ms": start_ms,
            ":during_end_ms": end_ms,
            ":fired_since_ms": ms(query.fired_since),
            ":before_ms": before_ms,
            ":before_id": before_id,
            ":limit": i64::try_from(query.limit).unwrap_or(i64::MAX),
        };
        self.alert_rows("reading incidents", &sql, values, |row| read_incident(row, &mut shared))
    }

    /// The history of one incident, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn incident_events(&self, incident_id: &str) -> Result<Vec<AlertEvent>> {
        let sql =
            "select at_ms, incident_id, rule_id, group_key, from_state, to_state, reason, value,
                          threshold, samples, events, actor, note
                   from alert_events where incident_id = ?1 order by event_id";
        self.alert_rows("reading the history of alerts", sql, [incident_id], read_event)
    }

    /// The history of everything within a range, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_events(&self, range: TimeRange, limit: usize) -> Result<Vec<AlertEvent>> {
        let sql =
            "select at_ms, incident_id, rule_id, group_key, from_state, to_state, reason, value,
                          threshold, samples, events, actor, note
                   from alert_events where at_ms >= ?1 and at_ms < ?2
                   order by event_id desc limit ?3";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (start_ms, end_ms) = (range.start.as_unix_ms(), range.end.as_unix_ms());
        let values = (start_ms, end_ms, limit);
        self.alert_rows("reading the history of alerts", sql, values, read_event)
    }

    /// Rules of which a line of the history with this reason was written since, each once.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_rules_with(&self, reason: &str, since: Timestamp) -> Result<Vec<String>> {
        let sql = "select distinct rule_id from alert_events
                   where at_ms >= ?1 and reason = ?2 order by rule_id";
        let since_ms = since.as_unix_ms();
        self.alert_rows("reading the history of alerts", sql, (since_ms, reason), |row| row.get(0))
    }

    /// Number of the last line of the history; 0 when there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_alert_event_id(&self) -> Result<i64> {
        self.connection()
            .prepare_cached("select ifnull(max(event_id), 0) from alert_events")
            .and_then(|mut last| last.query_row([], |row| row.get(0)))
            .map_err(storage("reading the history of alerts"))
    }

    /// Silences that end after `now` (`false`) or are over (`true`), latest end first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_silences(&self, now: Timestamp, over: bool) -> Result<Vec<AlertSilence>> {
        let sql = "select silence_id, rule_glob, group_match, starts_at_ms, ends_at_ms,
                          created_at_ms, created_by, comment
                   from alert_silences where (ends_at_ms <= ?1) = ?2
                   order by ends_at_ms desc, silence_id limit 1000";
        let now_ms = now.as_unix_ms();
        self.alert_rows("reading silences", sql, (now_ms, over), read_silence)
    }

    /// Latest start, in Unix milliseconds, of the imported requests after `seq`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn imported_until(&self, seq: i64) -> Result<Option<i64>> {
        let sql = "select max(started_at_ms) from requests where seq > ?1 and source = ?2";
        let source = Source::Import.code();
        let found =
            self.alert_rows("looking for imported requests", sql, (seq, source), |row| {
                row.get::<_, Option<i64>>(0)
            })?;
        Ok(found.into_iter().next().flatten())
    }

    /// Hands the rows after `from` and up to `until` to `each`, in order of arrival; imported ones are
    /// left out.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn arrived_within(
        &self,
        from: i64,
        until: i64,
        mut each: impl FnMut(&ArrivedRow),
    ) -> Result<()> {
        let mut read = || -> rusqlite::Result<()> {
            let mut statement = self.connection().prepare_cached(
                "select seq, started_at_ms, source, space_id, user_id, model_id, outcome
                 from requests where seq > ?1 and seq <= ?2 and source <> ?3 order by seq",
            )?;
            let mut rows = statement.query((from, until, Source::Import.code()))?;
            while let Some(row) = rows.next()? {
                each(&ArrivedRow {
                    seq: row.get(0)?,
                    started_at_ms: row.get(1)?,
                    source: Source::from_code(row.get(2)?).unwrap_or(Source::Rest),
                    ids: [row.get(3)?, row.get(4)?, row.get(5)?],
                    outcome: Outcome::from_code(row.get(6)?).unwrap_or(Outcome::Success),
                });
            }
            Ok(())
        };
        read().map_err(storage("reading what arrived"))
    }
}
